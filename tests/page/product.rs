//! What a person finds in the first minutes: staying signed in, a profile, groups, settings, who sees a post.

use serde_json::{Value, json};

use crate::browser::{ENTER, Tab, alone};
use crate::feed::PNG;
use crate::support::Server;

fn english() -> Value {
    json!({ "intl.accept_languages": "en-US" })
}

#[tokio::test]
async fn whoever_stays_signed_in_is_so_in_other_tabs_until_one_of_them_signs_out() {
    alone(Server::start().await, english(), staying).await;
}

async fn staying(server: Server, tab: Tab) {
    tab.click("#stay").await;
    tab.register("Ana Pérez", "ana").await;
    let first = tab.client.window().await.expect("a window");
    let second = tab.client.new_window(true).await.expect("another tab").handle;
    tab.client.switch_to_window(second.clone()).await.expect("the other tab");
    tab.client.goto(&server.http("/")).await.expect("the page opens");
    tab.shows("#me[data-username=ana]").await;
    // Both tabs have one connection between them.
    server.wait_for_metric("pregon_sessions_by_kind{kind=\"many\"}", |sockets| (sockets - 1.0).abs() < 0.5).await;
    tab.click("#logout").await;
    tab.shows("#login-tab").await;
    tab.client.switch_to_window(first).await.expect("the first tab");
    tab.shows("#login-tab").await;
    tab.client.refresh().await.expect("the page reloads");
    tab.shows("#login-tab").await;
}

#[tokio::test]
async fn a_profile_has_a_picture_words_and_posts_of_which_some_are_for_oneself() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, english(), profile).await;
}

async fn profile(server: Server, tab: Tab) {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("cara.png");
    std::fs::write(&picture, PNG).expect("a picture can be written");
    let me = server.fixture.users[0].username.clone();
    tab.enter(&server, 0).await;
    tab.click("#my-profile").await;
    tab.click("#edit-profile").await;
    tab.choose("#avatar-file", &picture).await;
    tab.shows("#profile-display-name").await.clear().await.expect("it can be emptied");
    tab.fill("#profile-display-name", "Ana Pérez").await;
    tab.fill("#profile-bio", "Portera de <b>domingo</b>").await;
    tab.click("#save-profile").await;
    tab.shows_part("profile-name", "Ana Pérez").await;
    tab.shows_part("bio", "Portera de <b>domingo</b>").await;
    tab.shows("[data-testid=profile] .avatar img").await;
    tab.shows("#me .avatar img").await;
    // It is so for everybody, and after a reload.
    let path = format!("/api/users/profile/{me}/");
    let seen = server.done("GET", &path, 1, None).await;
    assert_eq!(seen["display_name"], "Ana Pérez");

    tab.click("#section-feed").await;
    tab.shows("#post-audience").await.select_by_value("false").await.expect("a choice");
    tab.fill("#post-text", "Solo para mí").await;
    tab.click("#publish").await;
    tab.find(fantoccini::Locator::XPath("//*[@class='toast'][contains(., 'for you alone')]")).await;
    assert_eq!(tab.count("#posts [data-testid=post]").await, 0, "the feed is what others see");
    tab.click("#my-profile").await;
    tab.shows_part("post-text", "Solo para mí").await;
    tab.click("[data-testid=visibility][data-public=false]").await;
    tab.shows("[data-testid=visibility][data-public=true]").await;
    let posts = server.done("GET", &format!("/api/users/{me}/posts/"), 1, None).await;
    assert_eq!(posts["results"][0]["content"], "Solo para mí", "others see it now");

    // Somebody else's profile: follow, and write to them.
    let other = server.fixture.users[1].username.clone();
    tab.run("location.hash = `#/person/${arguments[0]}`;", vec![json!(other)]).await;
    tab.click("[data-testid=profile] [data-testid=follow][aria-pressed=false]").await;
    tab.click("[data-testid=followers][data-count='1']").await;
    tab.shows(&format!("dialog [data-testid=person][data-username={me}]")).await;
    tab.click("dialog .buttons button").await;
    tab.click("[data-testid=write-to]").await;
    tab.shows("#chat [data-testid=connection][data-state=live]").await;
}

