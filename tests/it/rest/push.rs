//! Web Push over real HTTP: who is told, what a push says, and what the push service's answers lead to.

use serde_json::{Value, json};

use crate::support::push::{CONTACT, PushService};
use crate::support::{Builder, Server};

const ANA: usize = 0;
const BETO: usize = 1;
const CARO: usize = 2;

fn pushing() -> Builder {
    let builder = Server::builder().seed(3, 1, 3);
    builder.set("PREGON_PUSH_CONTACT", CONTACT).set("PREGON_PUSH_LOOPBACK", "on").set("PREGON_PUSH_DELAY_MS", 0)
}

async fn say(server: &Server, user: usize, content: &str) -> Value {
    let path = format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[0].id);
    server.done("POST", &path, user, Some(json!({"content": content}))).await
}

/// How many topics were looked up so far.
async fn looked_up(server: &Server) -> f64 {
    server.metric("pregon_push_topics_total{what=\"looked_up\"}").await
}

#[tokio::test]
async fn who_has_no_socket_is_told_and_who_has_one_is_not() {
    let (server, service) = (pushing().start().await, PushService::start().await);
    for (user, name) in [(ANA, "ana"), (BETO, "beto"), (CARO, "caro")] {
        service.subscribe(&server, user, name).await;
    }
    let mut caro = server.join(0, CARO).await;
    let message = say(&server, ANA, "¿estás? 😀").await;
    caro.expect("chat_message").await;
    let pushed = service.wait_for(1).await;
    server.wait_for_metric("pregon_push_skipped_total{why=\"here\"}", |count| count == 1.0).await;
    let pushed = (&pushed[0], pushed.len(), service.pushed().len());
    let (push, 1, 1) = pushed else { panic!("{pushed:?}") };
    assert_eq!((push.path.as_str(), push.ttl, push.urgency.as_str()), ("/beto", 86_400, "high"));
    assert_eq!(push.json["web_push"], 8030);
    let notification = &push.json["notification"];
    let room = &server.fixture.rooms[0].id;
    let place = server.http(&format!("/#/chat/{room}"));
    assert_eq!((&notification["navigate"], &notification["lang"]), (&json!(place), &json!("es")));
    let expected = json!({"type": "message", "room": room, "message": message["id"], "sender": server.id(ANA)});
    assert_eq!(notification["data"], expected);
    assert!(push.said().1.contains("¿estás? 😀"), "{:?}", push.said());
    // The key is the one that the page gives to browsers.
    let (status, key) = server.rest("GET", "/api/push/key/", BETO, None).await;
    assert_eq!((status, &key["public_key"]), (200, &json!(push.key)));
    let text = reqwest::get(server.http("/metrics")).await.unwrap().text().await.unwrap();
    assert!(text.contains("pregon_push_seconds_count 1"), "{text}");
}

