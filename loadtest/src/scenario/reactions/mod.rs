//! `reactions`: many users react to one post at a rate; its viewers must get the counts, not too often, and the last
//! ones right.

mod counts;
mod load;

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

use anyhow::{Result, bail, ensure};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::connect::{self, Places};
use super::feed::{Follows, GREETING, feed_path};
use super::requests::{self, Pool};
use super::{CONNECTING_MAX, Plan, Run, drive, progress};
use crate::client::{Entrance, Links};
use crate::fixture::Fixture;
use crate::latency::Latency;
use crate::meter::{Refused, Sample};
use crate::options::{Common, Timing};
use crate::plot::{self, Plot};
use crate::proc;
use crate::report::{Report, Verdict, write_refused};
use crate::round::{Round, figure, median_round};
use crate::setup;
use crate::target::Target;
use crate::v1::Protocol;
use counts::{Counts, Stored, never_true};
use load::{FRAMES_PER_SECOND_MAX, Reactions};

/// The author is the first user; those who react, follow and watch come next.
const AUTHOR: usize = 0;

#[derive(clap::Args, Clone, Debug)]
pub struct ReactionsOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub timing: Timing,
    /// Reactions per second, whatever the server does
    #[arg(long, default_value_t = 1000.0)]
    pub rate: f64,
    /// Users who react, in turns; the same reaction again removes it
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub reactors: u32,
    /// Sockets on the post
    #[arg(long, default_value_t = 100)]
    pub viewers: u32,
    /// Feed sockets of users who follow the post's author
    #[arg(long, default_value_t = 100)]
    pub followers: u32,
    /// Requests under way at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
}

#[derive(Serialize)]
pub struct ReactionsReport {
    pub scenario: &'static str,
    pub url: String,
    pub rate: f64,
    pub reactors: u32,
    pub viewers: u32,
    pub followers: u32,
    /// Their `messages` are reactions; `echo` is from a reaction's scheduled time to its answer; `deliveries` are
    /// frames at viewers and followers.
    pub rounds: Vec<Round>,
    pub median: Option<Round>,
    /// The server's CPU time for one reaction with everything that follows from it.
    pub server_us_per_reaction: Option<f64>,
    pub reacted: u64,
    pub removed: u64,
    /// All frames of viewers and followers over the whole run.
    pub frames: u64,
    /// The frames of the viewer that got the most.
    pub frames_of_one_max: u64,
    /// The seconds in which these arrived.
    pub seconds: f64,
    /// From the last reaction's answer to the last viewer's final frame. `None` if there was no reaction.
    pub settled: Option<Latency>,
    pub counts: Counts,
    pub refused: Refused,
    pub checked: u64,
    /// The violations, by kind.
    pub violations: BTreeMap<String, u64>,
    pub notes: Vec<String>,
    pub series: Vec<Sample>,
}

pub fn reactions(options: &ReactionsOptions) -> Result<ReactionsReport> {
    ensure!(options.rate.is_finite() && options.rate > 0.0, "--rate {} is not a rate", options.rate);
    let viewers = options.viewers as usize;
    let followers = options.followers as usize;
    ensure!(viewers + followers > 0, "give --viewers or --followers: somebody must watch");
    let users = 1 + viewers.max(followers).max(options.reactors as usize);
    let run = Run::with_users(&options.common, users)?;
    let Target::Pregon(fixture, protocol) = &run.target else {
        bail!("only --target pregon has posts to react to");
    };
    ensure!(
        *protocol == Protocol::V0,
        "--protocol v1: a post's topic in pregon.v1 tells each reaction, and this scenario checks how older sockets thin \
         them out; run it with v0"
    );
    Follows { fixture, author: AUTHOR }.see_to(&options.common, 1..1 + followers)?;
    let post = publish(&options.common, fixture)?;
    let bar = progress()?;
    bar.set_prefix("connecting");
    let mut links = Links::new()?;
    let tokens = fixture.users[1..].iter().take(options.reactors as usize).map(|user| user.token.clone()).collect();
    connect_viewers(options, &run, fixture, &post, &mut links, &bar)?;
    let pool = Pool::open(&mut links, requests::api_address(&options.common)?, options.connections as usize)?;
    let mut load = Reactions::new(pool, post.clone(), tokens, viewers + followers, options.rate, run.server)?;
    let plan = Plan { scenario: "reactions", ..Plan::default() }.with_timing(options.timing)?;
    let began = links.now();
    let rounds = drive::rounds(&mut load, &plan, &mut links, &bar)?;
    let seconds = (links.now() - began) as f64 / 1e9;
    bar.finish_and_clear();
    links.close_all();
    let path = format!("/api/posts/{post}/");
    let stored: Stored = setup::api(&options.common)?.get(&path, &fixture.users[AUTHOR].token)?;
    judge(&mut load, &stored);
    Ok(report(options, &run, load, rounds, &stored, seconds))
}

/// The post that everybody reacts to.
fn publish(common: &Common, fixture: &Fixture) -> Result<String> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    let body = serde_json::json!({"content": "the hot post of a load test"});
    let made: Made = setup::api(common)?.post("/api/posts/", Some(&fixture.users[AUTHOR].token), &body)?;
    Ok(made.id)
}

