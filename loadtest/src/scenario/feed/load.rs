//! The author who posts, and the feeds that the oracle checks.

use std::collections::{BTreeMap, VecDeque};

use anyhow::Result;

use super::reader::{Reader, Reading};
use crate::client::{Ending, Handler, Links};
use crate::frames::{Frame, Stencil};
use crate::http::{self, Answer};
use crate::meter::{Meter, Ns, histogram};
use crate::oracle::{Layout, Oracle};
use crate::pacing::{Pacing, Release, Schedule};
use crate::proc::Watched;
use crate::scenario::drive::Load;
use crate::scenario::requests::Pool;
use crate::tag::Tag;

/// An author this far behind an open loop will not catch up, so the run is aborted.
const WAITING_MAX: usize = 10_000;

/// How posts are made.
pub enum Way {
    /// Over REST, one request at a time, so that posts are committed in order.
    Rest { pool: Pool<u32>, token: String, pad: String },
    /// As a message on the author's own socket, to a plain server. The author's copy is the answer.
    Socket(Stencil),
}

struct Post {
    /// When it was sent or scheduled.
    stamp: u64,
    answered: Option<u64>,
    /// The number of feeds that have not received it.
    missing: u32,
    /// Frames that arrived before the answer.
    early: u64,
    last: u64,
    id: Option<u64>,
    /// The first frame that was parsed in full; the others must be equal.
    payload: Vec<u8>,
    measured: bool,
    is_void: bool,
}

/// Latencies of the measured posts.
pub struct Latencies {
    /// From the answer to each feed's frame; frames before the answer count as 0.
    pub each_after_answer: Ns,
    pub last_after_request: Ns,
    pub last_after_answer: Ns,
}

pub struct Feed {
    way: Way,
    reader: Reader,
    oracle: Oracle,
    receivers: usize,
    pacing: Pacing,
    schedule: Option<Schedule>,
    sending: bool,
    /// The scheduled times of posts that wait until the author can send.
    waiting: VecDeque<u64>,
    posts: Vec<Post>,
    not_taken: Vec<u32>,
    under_way: u64,
    pub latencies: Latencies,
    pub failed: BTreeMap<String, u64>,
    pub measured: u64,
    pub meter: Meter,
    pub halted: Option<String>,
}

impl Feed {
    /// Links 0 to `receivers` (the first is the author's own feed) receive every post; those after them receive none.
    pub fn new(way: Way, reader: Reader, receivers: usize, pacing: Pacing, server: Option<Watched>) -> Result<Self> {
        let layout = Layout { rooms: 1, members: receivers, senders: 1 };
        Ok(Self {
            way,
            reader,
            oracle: Oracle::new(layout, true),
            receivers,
            pacing,
            schedule: None,
            sending: false,
            waiting: VecDeque::new(),
            posts: Vec::new(),
            not_taken: Vec::new(),
            under_way: 0,
            latencies: Latencies {
                each_after_answer: histogram()?,
                last_after_request: histogram()?,
                last_after_answer: histogram()?,
            },
            failed: BTreeMap::new(),
            measured: 0,
            meter: Meter::new(server)?,
            halted: None,
        })
    }

    /// The oracle's final result.
    pub fn verdict(&mut self) -> crate::oracle::Violations {
        self.oracle.finish(&[self.posts.len() as u32], std::slice::from_ref(&self.not_taken), |_| false);
        std::mem::take(&mut self.oracle.violations)
    }

    fn halt(&mut self, why: String) {
        self.halted.get_or_insert(why);
        self.stop();
    }

