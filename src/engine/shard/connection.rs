//! Takes an accepted connection to a session, or to an answer of the REST API: it only parses and upgrades.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::carrier::{Carried, Carrier};
use super::encryption::Doorway;
use super::patience::{Late, Patience, Patient, Told, Turn};
use super::port::{BARRED, Denied, Handshake, Opening, Ports, Refused, RestBody, Verdict, Wanted, Why};
use super::turn::{Served, Shared};
use super::visit::Visit;
use crate::limits::{IDLE_CONNECTION, REQUEST_HEAD_BYTES_MAX};
use crate::protocol::v0::reason;
use crate::protocol::v1::request::Credential;
use crate::protocol::ws::handshake::{self, UpgradeRequest};
use crate::protocol::ws::negotiation::{Negotiation, Subprotocol};
use crate::telemetry;

/// The answer to all other paths below `/ws/`.
const NO_SOCKET: &str = "No socket at this path. There are /ws/chat/<room id>/, /ws/feed/, /ws/post/<post id>/ and \
    /ws/notifications/, each with ?token=…, and /ws/ with the subprotocol pregon.v1.\n";

/// The socket of conformance suites, where there is one.
const ECHO: &str = "/ws/echo/";

/// The answer to a request for a socket with many topics that does not offer its subprotocol.
const NO_SUBPROTOCOL: &str = "This address speaks pregon.v1: offer it in Sec-WebSocket-Protocol.\n";

/// The answer to a request that names a host which this server does not answer to.
const NOT_THIS_HOST: &str = "This server listens on this machine alone and answers to localhost, 127.0.0.1 and [::1]. Behind a \
    proxy set PREGON_PUBLIC_URL or PREGON_TRUSTED_PROXIES; for another name, name it in PREGON_ALLOWED_ORIGINS.\n";

/// Why a path is refused whose id is not a UUID.
const NO_ID: Why = "id";
/// Why all handshakes are refused while the server drains.
const DRAINING: Why = "draining";

/// An upgrade that was answered with 101, and what its session needs.
struct Upgrade {
    socket: OnUpgrade,
    negotiation: Negotiation,
    opening: Opening,
}

/// How a shard's connections come in.
pub(super) struct Entrance {
    /// Where they become encrypted, if they do.
    pub doorway: Option<Rc<Doorway>>,
    /// What browsers are told about encryption (`Strict-Transport-Security`, RFC 6797).
    pub transport_security: Option<HeaderValue>,
}

/// Accepts connections until the last call. Clients that had connected by then are still served.
pub(super) async fn accept(listener: TcpListener, entrance: Rc<Entrance>, shared: Rc<Shared>, ports: Ports) {
    let (_served, mut last_call) = shared.serve();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The value that the wait returns holds a lock, so it must not live on in the branch.
            () = async { drop(last_call.wait_for(|is_last| *is_last).await) } => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Its address is judged first: what is closed for its address alone uses up nobody else's pace.
                let Some(visit) = Visit::begin(&ports.gate, peer) else {
                    drop(socket);
                    // A flood of them must not keep the shard from its turns.
                    tokio::task::yield_now().await;
                    continue;
                };
                let paced = async {
                    while let Some(wait) = ports.gate.accept_after() {
                        tokio::time::sleep(wait).await;
                    }
                };
                tokio::select! {
                    () = paced => {}
                    () = async { drop(last_call.wait_for(|is_last| *is_last).await) } => {}
                }
                take(socket, visit, &entrance, &shared, &ports);
            }
            Err(error) => {
                // There are no free descriptors: connections in the backlog are accepted when some are free again.
                tracing::warn!(%error, "a connection could not be accepted: raise the open-file limit (ulimit -n)");
                telemetry::limit_hit("open files", "-");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((socket, peer)) = listener.accept() {
        if socket.set_nonblocking(true).is_ok()
            && let Ok(socket) = TcpStream::from_std(socket)
            && let Some(visit) = Visit::begin(&ports.gate, peer)
        {
            take(socket, visit, &entrance, &shared, &ports);
        }
    }
}

fn take(socket: TcpStream, visit: Visit, entrance: &Rc<Entrance>, shared: &Rc<Shared>, ports: &Ports) {
    let peer = visit.peer();
    // The connection counts from here on, not from the first turn of its task.
    let (served, last_call) = shared.serve();
    // Frames are small, and none must wait for the next one (Nagle's algorithm).
    let _ = socket.set_nodelay(true);
    let (entrance, shared, ports) = (entrance.clone(), shared.clone(), ports.clone());
    let came = Came { peer, visit, served, last_call };
    match &entrance.doorway {
        None => drop(tokio::task::spawn_local(serve(Carrier::plain(socket), came, entrance, shared, ports))),
        Some(doorway) => {
            tokio::task::spawn_local(encrypt(socket, doorway.clone(), came, entrance, shared, ports));
        }
    }
}

