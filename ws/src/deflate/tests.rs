//! The extension alone: offers, frames, messages that lie about themselves.

use proptest::prelude::*;

use super::*;
use crate::close::CloseCode;
use crate::frame::encode_text;
use crate::frame::payload_of_first;

fn inflated(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, CloseCode> {
    let mut inflater = Inflater::default();
    inflater.inflated(payload, bytes_max).map(|message| message.to_vec()).map_err(|violation| violation.code)
}

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(message.len() + 64);
    compress.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    assert_eq!(compress.total_in(), message.len() as u64);
    out.truncate(out.len() - TAIL.len());
    out
}

/// Chat frames are like this.
fn text(bytes: usize) -> String {
    let words = ["{\"type\":\"chat_message\",\"message\":{\"id\":\"", "hola ", "¿vienes? ", "1f0e", "\",\"sender\":{"];
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text.push_str(words[(number * number + number / 3) % words.len()]);
        text.push_str(&number.to_string());
    }
    text
}

#[test]
fn offers_are_accepted_or_declined_whole() {
    for (offer, window) in [
        ("permessage-deflate", Some(Window::Usual)),
        ("Permessage-Deflate ; client_max_window_bits", Some(Window::Usual)),
        ("permessage-deflate; client_max_window_bits=10; client_no_context_takeover", Some(Window::Usual)),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=15", Some(Window::Full)),
        ("permessage-deflate; server_max_window_bits=\"10\"", Some(Window::Small)),
        ("permessage-deflate;server_max_window_bits = 9", Some(Window::Small)),
        ("permessage-deflate; server_max_window_bits=8", Some(Window::Least)),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; server_max_window_bits=+9", None),
        ("permessage-deflate; server_max_window_bits=\"9", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover=\"1\"", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; mode=fast", None),
        ("permessage-deflate; server_no_context_takeover; Server_no_context_takeover", None),
        ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", None),
        ("permessage-deflate; server_max_window_bits=", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=\"15\"; server_max_window_bits=14", Some(Window::Small)),
        ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", Some(Window::Usual)),
        ("permessage-deflate;", None),
        ("permessage-bzip2", None),
        ("", None),
    ] {
        assert_eq!(offered(offer), window, "{offer}");
    }
}

#[test]
fn an_answer_asks_for_no_larger_window_than_the_offer() {
    for bits in 8..=15 {
        let window = offered(&format!("permessage-deflate; server_max_window_bits={bits}")).unwrap();
        let (_, answered) = window.answer().rsplit_once("server_max_window_bits=").expect("it is answered");
        assert!(answered.parse::<u8>().unwrap() <= bits);
        assert_eq!(offered(window.answer()), Some(window), "an answer has the form of an offer");
    }
}

/// All combinations of parameters, in any order: what is answered is allowed by RFC 7692 §7.1.
#[test]
fn every_combination_of_parameters_has_its_answer() {
    let flags = |name: &'static str| [None, Some(name.to_owned())];
    let bits = |name: &'static str| (8..=15).map(move |bits| Some(format!("{name}={bits}")));
    let server_bits: Vec<_> = std::iter::once(None).chain(bits("server_max_window_bits")).collect();
    let client_bits: Vec<_> =
        flags("client_max_window_bits").into_iter().chain(bits("client_max_window_bits")).collect();
    for server_flag in flags("server_no_context_takeover") {
        for client_flag in flags("client_no_context_takeover") {
            for server_bits in &server_bits {
                for client_bits in &client_bits {
                    let parts = [server_flag.clone(), server_bits.clone(), client_flag.clone(), client_bits.clone()];
                    let parts: Vec<String> = parts.into_iter().flatten().collect();
                    for order in [parts.clone(), parts.iter().rev().cloned().collect()] {
                        let offer = std::iter::once("permessage-deflate".to_owned())
                            .chain(order)
                            .collect::<Vec<_>>()
                            .join("; ");
                        let answer = offered(&offer).unwrap_or_else(|| panic!("{offer}")).answer();
                        let mut answers = answer.split("; ").skip(1);
                        assert_eq!(answers.next(), Some("server_no_context_takeover"), "{offer}");
                        assert_eq!(answers.next(), Some("client_no_context_takeover"), "{offer}");
                        let asked =
                            server_bits.as_deref().map(|bits| bits.rsplit_once('=').unwrap().1.parse::<u8>().unwrap());
                        let given = answers
                            .next()
                            .map(|bits| bits.strip_prefix("server_max_window_bits=").unwrap().parse::<u8>().unwrap());
                        assert_eq!(asked.is_some(), given.is_some(), "{offer}: it is named where it was asked for");
                        assert!(given <= asked && given.is_none_or(|bits| bits >= 8), "{offer}");
                        assert_eq!(answers.next(), None, "client_max_window_bits is never answered");
                    }
                }
            }
        }
    }
}

/// RFC 7692 §7.2.3: the examples, and what is between them and the end of a message.
#[test]
fn the_examples_of_the_rfc_are_inflated() {
    for payload in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        assert_eq!(inflated(payload, 5), Ok(b"Hello".to_vec()), "{payload:x?}");
        assert_eq!(inflated(payload, 4), Err(CloseCode::TOO_BIG), "{payload:x?}");
    }
    assert_eq!(inflated(&[0x00], 0), Ok(Vec::new()), "an empty message");
    assert_eq!(inflated(&[], 0), Ok(Vec::new()), "nothing at all but the tail");
    // A last block (§7.2.3.4), and another message's worth behind it.
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflated(&[&last[..], &last, &[0x00]].concat(), 10), Ok(b"HelloHello".to_vec()));
    assert_eq!(inflated(&[&last[..], &last, &[0x00]].concat(), 9), Err(CloseCode::TOO_BIG));
    // Garbage behind the blocks: a kind of block that does not exist.
    for garbage in [&[0x07][..], &[0xff; 9], &[0x06, 0x00]] {
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff];
        assert_eq!(inflated(&[&hello, garbage].concat(), 100), Err(CloseCode::INVALID_PAYLOAD), "{garbage:x?}");
        assert_eq!(inflated(&[&last, garbage].concat(), 100), Err(CloseCode::INVALID_PAYLOAD), "{garbage:x?}");
    }
    // The second message of §7.2.3.2 refers to the one before, which was given up by the answer.
    assert_eq!(inflated(&[0xf2, 0x00, 0x11, 0x00, 0x00], 100), Err(CloseCode::INVALID_PAYLOAD));
}

