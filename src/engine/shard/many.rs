//! What a socket of `pregon.v1` has beside its session.

use std::net::IpAddr;

use slab::Slab;

use super::errand::{From, Ticket};
use crate::domain::event::Cursor;
use crate::engine::session::{Entry, Seconds};
use crate::ids::Topic;
use crate::protocol::v1::request::RequestId;
use crate::protocol::v1::said::{Naming, Said};

/// All sockets of `pregon.v1` of a shard, by their slots.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// For each slot of the shard where its socket lies, or [`NOWHERE`]. As long as the highest slot of one needs.
    places: Vec<u32>,
    /// They lie side by side: a table of them would have room for twice as many.
    sockets: Slab<Many>,
}

const NOWHERE: u32 = u32::MAX;

impl Sockets {
    fn place(&self, index: u32) -> Option<usize> {
        let place = self.places.get(index as usize).copied().filter(|place| *place != NOWHERE)?;
        Some(place as usize)
    }

    pub(super) fn get(&self, index: &u32) -> Option<&Many> {
        self.sockets.get(self.place(*index)?)
    }

    pub(super) fn get_mut(&mut self, index: &u32) -> Option<&mut Many> {
        self.sockets.get_mut(self.place(*index)?)
    }

    pub(super) fn contains_key(&self, index: &u32) -> bool {
        self.place(*index).is_some()
    }

    pub(super) fn insert(&mut self, index: u32, many: Many) {
        self.remove(&index);
        let place = self.sockets.insert(many);
        let slot = index as usize;
        if self.places.len() <= slot {
            self.places.resize(slot + 1, NOWHERE);
        }
        self.places[slot] = u32::try_from(place).expect("slots are numbered by u32");
    }

    pub(super) fn remove(&mut self, index: &u32) -> Option<Many> {
        let place = self.place(*index)?;
        self.places[*index as usize] = NOWHERE;
        self.sockets.try_remove(place)
    }

    /// Their slots.
    pub(super) fn keys(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.places).filter(|(_, place)| **place != NOWHERE).map(|(slot, _)| slot)
    }

    /// What they keep on the heap.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let lists: usize = self.sockets.iter().map(|(_, many)| many.seats.heap_bytes()).sum();
        self.places.len() * size_of::<u32>() + self.sockets.len() * size_of::<Many>() + lists
    }

    /// All of them.
    pub(super) fn values(&self) -> impl Iterator<Item = &Many> {
        self.sockets.iter().map(|(_, many)| many)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }
}

/// What a socket of `pregon.v1` has beside its session.
#[derive(Debug, Default)]
pub(super) struct Many {
    /// It was too slow and lost its topics, and its socket has taken nothing since.
    pub is_relieved: bool,
    /// Whose it is, is known.
    pub is_known: bool,
    /// It was told to move.
    pub is_moving: bool,
    /// Its token is being judged.
    pub is_identifying: bool,
    /// When it was last told whom numbers mean, in one of its topics. Frames that were made later tell it themselves whoever is
    /// new; those that were made earlier and come late may name others.
    pub naming: Naming,
    /// What belongs to each of the session's seats, by number.
    pub seats: Subscriptions,
    /// What is under way for it: nothing, for nearly all.
    busy: Option<Box<Busy>>,
}

/// What is under way for a socket.
#[derive(Debug, Default)]
pub(super) struct Busy {
    /// What it asked for before its token was judged.
    pub early: Vec<Box<str>>,
    /// Topics that it asked for and that are being judged.
    pub judged: Vec<Judged>,
    /// Subscriptions that are not live yet: what they missed is being read.
    pub held: Vec<Held>,
    /// Its questions about rooms.
    pub questions: u8,
    /// What is looked up for its subscriptions, those included that it has given up.
    pub errands: u16,
    /// Its client's address, while nobody knows whose it is.
    pub client: Option<IpAddr>,
}

impl Busy {
    /// What is kept for it until then.
    pub(super) fn kept_bytes(&self) -> usize {
        let early: usize = self.early.iter().map(|text| kept_bytes_of(text)).sum();
        early + self.held.iter().map(|held| held.said.frames.len()).sum::<usize>()
    }
}

/// What a request takes that came too early.
pub(super) fn kept_bytes_of(text: &str) -> usize {
    text.len() + size_of::<Box<str>>()
}

// Each socket of `pregon.v1` has one.
const _: () = assert!(size_of::<Many>() <= 40);

impl Many {
    /// Topics that are being judged.
    pub(super) fn judged(&self) -> &[Judged] {
        self.busy.as_ref().map_or(&[], |busy| &busy.judged)
    }

    /// Subscriptions whose missed events are being read.
    pub(super) fn held(&self) -> &[Held] {
        self.busy.as_ref().map_or(&[], |busy| &busy.held)
    }

    /// What is under way, to change it. [`Self::rest`] gives its memory back.
    pub(super) fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    /// Keeps no memory for what is under way if nothing is.
    pub(super) fn rest(&mut self) {
        self.busy.take_if(|busy| {
            let is_at_rest = busy.early.is_empty() && busy.judged.is_empty() && busy.held.is_empty();
            is_at_rest && busy.questions == 0 && busy.errands == 0 && busy.client.is_none()
        });
    }

    /// Notes its client's address, while nobody knows whose it is.
    pub(super) fn knocks_from(&mut self, client: Option<IpAddr>) {
        if client.is_some() || self.client().is_some() {
            self.busy().client = client;
            self.rest();
        }
    }