/// What goes with a connection from its acceptance to its end.
struct Came {
    peer: SocketAddr,
    visit: Visit,
    served: Served,
    last_call: watch::Receiver<bool>,
}

/// Shakes hands by TLS, then serves.
async fn encrypt(
    socket: TcpStream,
    doorway: Rc<Doorway>,
    mut came: Came,
    entrance: Rc<Entrance>,
    shared: Rc<Shared>,
    ports: Ports,
) {
    let of = (came.peer, came.visit.address());
    if let Some(socket) = doorway.enter(socket, of, shared.pace(), &mut came.last_call).await {
        serve(Carrier::Tls(socket), came, entrance, shared, ports).await;
    }
}

async fn serve(
    carrier: Carrier,
    Came { peer, visit, served: _served, mut last_call }: Came,
    entrance: Rc<Entrance>,
    shared: Rc<Shared>,
    ports: Ports,
) {
    let (upgraded, turn): (Rc<Cell<Option<Upgrade>>>, _) = (Rc::default(), Turn::default());
    let visit = Rc::new(visit);
    let service = hyper::service::service_fn(|request| {
        let (ports, upgraded, turn, visit) = (ports.clone(), upgraded.clone(), turn.clone(), visit.clone());
        let transport_security = entrance.transport_security.clone();
        async move {
            turn.request_came();
            visit.request_came();
            let mut response = respond(request, peer, &ports, (&upgraded, &visit)).await;
            if response.headers().get(header::CONNECTION).is_some_and(|value| value == "close") {
                turn.linger();
            }
            if ports.gate.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            if let Some(line) = transport_security {
                response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, line);
            }
            Ok::<_, Infallible>(response.map(|body| Told::new(body, turn)))
        }
    });
    let patience = Patience::of(&ports.allowance.limits);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Our own timeouts come first. With one set here, hyper asks for the next request as soon as an answer is sent.
        .header_read_timeout(IDLE_CONNECTION + patience.head)
        .max_buf_size(REQUEST_HEAD_BYTES_MAX)
        .serve_connection(Patient::new(carrier, turn.clone(), patience), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = async { drop(last_call.wait_for(|is_last| *is_last).await) } => {
            // hyper's own graceful_shutdown would drop a connection whose request is on its way.
            turn.end();
            connection.await
        }
    };
    note_limits(outcome.as_ref().err(), &turn, peer);
    // If a request is not HTTP, or ends half-way, there is nothing to do.
    if outcome.is_err() {
        return;
    }
    let Some(Upgrade { socket, negotiation, opening }) = upgraded.take() else { return };
    let Ok(connection) = socket.await else { return };
    let Ok(parts) = connection.downcast::<Patient>() else { return };
    let Carried { socket, tls, unread } = parts.io.into_inner().into_parts();
    if let Ok(socket) = socket.into_std() {
        let mut read_already = Vec::from(parts.read_buf);
        read_already.extend_from_slice(&unread);
        shared.adopt(socket, tls, &mut read_already, negotiation, visit.opened(opening));
    }
}

/// Says in log and metrics why a connection ended, if a limit ended it.
fn note_limits(error: Option<&hyper::Error>, turn: &Turn, peer: SocketAddr) {
    let limit = match turn.late() {
        Some(Late::Head) => "handshake's time",
        Some(Late::Answer) => "answer's time",
        None if error.is_some_and(hyper::Error::is_parse_too_large) => "request's head",
        None => return,
    };
    telemetry::limit_hit(limit, peer.ip());
}

async fn respond(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    ports: &Ports,
    (upgraded, visit): (&Cell<Option<Upgrade>>, &Visit),
) -> Response<RestBody> {
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return plain(StatusCode::BAD_REQUEST, "A request has one Host line.\n");
    }
    // A host that is not text is no name of this server.
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let (is_for_us, is_socket) = (ports.gate.allows_host(host), request.uri().path().starts_with("/ws/"));
    if !is_socket {
        return if is_for_us { (ports.rest)(request, peer).await } else { plain(StatusCode::FORBIDDEN, NOT_THIS_HOST) };
    }
    let shaken = if !is_for_us {
        Err((plain(StatusCode::FORBIDDEN, NOT_THIS_HOST), "host"))
    } else if !visit.comes_from(request.headers()) {
        Err((too_many(), "address"))
    } else {
        shake_hands(&request, peer, ports).await
    };
    let (why, response) = match shaken {
        Ok(Shaken { accept_key, negotiation, opening, why }) => {
            upgraded.set(Some(Upgrade { socket: hyper::upgrade::on(&mut request), negotiation, opening }));
            (why, switch_protocols(&accept_key, negotiation))
        }
        Err((response, why)) => {
            visit.forget_client();
            (Some(why), response)
        }
    };
    if let Some(why) = why {
        ports.gate.refused(peer, request.headers(), why);
    }
    response
}

