//! A shard whose sockets speak `pregon.v1`, and that a test has work on its own thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::core::Core;
use super::errand::{Answer, Errand, Identity};
use super::port::{Directory, Inbox};
use super::sim::ports::{Asked, Routes, ports};
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::net::stretch::{Sent, Stretch, Transmit};
use crate::engine::session::endpoint::Endpoint;
use crate::ids::{FamilyId, ShardId, Topic, UserId};
use crate::protocol::v1::request::Credential;
use crate::protocol::ws::negotiation::{Negotiation, Subprotocol};

/// Sockets that take everything at once.
#[derive(Default)]
pub(super) struct Sink(pub HashMap<u32, Vec<u8>>);

impl Transmit for Sink {
    fn send(&mut self, stretch: &Stretch<'_>, outcomes: &mut Vec<Sent>) {
        outcomes.clear();
        for (token, slices) in stretch.visits() {
            slices.iter().for_each(|slice| self.0.entry(token).or_default().extend_from_slice(slice));
            outcomes.push(Sent::All);
        }
    }

    fn unacknowledged_bytes(&self, _: u32) -> Option<usize> {
        None
    }
}

/// One shard, the only one of its node.
pub(crate) struct Shard {
    core: Core,
    sink: Sink,
    inbox: Arc<Inbox>,
    asked: Arc<Asked>,
    errands: Arc<Mutex<Vec<Errand>>>,
}

impl Shard {
    /// A shard that takes its mail from this inbox.
    pub(crate) fn new(inbox: Arc<Inbox>, directory: Arc<dyn Directory>, began: Instant) -> Self {
        let (asked, errands) = (Arc::<Asked>::default(), Arc::<Mutex<Vec<Errand>>>::default());
        let mut ports = ports(Arc::from([Arc::clone(&inbox)]), Arc::<Routes>::default(), &asked);
        let kept = Arc::clone(&errands);
        ports.directory = directory;
        ports.errands = Arc::new(move |errand| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(errand);
            true
        });
        Self { core: Core::new(ShardId(0), ports, began), sink: Sink::default(), inbox, asked, errands }
    }

    /// A new socket of this user: its number. It is welcomed.
    pub(crate) fn connect(&mut self, account: &Arc<Account>) -> u32 {
        let index = self.core.reserve();
        let negotiation = Negotiation { subprotocol: Subprotocol::V1, ..Negotiation::default() };
        self.core.begin_many(index, negotiation, Some(Credential::Token("t".into())), None);
        let place = |errand: &Errand| matches!(errand, Errand::Identify { session, .. } if session.index == index);
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        let found = errands.iter().position(place).map(|place| errands.swap_remove(place));
        drop(errands);
        let Some(Errand::Identify { session, request, .. }) = found else { panic!("whose it is was not asked") };
        let (account, mark) = (Arc::clone(account), self.mark(account.id, Endpoint::Many.topic(account.id)));
        let (family, token_left) = (FamilyId::issued(0), Duration::from_secs(86_400));
        let outcome = Ok(Identity { account, family, mark, token_left, token_expires: 0 });
        self.core.answered(Answer::Identified { session, request, outcome });
        index
    }

    /// A socket has said something.
    pub(crate) fn say(&mut self, index: u32, text: &str) {
        self.core.many_text(index, text);
    }

    /// A socket ends.
    pub(crate) fn end(&mut self, index: u32) {
        self.core.end(index, false);
        for (index, _) in std::mem::take(&mut self.core.over) {
            self.core.vacate(index);
            self.sink.0.remove(&index);
        }
    }

    /// What shards had done elsewhere since this was last asked.
    pub(crate) fn take_errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut *self.errands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a user has lost.
    pub(crate) fn mark(&self, user: UserId, topic: Topic) -> Mark {
        self.asked.withdrawals.mark(user, topic)
    }

    /// Takes at most so many messages.
    pub(crate) fn take_mail(&mut self, most: usize, now: Instant) {
        self.core.moment = now;
        for _ in 0..most {
            let Some(message) = self.inbox.pop() else { return };
            self.core.take(message);
        }
    }

    /// Sends everything that waits: what each socket was sent.
    pub(crate) fn walk(&mut self) -> BTreeMap<u32, Vec<u8>> {
        let mut outcomes = Vec::new();
        while self.core.walk_a_stretch(&mut self.sink, &mut outcomes) > 0 {}
        self.core.check_invariants();
        std::mem::take(&mut self.sink.0).into_iter().collect()
    }

    /// Nobody is there, and nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.core.many.is_empty() && self.core.live == 0
    }

    /// Subscriptions that are judged or read.
    pub(crate) fn held(&self) -> usize {
        self.core.many.values().map(|many| many.judged().len() + many.held().len()).sum()
    }
}
