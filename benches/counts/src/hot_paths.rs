//! The hot paths whose instructions are counted, each ready to run any number of times.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::message::{Message, MessageType};
use pregon::domain::rights::Mark;
use pregon::domain::user::{Account, UserProfile};
use pregon::engine::session::endpoint::Endpoint;
use pregon::engine::session::outbox::Class;
use pregon::engine::session::{Effect, Entry, Seconds, Session};
use pregon::engine::shard::port::{Except, Inbox, Publication, ToShard};
use pregon::engine::topics::members::Member;
use pregon::ids::{FamilyId, MessageId, RoomId, UserId};
use pregon::limits::MESSAGE_BYTES_MAX;
use pregon::protocol::form::{Form, FrameSet};
use pregon::protocol::v0::command::parse;
use pregon::protocol::v0::event;
use pregon::protocol::v0::fields::Reader;
use pregon::protocol::v0::object::Presenter;
use pregon::protocol::ws::frame::encode_text;
use pregon::protocol::ws::mask::unmask;
use pregon::protocol::ws::negotiation::Negotiation;
use pregon::protocol::ws::{Decoder, Incoming, Limits};
use uuid::Uuid;

use crate::support::frames::{ascii, client_frames, masked, signal};
use crate::support::rooms::{Room, registry_of, topic};

/// Prepares a path; each call of the returned function runs it once.
type Prepare = Box<dyn FnOnce() -> Box<dyn FnMut()>>;

/// The names under which counts are stored.
pub fn names() -> Vec<String> {
    hot_paths().into_iter().map(|(name, _)| name).collect()
}

/// The path with this name, prepared.
pub fn hot_path(name: &str) -> Option<Box<dyn FnMut()>> {
    hot_paths().into_iter().find(|(of, _)| of == name).map(|(_, prepare)| prepare())
}

