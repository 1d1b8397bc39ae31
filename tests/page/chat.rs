//! Two people in two real browsers talk through the page, and see each other live.

use crate::browser::{ARROW_UP, Driver, ENTER, Tab, together};
use crate::support::Server;

#[tokio::test]
async fn two_people_talk_live_between_two_browsers() {
    let server = Server::start().await;
    let driver = Driver::start();
    let ana = Tab::open(&driver, &server.http("/"), "es-CO").await;
    let beto = Tab::open(&driver, &server.http("/"), "en-US").await;
    together(ana.clone(), beto.clone(), driver, conversation(ana, beto)).await;
}

async fn conversation(ana: Tab, beto: Tab) {
    ana.shows("html[lang='es']").await;
    beto.shows("html[lang='en']").await;
    ana.register("Ana Pérez", "ana").await;
    beto.register("Beto Díaz", "beto").await;

    // Ana finds Beto and writes; the room appears in Beto's list by itself.
    ana.fill("#search", "beto").await;
    ana.click("[data-testid=user-result][data-username=beto]").await;
    ana.shows("[data-testid=connection][data-state=live]").await;
    ana.fill("#composer-text", &format!("¿Viste el partido?{ENTER}")).await;
    ana.shows_text("¿Viste el partido?").await;
    beto.click("[data-testid=room]").await;
    beto.shows_text("¿Viste el partido?").await;

    for tab in [&ana, &beto] {
        tab.shows("[data-testid=presence][data-status=online]").await;
    }
    ana.shows("[data-testid=tick][data-read=true]").await;

    // The typing indicator comes before the message, and ends with it.
    beto.fill("#composer-text", "Sí, qué final").await;
    ana.shows(".typing.shown").await;
    beto.fill("#composer-text", ENTER).await;
    ana.shows_text("Sí, qué final").await;
    ana.shows(".typing:not(.shown)").await;

    // Text that looks like markup stays text.
    beto.fill("#composer-text", &format!("<b>gol</b>{ENTER}")).await;
    ana.shows_text("<b>gol</b>").await;

    ana.open_menu("[data-testid=message][data-own=false]").await;
    ana.click("#message-menu [data-reaction=fire]").await;
    beto.shows("[data-testid=reaction][data-type=fire][data-count='1'][aria-pressed=false]").await;

    ana.fill("#composer-text", ARROW_UP).await;
    ana.shows("[data-testid=context]").await;
    ana.fill("#composer-text", &format!(" ¡Golazo!{ENTER}")).await;
    beto.shows_text("¿Viste el partido? ¡Golazo!").await;
    beto.shows("[data-testid=edited]").await;

    // A reload keeps the user, the room and the history.
    beto.client.refresh().await.expect("the page reloads");
    beto.shows_text("¿Viste el partido? ¡Golazo!").await;
    beto.shows("[data-testid=connection][data-state=live]").await;
    beto.click("#logout").await;
    beto.shows("#login-tab").await;
    ana.shows("[data-testid=presence][data-status=absent]").await;
}

/// Chromium offers compression by itself: everything is as ever, and both ends do compress.
#[tokio::test]
async fn two_people_talk_over_compressed_sockets() {
    let server = Server::builder().seed(2, 1, 2).set("PREGON_COMPRESSION", "all").start().await;
    let driver = Driver::start();
    let ana = Tab::open(&driver, &server.http("/"), "es-CO").await;
    let beto = Tab::open(&driver, &server.http("/"), "es-CO").await;
    together(ana.clone(), beto.clone(), driver, compressed(server, ana, beto)).await;
}

async fn compressed(server: Server, ana: Tab, beto: Tab) {
    for (number, tab) in [&ana, &beto].into_iter().enumerate() {
        tab.enter(&server, number).await;
        tab.open_room(&server, 0).await;
    }
    let long = "¿Viste el partido de ayer en la noche? ".repeat(12);
    ana.fill("#composer-text", &format!("{}{ENTER}", long.trim())).await;
    beto.shows_text(long.trim()).await;
    beto.fill("#composer-text", &format!("Sí, qué final{ENTER}")).await;
    ana.shows_text("Sí, qué final").await;
    assert!(server.metric("pregon_inflate_messages_total").await >= 2.0, "what the page sends comes compressed");
    let (before, after) = ("pregon_deflate_bytes_total{when=\"before\"}", "pregon_deflate_bytes_total{when=\"after\"}");
    let saved = server.labelled(before).await - server.labelled(after).await;
    assert!(saved > 300.0, "{saved} bytes are saved");
    // The browser tells what was negotiated.
    let script = "window.told = 'nothing yet'; const socket = new WebSocket(arguments[0]); \
                  socket.onopen = () => { window.told = socket.extensions; };";
    let address = format!("ws://{}{}", server.address(), server.chat_path(0, 0));
    ana.run(script, vec![serde_json::json!(address)]).await;
    ana.until(
        "return window.told.startsWith('permessage-deflate; server_no_context_takeover; client_no_context_takeover')",
    )
    .await;
}
