//! The WebSocket protocol: handshakes, frames cut anywhere, compressed messages.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use pregon::access::client_address::{self, Network};
use pregon::access::origin::{Hosts, Rules};
use pregon::protocol::v1::request::Credential;
use pregon_ws::deflate::{Inflater, Window, packed, puff};
use pregon_ws::frame::{are_whole_texts, encode_text, frame_boundary_at_or_after, payload_of_first};
use pregon_ws::handshake::{self, UpgradeRequest};
use pregon_ws::negotiation::Negotiation;
use pregon_ws::{Decoder, Incoming, Limits, Violation};

const HOST: &str = "chat.example.com";

/// A request's lines: the method, then headers.
///
/// # Panics
/// Something is agreed on that was not offered, or a foreign page may call.
pub fn handshake(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let method = lines.next().unwrap_or_default();
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim_matches([' ', '\t', '\r'])))
        .collect();
    let all = |wanted: &str| {
        let named = headers.iter().filter(|(name, _)| name == wanted);
        named.map(|(_, value)| *value).collect::<Vec<&str>>()
    };
    let one = |wanted: &str| all(wanted).first().copied();
    let accepted = handshake::accept(UpgradeRequest {
        method,
        http_1_1: true,
        connection: all("connection"),
        upgrade: all("upgrade"),
        version: one("sec-websocket-version"),
        key: one("sec-websocket-key"),
    });
    match accepted {
        Ok(proof) => assert!(method == "GET" && proof.len() == 28, "{proof}"),
        Err(refusal) => assert!(!refusal.text().is_empty() && refusal.status() >= 400),
    }

    let (protocols, extensions) = (all("sec-websocket-protocol"), all("sec-websocket-extensions"));
    let agreed = Negotiation::of(protocols.iter().copied(), extensions.iter().copied(), true);
    for (name, value) in agreed.lines() {
        let offered = if name == "sec-websocket-protocol" { &protocols } else { &extensions };
        // Extensions have names of any case.
        let offered = offered.join(",").to_ascii_lowercase();
        let known = value.split(';').next().unwrap_or_default();
        assert!(offered.contains(known), "{value} was not offered: {offered}");
    }
    assert!(Negotiation::of([], extensions.iter().copied(), false).lines().next().is_none());
    let _ = Credential::among(handshake::protocols(protocols.iter().copied()));

    if let Some(origin) = one("origin") {
        let is_allowed = Rules::same_host(false).allows(Some(origin), HOST);
        let lower = origin.to_ascii_lowercase();
        let authority = lower.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        assert!(!is_allowed || authority.starts_with(HOST) || !authority.is_ascii(), "{origin:?}");
        let _ = Rules::same_host(true).allows(Some(origin), one("host").unwrap_or_default());
        if let Ok(rules) = Rules::list(origin.split(',')) {
            let _ = rules.allows(Some(origin), HOST);
        }
    }
    let _ = Hosts::of_this_machine(Rules::same_host(true)).allow(one("host"));

    let mut forwarded = HeaderMap::new();
    for (name, value) in &headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
            forwarded.append(name, value);
        }
    }
    let peer: SocketAddr = ([127, 0, 0, 1], 1).into();
    let trusted: Vec<Network> = ["127.0.0.1", "10.0.0.0/8"].iter().filter_map(|network| network.parse().ok()).collect();
    let _ = client_address::client(peer, &forwarded, &trusted);
    assert_eq!(client_address::client(peer, &forwarded, &[]), peer.ip(), "nobody is believed");
}

/// One item that was heard, and why the stream ended.
type Heard = (Vec<(u8, Vec<u8>)>, Option<Violation>);

