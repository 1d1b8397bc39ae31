//! The limits that operators may change.

use std::time::Duration;

use crate::config::{ConfigError, Raw, Setting};
use crate::limits::{
    Adjustable, FRAMES_PER_SECOND_MAX, FrameRates, OUTBOX_KB_MAX, OUTBOX_KB_MIN, SOCKETS_PER_PLACE_MAX,
};

/// The most of what is counted.
const COUNT_MAX: u32 = 1_000_000;

/// Reads them.
///
/// # Errors
/// A number that is none, or out of its range.
pub(super) fn limits(raw: &Raw) -> Result<Adjustable, ConfigError> {
    let frames = |setting| raw.number(setting, 1..=FRAMES_PER_SECOND_MAX);
    let seconds = |setting, most| Ok(Duration::from_secs(raw.number(setting, 1..=most)?));
    Ok(Adjustable {
        sockets_per_user: raw.number(Setting::SocketsPerUser, SOCKETS_PER_PLACE_MAX..=10_000)?,
        sockets_per_address: raw.number(Setting::SocketsPerAddress, 1..=COUNT_MAX)?,
        unauthenticated_sockets: raw.number(Setting::UnauthenticatedSockets, 1..=COUNT_MAX)?,
        accepts_per_second: raw.number(Setting::AcceptsPerSecond, 1..=COUNT_MAX)?,
        frames: FrameRates {
            passing: frames(Setting::EphemeralFramesPerSecond)?,
            durable: frames(Setting::DurableFramesPerSecond)?,
            requests: frames(Setting::RequestFramesPerSecond)?,
        },
        uploads_per_hour: raw.number(Setting::UploadsPerHour, 0..=COUNT_MAX)?,
        handshake: seconds(Setting::HandshakeSeconds, 60)?,
        body: seconds(Setting::BodySeconds, 600)?,
        answer: seconds(Setting::AnswerSeconds, 600)?,
        outbox_bytes: raw.number(Setting::OutboxKb, OUTBOX_KB_MIN..=OUTBOX_KB_MAX)? * 1024,
    })
}
