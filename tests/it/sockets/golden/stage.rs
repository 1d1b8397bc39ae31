//! Plays a step of a scenario: a client connects, speaks, calls REST or leaves, and everything that clients receive is
//! collected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::names::Names;
use crate::support::{Server, Socket};

/// After this time without a frame a recorder assumes that no more come: counters are sent four times a second.
const QUIET: Duration = Duration::from_millis(700);

/// When a step ends.
pub enum Ends<'a> {
    /// Everybody has received as much as these lines say.
    After(&'a [Value]),
    /// Nothing more comes.
    WhenQuiet,
}

/// A server with the scenario's people, of whom two share a private room.
pub struct Stage {
    server: Server,
    names: Names,
    sockets: BTreeMap<String, Socket>,
    /// Clients that have connected before.
    known: BTreeSet<String>,
    /// Whether arrivals and departures are part of this step: they are if a client connects for the first time.
    /// Departures depend on elapsed seconds, which other tests cover.
    has_presence: bool,
}

impl Stage {
    /// Beto follows ana. Carla knows only dina.
    pub async fn new() -> Self {
        // On one shard all receive at once, and a pong comes after everything sent before the ping.
        let server = Server::builder().seed(4, 1, 2).set("PREGON_SHARDS", 1).start().await;
        let mut names = Names::default();
        for (user, name) in server.fixture.users.iter().zip(["ana", "beto", "carla", "dina"]) {
            names.give(name, &user.id);
            names.give(&format!("name:{name}"), &user.username);
            names.give(&format!("token:{name}"), &user.token);
        }
        server.follow(1, 0).await;
        for (room, message, one, other) in [("room", "msg_of_ana", 0, 1), ("foreign_room", "foreign_message", 3, 2)] {
            let path = format!("/api/users/chat/{}/", server.fixture.users[other].username);
            let opened = server.done("POST", &path, one, None).await;
            names.give(room, opened["chat"]["id"].as_str().unwrap());
            let send = format!("/api/messaging/chats/{}/send_message/", opened["chat"]["id"].as_str().unwrap());
            let sent = server.done("POST", &send, one, Some(json!({"content": "hola"}))).await;
            names.give(message, sent["id"].as_str().unwrap());
            if room == "room" {
                let sent = server.done("POST", &send, other, Some(json!({"content": "¿qué tal?"}))).await;
                names.give("msg_of_beto", sent["id"].as_str().unwrap());
            }
        }
        Self { server, names, sockets: BTreeMap::new(), known: BTreeSet::new(), has_presence: false }
    }

    /// Plays the step. Returns its effects by client: what each receives, in order.
    pub async fn step(&mut self, line: &Value, ends: &Ends<'_>) -> Vec<Value> {
        let client = line["client"].as_str().unwrap();
        self.has_presence = self.known.insert(client.to_owned());
        let mut lines = self.act(client, &line["does"]).await;
        let clients: Vec<String> = self.sockets.keys().cloned().collect();
        for client in clients {
            for heard in self.hear(&client, ends).await {
                lines.push(json!({"client": client, "hears": self.names.named(&heard)}));
            }
        }
        lines
    }

    /// A client's action. Returns the answer, if it has one.
    async fn act(&mut self, client: &str, does: &Value) -> Vec<Value> {
        let does = self.names.filled(does);
        let (what, with) = does.as_object().unwrap().iter().next().unwrap();
        match what.as_str() {
            "connect" => match Socket::try_open(&self.server, with.as_str().unwrap(), &[]).await {
                Ok(socket) => assert!(self.sockets.insert(client.to_owned(), socket).is_none(), "{client} is there"),
                Err(status) => return vec![json!({"client": client, "answer": {"status": status}})],
            },
            "say" => self.sockets.get_mut(client).unwrap().send(with.clone()).await,
            "write" => {
                let text = Message::text(with.as_str().unwrap());
                self.sockets.get_mut(client).unwrap().send_raw(text).await;
            }
            "close" => {
                let code = u16::try_from(with.as_u64().unwrap()).unwrap();
                let frame = CloseFrame { code: code.into(), reason: "".into() };
                self.sockets.get_mut(client).unwrap().send_raw(Message::Close(Some(frame))).await;
            }
            "reset" => {
                let mut socket = self.sockets.remove(client).unwrap();
                socket2::SockRef::from(&*socket.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
            }
            "ask" => {
                let text = |key: &str| with[key].as_str().unwrap();
                let user = ["ana", "beto", "carla", "dina"].iter().position(|name| *name == client).unwrap();
                let body = with.get("body").cloned();
                let (status, body) = self.server.rest(text("method"), text("path"), user, body).await;
                return vec![json!({"client": client, "answer": {"status": status, "body": self.names.named(&body)}})];
            }
            other => panic!("nobody does {other}"),
        }
        Vec::new()
    }

    /// What a client receives: frames, and the code that closes it.
    async fn hear(&mut self, client: &str, ends: &Ends<'_>) -> Vec<Value> {
        let socket = self.sockets.get_mut(client).unwrap();
        let expected = |lines: &[Value]| {
            lines.iter().filter(|line| line["client"] == client && line.get("hears").is_some()).count()
        };
        let mut heard = Vec::new();
        loop {
            let next = match ends {
                Ends::After(lines) if heard.len() == expected(lines) => {
                    // Everything sent until now comes before the pong.
                    let more = socket.until_pong().await;
                    heard.extend(more.into_iter().filter(|frame| self.has_presence || frame["type"] != "user_status"));
                    return heard;
                }
                Ends::After(_) => socket.next().await,
                Ends::WhenQuiet => match tokio::time::timeout(QUIET, socket.next()).await {
                    Ok(next) => next,
                    Err(_) => return heard,
                },
            };
            match next {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if self.has_presence || frame["type"] != "user_status" {
                        heard.push(frame);
                    }
                }
                Message::Close(frame) => {
                    heard.push(json!({"closed": frame.map(|frame| u16::from(frame.code))}));
                    self.sockets.remove(client);
                    return heard;
                }
                other => panic!("{client} hears {other:?}"),
            }
        }
    }
}
