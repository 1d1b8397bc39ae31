//! What a reader sees: the newest message stays in sight, quotes lead to their message, deleted ones are gone.

use serde_json::json;

use crate::absence::{say, write};
use crate::browser::{ENTER, Tab, alone};
use crate::support::Server;

/// The distance from the last message's end to the end of the visible part.
const BELOW: &str = "const log = document.getElementById('log'); return Math.round(log.scrollHeight - log.clientHeight - log.scrollTop);";

async fn below(tab: &Tab) -> i64 {
    tab.run(BELOW, vec![]).await.as_i64().expect("a number")
}

/// Waits until the newest message is in sight: the browser lays out again after drawing.
async fn is_in_sight(tab: &Tab) {
    tab.until(&format!("const below = (() => {{ {BELOW} }})(); return below === 0;")).await;
}

#[tokio::test]
async fn the_newest_message_stays_in_sight_unless_somebody_scrolls() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, json!({}), in_sight).await;
}

async fn in_sight(server: Server, tab: Tab) {
    write(&server, 1, 1..=30).await;
    tab.client.set_window_size(900, 900).await.expect("the window takes a size");
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    tab.shows_text("mensaje 30").await;
    is_in_sight(&tab).await;

    // A message under way has the height that it will have once it is stored, so that nothing moves.
    let heights = "window.heights = new Set(); const log = document.getElementById('log');
        new MutationObserver(() => heights.add(log.scrollHeight)).observe(document.getElementById('messages'), { childList: true });";
    tab.run(heights, vec![]).await;
    for text in ["uno", "dos"] {
        tab.fill("#composer-text", &format!("{text}{ENTER}")).await;
        tab.shows_text(text).await;
        tab.until("return !document.querySelector('[data-testid=pending]');").await;
        assert_eq!(
            tab.run("const { size } = heights; heights.clear(); return size;", vec![]).await,
            json!(1),
            "{text}"
        );
    }

    // A phone's keyboard: the window gets shorter at the moment when the browser reports something else.
    let keyboard = "const log = document.getElementById('log'); log.dispatchEvent(new Event('scroll'));";
    for height in [556, 900, 556] {
        tab.client.set_window_size(900, height).await.expect("the window takes a size");
        tab.until(&format!("return Math.abs(outerHeight - {height}) < 2;")).await;
        tab.run(keyboard, vec![]).await;
        is_in_sight(&tab).await;
    }
    // The log shrinks and reports a scroll before anything has measured it again, as when a keyboard slides in.
    let shrink = "const log = document.getElementById('log'); log.parentElement.style.flex = '0 0 150px'; log.dispatchEvent(new Event('scroll'));";
    tab.run(shrink, vec![]).await;
    is_in_sight(&tab).await;
    tab.run("document.getElementById('log').parentElement.style.flex = '';", vec![]).await;
    is_in_sight(&tab).await;

    // A reader who scrolled up stays there, whatever arrives. The page has seen the last change of sizes before.
    tab.until("return new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => seen(true))));")
        .await;
    tab.run("document.getElementById('log').scrollTop -= 300;", vec![]).await;
    let place = below(&tab).await;
    assert!(place > 200, "{place}");
    write(&server, 1, 31..=31).await;
    tab.shows_text("mensaje 31").await;
    assert!(below(&tab).await > place);
    tab.shows(".down:not([hidden])").await;
    tab.click(".down").await;
    tab.until("return document.querySelector('.down').hidden;").await;
    write(&server, 1, 32..=32).await;
    tab.shows_text("mensaje 32").await;
    is_in_sight(&tab).await;
}

#[tokio::test]
async fn a_quote_leads_to_its_message_however_far_up_and_says_when_it_is_deleted() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, json!({ "intl.accept_languages": "es-CO" }), quotes).await;
}

async fn quotes(server: Server, tab: Tab) {
    let ids = write(&server, 1, 1..=70).await;
    let mut socket = server.join(0, 1).await;
    say(&mut socket, json!({ "type": "chat_message", "content": "mira", "reply_to": ids[0] })).await;
    let doomed = say(&mut socket, json!({ "type": "chat_message", "content": "bórrame" })).await;
    say(&mut socket, json!({ "type": "chat_message", "content": "lo vi", "reply_to": doomed })).await;
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    tab.shows_text("lo vi").await;
    let row = |id: &str| format!("[data-message-id='{id}']");
    assert_eq!(tab.count(&row(&ids[0])).await, 0, "it is not loaded");
    tab.click(&format!("{} ~ * [data-testid=quote]:not([disabled])", row(&ids[69]))).await;
    tab.shows(&format!("{}.found", row(&ids[0]))).await;

    // Deleted for everybody, now and after a reload.
    let path = format!("/api/messaging/chats/{}/messages/{doomed}/", server.fixture.rooms[0].id);
    tab.run("document.getElementById('log').scrollTop = 1e9;", vec![]).await;
    server.done("DELETE", &path, 1, None).await;
    tab.until(&format!("return !document.querySelector(\"{}\");", row(&doomed))).await;
    tab.shows_part("quote", "Mensaje eliminado").await;
    tab.client.refresh().await.expect("the page reloads");
    tab.shows_text("lo vi").await;
    assert_eq!(tab.count(&row(&doomed)).await, 0);
}
