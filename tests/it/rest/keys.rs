//! Keys of tokens in a file: they are rotated while the server runs, and what they do not fit is refused.

use std::path::Path;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{PATIENCE, SECRET, Server, Socket, pregon};

/// `pregon keys …` on a file.
fn keys(file: &Path, arguments: &[&str]) -> String {
    let folder = file.parent().unwrap();
    let mut command = pregon(&[], folder);
    command.arg("keys").arg(arguments[0]).arg(file).args(&arguments[1..]);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

async fn register(server: &Server, name: &str) -> Value {
    let body = json!({"email": format!("{name}@example.com"), "username": name, "display_name": name,
        "password": "muy-secreta-9", "password_confirm": "muy-secreta-9"});
    let response = reqwest::Client::new().post(server.http("/api/auth/register/")).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 201);
    response.json::<Value>().await.unwrap()["tokens"].clone()
}

async fn status(server: &Server, token: &str) -> u16 {
    let request = reqwest::Client::new().get(server.http("/api/auth/verify/")).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

/// The key that signs new tokens, and a token of it.
async fn signer(server: &Server, refresh: &str) -> (String, String) {
    let body = json!({ "refresh": refresh });
    let response = reqwest::Client::new().post(server.http("/api/auth/refresh/")).json(&body).send().await.unwrap();
    let answer: Value = response.json().await.unwrap();
    let access = answer["access"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (header(&access)["kid"].as_str().unwrap_or_default().to_owned(), access)
}

#[tokio::test]
async fn keys_are_rotated_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    keys(&file, &["add", "--kid", "old", "--algorithm", "ES256"]);
    let server = Server::builder()
        .set("PREGON_JWT_SECRET", "")
        .set("PREGON_JWT_KEYS", file.display())
        .set("PREGON_JWT_AUDIENCE", "chat")
        .set("PREGON_JWT_ISSUER", "https://chat.example")
        .seed(2, 1, 2)
        .start()
        .await;
    let tokens = register(&server, "ana").await;
    let (access, refresh) = (tokens["access"].as_str().unwrap(), tokens["refresh"].as_str().unwrap());
    assert_eq!(header(access), json!({"alg": "ES256", "typ": "JWT", "kid": "old"}));
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(access.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!((&claims["aud"], &claims["iss"]), (&json!("chat"), &json!("https://chat.example")));
    assert_eq!(status(&server, access).await, 200);
    let mut socket = server.join(0, 0).await;

    // A new key is added, and read without a signal; then it is the first.
    keys(&file, &["add", "--kid", "new"]);
    server.wait_for_metric("pregon_token_keys", |keys| keys == 2.0).await;
    assert_eq!(signer(&server, refresh).await.0, "old");
    keys(&file, &["first", "new"]);
    server.signal("HUP");
    server.wait_for_metric("pregon_token_key_reloads_total{outcome=\"taken\"}", |times| times == 2.0).await;
    let (kid, of_new) = signer(&server, refresh).await;
    assert_eq!((kid.as_str(), &header(&of_new)["alg"]), ("new", &json!("EdDSA")));
    assert_eq!((status(&server, access).await, status(&server, &of_new).await), (200, 200));

    // A file that cannot be used changes nothing, and says so without its content.
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2hvcnQ\"}]}").unwrap();
    server.signal("HUP");
    server.wait_for_metric("pregon_token_key_reloads_total{outcome=\"refused\"}", |times| times == 1.0).await;
    server.wait_for_log("the keys of tokens stay as they were").await;
    assert!(!server.log().contains("c2hvcnQ"));
    assert_eq!((status(&server, access).await, status(&server, &of_new).await), (200, 200));
    std::fs::write(&file, good).unwrap();

    // The old key goes: its tokens are refused, and whoever is connected stays.
    keys(&file, &["remove", "old"]);
    server.signal("HUP");
    let began = Instant::now();
    while status(&server, access).await != 401 {
        assert!(began.elapsed() < PATIENCE, "the old key still counts");
    }
    assert_eq!(status(&server, &of_new).await, 200);
    let path = server.chat_path(0, 0);
    let mut refused = Socket::open(&server, &path).await;
    assert_eq!(refused.next_json().await["message"], "Token inválido");
    socket.send(json!({"type": "typing", "is_typing": true})).await;
    socket.until_pong().await;
}

#[tokio::test]
async fn the_secret_checks_tokens_without_kid_beside_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    keys(&file, &["add", "--kid", "new", "--algorithm", "ES384"]);
    let server = Server::builder().set("PREGON_JWT_KEYS", file.display()).start().await;
    let tokens = register(&server, "ana").await;
    let access = tokens["access"].as_str().unwrap();
    assert_eq!(header(access)["alg"], "ES384");
    // As Django makes them: with the secret, and without a name.
    let payload = access.split('.').nth(1).unwrap();
    let of_django = |secret: &str| {
        let message = format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{payload}");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes())))
    };
    assert_eq!(status(&server, &of_django(SECRET)).await, 200);
    assert_eq!(status(&server, &of_django("another secret of the same length..")).await, 401);
    let unsigned = format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"new"}"#));
    assert_eq!(status(&server, &unsigned).await, 401);
}

#[test]
fn keys_are_made_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    for (kid, algorithm) in [("a", "EdDSA"), ("b", "ES256"), ("c", "ES384"), ("d", "HS256")] {
        keys(&file, &["add", "--kid", kid, "--algorithm", algorithm]);
    }
    keys(&file, &["first", "c"]);
    let listed = keys(&file, &["list"]);
    assert_eq!(listed, "c\tES384\tsigns\na\tEdDSA\tcould sign\nb\tES256\tcould sign\nd\tHS256\tcould sign\n");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let public: Value = serde_json::from_str(&keys(&file, &["public"])).unwrap();
    let kids: Vec<&str> = public["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids, ["c", "a", "b"], "a secret has no public half");
    assert!(public["keys"].as_array().unwrap().iter().all(|key| key["d"].is_null() && key["k"].is_null()));
    keys(&file, &["remove", "a"]);
    let refused = |arguments: &[&str]| {
        let mut command = pregon(&[], folder.path());
        let output = command.arg("keys").arg(arguments[0]).arg(&file).args(&arguments[1..]).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let before = std::fs::read(&file).unwrap();
    assert!(refused(&["remove", "a"]).contains("no key in"));
    assert!(refused(&["add", "--kid", "b"]).contains("have the kid \"b\""));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
}