#[test]
fn what_a_message_becomes_is_bounded_in_bytes_and_in_times() {
    let zeros = deflated(&vec![0; 10_000_000]);
    assert!(zeros.len() < 11_000, "{} bytes", zeros.len());
    let mut inflater = Inflater::default();
    assert_eq!(inflater.inflated(&zeros, 65_536).unwrap_err().code, CloseCode::TOO_BIG);
    assert!(inflater.out.capacity() <= 3 * 65_536, "{} bytes were made", inflater.out.capacity());
    let small = deflated(&[b'x'; 60_000]);
    assert!(small.len() * INFLATE_RATIO_MAX < 60_000);
    assert_eq!(inflater.inflated(&small, 65_536), Err(inflate::BOMB));
    let honest = deflated(text(60_000).as_bytes());
    assert_eq!(inflater.inflated(&honest, 65_536).map(|message| message.len()), Ok(text(60_000).len()));
    let repeated = deflated(&[b'x'; INFLATE_RATIO_FREE_BYTES]);
    assert_eq!(inflater.inflated(&repeated, 65_536).map(|message| message.len()), Ok(INFLATE_RATIO_FREE_BYTES));
    assert!(inflater.out.capacity() <= 3 * 65_536);
}

/// The texts of frames as a client reads them that can look back so far.
fn read(mut frames: &[u8], window_bits: u32) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    while let Some((text, whole, behind)) = payload_of_first(frames) {
        frames = behind;
        match (text, whole[0]) {
            (Some(text), _) => texts.push(text.to_vec()),
            (None, 0xc1) => {
                let header = match whole[1] {
                    126 => 4,
                    127 => 10,
                    _ => 2,
                };
                texts.push(puff::inflate(&whole[header..], window_bits).unwrap());
            }
            (None, control) => assert!(control & 0x08 != 0, "{control:x}"),
        }
    }
    texts
}

#[test]
fn frames_are_compressed_so_that_each_client_can_inflate_them() {
    let texts: Vec<String> = [0, 1, 199, 200, 256, 257, 512, 513, 1400, 70_000].map(text).into();
    let mut frames = Vec::new();
    texts.iter().for_each(|text| encode_text(text.as_bytes(), &mut frames));
    crate::frame::encode_ping(&[b'x'; 125], &mut frames);
    let wanted: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    let windows = [(Window::Usual, 15), (Window::Full, 15), (Window::Small, 9), (Window::Least, 8)];
    let lengths = windows.map(|(window, bits)| {
        let packed = packed(&frames, window, DEFLATE_BYTES_MIN);
        assert!(read(&packed, bits) == wanted, "{window:?}");
        assert!(packed.ends_with(&[b'x'; 125]), "control frames stay");
        assert!(super::packed(&packed, window, DEFLATE_BYTES_MIN) == packed, "what is compressed stays as it is");
        packed.len()
    });
    assert_eq!(lengths[0], lengths[1]);
    assert!(lengths[0].max(lengths[2]) < lengths[3] && lengths[3] < frames.len(), "{lengths:?}");
}

