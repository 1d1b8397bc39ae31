//! Thins out lines of the log that clients can cause at will: a few per second and reason are written, the rest is
//! counted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::LOG_LINES_PER_SECOND;

/// Lines of one kind, by reason.
#[derive(Debug)]
pub struct Thinned {
    /// What the lines are about, as the line with the count of the rest names it.
    what: &'static str,
    reasons: Mutex<BTreeMap<&'static str, Second>>,
}

/// One reason's lines within a second.
#[derive(Debug)]
struct Second {
    began: Instant,
    written: u32,
    left_out: u64,
}

static HANDSHAKES: Thinned = Thinned::new("handshakes that were refused");
static TLS: Thinned = Thinned::new("TLS handshakes that came to nothing");
static LIMITS: Thinned = Thinned::new("limits that were hit");
static WRONG_KEYS: Thinned = Thinned::new("operators' requests with a wrong key");
static PUSHES: Thinned = Thinned::new("pushes that were refused");
static ENDS: Thinned = Thinned::new("sessions that were let go");

impl Thinned {
    const fn new(what: &'static str) -> Self {
        Self { what, reasons: Mutex::new(BTreeMap::new()) }
    }

    /// True if a line with this reason may be written. Otherwise it is counted.
    fn admits(&self, reason: &'static str, now: Instant) -> bool {
        let mut reasons = self.lock();
        let second = reasons.entry(reason).or_insert(Second { began: now, written: 0, left_out: 0 });
        if now.saturating_duration_since(second.began) >= Duration::from_secs(1) {
            (second.began, second.written) = (now, 0);
        }
        let is_written = second.written < LOG_LINES_PER_SECOND;
        if is_written {
            second.written += 1;
        } else {
            second.left_out += 1;
        }
        is_written
    }

    /// How many lines were left out since this was last asked, by reason.
    fn left_out(&self) -> Vec<(&'static str, u64)> {
        let mut reasons = self.lock();
        let counts = reasons.iter_mut().map(|(reason, second)| (*reason, std::mem::take(&mut second.left_out)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Reasons are texts of this program, so there are few.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Second>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a refused handshake, and logs it if the log has room.
pub fn handshake_refused(reason: &'static str, client: impl Display) {
    metrics::counter!("pregon_handshakes_refused_total", "reason" => reason).increment(1);
    if HANDSHAKES.admits(reason, Instant::now()) {
        tracing::info!(reason, %client, "a handshake was refused");
    }
}

/// Logs, if the log has room, that a push service refused a push for a reason that an operator has to look at.
pub fn push_refused(status: u16, said: &str) {
    if PUSHES.admits("status", Instant::now()) {
        tracing::warn!(
            status,
            said,
            "a push service refuses this server's pushes: look at PREGON_PUSH_CONTACT and the key"
        );
    }
}

/// Counts a TLS handshake that came to nothing, and logs it if the log has room.
pub fn tls_refused(reason: &'static str, client: impl Display) {
    metrics::counter!("pregon_tls_refused_total", "reason" => reason).increment(1);
    if TLS.admits(reason, Instant::now()) {
        tracing::info!(reason, %client, "a TLS handshake came to nothing");
    }
}

/// Counts that a limit refused or held back a client, and logs it if the log has room.
pub fn limit_hit(limit: &'static str, whose: impl Display) {
    metrics::counter!("pregon_limits_hit_total", "limit" => limit).increment(1);
    if LIMITS.admits(limit, Instant::now()) {
        tracing::info!(limit, %whose, "a limit was hit");
    }
}

/// Counts an operator's request without the right key, and warns of it if the log has room.
pub fn wrong_admin_key(peer: impl Display) {
    metrics::counter!("pregon_admin_requests_total", "verb" => "none", "outcome" => "wrong key").increment(1);
    if WRONG_KEYS.admits("wrong key", Instant::now()) {
        tracing::warn!(%peer, "somebody who has not the operators' key asks for something");
    }
}

/// Counts a session that the server ended, and logs it if the log has room.
pub fn session_let_go(reason: &'static str, shard: impl Display) {
    metrics::counter!("pregon_sessions_let_go_total", "reason" => reason).increment(1);
    if ENDS.admits(reason, Instant::now()) {
        tracing::info!(reason, %shard, "a session was let go");
    }
}

/// Logs how many lines were left out. To be called every few seconds, and at the end.
pub fn tell_left_out() {
    for lines in [&HANDSHAKES, &TLS, &LIMITS, &WRONG_KEYS, &PUSHES, &ENDS] {
        for (reason, count) in lines.left_out() {
            tracing::info!(reason, count, "more {}, without a line for each", lines.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_reason_is_a_few_lines_and_a_count_and_hides_no_other_reason() {
        let (lines, began) = (Thinned::new("x"), Instant::now());
        let written = |reason, after| (0..1000).filter(|_| lines.admits(reason, began + after)).count();
        let few = LOG_LINES_PER_SECOND as usize;
        assert_eq!(written("token", Duration::ZERO), few);
        assert_eq!(written("token", Duration::from_millis(999)), 0, "the same second");
        assert_eq!(written("origin", Duration::from_millis(999)), few);
        assert_eq!(written("token", Duration::from_secs(1)), few);
        let rest = 1000 - u64::from(LOG_LINES_PER_SECOND);
        assert_eq!(lines.left_out(), [("origin", rest), ("token", 1000 + 2 * rest)]);
        assert_eq!(lines.left_out(), [], "each is told once");
    }
}
