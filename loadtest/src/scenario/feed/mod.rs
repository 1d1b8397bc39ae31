//! `feed`: one author's posts reach the feeds of all followers, and nobody else's.

mod load;
mod reader;

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::connect::{self, Places};
use super::requests::{self, Pool};
use super::traffic_report::TrafficReport;
use super::{CONNECTING_MAX, Plan, Run, drive, progress};
use crate::client::{Entrance, Links};
use crate::fixture::Fixture;
use crate::frames::Stencil;
use crate::latency::Latency;
use crate::options::{Common, TrafficOptions};
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::plot::Plot;
use crate::proc;
use crate::report::{Report, Verdict, counted};
use crate::setup;
use crate::tag::TAG_BYTES;
use crate::target::{Kind, Seat, Target};
use crate::v1::{self, Protocol};
use load::{Feed, Way};
use reader::Reader;

/// The greeting of a feed socket.
pub const GREETING: &[u8] = b"{\"type\":\"connection_established\"";
/// The most characters of a post's content.
const CONTENT_BYTES_MAX: usize = 2000;
/// One post at a time; the next one when all have it.
const CLOSED: Pacing = Pacing::Each { window: 1, release: Release::All };
/// The author is the first user.
const AUTHOR: usize = 0;

#[derive(clap::Args, Clone, Debug)]
pub struct FeedOptions {
    #[command(flatten)]
    pub traffic: TrafficOptions,
    /// Users with a feed socket who follow the author
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub followers: u32,
    /// Users with a feed socket who do not follow the author: they must receive nothing
    #[arg(long, default_value_t = 5)]
    pub outsiders: u32,
    /// Size of a post's content in bytes; for --target plain of the whole message
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

#[derive(Serialize)]
pub struct FeedReport {
    pub followers: u32,
    pub outsiders: u32,
    /// The number of measured posts.
    pub posts: u64,
    /// From the answer to the author's request (the post is committed) to each feed's frame; 0 for frames that arrived
    /// before it.
    pub each_after_answer: Option<Latency>,
    /// From the request (open loop: from its scheduled time) to the last feed's frame.
    pub last_after_request: Option<Latency>,
    pub last_after_answer: Option<Latency>,
    /// Failed posts, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Its `echo` is the answer to the author's request; its `delivery` counts from the request.
    pub traffic: TrafficReport,
}

pub fn feed(options: &FeedOptions) -> Result<FeedReport> {
    let followers = options.followers as usize;
    let outsiders = options.outsiders as usize;
    // The author's own feed receives the posts, too.
    let receivers = followers + 1;
    let run = Run::with_users(&options.traffic.common, receivers + outsiders)?;
    let plan = Plan {
        scenario: "feed",
        kind: Kind::Durable,
        layout: Layout { rooms: 1, members: receivers, senders: 1 },
        pacing: options.traffic.pacing.pacing(receivers, CLOSED)?,
        bytes: options.bytes,
        ..Plan::default()
    };
    let plan = plan.with_timing(options.traffic.timing)?;
    if let Target::Pregon(fixture, _) = &run.target {
        let follows = Follows { fixture, author: AUTHOR };
        follows.see_to(&options.traffic.common, 1..receivers)?;
        follows.see_to_none(&options.traffic.common, receivers..receivers + outsiders)?;
    }
    proc::raise_file_limit(receivers + outsiders + 1)?;
    let bar = progress()?;
    bar.set_prefix("connecting");
    let mut links = Links::new()?;
    let place = |link: usize| (run.server_address, entrance(&run.target, link, receivers));
    let greeting = |_| match &run.target {
        Target::Pregon(_, Protocol::V0) => Some(GREETING),
        Target::Pregon(_, Protocol::V1) => Some(v1::SUBSCRIBED),
        Target::Plain => None,
    };
    let total = receivers + outsiders;
    connect::connect_to(
        &mut links,
        &Places { total, under_way_max: CONNECTING_MAX, place: &place, greeting: &greeting, greetings: 1 },
        &bar,
    )?;
    let (way, reader) = way(options, &run.target, &mut links)?;
    let mut feed = Feed::new(way, reader, receivers, plan.pacing, run.server)?;
    let rounds = drive::rounds(&mut feed, &plan, &mut links, &bar)?;
    bar.finish_and_clear();
    links.close_all();
    let violations = feed.verdict();
    let notes = feed.halted.into_iter().collect();
    Ok(FeedReport {
        followers: options.followers,
        outsiders: options.outsiders,
        posts: feed.measured,
        each_after_answer: Latency::of(&feed.latencies.each_after_answer),
        last_after_request: Latency::of(&feed.latencies.last_after_request),
        last_after_answer: Latency::of(&feed.latencies.last_after_answer),
        failed: feed.failed,
        traffic: TrafficReport::new(&plan, &run, rounds, notes, feed.meter).with_verdict(violations),
    })
}

/// How a link's client comes in. On a plain server the outsiders are in another room.
fn entrance(target: &Target, link: usize, receivers: usize) -> Entrance {
    match target {
        Target::Pregon(fixture, Protocol::V0) => Entrance::at(feed_path(fixture, link)),
        Target::Pregon(fixture, Protocol::V1) => v1::entrance(&fixture.users[link].token, [("feed", None)]),
        Target::Plain => target.entrance(Seat { room: usize::from(link >= receivers), member: link }),
    }
}

/// The feed socket of a user.
pub fn feed_path(fixture: &Fixture, user: usize) -> String {
    format!("/ws/feed/?token={}", fixture.users[user].token)
}

/// How posts are made and recognised.
fn way(options: &FeedOptions, target: &Target, links: &mut Links) -> Result<(Way, Reader)> {
    let bytes = options.bytes;
    let Target::Pregon(fixture, protocol) = target else {
        let first = Seat { room: 0, member: 0 };
        let message = target.message(Kind::Ephemeral, first, bytes)?;
        let (before, rest) = message.received.split_at(message.received_hole);
        ensure!(rest.ends_with(b"\"}}"), "a plain message has its tag at its end");
        let (author, protocol) = (String::new(), Protocol::V0);
        let reader = Reader { author, before: before.to_vec(), behind: b"\"}}", protocol };
        return Ok((Way::Socket(Stencil::new(&message.sent, &message.sent_holes)), reader));
    };
    ensure!(
        (TAG_BYTES..=CONTENT_BYTES_MAX).contains(&bytes),
        "--bytes {bytes}: a post's content has {TAG_BYTES} to {CONTENT_BYTES_MAX} here"
    );
    let pad = "x".repeat(bytes - TAG_BYTES);
    let author = &fixture.users[AUTHOR];
    let before = pad.clone().into_bytes();
    let reader = Reader { author: author.id.clone(), before, behind: b"", protocol: *protocol };
    let pool = Pool::open(links, requests::api_address(&options.traffic.common)?, 1)?;
    Ok((Way::Rest { pool, token: author.token.clone(), pad }, reader))
}

/// Makes users follow an author over the REST API; existing followers stay.
pub struct Follows<'a> {
    pub fixture: &'a Fixture,
    pub author: usize,
}