#[tokio::test]
async fn a_group_takes_people_and_gives_them_up_and_is_muted_by_whom_it_disturbs() {
    let server = Server::builder().seed(4, 1, 3).start().await;
    alone(server, english(), group).await;
}

async fn group(server: Server, tab: Tab) {
    let users = &server.fixture.users;
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    tab.click("#about-room").await;
    tab.shows("[data-testid=member][data-role=owner]").await;
    assert_eq!(tab.count("[data-testid=member]").await, 3);
    tab.click("#add-members").await;
    tab.fill("#member-search", &users[3].username).await;
    tab.click(&format!("[data-testid=add-member][data-username={}]", users[3].username)).await;
    let row = format!("[data-testid=member][data-username={}]", users[3].username);
    tab.shows(&row).await;
    tab.click(&format!("{row} [data-testid=remove-member]")).await;
    tab.click("[data-testid=sure]").await;
    tab.until("return document.querySelectorAll('[data-testid=member]').length === 3;").await;
    tab.click("#mute").await;
    tab.shows("[data-testid=room] .muted-mark").await;
    let room = server.done("GET", &format!("/api/messaging/chats/{}/", server.fixture.rooms[0].id), 0, None).await;
    let own = room["participants"].as_array().unwrap().iter().find(|one| one["user"]["id"] == users[0].id.as_str());
    assert_eq!(own.unwrap()["is_muted"], true);
    tab.click("#leave-group").await;
    tab.click("[data-testid=sure]").await;
    tab.until("return location.hash === '#/' && !document.querySelector('[data-testid=room]');").await;
}

/// Notes that the desktop would show, and a page that nobody looks at.
const UNWATCHED: &str = "window.noted = [];
    window.Notification = class { static permission = 'granted'; static requestPermission = async () => 'granted';
        constructor(title, { body }) { noted.push(`${title}: ${body}`); } addEventListener() {} close() {} };
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.away === true });
    window.leave = (away) => { window.away = away; document.dispatchEvent(new Event('visibilitychange')); };";

#[tokio::test]
async fn what_comes_unseen_is_counted_told_on_the_desktop_and_found_below_a_line() {
    let server = Server::builder().seed(2, 2, 2).start().await;
    alone(server, english(), unseen).await;
}

async fn unseen(server: Server, tab: Tab) {
    let say = async |room: usize, text: &str| {
        let path = format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[room].id);
        server.done("POST", &path, 1, Some(json!({ "content": text }))).await;
    };
    tab.enter(&server, 0).await;
    tab.run(UNWATCHED, vec![]).await;
    tab.run("location.hash = '#/settings';", vec![]).await;
    tab.click("#notify").await;
    tab.until("return document.getElementById('notify').checked;").await;
    tab.open_room(&server, 0).await;
    say(0, "leído").await;
    tab.shows_text("leído").await;
    assert_eq!(tab.count("[data-testid=unread-line]").await, 0);

    tab.run("leave(true);", vec![]).await;
    for text in ["primero", "segundo"] {
        say(0, text).await;
    }
    say(1, "en otra sala").await;
    tab.until("return noted.some((note) => note.endsWith(': segundo')) && noted.some((note) => note.endsWith(': en otra sala'));").await;
    tab.shows_text("segundo").await;
    tab.run("leave(false);", vec![]).await;
    tab.shows_part("unread-line", "Unread").await;
    tab.until(
        "const line = document.querySelector('[data-testid=unread-line]');
         return line.nextElementSibling.querySelector('[data-testid=text]').textContent === 'primero';",
    )
    .await;
    tab.until("return document.querySelector('[data-testid=chats-badge]').textContent === '1';").await;
    let told = tab.run("return noted.some((note) => note.includes('leído'));", vec![]).await;
    assert_eq!(told, json!(false), "it was seen");
}