/// A handshake that is answered with 101.
struct Shaken {
    accept_key: String,
    negotiation: Negotiation,
    opening: Opening,
    /// Why its client is refused inside, if it is.
    why: Option<Why>,
}

/// Judges a request for a socket. If it is not upgraded, returns the answer and the reason.
async fn shake_hands(
    request: &Request<Incoming>,
    peer: SocketAddr,
    ports: &Ports,
) -> Result<Shaken, (Response<RestBody>, Why)> {
    let path = request.uri().path();
    let is_echo = path == ECHO && ports.gate.echoes();
    let wanted = wanted(path);
    if wanted.is_none() && !is_echo && path != "/ws/" {
        return Err((plain(StatusCode::NOT_FOUND, NO_SOCKET), "path"));
    }
    let accept_key = judge(request).map_err(|refusal| (refuse_upgrade(refusal), "request"))?;
    if ports.gate.is_draining() {
        return Err((later("The server is about to stop. Try again.\n"), DRAINING));
    }
    let origin = request.headers().get(header::ORIGIN);
    // An origin that is not text matches no rule.
    let origin = origin.map(|value| value.to_str().unwrap_or("null"));
    if !ports.gate.allows_origin(origin, text(request.headers(), &header::HOST).unwrap_or_default()) {
        return Err((empty(StatusCode::FORBIDDEN), "origin"));
    }
    let asked = wanted.as_ref().and_then(|wanted| wanted.as_ref().ok()).copied();
    let negotiation = negotiate(request.headers(), is_echo || ports.gate.may_compress(asked));
    if is_echo {
        let negotiation = Negotiation { subprotocol: Subprotocol::Unnamed, ..negotiation };
        return Ok(Shaken { accept_key, negotiation, opening: Opening::Echo, why: None });
    }
    let Some(wanted) = wanted else {
        return match for_many(negotiation, request.headers(), peer, ports) {
            Ok(opening) => Ok(Shaken { accept_key, negotiation, opening, why: None }),
            Err(BARRED) => Err((empty(StatusCode::FORBIDDEN), BARRED)),
            Err(why) => Err((plain(StatusCode::BAD_REQUEST, NO_SUBPROTOCOL), why)),
        };
    };
    // The other sockets have one language, whatever is offered.
    let negotiation = Negotiation { subprotocol: Subprotocol::Unnamed, ..negotiation };
    let admission = match wanted {
        Ok(wanted) => {
            let (token, headers) = (token(request.uri().query()), request.headers());
            let verdict = ports.gate.admit(&Handshake { wanted, token: token.as_deref(), peer, headers, negotiation });
            match verdict {
                Verdict::Now(admission) => admission,
                Verdict::Later(admission) => admission.await,
            }
        }
        Err(denied) => Err(denied),
    };
    let admission = match admission {
        Ok(entry) => (Ok(entry), None),
        Err(Denied::Inside(refused, why)) => (Err(refused), Some(why)),
        Err(Denied::Status(503, why)) => return Err((later(""), why)),
        Err(Denied::Status(status, why)) => {
            return Err((empty(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN)), why));
        }
    };
    let (admission, why) = admission;
    Ok(Shaken { accept_key, negotiation, opening: Opening::Judged(admission), why })
}

/// A socket with many topics is opened whoever asks: inside, a browser can read what is wrong. Not to who did not offer its
/// subprotocol, nor to who comes again and again with a token that is not good.
fn for_many(negotiation: Negotiation, headers: &HeaderMap, peer: SocketAddr, ports: &Ports) -> Result<Opening, Why> {
    if negotiation.subprotocol != Subprotocol::V1 {
        return Err("subprotocol");
    }
    let credential = Credential::among(handshake::protocols(lines(headers, header::SEC_WEBSOCKET_PROTOCOL)));
    let client = ports.gate.client(peer, headers);
    match credential.as_ref().map(Credential::text) {
        Some(text) if ports.gate.is_barred(client, text) => Err(BARRED),
        _ => Ok(Opening::Many { credential, client }),
    }
}

