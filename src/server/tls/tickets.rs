//! Tickets by which clients come back with half the work, on any node: sealed with keys that follow from a secret and the hour.
//!
//! Nothing is stored and nothing is told to other nodes. Only TLS 1.3 has tickets: there each resumption exchanges keys anew, so
//! that who learns the secret later cannot read what was recorded. A ticket of TLS 1.2 would hold the very key of its session.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ProtocolVersion;
use rustls::server::ProducesTickets;

use crate::clock::Timestamp;
use crate::limits::TLS_TICKET_SECONDS;

/// Keeps what follows from the secret here apart from all else that may follow from it. The number is that of the tickets' form.
const LABEL: &[u8] = b"pregon TLS tickets 1";
const HOUR_BYTES: usize = 4;

/// Seals tickets and opens them.
pub(super) struct Tickets {
    secret: Prk,
    random: SystemRandom,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    /// Tickets that all who have this secret can open.
    pub(super) fn new(secret: &[u8]) -> Self {
        Self { secret: Salt::new(HKDF_SHA256, LABEL).extract(secret), random: SystemRandom::new() }
    }

    /// The key of an hour. It costs two hashes, so none is kept.
    fn key(&self, hour: u32) -> Option<LessSafeKey> {
        let hour = hour.to_be_bytes();
        let info = [&hour[..]];
        let key = self.secret.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }

    fn seal(&self, plain: &[u8], hour: u32) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let head = hour.to_be_bytes();
        let mut sealed = plain.to_vec();
        let key = self.key(hour)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut sealed).ok()?;
        Some([&head[..], &nonce, &sealed].concat())
    }

    /// Opens a ticket of this hour, of the one before, or of a node whose clock is already in the next one.
    fn open(&self, ticket: &[u8], hour: u32) -> Option<Vec<u8>> {
        let (head, rest) = ticket.split_first_chunk::<HOUR_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let of = u32::from_be_bytes(*head);
        if of.abs_diff(hour) > 1 {
            return None;
        }
        let mut plain = sealed.to_vec();
        let opened = self.key(of)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(*head), &mut plain);
        let length = opened.ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TLS_TICKET_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if !is_of_tls13(plain) {
            return None;
        }
        self.seal(plain, this_hour())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, this_hour())
    }
}

fn this_hour() -> u32 {
    u32::try_from(Timestamp::now().seconds() / i64::from(TLS_TICKET_SECONDS)).unwrap_or(0)
}

/// Whether a session that rustls wants to seal speaks TLS 1.3. rustls does not say, but writes it behind the name of the server, which
/// may be missing. A test with a client of each version holds this.
fn is_of_tls13(session: &[u8]) -> bool {
    let version = match session {
        [0, rest @ ..] => rest.get(..2),
        [1, length, rest @ ..] => rest.get(usize::from(*length)..usize::from(*length) + 2),
        _ => None,
    };
    version == Some(&u16::from(ProtocolVersion::TLSv1_3).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 480_000;

    #[test]
    fn a_ticket_opens_in_its_hour_and_the_next_one_by_the_same_secret() {
        let (here, there) = (Tickets::new(b"the secret of the cluster"), Tickets::new(b"the secret of the cluster"));
        let other = Tickets::new(b"the secret of another one");
        let ticket = here.seal(b"a session", HOUR).unwrap();
        for hour in [HOUR - 1, HOUR, HOUR + 1] {
            assert_eq!(there.open(&ticket, hour).as_deref(), Some(&b"a session"[..]), "{hour}");
            assert_eq!(other.open(&ticket, hour), None);
        }
        assert_eq!(there.open(&ticket, HOUR + 2), None);
        assert_eq!(there.open(&ticket, HOUR - 2), None);
        assert_ne!(here.seal(b"a session", HOUR), Some(ticket), "no nonce is used twice");
    }

    #[test]
    fn a_ticket_that_was_changed_or_cut_does_not_open() {
        let tickets = Tickets::new(b"the secret of the cluster");
        let ticket = tickets.seal(b"a session", HOUR).unwrap();
        for length in 0..ticket.len() {
            assert_eq!(tickets.open(&ticket[..length], HOUR), None, "{length}");
        }
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets.open(&changed, HOUR), None, "{place}");
        }
        // The hour is sealed with the rest: a ticket of one hour is none of the next.
        let mut later = ticket;
        later[..HOUR_BYTES].copy_from_slice(&(HOUR + 1).to_be_bytes());
        assert_eq!(tickets.open(&later, HOUR), None);
    }

    #[test]
    fn sessions_of_older_versions_get_none() {
        let tickets = Tickets::new(b"the secret of the cluster");
        for (session, is_sealed) in [
            (&b"\0\x03\x04rest"[..], true),
            (b"\x01\x02ab\x03\x04rest", true),
            (b"\0\x03\x03rest", false),
            (b"\x01\x02ab\x03\x03rest", false),
            (b"\x01\xffab\x03\x04", false),
            (b"\0\x03", false),
            (b"\x02\x03\x04", false),
            (b"", false),
        ] {
            assert_eq!(tickets.encrypt(session).is_some(), is_sealed, "{session:?}");
        }
    }
}