#[tokio::test]
async fn colours_and_language_are_a_choice_that_stays() {
    let server = Server::builder().seed(1, 0, 0).start().await;
    alone(server, english(), choices).await;
}

async fn choices(server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.click("#settings").await;
    let dark = "return getComputedStyle(document.body).backgroundColor === 'rgb(17, 24, 25)';";
    tab.click("#theme-dark").await;
    tab.until(dark).await;
    tab.shows("#language").await.select_by_value("es").await.expect("a choice");
    tab.shows("html[lang='es'] #theme-dark:checked").await;
    tab.until(dark).await;
    tab.click("#theme-light").await;
    tab.until("return getComputedStyle(document.body).backgroundColor === 'rgb(246, 242, 234)';").await;
}

#[tokio::test]
async fn an_empty_feed_suggests_people_and_posts_have_links() {
    let server = Server::builder().seed(3, 0, 0).start().await;
    alone(server, english(), links).await;
}

async fn links(server: Server, tab: Tab) {
    let other = server.fixture.users[1].username.clone();
    server.publish(1, "Un gol de media cancha").await;
    tab.enter(&server, 0).await;
    tab.click("#section-feed").await;
    tab.shows(".feed-note[data-kind=empty]").await;
    tab.click(&format!("[data-testid=person][data-username={other}] [data-testid=follow]")).await;
    tab.shows_part("post-text", "Un gol de media cancha").await;
    tab.run("navigator.clipboard.writeText = async (text) => { window.copied = text; };", vec![]).await;
    tab.click("[data-testid=copy-link]").await;
    tab.until("return /#\\/post\\/[0-9a-f-]{36}$/.test(window.copied);").await;
    tab.run("location.href = window.copied;", vec![]).await;
    tab.shows("#post-view [data-testid=post-text]").await;
    tab.click("[data-testid=author]").await;
    tab.shows(&format!("[data-testid=profile][data-username={other}]")).await;
}

#[tokio::test]
async fn emoji_are_picked_and_several_files_go_out_together() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, english(), picked).await;
}

async fn picked(server: Server, tab: Tab) {
    let folder = tempfile::tempdir().expect("a folder");
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    tab.fill("#composer-text", "gol").await;
    tab.click("[data-testid=emoji]").await;
    tab.click("#emoji-picker [aria-label='Sports and travel']").await;
    tab.click("#emoji-picker [data-emoji='⚽']").await;
    tab.fill("#composer-text", &format!(" ya{ENTER}")).await;
    tab.shows_text("gol⚽ ya").await;
    for name in ["uno.png", "dos.png"] {
        let file = folder.path().join(name);
        std::fs::write(&file, PNG).expect("a picture can be written");
        tab.choose("#file", &file).await;
    }
    tab.shows("[data-testid=context]:nth-of-type(2)").await;
    tab.fill("#composer-text", &format!("las dos{ENTER}")).await;
    tab.until("return document.querySelectorAll('[data-testid=message] [data-testid=photo]').length === 2 && !document.querySelector('[data-testid=upload]');").await;
    tab.shows_text("las dos").await;
}

#[tokio::test]
async fn an_owner_names_a_group_pictures_it_and_gives_roles() {
    let server = Server::builder().seed(3, 1, 3).start().await;
    alone(server, english(), owned).await;
}

