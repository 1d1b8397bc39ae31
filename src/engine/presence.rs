//! Who is present in a room: the room's home shard counts the sockets of each user over all shards.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::chat::roster::Attendance;
use crate::domain::user::Account;
use crate::engine::topics::listeners::Listeners;
use crate::ids::{RoomId, UserId};
use crate::limits::{PRESENCE_COUNT_EVERY, PRESENCE_GRACE};

#[derive(Debug)]
struct Present {
    account: Arc<Account>,
    /// Sockets on this node.
    here: u16,
    /// Other nodes on which the user has sockets.
    elsewhere: u8,
    /// The room was told that the user came, so it is told when the user goes.
    is_told: bool,
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
    /// What a room above the size limit has beside. It is told how many are there, and not who.
    crowd: Option<Box<Crowd>>,
}

/// Finds people among many, and tells their number from time to time.
#[derive(Debug, Default)]
struct Crowd {
    /// Where each is in `present`.
    places: HashMap<UserId, u32>,
    /// The number that was told last.
    told: Option<u32>,
    /// The number will be told: the room is in `counting`.
    is_due: bool,
}

impl Room {
    fn place(&self, user: UserId) -> Option<usize> {
        match &self.crowd {
            Some(crowd) => crowd.places.get(&user).map(|place| *place as usize),
            None => self.present.iter().position(|other| other.account.id == user),
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.present.len()).unwrap_or(u32::MAX)
    }

    /// A user's entry, and whether it is new.
    fn present_of(&mut self, account: &Arc<Account>, is_told: bool) -> (bool, &mut Present) {
        if !is_told && self.crowd.is_none() {
            let places = (0..).zip(&self.present).map(|(place, known)| (known.account.id, place)).collect();
            self.crowd = Some(Box::new(Crowd { places, ..Crowd::default() }));
        }
        let place = self.place(account.id).unwrap_or_else(|| {
            if let Some(crowd) = &mut self.crowd {
                crowd.places.insert(account.id, u32::try_from(self.present.len()).unwrap_or(u32::MAX));
            } else if self.present.len() == self.present.capacity() {
                // The list grows by a quarter only: there are many rooms, and most are small.
                self.present.reserve_exact((self.present.len() / 4).max(2));
            }
            let is_told = is_told && self.crowd.is_none();
            self.present.push(Present { account: account.clone(), here: 0, elsewhere: 0, is_told, leave: None });
            self.present.len() - 1
        });
        let known = &mut self.present[place];
        if known.account.username.is_empty() {
            // Other nodes do not tell names where nobody is told who is there.
            known.account = account.clone();
        }
        (known.here == 0 && known.elsewhere == 0 && known.leave.is_none(), known)
    }

    fn remove(&mut self, place: usize) -> Present {
        let gone = self.present.swap_remove(place);
        if let Some(crowd) = &mut self.crowd {
            crowd.places.remove(&gone.account.id);
            if let Some(moved) = self.present.get(place) {
                crowd.places.insert(moved.account.id, u32::try_from(place).unwrap_or(u32::MAX));
            }
        }
        gone
    }
}

/// Presence in the rooms whose home this shard is.
#[derive(Debug)]
pub struct Presence {
    rooms: HashMap<RoomId, Room>,
    /// In the order of time. An entry is stale if the user has come back since.
    leaving: VecDeque<Leave>,
    /// Large rooms in which somebody came or went: since when.
    counting: VecDeque<(Instant, RoomId)>,
    last_leave: u32,
    grace: Duration,
}

impl Default for Presence {
    fn default() -> Self {
        let (leaving, counting) = (VecDeque::new(), VecDeque::new());
        Self { rooms: HashMap::new(), leaving, counting, last_leave: 0, grace: PRESENCE_GRACE }
    }
}

