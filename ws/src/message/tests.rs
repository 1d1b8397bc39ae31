//! The decoder's messages, refusals and memory, on streams written by hand.

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

/// The results as text: enough to compare, and easy to read in a failure.
fn decode(decoder: &mut Decoder, bytes: &[u8]) -> (Vec<String>, Result<(), Violation>) {
    let mut seen = Vec::new();
    let result = decoder.decode(&mut bytes.to_vec(), Limits::plain(1000), |incoming| {
        seen.push(format!("{incoming:?}"));
        ControlFlow::Continue(())
    });
    (seen, result)
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
    let result = decoder.decode(&mut [text.clone(), text.clone()].concat(), Limits::plain(1000), |_| {
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
    let cases: [(&str, &[Vec<u8>], CloseCode); 11] = [
        ("RSV1", &[frame(0xc1, b"x")], CloseCode::PROTOCOL_ERROR),
        ("reserved opcode", &[frame(0x83, b"x")], CloseCode::PROTOCOL_ERROR),
        ("no mask", &[b"\x81\x01x".to_vec()], CloseCode::PROTOCOL_ERROR),
        ("fragmented Ping", &[frame(0x09, b"x")], CloseCode::PROTOCOL_ERROR),
        ("Ping of 126", &[frame(0x89, &[0; 126])], CloseCode::PROTOCOL_ERROR),
        ("continuation", &[frame(0x80, b"x")], CloseCode::PROTOCOL_ERROR),
        ("nested", &[frame(0x01, b"x"), frame(0x81, b"x")], CloseCode::PROTOCOL_ERROR),
        ("Close of 1", &[frame(0x88, b"\x03")], CloseCode::PROTOCOL_ERROR),
        ("Close 1005", &[frame(0x88, b"\x03\xed")], CloseCode::PROTOCOL_ERROR),
        ("Close reason", &[frame(0x88, b"\x03\xe8\xff")], CloseCode::INVALID_PAYLOAD),
        ("text", &[frame(0x81, b"\xff")], CloseCode::INVALID_PAYLOAD),
    ];
    for (name, frames, code) in cases {
        let stream = [frame(0x81, b"first"), frames.concat()].concat();
        let (seen, result) = decode(&mut Decoder::new(), &stream);
        assert_eq!(seen, ["Text(\"first\")"], "{name}");
        assert_eq!(result.map_err(|violation| violation.code), Err(code), "{name}");
    }
}

#[test]
fn a_message_has_at_most_the_bytes_allowed() {
    let refused = |frames: &[Vec<u8>]| {
        let (seen, result) = decode(&mut Decoder::new(), &frames.concat());
        assert_eq!(seen.len(), usize::from(result.is_ok()));
        result.err().map(|violation| violation.code)
    };
    let most = [b'x'; 1000];
    assert_eq!(refused(&[frame(0x82, &most)]), None);
    assert_eq!(refused(&[frame(0x82, &[0; 1001])]), Some(CloseCode::TOO_BIG));
    for opcode in [0x01, 0x02] {
        assert_eq!(refused(&[frame(opcode, &most), frame(0x80, b"")]), None);
        let above = [frame(opcode, &most), frame(0x80, b"x")];
        assert_eq!(refused(&above), Some(CloseCode::TOO_BIG));
    }
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
fn a_message_has_at_most_65536_fragments() {
    let fragmented = |continuations: u32| {
        let middle = frame(0x00, b"").repeat(continuations as usize - 1);
        let stream = [frame(0x01, b"a"), middle, frame(0x80, b"b")].concat();
        decode(&mut Decoder::new(), &stream)
    };
    let most = MESSAGE_FRAGMENTS_MAX - 1;
    assert_eq!(fragmented(most), (vec!["Text(\"ab\")".to_owned()], Ok(())));
    assert_eq!(fragmented(most + 1), (vec![], Err(TOO_MANY_FRAGMENTS)));
}

#[test]
fn memory_is_held_only_for_what_was_received() {
    let mut decoder = Decoder::new();
    assert!(decode(&mut decoder, &frame(0x81, b"whole")).1.is_ok());
    assert_eq!((decoder.is_idle(), decoder.heap_bytes()), (true, 0));

    // 60,000 bytes are announced; the peer sends none, then ten.
    let mut seen = 0;
    let mut take = |decoder: &mut Decoder, bytes: &[u8]| {
        let result = decoder.decode(&mut bytes.to_vec(), Limits::plain(65_536), |_| {
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
    // Autobahn 6.4.3: the message is not finished, but the fault has already arrived.
    let stream =
        [frame(0x01, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), frame(0x00, b"\xf4\x90\x80\x80")].concat();
    let offending = 6 + 11 + 6 + 1; // two headers, the first payload, the second byte after it
    let mut decoder = Decoder::new();
    assert_eq!(decode(&mut decoder, &stream[..offending]), (vec![], Ok(())));
    let (_, result) = decode(&mut decoder, &stream[offending..=offending]);
    assert_eq!(result.map_err(|violation| violation.code), Err(CloseCode::INVALID_PAYLOAD));
}

/// A client's frame with these first bits, and the payload masked.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [7, 1, 200, 3];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn with_compression(bytes: &[u8], cut: usize) -> (Vec<String>, Result<(), CloseCode>) {
    let (mut decoder, mut inflater, mut heard, mut result) = (Decoder::new(), Inflater::default(), Vec::new(), Ok(()));
    for part in bytes.chunks(cut) {
        let limits = Limits { message_bytes_max: 100, inflater: Some(&mut inflater) };
        let decoded = decoder.decode(&mut part.to_vec(), limits, |incoming| {
            heard.push(format!("{incoming:?}"));
            ControlFlow::Continue(())
        });
        if let (Err(violation), Ok(())) = (decoded, result) {
            result = Err(violation.code);
        }
    }
    (heard, result)
}

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[test]
fn compressed_messages_are_inflated_however_they_are_cut() {
    let stream = [
        client_frame(0xc1, &HELLO),
        client_frame(0x41, &HELLO[..3]),
        client_frame(0x89, b"in between"),
        client_frame(0x80, &HELLO[3..]),
        client_frame(0x81, b"plain"),
        client_frame(0xc2, &HELLO),
    ]
    .concat();
    let wanted = [
        "Text(\"Hello\")",
        "Ping([105, 110, 32, 98, 101, 116, 119, 101, 101, 110])",
        "Text(\"Hello\")",
        "Text(\"plain\")",
    ];
    for cut in 1..=stream.len() {
        let (heard, result) = with_compression(&stream, cut);
        assert_eq!((&heard[..4], result), (&wanted.map(String::from)[..], Ok(())), "in pieces of {cut}");
        assert_eq!(heard[4..], ["Binary([72, 101, 108, 108, 111])"]);
    }
}

#[test]
fn the_bit_of_compression_has_its_place() {
    for (frames, code) in [
        (vec![client_frame(0xc9, b"")], CloseCode::PROTOCOL_ERROR),
        (vec![client_frame(0x01, b"a"), client_frame(0xc0, b"b")], CloseCode::PROTOCOL_ERROR),
        (vec![client_frame(0xa1, &HELLO)], CloseCode::PROTOCOL_ERROR),
        (vec![client_frame(0x91, &HELLO)], CloseCode::PROTOCOL_ERROR),
        (vec![client_frame(0xc1, b"\xff\xff\xff")], CloseCode::INVALID_PAYLOAD),
        (vec![client_frame(0xc1, &[0xfa, 0xff, 0x00])], CloseCode::INVALID_PAYLOAD),
    ] {
        assert_eq!(with_compression(&frames.concat(), 1000), (Vec::new(), Err(code)), "{frames:x?}");
    }
    let mut decoder = Decoder::new();
    let refused = decoder.decode(&mut client_frame(0xc1, &HELLO), Limits::plain(100), |_| panic!("it is not inflated"));
    assert_eq!(refused.unwrap_err().code, CloseCode::PROTOCOL_ERROR, "nobody negotiated it");
}