/// The same bytes for everybody whose window a message fits in; a copy for the small window only behind that; longer ones
/// go plain to the least.
#[test]
fn one_copy_serves_all_windows_that_a_message_fits_in() {
    let packed_as = |bytes, window| {
        let mut frames = Vec::new();
        encode_text(&text(2 * bytes).as_bytes()[..bytes], &mut frames);
        let packed = packed(&frames, window, DEFLATE_BYTES_MIN);
        (packed != frames, packed)
    };
    for (bytes, in_small, in_least) in [
        (DEFLATE_BYTES_MIN, Some(true), Some(true)),
        (256, Some(true), Some(true)),
        (257, Some(true), None),
        (512, Some(true), None),
        (513, Some(false), None),
    ] {
        let (is_deflated, usual) = packed_as(bytes, Window::Usual);
        assert!(is_deflated, "{bytes}");
        assert_eq!(packed_as(bytes, Window::Full).1, usual);
        for (window, is_same) in [(Window::Small, in_small), (Window::Least, in_least)] {
            let (is_deflated, other) = packed_as(bytes, window);
            assert_eq!(is_deflated.then_some(other == usual), is_same, "{bytes} bytes for {window:?}");
        }
    }
    assert!(!packed_as(DEFLATE_BYTES_MIN - 1, Window::Usual).0, "it is short");
}

#[test]
fn what_does_not_become_shorter_stays() {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(400)
    .collect();
    let mut frames = Vec::new();
    encode_text(uuid::Uuid::new_v4().to_string().as_bytes(), &mut frames);
    encode_text(&noise, &mut frames);
    let before = tally::counts();
    assert_eq!(packed(&frames, Window::Usual, 1), frames);
    assert!(tally::counts().grown >= before.grown + 2);
}

#[test]
fn what_is_compressed_and_inflated_is_counted() {
    let mut frames = Vec::new();
    [100, 1000, 1000].map(text).iter().for_each(|text| encode_text(text.as_bytes(), &mut frames));
    // Other tests count, too.
    let before = tally::counts();
    let packed = packed(&frames, Window::Usual, DEFLATE_BYTES_MIN);
    let after = tally::counts();
    assert!(after.deflated >= before.deflated + 2 && after.passed_over > before.passed_over);
    let texts = (frames.len() - 10) as u64;
    assert!(after.bytes_before >= before.bytes_before + texts);
    assert!(after.bytes_after > before.bytes_after + packed.len() as u64 - 12);
    assert_eq!(inflated(&deflated(b"Hello"), 5), Ok(b"Hello".to_vec()));
    let then = tally::counts();
    assert!(then.inflated > after.inflated && then.inflated_to_bytes >= after.inflated_to_bytes + 5);
    assert!(then.inflated_from_bytes >= after.inflated_from_bytes + 7);
}

proptest! {
    #[test]
    fn whatever_was_compressed_comes_back(message: Vec<u8>, others: Vec<u8>) {
        let mut inflater = Inflater::default();
        let _ = inflater.inflated(&others, 1000);
        let got = inflater.inflated(&deflated(&message), 65_536).map(|message| message.to_vec());
        prop_assert_eq!(got, Ok(message));
    }

    #[test]
    fn whatever_is_sent_is_read_by_another_inflater(texts: Vec<String>, times in 1_usize..40) {
        let texts: Vec<String> = texts.iter().map(|text| text.repeat(times)).collect();
        let mut frames = Vec::new();
        texts.iter().for_each(|text| encode_text(text.as_bytes(), &mut frames));
        let wanted: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
        for (window, bits) in [(Window::Usual, 15), (Window::Small, 9), (Window::Least, 8)] {
            let packed = packed(&frames, window, 1);
            prop_assert!(packed.len() <= frames.len());
            prop_assert_eq!(read(&packed, bits), wanted.clone());
        }
    }

    #[test]
    fn whatever_comes_is_inflated_within_the_bound_or_refused(payload: Vec<u8>) {
        if let Ok(message) = Inflater::default().inflated(&payload, 300) {
            prop_assert!(message.len() <= 300);
        }
    }
}
