//! What a socket of `pregon.v1` has beside its session.

use super::errand::{From, Ticket};
use crate::domain::event::Cursor;
use crate::engine::session::Seconds;
use crate::ids::Topic;
use crate::protocol::v1::request::RequestId;
use crate::protocol::v1::said::{Naming, Said};

/// What a socket of `pregon.v1` has beside its session.
#[derive(Debug, Default)]
pub(super) struct Many {
    /// It was too slow and lost its topics, and its socket has taken nothing since.
    pub is_relieved: bool,
    /// Whose it is, is known.
    pub is_known: bool,
    /// Its token is being judged.
    pub is_identifying: bool,
    /// Its questions about rooms that are under way.
    pub questions: u8,
    /// What belongs to each of the session's seats, by number.
    pub seats: Vec<Subscription>,
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
        self.busy.take_if(|busy| busy.early.is_empty() && busy.judged.is_empty() && busy.held.is_empty());
    }
}

/// What belongs to a seat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    /// What it had when it was caught up: publishers may be late, and what they tell up to there is old. `None` while it is being
    /// caught up, and from the first event behind that on.
    pub until: Option<Until>,
    /// When it was joined.
    pub since: Seconds,
    /// The room's home knows that the user is here.
    pub is_present: bool,
}

/// What a subscription had when it was caught up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    epoch: u32,
    seq: u64,
    naming: Naming,
}

impl Until {
    /// Everything up to `cursor`, and everybody who was named at `naming`.
    pub(super) fn new(cursor: Cursor, naming: Naming) -> Self {
        let Cursor { epoch, seq } = cursor;
        Self { epoch, seq, naming }
    }

    /// The last event that it had.
    pub(super) fn cursor(self) -> Cursor {
        Cursor { epoch: self.epoch, seq: self.seq }
    }

    /// It knows whom frames name that were made then: they tell whoever is new. Earlier frames, which come late, may name others.
    pub(super) fn knows(self, naming: Naming) -> bool {
        naming.is_behind(self.naming)
    }
}

/// A topic that a socket asked for.
#[derive(Debug)]
pub(super) struct Judged {
    pub ticket: Ticket,
    pub topic: Topic,
    pub request: Option<RequestId>,
    pub errand: From,
}

// Each topic of each socket has one.
const _: () = assert!(size_of::<Subscription>() <= 32);

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
    /// The room is told who comes and goes.
    pub tells_presence: bool,
    pub said: Said,
    /// The last event that was said since it joined, and when its users were named.
    pub seen: Option<(Cursor, Naming)>,
    /// More was said than may wait: it is read once more.
    pub is_cut: bool,
}