const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Decodes a client's bytes in pieces.
fn decoded(data: &[u8], mut piece: impl FnMut() -> usize, may_deflate: bool) -> Heard {
    let mut decoder = Decoder::new();
    let mut inflater = Inflater::default();
    let mut heard = Vec::new();
    let mut rest = data.to_vec();
    let mut violation = None;
    while !rest.is_empty() && violation.is_none() {
        let cut = piece().clamp(1, rest.len());
        let after = rest.split_off(cut);
        let inflater = may_deflate.then_some(&mut inflater);
        let limits = Limits { message_bytes_max: MESSAGE_BYTES_MAX, inflater };
        let done = decoder.decode(&mut rest, limits, |incoming| {
            heard.push(match incoming {
                Incoming::Text(text) => (1, text.as_bytes().to_vec()),
                Incoming::Binary(bytes) => (2, bytes.to_vec()),
                Incoming::Ping(bytes) => (9, bytes.to_vec()),
                Incoming::Pong(bytes) => (10, bytes.to_vec()),
                Incoming::Close(code, reason) => (8, format!("{code:?} {reason}").into_bytes()),
            });
            ControlFlow::Continue(())
        });
        violation = done.err();
        assert!(
            decoder.heap_bytes() <= 2 * data.len() + 1024,
            "memory grows with what came, not with what was announced"
        );
        rest = after;
    }
    (heard, violation)
}

/// A client's stream of frames, and a server's.
///
/// # Panics
/// What is heard depends on how the stream was cut, or a message is longer than it may be.
pub fn frame(data: &[u8]) {
    let [first, rest @ ..] = data else { return };
    let may_deflate = first & 1 == 1;
    let whole = decoded(rest, || usize::MAX, may_deflate);
    let each = decoded(rest, || 1, may_deflate);
    let mut step = usize::from(first >> 1) + 1;
    let some = decoded(
        rest,
        || {
            step = step * 7 % 61 + 1;
            step
        },
        may_deflate,
    );
    assert_eq!(whole, each);
    assert_eq!(whole, some);
    for (_, payload) in &whole.0 {
        assert!(payload.len() <= MESSAGE_BYTES_MAX.max(256));
    }

    // What another node says, which is sent on if it is whole.
    let mut left = rest;
    while let Some((_, frame, behind)) = payload_of_first(left) {
        assert_eq!(frame.len() + behind.len(), left.len());
        left = behind;
    }
    if are_whole_texts(rest) {
        for place in 0..=rest.len().min(64) {
            assert!(frame_boundary_at_or_after(rest, place).is_some_and(|boundary| boundary >= place));
        }
        assert_eq!(frame_boundary_at_or_after(rest, rest.len()), Some(rest.len()));
    }
}

/// A compressed message of a client, and a text that is compressed here.
///
/// # Panics
/// Two inflaters differ, or what was packed is not what comes out.
pub fn inflate(data: &[u8]) {
    let mut inflater = Inflater::default();
    let ours = inflater.inflated(data, MESSAGE_BYTES_MAX).map(|message| message.to_vec());
    // The plain one has no bounds: what ours refuses as too long is not given to it.
    if ours.as_ref().err().is_none_or(|why| why.code == pregon_ws::CloseCode::INVALID_PAYLOAD) {
        let plain = puff::inflate(data, 15);
        match (&ours, &plain) {
            (Ok(ours), Ok(plain)) => assert!(ours == plain, "two inflaters differ"),
            // Ours stops at the end of what came: a block that is cut off is found by the other one alone.
            (Ok(_), Err(_)) | (Err(_), Err(_)) => {}
            (Err(why), Ok(plain)) => panic!("{why} where the plain one makes {} bytes", plain.len()),
        }
    }
    let mut frames = Vec::new();
    encode_text(String::from_utf8_lossy(data).as_bytes(), &mut frames);
    let text = payload_of_first(&frames).and_then(|(payload, ..)| payload).expect("a text was encoded");
    for (window, bits) in [(Window::Usual, 15), (Window::Small, 9), (Window::Least, 8)] {
        let packed = packed(&frames, window, 1);
        let header = match packed[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        if packed[0] & 0x40 == 0 {
            assert!(packed == frames, "what is not compressed stays as it was");
            continue;
        }
        let out = puff::inflate(&packed[header..], bits).expect("it can be inflated");
        assert!(out == text, "it comes out as it went in");
        assert!(packed.len() < frames.len());
    }
}
