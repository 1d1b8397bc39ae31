//! Tests that whoever asks before their token is judged is answered, whatever becomes of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::engine::shard::by_hand::Sink;
use crate::engine::shard::errand::{Answer, Identity};
use crate::engine::shard::port::Inbox;
use crate::engine::shard::sim::ports::{Asked as Withdrawn, Routes, ports};
use crate::ids::{FamilyId, ShardId, UserId};
use crate::protocol::ws::frame::payload_of_first;
use crate::protocol::ws::negotiation::Subprotocol;

/// A shard with one socket whose token is being judged.
struct Newcomer {
    core: Core,
    index: u32,
    errands: Arc<Mutex<Vec<Errand>>>,
    withdrawn: Arc<Withdrawn>,
}

impl Newcomer {
    fn new() -> Self {
        let (withdrawn, errands) = (Arc::<Withdrawn>::default(), Arc::<Mutex<Vec<Errand>>>::default());
        let mut ports = ports(Arc::from([Arc::new(Inbox::default())]), Arc::<Routes>::default(), &withdrawn);
        let kept = errands.clone();
        ports.errands = Arc::new(move |errand| {
            kept.lock().unwrap().push(errand);
            true
        });
        let mut core = Core::new(ShardId(0), ports, Instant::now());
        let index = core.reserve();
        let negotiation = Negotiation { subprotocol: Subprotocol::V1, ..Negotiation::default() };
        core.begin_many(index, negotiation, Some(Credential::Token("t".into())), None);
        Self { core, index, errands, withdrawn }
    }

    /// Its token is good, but something was taken from its user meanwhile.
    fn lose_a_right(&mut self) {
        let errand = self.errands.lock().unwrap().pop();
        let Some(Errand::Identify { session, request, .. }) = errand else { panic!("{errand:?}") };
        let account = Arc::new(Account::active(UserId::fresh(), "ana".into()));
        let mark = self.withdrawn.withdrawals.mark(account.id, Endpoint::Many.topic(account.id));
        self.withdrawn.withdrawals.from_user(account.id);
        let family = FamilyId::issued(0);
        let outcome = Ok(Identity { account, family, mark, token_left: Duration::from_secs(60), token_expires: 0 });
        self.core.answered(Answer::Identified { session, request, outcome });
    }

    /// The ids and codes of what the socket was told.
    fn told(&mut self) -> Vec<(Value, Value)> {
        let (mut sink, mut outcomes) = (Sink::default(), Vec::new());
        while self.core.walk_a_stretch(&mut sink, &mut outcomes) > 0 {}
        self.core.check_invariants();
        let bytes = sink.0.remove(&self.index).unwrap_or_default();
        let (mut told, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((payload, _, behind)) = payload_of_first(rest) {
            let frame: Value = serde_json::from_slice(payload.unwrap()).unwrap();
            told.push((frame["id"].clone(), frame["code"].clone()));
            rest = behind;
        }
        told
    }
}

#[test]
fn what_was_asked_early_is_answered_where_the_token_has_to_be_shown_again() {
    let mut it = Newcomer::new();
    it.core.many_text(it.index, r#"{"type":"ping","id":1}"#);
    assert_eq!(it.told(), []);
    it.lose_a_right();
    assert_eq!(it.told(), [(Value::Null, json!("ask_again")), (json!(1), json!("not_authenticated"))]);
}

#[test]
fn what_is_too_much_before_the_welcome_is_to_be_asked_again_later() {
    let mut it = Newcomer::new();
    let pad = "x".repeat(EARLY_BYTES_MAX / 2);
    for id in 1..=3 {
        let request = json!({"type": "ping", "id": id, "pad": pad}).to_string();
        it.core.many_text(it.index, &request);
    }
    assert_eq!(it.told(), [(json!(2), json!("busy")), (json!(3), json!("busy"))]);
}
