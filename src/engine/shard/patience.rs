//! A connection's socket as hyper reads it. It ends if the client sends no request, or only half of one, for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep, sleep_until};

use super::carrier::Carrier;
use super::port::RestBody;
use crate::engine::net::unacknowledged;
use crate::limits::{ANSWER_BYTES_PER_SECOND_MIN, Adjustable, IDLE_CONNECTION, LAST_REQUEST_PATIENCE, LINGER};

/// Connected, and nothing has come yet.
const FRESH: u8 = 0;
/// The head of a request has begun.
const BEGUN: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;
/// The answer is complete, though not all of it may have been sent.
const ANSWERED: u8 = 3;
/// Between two requests.
const IDLE: u8 = 4;

/// Where a connection is between its requests. Its socket, its service and the bodies of its answers share this.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    at: Arc<AtomicU8>,
    /// The listeners are closed: no further request is waited for.
    is_last: Arc<AtomicBool>,
    /// The answer ends the connection, and a part of the request may still come.
    lingers: Arc<AtomicBool>,
    /// What came too late: the number of a [`Late`] from 1 on.
    late: Arc<AtomicU8>,
}

/// What came too late, so that the connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// The head of a request.
    Head,
    /// The peer's word that it has some of an answer.
    Answer,
}

impl Turn {
    /// Notes that a request's head is complete.
    pub fn request_came(&self) {
        self.at.store(BUSY, Ordering::Relaxed);
    }

    /// Requests that have come or are on their way are still answered; then the connection ends.
    pub fn end(&self) {
        self.is_last.store(true, Ordering::Relaxed);
    }

    /// Notes that the answer is the last, and may be sent before the whole request has come.
    pub fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    /// What came too late.
    pub fn late(&self) -> Option<Late> {
        match self.late.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Late::Head),
            _ => Some(Late::Answer),
        }
    }

    fn is_late(&self, what: Late) {
        self.late.store(if what == Late::Head { 1 } else { 2 }, Ordering::Relaxed);
    }

    fn at(&self) -> u8 {
        self.at.load(Ordering::Relaxed)
    }
}

/// The body of an answer. Dropping it notes that the answer is complete.
pub(super) struct Told {
    body: RestBody,
    turn: Turn,
}

impl Told {
    pub fn new(body: RestBody, turn: Turn) -> Self {
        Self { body, turn }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.turn.at.store(ANSWERED, Ordering::Relaxed);
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How long the connection waits in each case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a first request, or for the rest of a head that has begun.
    pub head: Duration,
    /// For the next request.
    pub idle: Duration,
    /// For what may still come after the listeners are closed.
    pub last: Duration,
    /// For what may still come after an answer that ends the connection.
    pub linger: Duration,
    /// For the peer to take some more of an answer.
    pub taken: Duration,
    /// How much of it the peer must take over that time, in bytes a second.
    pub taken_per_second: usize,
}

impl Patience {
    pub fn of(limits: &Adjustable) -> Self {
        Self {
            head: limits.handshake,
            idle: IDLE_CONNECTION,
            last: LAST_REQUEST_PATIENCE,
            linger: LINGER,
            taken: limits.answer,
            taken_per_second: ANSWER_BYTES_PER_SECOND_MIN,
        }
    }
}

/// The socket. If the client takes too long, the socket reads as closed, which hyper takes for the end between two
/// requests.
pub(super) struct Patient {
    carrier: Carrier,
    turn: Turn,
    patience: Patience,
    /// The state for which the deadline was set.
    waits_for: (u8, bool),
    deadline: Pin<Box<Sleep>>,
    /// This side has closed, and waits for the other side.
    is_lingering: bool,
    /// Since the socket had no room, until all of an answer is written: by when the peer must take some more of it.
    stall: Option<Stall>,
}

/// A socket that had no room.
struct Stall {
    began: Instant,
    deadline: Pin<Box<Sleep>>,
    /// How much the peer had not acknowledged then.
    unacknowledged: usize,
    /// What was written since.
    written: usize,
}

impl Patient {
    pub fn new(carrier: Carrier, turn: Turn, patience: Patience) -> Self {
        let deadline = Box::pin(sleep_until(Instant::now() + patience.head));
        Self { carrier, turn, patience, waits_for: (FRESH, false), deadline, is_lingering: false, stall: None }
    }

    pub fn into_inner(self) -> Carrier {
        self.carrier
    }

