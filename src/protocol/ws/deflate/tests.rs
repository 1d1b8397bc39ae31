//! The extension alone: offers, frames, messages that lie about themselves.

use proptest::prelude::*;

use super::*;
use crate::protocol::ws::frame::encode_text;

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
    assert_eq!(inflater.inflated(&small, 65_536), Err(BOMB));
    let honest = deflated(text(60_000).as_bytes());
    assert_eq!(inflater.inflated(&honest, 65_536).map(|message| message.len()), Ok(text(60_000).len()));
    let repeated = deflated(&[b'x'; INFLATE_RATIO_FREE_BYTES]);
    assert_eq!(inflater.inflated(&repeated, 65_536).map(|message| message.len()), Ok(INFLATE_RATIO_FREE_BYTES));
    assert!(inflater.out.capacity() <= 3 * 65_536);
}

/// The frames' payloads, inflated by a client that can look back so far.
fn read(frames: &[u8], window_bits: u8) -> Vec<Vec<u8>> {
    let (mut rest, mut texts) = (frames, Vec::new());
    while let Some((text, whole, behind)) = payload_of_first(rest) {
        rest = behind;
        let Some(text) = text else { continue };
        if whole[0] & COMPRESSED == 0 {
            texts.push(text.to_vec());
            continue;
        }
        let mut client = Decompress::new_with_window_bits(false, window_bits);
        let mut out = Vec::with_capacity(200_000);
        client.decompress_vec(&[text, &TAIL].concat(), &mut out, FlushDecompress::Sync).unwrap();
        texts.push(out);
    }
    texts
}

#[test]
fn frames_are_compressed_so_that_each_client_can_inflate_them() {
    let texts: Vec<String> = [1, 199, 200, 256, 257, 512, 513, 1400, 70_000].map(text).into();
    let mut frames = Vec::new();
    texts.iter().for_each(|text| encode_text(text.as_bytes(), &mut frames));
    crate::protocol::ws::frame::encode_ping(&[b'x'; 125], &mut frames);
    let wanted: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    let lengths = [(Window::Usual, 15), (Window::Full, 15), (Window::Small, 9), (Window::Least, 9)].map(|(window, bits)| {
        let packed = packed(&frames, window, DEFLATE_BYTES_MIN);
        assert_eq!(read(&packed, bits), wanted, "{window:?}");
        assert!(packed.ends_with(&[b'x'; 125]), "control frames stay");
        packed.len()
    });
    assert_eq!(lengths[0], lengths[1]);
    assert!(lengths[0].max(lengths[2]) < lengths[3] && lengths[3] < frames.len(), "{lengths:?}");
}

#[test]
fn what_does_not_become_shorter_stays() {
    let noise: String = (0..400_u32).map(|number| char::from(b'!' + (number * number * 7 % 89) as u8)).collect();
    let mut frames = Vec::new();
    encode_text(uuid::Uuid::new_v4().to_string().as_bytes(), &mut frames);
    encode_text("x".repeat(DEFLATE_BYTES_MIN - 1).as_bytes(), &mut frames);
    assert_eq!(packed(&frames, Window::Usual, DEFLATE_BYTES_MIN), frames);
    encode_text(noise.as_bytes(), &mut frames);
    assert_eq!(read(&packed(&frames, Window::Usual, 1), 15).len(), 3);
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
    fn whatever_comes_is_inflated_within_the_bound_or_refused(payload: Vec<u8>) {
        if let Ok(message) = Inflater::default().inflated(&payload, 300) {
            prop_assert!(message.len() <= 300);
        }
    }
}
