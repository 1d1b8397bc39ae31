//! A WebSocket client that waits for frames, never for time to pass.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{PATIENCE, Server, Wire, leaks};

pub struct Socket {
    stream: WebSocketStream<Wire>,
}

impl Socket {
    pub async fn open(server: &Server, path: &str) -> Self {
        Self::try_open(server, path, &[]).await.unwrap()
    }

    /// Tries a handshake with further headers. Returns the status if it is refused.
    pub async fn try_open(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        Self::open_over(server.wire().await, server.address(), path, headers).await
    }

    #[allow(dead_code, reason = "tests with proxies alone")]
    /// The same through a proxy at `host:port` instead of the server's own address.
    pub async fn try_open_at(address: &str, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        Self::open_over(Wire::connect(address, None).await.unwrap(), address, path, headers).await
    }

    /// The same over a connection that the test has made.
    pub async fn open_over(
        stream: Wire,
        address: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("handshake: {error}"),
        }
    }

    /// The same at a server that may be away or stop just now: `None` then.
    #[allow(dead_code, reason = "tests of nodes alone")]
    pub async fn reach(address: &str, path: &str) -> Option<Self> {
        let request = format!("ws://{address}{path}").into_client_request().unwrap();
        let stream = Wire::connect(address, None).await.ok()?;
        let (stream, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
        Some(Self { stream })
    }

    pub async fn send(&mut self, frame: Value) {
        leaks::said(&frame);
        self.send_raw(Message::text(frame.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Sends unless the connection is gone.
    pub async fn try_send(&mut self, frame: Value) -> bool {
        leaks::said(&frame);
        self.stream.send(Message::text(frame.to_string())).await.is_ok()
    }

    /// The next frame of JSON; `None` when the connection is gone.
    pub async fn try_next_json(&mut self) -> Option<Value> {
        loop {
            match self.next_raw().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next frame that is not a protocol ping or pong.
    pub async fn next(&mut self) -> Message {
        let next = async {
            loop {
                match self.stream.next().await.expect("the connection ended").expect("the connection broke") {
                    Message::Ping(_) | Message::Pong(_) => {}
                    message => return message,
                }
            }
        };
        // One limit for everything, because a server that only pings would be waited for without end.
        tokio::time::timeout(PATIENCE, next).await.expect("nothing comes")
    }

    /// The next frame whatever it is.
    pub async fn next_raw(&mut self) -> Option<Result<Message, Error>> {
        tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("nothing comes")
    }

    pub async fn next_json(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next frame of a type. Presence frames before it are ignored; anything else is an error.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next_json().await;
            if frame["type"] == kind {
                return frame;
            }
            assert_eq!(frame["type"], "user_status", "waiting for {kind}: {frame}");
        }
    }

    /// The next frame of this kind, whatever else comes before it.
    #[allow(dead_code, reason = "tests of nodes alone")]
    pub async fn expect_any(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next_json().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The next frame of one of these types, whatever else comes before it.
    #[allow(dead_code, reason = "tests of limits alone")]
    pub async fn expect_any_of(&mut self, kinds: &[&str]) -> Value {
        loop {
            let frame = self.next_json().await;
            if kinds.iter().any(|kind| frame["type"] == *kind) {
                return frame;
            }
        }
    }

    /// Everything up to the answer of an application ping: all that the server sent until now.
    pub async fn until_pong(&mut self) -> Vec<Value> {
        let mark = uuid::Uuid::new_v4().to_string();
        self.send(serde_json::json!({"type": "ping", "timestamp": mark})).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next_json().await;
            if frame["type"] == "pong" && frame["timestamp"] == mark {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Waits for the close frame, and returns its code.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Message::Close(frame) => return frame.map_or(1005, |frame| frame.code.into()),
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(frame["type"], "user_status", "waiting for the close: {frame}");
                }
                _ => {}
            }
        }
    }

    /// Closes and waits until the server has closed, too.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
        while let Some(Ok(_)) = self.next_raw().await {}
    }

    /// The underlying TCP connection.
    pub fn tcp(&mut self) -> &mut TcpStream {
        self.wire().tcp()
    }

    /// The connection below the frames.
    pub fn wire(&mut self) -> &mut Wire {
        self.stream.get_mut()
    }
}