/// What a new socket means for the room.
#[derive(Debug)]
pub struct Arrival {
    /// The user was not present, not even in grace, and the room is told who comes: it hears `online`.
    pub is_new: bool,
    /// The user had no socket on this node: other nodes hear of it.
    pub is_first_here: bool,
    /// The other users who are present, for the newcomer's socket, where rooms are told who comes.
    pub others: Vec<Arc<Account>>,
    /// How many are present, where they are told that instead.
    pub count: Option<u32>,
    /// The shards that are told.
    pub listeners: Arc<Listeners>,
}

/// How many are present in a room.
#[derive(Debug)]
pub struct Counted {
    /// Where.
    pub room: RoomId,
    /// How many.
    pub present: u32,
    /// The shards that are told.
    pub listeners: Arc<Listeners>,
}

/// A user whose grace has ended, and who was told to be there.
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
    /// came. Unless the room `is_told` who comes, because it is too large, it is told from time to time how many are there.
    pub fn arrive(
        &mut self,
        room: RoomId,
        account: &Arc<Account>,
        listeners: &Arc<Listeners>,
        is_told: bool,
        now: Instant,
    ) -> Arrival {
        let empty = || Room { present: Vec::new(), listeners: listeners.clone(), crowd: None };
        let found = self.rooms.entry(room).or_insert_with(empty);
        // All shards had left, and then one came with new listeners. Messages may arrive out of order, so listeners
        // that are over must never replace those that are not.
        if found.listeners.is_over() {
            found.listeners.clone_from(listeners);
        }
        let (is_new, known) = found.present_of(account, is_told);
        let is_first_here = known.here == 0;
        known.here = known.here.saturating_add(1);
        known.leave = None;
        let (is_crowd, listeners) = (found.crowd.is_some(), found.listeners.clone());
        let others = found.present.iter().filter(|other| !is_crowd && other.account.id != account.id);
        let others = others.map(|other| other.account.clone()).collect();
        let count = is_crowd.then(|| found.count());
        if is_new {
            self.count_soon(room, now);
        }
        Arrival { is_new: is_new && !is_crowd, is_first_here, others, count, listeners }
    }

    /// Counts one socket of the user's less in the room. The last one on all nodes starts the grace. True if it was the last
    /// one on this node: other nodes hear of it.
    pub fn leave(&mut self, room: RoomId, user: UserId, now: Instant) -> bool {
        self.went(room, user, now, |known| {
            known.here = known.here.saturating_sub(1);
            known.here == 0
        })
    }

    /// Another node says that the user has come there. Returns the shards that hear `online`, unless the user was present or
    /// the room is not told who comes.
    pub fn arrive_elsewhere(
        &mut self,
        room: RoomId,
        account: &Arc<Account>,
        is_told: bool,
        now: Instant,
    ) -> Option<Arc<Listeners>> {
        let empty = || Room { present: Vec::new(), listeners: Arc::default(), crowd: None };
        let found = self.rooms.entry(room).or_insert_with(empty);
        let (is_new, known) = found.present_of(account, is_told);
        known.elsewhere = known.elsewhere.saturating_add(1);
        known.leave = None;
        let told = (is_new && found.crowd.is_none()).then(|| found.listeners.clone());
        if is_new {
            self.count_soon(room, now);
        }
        told
    }

    /// Who of these users is present in a room, and how many are.
    pub fn attendance(&self, room: RoomId, users: &[UserId]) -> Attendance {
        let Some(found) = self.rooms.get(&room) else {
            return Attendance { count: 0, are_present: vec![false; users.len()] };
        };
        let are_present = users.iter().map(|user| found.place(*user).is_some()).collect();
        Attendance { count: found.count(), are_present }
    }

    /// The number of those who are present changed.
    fn count_soon(&mut self, room: RoomId, now: Instant) {
        let crowd = self.rooms.get_mut(&room).and_then(|found| found.crowd.as_mut());
        if crowd.is_some_and(|crowd| !std::mem::replace(&mut crowd.is_due, true)) {
            self.counting.push_back((now, room));
        }
    }

    /// Takes the large rooms that are to be told by `now` how many are present.
    pub fn counted(&mut self, now: Instant) -> Vec<Counted> {
        let mut counted = Vec::new();
        while let Some(&(since, room)) = self.counting.front() {
            if now.saturating_duration_since(since) < PRESENCE_COUNT_EVERY {
                break;
            }
            self.counting.pop_front();
            let Some(found) = self.rooms.get_mut(&room) else { continue };
            let present = found.count();
            let Some(crowd) = found.crowd.as_mut() else { continue };
            crowd.is_due = false;
            if crowd.told.replace(present) != Some(present) {
                counted.push(Counted { room, present, listeners: found.listeners.clone() });
            }
        }
        counted
    }

    /// Another node says that the user has no socket there any more, or is gone itself. The last one starts the grace.
    pub fn leave_elsewhere(&mut self, room: RoomId, user: UserId, now: Instant) {
        self.went(room, user, now, |known| {
            known.elsewhere = known.elsewhere.saturating_sub(1);
            false
        });
    }

    fn went(&mut self, room: RoomId, user: UserId, now: Instant, count: impl FnOnce(&mut Present) -> bool) -> bool {
        let Some(found) = self.rooms.get_mut(&room) else { return false };
        let Some(place) = found.place(user) else { return false };
        let known = &mut found.present[place];
        let is_last = count(known);
        if known.here == 0 && known.elsewhere == 0 && known.leave.is_none() {
            self.last_leave = self.last_leave.wrapping_add(1).max(1);
            known.leave = NonZeroU32::new(self.last_leave);
            self.leaving.extend(known.leave.map(|number| Leave { number, at: now, room, user }));
        }
        is_last
    }

    /// Takes the users whose grace has ended by `now`. Rooms that were told that they came hear `offline`.
    pub fn gone(&mut self, now: Instant) -> Vec<Gone> {
        let mut gone = Vec::new();
        while let Some(&Leave { number, at, room, user }) = self.leaving.front() {
            if now.saturating_duration_since(at) < self.grace {
                break;
            }
            self.leaving.pop_front();
            let Some(found) = self.rooms.get_mut(&room) else { continue };
            let place = found.place(user).filter(|place| found.present[*place].leave == Some(number));
            if let Some(place) = place {
                let Present { account, is_told, .. } = found.remove(place);
                if is_told {
                    gone.push(Gone { room, account, listeners: found.listeners.clone() });
                }
                if found.present.is_empty() {
                    self.rooms.remove(&room);
                } else {
                    self.count_soon(room, now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ShardId;

    fn account() -> Arc<Account> {
        Arc::new(Account::active(UserId::fresh(), "ana".into()))
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
            assert!(Arc::ptr_eq(&presence.arrive(room, account, listeners, true, Instant::now()).listeners, &now));
        }
        assert!(now.leave(ShardId(1)));
        let again = here();
        assert!(Arc::ptr_eq(&presence.arrive(room, &ana, &again, true, Instant::now()).listeners, &again));
    }

    #[test]
    fn the_second_of_two_tabs_is_silent_and_so_is_closing_it() {
        let (mut presence, room, ana, now) = (Presence::default(), RoomId::fresh(), account(), Instant::now());
        assert!(presence.arrive(room, &ana, &here(), true, Instant::now()).is_new);
        assert!(!presence.arrive(room, &ana, &here(), true, Instant::now()).is_new);
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
        presence.arrive(room, &ana, &here(), true, Instant::now());
        presence.leave(room, ana.id, now);
        assert!(!presence.arrive(room, &ana, &here(), true, Instant::now()).is_new);
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty());
        presence.leave(room, ana.id, now + PRESENCE_GRACE);
        assert_eq!(presence.next_due(), Some(now + 2 * PRESENCE_GRACE));
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty(), "the first leave's entry is stale");
        assert_eq!(presence.gone(now + 2 * PRESENCE_GRACE).len(), 1);
    }

    #[test]
    fn who_is_on_two_nodes_goes_when_both_are_left() {
        let (mut presence, room, ana, now) = (Presence::default(), RoomId::fresh(), account(), Instant::now());
        assert!(
            presence.arrive_elsewhere(room, &ana, true, Instant::now()).is_some_and(|listeners| listeners.is_over())
        );
        let beto = presence.arrive(room, &account(), &here(), true, Instant::now());
        assert_eq!(beto.others.iter().map(|other| other.id).collect::<Vec<_>>(), [ana.id], "a newcomer learns of her");
        let second = presence.arrive(room, &ana, &here(), true, Instant::now());
        assert!(!second.is_new && second.is_first_here);
        assert!(presence.arrive_elsewhere(room, &ana, true, Instant::now()).is_none(), "a third node");
        presence.leave_elsewhere(room, ana.id, now);
        presence.leave_elsewhere(room, ana.id, now);
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty(), "she is still here");
        assert!(presence.leave(room, ana.id, now), "the last one on this node");
        assert!(presence.arrive_elsewhere(room, &ana, true, Instant::now()).is_none(), "she moved within the grace");
        assert!(presence.gone(now + PRESENCE_GRACE).is_empty());
        presence.leave_elsewhere(room, ana.id, now);
        assert_eq!(presence.gone(now + PRESENCE_GRACE).len(), 1);
    }

    #[test]
    fn a_newcomer_learns_who_is_there() {
        let (mut presence, room, ana, beto) = (Presence::default(), RoomId::fresh(), account(), account());
        presence.arrive(room, &ana, &here(), true, Instant::now());
        let arrival = presence.arrive(room, &beto, &here(), true, Instant::now());
        assert_eq!(arrival.others.iter().map(|other| other.id).collect::<Vec<_>>(), [ana.id]);
    }

    #[test]
    fn a_large_room_is_told_from_time_to_time_how_many_are_there() {
        let (mut presence, room, now) = (Presence::default(), RoomId::fresh(), Instant::now());
        let people: Vec<_> = (0..100).map(|_| account()).collect();
        for one in &people[..60] {
            let arrival = presence.arrive(room, one, &here(), false, now);
            assert!(!arrival.is_new && arrival.is_first_here && arrival.others.is_empty());
        }
        assert_eq!(presence.arrive(room, &people[0], &here(), false, now).count, Some(60), "a second tab");
        for one in &people[50..] {
            assert!(presence.arrive_elsewhere(room, one, false, now).is_none(), "nobody is told who comes");
        }
        assert!(presence.counted(now).is_empty(), "not at once");
        let told = presence.counted(now + PRESENCE_COUNT_EVERY);
        assert_eq!(told.iter().map(|told| told.present).collect::<Vec<_>>(), [100], "once, over all nodes");
        assert!(presence.counted(now + 2 * PRESENCE_COUNT_EVERY).is_empty(), "nothing has changed");
        for one in &people[10..60] {
            presence.leave(room, one.id, now);
        }
        let later = now + PRESENCE_GRACE;
        assert!(presence.gone(later).is_empty(), "nobody is told who goes");
        let told = presence.counted(later + PRESENCE_COUNT_EVERY);
        assert_eq!(told.iter().map(|told| told.present).collect::<Vec<_>>(), [60]);
        let asked: Vec<UserId> = people.iter().map(|one| one.id).collect();
        let Attendance { count, are_present } = presence.attendance(room, &asked);
        assert_eq!(count, 60);
        let expected: Vec<bool> = (0..100).map(|number| !(10..50).contains(&number)).collect();
        assert_eq!(are_present, expected);
    }

    #[test]
    fn who_was_told_to_come_is_told_to_go_although_the_room_has_grown() {
        let (mut presence, room, now) = (Presence::default(), RoomId::fresh(), Instant::now());
        let (ana, beto) = (account(), account());
        assert!(presence.arrive(room, &ana, &here(), true, now).is_new);
        assert_eq!(presence.arrive(room, &beto, &here(), false, now).count, Some(2));
        presence.leave(room, ana.id, now);
        presence.leave(room, beto.id, now);
        let gone = presence.gone(now + PRESENCE_GRACE);
        assert_eq!(gone.iter().map(|gone| gone.account.id).collect::<Vec<_>>(), [ana.id]);
        assert!(presence.is_empty());
    }
}
