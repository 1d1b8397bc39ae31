//! Which shards have listeners of which topics.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use dashmap::{DashMap, Entry};

use crate::engine::shard::port::{Directory, ShardSet};
use crate::engine::topics::listeners::Listeners;
use crate::fanout::names::Names;
use crate::ids::{ShardId, Topic, UserId};
use crate::limits::SHARDS_MAX;
use crate::protocol::form::{Form, Forms};
use crate::protocol::v1::said::Naming;

/// Called with each topic that got its first listener or lost its last. It runs on the shard's thread and must not
/// block.
pub type Watch = Box<dyn Fn(Topic) + Send + Sync>;

/// The directory of topics. A shard writes it when the shard's first listener joins a topic and when the last one
/// leaves; a publisher asks it once for each topic of a batch. Each access locks one part of a map for a short time. A
/// frame's way through a shard never touches it.
#[derive(Default)]
pub struct Routes {
    topics: DashMap<Topic, ShardSet>,
    /// Rooms and posts are apart: their shards tell each other things, and share `Listeners`.
    shared: DashMap<Topic, Arc<Listeners>>,
    /// Shards that want other forms of a topic than the default, by form.
    forms: DashMap<Topic, Wanted>,
    /// How often shards want another form than the default. While nobody does, no map is asked.
    others: AtomicU32,
    /// The number that the next user who is named gets.
    numbers: AtomicU32,
    /// How often users were named, or told who are.
    namings: AtomicU32,
    hear_all: HearAll,
    watch: OnceLock<Watch>,
}

/// The forms that listeners of a topic want besides the default.
#[derive(Default)]
struct Wanted {
    /// Shards that want each.
    counts: [u32; Form::COUNT],
    /// How users are named there, once one is. Most topics are silent.
    names: Option<Arc<Mutex<Names>>>,
}

/// For each shard, how many reasons it has at present to hear all authors: it hears them while the number is above 0.
struct HearAll([AtomicU32; SHARDS_MAX]);

impl Default for HearAll {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::default()))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Routes({} topics)", self.topics.len() + self.shared.len())
    }
}

impl Routes {
    /// From now on `watch` is called when a topic gets its first listener or loses its last. Only the first call of
    /// this counts.
    pub fn watch(&self, watch: Watch) {
        let _ = self.watch.set(watch);
    }

    fn tell_watch(&self, topic: Topic) {
        if let Some(watch) = self.watch.get() {
            watch(topic);
        }
    }

    /// The shards that have listeners of the topic now.
    pub fn shards_of(&self, topic: &Topic) -> ShardSet {
        match topic {
            Topic::Room(_) | Topic::Post(_) => self.shared.get(topic).map(|listeners| listeners.now()),
            topic => self.topics.get(topic).map(|set| *set),
        }
        .unwrap_or_default()
    }

    /// The forms besides the default that listeners want. For an author's posts nobody says: shards make them.
    pub fn forms_of(&self, topic: Topic) -> Forms {
        if self.others.load(Ordering::SeqCst) == 0 {
            return Forms::default();
        }
        let Some(counts) = self.forms.get(&topic) else { return Forms::default() };
        Form::all().filter(|form| counts.counts[form.index()] > 0).fold(Forms::default(), Forms::with)
    }

    /// How users are named to the topic's listeners, as long as there are some who want that. Each use of names that nobody keeps
    /// begins anew, with other numbers.
    pub fn names_of(&self, topic: Topic) -> Arc<Mutex<Names>> {
        let wanted = self.forms.get_mut(&topic);
        wanted.map(|mut wanted| Arc::clone(wanted.names.get_or_insert_default())).unwrap_or_default()
    }

    /// Somebody was named there.
    pub fn has_names(&self, topic: Topic) -> bool {
        self.forms.get(&topic).is_some_and(|wanted| wanted.names.is_some())
    }

    /// Topics whose listeners know users by number, with those numbers.
    pub fn named(&self) -> Vec<(Topic, Arc<Mutex<Names>>)> {
        self.forms.iter().filter_map(|entry| Some((*entry.key(), entry.value().names.clone()?))).collect()
    }