/// What a path asks for, with or without its last slash; `None` if there is no such socket. An id of legal characters
/// that is not a UUID is refused like an unknown one; in a chat socket it gets a text of its own.
fn wanted(path: &str) -> Option<Result<Wanted, Denied>> {
    let path = path.strip_prefix("/ws/")?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_legal = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match path.split_once('/') {
        None if path == "feed" => Some(Ok(Wanted::Feed)),
        None if path == "notifications" => Some(Ok(Wanted::Notifications)),
        Some(("chat", id)) if is_legal(id) => {
            let refused = Refused { text: reason::BAD_ROOM_ID, goodbye: reason::REFUSED };
            Some(id.parse().map(Wanted::Chat).map_err(|_| Denied::Inside(refused, NO_ID)))
        }
        Some(("post", id)) if is_legal(id) => {
            Some(id.parse().map(Wanted::Post).map_err(|_| Denied::Status(403, NO_ID)))
        }
        _ => None,
    }
}

/// The first `token` of a query string.
fn token(query: Option<&str>) -> Option<String> {
    form_urlencoded::parse(query?.as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

fn judge(request: &Request<Incoming>) -> Result<String, handshake::Refusal> {
    let headers = request.headers();
    handshake::accept(UpgradeRequest {
        method: request.method().as_str(),
        http_1_1: request.version() == http::Version::HTTP_11,
        connection: lines(headers, header::CONNECTION),
        upgrade: lines(headers, header::UPGRADE),
        version: text(headers, &header::SEC_WEBSOCKET_VERSION),
        key: text(headers, &header::SEC_WEBSOCKET_KEY),
    })
}

fn negotiate(headers: &HeaderMap, may_compress: bool) -> Negotiation {
    let offered = lines(headers, header::SEC_WEBSOCKET_PROTOCOL);
    Negotiation::of(offered, lines(headers, header::SEC_WEBSOCKET_EXTENSIONS), may_compress)
}

/// All lines of a header that are valid text.
fn lines(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn switch_protocols(accept_key: &str, negotiation: Negotiation) -> Response<RestBody> {
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(value) = HeaderValue::from_str(accept_key) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, value);
    }
    for (name, value) in negotiation.lines() {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refuse_upgrade(refusal: handshake::Refusal) -> Response<RestBody> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = plain(status, refusal.text());
    for (name, value) in refusal.headers() {
        response.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    response
}

fn later(text: &'static str) -> Response<RestBody> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The client's address has too many sockets.
fn too_many() -> Response<RestBody> {
    let mut response =
        plain(StatusCode::TOO_MANY_REQUESTS, "Too many connections from your address. Try again later.\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    response
}

fn empty(status: StatusCode) -> Response<RestBody> {
    plain(status, "")
}

fn plain(status: StatusCode, text: &'static str) -> Response<RestBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    if !text.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_found_in_either_spelling_of_its_path() {
        let id = "0a0b9502-c454-481e-8985-e9e7f96c1dcb".parse().unwrap();
        for path in [
            "/ws/chat/0a0b9502-c454-481e-8985-e9e7f96c1dcb/",
            "/ws/chat/0a0b9502-c454-481e-8985-e9e7f96c1dcb",
            "/ws/chat/0a0b9502c454481e8985e9e7f96c1dcb/",
            "/ws/chat/0A0B9502-C454-481E-8985-E9E7F96C1DCB/",
        ] {
            assert_eq!(wanted(path), Some(Ok(Wanted::Chat(id))), "{path}");
            let post = path.replace("chat", "post");
            assert!(matches!(wanted(&post), Some(Ok(Wanted::Post(post))) if post.0 == id.0), "{post}");
        }
        assert!(matches!(wanted("/ws/chat/abc-12/"), Some(Err(Denied::Inside(_, NO_ID)))));
        assert_eq!(wanted("/ws/post/abc-12"), Some(Err(Denied::Status(403, NO_ID))));
    }

    #[test]
    fn other_sockets_have_one_path_each() {
        for (path, expected) in [("feed", Wanted::Feed), ("notifications", Wanted::Notifications)] {
            assert_eq!(wanted(&format!("/ws/{path}/")), Some(Ok(expected)));
            assert_eq!(wanted(&format!("/ws/{path}")), Some(Ok(expected)));
        }
        for path in
            ["", "/", "chat/", "chat/xyz/", "chat/0a/0b/", "chat/0a0b//", "post/", "post/xyz", "feed//", "feed/x/"]
        {
            assert_eq!(wanted(&format!("/ws/{path}")), None, "{path}");
        }
    }

    #[test]
    fn the_first_token_counts_and_is_decoded() {
        assert_eq!(token(Some("xtoken=a&token=b%2Ec&token=d")).as_deref(), Some("b.c"));
        for query in [None, Some(""), Some("token="), Some("xtoken=a")] {
            assert_eq!(token(query), None, "{query:?}");
        }
    }
}
