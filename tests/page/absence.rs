//! What the page catches up on after it was cut off: missed changes, messages under way, unanswered handshakes.

use serde_json::{Value, json};

use crate::browser::{ENTER, PATIENCE, Tab, alone};
use crate::support::{Server, Socket};

/// More than twice the server's newest page.
const MESSAGES: usize = 50;

#[tokio::test]
async fn changes_during_an_absence_are_learnt_wherever_one_looks() {
    let server = Server::builder().seed(2, 1, 2).on_file().start().await;
    alone(server, json!({}), missed_changes).await;
}

async fn missed_changes(mut server: Server, tab: Tab) {
    let ids = write(&server, 1, 1..=MESSAGES).await;
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    tab.shows_text(&text(MESSAGES)).await;
    tab.until(&format!("document.getElementById('log').scrollTop = 0; return document.querySelectorAll('[data-testid=message]').length === {MESSAGES};")).await;
    tab.shows_text(&text(3)).await;

    // While the page is cut off others change messages: far up, where the person looks, and further down. Then the server dies.
    tab.run(&format!("{SILENCE}{BREAK}"), vec![]).await;
    tab.shows("[data-testid=connection]:not([data-state=live])").await;
    let path =
        |number: usize| format!("/api/messaging/chats/{}/messages/{}/", server.fixture.rooms[0].id, ids[number - 1]);
    for (number, content) in [(3, "otra cosa"), (49, "casi la última")] {
        server.done("PATCH", &path(number), 1, Some(json!({ "content": content }))).await;
    }
    for number in [4, 25] {
        server.done("DELETE", &path(number), 1, None).await;
    }
    server.kill();
    server.restart_in_place();
    tab.run(SPEECH, vec![]).await;
    tab.shows("[data-testid=connection][data-state=live]").await;
    for text in ["otra cosa", "casi la última"] {
        tab.shows_text(text).await;
    }
    for number in [4, 25] {
        tab.until(&gone(number)).await;
    }
    assert_eq!(tab.count("[data-testid=message]").await, MESSAGES - 2);
}

#[tokio::test]
async fn a_message_under_way_at_a_kill_is_sent_again_by_itself_and_stored_once() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, json!({}), killed).await;
}

async fn killed(mut server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    // The page cannot know whether they were stored when the server goes down.
    tab.run("WebSocket.prototype.send = ((send) => function (text) { window.sent = (window.sent ?? '') + text; return send.call(this, text); })(WebSocket.prototype.send);", vec![]).await;
    tab.fill("#composer-text", &format!("antes{ENTER}")).await;
    tab.shows("[data-testid=message] [data-testid=tick]").await;
    server.signal("STOP");
    tab.fill("#composer-text", &format!("en camino{ENTER}")).await;
    tab.shows("[data-testid=pending][data-status=sent]").await;
    server.kill();
    tab.shows("[data-testid=connection]:not([data-state=live])").await;
    tab.fill("#composer-text", &format!("después{ENTER}")).await;
    tab.shows("[data-testid=pending][data-status=waiting] ~ [data-testid=pending][data-status=waiting]").await;
    server.restart_in_place();
    for text in ["antes", "en camino", "después"] {
        tab.shows_text(text).await;
    }
    tab.until("return document.querySelectorAll('[data-testid=message]').length === 3 && !document.querySelector('[data-testid=pending]');").await;
    assert_eq!(history(&server).await, ["antes", "en camino", "después"]);

    // A text that was stored, but whose echo was lost, is not stored twice.
    let stored = tab.run("return JSON.parse(sessionStorage.getItem('pregon.session')).user.username", vec![]).await;
    assert_eq!(stored, json!(server.fixture.users[0].username));
    tab.run(
        &format!(
            "const frame = JSON.parse(`[${{window.sent.replaceAll('}}{{', '}},{{')}}]`).findLast((frame) => frame.content === 'después');
             const {{ client_id, topic, content, message_type, reply_to }} = frame;
             {UNSENT}
             unsent('readwrite', (store) => store.put({{ client_id, topic, content, message_type, reply_to, at: Date.now(), tried: true }}, `${{location.origin}} ${{arguments[0]}} ${{client_id}}`))
               .then(() => location.reload());"
        ),
        vec![json!(server.fixture.users[0].id)],
    )
    .await;
    tab.shows("[data-testid=connection][data-state=live]").await;
    tab.shows_text("después").await;
    tab.until(&format!("{UNSENT} unsent('readonly', (store) => store.count()).then((count) => (window.left = count)); return window.left === 0 && !document.querySelector('[data-testid=pending]');")).await;
    assert_eq!(history(&server).await, ["antes", "en camino", "después"]);
}

