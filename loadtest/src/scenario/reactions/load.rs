//! The users who react, and those who watch.

use std::collections::{BTreeMap, HashSet, VecDeque};

use anyhow::Result;

use super::counts::{Counts, KINDS, Reading, answered, read};
use crate::client::{Ending, Handler, Links};
use crate::frames::Frame;
use crate::http::{self, Answer};
use crate::meter::{Meter, Ns, histogram};
use crate::pacing::Schedule;
use crate::proc::Watched;
use crate::scenario::drive::Load;
use crate::scenario::requests::Pool;

/// A server this far behind will not catch up, so the run is aborted.
const WAITING_MAX: usize = 20_000;
/// The most frames per second that a viewer may get.
pub const FRAMES_PER_SECOND_MAX: u64 = 10;
const EVERY_NS: u64 = 1_000_000_000 / FRAMES_PER_SECOND_MAX;
/// How many may arrive at once after a pause. The extra one allows for frames that bunch up on the way.
const BURST: u64 = 10 + 1;
/// The number of different faults that are reported.
const FAULTS_MAX: usize = 16;

struct Reactor {
    token: String,
    /// The index in [`KINDS`] of the current reaction.
    stands: Option<usize>,
    is_busy: bool,
}

/// A request under way.
pub struct Job {
    reactor: usize,
    kind: usize,
    stamp: u64,
}

#[derive(Clone, Default)]
struct Viewer {
    last: Counts,
    frames: u64,
    /// When a sender at the permitted pace would have earned the next frame.
    earned_at: u64,
    is_over: bool,
}

pub struct Reactions {
    pool: Pool<Job>,
    post: String,
    reactors: Vec<Reactor>,
    next: usize,
    viewers: Vec<Viewer>,
    rate: f64,
    schedule: Option<Schedule>,
    waiting: VecDeque<u64>,
    requests: u64,
    random: fastrand::Rng,
    /// The last frame that was parsed; other viewers' copies are equal to it.
    parsed: [(Vec<u8>, Counts); 2],
    pub heard: HashSet<Counts>,
    pub left_behind: HashSet<Counts>,
    last_answer: u64,
    /// From the last answer of a round to the last viewer's final frame.
    pub settled_ns: Ns,
    pub faults: BTreeMap<String, u64>,
    pub reacted: u64,
    pub removed: u64,
    pub meter: Meter,
    pub notes: Vec<String>,
    pub halted: Option<String>,
}

impl Reactions {
    /// Links 0 to `viewers` watch `post`. `tokens` are those of the users who react.
    pub fn new(
        pool: Pool<Job>,
        post: String,
        tokens: Vec<String>,
        viewers: usize,
        rate: f64,
        server: Option<Watched>,
    ) -> Result<Self> {
        Ok(Self {
            pool,
            post,
            reactors: tokens.into_iter().map(|token| Reactor { token, stands: None, is_busy: false }).collect(),
            next: 0,
            viewers: vec![Viewer::default(); viewers],
            rate,
            schedule: None,
            waiting: VecDeque::new(),
            requests: 0,
            random: fastrand::Rng::with_seed(1),
            parsed: Default::default(),
            heard: HashSet::new(),
            left_behind: HashSet::from([Counts::default()]),
            last_answer: 0,
            settled_ns: histogram()?,
            faults: BTreeMap::new(),
            reacted: 0,
            removed: 0,
            meter: Meter::new(server)?,
            notes: Vec::new(),
            halted: None,
        })
    }

    /// The right counts while nothing is under way.
    pub fn expected(&self) -> Counts {
        Counts::of(self.reactors.iter().filter_map(|reactor| reactor.stands))
    }

    /// The number of viewers whose last frame does not show `counts`.
    pub fn unlike(&self, counts: Counts) -> u64 {
        self.viewers.iter().filter(|viewer| viewer.last != counts).count() as u64
    }

    /// The frames of all viewers, and of the one that got the most.
    pub fn frames(&self) -> (u64, u64) {
        let frames = || self.viewers.iter().map(|viewer| viewer.frames);
        (frames().sum(), frames().max().unwrap_or_default())
    }

    pub fn fault(&mut self, what: &str) {
        let is_room = self.faults.len() < FAULTS_MAX || self.faults.contains_key(what);
        *self.faults.entry(if is_room { what } else { "other faults" }.to_owned()).or_default() += 1;
    }

    fn halt(&mut self, why: String) {
        self.halted.get_or_insert(why);
        self.stop();
    }

    /// The next user in turn without a request under way.
    fn next_reactor(&mut self) -> Option<usize> {
        let count = self.reactors.len();
        let found = (0..count).map(|step| (self.next + step) % count).find(|at| !self.reactors[*at].is_busy)?;
        self.next = (found + 1) % count;
        Some(found)
    }

