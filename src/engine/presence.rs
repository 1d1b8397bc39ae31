//! Who is present in a room: the room's home shard counts the sockets of each user over all shards.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::user::Account;
use crate::engine::topics::listeners::Listeners;
use crate::ids::{RoomId, UserId};
use crate::limits::PRESENCE_GRACE;

#[derive(Debug)]
struct Present {
    account: Arc<Account>,
    /// Sockets on this node.
    here: u16,
    /// Other nodes on which the user has sockets.
    elsewhere: u16,
    /// Set while the user has no socket left and the grace runs: the number of the entry in `leaving`.
    leave: Option<NonZeroU32>,
}

// A room keeps one of these for each user who is present, so its size counts.
const _: () = assert!(size_of::<Present>() <= 16);

#[derive(Debug)]
struct Leave {
    number: NonZeroU32,
    at: Instant,
    room: RoomId,
    user: UserId,
}

#[derive(Debug)]
struct Room {
    present: Vec<Present>,
    /// The shards that are told. They are replaced only once they are over (see [`Presence::arrive`]).
    listeners: Arc<Listeners>,
}

/// Presence in the rooms whose home this shard is. Rooms above the size limit never get here.
#[derive(Debug)]
pub struct Presence {
    rooms: HashMap<RoomId, Room>,
    /// In the order of time. An entry is stale if the user has come back since.
    leaving: VecDeque<Leave>,
    last_leave: u32,
    grace: Duration,
}

impl Default for Presence {
    fn default() -> Self {
        Self { rooms: HashMap::new(), leaving: VecDeque::new(), last_leave: 0, grace: PRESENCE_GRACE }
    }
}

/// What a new socket means for the room.
#[derive(Debug)]
pub struct Arrival {
    /// The user was not present, not even in grace: the room hears `online`.
    pub is_new: bool,
    /// The user had no socket on this node: other nodes hear of it.
    pub is_first_here: bool,
    /// The other users who are present, for the newcomer's socket.
    pub others: Vec<Arc<Account>>,
    /// The shards that are told.
    pub listeners: Arc<Listeners>,
}

/// A user whose grace has ended.
#[derive(Debug)]
pub struct Gone {
    /// From which room.
    pub room: RoomId,
    /// Who.
    pub account: Arc<Account>,
    /// The shards that are told.
    pub listeners: Arc<Listeners>,
}

impl Presence {
    /// Counts one more socket of a user in the room. `listeners` are the shards that listened there when the socket
    /// came.
    pub fn arrive(&mut self, room: RoomId, account: &Arc<Account>, listeners: &Arc<Listeners>) -> Arrival {
        let empty = || Room { present: Vec::new(), listeners: listeners.clone() };
        let Room { present, listeners: known } = self.rooms.entry(room).or_insert_with(empty);
        // All shards had left, and then one came with new listeners. Messages may arrive out of order, so listeners
        // that are over must never replace those that are not.
        if known.is_over() {
            known.clone_from(listeners);
        }
        let listeners = known.clone();
        let others =
            present.iter().filter(|other| other.account.id != account.id).map(|other| other.account.clone()).collect();
        let (is_new, known) = present_of(present, account);
        let is_first_here = known.here == 0;
        known.here = known.here.saturating_add(1);
        known.leave = None;
        Arrival { is_new, is_first_here, others, listeners }
    }

    /// Counts one socket of the user's less in the room. The last one on all nodes starts the grace. True if it was the last
    /// one on this node: other nodes hear of it.
    pub fn leave(&mut self, room: RoomId, user: UserId, now: Instant) -> bool {
        self.went(room, user, now, |known| {
            known.here = known.here.saturating_sub(1);
            known.here == 0
        })
    }

    /// Another node says that the user has come there. Returns the shards that hear `online`, unless the user was present.
    pub fn arrive_elsewhere(&mut self, room: RoomId, account: &Arc<Account>) -> Option<Arc<Listeners>> {
        let empty = || Room { present: Vec::new(), listeners: Arc::default() };
        let Room { present, listeners } = self.rooms.entry(room).or_insert_with(empty);
        let (is_new, known) = present_of(present, account);
        known.elsewhere = known.elsewhere.saturating_add(1);
        known.leave = None;
        is_new.then(|| listeners.clone())
    }

    /// Another node says that the user has no socket there any more, or is gone itself. The last one starts the grace.
    pub fn leave_elsewhere(&mut self, room: RoomId, user: UserId, now: Instant) {
        self.went(room, user, now, |known| {
            known.elsewhere = known.elsewhere.saturating_sub(1);
            false
        });
    }

    fn went(&mut self, room: RoomId, user: UserId, now: Instant, count: impl FnOnce(&mut Present) -> bool) -> bool {
        let Some(Room { present, .. }) = self.rooms.get_mut(&room) else { return false };
        let Some(known) = present.iter_mut().find(|other| other.account.id == user) else { return false };
        let is_last = count(known);
        if known.here == 0 && known.elsewhere == 0 && known.leave.is_none() {
            self.last_leave = self.last_leave.wrapping_add(1).max(1);
            known.leave = NonZeroU32::new(self.last_leave);
            self.leaving.extend(known.leave.map(|number| Leave { number, at: now, room, user }));
        }
        is_last
    }

