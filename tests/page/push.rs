//! The switch by which a person is told while no page is open. Headless browsers have no push service, so the browser's half of a
//! subscription is the tests' own; the server, and what it encrypts for whom, is real.

use serde_json::{Value, json};

use crate::browser::{Tab, alone};
use crate::support::push::{CONTACT, PushService};
use crate::support::{Builder, Server};

/// `answer`: what the browser has been told of notifications, 1 yes and 2 no.
fn browser(answer: u8) -> Value {
    json!({ "intl.accept_languages": "en-US", "profile.default_content_setting_values.notifications": answer })
}

fn pushing() -> Builder {
    let builder = Server::builder().seed(2, 1, 2);
    builder.set("PREGON_PUSH_CONTACT", CONTACT).set("PREGON_PUSH_LOOPBACK", "on").set("PREGON_PUSH_DELAY_MS", 0)
}

/// The browser subscribes to what stands in the arguments, or fails with an error of the name `failing`.
const SERVICE: &str = "const made = arguments[0]; window.current = null;
    PushManager.prototype.getSubscription = async () => window.current;
    PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
        if (window.failing) throw new DOMException('Registration failed - push service error', window.failing);
        if (!userVisibleOnly || !(await navigator.serviceWorker.getRegistration())?.active) throw new Error('no worker yet');
        return window.current = { endpoint: made.endpoint, options: { applicationServerKey: applicationServerKey.buffer },
            toJSON: () => made, unsubscribe: async () => { window.current = null; return true; } };
    };";

/// The first user, in the settings.
async fn in_settings(server: &Server, tab: &Tab, subscription: Value) {
    tab.enter(server, 0).await;
    tab.run(SERVICE, vec![subscription]).await;
    tab.run("location.hash = '#/settings';", vec![]).await;
    tab.until("return document.getElementById('push')?.closest('label').hidden === false;").await;
}

/// What the server knows of the first user's browsers.
async fn subscriptions(server: &Server) -> usize {
    server.done("GET", "/api/push/subscriptions/", 0, None).await["results"].as_array().expect("a list").len()
}

/// The other user says something.
async fn say(server: &Server, content: &str) {
    let path = format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[0].id);
    server.done("POST", &path, 1, Some(json!({ "content": content }))).await;
}

const IS_ON: &str = "const box = document.getElementById('push'); return box.checked && !box.disabled;";
const IS_OFF: &str = "const box = document.getElementById('push'); return !box.checked && !box.disabled;";

#[tokio::test]
async fn the_switch_subscribes_this_browser_and_takes_it_back() {
    alone(pushing().start().await, browser(1), switched).await;
}

async fn switched(server: Server, tab: Tab) {
    let service = PushService::start().await;
    in_settings(&server, &tab, service.browser("ana")).await;
    assert_eq!(
        tab.run("return document.getElementById('push').disabled;", vec![]).await,
        json!(true),
        "not without notes"
    );
    tab.click("#notify").await;
    tab.until(IS_ON).await;
    assert_eq!(subscriptions(&server).await, 1);
    // No page is open any more, as far as the server knows.
    tab.run("location.hash = '#/'; location.reload();", vec![]).await;
    tab.shows("#me").await;
    tab.client.goto("about:blank").await.expect("another page");
    server.wait_for_metric("pregon_sessions", |sessions| sessions < 0.5).await;
    say(&server, "¿estás? 😀").await;
    let pushed = service.wait_for(1).await;
    assert!(pushed[0].path == "/ana" && pushed[0].said().1.contains("¿estás? 😀"), "{:?}", pushed[0].said());

    tab.client.goto(&server.http("/#/")).await.expect("the page opens");
    in_settings(&server, &tab, service.browser("later")).await;
    // This browser has forgotten its subscription meanwhile, so the switch is off and can be used again.
    tab.until(IS_OFF).await;
    tab.click("#push").await;
    tab.until(IS_ON).await;
    assert_eq!(subscriptions(&server).await, 2);
    tab.click("#push").await;
    tab.until(IS_OFF).await;
    assert_eq!(subscriptions(&server).await, 1, "the server has forgotten this one");
    assert_eq!(tab.run("return window.current;", vec![]).await, Value::Null, "and so has the browser");
    let whose = "return localStorage.getItem('pregon.prefs.push');";
    assert_eq!(tab.run(whose, vec![]).await, Value::Null, "and the page takes it for nobody's");
    assert_eq!(tab.run("return document.getElementById('notify').checked;", vec![]).await, json!(true));
}

#[tokio::test]
async fn a_start_of_the_page_renews_the_subscription_of_whoever_asked_for_it_and_of_nobody_else() {
    alone(pushing().start().await, browser(1), renewed).await;
}