fn hot_paths() -> Vec<(String, Prepare)> {
    let mut paths = vec![
        path("frame: decode 100 B", || decode(100)),
        path("frame: decode 1 KB", || decode(1024)),
        path("frame: unmask 1 KB", unmask_1_kb),
        path("frame: encode 100 B", || encode(100)),
        path("inbound: typing, from bytes to its room's frame", || inbound(r#"{"type":"typing","is_typing":true}"#)),
        path("inbound: signal 60, from bytes to its room's frame", || inbound(&signal(60))),
        path("inbound: signal 1024, from bytes to its room's frame", || inbound(&signal(1024))),
        path("event: a committed message's frame", message_frame),
        path("room: an event to 1000 outboxes and their visits", || fan_out(1000)),
        path("room: first to join and last to leave", first_and_last),
        path("room: join and leave a live room", join_and_leave),
        path("inbox: send and pop", send_and_pop),
        path("token: verify", verify),
    ];
    for (name, frame) in client_frames() {
        paths.push(path(&format!("parse: {name}"), || {
            let mut reader = Reader::default();
            move || assert!(black_box(parse(black_box(&frame), &mut reader)).is_ok())
        }));
    }
    paths
}

fn path<Run: FnMut() + 'static>(name: &str, prepare: impl FnOnce() -> Run + 'static) -> (String, Prepare) {
    (name.into(), Box::new(|| Box::new(prepare())))
}

/// One client's frame. Decoding it twice masks it twice, and both results are text (see [`masked`]).
fn decode(bytes: usize) -> impl FnMut() {
    let mut frame = masked(&ascii(bytes));
    let mut decoder = Decoder::new();
    move || {
        let decoded = decoder.decode(black_box(&mut frame), Limits::plain(MESSAGE_BYTES_MAX), |incoming| {
            black_box(incoming);
            ControlFlow::Continue(())
        });
        assert!(decoded.is_ok());
    }
}

fn unmask_1_kb() -> impl FnMut() {
    let mut payload = ascii(1024);
    move || unmask(black_box(&mut payload), [1, 2, 3, 4], 0)
}

fn encode(bytes: usize) -> impl FnMut() {
    let payload = ascii(bytes);
    let mut out = Vec::with_capacity(2 * bytes);
    move || {
        out.clear();
        encode_text(black_box(&payload), &mut out);
    }
}

/// The work of a shard on a frame before its fan-out: decode, session, command, event.
fn inbound(json: &str) -> impl FnMut() + use<> {
    let account = Arc::new(Account::active(user(), "ana".into()));
    let entry = Entry {
        account: account.clone(),
        endpoint: Endpoint::Chat { room: RoomId(Uuid::from_u128(7)), has_presence: true },
        family: FamilyId::issued(0),
        token_ends: 10_000,
        mark: Mark::default(),
    };
    let session = Session::admitted(&entry, Negotiation::default(), Seconds(0), Seconds(u32::MAX));
    let frame = masked(json.as_bytes());
    let mut received = frame.clone();
    let mut decoder = Decoder::new();
    let mut reader = Reader::default();
    let mut out = Vec::with_capacity(8 * 1024);
    move || {
        received.copy_from_slice(&frame);
        let decoded = decoder.decode(black_box(&mut received), Limits::plain(MESSAGE_BYTES_MAX), |incoming| {
            let Incoming::Text(text) = incoming else { panic!("a text frame") };
            out.clear();
            match session.text(text, &mut reader) {
                Effect::Typing(is_typing) => event::typing_status(&mut out, &account, is_typing),
                Effect::Signal { data, .. } => event::signal(&mut out, &account, data),
                other => panic!("{other:?}"),
            }
            ControlFlow::Continue(())
        });
        assert!(decoded.is_ok() && !black_box(&out).is_empty());
    }
}

fn message_frame() -> impl FnMut() {
    let presenter = Presenter::new("https://chat.example", true);
    let sent = ChatEvent::Sent(Arc::new(message()));
    let mut out = Vec::with_capacity(4 * 1024);
    move || {
        out.clear();
        event::durable(&mut out, &presenter, black_box(&sent));
    }
}

fn fan_out(members: u32) -> impl FnMut() {
    let mut room = Room::of(members);
    let mut frame = Vec::new();
    encode_text(&ascii(100), &mut frame);
    move || {
        room.publish(black_box(&frame));
        assert_eq!(room.walk(), frame.len() * members as usize);
    }
}

fn first_and_last() -> impl FnMut() {
    let (mut registry, _) = registry_of(1000);
    let mut number = 1000;
    move || {
        number += 1;
        let (seat, _) = registry.join(topic(number), Member::first_of(7, Form::default()));
        black_box(registry.leave(seat));
    }
}

fn join_and_leave() -> impl FnMut() {
    let (mut registry, _) = registry_of(1000);
    let mut number = 0;
    move || {
        number = (number + 1) % 1000;
        let (seat, _) = registry.join(topic(number), Member::first_of(7, Form::default()));
        black_box(registry.leave(seat));
    }
}

fn send_and_pop() -> impl FnMut() {
    let inbox = Inbox::default();
    let publication = Arc::new(Publication {
        topic: topic(1),
        frames: FrameSet::new(Bytes::from_static(&[0; 113])),
        class: Class::Ephemeral,
        except: Except::Nobody,
        origin: None,
        born: std::time::Instant::now(),
    });
    move || {
        inbox.send(ToShard::Publish(publication.clone()));
        black_box(inbox.pop());
    }
}

fn verify() -> impl FnMut() {
    let tokens = Tokens::new(b"a secret of the benches, long enough");
    let now = Timestamp(1_700_000_000_000_000);
    let token = tokens.issue_access(user(), now);
    move || assert!(tokens.verify_access(black_box(&token), now).is_ok())
}

fn user() -> UserId {
    UserId(Uuid::from_u128(0xc29e_1460_2438_4c40_a229_7c21_0c70_1b1c))
}

fn message() -> Message {
    let now = Timestamp(1_700_000_000_000_000);
    Message {
        id: MessageId(Uuid::from_u128(0x7d17_fe03_94d3_4a71_9dbe_0dbb_933c_1946)),
        room: RoomId(Uuid::from_u128(7)),
        sender: Arc::new(UserProfile { id: user(), username: "ana".into(), ..UserProfile::default() }),
        content: String::from_utf8(ascii(100)).expect("ASCII"),
        message_type: MessageType::Text,
        image: None,
        video: None,
        audio: None,
        file_url: String::new(),
        file_name: String::new(),
        file_size: None,
        reply_to: None,
        is_edited: false,
        is_deleted: false,
        created_at: now,
        updated_at: now,
        reactions: Vec::new(),
        reaction_counts: BTreeMap::new(),
        user_reaction: None,
        is_read: false,
        read_by_count: 0,
        story_id: None,
        story: None,
        client_id: None,
    }
}
