//! What waits for one session: order, whole frames, and memory that comes back.

use super::*;
use crate::engine::topics::chunks::OpenChunk;
use crate::limits::{CHUNK_BYTES, DEBT_STEP_BYTES, WRITE_BYTES_MAX};
use crate::protocol::ws::frame::encode_text;

struct Bench {
    arena: Arena,
    open: OpenChunk,
}

impl Bench {
    fn new() -> Self {
        Self { arena: Arena::default(), open: OpenChunk::default() }
    }

    fn push(&mut self, outbox: &mut Outbox, payload: &str, class: Class) {
        let mut frame = Vec::new();
        encode_text(payload.as_bytes(), &mut frame);
        outbox.push(&mut self.arena.append(&mut self.open, &frame), class);
    }

    fn waiting(&self, outbox: &Outbox) -> Vec<u8> {
        let mut slices = Slices::new();
        outbox.slices(&self.arena, &mut slices).unwrap();
        slices.iter().flat_map(|slice| slice.to_vec()).collect()
    }
}

fn frames(payloads: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for payload in payloads {
        encode_text(payload.as_bytes(), &mut bytes);
    }
    bytes
}

#[test]
fn contiguous_frames_are_one_slice() {
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    bench.push(&mut outbox, "one", Class::Durable);
    bench.push(&mut outbox, "two", Class::Durable);
    bench.push(&mut outbox, "typing", Class::Ephemeral);
    let mut slices = Slices::new();
    outbox.slices(&bench.arena, &mut slices).unwrap();
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].to_vec(), frames(&["one", "two", "typing"]));
}

#[test]
fn a_session_that_stalls_keeps_what_is_durable_and_pins_no_chunk() {
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    bench.push(&mut outbox, "typing that is under way", Class::Ephemeral);
    bench.push(&mut outbox, "more typing", Class::Ephemeral);
    bench.push(&mut outbox, "kept", Class::Durable);
    outbox.took(&mut bench.arena, 5);
    outbox.fall_behind(&mut bench.arena).unwrap();
    assert_eq!(bench.arena.held_bytes(), 0);
    bench.push(&mut outbox, "shared again", Class::Durable);
    bench.push(&mut outbox, "dropped", Class::Ephemeral);
    let all = frames(&["typing that is under way", "kept", "shared again", "dropped"]);
    assert_eq!(bench.waiting(&outbox), all[5..]);
    outbox.fall_behind(&mut bench.arena).unwrap();
    assert_eq!(bench.arena.held_bytes(), 0);
    bench.push(&mut outbox, "the last", Class::Durable);
    let all = frames(&["typing that is under way", "kept", "shared again", "the last"]);
    assert_eq!(bench.waiting(&outbox), all[5..]);
    // Past the buffer's end, into the shared range.
    outbox.took(&mut bench.arena, all.len() - 5 - 3);
    assert_eq!(bench.waiting(&outbox), all[all.len() - 3..]);
    outbox.took(&mut bench.arena, 3);
    assert_eq!((outbox.is_empty(), bench.arena.memory_bytes()), (true, 0));
}

#[test]
fn what_is_passing_goes_first_and_the_frame_under_way_stays() {
    use Class::{Durable, Ephemeral};
    let said = [
        ("typing", Ephemeral),
        ("more typing", Ephemeral),
        ("kept", Durable),
        ("typing again", Ephemeral),
        ("the last", Durable),
    ];
    let all: usize = said.iter().map(|(text, _)| frames(&[text]).len()).sum();
    for sent in 0..all {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        said.iter().for_each(|(text, class)| bench.push(&mut outbox, text, *class));
        outbox.took(&mut bench.arena, sent);
        outbox.forget_passing(&mut bench.arena).unwrap();
        let (mut expected, mut begins) = (Vec::new(), 0);
        for (text, class) in said {
            let frame = frames(&[text]);
            if begins >= sent && class == Durable {
                expected.extend_from_slice(&frame);
            } else if begins < sent {
                expected.extend_from_slice(&frame[(sent - begins).min(frame.len())..]);
            }
            begins += frame.len();
        }
        assert_eq!(bench.waiting(&outbox), expected, "{sent} bytes were sent");
        assert_eq!(outbox.forget_passing(&mut bench.arena), Ok(0));
        outbox.took(&mut bench.arena, outbox.owed_bytes());
        assert_eq!((outbox.is_empty(), bench.arena.memory_bytes()), (true, 0), "{sent}");
    }
}

#[test]
fn an_outbox_of_nothing_but_typing_is_empty_afterwards() {
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    bench.push(&mut outbox, "typing", Class::Ephemeral);
    assert_eq!(outbox.forget_passing(&mut bench.arena), Ok(1));
    assert!(outbox.is_empty() && bench.arena.memory_bytes() == 0);
    bench.push(&mut outbox, "kept", Class::Durable);
    assert_eq!(outbox.forget_passing(&mut bench.arena), Ok(0));
    assert_eq!(bench.waiting(&outbox), frames(&["kept"]));
}