async fn renewed(server: Server, tab: Tab) {
    let service = PushService::start().await;
    let browser = service.browser("ana");
    in_settings(&server, &tab, browser.clone()).await;
    tab.click("#notify").await;
    tab.until(IS_ON).await;
    // The server loses it, and the page starts again in the same document, as the browser's half is the test's own.
    let forget = async || {
        let endpoint = Some(json!({ "endpoint": browser["endpoint"] }));
        server.done("DELETE", "/api/push/subscriptions/", 0, endpoint).await;
        assert_eq!(subscriptions(&server).await, 0);
        tab.run("dispatchEvent(new Event('pregon:signedout'));", vec![]).await;
        tab.shows("#me").await;
    };
    forget().await;
    let began = std::time::Instant::now();
    while subscriptions(&server).await == 0 {
        assert!(began.elapsed() < crate::browser::PATIENCE, "the server is never told again");
    }
    // Somebody else in this browser used the switch last.
    tab.run("localStorage.setItem('pregon.prefs.push', 'somebody else');", vec![]).await;
    tab.run("location.hash = '#/';", vec![]).await;
    forget().await;
    tab.run("location.hash = '#/settings';", vec![]).await;
    tab.until("return document.getElementById('push')?.closest('label').hidden === false;").await;
    tab.until(IS_OFF).await;
    assert_eq!(subscriptions(&server).await, 0, "it is not this person's");
}

#[tokio::test]
async fn whoever_logs_out_is_told_nothing_here_any_more() {
    alone(pushing().start().await, browser(1), logged_out).await;
}

async fn logged_out(server: Server, tab: Tab) {
    let service = PushService::start().await;
    let name = server.fixture.users[0].username.clone();
    tab.click("#login-tab").await;
    tab.fill("#login", &name).await;
    tab.fill("#password", "pregon-demo").await;
    tab.click("#submit").await;
    tab.shows("#me").await;
    tab.run(SERVICE, vec![service.browser("ana")]).await;
    tab.run("location.hash = '#/settings';", vec![]).await;
    tab.until("return document.getElementById('push')?.closest('label').hidden === false;").await;
    tab.click("#notify").await;
    tab.until(IS_ON).await;
    assert_eq!(subscriptions(&server).await, 1);
    tab.click("#sign-out").await;
    tab.shows("#login-tab").await;
    tab.until("return window.current === null;").await;
    let began = std::time::Instant::now();
    while subscriptions(&server).await > 0 {
        assert!(began.elapsed() < crate::browser::PATIENCE, "the server never forgets the browser");
    }
    // The next person has not asked for it.
    tab.enter(&server, 1).await;
    assert_eq!(tab.run("return localStorage.getItem('pregon.prefs.push');", vec![]).await, Value::Null);
}

#[tokio::test]
async fn where_the_push_service_is_out_of_reach_the_switch_goes_back_and_says_what_to_do() {
    alone(pushing().start().await, browser(1), out_of_reach).await;
}

async fn out_of_reach(server: Server, tab: Tab) {
    // A push service that the server does not take, for later.
    let taken = PushService::start().await.browser("x");
    in_settings(&server, &tab, json!({ "endpoint": "https://push.example.org/x", "keys": taken["keys"] })).await;
    tab.run("window.failing = 'AbortError';", vec![]).await;
    tab.click("#notify").await;
    tab.until("return document.getElementById('push-problem').textContent.includes('cannot be reached');").await;
    tab.until(IS_OFF).await;
    assert_eq!(
        tab.run("return document.getElementById('notify').checked;", vec![]).await,
        json!(true),
        "the page still tells"
    );
    tab.run("window.failing = 'NotAllowedError';", vec![]).await;
    tab.click("#push").await;
    tab.until("return document.getElementById('push-problem').textContent.includes('does not allow it');").await;
    tab.until(IS_OFF).await;
    tab.run("window.failing = null;", vec![]).await;
    tab.click("#push").await;
    tab.until("return document.getElementById('push-problem').textContent.includes('Its operator can allow it');")
        .await;
    tab.until(IS_OFF).await;
    assert_eq!(subscriptions(&server).await, 0);
    assert_eq!(
        tab.run("return window.current;", vec![]).await,
        Value::Null,
        "a subscription that nobody uses is given back"
    );
}

#[tokio::test]
async fn where_the_person_forbids_notifications_nothing_is_asked_of_the_server() {
    alone(pushing().start().await, browser(2), forbidden).await;
}

async fn forbidden(server: Server, tab: Tab) {
    let service = PushService::start().await;
    in_settings(&server, &tab, service.browser("ana")).await;
    tab.click("#notify").await;
    tab.until("return !document.getElementById('notify').checked;").await;
    let says = "return [...document.querySelectorAll('.settings-card .hint')].some((hint) => hint.textContent.includes('does not allow it'));";
    tab.until(says).await;
    assert_eq!(
        tab.run("const box = document.getElementById('push'); return box.checked || !box.disabled;", vec![]).await,
        json!(false)
    );
    assert_eq!(subscriptions(&server).await, 0);
}

#[tokio::test]
async fn a_server_that_does_not_push_has_no_such_switch() {
    alone(Server::builder().seed(1, 0, 0).start().await, browser(1), without).await;
}

async fn without(server: Server, tab: Tab) {
    tab.enter(&server, 0).await;
    tab.run("location.hash = '#/settings';", vec![]).await;
    tab.click("#notify").await;
    tab.until("return document.getElementById('notify').checked;").await;
    let asked = "const push = document.querySelector('script[type=module]').src.replace('app.js', 'push.js');
        return (await import(push)).canPush();";
    assert_eq!(tab.run(&format!("return (async () => {{ {asked} }})();"), vec![]).await, json!(false));
    assert_eq!(tab.run("return document.getElementById('push').closest('label').hidden;", vec![]).await, json!(true));
}
