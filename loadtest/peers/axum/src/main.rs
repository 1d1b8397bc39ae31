//! A room server like axum's own chat example: a broadcast channel per room, two tasks per socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Sender};

/// The messages that a room keeps for its slowest member. A member that falls further behind is disconnected.
const BEHIND_MAX: usize = 1024;

type Rooms = Arc<Mutex<HashMap<String, Sender<Message>>>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: peer-axum 127.0.0.1:9000");
        std::process::exit(2);
    };
    let listener = TcpListener::bind(address).await?.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    let router = Router::new().route("/{room}", any(upgrade)).with_state(Rooms::default());
    axum::serve(listener, router).await
}

async fn upgrade(socket: WebSocketUpgrade, Path(room): Path<String>, State(rooms): State<Rooms>) -> Response {
    let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
    let room = rooms.entry(room).or_insert_with(|| broadcast::channel(BEHIND_MAX).0).clone();
    socket.on_upgrade(move |socket| serve(socket, room))
}

async fn serve(socket: WebSocket, room: Sender<Message>) {
    let (mut sink, mut stream) = socket.split();
    let mut news = room.subscribe();
    let sending = tokio::spawn(async move {
        while let Ok(message) = news.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Text(_)) {
            // `send` only fails if nobody listens, not even this socket's own task.
            let _ = room.send(message);
        }
    }
    sending.abort();
}
