//! Does what operators ask: on this node, and by the bus on all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::access::lifecycle::{Lifecycle, Phase};
use crate::cluster::balance::{Lately, Load, Watch, shares};
use crate::cluster::wire::About;
use crate::cluster::{AnswerAsk, Others, Replies, SayAbout};
use crate::domain::operator::{Answer, Ask, Outcome, Pace, Verb, Whose};
use crate::engine::shard::port::{Inbox, Waiting, given_away, meant};
use crate::limits::{MOVE_AGE_MIN, OPERATOR_ASKS_MAX, REBALANCE_LOOK, REBALANCE_REST};
use crate::telemetry::alarm;

/// How a node gives sessions away by itself.
const CAREFUL: Pace = Pace { over_seconds: 60, percent_per_minute: 10 };

const NO_KEY: &str = "it has no PREGON_ADMIN_KEY, so it does nothing that operators ask: set the key on all nodes";

/// This node, as operators see it.
pub(super) struct Operator {
    reach: Reach,
    /// Turns of those who ask.
    turns: Semaphore,
    /// Held while sessions are told to move.
    lately: Mutex<Lately>,
}

/// What operators reach.
pub(super) struct Reach {
    /// This node's name.
    pub name: Box<str>,
    /// Whether it has a key. Without one it does not do what operators ask, by other nodes either.
    pub has_key: bool,
    pub lifecycle: Arc<Lifecycle>,
    pub inboxes: Arc<[Arc<Inbox>]>,
    pub waiting: Arc<Waiting>,
    /// The other nodes, if there can be any.
    pub others: Option<Arc<Others>>,
}

impl Operator {
    pub fn new(reach: Reach) -> Self {
        Self { reach, turns: Semaphore::new(OPERATOR_ASKS_MAX), lately: Mutex::default() }
    }

    /// The port by which other nodes ask.
    pub fn answers(self: &Arc<Self>) -> AnswerAsk {
        let operator = Arc::clone(self);
        Arc::new(move |ask| {
            let operator = Arc::clone(&operator);
            Box::pin(async move {
                match operator.reach.has_key {
                    true => operator.here(&ask).await,
                    false => operator.signed(Answer { problem: Some(NO_KEY.into()), ..Answer::default() }),
                }
            })
        })
    }

    /// The port by which other nodes learn what this one is.
    pub fn says(self: &Arc<Self>) -> SayAbout {
        let operator = Arc::clone(self);
        Arc::new(move || About {
            name: operator.reach.name.clone(),
            sessions: operator.sessions(),
            is_draining: operator.reach.lifecycle.phase() == Phase::Draining,
            roster: None,
        })
    }

    /// Nodes that an operator may name.
    pub fn names(&self) -> Vec<Box<str>> {
        let others = self.reach.others.iter().flat_map(|others| others.names());
        std::iter::once(self.reach.name.clone()).chain(others).collect()
    }

    fn sessions(&self) -> u64 {
        self.reach.waiting.open().iter().map(|open| open.all as u64).sum()
    }

    /// Has it done on all nodes, or on those of one name. `None` if too many ask. It is done to its end and noted, also if whoever
    /// asks goes away meanwhile: a part of the shards has done it by then.
    pub async fn everywhere(self: &Arc<Self>, peer: SocketAddr, name: Option<&str>, ask: Ask) -> Option<Outcome> {
        let (operator, name) = (Arc::clone(self), name.map(Box::<str>::from));
        let (hand_over, handed_over) = oneshot::channel();
        let doing = async move {
            let outcome = operator.outcome(name.as_deref(), &ask).await;
            note(&ask, outcome.as_ref(), peer);
            // If nobody waits any more, the log has it.
            drop(hand_over.send(outcome));
        };
        tokio::spawn(alarm::watched("an operator's request", doing));
        handed_over.await.ok().flatten()
    }

    async fn outcome(&self, name: Option<&str>, ask: &Ask) -> Option<Outcome> {
        let _turn = self.turns.try_acquire().ok()?;
        let is_here = name.is_none_or(|name| name == &*self.reach.name);
        let here = async { if is_here { Some(self.here(ask).await) } else { None } };
        let others = async {
            match &self.reach.others {
                Some(others) => others.ask(name, ask).await,
                None => Replies::default(),
            }
        };
        let (here, Replies { answers, mut silent }) = tokio::join!(here, others);
        let mut nodes: Vec<Answer> = here.into_iter().chain(answers).collect();
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        silent.sort_unstable();
        let is_bus_down = self.reach.others.as_ref().is_some_and(|others| !others.are_reached());
        Some(Outcome { nodes, silent, is_bus_down })
    }

    /// Has it done on this node.
    async fn here(&self, ask: &Ask) -> Answer {
        self.signed(match ask.clone() {
            Ask::Sessions { whose, verb } => self.of_sessions(whose, verb).await,
            Ask::Rebalance(pace) => self.rebalance(pace, Duration::ZERO).await,
        })
    }

    /// With this node's name and size.
    fn signed(&self, answer: Answer) -> Answer {
        Answer { node: self.reach.name.clone(), sessions: self.sessions(), ..answer }
    }

    async fn of_sessions(&self, whose: Whose, verb: Verb) -> Answer {
        let done = match verb {
            Verb::List(_) => None,
            Verb::Tell(_) => Some("told"),
            Verb::Cut { .. } => Some("cut"),
        };
        let (count, rows, next) = meant(&self.reach.inboxes, whose, verb).await;
        if let Some(done) = done {
            metrics::counter!("pregon_admin_sessions_total", "what" => done).increment(count);
            tracing::info!(%whose, sessions = count, "an operator: sessions were {done}");
        }
        Answer { count, rows, next, ..Answer::default() }
    }

