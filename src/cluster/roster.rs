//! Who has sockets where: the roster of this node, which it tells to the others, and those of the others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::block_in_place;

use crate::cluster::ports::HearPresence;
use crate::cluster::wire::{Bell, NodeId, Person};
use crate::domain::user::Account;
use crate::engine::shard::port::ToShard;
use crate::ids::{RoomId, UserId};
use crate::limits::ROSTER_PART_PEOPLE;

/// Everybody who has sockets on this node in rooms that tell presence.
#[derive(Debug, Default)]
pub(super) struct Own(Mutex<HashMap<RoomId, Vec<Arc<Account>>>>);

impl Own {
    pub fn came(&self, room: RoomId, account: &Arc<Account>) {
        lock(&self.0).entry(room).or_default().push(Arc::clone(account));
    }

    pub fn went(&self, room: RoomId, user: UserId) {
        if let Entry::Occupied(mut entry) = lock(&self.0).entry(room) {
            entry.get_mut().retain(|account| account.id != user);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// The whole roster as bells.
    pub fn tell(&self, round: u64) -> Vec<Bell> {
        let (mut bells, mut rooms, mut people) = (Vec::new(), Vec::new(), 0);
        for (room, present) in lock(&self.0).iter() {
            people += present.len();
            rooms.push((*room, present.iter().map(|account| Person(account.id, account.username.clone())).collect()));
            if people >= ROSTER_PART_PEOPLE {
                bells.push(Bell::Roster { round, rooms: std::mem::take(&mut rooms), is_last: false });
                people = 0;
            }
        }
        bells.push(Bell::Roster { round, rooms, is_last: true });
        bells
    }
}

/// What changed about the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Came(RoomId, Person),
    Went(RoomId, UserId),
}

/// The rosters of the other nodes.
#[derive(Debug, Default)]
pub(super) struct Others(HashMap<NodeId, HashMap<(RoomId, UserId), u64>>);

impl Others {
    /// Takes a bell of a node. Returns what is news.
    pub fn hear(&mut self, node: NodeId, bell: Bell) -> Vec<Change> {
        let roster = self.0.entry(node).or_default();
        match bell {
            // It is as new as the next round.
            Bell::Came(room, person) => match roster.insert((room, person.0), u64::MAX) {
                None => vec![Change::Came(room, person)],
                Some(_) => Vec::new(),
            },
            Bell::Went(room, user) => match roster.remove(&(room, user)) {
                Some(_) => vec![Change::Went(room, user)],
                None => Vec::new(),
            },
            Bell::Roster { round, rooms, is_last } => {
                let mut changes = Vec::new();
                for (room, people) in rooms {
                    for person in people {
                        if roster.insert((room, person.0), round).is_none() {
                            changes.push(Change::Came(room, person));
                        }
                    }
                }
                if is_last {
                    roster.retain(|(room, user), seen| {
                        let is_there = *seen >= round;
                        if !is_there {
                            changes.push(Change::Went(*room, *user));
                        }
                        is_there
                    });
                    // Who came meanwhile has to be in the next round.
                    roster.values_mut().for_each(|seen| *seen = round);
                }
                changes
            }
            _ => Vec::new(),
        }
    }

    /// A node is gone, with everybody.
    pub fn forget(&mut self, node: NodeId) -> Vec<Change> {
        let roster = self.0.remove(&node).unwrap_or_default();
        roster.into_keys().map(|(room, user)| Change::Went(room, user)).collect()
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
                            let account = Arc::new(Account { id, username, is_active: true });
                            (self.hear_presence)(ToShard::ArrivedElsewhere { room, account }, room);
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
        Arc::new(Account { id: UserId::fresh(), username: name.into(), is_active: true })
    }

    #[test]
    fn a_roster_is_told_whole_and_settles_what_was_lost_on_the_way() {
        let (own, mut others, node) = (Own::default(), Others::default(), NodeId(uuid::Uuid::now_v7()));
        let (room, ana, beto) = (RoomId::fresh(), account("ana"), account("beto"));
        own.came(room, &ana);
        own.came(room, &beto);
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
        own.came(room, &ana);
        assert_eq!(told(&own, 5), [Change::Came(room, person(&ana))]);
        assert_eq!(others.forget(node), [Change::Went(room, ana.id)]);
    }

    #[test]
    fn single_bells_are_news_once_and_survive_a_round_that_was_told_before() {
        let (mut others, node, room) = (Others::default(), NodeId(uuid::Uuid::now_v7()), RoomId::fresh());
        let ana = Person(UserId::fresh(), "ana".into());
        let came = || Bell::Came(room, ana.clone());
        assert_eq!(others.hear(node, came()), [Change::Came(room, ana.clone())]);
        assert_eq!(others.hear(node, came()), []);
        let empty = |round| Bell::Roster { round, rooms: Vec::new(), is_last: true };
        assert_eq!(others.hear(node, empty(1)), [], "she came while the round was told");
        assert_eq!(others.hear(node, empty(2)), [Change::Went(room, ana.0)]);
        assert_eq!(others.hear(node, Bell::Went(room, ana.0)), []);
    }

    #[test]
    fn a_large_roster_has_parts() {
        let own = Own::default();
        for _ in 0..ROSTER_PART_PEOPLE * 2 {
            own.came(RoomId::fresh(), &account("ana"));
        }
        let bells = own.tell(1);
        let people = |bell: &Bell| match bell {
            Bell::Roster { rooms, .. } => rooms.len(),
            _ => 0,
        };
        assert_eq!(bells.iter().map(people).collect::<Vec<_>>(), [ROSTER_PART_PEOPLE, ROSTER_PART_PEOPLE, 0]);
    }
}
