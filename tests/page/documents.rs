//! Documents in a chat: one person chooses several at once, the other sees what they are and saves one.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::browser::{Driver, PATIENCE, Tab, together};
use crate::feed::TOO_LARGE_BYTES;
use crate::support::Server;

const PDF: &[u8] = b"%PDF-1.7\n%%EOF";

#[tokio::test]
async fn documents_are_chosen_seen_and_saved() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let downloads = folder.path().join("downloads");
    let driver = Driver::start();
    let ana = Tab::open(&driver, &server.http("/"), "es-CO").await;
    let preferences = json!({
        "intl.accept_languages": "en-US",
        "download.default_directory": downloads.display().to_string(),
        "download.prompt_for_download": false,
    });
    let beto = Tab::open_with(&driver, &server.http("/"), &preferences).await;
    let story = story(server, ana.clone(), beto.clone(), folder);
    together(ana, beto, driver, story).await;
}

async fn story(server: Server, ana: Tab, beto: Tab, folder: tempfile::TempDir) {
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    };
    ana.enter(&server, 0).await;
    beto.enter(&server, 1).await;
    for tab in [&ana, &beto] {
        tab.open_room(&server, 0).await;
    }

    // What cannot be sent is not taken, and the person is told what to do.
    ana.choose("#file", &write("programa.exe", b"MZ")).await;
    told(&ana, "ZIP").await;
    let large = folder.path().join("enorme.pdf");
    std::fs::File::create(&large).and_then(|file| file.set_len(TOO_LARGE_BYTES)).expect("a file may have holes");
    ana.choose("#file", &large).await;
    told(&ana, "25 MB").await;
    ana.choose("#file", &write("nada.txt", b"")).await;
    told(&ana, "vacío").await;
    assert_eq!(ana.count("[data-testid=context]").await, 0, "none is taken");

    // Two at once, more than are sent at the same time after them.
    let names = ["acta de ayer.pdf", "lista.csv", "uno.txt", "dos.txt", "tres.txt"];
    let content =
        |name: &str| if Path::new(name).extension().is_some_and(|of| of == "pdf") { PDF } else { &b"a;b"[..] };
    let paths: Vec<String> = names.iter().map(|name| write(name, content(name)).display().to_string()).collect();
    ana.fill("#file", &paths.join("\n")).await;
    assert_eq!(ana.count("[data-testid=context]").await, names.len());
    server.signal("STOP");
    ana.fill("#composer-text", "para mañana").await;
    ana.click("#send").await;
    ana.shows("[data-testid=upload][data-status=sending] progress").await;
    assert_eq!(ana.count("[data-testid=upload][data-status=sending]").await, 3);
    assert_eq!(ana.count("[data-testid=upload][data-status=waiting]").await, 2);
    server.signal("CONT");

    for tab in [&ana, &beto] {
        for name in names {
            tab.shows_part("document-name", name).await;
        }
        tab.until("return document.querySelectorAll('[data-testid=document]').length === 5;").await;
    }
    beto.shows_text("para mañana").await;
    assert_eq!(ana.count("[data-testid=upload]").await, 0, "all are messages now");
    beto.shows_part("document-size", "PDF · 14 bytes").await;
    beto.click("[data-testid=document][aria-label*='acta de ayer']").await;
    let saved = folder.path().join("downloads/acta de ayer.pdf");
    assert_eq!(arrived(&saved).await, PDF);
    let address = beto.client.current_url().await.expect("the tab has an address");
    assert!(address.as_str().starts_with(&server.http("/#/chat/")), "the page is still there: {address}");

    // The content is looked at by the server alone. Its refusal is told in the reader's language.
    beto.choose("#file", &write("falso.pdf", b"MZ\x90\0\x03")).await;
    beto.click("#send").await;
    beto.shows("[data-testid=upload][data-status=failed]").await;
    beto.find(fantoccini::Locator::XPath("//*[@class='problem'][contains(., 'Put it into a ZIP file')]")).await;
    beto.click("[data-testid=discard]").await;
    beto.until("return !document.querySelector('[data-testid=upload]');").await;
}

async fn told(tab: &Tab, text: &str) {
    tab.find(fantoccini::Locator::XPath(&format!("//*[@class='toast'][contains(., '{text}')]"))).await;
}

/// A file's content, once the browser has saved it.
async fn arrived(path: &Path) -> Vec<u8> {
    let began = Instant::now();
    loop {
        match std::fs::read(path) {
            Ok(content) if !content.is_empty() => return content,
            _ => assert!(began.elapsed() < PATIENCE, "{} does not come", path.display()),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