/// First the sockets on the post, then the feeds.
fn connect_viewers(
    options: &ReactionsOptions,
    run: &Run,
    fixture: &Fixture,
    post: &str,
    links: &mut Links,
    bar: &ProgressBar,
) -> Result<()> {
    let viewers = options.viewers as usize;
    let total = viewers + options.followers as usize;
    proc::raise_file_limit(total + options.connections as usize)?;
    let path = |link: usize| match link.checked_sub(viewers) {
        None => format!("/ws/post/{post}/?token={}", fixture.users[1 + link].token),
        Some(follower) => feed_path(fixture, 1 + follower),
    };
    let place = |link: usize| (run.server_address, Entrance::at(path(link)));
    let greeting = |link: usize| (link >= viewers).then_some(GREETING);
    connect::connect_to(
        links,
        &Places { total, under_way_max: CONNECTING_MAX, place: &place, greeting: &greeting, greetings: 1 },
        bar,
    )
}

/// The checks at the end: the counts of every frame were true at some time, and the last ones equal the table.
fn judge(load: &mut Reactions, stored: &Stored) {
    for counts in never_true(&load.heard, &load.left_behind) {
        load.fault(&format!("frames with counts that no reaction left behind, the like of {counts}"));
    }
    let expected = load.expected();
    if stored.counts != expected {
        load.fault(&format!("the post's counters are {}, those who reacted left {expected}", stored.counts));
    }
    match stored.counted() {
        Some(counted) if counted == stored.counts => {}
        Some(counted) => {
            load.fault(&format!("the post's counters are {}, its reactions are {counted}", stored.counts));
        }
        None => load.notes.push(format!(
            "the post lists {} of its {} reactions, so they were not counted one by one (with \
             PREGON_POST_REACTIONS_SHOWN=16 it lists up to 16)",
            stored.listed(),
            stored.counts.total()
        )),
    }
    for _ in 0..load.unlike(stored.counts) {
        load.fault("viewers whose last frame has other counts than the table");
    }
}

fn report(
    options: &ReactionsOptions,
    run: &Run,
    load: Reactions,
    rounds: Vec<Round>,
    stored: &Stored,
    seconds: f64,
) -> ReactionsReport {
    let (frames, frames_of_one_max) = load.frames();
    let median = median_round(&rounds);
    let server = median.as_ref().and_then(|round| Some(round.server_cores? * 1e6 / round.messages_per_second));
    ReactionsReport {
        scenario: "reactions",
        url: run.url.clone(),
        rate: options.rate,
        reactors: options.reactors,
        viewers: options.viewers,
        followers: options.followers,
        median,
        rounds,
        server_us_per_reaction: server.filter(|us| us.is_finite()),
        reacted: load.reacted,
        removed: load.removed,
        frames,
        frames_of_one_max,
        seconds,
        settled: Latency::of(&load.settled_ns),
        counts: stored.counts,
        refused: load.meter.refused,
        checked: load.meter.checked,
        violations: load.faults,
        notes: load.halted.into_iter().chain(load.notes).collect(),
        series: load.meter.series,
    }
}

impl Report for ReactionsReport {
    fn verdict(&self) -> Verdict {
        Verdict::of(!self.violations.is_empty(), self.checked)
    }

    fn answer(&self) -> String {
        let round = self.median.as_ref().and_then(|round| Some((round, round.echo?)));
        round.map_or("No reaction was answered, so nothing was measured.".to_owned(), |(round, echo)| {
            format!(
                "{:.0} reactions a second became {:.0} frames; an answer took {:.2} ms (p50), {:.2} ms (p99).",
                round.messages_per_second, round.deliveries_per_second, echo.p50, echo.p99
            )
        })
    }

    fn plots(&self) -> Vec<Plot> {
        let mut plots = plot::series_plots(&self.series);
        plots[0].title = "Frames at viewers, and reactions".to_owned();
        plots[0].lines[1].name = "reactions".to_owned();
        plots[3].title = "Server CPU per frame".to_owned();
        plots[5].title = "Reactions sent late by the load itself".to_owned();
        plots
    }
}

impl Display for ReactionsReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { url, rate, reactors, viewers, followers, .. } = self;
        writeln!(
            out,
            "reactions on {url}: {rate} a second by {reactors} users to one post, {viewers} sockets on it, {followers} feeds"
        )?;
        writeln!(
            out,
            "           reactions/s   frames/s | server cores | load cores  late p99 | answer ms: p50   p90      p99      max"
        )?;
        for (number, round) in self.rounds.iter().enumerate() {
            writeln!(
                out,
                "round {:<3}{:>13.1}{:>11.1} |{:>13} |{:>11.2}{:>10} | {}",
                number + 1,
                round.messages_per_second,
                round.deliveries_per_second,
                figure(round.server_cores, 2),
                round.load_cores,
                figure(round.generator.late_p99_ms, 2),
                Latency::columns(round.echo.as_ref())
            )?;
        }
        if let Some(us) = self.server_us_per_reaction {
            writeln!(out, "server CPU for one reaction with its frames: {us:.0} µs")?;
        }
        writeln!(out, "{} reactions and {} taken back; the post has {}", self.reacted, self.removed, self.counts)?;
        writeln!(
            out,
            "the viewer that got the most: {} frames in {:.1} s (permitted: 10 at once, then {FRAMES_PER_SECOND_MAX} a second)",
            self.frames_of_one_max, self.seconds
        )?;
        writeln!(
            out,
            "the last viewer's final frame after the last answer, ms: {}",
            Latency::columns(self.settled.as_ref())
        )?;
        write_refused(out, &self.refused)?;
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        if self.violations.is_empty() {
            return writeln!(
                out,
                "oracle: {} frames checked: never too many, counts that were true, the last ones those of the table",
                self.checked
            );
        }
        self.violations.iter().try_for_each(|(what, count)| writeln!(out, "VIOLATION: {count} × {what}"))
    }
}