    /// Takes the users whose grace has ended by `now`: their rooms hear `offline`.
    pub fn gone(&mut self, now: Instant) -> Vec<Gone> {
        let mut gone = Vec::new();
        while let Some(&Leave { number, at, room, user }) = self.leaving.front() {
            if now.saturating_duration_since(at) < self.grace {
                break;
            }
            self.leaving.pop_front();
            let Some(Room { present, listeners }) = self.rooms.get_mut(&room) else { continue };
            let place = present.iter().position(|other| other.account.id == user && other.leave == Some(number));
            if let Some(place) = place {
                let account = present.swap_remove(place).account;
                gone.push(Gone { room, account, listeners: listeners.clone() });
                if present.is_empty() {
                    self.rooms.remove(&room);
                }
            }
        }
        gone
    }

    /// The memory of the users who are present.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        let present: usize = self.rooms.values().map(|room| room.present.capacity() * size_of::<Present>()).sum();
        crate::engine::topics::table_bytes::<(RoomId, Room)>(self.rooms.capacity()) + present
    }

    /// True if nobody is present or in grace.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// When the next grace ends, if one runs.
    pub fn next_due(&self) -> Option<Instant> {
        self.leaving.front().map(|leave| leave.at + self.grace)
    }
}

/// A user's entry, and whether it is new.
fn present_of<'a>(present: &'a mut Vec<Present>, account: &Arc<Account>) -> (bool, &'a mut Present) {
    let place = present.iter().position(|other| other.account.id == account.id);
    let place = place.unwrap_or_else(|| {
        if present.len() == present.capacity() {
            // The list grows by a quarter only: there are many rooms, and most are small.
            present.reserve_exact((present.len() / 4).max(2));
        }
        present.push(Present { account: account.clone(), here: 0, elsewhere: 0, leave: None });
        present.len() - 1
    });
    let known = &mut present[place];
    (known.here == 0 && known.elsewhere == 0 && known.leave.is_none(), known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ShardId;

    fn account() -> Arc<Account> {
        Arc::new(Account { id: UserId::fresh(), username: "ana".into(), is_active: true })
    }

    fn here() -> Arc<Listeners> {
        Arc::new(Listeners::of(ShardId(0)))
    }

    /// The second socket is counted first: the first one's message waited behind others.
    #[test]
    fn listeners_that_are_over_never_take_the_place_of_those_that_are_not() {
        let (mut presence, room, ana, beto) = (Presence::default(), RoomId::fresh(), account(), account());
        let (before, now) = (here(), Arc::new(Listeners::of(ShardId(1))));
        assert!(before.leave(ShardId(0)));
        for (account, listeners) in [(&beto, &now), (&ana, &before)] {
            assert!(Arc::ptr_eq(&presence.arrive(room, account, listeners).listeners, &now));
        }
        assert!(now.leave(ShardId(1)));
        let again = here();
        assert!(Arc::ptr_eq(&presence.arrive(room, &ana, &again).listeners, &again));
    }

    #[test]
    fn the_second_of_two_tabs_is_silent_and_so_is_closing_it() {
        let (mut presence, room, ana, now) = (Presence::default(), RoomId::fresh(), account(), Instant::now());
        assert!(presence.arrive(room, &ana, &here()).is_new);
        assert!(!presence.arrive(room, &ana, &here()).is_new);
        presence.leave(room, ana.id, now);
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty());
        presence.leave(room, ana.id, now);
        assert!(presence.gone(now + PRESENCE_GRACE / 2).is_empty(), "grace");
        let gone = presence.gone(now + PRESENCE_GRACE);
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].account.id, ana.id);
        assert!(presence.rooms.is_empty() && presence.leaving.is_empty());
    }

    #[test]
    fn who_comes_back_within_the_grace_never_left() {
        let (mut presence, room, ana, now) = (Presence::default(), RoomId::fresh(), account(), Instant::now());
        presence.arrive(room, &ana, &here());
        presence.leave(room, ana.id, now);
        assert!(!presence.arrive(room, &ana, &here()).is_new);
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty());
        presence.leave(room, ana.id, now + PRESENCE_GRACE);
        assert_eq!(presence.next_due(), Some(now + 2 * PRESENCE_GRACE));
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty(), "the first leave's entry is stale");
        assert_eq!(presence.gone(now + 2 * PRESENCE_GRACE).len(), 1);
    }

    #[test]
    fn who_is_on_two_nodes_goes_when_both_are_left() {
        let (mut presence, room, ana, now) = (Presence::default(), RoomId::fresh(), account(), Instant::now());
        assert!(presence.arrive_elsewhere(room, &ana).is_some_and(|listeners| listeners.is_over()));
        let beto = presence.arrive(room, &account(), &here());
        assert_eq!(beto.others.iter().map(|other| other.id).collect::<Vec<_>>(), [ana.id], "a newcomer learns of her");
        let second = presence.arrive(room, &ana, &here());
        assert!(!second.is_new && second.is_first_here);
        assert!(presence.arrive_elsewhere(room, &ana).is_none(), "a third node");
        presence.leave_elsewhere(room, ana.id, now);
        presence.leave_elsewhere(room, ana.id, now);
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty(), "she is still here");
        assert!(presence.leave(room, ana.id, now), "the last one on this node");
        assert!(presence.arrive_elsewhere(room, &ana).is_none(), "she moved within the grace");
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty());
        presence.leave_elsewhere(room, ana.id, now);
        assert_eq!(presence.gone(now + PRESENCE_GRACE).len(), 1);
    }

    #[test]
    fn a_newcomer_learns_who_is_there() {
        let (mut presence, room, ana, beto) = (Presence::default(), RoomId::fresh(), account(), account());
        presence.arrive(room, &ana, &here());
        let arrival = presence.arrive(room, &beto, &here());
        assert_eq!(arrival.others.iter().map(|other| other.id).collect::<Vec<_>>(), [ana.id]);
    }
}
