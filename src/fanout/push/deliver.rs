//! Sends one push: encrypts it for its browser (RFC 8291), signs it (RFC 8292), posts it (RFC 8030), reads the answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::Url;
use web_push_native::p256::PublicKey;
use web_push_native::{Auth, encrypt};

use crate::clock::Timestamp;
use crate::domain::push::Subscription;
use crate::fanout::push::address::{Hosts, PublicAddresses};
use crate::fanout::push::note::Note;
use crate::fanout::push::terms::Terms;
use crate::fanout::push::vapid::Vapid;
use crate::limits::{PUSH_ANSWER_BYTES_MAX, PUSH_CONNECT_TIMEOUT, PUSH_SENDS_MAX, PUSH_TIMEOUT};

/// The system has no certificates by which a push service could be believed.
#[derive(Debug)]
pub struct NoRoots(std::io::Error);

impl fmt::Display for NoRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = &self.0;
        write!(
            f,
            "push services need TLS, and this system has no root certificates ({why}): install ca-certificates, or unset PREGON_PUSH_CONTACT"
        )
    }
}

impl std::error::Error for NoRoots {}

/// How an attempt came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The push service took it.
    Sent,
    /// The subscription is over: it is to be deleted.
    Gone,
    /// It may work later; not before the time that the push service asked for.
    Later(Option<Duration>),
    /// The push service refuses this server or what it sends: an operator has to look. The status is 0 if the subscription
    /// itself cannot be used.
    Refused(u16),
}

/// Sends pushes.
pub(super) struct Sender {
    client: Client<HttpsConnector<HttpConnector<PublicAddresses>>, Full<Bytes>>,
    vapid: Vapid,
    hosts: Hosts,
    ttl_seconds: u32,
    /// One core at most encrypts.
    turn: Arc<Semaphore>,
}

impl Sender {
    /// # Errors
    /// The system has no root certificates.
    pub fn new(terms: &Terms, vapid: Vapid) -> Result<Self, NoRoots> {
        let mut tcp = HttpConnector::new_with_resolver(PublicAddresses);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(PUSH_CONNECT_TIMEOUT));
        let roots =
            HttpsConnectorBuilder::new().with_provider_and_native_roots(hyper_rustls_provider()).map_err(NoRoots)?;
        // Endpoints are checked before: plain text is for tests on this machine.
        let connector = roots.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(PUSH_SENDS_MAX)
            .build(connector);
        let (hosts, ttl_seconds) = (terms.hosts.clone(), terms.ttl_seconds);
        Ok(Self { client, vapid, hosts, ttl_seconds, turn: Arc::new(Semaphore::new(1)) })
    }

    /// One attempt, within [`PUSH_TIMEOUT`].
    pub async fn send(&self, subscription: &Subscription, note: &Arc<Note>) -> Outcome {
        // Settings may have changed since it was stored.
        let Ok(url) = self.hosts.check(&subscription.endpoint) else { return Outcome::Refused(0) };
        let Some(keys) = Keys::of(subscription) else { return Outcome::Gone };
        let Some(body) = self.encrypted(keys, note.clone()).await else { return Outcome::Gone };
        let origin = url.origin().ascii_serialization();
        let Some(authorization) = self.vapid.authorization(&origin, Timestamp::now()) else {
            return Outcome::Later(None);
        };
        let Some(request) = self.request(&url, &authorization, note, body) else { return Outcome::Refused(0) };
        match timeout(PUSH_TIMEOUT, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Later(None),
        }
    }

    /// `None` if the browser's key is none.
    async fn encrypted(&self, keys: Keys, note: Arc<Note>) -> Option<Vec<u8>> {
        let turn = self.turn.clone().acquire_owned().await.ok()?;
        let work = spawn_blocking(move || {
            let encrypted = encrypt(note.json.clone(), &keys.public, &keys.auth);
            drop(turn);
            encrypted
        });
        work.await.ok()?.ok()
    }

    fn request(&self, url: &Url, authorization: &str, note: &Note, body: Vec<u8>) -> Option<Request<Full<Bytes>>> {
        let request = Request::post(url.as_str())
            .header("ttl", self.ttl_seconds)
            .header("topic", &note.topic)
            .header("urgency", note.urgency)
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::AUTHORIZATION, authorization);
        request.body(Full::new(body.into())).ok()
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Outcome {
        let answer = match self.client.request(request).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(error = ?error, "a push service cannot be reached");
                return Outcome::Later(None);
            }
        };
        let status = answer.status();
        let asked =
            answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // Read to its end, so that the connection is used again.
        let said = Limited::new(answer.into_body(), PUSH_ANSWER_BYTES_MAX).collect().await;
        let outcome = outcome_of(status, asked.map(Duration::from_secs));
        if let Outcome::Refused(status) = outcome {
            let said = said.map(|said| said.to_bytes()).unwrap_or_default();
            let reason: String = String::from_utf8_lossy(&said).chars().take(200).collect();
            crate::telemetry::push_refused(status, &reason);
        }
        outcome
    }
}