#[tokio::test]
async fn whoever_has_muted_the_room_or_has_read_it_is_not_told() {
    let (server, service) = (pushing().set("PREGON_PUSH_DELAY_MS", 1500).start().await, PushService::start().await);
    service.subscribe(&server, BETO, "beto").await;
    service.subscribe(&server, CARO, "caro").await;
    let room = &server.fixture.rooms[0].id;
    let path = format!("/api/messaging/chats/{room}/mute/");
    assert_eq!(server.done("POST", &path, CARO, None).await, json!({"is_muted": true}));
    say(&server, ANA, "uno").await;
    // Later ones of the room take the place of the first.
    let last = say(&server, ANA, "dos").await;
    let pushed = service.wait_for(1).await;
    assert_eq!(looked_up(&server).await, 1.0);
    assert_eq!(pushed[0].json["notification"]["data"]["message"], last["id"]);
    assert_eq!(server.metric("pregon_push_topics_total{what=\"collapsed\"}").await, 1.0);
    assert_eq!(server.done("DELETE", &path, CARO, None).await, json!({"is_muted": false}));
    say(&server, ANA, "tres").await;
    server.done("POST", &format!("/api/messaging/chats/{room}/mark_as_read/"), BETO, Some(json!({}))).await;
    let pushed = service.wait_for(2).await;
    server.wait_for_metric("pregon_push_topics_total{what=\"looked_up\"}", |count| count == 2.0).await;
    let paths: Vec<_> = pushed.iter().map(|push| push.path.as_str()).collect();
    assert_eq!(paths, ["/beto", "/caro"], "Beto has read the last one, and Caro hears the room again");
    assert_eq!(pushed[0].topic, pushed[1].topic, "one topic for a room");
    let (status, _) =
        server.rest("POST", "/api/messaging/chats/00000000-0000-0000-0000-000000000000/mute/", ANA, None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_message_that_was_deleted_is_not_told() {
    let (server, service) = (pushing().set("PREGON_PUSH_DELAY_MS", 1000).start().await, PushService::start().await);
    service.subscribe(&server, BETO, "beto").await;
    let message = say(&server, ANA, "mejor no").await;
    let room = &server.fixture.rooms[0].id;
    let path = format!("/api/messaging/chats/{room}/messages/{}/", message["id"].as_str().unwrap());
    server.done("DELETE", &path, ANA, None).await;
    server.wait_for_metric("pregon_push_topics_total{what=\"looked_up\"}", |count| count == 1.0).await;
    say(&server, ANA, "esto sí").await;
    assert!(service.wait_for(1).await[0].said().1.contains("esto sí"));
}

#[tokio::test]
async fn notifications_are_pushed_too() {
    let (server, service) = (pushing().start().await, PushService::start().await);
    service.subscribe(&server, BETO, "beto").await;
    server.follow(ANA, BETO).await;
    let push = service.wait_for(1).await.remove(0);
    assert_eq!(push.urgency, "normal");
    assert!(push.said().1.contains("comenzó a seguirte"), "{:?}", push.said());
    assert_eq!(push.json["notification"]["data"]["type"], "notification");
}

#[tokio::test]
async fn a_subscription_that_is_over_is_deleted() {
    let (server, service) = (pushing().start().await, PushService::start().await);
    for (status, count) in [(410, 1), (404, 2)] {
        service.subscribe(&server, BETO, &format!("beto{status}")).await;
        service.answer(status, None);
        say(&server, ANA, "hola").await;
        service.wait_for(count).await;
        server.wait_for_metric("pregon_push_total{outcome=\"gone\"}", |gone| gone == count as f64).await;
        let mut listed = json!(null);
        // It is deleted beside the sending.
        for _ in 0..1000 {
            listed = server.done("GET", "/api/push/subscriptions/", BETO, None).await;
            if listed == json!({"results": []}) {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(listed, json!({"results": []}));
    }
}

#[tokio::test]
async fn a_push_service_that_is_busy_is_asked_again_when_it_says() {
    let (server, service) = (pushing().start().await, PushService::start().await);
    service.subscribe(&server, BETO, "beto").await;
    service.answer(429, Some(1));
    service.answer(500, None);
    say(&server, ANA, "hola").await;
    let pushed = service.wait_for(3).await;
    let waited = pushed[1].at - pushed[0].at;
    assert!(waited.as_secs_f64() >= 1.0, "Retry-After is obeyed: {waited:?}");
    assert_eq!(pushed.iter().map(|push| push.status).collect::<Vec<_>>(), [429, 500, 201]);
    server.wait_for_metric("pregon_push_total{outcome=\"sent\"}", |sent| sent == 1.0).await;
    assert_eq!(server.metric("pregon_push_total{outcome=\"again\"}").await, 2.0);
}

#[tokio::test]
async fn a_refusal_is_for_the_operator_and_the_subscription_stays() {
    let (server, service) = (pushing().start().await, PushService::start().await);
    service.subscribe(&server, BETO, "beto").await;
    service.answer(403, None);
    say(&server, ANA, "uno").await;
    server.wait_for_metric("pregon_push_total{outcome=\"refused\"}", |refused| refused == 1.0).await;
    server.wait_for_log("the push service's reason").await;
    say(&server, ANA, "dos").await;
    assert_eq!(service.wait_for(2).await[1].status, 201);
    // A redirect is not followed.
    service.answer(307, None);
    say(&server, ANA, "tres").await;
    server.wait_for_metric("pregon_push_total{outcome=\"refused\"}", |refused| refused == 2.0).await;
}

#[tokio::test]
async fn private_rooms_say_nothing_if_the_operator_wants_it_so() {
    let (server, service) = (pushing().set("PREGON_PUSH_CONTENT", "groups").start().await, PushService::start().await);
    service.subscribe(&server, BETO, "beto").await;
    let beto = &server.fixture.users[BETO].username;
    let room = server.done("POST", &format!("/api/users/chat/{beto}/"), ANA, None).await;
    let path = format!("/api/messaging/chats/{}/send_message/", room["chat"]["id"].as_str().unwrap());
    server.done("POST", &path, ANA, Some(json!({"content": "un secreto"}))).await;
    let push = service.wait_for(1).await.remove(0);
    assert_eq!(push.said(), ("Mensaje nuevo", ""));
    assert!(!push.json.to_string().contains("secreto") && push.json["notification"]["data"]["sender"].is_null());
}

#[tokio::test]
async fn only_push_services_of_the_internet_are_taken() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_PUSH_CONTACT", CONTACT).start().await;
    let service = PushService::start().await;
    let good = service.browser("x");
    for endpoint in [
        "http://fcm.googleapis.com/fcm/send/x",
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/x",
        "https://localhost/x",
        "https://push.example.org/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com@evil.org/x",
        good["endpoint"].as_str().unwrap(),
        "",
    ] {
        let body = json!({"endpoint": endpoint, "keys": good["keys"]});
        let (status, answer) = server.rest("POST", "/api/push/subscriptions/", ANA, Some(body)).await;
        assert!(status == 400 && answer["endpoint"].is_array(), "{endpoint}: {status} {answer}");
    }
    let endpoint = "https://fcm.googleapis.com/fcm/send/x";
    for keys in [json!(null), json!({}), json!({"p256dh": "x", "auth": "y"}), json!([1]), json!("x")] {
        let (status, answer) = server
            .rest("POST", "/api/push/subscriptions/", ANA, Some(json!({"endpoint": endpoint, "keys": keys})))
            .await;
        assert!(status == 400 && answer["keys"].is_array(), "{keys}: {status} {answer}");
    }
    let right = json!({"endpoint": endpoint, "keys": good["keys"]});
    server.done("POST", "/api/push/subscriptions/", ANA, Some(right.clone())).await;
    server.done("POST", "/api/push/subscriptions/", ANA, Some(right.clone())).await;
    let listed = server.done("GET", "/api/push/subscriptions/", ANA, None).await;
    assert_eq!(
        (listed["results"].as_array().unwrap().len(), &listed["results"][0]["service"]),
        (1, &json!("fcm.googleapis.com"))
    );
    for _ in 0..2 {
        let (status, _) =
            server.rest("DELETE", "/api/push/subscriptions/", ANA, Some(json!({"endpoint": endpoint}))).await;
        assert_eq!(status, 204);
    }
    assert_eq!(server.done("GET", "/api/push/subscriptions/", ANA, None).await, json!({"results": []}));
    for bad in [json!({}), json!({"id": "x"})] {
        assert_eq!(server.rest("DELETE", "/api/push/subscriptions/", ANA, Some(bad)).await.0, 400);
    }
}

#[tokio::test]
async fn a_users_oldest_subscriptions_give_way_and_a_browser_has_one_user() {
    let (server, service) = (pushing().start().await, PushService::start().await);
    let first = service.subscribe(&server, BETO, "first").await;
    for number in 0..pregon::limits::PUSH_SUBSCRIPTIONS_MAX {
        service.subscribe(&server, BETO, &format!("{number}")).await;
    }
    let count = |listed: Value| listed["results"].as_array().unwrap().len();
    let listed = server.done("GET", "/api/push/subscriptions/", BETO, None).await;
    assert_eq!(count(listed), pregon::limits::PUSH_SUBSCRIPTIONS_MAX);
    say(&server, ANA, "hola").await;
    let pushed = service.wait_for(pregon::limits::PUSH_SUBSCRIPTIONS_MAX).await;
    assert!(pushed.iter().all(|push| push.path != "/first"), "the oldest gave way");
    // Caro logs in where Beto was.
    server.done("POST", "/api/push/subscriptions/", BETO, Some(first.clone())).await;
    server.done("POST", "/api/push/subscriptions/", CARO, Some(first.clone())).await;
    assert_eq!(count(server.done("GET", "/api/push/subscriptions/", CARO, None).await), 1);
    let (status, _) =
        server.rest("DELETE", "/api/push/subscriptions/", BETO, Some(json!({"endpoint": first["endpoint"]}))).await;
    assert_eq!(status, 204);
    assert_eq!(count(server.done("GET", "/api/push/subscriptions/", CARO, None).await), 1, "it is not Beto's any more");
}

/// As many as nowhere wait at once: whoever finds them waits until there is room.
#[tokio::test]
async fn a_room_with_many_subscriptions_loses_none() {
    const MANY: usize = 1500;
    let (server, service) = (pushing().start().await, PushService::start().await);
    let browser = service.browser("many");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (endpoint, keys) = (text(&browser["endpoint"]), &browser["keys"]);
    let user = server.fixture.users[BETO].id.replace('-', "");
    let rows: Vec<String> = (0..MANY)
        .map(|number| {
            let id = uuid::Uuid::new_v4().simple();
            let (p256dh, auth) = (text(&keys["p256dh"]), text(&keys["auth"]));
            format!("('{id}', '{user}', '{user}', '{endpoint}?{number}', '{p256dh}', '{auth}', 1)")
        })
        .collect();
    let columns = "id, user_id, family, endpoint, p256dh, auth, created_at";
    let sql = format!("INSERT INTO pregon_push_subscriptions ({columns}) VALUES {}", rows.join(", "));
    assert_eq!(server.execute(&sql, &[]).await, MANY as u64);
    say(&server, ANA, "para todos").await;
    service.wait_for(MANY).await;
    server.wait_for_metric("pregon_push_total{outcome=\"sent\"}", |sent| sent == MANY as f64).await;
    assert_eq!(server.metric("pregon_push_total{outcome=\"dropped\"}").await, 0.0);
    assert_eq!(service.pushed().len(), MANY, "each is told once");
}

#[tokio::test]
async fn a_logout_ends_the_subscriptions_of_its_login() {
    let (server, service) = (pushing().start().await, PushService::start().await);
    let name = &server.fixture.users[BETO].username;
    let login = json!({"login": name, "password": "pregon-demo"});
    let (status, login) = server.rest("POST", "/api/auth/login/", BETO, Some(login)).await;
    assert_eq!(status, 200, "{login}");
    let client = reqwest::Client::new();
    let asks = async |method: &str, path: &str, body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client.request(method, server.http(path)).bearer_auth(login["access"].as_str().unwrap());
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(asks("POST", "/api/push/subscriptions/", service.browser("this")).await, 201);
    service.subscribe(&server, BETO, "other").await;
    assert_eq!(asks("POST", "/api/auth/logout/", json!({})).await, 200);
    say(&server, ANA, "hola").await;
    let paths: Vec<_> = service.wait_for(1).await.into_iter().map(|push| push.path).collect();
    assert_eq!(paths, ["/other"], "the other login's browser alone");
    let listed = server.done("GET", "/api/push/subscriptions/", BETO, None).await;
    assert_eq!(listed["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_key_stays_over_restarts_unless_a_setting_gives_another() {
    let mut server = pushing().start().await;
    let key = async |server: &Server| server.done("GET", "/api/push/key/", ANA, None).await["public_key"].clone();
    let made = key(&server).await;
    assert_eq!(server.terminate(), Some(0));
    server.restart();
    assert_eq!(key(&server).await, made);
    // RFC 8291, appendix A.
    let given = pushing().set("PREGON_PUSH_KEY", "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").start().await;
    let public = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
    assert_eq!(key(&given).await, public);
}

#[tokio::test]
async fn without_a_contact_nothing_is_pushed_and_a_contact_that_apple_refuses_is_none() {
    let server = Server::builder().seed(1, 0, 0).start().await;
    for (method, path) in
        [("GET", "/api/push/key/"), ("GET", "/api/push/subscriptions/"), ("POST", "/api/push/subscriptions/")]
    {
        let body = (method == "POST").then(|| json!({}));
        assert_eq!(server.rest(method, path, ANA, body).await.0, 404, "{method} {path}");
    }
    for contact in ["mailto:ops@localhost", "ops@pregon.org", "https://10.0.0.1/"] {
        let output = server.command().env("PREGON_PUSH_CONTACT", contact).arg("check").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains("PREGON_PUSH_CONTACT"), "{contact}: {said}");
    }
}

/// Several threads: one of them waits for the server's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_before_a_stop_is_still_pushed() {
    let (mut server, service) =
        (pushing().set("PREGON_PUSH_DELAY_MS", 60_000).start().await, PushService::start().await);
    service.subscribe(&server, BETO, "beto").await;
    say(&server, ANA, "hasta luego").await;
    assert_eq!(service.pushed().len(), 0, "it waits for a minute");
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(service.pushed().len(), 1);
}

#[tokio::test]
async fn the_pages_service_worker_lies_at_the_root() {
    let server = Server::builder().start().await;
    let answer = reqwest::get(server.http("/sw.js")).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/javascript; charset=utf-8".parse().unwrap())
    );
    assert_eq!(answer.headers()["cache-control"], "no-cache", "browsers look for a newer one");
    assert!(answer.text().await.unwrap().contains("push"));
}