    /// Its client's address, while nobody knows whose it is.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.busy.as_ref()?.client
    }

    /// What it asked for before its token was judged.
    pub(super) fn take_early(&mut self) -> Vec<Box<str>> {
        let early = self.busy.as_mut().map(|busy| std::mem::take(&mut busy.early)).unwrap_or_default();
        self.rest();
        early
    }

    /// What is looked up for its subscriptions.
    pub(super) fn errands(&self) -> usize {
        self.busy.as_ref().map_or(0, |busy| usize::from(busy.errands))
    }

    /// Something that was looked up for one of its subscriptions has come.
    pub(super) fn errand_done(&mut self) {
        if let Some(busy) = &mut self.busy {
            busy.errands = busy.errands.saturating_sub(1);
        }
        self.rest();
    }

    /// What is kept for what is under way.
    pub(super) fn kept_bytes(&self) -> usize {
        self.busy.as_ref().map_or(0, |busy| busy.kept_bytes())
    }
}

/// What belongs to each of a session's seats, by number. Nearly all sockets that have any have one or many.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a socket with one topic pays for no more")]
pub(super) enum Subscriptions {
    #[default]
    None,
    One(Subscription),
    More(Box<Vec<Subscription>>),
}

impl Subscriptions {
    pub(super) fn all(&self) -> &[Subscription] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::More(all) => all,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Subscription> {
        self.all().get(number)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Subscription> {
        match self {
            Self::None => None,
            Self::One(one) => Some(one).filter(|_| number == 0),
            Self::More(all) => all.get_mut(number),
        }
    }

    /// Adds one under the next number.
    pub(super) fn push(&mut self, next: Subscription) {
        match self {
            Self::None => *self = Self::One(next),
            Self::One(first) => *self = Self::More(Box::new(vec![*first, next])),
            Self::More(all) => {
                if all.len() == all.capacity() {
                    // A quarter more: none has very many.
                    all.reserve_exact(1 + all.len() / 4);
                }
                all.push(next);
            }
        }
    }

    /// Removes the one with this number. The one with the highest number gets its number.
    pub(super) fn take(&mut self, number: usize) -> Option<Subscription> {
        match self {
            Self::More(all) if number < all.len() => Some(all.swap_remove(number)),
            Self::One(one) if number == 0 => {
                let one = *one;
                *self = Self::None;
                Some(one)
            }
            Self::None | Self::One(_) | Self::More(_) => None,
        }
    }

    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 0,
            Self::More(all) => size_of::<Vec<Subscription>>() + all.capacity() * size_of::<Subscription>(),
        }
    }
}

/// What belongs to a seat. Sockets may have hundreds, so its parts share words.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(4))]
pub(super) struct Subscription {
    /// The number of [`Self::until`], if its epoch is not 0.
    seq: u64,
    /// Its epoch: that of a log is never 0.
    epoch: u32,
    /// When it was joined, in seconds since the shard began, four times; two more if the session was told who is present in the room;
    /// and one more if the room's home knows that the user is here.
    since_and_present: u32,
}

impl Subscription {
    /// A seat that was taken now.
    pub(super) fn joined(now: Seconds) -> Self {
        Self { seq: 0, epoch: 0, since_and_present: now.0 << 2 }
    }

    /// What it had when it was caught up: publishers may be late, and what they tell up to there is old. `None` while it is being
    /// caught up, and from the first event behind that on.
    pub(super) fn until(&self) -> Option<Cursor> {
        let Self { seq, epoch, .. } = *self;
        (epoch != 0).then_some(Cursor { epoch, seq })
    }

    pub(super) fn set_until(&mut self, until: Option<Cursor>) {
        debug_assert!(until.is_none_or(|until| until.epoch != 0), "no log has the epoch 0");
        let Cursor { epoch, seq } = until.unwrap_or(Cursor { epoch: 0, seq: 0 });
        (self.epoch, self.seq) = (epoch, seq);
    }

    /// When it was joined.
    pub(super) fn since(&self) -> Seconds {
        Seconds(self.since_and_present >> 2)
    }

    /// The room's home knows that the user is here.
    pub(super) fn is_present(&self) -> bool {
        self.since_and_present & 1 == 1
    }

    pub(super) fn set_present(&mut self) {
        self.since_and_present |= 1;
    }

    /// The session was told who is present in the room, and hears who comes and goes.
    pub(super) fn is_greeted(&self) -> bool {
        self.since_and_present & 2 == 2
    }

    pub(super) fn set_greeted(&mut self) {
        self.since_and_present |= 2;
    }
}

// Each topic of each socket has one.
const _: () = assert!(size_of::<Subscription>() == 16);

/// A topic that a socket asked for.
#[derive(Debug)]
pub(super) struct Judged {
    pub ticket: Ticket,
    pub topic: Topic,
    pub request: Option<RequestId>,
    pub errand: From,
}

/// A request for a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// It waits for its answer, with the name that its client gave it, if any.
    Waits(Option<RequestId>),
    /// It was answered.
    Answered,
}

/// A subscription whose missed events are being read. What is said meanwhile waits here.
#[derive(Debug)]
pub(super) struct Held {
    pub ticket: Ticket,
    pub topic: Topic,
    /// The request that was not answered yet.
    pub request: Asked,
    /// How it was judged.
    pub entry: Entry,
    pub said: Said,
    /// The last event that was said since it joined, and when its users were named.
    pub seen: Option<(Cursor, Naming)>,
    /// More was said than may wait: it is read once more.
    pub is_cut: bool,
}
