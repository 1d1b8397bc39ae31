//! Has signatures that take long checked on the control runtime, a few at a time: forged tokens must not hold a shard up.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::access::client_address;
use crate::access::line::{Full, Line};
use crate::access::token::{Access, TokenError, Tokens};
use crate::clock::Timestamp;
use crate::limits::{SIGNATURE_CHECKS_AT_A_TIME, SIGNATURE_CHECKS_WAITING_MAX};
use crate::telemetry;

/// The checks of all shards. Addresses take turns; if too many wait, the address with most of them loses one.
pub(crate) struct SignatureChecks {
    tokens: Arc<Tokens>,
    line: Line<IpAddr>,
    control: Handle,
}

impl SignatureChecks {
    pub fn new(tokens: Arc<Tokens>, control: Handle) -> Self {
        Self { tokens, line: Line::new(SIGNATURE_CHECKS_AT_A_TIME, SIGNATURE_CHECKS_WAITING_MAX), control }
    }

    /// Does checking this token take so long that it is to be checked here?
    pub fn are_for(&self, token: &str) -> bool {
        self.tokens.is_costly(token)
    }

    /// Checks a client's access token when it is the client's turn; `None` if too many wait. Dropping it gives the place up.
    pub fn check(
        &self,
        client: IpAddr,
        token: &str,
    ) -> impl Future<Output = Option<Result<Access, TokenError>>> + Send + use<> {
        let (tokens, line, control) = (self.tokens.clone(), self.line.clone(), self.control.clone());
        let token = token.to_owned();
        async move {
            let Ok(turn) = line.turn(client_address::rate_key(client)).await.inspect_err(|_: &Full| {
                telemetry::limit_hit("signature checks", client);
            }) else {
                return None;
            };
            let checked = control.spawn(async move {
                let checked = tokens.verify_access(&token, Timestamp::now());
                drop(turn);
                checked
            });
            // It fails if the server ends.
            checked.await.ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::access::jwk;
    use crate::access::keys::Keys;
    use crate::access::token::Parties;
    use crate::ids::UserId;

    /// One thread, which does nothing else before the returned sender is dropped.
    fn busy() -> (tokio::runtime::Runtime, std::sync::mpsc::Sender<()>) {
        let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let ((release, released), (began, has_begun)) = (channel::<()>(), channel());
        control.spawn(async move {
            began.send(()).unwrap();
            let _ = released.recv();
        });
        has_begun.recv().unwrap();
        (control, release)
    }

    /// A runtime polls some sixty tasks at a time.
    async fn others_first() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn tokens() -> Arc<Tokens> {
        let key = jwk::make(jsonwebtoken::Algorithm::ES256, "e").unwrap();
        let set = jwk::read(serde_json::json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        Arc::new(Tokens::of(Keys::of(set.keys).unwrap(), Parties::default()))
    }

    #[test]
    fn only_keys_whose_signatures_take_long_are_for_it() {
        let (control, _release) = busy();
        let tokens = tokens();
        let checks = SignatureChecks::new(tokens.clone(), control.handle().clone());
        assert!(checks.are_for(&tokens.issue_access(UserId::fresh(), Timestamp::now())));
        let secret = Tokens::new(b"a secret of more than sixteen bytes");
        let signed = secret.issue_access(UserId::fresh(), Timestamp::now());
        assert!(!checks.are_for(&signed), "no key is meant, and nothing is computed");
        assert!(!SignatureChecks::new(Arc::new(secret), control.handle().clone()).are_for(&signed));
        assert!(!checks.are_for("") && !checks.are_for("eyJ") && !checks.are_for("a.b.c"));
    }

    /// The thread that asks is a shard's: it computes nothing, and a flood of one address keeps nobody else out.
    #[test]
    fn a_flood_of_tokens_waits_elsewhere_and_keeps_no_other_address_out() {
        let (control, release) = busy();
        let tokens = tokens();
        let checks = SignatureChecks::new(tokens.clone(), control.handle().clone());
        let good = tokens.issue_access(UserId::fresh(), Timestamp::now());
        let forged = format!("{}AAAA", &good[..good.len() - 4]);
        let shard = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&shard, async {
            let [flood, other] = ["203.0.113.1", "203.0.113.2"].map(|text| text.parse().unwrap());
            let most = SIGNATURE_CHECKS_AT_A_TIME + SIGNATURE_CHECKS_WAITING_MAX;
            let ask = |client, token: &str| tokio::task::spawn_local(checks.check(client, token));
            let asked: Vec<_> = (0..most + 50).map(|_| ask(flood, &forged)).collect();
            others_first().await;
            let other = ask(other, &good);
            others_first().await;
            let is_over = |asked: &&tokio::task::JoinHandle<_>| asked.is_finished();
            assert_eq!(asked.iter().filter(is_over).count(), 51, "50 too many, and one that gave its place up");
            assert!(!other.is_finished());
            drop(release);
            let checked = tokio::time::timeout(Duration::from_secs(20), other).await.unwrap().unwrap();
            assert!(checked.is_some_and(|checked| checked.is_ok()));
            let (mut refused, mut full) = (0, 0);
            for one in asked {
                match one.await.unwrap() {
                    Some(checked) => refused += u32::from(checked.is_err()),
                    None => full += 1,
                }
            }
            assert_eq!((refused, full), (u32::try_from(most - 1).unwrap(), 51));
        });
    }
}