    fn send_waiting(&mut self, links: &mut Links) {
        while self.pool.is_free()
            && let Some(&stamp) = self.waiting.front()
            && let Some(at) = self.next_reactor()
        {
            self.waiting.pop_front();
            let kind = self.random.usize(..KINDS.len());
            let reactor = &mut self.reactors[at];
            reactor.is_busy = true;
            let body = format!(r#"{{"reaction_type":"{}"}}"#, KINDS[kind]);
            let path = format!("/api/posts/{}/react/", self.post);
            let request = http::post(self.pool.server(), &path, &reactor.token, &body);
            self.requests += 1;
            self.meter.late(links.now().saturating_sub(stamp));
            if let Err(error) = self.pool.send(links, &request, Job { reactor: at, kind, stamp }) {
                return self.halt(format!("{error:#}"));
            }
        }
    }

    /// 201: the reaction stands; 200: the same reaction again removed it.
    fn answered(&mut self, job: &Job, answer: &Answer<'_>, now: u64) {
        let reactor = &mut self.reactors[job.reactor];
        let was = reactor.stands;
        let is_same = was == Some(job.kind);
        reactor.stands = if is_same { None } else { Some(job.kind) };
        self.reacted += u64::from(!is_same);
        self.removed += u64::from(is_same);
        self.last_answer = now;
        self.meter.answered(now.saturating_sub(job.stamp));
        if (answer.status == 200) != is_same {
            self.fault(&format!("a reaction was answered with {} against what stood before", answer.status));
        }
        match answered(answer.body) {
            Some(counts) => _ = self.left_behind.insert(counts),
            None => self.fault("a reaction was answered without counts"),
        }
    }

    fn count_frame(&mut self, link: usize, counts: Counts, now: u64) {
        let viewer = &mut self.viewers[link];
        viewer.frames += 1;
        viewer.last = counts;
        viewer.earned_at = viewer.earned_at.max(now) + EVERY_NS;
        let is_over = viewer.earned_at > now + BURST * EVERY_NS;
        if is_over && !std::mem::replace(&mut viewer.is_over, true) {
            self.fault(&format!("viewers that got more than {FRAMES_PER_SECOND_MAX} frames a second"));
        }
        if self.schedule.is_none() && self.requests == 0 && self.unlike(counts) == 0 {
            self.settled_ns.saturating_record(now.saturating_sub(self.last_answer).max(1));
        }
    }
}

impl Load for Reactions {
    fn start(&mut self, links: &mut Links) {
        self.schedule = Some(Schedule::new(links.now(), self.rate));
        self.after_read(links);
    }

    fn stop(&mut self) {
        self.schedule = None;
        self.waiting.clear();
    }

    fn due(&self) -> Option<u64> {
        self.schedule.as_ref().map(Schedule::due)
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    /// Requests or, if there are none, viewers that lack the final counts.
    fn under_way(&self) -> u64 {
        if self.requests > 0 || self.schedule.is_some() {
            return self.requests + self.waiting.len() as u64;
        }
        self.unlike(self.expected())
    }

    fn violations(&self) -> u64 {
        self.faults.values().sum()
    }

    fn is_halted(&self) -> bool {
        self.halted.is_some()
    }
}

impl Handler for Reactions {
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        self.meter.deliveries += 1;
        self.meter.bytes += frame.payload.len() as u64;
        let known = self.parsed.iter().find(|(payload, _)| !payload.is_empty() && payload == frame.payload);
        if let Some(&(_, counts)) = known {
            self.meter.checked += 1;
            return self.count_frame(link, counts, now);
        }
        match read(frame.payload, &self.post) {
            Reading::Reaction(counts) => {
                self.meter.checked += 1;
                self.heard.insert(counts);
                self.parsed.swap(0, 1);
                self.parsed[0] = (frame.payload.to_vec(), counts);
                self.count_frame(link, counts, now);
            }
            Reading::Other => {}
            Reading::Damaged(what) => self.fault(&what),
        }
    }

    fn answer(&mut self, link: usize, answer: Answer<'_>, now: u64) {
        let Some(job) = self.pool.answered(link) else { return };
        self.requests -= 1;
        self.reactors[job.reactor].is_busy = false;
        match answer.status {
            200 | 201 => self.answered(&job, &answer, now),
            status @ (429 | 503) => self.meter.refused.count(&format!("a reaction was answered with {status}")),
            status => {
                let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]);
                self.fault(&format!("a reaction was answered with {status}: {text}"));
            }
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        match self.pool.closed(link) {
            Some(None) => {}
            Some(Some(job)) => {
                self.requests -= 1;
                self.reactors[job.reactor].is_busy = false;
                self.fault(&format!("a reaction was not answered: {ending}"));
                self.halt(format!("whether a reaction stands is not known ({ending}): the run ended there"));
            }
            None => {
                self.fault(&format!("a viewer was disconnected: {ending}"));
                self.halt(format!("viewer {link} was lost ({ending}): the run ended there"));
            }
        }
    }

    fn after_read(&mut self, links: &mut Links) {
        let now = links.now();
        while let Some(stamp) = self.schedule.as_mut().and_then(|plan| plan.take(now)) {
            self.waiting.push_back(stamp);
        }
        if self.waiting.len() > WAITING_MAX {
            self.halt(format!("the server fell {WAITING_MAX} reactions behind the rate: the run was called off"));
        }
        self.send_waiting(links);
    }
}
