//! Logs hold no tokens, secrets and bodies, however much is logged.

use pregon::access::token::Tokens;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::v1::Client;
use crate::support::{ADMIN_KEY, SECRET, Server, Socket, leaks};

const PASSWORD: &str = "muy-secreta-9 de ana";

/// A client that does all kinds of things, right and wrong.
async fn everything(server: &Server) {
    let http = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        leaks::said(&body);
        http.post(server.http(path)).json(&body).send().await.unwrap().json::<Value>().await.unwrap_or_default()
    };
    let person = json!({"email": "ana.de.prueba@example.com", "username": "ana_de_prueba", "display_name": "Ana de Prueba",
        "password": PASSWORD, "password_confirm": PASSWORD, "bio": "una biografía que nadie registra"});
    let tokens = post("/api/auth/register/", person).await["tokens"].clone();
    post("/api/auth/login/", json!({"login": "ana_de_prueba", "password": PASSWORD})).await;
    post("/api/auth/login/", json!({"login": "ana_de_prueba", "password": "otra contraseña, equivocada"})).await;
    post("/api/auth/refresh/", json!({"refresh": tokens["refresh"]})).await;
    post("/api/auth/refresh/", json!({"refresh": "eyJhbGciOiJub25lIn0.eyJub25lIjoxfQ.AAAA"})).await;
    for wrong in ["{\"login\": \"una cadena sin fin de verdad", "[[[[[[[[[[[[[[[[[[[["] {
        leaks::said(&json!(wrong));
        let request = http.post(server.http("/api/auth/login/")).header("content-type", "application/json");
        request.body(wrong.to_owned()).send().await.unwrap();
    }
    server.publish(0, "el contenido de una publicación").await;
    server.rest("GET", "/api/users/search/?q=una+busqueda+que+nadie+registra", 0, None).await;
    let picture =
        Part::bytes(b"<script>un archivo que no es imagen</script>".to_vec()).file_name("un nombre secreto.png");
    let form = Form::new().text("content", "el contenido de un formulario").part("image", picture);
    leaks::said(&json!(["un archivo que no es imagen", "un nombre secreto.png", "el contenido de un formulario"]));
    let request = http.post(server.http("/api/posts/")).bearer_auth(&server.fixture.users[0].token);
    request.multipart(form).send().await.unwrap();

    let mut chat = server.join(0, 0).await;
    chat.send(json!({"type": "chat_message", "content": "un mensaje que nadie registra"})).await;
    chat.expect("chat_message").await;
    chat.send(json!({"type": "una clase que no existe", "content": "un campo que nadie registra"})).await;
    leaks::said(&json!("{\"type\": \"no es JSON"));
    chat.send_raw(Message::text("{\"type\": \"no es JSON")).await;
    chat.until_pong().await;
    let ticket = server.done("POST", "/api/auth/ticket/", 1, None).await["ticket"].as_str().unwrap().to_owned();
    let mut many = Client::opened(server, &format!("pregon.v1, ticket.{ticket}")).await;
    many.next().await;
    let room = format!("room:{}", server.fixture.rooms[0].id.replace('-', ""));
    many.subscribed(&room, None).await;
    many.say(&room, "un mensaje de pregon.v1 que nadie registra").await;
    let expired = Tokens::new(SECRET.as_bytes());
    let user = server.fixture.users[0].id.parse().unwrap();
    let expired = expired.issue_access_for(user, pregon::clock::Timestamp::now(), -5);
    for token in [&expired, "not-a-token-but-somebody-tried-it"] {
        leaks::said(&json!(token));
        drop(Socket::try_open(server, &format!("/ws/feed/?token={token}"), &[]).await);
        http.get(server.http("/api/auth/profile/")).bearer_auth(token).send().await.unwrap();
    }
    leaks::said(&json!("un aviso del operador a su gente"));
    let told =
        ["sessions", "tell", "--user", &server.fixture.users[1].username, "--text", "un aviso del operador a su gente"];
    assert!(server.operate(None, &told).status.success());
    server.operate(Some("una clave de operadores equivocada"), &told);
    server.signal("HUP");
    server.wait_for_log("SIGHUP").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_holds_a_token_a_secret_or_a_body() {
    for format in ["text", "json"] {
        let mut server = Server::builder()
            .seed(3, 1, 3)
            .set("PREGON_LOG_LEVEL", "trace")
            .set("PREGON_LOG_FORMAT", format)
            .set("PREGON_RATE_LIMITS", "on")
            .set("PREGON_ADMIN_KEY", ADMIN_KEY)
            .set("PREGON_ADMIN_ADDRESS", "127.0.0.1:0")
            .start()
            .await;
        everything(&server).await;
        leaks::said(&json!([
            PASSWORD,
            "otra contraseña, equivocada",
            "una clave de operadores equivocada",
            "una+busqueda+que+nadie"
        ]));
        server.terminate();
        let log = server.log();
        assert!(log.contains("TRACE") && log.contains("/api/auth/login"), "everything is logged: {log}");
        leaks::check(&log);
    }
}

/// However many there are: the last of a long test counts like the first.
#[test]
fn every_text_that_a_test_said_is_looked_for() {
    let text = |number: u32| format!("un texto que nadie registra, {number:06} de muchos");
    (0..20_000).for_each(|number| leaks::said(&json!({"content": [text(number)]})));
    let long = format!("á{}", "x".repeat(500));
    leaks::said(&json!(long));
    let finds = |log: String| std::panic::catch_unwind(|| leaks::check(&log)).is_err();
    for number in [0, 4095, 4096, 19_999] {
        assert!(finds(format!("a line\nINFO heard {{\"{}\"}}", text(number))), "{number}");
    }
    assert!(finds(format!("INFO cut {}…", &long[..100])), "the log may cut it");
    assert!(!finds(format!("INFO {}", text(20_000))) && !finds("un texto que nadie registra".to_owned()));
}