/// TLS by ring, as all our cryptography.
fn hyper_rustls_provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// What an answer's status means (RFC 8030 §5, §7.3, §8.4). Redirects are not followed.
fn outcome_of(status: StatusCode, asked: Option<Duration>) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Sent,
        404 | 410 => Outcome::Gone,
        408 | 425 | 429 | 500..=599 => Outcome::Later(asked),
        status => Outcome::Refused(status),
    }
}

/// A browser's key and secret.
pub(super) struct Keys {
    public: PublicKey,
    auth: Auth,
}

impl Keys {
    /// `None` if they cannot be used.
    fn of(subscription: &Subscription) -> Option<Self> {
        read_keys(&subscription.p256dh, &subscription.auth)
    }
}

/// Whether a browser's key is a point of P-256 and its secret has 16 bytes, both as base64url.
pub fn are_keys(p256dh: &str, auth: &str) -> bool {
    read_keys(p256dh, auth).is_some()
}

fn read_keys(p256dh: &str, auth: &str) -> Option<Keys> {
    let read = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let public = read(p256dh).filter(|point| point.len() == 65)?;
    let auth: [u8; 16] = read(auth)?.try_into().ok()?;
    Some(Keys { public: PublicKey::from_sec1_bytes(&public).ok()?, auth: Auth::from(auth) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_consequence() {
        let wait = Some(Duration::from_secs(30));
        for (status, outcome) in [
            (200, Outcome::Sent),
            (201, Outcome::Sent),
            (202, Outcome::Sent),
            (301, Outcome::Refused(301)),
            (307, Outcome::Refused(307)),
            (400, Outcome::Refused(400)),
            (401, Outcome::Refused(401)),
            (403, Outcome::Refused(403)),
            (404, Outcome::Gone),
            (410, Outcome::Gone),
            (413, Outcome::Refused(413)),
            (429, Outcome::Later(wait)),
            (500, Outcome::Later(wait)),
            (503, Outcome::Later(wait)),
        ] {
            assert_eq!(outcome_of(StatusCode::from_u16(status).unwrap(), wait), outcome, "{status}");
        }
    }

    /// The keys of RFC 8291, appendix A.
    #[test]
    fn keys_are_a_point_and_a_secret() {
        let point = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let secret = "BTBZMqHH6r4Tts7J_aSIgg";
        assert!(are_keys(point, secret) && are_keys(&format!("{point}="), &format!("{secret}==")));
        let off_curve = format!("{}A", &point[..point.len() - 1]);
        for (point, secret) in [("", secret), (point, ""), (secret, secret), (point, point), (&off_curve[..], secret)] {
            assert!(!are_keys(point, secret), "{point} {secret}");
        }
    }
}
