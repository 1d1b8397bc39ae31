//! Does what operators ask: on this node, and by the bus on all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cluster::balance::{Load, Watch, shares};
use crate::cluster::wire::About;
use crate::cluster::{AnswerAsk, Heard, Others, SayAbout};
use crate::domain::operator::{Answer, Ask, Outcome, Pace, Verb, Whose};
use crate::engine::shard::port::{Inbox, Waiting, given_away, meant};
use crate::limits::{MOVE_AGE_MIN, OPERATOR_ASKS_MAX, REBALANCE_LOOK, REBALANCE_REST};

/// How a node gives sessions away by itself.
const CAREFUL: Pace = Pace { over_seconds: 60, percent_per_minute: 10 };

const MINUTE: Duration = Duration::from_secs(60);

/// This node, as operators see it.
pub(super) struct Operator {
    name: Box<str>,
    inboxes: Arc<[Arc<Inbox>]>,
    waiting: Arc<Waiting>,
    /// The other nodes, if there can be any.
    others: Option<Arc<Others>>,
    /// Turns of those who ask.
    turns: Semaphore,
    /// Sessions that were told to move lately. Held while more are.
    told: Mutex<Option<Told>>,
}

/// The sessions that were told to move in the minute under way.
#[derive(Clone, Copy)]
struct Told {
    minute_began: Instant,
    last: Instant,
    count: u64,
}

impl Operator {
    pub fn new(name: &str, inboxes: Arc<[Arc<Inbox>]>, waiting: Arc<Waiting>, others: Option<Arc<Others>>) -> Self {
        let turns = Semaphore::new(OPERATOR_ASKS_MAX);
        Self { name: name.into(), inboxes, waiting, others, turns, told: Mutex::default() }
    }

    /// The port by which other nodes ask.
    pub fn answers(self: &Arc<Self>) -> AnswerAsk {
        let operator = Arc::clone(self);
        Arc::new(move |ask| {
            let operator = Arc::clone(&operator);
            Box::pin(async move { operator.here(&ask).await })
        })
    }

    /// The port by which other nodes learn what this one is.
    pub fn says(self: &Arc<Self>) -> SayAbout {
        let operator = Arc::clone(self);
        Arc::new(move || About { name: operator.name.clone(), sessions: operator.sessions(), roster: None })
    }

    /// Nodes that an operator may name.
    pub fn names(&self) -> Vec<Box<str>> {
        let others = self.others.iter().flat_map(|others| others.about()).map(|about| about.name);
        std::iter::once(self.name.clone()).chain(others).collect()
    }

    fn sessions(&self) -> u64 {
        self.waiting.open().iter().map(|open| open.all as u64).sum()
    }

    /// Has it done on all nodes, or on those of one name. `None` if too many ask.
    pub async fn everywhere(&self, name: Option<&str>, ask: Ask) -> Option<Outcome> {
        let _turn = self.turns.try_acquire().ok()?;
        let is_here = name.is_none_or(|name| name == &*self.name);
        let here = async { if is_here { Some(self.here(&ask).await) } else { None } };
        let others = async {
            match &self.others {
                Some(others) => others.ask(name, &ask).await,
                None => Heard::default(),
            }
        };
        let (here, Heard { answers, mut silent }) = tokio::join!(here, others);
        let mut nodes: Vec<Answer> = here.into_iter().chain(answers).collect();
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        silent.sort_unstable();
        let is_bus_down = self.others.as_ref().is_some_and(|others| !others.are_reached());
        Some(Outcome { nodes, silent, is_bus_down })
    }

    /// Has it done on this node.
    async fn here(&self, ask: &Ask) -> Answer {
        let mut answer = match ask.clone() {
            Ask::Sessions { whose, verb } => self.of_sessions(whose, verb).await,
            Ask::Rebalance(pace) => self.rebalance(pace, Duration::ZERO).await,
        };
        answer.node = self.name.clone();
        answer.sessions = self.sessions();
        answer
    }

    async fn of_sessions(&self, whose: Whose, verb: Verb) -> Answer {
        let name = verb_name(&verb);
        let (count, rows, next) = meant(&self.inboxes, whose, verb).await;
        if name != "listed" {
            metrics::counter!("pregon_admin_sessions_total", "what" => name).increment(count);
            tracing::info!(%whose, sessions = count, "an operator: sessions were {name}");
        }
        Answer { count, rows, next, ..Answer::default() }
    }

    /// Has clients of `pregon.v1` move to other nodes, if this one has more sessions than the mean.
    async fn rebalance(&self, pace: Pace, age_min: Duration) -> Answer {
        let mut told = self.told.lock().await;
        let lately = told.filter(|told| told.minute_began.elapsed() < MINUTE);
        let load = self.load(lately);
        let wanted = load.excess(pace, lately.map_or(0, |told| told.count));
        let movable: Vec<usize> = self.waiting.open().iter().map(|open| open.movable).collect();
        let window = Duration::from_secs(pace.over_seconds.into());
        let shares = shares(usize::try_from(wanted).unwrap_or(usize::MAX), &movable);
        let mut count = 0;
        for (inbox, share) in self.inboxes.iter().zip(shares) {
            count += given_away(inbox, share, window, age_min).await as u64;
        }
        if count > 0 {
            let now = Instant::now();
            let (minute_began, before) = lately.map_or((now, 0), |told| (told.minute_began, told.count));
            *told = Some(Told { minute_began, last: now, count: before + count });
            metrics::counter!("pregon_admin_sessions_total", "what" => "moved").increment(count);
            let (own, mean) = (load.own, load.mean());
            tracing::info!(
                sessions = own,
                mean,
                told = count,
                seconds = pace.over_seconds,
                "clients are told to move to other nodes"
            );
        }
        let problem =
            (wanted > 0 && count == 0).then(|| "no session of pregon.v1 may move: others stay where they are".into());
        Answer { count, problem, ..Answer::default() }
    }

    fn load(&self, lately: Option<Told>) -> Load {
        let others = self.others.iter().flat_map(|others| others.about()).map(|about| about.sessions);
        let moving = self.waiting.open().iter().map(|open| open.moving as u64).sum();
        // Shards have not said yet whom they have just told.
        let just = lately.filter(|told| told.last.elapsed() < Duration::from_secs(1)).map_or(0, |told| told.count);
        Load { own: self.sessions(), moving: just.max(moving), others: others.collect() }
    }

    /// Gives sessions away by itself whenever this node has clearly more than the mean of all, two looks in a row.
    pub async fn keep_balance(self: Arc<Self>, skew_percent: u32) {
        let mut ticks = interval(REBALANCE_LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::new(skew_percent);
        // All have moved by then, and the others have said what they have.
        let rest = Duration::from_secs(CAREFUL.over_seconds.into()) + REBALANCE_REST;
        loop {
            ticks.tick().await;
            if watch.is_due(&self.load(None), Instant::now().into_std(), rest) {
                self.rebalance(CAREFUL, MOVE_AGE_MIN).await;
            }
        }
    }
}

fn verb_name(verb: &Verb) -> &'static str {
    match verb {
        Verb::List(_) => "listed",
        Verb::Tell(_) => "told",
        Verb::Cut { .. } => "cut",
    }
}
