//! What nodes tell each other by Redis, which others may write to.

use bytes::Bytes;
use pregon::cluster::wire::{Bell, Entry, Rung};
use pregon::protocol::form::{Also, Form, FrameSet};
use pregon_ws::frame::{are_whole_texts, payload_of_first};

/// An entry of a stream, or a bell.
///
/// # Panics
/// What was read is written differently, or frames that are sent on are torn.
pub fn cluster(data: &[u8]) {
    if let Ok(entry) = Entry::read(data) {
        let again = Entry::read(&entry.write()).expect("what is written is read");
        assert_eq!(format!("{again:?}"), format!("{entry:?}"));
    }
    let bytes = Bytes::copy_from_slice(data);
    let Ok((rung, tail)) = Rung::read(&bytes) else { return };
    let (again, same) = Rung::read(&rung.write(&tail)).expect("what is written is read");
    assert_eq!((&again, &same), (&rung, &tail));
    let Bell::Ephemeral { topic, .. } = rung.bell else { return };
    if !are_whole_texts(&tail) {
        return;
    }
    let set = FrameSet::new(tail.clone()).and(Also::Wrapped(topic));
    let count = |mut frames: &[u8]| {
        let mut count = 0;
        while let Some((_, _, rest)) = payload_of_first(frames) {
            count += 1;
            frames = rest;
        }
        assert!(frames.is_empty(), "a torn frame");
        count
    };
    let frames = count(&tail);
    for form in Form::all() {
        let made = set.of(form);
        // Compressed ones are passed over by their length, too.
        assert_eq!(count(made), frames, "{form:?}");
    }
}