    /// A number that no user had before in any topic.
    pub fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells an earlier use of a topic's names from a later one. Called while they are locked, or before it is found that there are
    /// none.
    pub fn next_naming(&self) -> Naming {
        Naming(self.namings.fetch_add(1, Ordering::Relaxed))
    }

    /// Nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.shared.is_empty() && self.forms.is_empty()
    }

    /// The shards that are given an author's publications: those with listeners of the author, and those that hear all
    /// authors.
    ///
    /// The second kind is looked up first. A shard joins the topics that it needs before it ceases to hear all authors,
    /// so at least one of the two lookups finds it.
    pub fn shards_of_author(&self, author: UserId) -> ShardSet {
        let hears_all = |shard: &u8| self.hear_all.0[usize::from(*shard)].load(Ordering::SeqCst) > 0;
        let all = (0..64).filter(hears_all).fold(ShardSet::default(), |set, shard| set.with(ShardId(shard)));
        ShardSet(all.0 | self.shards_of(&Topic::Author(author)).0)
    }
}

impl Directory for Routes {
    fn join(&self, topic: Topic, shard: ShardId) -> Option<Arc<Listeners>> {
        let (listeners, is_first) = match topic {
            Topic::Room(_) | Topic::Post(_) => match self.shared.entry(topic) {
                Entry::Vacant(vacant) => (Some(vacant.insert(Arc::new(Listeners::of(shard))).clone()), true),
                Entry::Occupied(known) => {
                    known.get().join(shard);
                    (Some(known.get().clone()), false)
                }
            },
            topic => {
                let mut set = self.topics.entry(topic).or_default();
                let is_first = set.is_empty();
                *set = set.with(shard);
                (None, is_first)
            }
        };
        if is_first {
            self.tell_watch(topic);
        }
        listeners
    }

    fn leave(&self, topic: Topic, shard: ShardId) {
        // `Listeners` end and leave the map under the same lock, so whoever joins finds either `Listeners` that have
        // not ended, or none.
        let has_ended = match topic {
            Topic::Room(_) | Topic::Post(_) => {
                self.shared.remove_if(&topic, |_, listeners| listeners.leave(shard)).is_some()
            }
            topic => {
                let is_over = |_: &Topic, set: &mut ShardSet| {
                    *set = set.without(shard);
                    set.is_empty()
                };
                self.topics.remove_if_mut(&topic, is_over).is_some()
            }
        };
        if has_ended {
            self.tell_watch(topic);
        }
    }

    fn form_came(&self, topic: Topic, form: Form) {
        self.others.fetch_add(1, Ordering::SeqCst);
        self.forms.entry(topic).or_default().counts[form.index()] += 1;
    }

    fn form_went(&self, topic: Topic, form: Form) {
        self.forms.remove_if_mut(&topic, |_, Wanted { counts, .. }| {
            counts[form.index()] = counts[form.index()].saturating_sub(1);
            counts.iter().all(|count| *count == 0)
        });
        self.others.fetch_sub(1, Ordering::SeqCst);
    }

    fn hear_all(&self, shard: ShardId) {
        self.hear_all.0[shard.index()].fetch_add(1, Ordering::SeqCst);
    }

