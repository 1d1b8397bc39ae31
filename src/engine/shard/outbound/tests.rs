//! What is compressed on a shard, and what never is.

use std::time::{Duration, Instant};

use super::*;
use crate::clock::Timestamp;
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::shard::by_hand::Sink;
use crate::engine::shard::errand::{Answer, Errand, Identity};
use crate::engine::shard::sim::ports::{Asked, Routes, ports};
use crate::ids::{FamilyId, RoomId, Topic};
use crate::protocol::v1::request::Credential;
use crate::protocol::ws::deflate::{Window, puff};
use crate::protocol::ws::frame::{encode_text, payload_of_first};
use crate::protocol::ws::negotiation::{Negotiation, Subprotocol};
use crate::protocol::ws::packing::Packing;

const DEFLATED: Packing = Packing::Deflated(Window::Usual);

fn account(username: &str) -> Arc<Account> {
    Arc::new(Account::active(UserId::fresh(), username.into()))
}

fn shard() -> (Core, Arc<std::sync::Mutex<Vec<Errand>>>) {
    let inboxes = Arc::from([Arc::new(crate::engine::shard::port::Inbox::default())]);
    let mut ports = ports(inboxes, Arc::<Routes>::default(), &Arc::<Asked>::default());
    let errands = Arc::<std::sync::Mutex<Vec<Errand>>>::default();
    let kept = errands.clone();
    ports.errands = Arc::new(move |errand| {
        kept.lock().unwrap().push(errand);
        true
    });
    (Core::new(ShardId(0), ports, Instant::now()), errands)
}

/// What each session was sent since this was last asked.
fn sent(core: &mut Core) -> Sink {
    let (mut sink, mut outcomes) = (Sink::default(), Vec::new());
    while core.walk_a_stretch(&mut sink, &mut outcomes) > 0 {}
    sink
}

fn enter(core: &mut Core, room: RoomId, packing: Packing) -> u32 {
    let endpoint = Endpoint::Chat { room, has_presence: false };
    let (family, mark) = (FamilyId::issued(0), Mark::default());
    let entry = Entry { account: account("ana"), endpoint, family, token_ends: i64::MAX, mark };
    let index = core.reserve();
    core.begin(index, Negotiation { packing, ..Negotiation::default() }, Ok(entry), Timestamp(0));
    index
}

fn long_frame() -> (String, Vec<u8>) {
    let (text, mut frame) =
        ((0..400).map(|number| format!("{} ", number * 7919 % 10_007)).collect::<String>(), Vec::new());
    encode_text(text.as_bytes(), &mut frame);
    (text, frame)
}

#[test]
fn all_who_listen_in_a_form_share_one_compressed_copy() {
    let (text, frame) = long_frame();
    let mut held = Vec::new();
    for members in [1, 100] {
        let ((mut core, _), room) = (shard(), RoomId::fresh());
        let sessions: Vec<u32> = (0..members).map(|_| enter(&mut core, room, DEFLATED)).collect();
        let plain = enter(&mut core, room, Packing::Plain);
        sent(&mut core);
        let slot = core.registry.slot(&Topic::Room(room)).unwrap();
        let frames = FrameSet::new(&frame[..]);
        core.fan_out(slot, &frames, Class::Durable, Except::Nobody, None);
        held.push(core.arena.held_bytes());
        let heard = sent(&mut core).0;
        assert_eq!(heard[&plain], frame);
        let deflated = &heard[&sessions[0]];
        assert!(sessions.iter().all(|session| heard[session] == *deflated) && deflated.len() < frame.len());
        assert_eq!((deflated[0], puff::inflate(&deflated[4..], 15)), (0xc1, Ok(text.clone().into_bytes())));
    }
    assert!(held[1] < 10 * frame.len(), "{held:?} bytes for one and for a hundred listeners");
}

#[test]
fn what_answers_a_secret_is_never_compressed() {
    let (mut core, errands) = shard();
    let index = core.reserve();
    let negotiation = Negotiation { subprotocol: Subprotocol::V1, packing: DEFLATED };
    core.begin_many(index, negotiation, Some(Credential::Token("t".into())), None);
    // Nobody has such a name: the answer is so long that it would be compressed.
    let account = account(&"ana".repeat(500));
    for kind in ["welcome", "refreshed"] {
        if kind == "refreshed" {
            core.many_text(index, r#"{"type":"auth","token":"t"}"#);
        }
        let Some(Errand::Identify { session, .. }) = errands.lock().unwrap().pop() else { panic!("nobody asks") };
        let (family, mark, token_left) = (FamilyId::issued(0), Mark::default(), Duration::from_secs(3600));
        let outcome = Ok(Identity { account: account.clone(), family, mark, token_left, token_expires: 0 });
        let request = Some("x".repeat(2000).into());
        core.answered(Answer::Identified { session, request, outcome });
        let heard = sent(&mut core).0.remove(&index).unwrap();
        let (text, _, rest) = payload_of_first(&heard).unwrap();
        let text = String::from_utf8(text.expect("it is not compressed").to_vec()).unwrap();
        assert!(text.contains(kind) && text.len() > 2000 && rest.is_empty(), "{text}");
    }
    // Other answers are, if they are as long.
    core.deliver(index, &long_frame().1, Class::Durable);
    assert_eq!(sent(&mut core).0[&index][0], 0xc1);
    core.deliver_as_is(index, &long_frame().1, Class::Durable);
    assert_eq!(sent(&mut core).0[&index][0], 0x81);
}

#[test]
fn compression_costs_an_idle_session_and_a_plain_publication_nothing() {
    assert!(size_of::<Slot>() <= 96 && size_of::<Line>() <= 64);
    assert_eq!(size_of::<Packing>(), 1);
    assert!(size_of::<FrameSet<Bytes>>() <= 192, "{}", size_of::<FrameSet<Bytes>>());
    let (mut core, _) = shard();
    enter(&mut core, RoomId::fresh(), Packing::Plain);
    assert!(core.inflater.is_none(), "nobody compresses");
    let session = enter(&mut core, RoomId::fresh(), DEFLATED);
    let mut nothing = [];
    crate::engine::net::sockets::Handler::received(&mut core, session, &mut nothing);
    assert!(core.inflater.is_some(), "one for all sessions of the shard");
}
