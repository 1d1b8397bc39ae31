//! What the page shows of other people: their presence and friendship.

use serde_json::json;

use crate::absence::say;
use crate::browser::{Tab, alone};
use crate::support::Server;

#[tokio::test]
async fn only_whoever_is_in_the_room_is_said_to_be_there_and_of_others_nothing_is_said() {
    let server = Server::builder().seed(2, 1, 2).set("PREGON_PRESENCE_ROOM_MAX", 1).start().await;
    alone(server, json!({ "intl.accept_languages": "en-US" }), presence).await;
}

/// The room is too large for presence frames. A message shows that its sender was there, not that they stay.
async fn presence(server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    let mut socket = server.join(0, 1).await;
    say(&mut socket, json!({ "type": "chat_message", "content": "me voy" })).await;
    tab.shows_text("me voy").await;
    let presence = tab.shows("[data-testid=presence][data-status=absent]").await.text().await.expect("a text");
    assert_eq!(presence, "2 members");
}

#[tokio::test]
async fn a_friend_request_that_is_accepted_shows_at_once() {
    let server = Server::builder().seed(2, 0, 0).start().await;
    alone(server, json!({ "intl.accept_languages": "es-CO" }), friends).await;
}

async fn friends(server: Server, tab: Tab) {
    let other = server.fixture.users[1].username.clone();
    tab.enter(&server, 0).await;
    tab.click("#section-feed").await;
    tab.fill("#people-search", &other).await;
    let row = format!("[data-testid=person][data-username={other}]");
    tab.click(&format!("{row} [data-testid=add-friend]")).await;
    tab.shows_part("person", "Solicitud enviada").await;
    let requests = server.done("GET", "/api/users/friend-requests/", 1, None).await;
    let list = requests.as_array().or_else(|| requests["results"].as_array()).expect("a list");
    let path = format!("/api/users/friend-requests/{}/respond/", list[0]["id"].as_str().expect("an id"));
    server.done("POST", &path, 1, Some(json!({ "action": "accept" }))).await;
    tab.shows_part("person", "Amigos").await;
}
