//! A WebSocket of tokio-tungstenite with a deadline for everything that must come.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode;
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::world::World;

/// How long a frame is waited for that must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The headers of the answer that opened it.
    pub headers: HeaderMap,
}

/// An answer that opened nothing.
#[derive(Debug)]
pub struct Shut {
    pub status: u16,
    pub headers: HeaderMap,
}

impl Socket {
    /// Asks for a socket with further headers; `Err` in it if it was refused.
    pub async fn try_open(world: &World, path: &str, headers: &[(&'static str, &str)]) -> Result<Result<Self, Shut>> {
        let mut request = format!("ws://{}{path}", world.host).into_client_request().context("a request")?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).context("a header")?);
        }
        let stream =
            TcpStream::connect(world.address).await.with_context(|| format!("connecting to {}", world.host))?;
        stream.set_nodelay(true).context("a socket")?;
        let shaken = tokio::time::timeout(PATIENCE, tokio_tungstenite::client_async(request, stream)).await;
        match shaken.map_err(|_| anyhow!("expected an answer to the handshake of {path}, none came"))? {
            Ok((stream, response)) => Ok(Ok(Self { stream, headers: response.headers().clone() })),
            Err(Error::Http(response)) => {
                Ok(Err(Shut { status: response.status().as_u16(), headers: response.headers().clone() }))
            }
            Err(error) => Err(anyhow!("expected an opened socket at {path}, came: {error}")),
        }
    }

    /// The same for a socket that must open.
    pub async fn open(world: &World, path: &str, headers: &[(&'static str, &str)]) -> Result<Self> {
        match Self::try_open(world, path, headers).await? {
            Ok(socket) => Ok(socket),
            Err(shut) => bail!("expected an opened socket at {path}, came {}", shut.status),
        }
    }

    pub async fn text(&mut self, text: impl Into<String>) -> Result<()> {
        self.send(Message::text(text.into())).await
    }

    pub async fn send(&mut self, message: Message) -> Result<()> {
        self.stream.send(message).await.context("expected a socket that takes frames")
    }

    /// Several texts in one write.
    pub async fn texts(&mut self, texts: Vec<String>) -> Result<()> {
        for text in texts {
            self.stream.feed(Message::text(text)).await.context("expected a socket that takes frames")?;
        }
        self.stream.flush().await.context("expected a socket that takes frames")
    }

    /// One frame as it is, masked.
    pub async fn frame(&mut self, opcode: OpCode, payload: impl Into<Vec<u8>>, is_final: bool) -> Result<()> {
        let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        self.send(Message::Frame(Frame::from_payload(header, payload.into().into()))).await
    }

    /// Bytes as they are, which no library would send. All that was sent before has gone.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stream.get_mut().try_write(bytes) {
            Ok(count) if count == bytes.len() => Ok(()),
            other => bail!("expected a socket that takes {} bytes, came {other:?}", bytes.len()),
        }
    }

    /// The next frame, whatever it is.
    pub async fn next(&mut self) -> Result<Message> {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        match next.map_err(|_| anyhow!("expected a frame within {PATIENCE:?}, none came"))? {
            Some(Ok(message)) => Ok(message),
            Some(Err(error)) => Err(anyhow!("expected a frame, came: {error}")),
            None => Err(anyhow!("expected a frame, came the end of the connection")),
        }
    }

    /// The code of the close frame; whatever comes before it is passed over. 1005 if it has none.
    pub async fn closed(&mut self) -> Result<u16> {
        loop {
            if let Message::Close(frame) = self.next().await? {
                return Ok(frame.map_or(1005, |frame| frame.code.into()));
            }
        }
    }
}
