//! One connection's TLS against rustls' own client, with every way in which bytes may come.

use std::io::Write;

use proptest::prelude::*;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ConnectionTrafficSecrets, SupportedProtocolVersion};

use super::by_hand::{Pair, configs};
use super::*;
use crate::limits::{TLS_HELLO_BYTES_MAX, TLS_VISIT_BYTES_MAX};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

#[test]
fn bytes_go_both_ways_and_nothing_is_kept_at_rest() {
    for version in VERSIONS {
        let mut pair = Pair::shaken(&[version]);
        for size in [1, 200, TLS_VISIT_BYTES_MAX] {
            pair.client.writer().write_all(&vec![7; size]).unwrap();
            pair.settle();
            assert_eq!(std::mem::take(&mut pair.heard), vec![7; size]);
            pair.server_says(&vec![8; size]);
            assert_eq!(pair.settle(), vec![8; size]);
            assert_eq!((pair.server.unsent_bytes(), pair.server.partial_bytes()), (0, 0));
            assert_eq!((pair.server.unsent.capacity(), pair.server.partial.capacity()), (0, 0));
        }
    }
}

#[test]
fn what_the_socket_does_not_take_is_kept_and_goes_first() {
    let mut pair = Pair::shaken(&[&TLS13]);
    pair.to_client.room = 100;
    pair.server_says(&[1; 5000]);
    assert!(pair.server.unsent_bytes() > 4900 && pair.to_client.bytes.len() == 100);
    let mut sealed = Sealed::default();
    pair.server.seal(b"behind it", &mut sealed).unwrap();
    pair.server.keep(sealed.bytes());
    pair.server.say_goodbye();
    let mut heard = Vec::new();
    while pair.server.unsent_bytes() > 0 {
        pair.to_client.room = pair.to_client.bytes.len() + 37;
        pair.server.flush(&mut pair.to_client).unwrap();
        heard.extend(pair.settle());
    }
    heard.extend(pair.settle());
    assert_eq!(heard, [&[1; 5000][..], b"behind it"].concat());
    assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn a_client_may_change_its_keys_and_asks_for_new_ones() {
    let mut pair = Pair::shaken(&[&TLS13]);
    for round in 0..40 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(&[round]).unwrap();
        pair.settle();
        pair.server_says(&[round]);
        assert_eq!((std::mem::take(&mut pair.heard), pair.settle()), (vec![round], vec![round]));
    }
    assert_eq!(pair.server.end(), None);
}

/// rustls puts a message together in the bytes that it was shown, so these must be shown to it again when something is sealed.
#[test]
fn a_message_in_two_records_does_no_harm_to_what_is_sealed_between_them() {
    let (server, mut client) = configs(&[&TLS13]);
    client.enable_secret_extraction = true;
    let mut pair = Pair::new(server, client);
    pair.settle();
    let Pair { mut server, client, mut to_server, .. } = pair;
    let secrets = client.dangerous_extract_secrets().unwrap();
    let (mut number, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else { panic!("another cipher") };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
    let mut record = |handshake_bytes: &[u8]| {
        let mut sealed = [handshake_bytes, &[22]].concat();
        let length = u16::try_from(sealed.len() + AES_256_GCM.tag_len()).unwrap().to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        let mut nonce = <[u8; 12]>::try_from(iv.as_ref()).unwrap();
        nonce[4..].iter_mut().zip(u64::to_be_bytes(number)).for_each(|(byte, of)| *byte ^= of);
        number += 1;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut sealed).unwrap();
        [&header[..], &sealed].concat()
    };
    // KeyUpdate (24) of one byte, which asks for nothing (0).
    let (mut scratch, mut plain, mut sealed) = (vec![0; 20_000], Vec::new(), Sealed::default());
    to_server.write_all(&record(&[24, 0])).unwrap();
    server.receive(&mut to_server, &mut scratch, &mut plain).unwrap();
    assert!(server.partial_bytes() > 0 && server.end().is_none());
    server.seal(b"a frame", &mut sealed).unwrap();
    to_server.write_all(&record(&[0, 1])).unwrap();
    server.receive(&mut to_server, &mut scratch, &mut plain).unwrap();
    server.seal(b"another", &mut sealed).unwrap();
    to_server.write_all(&record(&[0])).unwrap();
    server.receive(&mut to_server, &mut scratch, &mut plain).unwrap();
    server.seal(b"and one more", &mut sealed).unwrap();
    assert_eq!((server.end(), server.partial_bytes(), plain.len()), (None, 0, 0));
    server.say_goodbye();
    assert!(server.unsent_bytes() > 0);
}