    /// Sends waiting posts as far as the author can.
    fn send_waiting(&mut self, links: &mut Links) {
        while let Some(&stamp) = self.waiting.front() {
            let seq = self.posts.len() as u32;
            let tag = Tag { sender: 0, seq }.encode();
            match &mut self.way {
                Way::Rest { pool, .. } if !pool.is_free() => return,
                Way::Rest { pool, token, pad } => {
                    let body = format!(r#"{{"content":"{pad}{}"}}"#, String::from_utf8_lossy(&tag));
                    let request = http::post(pool.server(), "/api/posts/", token, &body);
                    if let Err(error) = pool.send(links, &request, seq) {
                        return self.halt(format!("{error:#}"));
                    }
                }
                Way::Socket(stencil) => {
                    let mut frame = Vec::new();
                    stencil.put(&tag, &mut frame);
                    links.send(0, &frame);
                }
            }
            self.waiting.pop_front();
            let measured = self.meter.is_measured();
            self.measured += u64::from(measured);
            self.meter.late(links.now().saturating_sub(stamp));
            self.posts.push(Post {
                stamp,
                answered: None,
                missing: self.receivers as u32,
                early: 0,
                last: 0,
                id: None,
                payload: Vec::new(),
                measured,
                is_void: false,
            });
        }
    }

    fn wait_for(&mut self, stamp: u64) {
        self.waiting.push_back(stamp);
        self.under_way += 1;
        if self.waiting.len() > WAITING_MAX {
            self.halt(format!("the author fell {WAITING_MAX} posts behind the rate: the run was called off"));
        }
    }

    /// A post was answered, so it is committed.
    fn answered(&mut self, seq: u32, now: u64) {
        let post = &mut self.posts[seq as usize];
        post.answered = Some(now);
        self.meter.answered(now.saturating_sub(post.stamp));
        if post.measured {
            let _ = self.latencies.each_after_answer.record_n(1, post.early);
        }
        self.release(Release::Sender, now);
        self.complete(seq, now);
    }

    /// The first copy of a post on a feed.
    fn delivered(&mut self, seq: u32, now: u64) {
        let post = &mut self.posts[seq as usize];
        self.meter.arrived(now.saturating_sub(post.stamp).max(1), false);
        post.missing = post.missing.saturating_sub(1);
        post.last = now;
        match post.answered {
            Some(answered) if post.measured => {
                self.latencies.each_after_answer.saturating_record(now.saturating_sub(answered).max(1));
            }
            Some(_) => {}
            None => post.early += 1,
        }
        self.complete(seq, now);
    }

    /// Checks whether everybody has it and it was answered.
    fn complete(&mut self, seq: u32, now: u64) {
        let post = &mut self.posts[seq as usize];
        let Some(answered) = post.answered.filter(|_| post.missing == 0 && !post.is_void) else { return };
        post.payload = Vec::new();
        if post.measured {
            self.latencies.last_after_request.saturating_record(post.last.saturating_sub(post.stamp).max(1));
            self.latencies.last_after_answer.saturating_record(post.last.saturating_sub(answered).max(1));
        }
        self.under_way = self.under_way.saturating_sub(1);
        self.release(Release::All, now);
    }

    /// Nobody will receive it.
    fn void(&mut self, seq: u32, now: u64) {
        self.posts[seq as usize].is_void = true;
        self.not_taken.push(seq);
        self.under_way = self.under_way.saturating_sub(1);
        self.release(Release::All, now);
        self.release(Release::Sender, now);
    }

    fn release(&mut self, event: Release, now: u64) {
        match self.pacing {
            Pacing::Each { release, .. } | Pacing::Together { release, .. } if self.sending && release == event => {
                self.wait_for(now);
            }
            _ => {}
        }
    }

    fn observe(&mut self, link: usize, payload: &[u8], seq: u32, id: u64, now: u64) {
        let Some(post) = self.posts.get_mut(seq as usize) else {
            return self.oracle.damaged(link, &format!("post {seq} was never made"));
        };
        if *post.id.get_or_insert(id) != id {
            return self.oracle.damaged(link, &format!("post {seq} has another id than for others"));
        }
        if post.payload.is_empty() && post.missing > 0 {
            post.payload = payload.to_vec();
        }
        self.meter.deliveries += 1;
        self.meter.checked += 1;
        self.meter.bytes += payload.len() as u64;
        if self.oracle.observe(link, Tag { sender: 0, seq }, id) {
            self.delivered(seq, now);
            if link == 0 && matches!(self.way, Way::Socket(_)) {
                self.answered(seq, now);
            }
        }
    }
}

impl Load for Feed {
    fn start(&mut self, links: &mut Links) {
        self.sending = true;
        let now = links.now();
        match self.pacing {
            Pacing::Each { window, .. } | Pacing::Together { window, .. } => {
                (0..window).for_each(|_| self.wait_for(now));
            }
            Pacing::Rate { per_second } => self.schedule = Some(Schedule::new(now, per_second)),
        }
        self.after_read(links);
    }

