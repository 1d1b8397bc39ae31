//! Handshakes: resumed on another node, too late, with other protocols, without encryption, of garbage.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, crypto, version};

use super::encrypted;
use crate::support::{PATIENCE, Papers, Server, Socket, Wire, trusting};

/// A client that keeps tickets.
fn client(papers: &Papers) -> ClientConfig {
    let mut config = trusting([papers.shown.clone()]).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    config
}

/// How a client shakes hands with a server. It asks for something, so that tickets come.
async fn shakes(server: &Server, config: &Arc<ClientConfig>) -> HandshakeKind {
    let mut wire = Wire::connect(server.address(), Some(config.clone())).await.unwrap();
    let kind = wire.tls().handshake_kind().unwrap();
    wire.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    kind
}

#[tokio::test]
async fn a_client_resumes_on_every_node_that_has_the_secret_and_on_no_other() {
    const SECRET: &str = "of tickets, long enough";
    let mut first = Server::builder().seed(4, 1, 3).set("PREGON_TLS_TICKET_SECRET", SECRET).encrypted().start().await;
    let papers = first.papers.clone().unwrap();
    // The same certificate: what differs is the secret alone.
    let node = |secret: Option<&'static str>| {
        let builder = Server::builder().with_papers(&papers);
        secret.into_iter().fold(builder, |builder, secret| builder.set("PREGON_TLS_TICKET_SECRET", secret)).start()
    };
    let (second, third) = (node(Some(SECRET)).await, node(Some("another secret, long enough")).await);
    let mut alone = node(None).await;
    let config = Arc::new(client(&papers));
    assert_eq!(shakes(&first, &config).await, HandshakeKind::Full);
    assert_eq!(shakes(&first, &config).await, HandshakeKind::Resumed);
    assert_eq!(shakes(&second, &config).await, HandshakeKind::Resumed);
    assert_eq!(second.metric("pregon_tls_handshakes_total{result=\"resumed\"").await, 1.0);
    assert_eq!(shakes(&third, &config).await, HandshakeKind::Full);
    assert_eq!(shakes(&third, &config).await, HandshakeKind::Resumed);
    // All tests' servers sign tokens with one secret, from which no key of tickets follows: a process without a secret of tickets is alone.
    assert_eq!(shakes(&alone, &config).await, HandshakeKind::Full);
    assert_eq!(shakes(&alone, &config).await, HandshakeKind::Resumed);
    alone.kill();
    alone.restart();
    assert_eq!(shakes(&alone, &config).await, HandshakeKind::Full);
    // A restart forgets nothing, since nothing is kept.
    let config = Arc::new(client(&papers));
    assert_eq!(shakes(&first, &config).await, HandshakeKind::Full);
    first.kill();
    first.restart();
    assert_eq!(shakes(&first, &config).await, HandshakeKind::Resumed);
}

/// A ticket of TLS 1.2 would hold the key of its session, so there is none.
#[tokio::test]
async fn older_clients_are_served_and_never_resume() {
    let server = encrypted().await;
    let papers = server.papers.as_ref().unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS12]).unwrap();
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(papers.shown.clone()).unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    for _ in 0..3 {
        assert_eq!(shakes(&server, &config).await, HandshakeKind::Full);
    }
    let wire = Wire::connect(server.address(), Some(config)).await.unwrap();
    let mut ana = Socket::open_over(wire, server.address(), &server.chat_path(0, 0), &[]).await.unwrap();
    ana.expect("connection_success").await;
    assert!(ana.until_pong().await.is_empty());
}

#[tokio::test]
async fn http2_is_declined_and_http1_taken_beside_it() {
    let server = encrypted().await;
    let offers = |protocols: &[&str]| {
        let mut config = client(server.papers.as_ref().unwrap());
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Wire::connect(server.address(), Some(Arc::new(config)))
    };
    for (protocols, agreed) in [(&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])), (&[], None)] {
        assert_eq!(offers(protocols).await.unwrap().tls().alpn_protocol(), agreed);
    }
    let Err(refused) = offers(&["h2"]).await else { panic!("HTTP/2 is taken") };
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    assert_eq!(server.metric("pregon_tls_handshakes_total{result=\"refused\"").await, 1.0);
    let reason = "pregon_tls_refused_total{reason=\"no protocol in common: HTTP/1.1 alone is spoken\"";
    assert_eq!(server.metric(reason).await, 1.0);
}

#[tokio::test]
async fn who_does_not_trust_the_certificate_is_counted_as_such() {
    let server = encrypted().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let config = client(&Papers::make(elsewhere.path()));
    assert!(Wire::connect(server.address(), Some(Arc::new(config))).await.is_err());
    let name = "pregon_tls_refused_total{reason=\"the client does not trust the certificate\"";
    server.wait_for_metric(name, |count| count == 1.0).await;
}

#[tokio::test]
async fn requests_without_encryption_are_told_so_and_garbage_is_not_answered_for_long() {
    let server = encrypted().await;
    let mut plain = TcpStream::connect(server.address()).await.unwrap();
    let path = server.chat_path(0, 0);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("wss://"), "{answer}");
    let garbage: [&[u8]; 4] =
        [b"\0\0\0\0\0\0\0\0", b"\x16\x03\x01\xff\xff", &[0xff; 5000], b"\x15\x03\x01\0\x02\x02\x28"];
    for bytes in garbage {
        let mut client = TcpStream::connect(server.address()).await.unwrap();
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await;
        assert!(ended.is_ok() && answer.len() < 16, "{bytes:x?}: {answer:x?}");
    }
    let count = |result: &str| format!("pregon_tls_handshakes_total{{result=\"{result}\"");
    assert_eq!(server.metric(&count("plain http")).await, 1.0);
    server.wait_for_metric(&count("refused"), |refused| refused == 4.0).await;
    server.wait_for_metric("pregon_tls_handshakes_under_way", |under_way| under_way == 0.0).await;
    assert!(server.join(0, 0).await.until_pong().await.is_empty());
}

#[tokio::test]
async fn half_a_handshake_is_given_up_and_counted() {
    let server = encrypted().await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    let mut half = TcpStream::connect(server.address()).await.unwrap();
    half.write_all(&[22, 3, 1, 1, 0, 1, 0, 0xfc, 3, 3]).await.unwrap();
    server.wait_for_metric("pregon_tls_handshakes_under_way", |under_way| under_way == 1.0).await;
    let began = Instant::now();
    for client in [&mut silent, &mut half] {
        let ended = tokio::time::timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "it is waited for without an end");
    }
    assert!(began.elapsed() < pregon::limits::HANDSHAKE_TIMEOUT * 2, "{:?}", began.elapsed());
    server.wait_for_metric("pregon_tls_handshakes_total{result=\"late\"", |late| late == 2.0).await;
    server.wait_for_metric("pregon_tls_handshakes_under_way", |under_way| under_way == 0.0).await;
}
