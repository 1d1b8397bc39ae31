//! What each session's slot is counted by: under which address, and how much it says.

use super::core::Core;
use super::port::Address;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::pace::{Kind, TooFast};
use crate::protocol::v0::reason;
use crate::telemetry;

impl Core {
    /// A reserved slot's connection is counted under this address until the slot is empty.
    pub(super) fn counts_under(&mut self, index: u32, address: Address) {
        let (addresses, place) = (&mut self.counted.addresses, index as usize);
        if address != Address::default() && addresses.len() <= place {
            addresses.resize(place + 1, Address::default());
        }
        if let Some(known) = addresses.get_mut(place) {
            *known = address;
        }
    }

    /// Under what a slot's connection is counted.
    pub(super) fn address_of(&self, index: u32) -> Address {
        self.counted.addresses.get(index as usize).copied().unwrap_or_default()
    }

    /// A slot's connection is over.
    pub(super) fn counts_no_more(&mut self, index: u32) {
        if let Some(known) = self.counted.addresses.get_mut(index as usize) {
            self.ports.gate.disconnected(std::mem::take(known));
        }
    }

    /// A session begins to speak.
    pub(super) fn begins_to_speak(&mut self, index: u32) {
        let Some(paces) = &self.ports.allowance.paces else { return };
        let (beginning, place) = (paces.beginning(self.moment), index as usize);
        if self.counted.said.len() <= place {
            self.counted.said.resize(place + 1, beginning);
        }
        self.counted.said[place] = beginning;
    }

    /// Takes one frame of an open session.
    ///
    /// # Errors
    /// It comes too fast, and nothing may be done for it. Returns the milliseconds after which one more may come. A session that
    /// goes on is let go with 4029.
    #[inline]
    pub(super) fn takes(&mut self, index: u32, kind: Kind) -> Result<(), u32> {
        let Some(paces) = &self.ports.allowance.paces else { return Ok(()) };
        let session = self.slots[index as usize].as_ref().map(|slot| &slot.session);
        let user = session.and_then(|session| session.account()).map(|account| account.id);
        let Some(said) = self.counted.said.get_mut(index as usize) else { return Ok(()) };
        match paces.take(said, user, kind, self.moment) {
            Ok(()) => Ok(()),
            Err(too_fast) => self.takes_no_more(index, kind, too_fast),
        }
    }

    /// Says in log and metrics that a limit was hit by a socket.
    pub(super) fn note_limit(&self, index: u32, limit: &'static str) {
        match self.slots[index as usize].as_ref().and_then(|slot| slot.session.account()) {
            Some(account) => telemetry::limit_hit(limit, account.id),
            None => telemetry::limit_hit(limit, "a socket of nobody"),
        }
    }

    #[cold]
    fn takes_no_more(&mut self, index: u32, kind: Kind, too_fast: TooFast) -> Result<(), u32> {
        let Some(session) = self.slots[index as usize].as_ref().map(|slot| &slot.session) else { return Ok(()) };
        if session.endpoint() == Endpoint::Echo {
            return Ok(());
        }
        self.stats.counts.refused_frames[kind as usize] += 1;
        if too_fast.is_over {
            self.note_limit(index, "frames");
            telemetry::session_let_go("flood", self.id.0);
            self.goodbye(index, reason::TOO_FAST);
        }
        Err(too_fast.wait_ms)
    }
}
