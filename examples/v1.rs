//! A client of `pregon.v1` for the terminal: it hears rooms over one socket, says what you type in the first, and misses nothing
//! when the connection breaks.
#![allow(clippy::print_stdout, reason = "what a terminal program is for")]

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{connect_async, tungstenite::Message};

const USAGE: &str = "\
usage: cargo run --example v1 -- TOKEN ROOM [ROOM ...]

TOKEN is an access token (`pregon token --user NAME` prints one), each ROOM a room's id.
PREGON_SERVER is the server's address [default: 127.0.0.1:8000]. A line /who asks who is in the first room; the end of the
input (Ctrl-D) ends the client.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (token, rooms): (_, Vec<String>) = (arguments.next(), arguments.collect());
    let Some(token) = token.filter(|_| !rooms.is_empty()) else {
        println!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let server = std::env::var("PREGON_SERVER").unwrap_or_else(|_| "127.0.0.1:8000".into());
    let (to_room, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut typed = BufReader::new(stdin()).lines();
        while let Ok(Some(line)) = typed.next_line().await {
            if to_room.send(line).await.is_err() {
                break;
            }
        }
    });
    let mut client = Client::new(&server, &token, &rooms);
    match client.run(lines, |said| println!("{said}")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What outlives a connection.
pub struct Client {
    server: String,
    token: String,
    /// Each topic with the place of what was heard last there.
    topics: Vec<(String, Option<String>)>,
    /// Messages that were not acknowledged, by the names that they were given.
    unsent: Vec<(String, String)>,
    names: HashMap<u64, String>,
}

impl Client {
    /// Nothing is connected before [`Self::run`].
    pub fn new(server: &str, token: &str, rooms: &[String]) -> Self {
        let topics = rooms.iter().map(|room| (format!("room:{}", room.replace('-', "")), None)).collect();
        let (server, token) = (server.to_owned(), token.to_owned());
        Self { server, token, topics, unsent: Vec::new(), names: HashMap::new() }
    }

    /// Says each line in the first room and hands what is heard to `hear`, until the lines end.
    pub async fn run(&mut self, mut lines: mpsc::Receiver<String>, mut hear: impl FnMut(&str)) -> Result<(), String> {
        while !self.stay(&mut lines, &mut hear).await? {
            // Not all at once, when many were cut off together.
            tokio::time::sleep(Duration::from_millis(200 + u64::from(std::process::id() % 300))).await;
        }
        Ok(())
    }

    /// One connection. True if the lines have ended; false if the connection did.
    async fn stay(&mut self, lines: &mut mpsc::Receiver<String>, hear: &mut impl FnMut(&str)) -> Result<bool, String> {
        let mut request =
            format!("ws://{}/ws/", self.server).into_client_request().map_err(|error| error.to_string())?;
        let offer = format!("pregon.v1, token.{}", self.token);
        let offer = offer.parse().map_err(|_| "The token has characters that no token has.")?;
        request.headers_mut().insert("sec-websocket-protocol", offer);
        let Ok((socket, _)) = connect_async(request).await else { return Ok(false) };
        let (mut to_server, mut from_server) = socket.split();
        let subscribe = |(topic, cursor): &(String, Option<String>)| json!({"type": "subscribe", "id": topic, "topic": topic, "cursor": cursor});
        let mut requests: Vec<Value> = self.topics.iter().map(subscribe).collect();
        requests.extend(self.unsent.iter().map(|(name, line)| self.message(name, line)));
        loop {
            for request in requests.drain(..) {
                if to_server.send(Message::text(request.to_string())).await.is_err() {
                    return Ok(false);
                }
            }
            tokio::select! {
                frame = from_server.next() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        let frame: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                        self.hear(&frame, hear)?;
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(false),
                    Some(Ok(_)) => {}
                },
                line = lines.recv() => {
                    let Some(line) = line else { return Ok(true) };
                    if line == "/who" {
                        requests.push(json!({"type": "roster", "id": 0, "topic": self.topics[0].0, "limit": 200}));
                        continue;
                    }
                    let name = uuid::Uuid::new_v4().to_string();
                    requests.push(self.message(&name, &line));
                    self.unsent.push((name, line));
                }
            }
        }
    }

    /// The same name means the same message, however often it is sent.
    fn message(&self, name: &str, line: &str) -> Value {
        json!({"type": "chat_message", "id": name, "topic": self.topics[0].0, "content": line, "client_id": name})
    }

    fn hear(&mut self, frame: &Value, hear: &mut impl FnMut(&str)) -> Result<(), String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().unwrap_or_default() {
            "users" => {
                for user in frame["users"].as_array().into_iter().flatten() {
                    self.names.insert(user["n"].as_u64().unwrap_or(0), text(&user["username"]));
                }
            }
            "ack" => self.unsent.retain(|(name, _)| frame["id"] != name.as_str()),
            "roster" => {
                let members = frame["members"].as_array().into_iter().flatten();
                let there = members.filter(|member| member["present"] == true).map(|member| text(&member["username"]));
                let there: Vec<String> = there.collect();
                hear(&format!("(here: {}; {} of {})", there.join(", "), frame["present"], frame["participants"]));
            }
            "gap" => hear(&format!("(something was missed: {})", text(&frame["refetch"]))),
            "error" if frame["code"] == "bad_token" => return Err(text(&frame["text"])),
            "error" | "unsubscribed" => hear(&format!("({}: {})", text(&frame["topic"]), text(&frame["text"]))),
            "event" if frame["event"]["type"] == "message" => {
                let event = &frame["event"];
                let name = event["user"].as_u64().and_then(|number| self.names.get(&number));
                hear(&format!("{}: {}", name.map_or("?", String::as_str), text(&event["content"])));
            }
            _ => {}
        }
        // Whatever has a cursor says how far this topic was heard.
        if let (Some(topic), Some(cursor)) = (frame["topic"].as_str(), frame["cursor"].as_str())
            && let Some(known) = self.topics.iter_mut().find(|(known, _)| known == topic)
        {
            known.1 = Some(cursor.to_owned());
        }
        Ok(())
    }
}
