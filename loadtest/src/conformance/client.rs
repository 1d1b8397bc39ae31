//! A client of `pregon.v1`: sends requests, and holds each frame that comes against the schema and the rules.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::events::Told;
use super::expect::{has, shown, text};
use super::socket::Socket;
use super::world::World;

/// A client that keeps what it is told beside what it waits for.
pub struct Client<'w> {
    pub world: &'w World,
    pub socket: Socket,
    pub told: Told,
    next: u64,
    kept: VecDeque<Value>,
}

impl<'w> Client<'w> {
    /// A user's socket, welcomed.
    pub async fn open(world: &'w World, user: usize) -> Result<Self> {
        let mut client = Self::offering(world, &format!("pregon.v1, token.{}", world.users[user].token)).await?;
        let welcome = client.next().await?;
        has(&welcome, &json!({"type": "welcome", "user": {"id": world.users[user].id}}))?;
        Ok(client)
    }

    /// A socket with these subprotocols.
    pub async fn offering(world: &'w World, offers: &str) -> Result<Self> {
        let socket = Socket::open(world, "/ws/", &[("sec-websocket-protocol", offers)]).await?;
        Ok(Self { world, socket, told: Told::default(), next: 0, kept: VecDeque::new() })
    }

    /// The next frame that nobody has waited for yet. Names of users are noted and passed over.
    pub async fn next(&mut self) -> Result<Value> {
        match self.kept.pop_front() {
            Some(frame) => Ok(frame),
            None => self.arrived().await,
        }
    }

    /// The next frame from the socket.
    pub async fn arrived(&mut self) -> Result<Value> {
        loop {
            match self.socket.next().await? {
                Message::Text(text) => {
                    let Ok(frame) = serde_json::from_str::<Value>(&text) else {
                        bail!("expected JSON, came {text}");
                    };
                    self.world.counted();
                    self.world.schema.check(&frame)?;
                    self.told.take(&frame)?;
                    if frame["type"] != "users" {
                        return Ok(frame);
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => bail!("expected a text frame, came {other:?}"),
            }
        }
    }

    /// The next event of a topic; presence and a post's counters are passed over.
    pub async fn event(&mut self, topic: &str) -> Result<Value> {
        loop {
            let frame = self.next().await?;
            if !is_beside(&frame) {
                has(&frame, &json!({"type": "event", "topic": topic}))?;
                return Ok(frame);
            }
        }
    }

    /// The next event of a topic, which must have these values.
    pub async fn hears(&mut self, topic: &str, event: Value) -> Result<Value> {
        let frame = self.event(topic).await?;
        has(&frame, &json!({"event": event}))?;
        Ok(frame)
    }

    /// The next event of this kind in a topic, whatever else comes before it.
    pub async fn hears_of(&mut self, topic: &str, kind: &str) -> Result<Value> {
        loop {
            let frame = self.next().await?;
            if frame["topic"] == topic && frame["event"]["type"] == kind {
                return Ok(frame);
            }
        }
    }

    /// Sends a request under a new number.
    pub async fn ask(&mut self, mut request: Value) -> Result<u64> {
        self.next += 1;
        request["id"] = json!(self.next);
        self.socket.text(request.to_string()).await?;
        Ok(self.next)
    }

    /// Sends a request and waits for its reply. Other frames are kept.
    pub async fn asked(&mut self, request: Value) -> Result<Value> {
        let id = self.ask(request).await?;
        self.answer(&json!(id)).await
    }

    /// The reply to a request. Other frames are kept.
    pub async fn answer(&mut self, id: &Value) -> Result<Value> {
        loop {
            let frame = self.arrived().await?;
            if frame.get("id") == Some(id) {
                return Ok(frame);
            }
            self.kept.push_back(frame);
        }
    }

    /// The reply to a request that this client spells as the schema has it.
    pub async fn asked_well(&mut self, request: Value) -> Result<Value> {
        let id = self.ask(request.clone()).await?;
        let mut sent = request;
        sent["id"] = json!(id);
        if !self.world.schema.is_request(&sent) {
            bail!("expected that the schema knows a request that the documentation has, came {sent}");
        }
        self.answer(&json!(id)).await
    }

    /// Subscribes, and returns the reply.
    pub async fn subscribed(&mut self, topic: &str, cursor: Option<&str>) -> Result<Value> {
        let mut request = json!({"type": "subscribe", "topic": topic});
        if let Some(cursor) = cursor {
            request["cursor"] = json!(cursor);
        }
        let reply = self.asked_well(request).await?;
        has(&reply, &json!({"type": "subscribed", "topic": topic}))?;
        Ok(reply)
    }

    /// Subscribes from now on, and returns the place.
    pub async fn joined(&mut self, topic: &str) -> Result<String> {
        Ok(text(&self.subscribed(topic, None).await?, "cursor")?.to_owned())
    }

    /// Says something that must be stored.
    pub async fn say(&mut self, topic: &str, content: &str) -> Result<Value> {
        let ack = self.asked_well(json!({"type": "chat_message", "topic": topic, "content": content})).await?;
        has(&ack, &json!({"type": "ack", "repeated": false}))?;
        Ok(ack)
    }

    /// Everything that was sent until now, save what is beside the point.
    pub async fn rest(&mut self) -> Result<Vec<Value>> {
        has(&self.asked(json!({"type": "ping"})).await?, &json!({"type": "pong"}))?;
        Ok(std::mem::take(&mut self.kept).into_iter().filter(|frame| !is_beside(frame)).collect())
    }

    /// Nothing was sent until now, save what is beside the point.
    pub async fn heard_nothing(&mut self) -> Result<()> {
        match self.rest().await?.first() {
            None => Ok(()),
            Some(frame) => bail!("expected nothing more, came {}", shown(frame)),
        }
    }

    /// Closes, and waits until the server has answered.
    pub async fn leave(mut self) -> Result<()> {
        self.socket.send(Message::Close(None)).await?;
        self.socket.closed().await?;
        Ok(())
    }
}

/// Presence, and the state of a post after its counters moved: neither has a place.
pub fn is_beside(frame: &Value) -> bool {
    let kind = &frame["event"]["type"];
    kind == "user_status" || (kind == "post_updated" && frame["cursor"].is_null())
}