    fn hear_enough(&self, shard: ShardId) {
        self.hear_all.0[shard.index()].fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RoomId;

    #[test]
    fn who_hears_everybody_hears_an_author_nobody_has_joined() {
        let (routes, ana) = (Routes::default(), UserId::fresh());
        routes.hear_all(ShardId(3));
        routes.hear_all(ShardId(3));
        routes.join(Topic::Author(ana), ShardId(63));
        assert_eq!(routes.shards_of_author(ana), ShardSet::default().with(ShardId(3)).with(ShardId(63)));
        routes.hear_enough(ShardId(3));
        assert!(routes.shards_of_author(UserId::fresh()).contains(ShardId(3)), "one of two reasons is left");
        routes.hear_enough(ShardId(3));
        assert!(routes.shards_of_author(UserId::fresh()).is_empty());
    }

    #[test]
    fn the_forms_of_a_topic_are_known_as_long_as_a_shard_wants_them() {
        let (routes, topic) = (Routes::default(), Topic::Room(RoomId::fresh()));
        let other = Form::all().nth(1).expect("tests have two");
        assert_eq!(routes.forms_of(topic), Forms::default());
        (0..2).for_each(|_| routes.form_came(topic, other));
        routes.form_went(topic, other);
        assert_eq!(routes.forms_of(topic), Forms::default().with(other), "another shard wants it");
        routes.form_went(topic, other);
        assert!(routes.is_empty());
    }

    #[test]
    fn the_watch_hears_of_first_and_last_listeners_alone() {
        let (routes, topic) = (Routes::default(), Topic::Room(RoomId::fresh()));
        let heard = std::sync::Arc::new(AtomicU32::default());
        let count = heard.clone();
        routes.watch(Box::new(move |told| {
            assert_eq!(told, topic);
            count.fetch_add(1, Ordering::SeqCst);
        }));
        for (shard, expected) in [(0, 1), (1, 1)] {
            routes.join(topic, ShardId(shard));
            assert_eq!(heard.load(Ordering::SeqCst), expected);
        }
        for (shard, expected) in [(1, 1), (0, 2), (0, 2)] {
            routes.leave(topic, ShardId(shard));
            assert_eq!(heard.load(Ordering::SeqCst), expected);
        }
    }

    #[test]
    fn a_topic_without_listeners_leaves_nothing_behind() {
        for topic in [Topic::Room(RoomId::fresh()), Topic::Feed(UserId::fresh())] {
            let routes = Routes::default();
            routes.join(topic, ShardId(0));
            routes.join(topic, ShardId(5));
            routes.leave(topic, ShardId(0));
            assert_eq!(routes.shards_of(&topic), ShardSet::default().with(ShardId(5)));
            routes.leave(topic, ShardId(5));
            routes.leave(topic, ShardId(5));
            assert!(routes.shards_of(&topic).is_empty() && routes.is_empty());
        }
    }

    #[test]
    fn the_shards_of_a_room_see_who_joins_and_who_leaves() {
        let (routes, topic) = (Routes::default(), Topic::Room(RoomId::fresh()));
        let join = |shard| routes.join(topic, ShardId(shard)).expect("rooms have one");
        let first = join(0);
        let second = join(5);
        assert_eq!(first.now(), ShardSet::default().with(ShardId(0)).with(ShardId(5)), "the first sees the second");
        routes.leave(topic, ShardId(0));
        assert_eq!(second.now(), ShardSet::default().with(ShardId(5)));
        routes.leave(topic, ShardId(5));
        let third = join(1);
        assert!(first.is_over() && !third.is_over(), "a shard that joins after the end gets new listeners");
    }

    /// A session that was greeted in a room is told everything that is said afterwards, whatever other shards do
    /// meanwhile.
    #[test]
    fn a_shard_that_has_joined_is_seen_by_all_who_have() {
        let (routes, topic) = (Arc::new(Routes::default()), Topic::Room(RoomId::fresh()));
        let shards = (0..4).map(|shard| {
            let (routes, shard) = (routes.clone(), ShardId(shard));
            std::thread::spawn(move || {
                for _ in 0..2000 {
                    let mine = routes.join(topic, shard).expect("rooms have one");
                    // All shards in the room share what the directory gives out now.
                    assert!(mine.now().contains(shard) && routes.shards_of(&topic).contains(shard));
                    let again = routes.join(topic, shard).expect("rooms have one");
                    assert!(Arc::ptr_eq(&mine, &again), "two for one room");
                    routes.leave(topic, shard);
                }
            })
        });
        let shards: Vec<_> = shards.collect();
        shards.into_iter().for_each(|shard| shard.join().expect("it has seen what it should"));
        assert!(routes.is_empty());
    }
}
