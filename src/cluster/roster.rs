//! Who has sockets where: the roster of this node, which it tells to the others, and those of the others.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::block_in_place;

use crate::cluster::ports::HearPresence;
use crate::cluster::wire::{Bell, NodeId, Person, Sum};
use crate::domain::user::Account;
use crate::engine::shard::port::ToShard;
use crate::ids::{RoomId, UserId};
use crate::limits::ROSTER_PART_PEOPLE;

/// Everybody who has sockets on this node in rooms.
#[derive(Debug, Default)]
pub(super) struct Own {
    rooms: Mutex<Rooms>,
    /// Changes that are in the sum and were not told yet.
    on_their_way: AtomicUsize,
}

#[derive(Debug, Default)]
struct Rooms {
    by_room: HashMap<RoomId, People>,
    sum: Sum,
}

/// Who has sockets in a room.
#[derive(Debug, Default)]
struct People {
    /// Where the room is told who comes: it is small.
    told: Vec<Arc<Account>>,
    /// Where it is not.
    counted: HashSet<UserId>,
}

impl People {
    /// False if the user is not there.
    fn remove(&mut self, user: UserId) -> bool {
        let told = self.told.iter().position(|account| account.id == user);
        told.map(|place| self.told.swap_remove(place)).is_some() || self.counted.remove(&user)
    }
}

impl Own {
    pub fn came(&self, room: RoomId, account: &Arc<Account>, is_told: bool) {
        self.on_their_way.fetch_add(1, Ordering::AcqRel);
        let Rooms { by_room, sum } = &mut *lock(&self.rooms);
        let people = by_room.entry(room).or_default();
        if !people.remove(account.id) {
            sum.add(room, account.id);
        }
        if is_told {
            people.told.push(Arc::clone(account));
        } else {
            people.counted.insert(account.id);
        }
    }

    pub fn went(&self, room: RoomId, user: UserId) {
        self.on_their_way.fetch_add(1, Ordering::AcqRel);
        let Rooms { by_room, sum } = &mut *lock(&self.rooms);
        if let Entry::Occupied(mut people) = by_room.entry(room) {
            if people.get_mut().remove(user) {
                sum.remove(room, user);
            }
            if people.get().told.is_empty() && people.get().counted.is_empty() {
                people.remove();
            }
        }
    }

    /// Changes were told, or could not be.
    pub fn told(&self, changes: usize) {
        self.on_their_way.fetch_sub(changes, Ordering::AcqRel);
    }

    /// What it comes to; `None` while a change is on its way.
    pub fn sum(&self) -> Option<Sum> {
        let sum = lock(&self.rooms).sum;
        (self.on_their_way.load(Ordering::Acquire) == 0).then_some(sum)
    }

    /// The whole roster as bells.
    pub fn tell(&self, round: u64) -> Vec<Bell> {
        let (mut bells, mut rooms, mut counted, mut people) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut bell = |rooms: &mut _, counted: &mut _, is_last| {
            let part = u32::try_from(bells.len()).unwrap_or(u32::MAX);
            let (rooms, counted) = (std::mem::take(rooms), std::mem::take(counted));
            bells.push(Bell::Roster { round, part, rooms, counted, is_last });
        };
        for (room, present) in &lock(&self.rooms).by_room {
            if !present.told.is_empty() {
                people += present.told.len();
                let named = present.told.iter().map(|account| Person(account.id, account.username.clone()));
                rooms.push((*room, named.collect()));
            }
            let all: Vec<UserId> = present.counted.iter().copied().collect();
            for some in all.chunks(ROSTER_PART_PEOPLE) {
                people += some.len();
                counted.push((*room, some.to_vec()));
                if people >= ROSTER_PART_PEOPLE {
                    bell(&mut rooms, &mut counted, false);
                    people = 0;
                }
            }
            if people >= ROSTER_PART_PEOPLE {
                bell(&mut rooms, &mut counted, false);
                people = 0;
            }
        }
        bell(&mut rooms, &mut counted, true);
        bells
    }
}

/// What changed about the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Without a name where the room is not told who comes.
    Came(RoomId, Person),
    Went(RoomId, UserId),
}

