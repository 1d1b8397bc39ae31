//! What the decoder hands on, refuses and holds, in streams written by hand.

use super::*;

/// A masked client frame; `first` is the first byte: FIN, RSV and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0xfe);
            let length = u16::try_from(length).expect("test payloads are short");
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&key);
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    unmask(&mut bytes[at..], key, 0);
    bytes
}

/// What came out, as text: enough to compare, easy to read in a failure.
fn decode(decoder: &mut Decoder, bytes: &[u8]) -> (Vec<String>, Result<(), Violation>) {
    let mut seen = Vec::new();
    let result = decoder.decode(&mut bytes.to_vec(), 1000, |incoming| {
        seen.push(format!("{incoming:?}"));
        ControlFlow::Continue(())
    });
    (seen, result)
}

fn decode_code(frames: &[Vec<u8>]) -> (Vec<String>, Option<CloseCode>) {
    let (seen, result) = decode(&mut Decoder::new(), &frames.concat());
    (seen, result.err().map(|violation| violation.code))
}

#[test]
fn the_examples_of_rfc_6455_5_7_are_read() {
    let mut decoder = Decoder::new();
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode(&mut decoder, &hello).0, ["Text(\"Hello\")"]);
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode(&mut decoder, &pong).0, ["Pong([72, 101, 108, 108, 111])"]);
    let fragmented = [frame(0x01, b"Hel"), frame(0x80, b"lo")].concat();
    assert_eq!(decode(&mut decoder, &fragmented).0, ["Text(\"Hello\")"]);
    assert!(decoder.is_idle());
}

#[test]
fn control_frames_between_fragments_are_handed_on_at_once() {
    let mut decoder = Decoder::new();
    let opening = [frame(0x01, b"a"), frame(0x89, b"!"), frame(0x00, b"b")].concat();
    assert_eq!(decode(&mut decoder, &opening).0, ["Ping([33])"]);
    // A control frame may itself arrive in pieces.
    let ping = frame(0x89, b"!?");
    let (head, tail) = ping.split_at(7);
    assert_eq!(decode(&mut decoder, head).0, [""; 0]);
    assert_eq!(decode(&mut decoder, tail).0, ["Ping([33, 63])"]);
    assert_eq!(decode(&mut decoder, &frame(0x80, b"")).0, ["Text(\"ab\")"]);
}

#[test]
fn nothing_follows_a_close_a_break_or_a_violation() {
    let text = frame(0x81, b"late");
    let stream = [frame(0x81, b"x"), frame(0x88, b"\x03\xe8bye"), text.clone()].concat();
    let mut decoder = Decoder::new();
    let (seen, result) = decode(&mut decoder, &stream);
    assert_eq!(seen, ["Text(\"x\")", "Close(Some(CloseCode(1000)), \"bye\")"]);
    assert_eq!(result, Ok(()));
    assert_eq!(decode(&mut decoder, &text), (vec![], Ok(())));

    let mut decoder = Decoder::new();
    let mut calls = 0;
    let result = decoder.decode(&mut [text.clone(), text.clone()].concat(), 1000, |_| {
        calls += 1;
        ControlFlow::Break(())
    });
    assert_eq!((calls, result), (1, Ok(())));
    assert_eq!(decode(&mut decoder, &text), (vec![], Ok(())));

    let mut decoder = Decoder::new();
    assert!(decode(&mut decoder, &[frame(0x01, b"x"), frame(0x83, b"")].concat()).1.is_err());
    assert!(decoder.is_idle(), "nothing is kept for a connection that has failed");
    assert_eq!(decode(&mut decoder, &text), (vec![], Ok(())));
}

