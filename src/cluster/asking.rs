//! Asks other nodes what an operator wants of them, and waits a moment for their answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::cluster::link::Link;
use crate::cluster::peers::Peers;
use crate::cluster::ports::AnswerAsk;
use crate::cluster::send::Outbox;
use crate::cluster::wire::{About, Bell, NodeId};
use crate::domain::operator::{Answer, Ask};
use crate::limits::{LISTED_SESSIONS_MAX, LISTED_TOGETHER_MAX, OPERATOR_ASKS_MAX, OPERATOR_PATIENCE};

/// What other nodes answered.
#[derive(Debug, Default)]
pub struct Replies {
    /// One for each node that answered in time.
    pub answers: Vec<Answer>,
    /// The names of those that did not.
    pub silent: Vec<Box<str>>,
}

/// What is gathered for one question.
struct Gathering {
    replies: Replies,
    missing: BTreeMap<NodeId, Box<str>>,
    /// How many more sessions the lists have room for.
    rows_left: usize,
    /// Rings when nobody is missing any more.
    whole: Arc<Notify>,
}

type Questions = HashMap<uuid::Uuid, Gathering>;

/// The way to the other nodes.
pub struct Others {
    peers: Arc<Peers>,
    link: Arc<Link>,
    outbox: Outbox,
    /// Who waits for answers, by question.
    questions: Mutex<Questions>,
    turns: Arc<Semaphore>,
}

impl Others {
    pub(super) fn new(peers: Arc<Peers>, link: Arc<Link>, outbox: Outbox) -> Self {
        let turns = Arc::new(Semaphore::new(OPERATOR_ASKS_MAX));
        Self { peers, link, outbox, questions: Mutex::default(), turns }
    }

    /// Whether what is asked reaches the others.
    pub fn are_reached(&self) -> bool {
        self.link.is_up()
    }

    /// The names of the other nodes, as far as they live and have told them.
    pub fn names(&self) -> Vec<Box<str>> {
        self.peers.known().into_values().flatten().map(|about| about.name).collect()
    }

    /// The sessions of each node that can take more.
    pub fn takers(&self, now: Instant) -> Vec<u64> {
        self.peers.takers(now)
    }

    /// Asks the live nodes, or those of this name.
    pub async fn ask(&self, name: Option<&str>, ask: &Ask) -> Replies {
        let name_of = |(node, about): (NodeId, Option<About>)| {
            (node, about.map_or_else(|| node.0.to_string().into(), |about| about.name))
        };
        let mut missing: BTreeMap<NodeId, Box<str>> = self.peers.known().into_iter().map(name_of).collect();
        missing.retain(|_, known| name.is_none_or(|name| name == &**known));
        if missing.is_empty() {
            return Replies::default();
        }
        let (id, whole) = (uuid::Uuid::now_v7(), Arc::new(Notify::new()));
        let rows_left = LISTED_TOGETHER_MAX - LISTED_SESSIONS_MAX;
        let gathering = Gathering { replies: Replies::default(), missing, rows_left, whole: whole.clone() };
        self.lock().insert(id, gathering);
        // Whoever is not waited for any more leaves nothing behind.
        let question = Ends { others: self, id };
        self.outbox.ring_bell(Bell::Ask { id, name: name.map(Into::into), ask: Box::new(ask.clone()) });
        let _ = timeout(OPERATOR_PATIENCE, whole.notified()).await;
        question.end().unwrap_or_default()
    }

    /// Another node answered.
    pub(super) fn answered(&self, node: NodeId, id: uuid::Uuid, mut answer: Answer) {
        let mut questions = self.lock();
        // Nobody may wait any more.
        let Some(gathering) = questions.get_mut(&id) else { return };
        if gathering.missing.remove(&node).is_some() {
            gathering.rows_left -= answer.keep(gathering.rows_left);
            gathering.replies.answers.push(answer);
        }
        if gathering.missing.is_empty() {
            gathering.whole.notify_one();
        }
    }

    /// Another node asks: its question is answered in a task of its own, if not too many are.
    pub(super) fn asked(&self, id: uuid::Uuid, ask: Ask, answer: &AnswerAsk) {
        let Ok(turn) = self.turns.clone().try_acquire_owned() else {
            metrics::counter!("pregon_bus_dropped_total", "what" => "question").increment(1);
            return;
        };
        let (outbox, answer) = (self.outbox.clone(), answer(ask));
        tokio::spawn(async move {
            let answer = answer.await;
            outbox.ring_bell(Bell::Answer { id, answer: Box::new(answer) });
            drop(turn);
        });
    }

    fn lock(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what was gathered for a question, or drops it.
struct Ends<'a> {
    others: &'a Others,
    id: uuid::Uuid,
}

impl Ends<'_> {
    fn end(&self) -> Option<Replies> {
        let Gathering { mut replies, missing, .. } = self.others.lock().remove(&self.id)?;
        replies.silent = missing.into_values().collect();
        Some(replies)
    }
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
