//! A chat client for the terminal: it joins a room, prints what it hears, and sends each line that you type.
#![expect(clippy::print_stdout, reason = "what a terminal program is for")]

use std::process::ExitCode;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio_tungstenite::{connect_async, tungstenite::Message};

const USAGE: &str = "\
usage: cargo run --example client -- ROOM LOGIN PASSWORD   logs in by REST
       cargo run --example client -- ROOM TOKEN            uses an access token (`pregon token --user NAME` prints one)

ROOM is a room's id. PREGON_SERVER is the server's address [default: 127.0.0.1:8000].
The end of the input (Ctrl-D) ends the client.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["-h" | "--help"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [room, token] => chat(room, token).await,
        [room, login, password] => match log_in(login, password).await {
            Ok(token) => chat(room, &token).await,
            Err(error) => Err(error),
        },
        _ => Err(USAGE.to_owned()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn server() -> String {
    std::env::var("PREGON_SERVER").unwrap_or_else(|_| "127.0.0.1:8000".into())
}

async fn log_in(login: &str, password: &str) -> Result<String, String> {
    let request = reqwest::Client::new().post(format!("http://{}/api/auth/login/", server()));
    let answer = request.json(&json!({ "login": login, "password": password })).send().await;
    let answer: Value = async { answer?.json().await }.await.map_err(|error| format!("The login failed: {error}"))?;
    answer["access"].as_str().map(str::to_owned).ok_or_else(|| format!("The server refuses the login: {answer}"))
}

async fn chat(room: &str, token: &str) -> Result<(), String> {
    let address = format!("ws://{}/ws/chat/{room}/?token={token}", server());
    let (socket, _) = connect_async(address).await.map_err(|error| format!("No connection: {error}"))?;
    let (mut to_server, mut from_server) = socket.split();
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        let message = tokio::select! {
            frame = from_server.next() => match frame {
                Some(Ok(Message::Text(text))) => { print_frame(&text); continue }
                Some(Ok(Message::Close(close))) => {
                    let why = close.map_or_else(|| "no reason".into(), |close| format!("{} {}", close.code, close.reason));
                    return Err(format!("The server closed the socket: {why}"));
                }
                Some(Ok(_)) => continue, // The library answers pings.
                Some(Err(error)) => return Err(format!("The connection broke: {error}")),
                None => return Err("The connection ended.".into()),
            },
            line = lines.next_line() => match line.map_err(|error| format!("The input cannot be read: {error}"))? {
                Some(line) => Message::text(json!({ "type": "chat_message", "content": line }).to_string()),
                None => Message::Close(None),
            },
        };
        let is_last = message.is_close();
        to_server.send(message).await.map_err(|error| format!("The line was not sent: {error}"))?;
        if is_last {
            return Ok(());
        }
    }
}

fn print_frame(text: &str) {
    let Ok(frame) = serde_json::from_str::<Value>(text) else { return println!("{text}") };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match frame["type"].as_str() {
        Some("chat_message") => {
            println!("{}: {}", word(&frame["message"]["sender"]["username"]), word(&frame["message"]["content"]));
        }
        Some("user_status") => println!("* {} is {}", word(&frame["username"]), word(&frame["status"])),
        Some("connection_success" | "error") => println!("* {}", word(&frame["message"])),
        _ => println!("{text}"),
    }
}
