//! That messages nobody ends keep to their share, at whose cost, and that whole ones have no part in it.

use crate::engine::net::sockets::Handler;
use crate::engine::shard::core::Core;
use crate::engine::shard::debtors::tests::{assert_counted, core, counted, join};
use crate::ids::RoomId;
use crate::limits::{Bounds, MESSAGE_BYTES_MAX, SESSION_UNFINISHED_BYTES_MAX};

/// The first bytes of a text whose frame has so many more.
fn begin(bytes: usize) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&u16::try_from(MESSAGE_BYTES_MAX - 1).unwrap().to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.resize(frame.len() + bytes, b'x');
    frame
}

fn bounded(messages: usize) -> Core {
    core(Bounds { unfinished_bytes_max: messages * SESSION_UNFINISHED_BYTES_MAX, ..Bounds::default() })
}

#[test]
fn those_who_hold_most_go_and_whoever_holds_little_stays() {
    let text = counted(|| {
        let mut core = bounded(4);
        let (room, most) = (RoomId::fresh(), core.bounds.unfinished_bytes_max);
        let honest = join(&mut core, room);
        core.received(honest, &mut begin(300));
        let greedy: Vec<u32> = (0..40).map(|_| join(&mut core, room)).collect();
        for step in 0..6 {
            for index in &greedy {
                let mut bytes = if step == 0 { begin(10_000) } else { vec![b'x'; 10_000] };
                core.received(*index, &mut bytes);
                assert!(core.unfinished_bytes <= most, "{} bytes", core.unfinished_bytes);
            }
        }
        assert!(core.unfinished_bytes > most / 2, "{} bytes", core.unfinished_bytes);
        assert!(core.is_open(honest));
        let gone: Vec<u32> = greedy.iter().copied().filter(|index| !core.is_open(*index)).collect();
        assert!((20..40).contains(&gone.len()), "{} are gone", gone.len());
        // What those who are gone go on sending is not kept.
        let before = core.unfinished_bytes;
        gone.iter().for_each(|index| core.received(*index, &mut begin(5000)));
        assert_eq!(core.unfinished_bytes, before);
        (0..41).for_each(|index| core.vacate(index));
        assert_eq!(core.unfinished_bytes, 0);
    });
    let gone = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.parse::<u32>().ok());
    let let_go = gone("pregon_sessions_let_go_total{reason=\"unfinished\"} ");
    assert!(let_go.is_some_and(|count| count >= 20), "{text}");
    assert_eq!(gone("pregon_shed_total{what=\"unfinished\"} "), let_go);
    let closes = format!("pregon_closes_total{{code=\"1013\",by=\"server\"}} {}", let_go.unwrap());
    assert_counted(&text, &closes);
}

#[test]
fn a_message_that_comes_whole_takes_nothing() {
    let mut core = bounded(4);
    let index = join(&mut core, RoomId::fresh());
    let mut whole = begin(MESSAGE_BYTES_MAX - 1);
    core.received(index, &mut whole);
    assert_eq!(core.unfinished_bytes, 0);
    let mut parts = begin(MESSAGE_BYTES_MAX - 1);
    let (first, second) = parts.split_at_mut(40_000);
    core.received(index, first);
    assert!(core.unfinished_bytes >= 39_000);
    core.received(index, second);
    assert!(core.unfinished_bytes == 0 && core.is_open(index));
}

/// What a session holds may be as much as its bound says, and no more.
#[test]
fn a_session_holds_no_more_than_it_may_however_its_message_is_cut() {
    for step in [1000, 4096, 17_000, 33_000, 40_000, 65_000] {
        let mut core = bounded(4);
        let index = join(&mut core, RoomId::fresh());
        let mut message = begin(MESSAGE_BYTES_MAX - 2);
        for piece in message.chunks_mut(step) {
            core.received(index, piece);
            assert!(core.unfinished_bytes <= SESSION_UNFINISHED_BYTES_MAX, "{} bytes", core.unfinished_bytes);
        }
        assert!(core.unfinished_bytes >= MESSAGE_BYTES_MAX - 2);
    }
}
