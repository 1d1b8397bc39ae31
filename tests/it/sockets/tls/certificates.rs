//! Certificates: those that keep the server from starting, and those that change while it serves.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::encrypted;
use crate::support::{PATIENCE, Papers, Server, Wire, pregon, trusting};

/// The certificate that a new client is shown.
async fn shown(server: &Server, trusted: &[&Papers]) -> CertificateDer<'static> {
    let config = trusting(trusted.iter().map(|papers| papers.shown.clone())).with_no_client_auth();
    let mut wire = Wire::connect(server.address(), Some(Arc::new(config))).await.unwrap();
    wire.tls().peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_new_certificate_is_served_after_a_signal_and_by_itself_and_sockets_stay() {
    let mut server = encrypted().await;
    let folder = server.folder().to_owned();
    let old = server.papers.clone().unwrap();
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    assert_eq!(shown(&server, &[&old]).await, old.shown);

    let second = Papers::make(&folder);
    server.signal("HUP");
    server.wait_for_log("SIGHUP: files of keys and certificates are read again").await;
    wait_until_shown(&server, &[&old, &second]).await;
    // Nobody says anything: the change of the files is found.
    let third = Papers::make(&folder);
    wait_until_shown(&server, &[&second, &third]).await;
    server.trust(third);
    assert_eq!(server.metric("pregon_tls_certificate_reads_total{outcome=\"ok\"").await, 2.0);

    // Those that are there go on as they were.
    ana.send(json!({"type": "chat_message", "content": "still here"})).await;
    for socket in [&mut ana, &mut beto] {
        assert_eq!(socket.expect("chat_message").await["message"]["content"], "still here");
    }
    drop(server.join(0, 2).await);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_served_changes_nothing() {
    let server = encrypted().await;
    let papers = server.papers.clone().unwrap();
    let mut ana = server.join(0, 0).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let others = Papers::make(elsewhere.path());
    // The certificate is new, and its key is still the old one.
    std::fs::copy(&others.certificate, &papers.certificate).unwrap();
    server.signal("HUP");
    server.wait_for_log("the certificate before goes on being served").await;
    assert!(server.log().contains("does not belong to the first certificate"), "{}", server.log());
    assert_eq!(shown(&server, &[&papers, &others]).await, papers.shown);
    assert_eq!(server.metric("pregon_tls_certificate_reads_total{outcome=\"failed\"").await, 1.0);
    std::fs::write(&papers.certificate, "nothing").unwrap();
    server.signal("HUP");
    server.wait_for_log("it has no certificate").await;
    assert_eq!(shown(&server, &[&papers, &others]).await, papers.shown);
    assert!(ana.until_pong().await.is_empty());
}

/// A certificate that was made on a machine whose clock is a little ahead: its files do not change when its time comes.
#[tokio::test]
async fn files_that_could_not_be_served_are_tried_again() {
    let server = encrypted().await;
    let papers = server.papers.clone().unwrap();
    let begins = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let early = Papers::make_from(server.folder(), Some(begins));
    server.signal("HUP");
    server.wait_for_log("the files are tried again: PREGON_TLS_CERT is").await;
    assert_eq!(shown(&server, &[&papers]).await, papers.shown);
    wait_until_shown(&server, &[&papers, &early]).await;
}

/// Waits until new clients are shown the last of these.
async fn wait_until_shown(server: &Server, papers: &[&Papers]) {
    let began = std::time::Instant::now();
    while shown(server, papers).await != papers[papers.len() - 1].shown {
        assert!(began.elapsed() < PATIENCE, "the new files are never read");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn said(folder: &Path, command: &str, settings: &[(&str, &str)]) -> (bool, String) {
    let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let output = pregon(&settings, folder).arg(command).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_server_does_not_start_without_what_it_needs_for_tls() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, others) = (Papers::make(folder.path()), Papers::make(elsewhere.path()));
    let [certificate, key, other] = [&here.certificate, &here.key, &others.key].map(|path| path.to_str().unwrap());
    for (settings, words) in [
        (vec![("PREGON_TLS_CERT", certificate)], "PREGON_TLS_KEY is not"),
        (vec![("PREGON_TLS_KEY", key)], "PREGON_TLS_CERT is not"),
        (vec![("PREGON_TLS_CERT", certificate), ("PREGON_TLS_KEY", other)], "does not belong"),
        (vec![("PREGON_TLS_CERT", "missing.pem"), ("PREGON_TLS_KEY", key)], "No such file"),
        (vec![("PREGON_TLS_CERT", key), ("PREGON_TLS_KEY", key)], "no certificate"),
        (vec![("PREGON_HSTS_SECONDS", "300")], "PREGON_HSTS_SECONDS"),
    ] {
        let (is_fine, text) = said(folder.path(), "serve", &settings);
        assert!(!is_fine && text.contains(words), "{settings:?}: {text}");
    }
}

#[test]
fn a_check_shows_the_certificate_and_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let papers = Papers::make(folder.path());
    let [certificate, key] = [&papers.certificate, &papers.key].map(|path| path.to_str().unwrap());
    let files = [("PREGON_TLS_CERT", certificate), ("PREGON_TLS_KEY", key)];
    let (is_fine, text) = said(folder.path(), "check", &files);
    assert!(is_fine && text.contains("ok    certificate: for localhost, 127.0.0.1, ::1, until "), "{text}");
    assert!(text.contains(" days)"), "{text}");
    let elsewhere = [&files[..], &[("PREGON_PUBLIC_URL", "https://chat.example.com")]].concat();
    let (is_fine, text) = said(folder.path(), "check", &elsewhere);
    assert!(is_fine && text.contains("LOOK  certificate: ") && text.contains("not for chat.example.com"), "{text}");
    std::fs::write(&papers.key, "").unwrap();
    let (is_fine, text) = said(folder.path(), "check", &files);
    assert!(!is_fine && text.contains("WRONG certificate: PREGON_TLS_KEY"), "{text}");
}