#[test]
fn each_violation_has_its_code_and_comes_after_what_was_whole() {
    let max = "x".repeat(1000);
    let cases: [(&str, Vec<Vec<u8>>, CloseCode); 13] = [
        ("RSV1", vec![frame(0xc1, b"x")], CloseCode::PROTOCOL_ERROR),
        ("reserved opcode", vec![frame(0x83, b"x")], CloseCode::PROTOCOL_ERROR),
        ("no mask", vec![b"\x81\x01x".to_vec()], CloseCode::PROTOCOL_ERROR),
        ("fragmented Ping", vec![frame(0x09, b"x")], CloseCode::PROTOCOL_ERROR),
        ("Ping of 126", vec![frame(0x89, &[0; 126])], CloseCode::PROTOCOL_ERROR),
        ("continuation", vec![frame(0x80, b"x")], CloseCode::PROTOCOL_ERROR),
        ("nested", vec![frame(0x01, b"x"), frame(0x81, b"x")], CloseCode::PROTOCOL_ERROR),
        ("close of 1", vec![frame(0x88, b"\x03")], CloseCode::PROTOCOL_ERROR),
        ("close 1005", vec![frame(0x88, b"\x03\xed")], CloseCode::PROTOCOL_ERROR),
        ("close reason", vec![frame(0x88, b"\x03\xe8\xff")], CloseCode::INVALID_PAYLOAD),
        ("text", vec![frame(0x81, b"\xff")], CloseCode::INVALID_PAYLOAD),
        ("frame", vec![frame(0x82, &[0; 1001])], CloseCode::TOO_BIG),
        ("message", vec![frame(0x01, max.as_bytes()), frame(0x80, b"x")], CloseCode::TOO_BIG),
    ];
    for (name, frames, code) in cases {
        let stream = [vec![frame(0x81, b"first")], frames].concat();
        let (seen, result) = decode_code(&stream);
        assert_eq!(seen, ["Text(\"first\")"], "{name}");
        assert_eq!(result, Some(code), "{name}");
    }
    assert_eq!(decode_code(&[frame(0x82, &[0; 1000])]).1, None);
    assert_eq!(decode_code(&[frame(0x01, max.as_bytes()), frame(0x80, b"")]).1, None);
}

#[test]
fn a_size_is_judged_from_the_header_alone() {
    let mut header = frame(0x82, &[0; 1001]);
    header.truncate(8);
    let (_, result) = decode(&mut Decoder::new(), &header);
    assert_eq!(result.map_err(|violation| violation.code), Err(CloseCode::TOO_BIG));
    let huge = [&[0x82, 0xff, 0x7f], [0xff; 7].as_slice(), &[1, 2, 3, 4]].concat();
    let (_, result) = decode(&mut Decoder::new(), &huge);
    assert_eq!(result.map_err(|violation| violation.code), Err(CloseCode::TOO_BIG));
}

#[test]
fn fragments_are_bounded_and_not_copied_again_and_again() {
    let mut decoder = Decoder::new();
    assert_eq!(decode(&mut decoder, &frame(0x01, b"")), (vec![], Ok(())));
    let fragments = frame(0x00, b"").repeat(MESSAGE_FRAGMENTS_MAX as usize - 2);
    assert_eq!(decode(&mut decoder, &fragments), (vec![], Ok(())));
    let fragments = [frame(0x00, b"x"), frame(0x80, b"")].concat();
    let (seen, result) = decode(&mut decoder, &fragments);
    assert_eq!(seen, [""; 0]);
    assert_eq!(result, Err(TOO_MANY_FRAGMENTS));
}

#[test]
fn memory_is_held_only_for_what_was_received() {
    let mut decoder = Decoder::new();
    assert!(decode(&mut decoder, &frame(0x81, b"whole")).1.is_ok());
    assert_eq!((decoder.is_idle(), decoder.heap_bytes()), (true, 0));

    // 60,000 bytes are announced; the peer sends none, then ten.
    let mut seen = 0;
    let mut take = |decoder: &mut Decoder, bytes: &[u8]| {
        let result = decoder.decode(&mut bytes.to_vec(), 65_536, |_| {
            seen += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(result, Ok(()));
        seen
    };
    let announced = frame(0x81, &[b'x'; 60_000]);
    take(&mut decoder, &announced[..8]);
    let empty = decoder.heap_bytes();
    assert!(!decoder.is_idle());
    assert_eq!(empty, size_of::<Partial>());
    take(&mut decoder, &announced[8..18]);
    assert!(decoder.heap_bytes() <= empty + 64, "{}", decoder.heap_bytes());
    for piece in announced[18..59_000].chunks(100) {
        take(&mut decoder, piece);
    }
    assert!(decoder.heap_bytes() <= empty + 2 * 60_000);
    assert_eq!(take(&mut decoder, &announced[59_000..]), 1);
    assert_eq!((decoder.is_idle(), decoder.heap_bytes()), (true, 0));
}

#[test]
fn bad_text_is_refused_before_its_frame_is_whole() {
    // Autobahn 6.4.3: the message would go on, the fault is already there.
    let stream =
        [frame(0x01, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), frame(0x00, b"\xf4\x90\x80\x80")].concat();
    let offending = 6 + 11 + 6 + 1; // two headers, the first payload, the second byte after it
    let mut decoder = Decoder::new();
    assert_eq!(decode(&mut decoder, &stream[..offending]), (vec![], Ok(())));
    let (_, result) = decode(&mut decoder, &stream[offending..=offending]);
    assert_eq!(result.map_err(|violation| violation.code), Err(CloseCode::INVALID_PAYLOAD));
}
