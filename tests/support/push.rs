//! A push service on this machine: it checks who sends (RFC 8292), decrypts what comes (RFC 8291), and answers as a test wants.
#![allow(dead_code, reason = "not every test program is about pushes")]

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint;

use super::{PATIENCE, POLL, Server};

/// The contact of the tests' servers.
pub const CONTACT: &str = "mailto:ops@pregon.org";

/// A push that was taken.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The browser's path.
    pub path: String,
    pub ttl: u64,
    pub topic: String,
    pub urgency: String,
    /// The server's public key.
    pub key: String,
    /// What it says.
    pub json: Value,
    pub at: Instant,
    /// What it was answered with.
    pub status: u16,
}

impl Pushed {
    /// Title and body.
    pub fn said(&self) -> (&str, &str) {
        let notification = &self.json["notification"];
        (notification["title"].as_str().unwrap_or_default(), notification["body"].as_str().unwrap_or_default())
    }
}

/// A browser: its keys at its push service.
#[derive(Clone)]
struct Browser {
    secret: SecretKey,
    auth: [u8; 16],
}

#[derive(Default)]
struct Shared {
    browsers: HashMap<String, Browser>,
    pushed: Vec<Pushed>,
    /// Statuses of the next answers, with their Retry-After; then 201.
    answers: VecDeque<(u16, Option<u64>)>,
    faults: Vec<String>,
}

/// A push service.
pub struct PushService {
    origin: String,
    shared: Arc<Mutex<Shared>>,
    /// How long each answer takes.
    pause: Arc<Mutex<Duration>>,
}

impl PushService {
    /// Listens on a free port of loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let service = Self { origin, shared: Arc::default(), pause: Arc::default() };
        let (shared, origin, pause) = (service.shared.clone(), service.origin.clone(), service.pause.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, origin, pause) = (shared.clone(), origin.clone(), pause.clone());
                let answer = service_fn(move |request| {
                    let (shared, origin, pause) = (shared.clone(), origin.clone(), pause.clone());
                    async move {
                        let answer = take(&shared, &origin, request).await;
                        let pause = *pause.lock().unwrap();
                        if !pause.is_zero() {
                            tokio::time::sleep(pause).await;
                        }
                        Ok::<_, Infallible>(answer)
                    }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        service
    }

    /// A new browser. Returns what its page would send to `POST /api/push/subscriptions/`.
    pub fn browser(&self, name: &str) -> Value {
        let secret = loop {
            if let Ok(secret) = SecretKey::from_slice(&rand::random::<[u8; 32]>()) {
                break secret;
            }
        };
        let auth: [u8; 16] = rand::random();
        let p256dh = URL_SAFE_NO_PAD.encode(secret.public_key().to_encoded_point(false).as_bytes());
        let path = format!("/{name}");
        self.shared.lock().unwrap().browsers.insert(path.clone(), Browser { secret, auth });
        json!({
            "endpoint": format!("{}{path}", self.origin),
            "expirationTime": null,
            "keys": {"p256dh": p256dh, "auth": URL_SAFE_NO_PAD.encode(auth)},
        })
    }

    /// A user subscribes with a new browser of this name.
    pub async fn subscribe(&self, server: &Server, user: usize, name: &str) -> Value {
        let browser = self.browser(name);
        server.done("POST", "/api/push/subscriptions/", user, Some(browser.clone())).await;
        browser
    }

    /// The next request is answered with this status.
    pub fn answer(&self, status: u16, retry_after: Option<u64>) {
        self.shared.lock().unwrap().answers.push_back((status, retry_after));
    }

    /// Each answer takes so long from here on.
    pub fn answer_after(&self, pause: Duration) {
        *self.pause.lock().unwrap() = pause;
    }

    /// All that has come.
    pub fn pushed(&self) -> Vec<Pushed> {
        let shared = self.shared.lock().unwrap();
        assert!(shared.faults.is_empty(), "{:?}", shared.faults);
        shared.pushed.clone()
    }

    /// Waits until so many have come, and returns all.
    pub async fn wait_for(&self, count: usize) -> Vec<Pushed> {
        let began = Instant::now();
        loop {
            let pushed = self.pushed();
            if pushed.len() >= count {
                return pushed;
            }
            assert!(began.elapsed() < PATIENCE, "{count} pushes never come: {pushed:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn take(shared: &Mutex<Shared>, origin: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let answer = |status: u16, retry_after: Option<u64>| {
        let response = Response::builder().status(status);
        let response = match retry_after {
            Some(seconds) => response.header("retry-after", seconds),
            None => response,
        };
        response.body(Full::new(Bytes::from_static(b"the push service's reason"))).unwrap()
    };
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut shared = shared.lock().unwrap();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let path = parts.uri.path().to_owned();
    let checked = || -> Result<Pushed, String> {
        let browser = shared.browsers.get(&path).ok_or("nobody has this path")?;
        if parts.method != "POST" || header("content-encoding") != "aes128gcm" {
            return Err(format!("{} {:?}", parts.method, parts.headers));
        }
        // RFC 8030 §7.2.
        if body.len() > 4096 {
            return Err(format!("{} bytes", body.len()));
        }
        let key = check_vapid(&header("authorization"), origin)?;
        let text = web_push_native::decrypt(body.to_vec(), &browser.secret, &browser.auth.into());
        let text = text.map_err(|error| error.to_string())?;
        let json = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let ttl = header("ttl").parse().map_err(|_| "no TTL")?;
        let (topic, urgency) = (header("topic"), header("urgency"));
        let is_topic = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if topic.is_empty() || topic.len() > 32 || !topic.bytes().all(is_topic) {
            return Err(format!("topic {topic:?}"));
        }
        Ok(Pushed { path: path.clone(), ttl, topic, urgency, key, json, at: Instant::now(), status: 0 })
    };
    match checked() {
        Ok(mut pushed) => {
            let (status, retry_after) = shared.answers.pop_front().unwrap_or((201, None));
            pushed.status = status;
            shared.pushed.push(pushed);
            answer(status, retry_after)
        }
        Err(fault) => {
            shared.faults.push(format!("{path}: {fault}"));
            answer(400, None)
        }
    }
}

/// The public key of whoever signed.
fn check_vapid(header: &str, origin: &str) -> Result<String, String> {
    let of = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|error| error.to_string());
    let rest = header.strip_prefix("vapid t=").ok_or(format!("authorization {header:?}"))?;
    let (token, key) = rest.split_once(", k=").ok_or("no key")?;
    let (signed, signature) = token.rsplit_once('.').ok_or("no signature")?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, of(key)?)
        .verify(signed.as_bytes(), &of(signature)?)
        .map_err(|_| "a wrong signature")?;
    let (head, claims) = signed.split_once('.').ok_or("no claims")?;
    let head: Value = serde_json::from_slice(&of(head)?).map_err(|error| error.to_string())?;
    let claims: Value = serde_json::from_slice(&of(claims)?).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let left = claims["exp"].as_u64().unwrap_or(0).saturating_sub(now);
    // RFC 8292 §2.
    if head["alg"] != "ES256" || claims["aud"] != origin || claims["sub"] != CONTACT || left == 0 || left > 24 * 3600 {
        return Err(format!("{head} {claims}"));
    }
    Ok(key.to_owned())
}
