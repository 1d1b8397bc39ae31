//! What all checks share: the server, its REST API, users and a room, and the schema.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::http::{HeaderMap, Request};

use super::expect::text;
use super::schema::Schema;
use crate::fixture::User;
use crate::interrupt;
use crate::options::Common;
use crate::scenario::resolve;
use crate::setup;
use crate::target::TargetKind;

/// Users of a run: three take part in its rooms, one is asked for when more are needed, the last is a stranger.
const USERS: usize = 5;
/// The members of the run's rooms.
pub const MEMBERS: usize = 3;
/// The user who takes part in none of the run's rooms.
pub const STRANGER: usize = 4;
/// How often a request is repeated that is told to wait.
const WAITS_MAX: usize = 30;

/// What all checks share.
pub struct World {
    pub address: SocketAddr,
    /// The host of the server as requests name it.
    pub host: String,
    pub users: Vec<User>,
    pub schema: Schema,
    agent: ureq::Agent,
    api: String,
    run: String,
    numbers: Cell<usize>,
    frames: Cell<usize>,
}

/// A room of this run.
pub struct Room {
    pub id: String,
    /// As the server names it in `pregon.v1`.
    pub topic: String,
}

/// An answer of the REST API.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    /// Users come from the fixture, or are registered.
    pub fn make(common: &Common, schema: Option<&Path>) -> Result<Self> {
        ensure!(common.target == TargetKind::Pregon, "a plain server has no protocol that could be checked");
        ensure!(common.url.starts_with("ws://"), "conformance: the protocol is the same by TLS; give a ws:// server");
        let schema = Schema::load(schema)?;
        let address = resolve(&common.url)?;
        let host = common.url.trim_start_matches("ws://").split('/').next().unwrap_or_default().to_owned();
        let fixture = setup::prepare_users(common, USERS)?;
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(60))).build().into();
        Ok(Self {
            address,
            host,
            users: fixture.users,
            schema,
            agent,
            api: common.api_url().trim_end_matches('/').to_owned(),
            run: format!("conformance {:x}", fastrand::u32(..)),
            numbers: Cell::new(0),
            frames: Cell::new(0),
        })
    }

    /// A name that nothing else of this server has.
    pub fn name(&self, what: &str) -> String {
        self.numbers.set(self.numbers.get() + 1);
        format!("{} {what} {}", self.run, self.numbers.get())
    }

    /// A frame was held against the schema.
    pub fn counted(&self) {
        self.frames.set(self.frames.get() + 1);
    }

    pub fn frames(&self) -> usize {
        self.frames.get()
    }

    /// A request of a user, whatever comes of it. Where the server says to wait, it waits.
    pub fn rest(&self, method: &str, path: &str, user: usize, body: Option<&Value>) -> Result<Answer> {
        self.rest_with(method, path, &self.users[user].token, body, &[])
    }

    /// The same with a token and further headers.
    pub fn rest_with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let what = || format!("{method} {path}");
        for _ in 0..WAITS_MAX {
            let mut request = Request::builder().method(method).uri(format!("{}{path}", self.api));
            request = request.header("authorization", format!("Bearer {token}"));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = match body {
                Some(body) => {
                    let request = request.header("content-type", "application/json");
                    self.agent.run(request.body(body.to_string()).with_context(what)?)
                }
                None => self.agent.run(request.body(()).with_context(what)?),
            };
            let mut answer = answer.with_context(what)?;
            let text = answer.body_mut().read_to_string().with_context(what)?;
            let status = answer.status().as_u16();
            if status != 429 && status != 503 {
                let body = serde_json::from_str(&text).unwrap_or(Value::Null);
                return Ok(Answer { status, headers: answer.headers().clone(), body });
            }
            let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            interrupt::sleep(Duration::from_secs(wait.unwrap_or(1)));
        }
        bail!("{method} {path}: the server is still at its limit after {WAITS_MAX} waits")
    }

    /// The body of a request that must succeed.
    pub fn done(&self, method: &str, path: &str, user: usize, body: Option<&Value>) -> Result<Value> {
        let answer = self.rest(method, path, user, body)?;
        if !(200..300).contains(&answer.status) {
            bail!("expected {method} {path} to succeed, came {}: {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// A new room of the first users.
    pub fn room(&self) -> Result<Room> {
        let others: Vec<&str> = self.users[1..MEMBERS].iter().map(|user| user.id.as_str()).collect();
        let body = json!({"name": self.name("room"), "chat_type": "group", "participant_ids": others});
        let made = self.done("POST", "/api/messaging/chats/", 0, Some(&body))?;
        let id = text(&made, "id")?.to_owned();
        Ok(Room { topic: format!("room:{}", id.replace('-', "")), id })
    }

    /// A new public post: its id, and its topic.
    pub fn post(&self, user: usize) -> Result<(String, String)> {
        let made = self.done("POST", "/api/posts/", user, Some(&json!({"content": self.name("post")})))?;
        let id = text(&made, "id")?.to_owned();
        let topic = format!("post:{}", id.replace('-', ""));
        Ok((id, topic))
    }

    /// A ticket of a user.
    pub fn ticket(&self, user: usize) -> Result<String> {
        let answer = self.done("POST", "/api/auth/ticket/", user, None)?;
        super::expect::has(&answer, &json!({"expires_in": 30}))?;
        Ok(text(&answer, "ticket")?.to_owned())
    }

    /// A user of whom nothing else in this run is asked.
    pub fn guest(&self) -> Result<User> {
        let name = format!("guest_{:x}{:x}", std::process::id(), fastrand::u32(..));
        setup::register(&crate::api::Api::new(&self.api)?, &name, &format!("{:x}", fastrand::u128(..)))
    }
}