impl Follows<'_> {
    pub fn see_to(&self, common: &Common, users: std::ops::Range<usize>) -> Result<()> {
        let path = format!("/api/users/follow/{}/", self.fixture.users[self.author].username);
        setup::api(common)?.each("follows", users.len(), |api, number| {
            let token = &self.fixture.users[users.start + number].token;
            api.post::<serde_json::Value>(&path, Some(token), &serde_json::json!({}))
        })?;
        Ok(())
    }

    pub fn see_to_none(&self, common: &Common, users: std::ops::Range<usize>) -> Result<()> {
        let path = format!("/api/users/unfollow/{}/", self.fixture.users[self.author].username);
        setup::api(common)?.each("outsiders", users.len(), |api, number| {
            api.delete(&path, &self.fixture.users[users.start + number].token)
        })?;
        Ok(())
    }
}

impl Report for FeedReport {
    fn verdict(&self) -> Verdict {
        if self.failed.is_empty() { self.traffic.verdict() } else { Verdict::Wrong }
    }

    fn answer(&self) -> String {
        match &self.last_after_request {
            Some(last) => format!(
                "The last of {} had a post {:.2} ms after it was sent (p50), {:.2} ms (p99).",
                counted(self.followers as usize, "follower"),
                last.p50,
                last.p99
            ),
            None => self.traffic.answer(),
        }
    }

    fn plots(&self) -> Vec<Plot> {
        self.traffic.plots()
    }
}

impl Display for FeedReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "{}", self.traffic.to_string().trim_end())?;
        let Self { posts, followers, outsiders, .. } = self;
        let posts = counted(*posts as usize, "post");
        let followers = counted(*followers as usize, "follower");
        writeln!(out, "{posts} to {followers} and the author; others who listened: {outsiders}")?;
        writeln!(out, "ms:                                            p50      p90      p99      max")?;
        writeln!(
            out,
            "  the last feed's frame after the request {}",
            Latency::columns(self.last_after_request.as_ref())
        )?;
        writeln!(
            out,
            "  the last feed's frame after the answer  {}",
            Latency::columns(self.last_after_answer.as_ref())
        )?;
        writeln!(
            out,
            "  each feed's frame after the answer      {}",
            Latency::columns(self.each_after_answer.as_ref())
        )?;
        self.failed.iter().try_for_each(|(why, count)| writeln!(out, "VIOLATION: {count} × {why}"))
    }
}
