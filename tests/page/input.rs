//! Typing: input methods, right-to-left scripts, browsers without storage.

use serde_json::{Value, json};

use crate::browser::{ENTER, Tab, alone};
use crate::support::Server;

/// Safari's Enter that ends a composition; true if the page ignored it.
const LAST_ENTER: &str =
    "const event = new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true });
    return document.querySelector(arguments[0]).dispatchEvent(event) && event.keyCode === 229;";

#[tokio::test]
async fn an_enter_that_ends_a_composition_sends_nothing_and_text_runs_its_own_way() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, json!({}), composition).await;
}

async fn composition(server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    let post = server.publish(1, "مرحبا").await;
    ends_a_composition(&tab, "#composer-text").await;
    tab.fill("#composer-text", &format!("مرحبا{ENTER}")).await;
    let bubble = "[data-testid=message] .bubble";
    tab.shows(bubble).await;
    assert_eq!(direction(&tab, bubble).await, "rtl");
    tab.fill("#composer-text", &format!("Hello مرحبا{ENTER}")).await;
    tab.shows_text("Hello مرحبا").await;
    assert_eq!(direction(&tab, "[data-testid=message]:last-child .bubble").await, "ltr");

    tab.run("location.hash = `#/post/${arguments[0]}`;", vec![post["id"].clone()]).await;
    tab.shows_part("post-text", "مرحبا").await;
    assert_eq!(direction(&tab, "[data-testid=post-text]").await, "rtl");
    ends_a_composition(&tab, "#comment-text").await;
    tab.fill("#comment-text", &format!("سلام{ENTER}")).await;
    tab.shows_part("comment-text", "سلام").await;
    assert_eq!(direction(&tab, "[data-testid=comment-text]").await, "rtl");
}

async fn ends_a_composition(tab: &Tab, field: &str) {
    tab.fill(field, "かんじ").await;
    assert_eq!(tab.run(LAST_ENTER, vec![json!(field)]).await, json!(true), "{field}");
    assert_eq!(tab.run("return document.querySelector(arguments[0]).value;", vec![json!(field)]).await, "かんじ");
    tab.shows(field).await.clear().await.expect("it can be emptied");
}

async fn direction(tab: &Tab, selector: &str) -> Value {
    tab.run("return getComputedStyle(document.querySelector(arguments[0])).direction;", vec![json!(selector)]).await
}

#[tokio::test]
async fn a_name_from_right_to_left_stays_inside_its_place_in_a_sentence() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, json!({ "intl.accept_languages": "en-US" }), isolated).await;
}

async fn isolated(server: Server, tab: Tab) {
    server.execute("UPDATE users SET display_name = 'محمد 7'", &[]).await;
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    server.join(0, 1).await.send(json!({ "type": "typing", "is_typing": true })).await;
    tab.until(
        "return document.querySelector('[data-testid=typing]').textContent === '\\u2068محمد 7\\u2069 is typing…';",
    )
    .await;
}

#[tokio::test]
async fn with_cookies_blocked_one_registers_and_writes() {
    let server = Server::builder().seed(1, 0, 0).start().await;
    alone(server, json!({ "profile.default_content_setting_values.cookies": 2 }), nothing_kept).await;
}

async fn nothing_kept(server: Server, tab: Tab) {
    let other = &server.fixture.users[0].username;
    assert_eq!(
        tab.run("try { sessionStorage; return false } catch { return true }", vec![]).await,
        json!(true),
        "blocked"
    );
    tab.register("Ana Pérez", "ana").await;
    tab.fill("#search", other).await;
    tab.click(&format!("[data-testid=user-result][data-username={other}]")).await;
    tab.shows("[data-testid=connection][data-state=live]").await;
    tab.fill("#composer-text", &format!("hola{ENTER}")).await;
    tab.shows_text("hola").await;
}

#[tokio::test]
async fn with_a_full_storage_one_writes_all_the_same() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, json!({}), full).await;
}

async fn full(server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    let fill = "for (let size = 1 << 22; size >= 1; size >>= 1) {
            try { for (let part = 0; ; part += 1) sessionStorage.setItem(`x${size}-${part}`, 'x'.repeat(size)); } catch { continue; }
        }
        try { sessionStorage.setItem('y', 'yyyyyyyy'); return false } catch { return true }";
    assert_eq!(tab.run(fill, vec![]).await, json!(true), "it is full");
    tab.fill("#composer-text", &format!("hola{ENTER}")).await;
    tab.shows_text("hola").await;
    tab.until("return !document.querySelector('[data-testid=pending]') && document.getElementById('composer-text').value === '';").await;
}
