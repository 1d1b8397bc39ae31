//! The rest of the server as a simulated shard sees it: it keeps who listens where, and what shards asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::rights::Withdrawals;
use crate::domain::write::Write;
use crate::engine::session::Entry;
use crate::engine::shard::port::{Allowance, Directory, Gate, Handshake, Inbox, Ports, ShardSet, Verdict, Waiting};
use crate::engine::topics::feeds::FeedKey;
use crate::engine::topics::listeners::Listeners;
use crate::ids::{ShardId, Topic, UserId};
use crate::protocol::form::Form;

/// Who listens where, as a real directory keeps it. It is stricter: a shard that does not listen must not leave.
#[derive(Default)]
pub(in crate::engine::shard) struct Routes {
    topics: Mutex<HashMap<Topic, Arc<Listeners>>>,
    hear_all: Mutex<HashMap<ShardId, u32>>,
    /// Shards that want another form of a topic.
    forms: Mutex<HashMap<(Topic, usize), u32>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Routes {
    /// The shards that are given a topic's publications.
    pub(in crate::engine::shard) fn listeners(&self, topic: Topic) -> ShardSet {
        let all = match topic {
            Topic::Author(_) => locked(&self.hear_all).keys().fold(ShardSet::default(), |set, shard| set.with(*shard)),
            _ => ShardSet::default(),
        };
        ShardSet(all.0 | self.shards_of(&topic).0)
    }

    fn shards_of(&self, topic: &Topic) -> ShardSet {
        locked(&self.topics).get(topic).map(|listeners| listeners.now()).unwrap_or_default()
    }

    /// Does somebody want this form of the topic?
    pub(in crate::engine::shard) fn wants(&self, topic: Topic, form: Form) -> bool {
        locked(&self.forms).contains_key(&(topic, form.index()))
    }

    pub(in crate::engine::shard) fn is_empty(&self) -> bool {
        locked(&self.topics).is_empty() && locked(&self.hear_all).is_empty() && locked(&self.forms).is_empty()
    }
}

impl Directory for Routes {
    fn join(&self, topic: Topic, shard: ShardId) -> Option<Arc<Listeners>> {
        let mut topics = locked(&self.topics);
        let listeners = topics.entry(topic).or_default();
        assert!(!listeners.now().contains(shard), "a shard joins what it has joined");
        listeners.join(shard);
        matches!(topic, Topic::Room(_) | Topic::Post(_)).then(|| listeners.clone())
    }

    fn leave(&self, topic: Topic, shard: ShardId) {
        let mut topics = locked(&self.topics);
        let listeners = topics.get(&topic).expect("a shard leaves what it has joined");
        assert!(listeners.now().contains(shard), "a shard leaves what it has joined");
        if listeners.leave(shard) {
            topics.remove(&topic);
        }
    }

    fn form_came(&self, topic: Topic, form: Form) {
        *locked(&self.forms).entry((topic, form.index())).or_default() += 1;
    }

    fn form_went(&self, topic: Topic, form: Form) {
        let mut forms = locked(&self.forms);
        let count = forms.get_mut(&(topic, form.index())).expect("it came before");
        *count -= 1;
        if *count == 0 {
            forms.remove(&(topic, form.index()));
        }
    }

    fn hear_all(&self, shard: ShardId) {
        *locked(&self.hear_all).entry(shard).or_default() += 1;
    }

    fn hear_enough(&self, shard: ShardId) {
        let mut all = locked(&self.hear_all);
        let count = all.get_mut(&shard).expect("as often as it was to hear all");
        *count -= 1;
        if *count == 0 {
            all.remove(&shard);
        }
    }
}

/// What shards have asked for.
#[derive(Default)]
pub(in crate::engine::shard) struct Asked {
    writes: Mutex<Vec<Write>>,
    lists: Mutex<Vec<(UserId, ShardId, FeedKey)>>,
    /// Lanes take no writes.
    pub lanes_are_full: AtomicBool,
    /// No list of authors will be read.
    pub lists_are_full: AtomicBool,
    /// Evictions and ended rights, counted as the store counts them.
    pub withdrawals: Arc<Withdrawals>,
}

impl Asked {
    pub(super) fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut locked(&self.writes))
    }

    pub(super) fn take_lists(&self) -> Vec<(UserId, ShardId, FeedKey)> {
        std::mem::take(&mut locked(&self.lists))
    }
}

/// A gate that admits everybody from whom nothing was taken meanwhile.
struct Open(Arc<Withdrawals>);

impl Gate for Open {
    fn allows_origin(&self, _: Option<&str>, _: &str) -> bool {
        true
    }
    fn admit(&self, _: &Handshake<'_>) -> Verdict {
        unreachable!("sessions begin without a handshake here")
    }
    fn still_admits(&self, entry: &Entry) -> bool {
        let user = entry.account.id;
        self.0.mark(user, entry.endpoint.topic(user)) == entry.mark
    }
    fn is_draining(&self) -> bool {
        false
    }
}

pub(in crate::engine::shard) fn ports(inboxes: Arc<[Arc<Inbox>]>, routes: Arc<Routes>, asked: &Arc<Asked>) -> Ports {
    let (lanes, loader) = (asked.clone(), asked.clone());
    Ports {
        waiting: Arc::new(Waiting::of_shards(inboxes.len())),
        inboxes,
        directory: routes,
        gate: Arc::new(Open(asked.withdrawals.clone())),
        rest: Arc::new(|_, _| unreachable!("nobody asks for anything else")),
        submit: Arc::new(move |write| {
            if lanes.lanes_are_full.load(Ordering::Relaxed) {
                return Err(write);
            }
            locked(&lanes.writes).push(*write);
            Ok(())
        }),
        load_follows: Arc::new(move |user, shard, feed| {
            let has_room = !loader.lists_are_full.load(Ordering::Relaxed);
            if has_room {
                locked(&loader.lists).push((user, shard, feed));
            }
            has_room
        }),
        elsewhere: None,
        errands: Arc::new(|_| false),
        allowance: Allowance::default(),
    }
}