/// What is unsent, where the client keeps it.
const UNSENT: &str = "const unsent = (mode, work) => new Promise((resolve) => {
        const request = indexedDB.open('pregon', 1);
        request.onsuccess = () => {
            const asked = work(request.result.transaction('unsent', mode).objectStore('unsent'));
            asked.onsuccess = () => { request.result.close(); resolve(asked.result); };
        };
    });";

/// Makes sockets that nobody answers, for as long as this is active, and counts them.
const SILENCE: &str = "window.Real ??= WebSocket; window.tried = 0;
    window.WebSocket = class { constructor() { window.tried += 1; this.readyState = 0; } send() {} close() {} };";
const SPEECH: &str = "window.WebSocket = window.Real;";
const BREAK: &str = "dispatchEvent(new Event('offline'));";

#[tokio::test]
async fn a_handshake_without_an_answer_is_given_up_and_a_new_network_is_heard_meanwhile() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, json!({}), unanswered).await;
}

async fn unanswered(server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    let states = "window.states = []; new MutationObserver(() => states.push(document.querySelector('[data-testid=connection]').dataset.state))
        .observe(document.querySelector('[data-testid=connection]'), { attributes: true });";
    tab.run(states, vec![]).await;

    tab.run(&format!("{SILENCE}{BREAK}"), vec![]).await;
    tab.until("return window.tried > 0;").await;
    tab.run(&format!("states.length = 0; {SPEECH} dispatchEvent(new Event('online'));"), vec![]).await;
    tab.shows("[data-testid=connection][data-state=live]").await;
    assert_eq!(
        tab.run("return states.includes('waiting');", vec![]).await,
        json!(false),
        "it did not wait for the old handshake"
    );

    tab.run(&format!("{SILENCE}{BREAK}"), vec![]).await;
    tab.until("return window.tried > 0;").await;
    tab.run(&format!("states.length = 0; {SPEECH}"), vec![]).await;
    // The page gives up on its own, and then goes on as after any other failure.
    tab.shows("[data-testid=connection][data-state=live]").await;
    assert_eq!(tab.run("return states.includes('waiting');", vec![]).await, json!(true));
}

fn text(number: usize) -> String {
    format!("mensaje {number}")
}

fn gone(number: usize) -> String {
    let text = text(number);
    format!("return [...document.querySelectorAll('[data-testid=text]')].every((one) => one.textContent !== '{text}');")
}

/// Writes messages of a user in the first room, one after the other. Returns their ids.
pub async fn write(server: &Server, user: usize, numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    let mut socket = server.join(0, user).await;
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(say(&mut socket, json!({ "type": "chat_message", "content": text(number) })).await);
    }
    ids
}

/// Sends a message and waits for its echo. Returns its id.
pub async fn say(socket: &mut Socket, frame: Value) -> String {
    socket.send(frame).await;
    let within = tokio::time::timeout(PATIENCE, socket.expect_any("chat_message")).await.expect("an echo");
    within["message"]["id"].as_str().expect("an id").to_owned()
}

/// The texts of the first room, oldest first.
async fn history(server: &Server) -> Vec<String> {
    let path = format!("/api/messaging/chats/{}/messages/", server.fixture.rooms[0].id);
    let page = server.done("GET", &path, 0, None).await;
    let messages = page["results"].as_array().expect("a list");
    messages.iter().rev().map(|message| message["content"].as_str().expect("a text").to_owned()).collect()
}