    /// Gives up a peer that takes nothing of an answer for too long, or too little, because what it does not take lies in memory
    /// here, and a task waits for it. A socket has no room again until a third of its buffer is free (on Linux), even if the
    /// peer takes a little, so the kernel is asked what the peer acknowledged.
    fn taken(&mut self, outcome: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = &outcome {
            if let (Some(stall), Ok(count)) = (&mut self.stall, written) {
                stall.written += count;
            }
            return outcome;
        }
        let Patience { taken: patience, taken_per_second, .. } = self.patience;
        let socket = self.carrier.socket();
        let unacknowledged = || unacknowledged::bytes(socket).unwrap_or(0);
        let stall = self.stall.get_or_insert_with(|| {
            let began = Instant::now();
            let deadline = Box::pin(sleep_until(began + patience));
            Stall { began, deadline, unacknowledged: unacknowledged(), written: 0 }
        });
        loop {
            ready!(stall.deadline.as_mut().poll(context));
            let (now, left) = (Instant::now(), unacknowledged());
            let taken = (stall.unacknowledged + stall.written).saturating_sub(left);
            let least = now.duration_since(stall.began).as_millis() * taken_per_second as u128 / 1000;
            if (taken as u128) < least.max(1) {
                self.turn.is_late(Late::Answer);
                // A reset: what the kernel holds of the answer would be sent for as long as the peer takes a byte now and then.
                let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            (stall.began, stall.unacknowledged, stall.written) = (now, left, 0);
            stall.deadline.as_mut().reset(now + patience);
        }
    }

    /// Called when nothing more has come: ready when it is time to give up.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waits_for @ (at, is_last) = (self.turn.at(), self.turn.is_last.load(Ordering::Relaxed));
        if matches!(at, BUSY | ANSWERED) {
            return Poll::Pending;
        }
        if at == IDLE && is_last {
            return Poll::Ready(());
        }
        if self.waits_for != waits_for {
            let patience = match waits_for {
                (_, true) => self.patience.last,
                (IDLE, false) => self.patience.idle,
                (_, false) => self.patience.head,
            };
            let mut deadline = Instant::now() + patience;
            if self.waits_for.0 == at {
                // The last call gives nobody more time.
                deadline = deadline.min(self.deadline.deadline());
            }
            self.waits_for = waits_for;
            self.deadline.as_mut().reset(deadline);
        }
        ready!(self.deadline.as_mut().poll(context));
        if matches!(at, FRESH | BEGUN) && !is_last {
            self.turn.is_late(Late::Head);
        }
        Poll::Ready(())
    }
}

impl Read for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.carrier).poll_read(context, into);
        if outcome.is_pending() {
            return self.poll_end(context).map(Ok);
        }
        if matches!(self.turn.at(), FRESH | IDLE) {
            self.turn.at.store(BEGUN, Ordering::Relaxed);
        }
        outcome
    }
}