#[test]
fn an_end_is_heard_and_what_comes_behind_it_is_not() {
    for version in VERSIONS {
        let mut pair = Pair::shaken(&[version]);
        pair.client.writer().write_all(b"the last words").unwrap();
        pair.client.send_close_notify();
        pair.settle();
        assert_eq!((pair.server.end(), &pair.heard[..]), (Some(End::Closed), &b"the last words"[..]));
        pair.to_server.write_all(&[23, 3, 3, 0, 40]).unwrap();
        pair.server_reads();
        assert_eq!((pair.server.end(), pair.server.partial_bytes()), (Some(End::Closed), 0));
        // The other direction is still open (RFC 8446 §6.1).
        pair.server_says(b"goodbye");
        pair.server.say_goodbye();
        assert_eq!(pair.settle(), b"goodbye");
        assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
    }
}

#[test]
fn a_record_that_was_changed_ends_the_connection_and_the_client_is_told() {
    for version in VERSIONS {
        let mut pair = Pair::shaken(&[version]);
        pair.client.writer().write_all(b"something").unwrap();
        pair.client.write_tls(&mut pair.to_server).unwrap();
        *pair.to_server.bytes.back_mut().unwrap() ^= 1;
        pair.server_reads();
        assert!(matches!(pair.server.end(), Some(End::Broken(_))), "{:?}", pair.server);
        assert!(pair.heard.is_empty());
        pair.server.flush(&mut pair.to_client).unwrap();
        pair.client.read_tls(&mut pair.to_client).unwrap();
        let told = pair.client.process_new_packets();
        assert!(matches!(told, Err(Error::AlertReceived(AlertDescription::BadRecordMac))), "{told:?}");
        assert_eq!(pair.server.seal(b"x", &mut Sealed::default()), Err(Exhausted));
        pair.server.say_goodbye();
    }
}

#[test]
fn http2_alone_is_declined_and_beside_http1_it_is_not_taken() {
    for (offer, agreed) in [(&[&b"h2"[..], b"http/1.1"][..], Some(&b"http/1.1"[..])), (&[], None)] {
        let (server, mut client) = configs(&VERSIONS);
        client.alpn_protocols = offer.iter().map(|protocol| protocol.to_vec()).collect();
        let mut pair = Pair::new(server, client);
        pair.settle();
        assert_eq!((pair.server.is_resumed(), pair.client.alpn_protocol()), (Some(false), agreed));
    }
    let (server, mut client) = configs(&VERSIONS);
    client.alpn_protocols = vec![b"h2".to_vec()];
    let mut pair = Pair::new(server, client);
    pair.client.write_tls(&mut pair.to_server).unwrap();
    pair.server_reads();
    let Some(End::Broken(why)) = pair.server.end() else { panic!("{:?}", pair.server) };
    assert!(why.starts_with("no protocol in common"), "{why}");
    pair.server.flush(&mut pair.to_client).unwrap();
    pair.client.read_tls(&mut pair.to_client).unwrap();
    let told = pair.client.process_new_packets();
    assert!(matches!(told, Err(Error::AlertReceived(AlertDescription::NoApplicationProtocol))), "{told:?}");
}