#[test]
fn many_ranges_are_copied_whole_in_order_and_give_their_chunks_back() {
    const RANGES: usize = 300;
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    let text = |number: usize| format!("{number} {}", "x".repeat(number % 9 * 30));
    let mut kept = Vec::new();
    for number in 0..RANGES {
        let class = if number % 5 == 4 { Class::Ephemeral } else { Class::Durable };
        bench.push(&mut outbox, &text(number), class);
        if class == Class::Durable {
            encode_text(text(number).as_bytes(), &mut kept);
        }
        // Between two ranges lies what somebody else was told.
        drop(bench.arena.append(&mut bench.open, b"another's"));
    }
    let before = bench.arena.held_bytes();
    assert!(outbox.parts() == RANGES && before > CHUNK_BYTES * 2, "{} ranges, {before} bytes", outbox.parts());
    outbox.took(&mut bench.arena, 2);
    outbox.fall_behind(&mut bench.arena).unwrap();
    assert_eq!((outbox.parts(), bench.arena.held_bytes()), (0, 0));
    assert_eq!(bench.waiting(&outbox), kept[2..]);
    let memory = bench.arena.memory_bytes();
    assert!(outbox.debt_bytes() == Some(memory) && memory <= kept.len() + DEBT_STEP_BYTES, "{memory} bytes");
    bench.arena.check_invariants(outbox.spans(), outbox.debt_bytes().into_iter());
    bench.push(&mut outbox, "behind it", Class::Durable);
    encode_text(b"behind it", &mut kept);
    assert_eq!(bench.waiting(&outbox), kept[2..]);
    outbox.took(&mut bench.arena, kept.len() - 2);
    assert_eq!((outbox.is_empty(), bench.arena.memory_bytes(), bench.arena.debts().count), (true, 0, 0));
}

#[test]
fn a_cut_finishes_the_frame_under_way() {
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    bench.push(&mut outbox, "first", Class::Durable);
    bench.push(&mut outbox, "second", Class::Durable);
    bench.push(&mut outbox, "third", Class::Durable);
    outbox.took(&mut bench.arena, frames(&["first"]).len() + 3);
    outbox.cut(&mut bench.arena, b"CLOSE").unwrap();
    let mut expected = frames(&["second"])[3..].to_vec();
    expected.extend_from_slice(b"CLOSE");
    assert_eq!(bench.waiting(&outbox), expected);

    let mut untouched = Outbox::default();
    bench.push(&mut untouched, "never begun", Class::Durable);
    untouched.cut(&mut bench.arena, b"CLOSE").unwrap();
    assert_eq!(bench.waiting(&untouched), b"CLOSE");
}

/// The chunk of what it was sent before may be gone: that is no fault.
#[test]
fn whoever_owes_nothing_is_cut_with_the_close_frame_alone() {
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    bench.push(&mut outbox, "taken", Class::Durable);
    outbox.took(&mut bench.arena, frames(&["taken"]).len());
    assert_eq!(bench.arena.held_bytes(), 0);
    outbox.cut(&mut bench.arena, b"CLOSE").unwrap();
    assert_eq!(bench.waiting(&outbox), b"CLOSE");
}

#[test]
fn one_write_is_bounded_in_bytes() {
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    for _ in 0..40 {
        bench.push(&mut outbox, &"x".repeat(8000), Class::Durable);
    }
    let mut slices = Slices::new();
    assert_eq!(outbox.slices(&bench.arena, &mut slices), Ok(WRITE_BYTES_MAX));
    assert_eq!(slices.iter().map(|slice| slice.len()).sum::<usize>(), WRITE_BYTES_MAX);
    drop(slices);
    outbox.fall_behind(&mut bench.arena).unwrap();
    assert_eq!(bench.waiting(&outbox).len(), WRITE_BYTES_MAX);
}

#[test]
fn debts_are_added_up_where_they_grow_and_shrink() {
    let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
    bench.push(&mut outbox, "one", Class::Durable);
    outbox.fall_behind(&mut bench.arena).unwrap();
    bench.push(&mut outbox, &"x".repeat(1000), Class::Durable);
    outbox.fall_behind(&mut bench.arena).unwrap();
    let debts = bench.arena.debts();
    assert_eq!((debts.count, debts.bytes >= outbox.owed_bytes()), (1, true));
    outbox.cut(&mut bench.arena, b"CLOSE").unwrap();
    assert_eq!(bench.arena.debts().bytes, 5);
    outbox.took(&mut bench.arena, 5);
    assert_eq!((bench.arena.debts().count, bench.arena.memory_bytes()), (0, 0));
}

#[test]
fn an_outbox_is_small() {
    assert!(size_of::<Outbox>() <= 48, "{}", size_of::<Outbox>());
}