impl Write for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.carrier).poll_write(context, bytes);
        self.taken(outcome, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when everything that it had is written. With TLS, the last of it may not be sent yet.
        let outcome = Pin::new(&mut self.carrier).poll_flush(context).map_ok(|()| 0);
        ready!(self.taken(outcome, context))?;
        self.stall = None;
        let _ = self.turn.at.compare_exchange(ANSWERED, IDLE, Ordering::Relaxed, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS, the goodbye is sent first, for which the socket may have no room.
        let outcome = Pin::new(&mut self.carrier).poll_shutdown(context).map_ok(|()| 0);
        ready!(self.taken(outcome, context))?;
        if !self.turn.lingers.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        if !self.is_lingering {
            self.is_lingering = true;
            let until = Instant::now() + self.patience.linger;
            self.deadline.as_mut().reset(until);
        }
        // Input is thrown away until the peer has closed, or has had enough time to read the answer.
        let mut scratch = [0; 8 * 1024];
        while self.deadline.as_mut().poll(context).is_pending() {
            let mut into = tokio::io::ReadBuf::new(&mut scratch);
            let read = ready!(tokio::io::AsyncRead::poll_read(Pin::new(self.carrier.socket_mut()), context, &mut into));
            if read.is_err() || into.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.carrier).poll_write_vectored(context, bytes);
        self.taken(outcome, context)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper_util::rt::TokioTimer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_millis(50),
        idle: Duration::from_millis(500),
        last: Duration::from_millis(50),
        linger: Duration::from_millis(500),
        taken: Duration::from_millis(300),
        taken_per_second: 1,
    };
    /// More than the buffers of both sockets hold.
    const LONG: usize = 32 * 1024 * 1024;
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// A client whose connection is served, and the connection's turn.
    async fn connected() -> (TcpStream, Turn) {
        connected_with(PATIENCE).await
    }

    async fn connected_with(patience: Patience) -> (TcpStream, Turn) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, turn) = (listener.accept().await.unwrap().0, Turn::default());
        let (of_service, of_socket) = (turn.clone(), turn.clone());
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let turn = of_service.clone();
                turn.request_came();
                async move {
                    let bytes = if request.uri() == "/long" { vec![b'x'; LONG] } else { Vec::new() };
                    let body = Full::new(Bytes::from(bytes)).map_err(|never: Infallible| match never {}).boxed();
                    Ok::<_, Infallible>(Response::new(Told::new(body, turn)))
                }
            });
            let builder = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(60))
                .clone();
            drop(builder.serve_connection(Patient::new(Carrier::plain(socket), of_socket, patience), service).await);
        });
        (client, turn)
    }

    async fn answered(client: &mut TcpStream) {
        client.write_all(REQUEST).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0, "closed after {answer:?}");
        }
    }

    /// How long it takes until the server closes.
    async fn closes_after(client: &mut TcpStream) -> Duration {
        let began = Instant::now();
        assert_eq!(client.read(&mut [0; 64]).await.unwrap_or(0), 0);
        began.elapsed()
    }

    #[tokio::test]
    async fn between_two_requests_there_is_more_time_than_within_a_head() {
        let (mut silent, _) = connected().await;
        let (mut idle, _) = connected().await;
        answered(&mut idle).await;
        answered(&mut idle).await;
        let (mut half, _) = connected().await;
        answered(&mut half).await;
        half.write_all(&REQUEST[..10]).await.unwrap();
        let (silent, half, idle) =
            tokio::join!(closes_after(&mut silent), closes_after(&mut half), closes_after(&mut idle));
        assert!(idle >= PATIENCE.idle - Duration::from_millis(5), "{idle:?}");
        assert!(silent < idle && half < idle, "{silent:?}, {half:?}, {idle:?}");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_given_up_and_a_slow_reader_is_not() {
        let long = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n";
        let (mut stuck, _) = connected().await;
        let (mut slow, _) = connected().await;
        for client in [&mut stuck, &mut slow] {
            client.write_all(long).await.unwrap();
        }
        let (began, mut had, mut piece) = (Instant::now(), 0, vec![0; 64 * 1024]);
        // The socket has room again only when a third of what the kernel holds for it is gone: long after the patience
        // has ended.
        while began.elapsed() < PATIENCE.taken * 4 {
            had += slow.read(&mut piece).await.unwrap();
            tokio::time::sleep(PATIENCE.taken / 10).await;
        }
        while had < LONG {
            let read = slow.read(&mut piece).await.unwrap();
            assert!(read > 0, "closed after {had} bytes");
            had += read;
        }
        let mut had = 0;
        while let Ok(read @ 1..) = stuck.read(&mut piece).await {
            had += read;
        }
        assert!(had < LONG, "all of it came");
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_in_drops_is_given_up() {
        // The reader takes some megabytes a second, as the one above, but here that is too little.
        let (mut client, turn) = connected_with(Patience { taken_per_second: 1 << 30, ..PATIENCE }).await;
        client.write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (mut had, mut piece) = (0, vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = client.read(&mut piece).await {
            had += read;
            tokio::time::sleep(PATIENCE.taken / 10).await;
        }
        assert!(had < LONG && turn.late() == Some(Late::Answer), "{had} bytes came");
    }

    #[tokio::test]
    async fn whoever_is_late_with_a_head_is_known_for_it() {
        let (mut silent, turn) = connected().await;
        let (mut idle, other) = connected().await;
        answered(&mut idle).await;
        closes_after(&mut silent).await;
        closes_after(&mut idle).await;
        assert_eq!((turn.late(), other.late()), (Some(Late::Head), None));
    }

    #[tokio::test]
    async fn at_the_end_what_has_come_is_answered_and_nothing_more_is_waited_for() {
        let (mut client, turn) = connected().await;
        turn.end();
        answered(&mut client).await;
        let passed = closes_after(&mut client).await;
        assert!(passed < PATIENCE.idle, "{passed:?}");
    }
}