/// A user in a room that is not told who comes.
fn counted(user: UserId) -> Person {
    Person(user, "".into())
}

/// The rosters of the other nodes.
#[derive(Debug, Default)]
pub(super) struct Others(HashMap<NodeId, Roster>);

/// What was heard of one node's.
#[derive(Debug, Default)]
struct Roster {
    /// Who is there, and up to which round.
    people: HashMap<(RoomId, UserId), u64>,
    sum: Sum,
    /// The node's last sum was another one.
    differs: bool,
    /// The telling that is under way, and how many of its parts have come.
    telling: (u64, u32),
}

impl Roster {
    /// False if the user was there.
    fn insert(&mut self, room: RoomId, user: UserId, round: u64) -> bool {
        let is_new = self.people.insert((room, user), round).is_none();
        if is_new {
            self.sum.add(room, user);
        }
        is_new
    }

    /// False if the user was not there.
    fn remove(&mut self, room: RoomId, user: UserId) -> bool {
        let was_there = self.people.remove(&(room, user)).is_some();
        if was_there {
            self.sum.remove(room, user);
        }
        was_there
    }

    /// A round is told: who was in none of its parts is gone.
    fn end_round(&mut self, round: u64) -> Vec<Change> {
        let gone: Vec<_> = self.people.extract_if(|_, seen| *seen < round).map(|(place, _)| place).collect();
        gone.iter().for_each(|(room, user)| self.sum.remove(*room, *user));
        // Who came meanwhile has to be in the next round.
        self.people.values_mut().for_each(|seen| *seen = round);
        gone.into_iter().map(|(room, user)| Change::Went(room, user)).collect()
    }
}

impl Others {
    /// Takes a bell of a node. Returns what is news.
    pub fn hear(&mut self, node: NodeId, bell: Bell) -> Vec<Change> {
        let roster = self.0.entry(node).or_default();
        match bell {
            Bell::Counted(room, user) => self.hear(node, Bell::Came(room, counted(user))),
            // It is as new as the next round.
            Bell::Came(room, person) => match roster.insert(room, person.0, u64::MAX) {
                true => vec![Change::Came(room, person)],
                false => Vec::new(),
            },
            Bell::Went(room, user) => match roster.remove(room, user) {
                true => vec![Change::Went(room, user)],
                false => Vec::new(),
            },
            Bell::Roster { round, part, rooms, counted: unnamed, is_last } => {
                if roster.telling.0 != round {
                    roster.telling = (round, 0);
                }
                roster.telling.1 += 1;
                let mut changes = Vec::new();
                let unnamed = unnamed.into_iter().map(|(room, users)| (room, users.into_iter().map(counted).collect()));
                for (room, people) in rooms.into_iter().chain::<Vec<(RoomId, Vec<Person>)>>(unnamed.collect()) {
                    for person in people {
                        if roster.insert(room, person.0, round) {
                            changes.push(Change::Came(room, person));
                        }
                    }
                }
                // Without all parts nobody knows who is gone: the sum differs, and the roster is told again.
                if is_last && roster.telling.1 > part {
                    changes.extend(roster.end_round(round));
                }
                changes
            }
            _ => Vec::new(),
        }
    }

    /// Takes the sum that a node tells of its roster. True if its whole roster is wanted: this sum and the one before it differ
    /// from what was heard. A single one may be ahead of the changes that it knows of.
    pub fn is_wanted(&mut self, node: NodeId, sum: Sum) -> bool {
        if !self.0.contains_key(&node) && sum == Sum::default() {
            return false;
        }
        let roster = self.0.entry(node).or_default();
        let differs = roster.sum != sum;
        std::mem::replace(&mut roster.differs, differs) && differs
    }

    /// A node is gone, with everybody.
    pub fn forget(&mut self, node: NodeId) -> Vec<Change> {
        let roster = self.0.remove(&node).unwrap_or_default();
        roster.people.into_keys().map(|(room, user)| Change::Went(room, user)).collect()
    }
}

/// The rosters of the others, and who is told of their changes.
pub(super) struct Rosters {
    others: Mutex<Others>,
    hear_presence: HearPresence,
}

