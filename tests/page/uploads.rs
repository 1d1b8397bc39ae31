//! Uploads into a room: too large files are not sent, the others arrive whatever the person looks at meanwhile.

use serde_json::json;

use crate::browser::{Tab, alone};
use crate::feed::{PNG, TOO_LARGE_BYTES};
use crate::support::Server;

/// Whether the browser would ask before it leaves the page.
const ASKS: &str = "return !dispatchEvent(new Event('beforeunload', { cancelable: true }));";

#[tokio::test]
async fn an_upload_goes_on_in_another_room_and_leaving_the_page_asks_first() {
    let server = Server::builder().seed(2, 2, 2).start().await;
    alone(server, json!({ "intl.accept_languages": "es-CO" }), uploads).await;
}

async fn uploads(server: Server, tab: Tab) {
    let folder = tempfile::tempdir().expect("a folder");
    let small = folder.path().join("playa.png");
    let large = folder.path().join("enorme.png");
    std::fs::write(&small, PNG).expect("a picture can be written");
    std::fs::File::create(&large).and_then(|file| file.set_len(TOO_LARGE_BYTES)).expect("a file may have holes");
    tab.enter(&server, 0).await;
    tab.shows("[data-testid=room]:nth-of-type(1)").await;
    tab.open_room(&server, 0).await;

    tab.choose("#file", &large).await;
    tab.find(fantoccini::Locator::XPath("//*[@class='toast'][contains(., '25 MB')]")).await;
    assert_eq!(tab.count("[data-testid=context]").await, 0, "it is not taken");

    assert_eq!(tab.run(ASKS, vec![]).await, json!(false));
    tab.choose("#file", &small).await;
    server.signal("STOP");
    tab.click("#send").await;
    tab.shows("[data-testid=upload][data-status=sending]").await;
    assert_eq!(tab.run(ASKS, vec![]).await, json!(true));
    show(&tab, &server, 1).await;
    assert_eq!(tab.count("[data-testid=upload]").await, 0, "another room's");
    show(&tab, &server, 0).await;
    tab.shows("[data-testid=upload][data-status=sending]").await;
    show(&tab, &server, 1).await;
    server.signal("CONT");
    tab.until("return !document.querySelector('.unsent');").await;
    show(&tab, &server, 0).await;
    tab.shows("[data-testid=message] [data-testid=photo]").await;
    assert_eq!(tab.count("[data-testid=upload]").await, 0, "it is a message now");
    assert_eq!(tab.run(ASKS, vec![]).await, json!(false));
}

async fn show(tab: &Tab, server: &Server, room: usize) {
    let id = &server.fixture.rooms[room].id;
    tab.run("location.hash = `#/chat/${arguments[0]}`;", vec![json!(id)]).await;
    tab.shows(&format!("#chat[data-room-id='{id}']")).await;
}