    fn stop(&mut self) {
        self.sending = false;
        self.schedule = None;
        self.under_way = self.under_way.saturating_sub(self.waiting.len() as u64);
        self.waiting.clear();
    }

    fn due(&self) -> Option<u64> {
        self.schedule.as_ref().map(Schedule::due)
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    fn under_way(&self) -> u64 {
        self.under_way
    }

    fn violations(&self) -> u64 {
        self.oracle.violations.total() + self.failed.values().sum::<u64>()
    }

    fn is_halted(&self) -> bool {
        self.halted.is_some()
    }
}

impl Handler for Feed {
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        if link < self.receivers {
            let seq = self.oracle.expected(link, 0);
            let next = self.posts.get(seq as usize);
            let known = next.filter(|post| !post.payload.is_empty() && post.payload == frame.payload);
            if let Some(id) = known.and_then(|post| post.id) {
                return self.observe(link, frame.payload, seq, id, now);
            }
        }
        match self.reader.read(frame.payload) {
            Reading::Post { seq, .. } if link >= self.receivers => {
                self.oracle.misdirected(link, &format!("does not follow, and heard of post {seq}"));
            }
            Reading::Post { seq, id } => self.observe(link, frame.payload, seq, id, now),
            Reading::Other => {}
            Reading::Refusal(reason) => self.meter.refused.count(&reason),
            Reading::Damaged(what) => self.oracle.damaged(link, &what),
        }
    }

    fn answer(&mut self, link: usize, answer: Answer<'_>, now: u64) {
        let Way::Rest { pool, .. } = &mut self.way else { return };
        let Some(seq) = pool.answered(link) else { return };
        match answer.status {
            200..300 => {
                let id = self.reader.answered_id(answer.body, seq);
                let known = &mut self.posts[seq as usize].id;
                match id {
                    Some(id) if *known.get_or_insert(id) == id => {}
                    Some(_) => {
                        self.oracle.damaged(0, &format!("the answer to post {seq} has another id than its frames"));
                    }
                    None => self.oracle.damaged(0, &format!("the answer to post {seq} is not what was posted")),
                }
                self.answered(seq, now);
            }
            status @ (429 | 503) => {
                self.meter.refused.count(&format!("POST /api/posts/ was answered with {status}"));
                self.void(seq, now);
            }
            status => {
                let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]);
                let text = format!("POST /api/posts/ was answered with {status}: {text}");
                *self.failed.entry(text.clone()).or_default() += 1;
                self.void(seq, now);
                self.halt(text);
            }
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        if let Way::Rest { pool, .. } = &mut self.way
            && let Some(job) = pool.closed(link)
        {
            if let Some(seq) = job {
                *self.failed.entry(format!("POST /api/posts/ was not answered: {ending}")).or_default() += 1;
                self.void(seq, 0);
                self.halt(format!("the author's connection was lost ({ending}): the run ended there"));
            }
            return;
        }
        self.oracle.disconnected(link, &ending.text);
        self.halt(format!("feed {link} was lost ({ending}): the run ended there"));
    }

    fn after_read(&mut self, links: &mut Links) {
        let now = links.now();
        while let Some(stamp) = self.schedule.as_mut().and_then(|plan| plan.take(now)) {
            self.wait_for(stamp);
        }
        self.send_waiting(links);
    }
}