impl Rosters {
    /// Nobody has told anything yet.
    pub fn new(hear_presence: HearPresence) -> Self {
        Self { others: Mutex::default(), hear_presence }
    }

    /// As [`Others::is_wanted`].
    pub fn is_wanted(&self, node: NodeId, sum: Sum) -> bool {
        lock(&self.others).is_wanted(node, sum)
    }

    /// Tells what changed. Waits for shards.
    pub fn change(&self, change: impl FnOnce(&mut Others) -> Vec<Change>) {
        // Told under the lock, so that changes are told in their order.
        let mut others = lock(&self.others);
        let changes = change(&mut others);
        if !changes.is_empty() {
            block_in_place(|| {
                for change in changes {
                    match change {
                        Change::Came(room, Person(id, username)) => {
                            let is_told = !username.is_empty();
                            let account = Arc::new(Account::active(id, username));
                            (self.hear_presence)(ToShard::ArrivedElsewhere { room, account, is_told }, room);
                        }
                        Change::Went(room, user) => {
                            (self.hear_presence)(ToShard::DepartedElsewhere { room, user }, room);
                        }
                    }
                }
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Arc<Account> {
        Arc::new(Account::active(UserId::fresh(), name.into()))
    }

    #[test]
    fn a_roster_is_told_whole_and_settles_what_was_lost_on_the_way() {
        let (own, mut others, node) = (Own::default(), Others::default(), NodeId(uuid::Uuid::now_v7()));
        let (room, ana, beto) = (RoomId::fresh(), account("ana"), account("beto"));
        own.came(room, &ana, true);
        own.came(room, &beto, true);
        let person = |account: &Account| Person(account.id, account.username.clone());
        let mut told = |own: &Own, round| -> Vec<Change> {
            own.tell(round).into_iter().flat_map(|bell| others.hear(node, bell)).collect()
        };
        assert_eq!(told(&own, 1), [Change::Came(room, person(&ana)), Change::Came(room, person(&beto))]);
        assert_eq!(told(&own, 2), []);
        own.went(room, ana.id);
        assert_eq!(told(&own, 3), [Change::Went(room, ana.id)]);
        own.went(room, beto.id);
        assert_eq!(told(&own, 4), [Change::Went(room, beto.id)]);
        own.came(room, &ana, true);
        assert_eq!(told(&own, 5), [Change::Came(room, person(&ana))]);
        assert_eq!(others.forget(node), [Change::Went(room, ana.id)]);
    }

    #[test]
    fn a_roster_is_wanted_once_two_sums_differ_and_no_more_when_it_was_told() {
        let (own, mut others, node) = (Own::default(), Others::default(), NodeId(uuid::Uuid::now_v7()));
        let sum = |own: &Own| lock(&own.rooms).sum;
        let (room, ana, beto) = (RoomId::fresh(), account("ana"), account("beto"));
        assert!(!others.is_wanted(node, sum(&own)) && !others.is_wanted(node, sum(&own)), "nobody is there");
        own.came(room, &ana, true);
        own.came(room, &beto, false);
        own.came(room, &beto, false);
        assert!(!others.is_wanted(node, sum(&own)), "the bells may be on their way");
        assert!(others.is_wanted(node, sum(&own)) && others.is_wanted(node, sum(&own)), "until it is told");
        own.tell(1).into_iter().for_each(|bell| drop(others.hear(node, bell)));
        assert!(!others.is_wanted(node, sum(&own)));
        others.hear(node, Bell::Went(room, ana.id));
        own.went(room, ana.id);
        own.went(room, ana.id);
        assert!(!others.is_wanted(node, sum(&own)) && !others.is_wanted(node, sum(&own)), "the bell came");
        own.went(room, beto.id);
        own.came(room, &ana, true);
        assert!(!others.is_wanted(node, sum(&own)) && others.is_wanted(node, sum(&own)), "as many, and others");
        own.tell(2).into_iter().for_each(|bell| drop(others.hear(node, bell)));
        assert!(!others.is_wanted(node, sum(&own)) && !others.is_wanted(node, sum(&own)));
        others.forget(node);
        assert!(!others.is_wanted(node, sum(&own)) && others.is_wanted(node, sum(&own)));
    }

    #[test]
    fn a_sum_is_not_told_while_a_change_is_on_its_way() {
        let (own, ana) = (Own::default(), account("ana"));
        assert!(own.sum().is_some());
        own.came(RoomId::fresh(), &ana, true);
        own.went(RoomId::fresh(), ana.id);
        own.told(1);
        assert_eq!(own.sum(), None);
        own.told(1);
        assert!(own.sum().is_some());
    }

    #[test]
    fn single_bells_are_news_once_and_survive_a_round_that_was_told_before() {
        let (mut others, node, room) = (Others::default(), NodeId(uuid::Uuid::now_v7()), RoomId::fresh());
        let ana = Person(UserId::fresh(), "ana".into());
        let came = || Bell::Came(room, ana.clone());
        assert_eq!(others.hear(node, came()), [Change::Came(room, ana.clone())]);
        assert_eq!(others.hear(node, came()), []);
        let empty = |round| Bell::Roster { round, part: 0, rooms: Vec::new(), counted: Vec::new(), is_last: true };
        assert_eq!(others.hear(node, empty(1)), [], "she came while the round was told");
        assert_eq!(others.hear(node, empty(2)), [Change::Went(room, ana.0)]);
        assert_eq!(others.hear(node, Bell::Went(room, ana.0)), []);
    }

    #[test]
    fn who_is_counted_alone_is_told_without_a_name() {
        let (own, mut others, node) = (Own::default(), Others::default(), NodeId(uuid::Uuid::now_v7()));
        let room = RoomId::fresh();
        let people: Vec<_> = (0..ROSTER_PART_PEOPLE * 2 + 1).map(|_| account("ana")).collect();
        people.iter().for_each(|one| own.came(room, one, false));
        let bells = own.tell(1);
        assert_eq!(bells.len(), 3);
        let changes: Vec<Change> = bells.into_iter().flat_map(|bell| others.hear(node, bell)).collect();
        assert_eq!(changes.len(), people.len());
        assert!(changes.iter().all(|change| matches!(change, Change::Came(_, Person(_, name)) if name.is_empty())));
        assert_eq!(others.hear(node, Bell::Counted(room, people[0].id)), []);
        people[1..].iter().for_each(|one| own.went(room, one.id));
        let changes: Vec<Change> = own.tell(3).into_iter().flat_map(|bell| others.hear(node, bell)).collect();
        // Who came by a bell stays for one round more.
        assert_eq!(changes.len(), people.len() - 1);
    }

    #[test]
    fn a_part_that_is_lost_takes_nobody_away() {
        let (own, mut others, node) = (Own::default(), Others::default(), NodeId(uuid::Uuid::now_v7()));
        let room = RoomId::fresh();
        let people: Vec<_> = (0..ROSTER_PART_PEOPLE * 2 + 1).map(|_| account("ana")).collect();
        people.iter().for_each(|one| own.came(room, one, false));
        own.tell(1).into_iter().for_each(|bell| drop(others.hear(node, bell)));
        own.went(room, people[0].id);
        let lost = own.tell(2).into_iter().skip(1).flat_map(|bell| others.hear(node, bell));
        assert_eq!(lost.collect::<Vec<_>>(), []);
        let told = own.tell(3).into_iter().flat_map(|bell| others.hear(node, bell));
        assert_eq!(told.collect::<Vec<_>>(), [Change::Went(room, people[0].id)]);
    }

    #[test]
    fn a_large_roster_has_parts() {
        let own = Own::default();
        for _ in 0..ROSTER_PART_PEOPLE * 2 {
            own.came(RoomId::fresh(), &account("ana"), true);
        }
        let bells = own.tell(1);
        let people = |bell: &Bell| match bell {
            Bell::Roster { rooms, .. } => rooms.len(),
            _ => 0,
        };
        assert_eq!(bells.iter().map(people).collect::<Vec<_>>(), [ROSTER_PART_PEOPLE, ROSTER_PART_PEOPLE, 0]);
    }
}