async fn owned(server: Server, tab: Tab) {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("equipo.png");
    std::fs::write(&picture, PNG).expect("a picture can be written");
    let other = server.fixture.users[1].username.clone();
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    tab.click("#about-room").await;
    tab.shows("#room-name").await.clear().await.expect("it can be emptied");
    tab.fill("#room-name", "Los del domingo").await;
    tab.click("#rename-room").await;
    tab.until("return document.querySelector('#chat h1').textContent === 'Los del domingo';").await;
    tab.choose("#room-picture", &picture).await;
    tab.shows("#room-dialog .about-head .avatar img").await;
    tab.shows("[data-testid=room] .avatar img").await;
    let member = format!("[data-testid=member][data-username={other}]");
    tab.shows(&format!("{member} [data-testid=role]")).await.select_by_value("admin").await.expect("a choice");
    tab.shows(&format!("{member}[data-role=admin]")).await;
    // Handing over is asked about first.
    tab.shows(&format!("{member} [data-testid=role]")).await.select_by_value("owner").await.expect("a choice");
    tab.shows(&format!("{member}[data-role=admin]")).await;
    tab.click("[data-testid=sure]").await;
    tab.shows(&format!("{member}[data-role=owner]")).await;
    tab.until("return !document.querySelector('[data-testid=role]');").await;
}

#[tokio::test]
async fn a_search_finds_messages_far_back_and_leads_there() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, english(), searched).await;
}

async fn searched(server: Server, tab: Tab) {
    let path = format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[0].id);
    let needle = server.done("POST", &path, 1, Some(json!({ "content": "El árbitro llega tarde" }))).await;
    crate::absence::write(&server, 1, 1..=45).await;
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    tab.click("#search-room").await;
    tab.fill("#room-search", "nada de nada").await;
    tab.until("return document.querySelector('.room-search .hint').textContent.startsWith('No message');").await;
    tab.shows("#room-search").await.clear().await.expect("it can be emptied");
    tab.fill("#room-search", "arbitro").await;
    tab.shows_part("hit", "El árbitro llega tarde").await;
    assert_eq!(tab.count("[data-testid=hit]").await, 1);
    tab.click("[data-testid=hit]").await;
    tab.shows(&format!("[data-message-id='{}'].found", needle["id"].as_str().expect("an id"))).await;
}

#[tokio::test]
async fn whom_one_blocks_is_gone_until_one_thinks_better_of_it() {
    let server = Server::builder().seed(2, 0, 0).start().await;
    alone(server, english(), blocked).await;
}

async fn blocked(server: Server, tab: Tab) {
    let (me, other) = (server.fixture.users[0].username.clone(), server.fixture.users[1].username.clone());
    let follow = format!("/api/users/follow/{me}/");
    server.follow(0, 1).await;
    tab.enter(&server, 0).await;
    tab.run("location.hash = `#/person/${arguments[0]}`;", vec![json!(other)]).await;
    tab.click("[data-testid=block]").await;
    tab.click("[data-testid=sure]").await;
    tab.shows("[data-testid=unblock]").await;
    assert_eq!(tab.count("[data-testid=profile] [data-testid=follow]").await, 0);
    assert_eq!(server.rest("POST", &follow, 1, None).await.0, 403);
    tab.click("#settings").await;
    tab.click(&format!("[data-testid=blocked][data-username={other}] button")).await;
    tab.until("return !document.querySelector('[data-testid=blocked]');").await;
    server.done("POST", &follow, 1, None).await;
}

#[tokio::test]
async fn a_voice_message_is_recorded_sent_and_played() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    alone(server, english(), voice).await;
}

async fn voice(server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.open_room(&server, 0).await;
    // What is thought better of is not sent.
    tab.click("#record").await;
    tab.click("#discard-voice").await;
    tab.click("#record").await;
    tab.until("return document.querySelector('[data-testid=voice-time]').textContent === '0:01';").await;
    tab.click("#send-voice").await;
    tab.until("const audio = document.querySelector('[data-testid=message] audio'); return audio !== null && audio.readyState > 0 && !audio.error;").await;
    assert_eq!(tab.count("[data-testid=message]").await, 1);
    tab.fill("#composer-text", "x").await;
    tab.shows("#record[hidden]").await;
}