    /// Has clients of `pregon.v1` move to other nodes, if this one has more sessions than the mean.
    async fn rebalance(&self, pace: Pace, age_min: Duration) -> Answer {
        let mut lately = self.lately.lock().await;
        let now = Instant::now();
        let load = self.load(lately.moving(now), now);
        let wanted = load.excess(pace, lately.count(now));
        let movable: Vec<usize> = self.reach.waiting.open().iter().map(|open| open.movable).collect();
        let window = Duration::from_secs(pace.over_seconds.into());
        let shares = shares(usize::try_from(wanted).unwrap_or(usize::MAX), &movable);
        let mut count = 0;
        for (inbox, share) in self.reach.inboxes.iter().zip(shares) {
            count += given_away(inbox, share, window, age_min).await as u64;
        }
        if count > 0 {
            lately.add(count, load.moving, window, Instant::now());
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

    /// `just` are moving, though the shards may not have said so.
    fn load(&self, just: u64, now: Instant) -> Load {
        let others = self.reach.others.iter().flat_map(|others| others.takers(now)).collect();
        let moving = self.reach.waiting.open().iter().map(|open| open.moving as u64).sum();
        Load { own: self.sessions(), moving: just.max(moving), others }
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
            let now = Instant::now();
            if watch.is_due(&self.load(0, now), now, rest) {
                self.rebalance(CAREFUL, MOVE_AGE_MIN).await;
            }
        }
    }
}

/// Counts what an operator asked, and logs what changed something.
fn note(ask: &Ask, outcome: Option<&Outcome>, peer: SocketAddr) {
    let verb = ask.name();
    let is_whole = |outcome: &Outcome| {
        outcome.silent.is_empty() && !outcome.is_bus_down && outcome.nodes.iter().all(|node| node.problem.is_none())
    };
    let how = match outcome {
        None => "busy",
        Some(outcome) if is_whole(outcome) => "done",
        Some(_) => "in part",
    };
    metrics::counter!("pregon_admin_requests_total", "verb" => verb, "outcome" => how).increment(1);
    let Some(Outcome { nodes, silent, .. }) = outcome else { return };
    let whose = match ask {
        Ask::Sessions { verb: Verb::List(_), .. } => return,
        Ask::Sessions { whose, .. } => *whose,
        Ask::Rebalance(_) => Whose::All,
    };
    let sessions: u64 = nodes.iter().map(|node| node.count).sum();
    let (nodes, silent) = (nodes.len(), silent.len());
    tracing::info!(verb, %whose, sessions, nodes, silent, %peer, "an operator's request is done");
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::Sender;

    use super::*;
    use crate::engine::shard::port::{Meant, ToShard};
    use crate::ids::UserId;

    fn operator(has_key: bool) -> (Arc<Operator>, [Arc<Inbox>; 2]) {
        let inboxes: [Arc<Inbox>; 2] = Default::default();
        let reach = Reach {
            name: "chat-1".into(),
            has_key,
            lifecycle: Arc::default(),
            inboxes: Arc::from(inboxes.clone()),
            waiting: Arc::new(Waiting::of_shards(2)),
            others: None,
        };
        (Arc::new(Operator::new(reach)), inboxes)
    }

    /// What a shard is asked next.
    async fn next_order(inbox: &Inbox) -> Sender<Meant> {
        loop {
            if let Some(ToShard::Order(order)) = inbox.pop() {
                return order.answer;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_goes_away_does_not_leave_a_half_of_the_shards_undone() {
        let (operator, [first, second]) = operator(true);
        let ask = Ask::Sessions { whose: Whose::User(UserId::fresh()), verb: Verb::Cut { stay_away: false } };
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let answer = tokio::select! {
            _ = operator.everywhere(peer, None, ask.clone()) => panic!("no shard has answered"),
            answer = next_order(&first) => answer,
        };
        // The operator is gone; one shard has done its part, the other must.
        answer.send(Meant { count: 1, ..Meant::default() }).unwrap();
        let patience = Duration::from_secs(20);
        let answer = tokio::time::timeout(patience, next_order(&second)).await.expect("the second shard is asked, too");
        answer.send(Meant::default()).unwrap();
        // Its turn is over, too.
        while operator.turns.available_permits() < OPERATOR_ASKS_MAX {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_node_without_a_key_does_nothing_that_others_ask() {
        let (operator, [first, second]) = operator(false);
        let ask = Ask::Sessions { whose: Whose::All, verb: Verb::Cut { stay_away: true } };
        let answered = tokio::time::timeout(Duration::from_secs(20), (operator.answers())(ask)).await;
        let answer = answered.expect("it declines at once");
        assert_eq!((&*answer.node, answer.count), ("chat-1", 0));
        assert!(answer.problem.is_some_and(|problem| problem.contains("PREGON_ADMIN_KEY")));
        assert!(first.pop().is_none() && second.pop().is_none());
    }

    #[test]
    fn a_node_that_ends_says_so() {
        let (operator, _) = operator(true);
        assert!(!(operator.says())().is_draining);
        operator.reach.lifecycle.enter(Phase::Draining);
        assert!((operator.says())().is_draining);
    }
}