#[test]
fn a_hello_without_end_is_cut_off() {
    let (server, _) = configs(&VERSIONS);
    let (mut tls, mut wire) = (Tls::new(server).unwrap(), by_hand::Wire::default());
    // A ClientHello that says it has 60 KiB, in records of 1 KiB.
    for number in 0..20 {
        let first: &[u8] = if number == 0 { &[1, 0, 0xf0, 0] } else { &[1, 1, 1, 1] };
        wire.write_all(&[22, 3, 1, 4, 0]).unwrap();
        wire.write_all(&[first, &[1; 1020]].concat()).unwrap();
    }
    let (mut scratch, mut plain) = (vec![0; TLS_HELLO_BYTES_MAX], Vec::new());
    while tls.end().is_none() {
        tls.receive(&mut wire, &mut scratch, &mut plain).unwrap();
        assert!(tls.partial_bytes() <= TLS_HELLO_BYTES_MAX);
    }
    assert!(matches!(tls.end(), Some(End::Broken(_))), "{tls:?}");
    assert_eq!(tls.partial_bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the pieces in which bytes come, in the handshake and behind it.
    #[test]
    fn pieces_make_no_difference(sizes in prop::collection::vec(1_usize..700, 1..60), is_old in any::<bool>()) {
        let (server, client) = configs(&[if is_old { &TLS12 } else { &TLS13 }]);
        let mut pair = Pair::new(server, client);
        let (mut said, mut scratch, mut sizes) = (Vec::new(), vec![0; 20_000], sizes.into_iter().cycle());
        for round in 0..30_u8 {
            while pair.client.wants_write() {
                pair.client.write_tls(&mut pair.to_server).unwrap();
            }
            while !pair.to_server.bytes.is_empty() {
                let size = sizes.next().unwrap();
                let held = pair.server.partial_bytes();
                pair.server.receive(&mut pair.to_server, &mut scratch[..held + size], &mut pair.heard).unwrap();
            }
            pair.settle();
            if !pair.client.is_handshaking() {
                let words = vec![round; sizes.next().unwrap() * 7];
                pair.client.writer().write_all(&words).unwrap();
                said.extend(words);
            }
        }
        pair.settle();
        prop_assert_eq!(&pair.heard, &said);
        prop_assert_eq!(pair.server.partial_bytes(), 0);
    }

    /// Bytes that are no TLS, before, in and behind a handshake, break a connection and nothing else.
    #[test]
    fn garbage_breaks_the_connection_alone(
        garbage in prop::collection::vec(any::<u8>(), 1..400),
        header in prop::option::of((20_u8..26, 0_u8..5)),
        is_shaken in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        is_deafened in any::<bool>(),
    ) {
        let (server, client) = configs(&VERSIONS);
        let mut pair = Pair::new(server, client);
        if is_shaken {
            pair.settle();
            pair.client.writer().write_all(b"words before it").unwrap();
        }
        let mut begun = Vec::new();
        pair.client.write_tls(&mut begun).unwrap();
        begun.truncate(cut.index(begun.len()));
        pair.to_server.write_all(&begun).unwrap();
        if let Some((kind, minor)) = header {
            let length = u16::try_from(garbage.len()).unwrap().to_be_bytes();
            pair.to_server.write_all(&[kind, 3, minor, length[0], length[1]]).unwrap();
        }
        pair.to_server.write_all(&garbage).unwrap();
        pair.server_reads();
        if is_deafened {
            let _ = pair.server.deafen();
            pair.to_server.write_all(&garbage).unwrap();
            pair.server_reads();
        }
        // Whatever it makes of them, it goes on to answer.
        let _ = pair.server.seal(b"something", &mut Sealed::default());
        pair.server.say_goodbye();
        pair.server.flush(&mut pair.to_client).unwrap();
        prop_assert!(pair.heard.is_empty() || pair.heard == b"words before it");
        prop_assert!(pair.server.partial_bytes() <= begun.len() + garbage.len() + 5);
    }
}
