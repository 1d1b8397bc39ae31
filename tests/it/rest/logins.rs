//! How logins end, over real HTTP and on open sockets: by a logout, a password change, or a reused refresh token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use pregon::ids::UserId;
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::{Builder, SECRET, Server, Socket};

struct Api {
    server: Server,
    client: reqwest::Client,
}

/// One login's tokens.
struct Login {
    access: String,
    refresh: String,
}

impl Login {
    fn of(tokens: &Value) -> Self {
        let text = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned();
        Self { access: text("access"), refresh: text("refresh") }
    }
}

impl Api {
    async fn with(builder: Builder) -> Self {
        Self { server: builder.start().await, client: reqwest::Client::new() }
    }

    async fn start() -> Self {
        Self::with(Server::builder()).await
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let mut request = self.client.request(method, self.server.http(path)).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn post(&self, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, token, body).await
    }

    async fn register(&self, name: &str) -> Login {
        let body = json!({"email": format!("{name}@example.com"), "username": name, "display_name": name,
            "password": "muy-secreta-9", "password_confirm": "muy-secreta-9"});
        let (status, answer) = self.post("/api/auth/register/", None, body).await;
        assert_eq!(status, 201, "{answer}");
        Login::of(&answer["tokens"])
    }

    async fn log_in(&self, name: &str, password: &str) -> Login {
        let (status, answer) = self.post("/api/auth/login/", None, json!({"login": name, "password": password})).await;
        assert_eq!(status, 200, "{answer}");
        Login::of(&answer)
    }

    async fn renew(&self, login: &Login) -> Login {
        let (status, answer) = self.post("/api/auth/refresh/", None, json!({"refresh": login.refresh})).await;
        assert_eq!(status, 200, "{answer}");
        Login::of(&answer)
    }

    async fn change_password(&self, login: &Login, old: &str, new: &str) -> u16 {
        let body = json!({"current_password": old, "new_password": new, "new_password_confirm": new});
        self.post("/api/auth/change-password/", Some(&login.access), body).await.0
    }

    async fn is_good(&self, access: &str) -> bool {
        let (status, answer) = self.send(Method::GET, "/api/auth/verify/", Some(access), json!({})).await;
        if status == 401 {
            assert_eq!(answer["messages"][0]["message"], "El token es inválido o ha expirado", "{answer}");
        }
        assert!(status == 200 || status == 401, "{status} {answer}");
        status == 200
    }

    async fn is_over(&self, login: &Login) -> bool {
        let (status, answer) = self.post("/api/auth/refresh/", None, json!({"refresh": login.refresh})).await;
        let is_over = status == 401;
        if is_over {
            let bad = json!({"detail": "El token es inválido o ha expirado", "code": "token_not_valid"});
            assert_eq!(answer, bad);
        }
        assert_eq!(self.is_good(&login.access).await, !is_over, "both of its tokens");
        is_over
    }

    /// A feed, open and greeted.
    async fn feed(&self, access: &str) -> Socket {
        let mut socket = Socket::open(&self.server, &format!("/ws/feed/?token={access}")).await;
        socket.expect("connection_established").await;
        socket
    }

    /// A chat of two, open and greeted.
    async fn chat(&self, access: &str, room: &Value) -> Socket {
        let mut socket =
            Socket::open(&self.server, &format!("/ws/chat/{}/?token={access}", room.as_str().unwrap())).await;
        socket.expect("connection_success").await;
        socket
    }
}

#[tokio::test]
async fn a_password_change_ends_all_other_logins_with_their_sockets() {
    let api = Api::with(Server::builder().set("PREGON_SHARDS", 2)).await;
    let asks = api.register("ana").await;
    let beto = api.register("beto").await;
    let other = api.log_in("ana", "muy-secreta-9").await;
    let renewed = api.renew(&asks).await;
    let others = api.renew(&other).await;
    let (_, opened) = api.post("/api/users/chat/beto/", Some(&asks.access), json!({})).await;
    let room = &opened["chat"]["id"];
    let mut ended = [
        api.chat(&other.access, room).await,
        api.chat(&others.access, room).await,
        api.feed(&other.access).await,
        Socket::open(&api.server, &format!("/ws/notifications/?token={}", others.access)).await,
    ];
    ended[3].expect("connection_established").await;
    let mut kept = [api.feed(&asks.access).await, api.chat(&renewed.access, room).await, api.feed(&beto.access).await];
    assert_eq!(api.change_password(&asks, "muy-secreta-9", "nueva-clave-7").await, 200);
    for login in [&other, &others] {
        assert!(api.is_over(login).await, "at once");
    }
    for socket in &mut ended {
        assert_eq!(socket.closed().await, 4001);
    }
    for login in [&asks, &renewed, &beto] {
        assert!(!api.is_over(login).await);
    }
    for socket in &mut kept {
        socket.until_pong().await;
    }
    // Handshakes with the ended login's token are refused, too.
    assert_eq!(Socket::try_open(&api.server, &format!("/ws/feed/?token={}", other.access), &[]).await.err(), Some(403));
    let path = format!("/ws/chat/{}/?token={}", room.as_str().unwrap(), other.access);
    assert_eq!(Socket::open(&api.server, &path).await.expect("error").await["message"], "Token inválido");
    let again = api.log_in("ana", "nueva-clave-7").await;
    assert!(!api.is_over(&again).await);
    api.feed(&again.access).await;
}

/// If several change the password at the same time, one succeeds, and the others' logins end.
#[tokio::test]
async fn of_two_password_changes_one_counts() {
    let api = Api::start().await;
    api.register("ana").await;
    let logins = [api.log_in("ana", "muy-secreta-9").await, api.log_in("ana", "muy-secreta-9").await];
    let (first, second) = tokio::join!(
        api.change_password(&logins[0], "muy-secreta-9", "nueva-clave-7"),
        api.change_password(&logins[1], "muy-secreta-9", "nueva-clave-8"),
    );
    let winner = usize::from(second == 200);
    assert_eq!([first, second].iter().filter(|status| **status == 200).count(), 1, "{first} {second}");
    assert!(!api.is_over(&logins[winner]).await && api.is_over(&logins[1 - winner]).await);
    api.log_in("ana", ["nueva-clave-7", "nueva-clave-8"][winner]).await;
}

#[tokio::test]
async fn a_logout_ends_the_whole_family_and_nothing_else() {
    let api = Api::start().await;
    let first = api.register("ana").await;
    let other = api.log_in("ana", "muy-secreta-9").await;
    let second = api.renew(&first).await;
    let third = api.renew(&second).await;
    let mut feed = api.feed(&first.access).await;
    let mut kept = api.feed(&other.access).await;
    let body = json!({"refresh_token": second.refresh});
    let done = (200, json!({"message": "Sesión cerrada exitosamente"}));
    assert_eq!(api.post("/api/auth/logout/", Some(&second.access), body).await, done);
    for login in [&first, &second, &third] {
        assert!(api.is_over(login).await, "what it was renewed from, and what was renewed from it");
    }
    assert_eq!(feed.closed().await, 4001);
    assert!(!api.is_over(&other).await);
    kept.until_pong().await;
    // Somebody else's refresh token cannot be ended.
    let beto = api.register("beto").await;
    let body = json!({"refresh_token": beto.refresh});
    assert_eq!(api.post("/api/auth/logout/", Some(&other.access), body).await, done);
    assert!(api.is_over(&other).await && !api.is_over(&beto).await);
}

/// The token as Django makes it.
fn without_family(token: &str) -> String {
    let [header, claims, _] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims.as_object_mut().unwrap().remove("family").expect("ours names one");
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
}

/// Tokens of Django and of older servers name no family: those issued in one second form one.
#[tokio::test]
async fn tokens_without_a_family_end_too() {
    let api = Api::start().await;
    let asks = api.register("ana").await;
    let answer = api.send(Method::GET, "/api/auth/verify/", Some(&asks.access), json!({})).await.1;
    let user: UserId = answer["user"]["id"].as_str().unwrap().parse().unwrap();
    let now = Timestamp::now();
    let of_second = |seconds: i64| {
        let at = Timestamp(seconds * 1_000_000);
        let pair = Tokens::new(SECRET.as_bytes()).issue_pair(user, at);
        Login { access: without_family(&pair.access), refresh: without_family(&pair.refresh) }
    };
    let old = of_second(now.seconds() - 10);
    let older = of_second(now.seconds() - 20);
    let renewed = api.renew(&older).await;
    assert!(!api.is_over(&old).await && !api.is_over(&older).await);
    assert_eq!(api.post("/api/auth/logout/", Some(&older.access), json!({})).await.0, 200);
    assert!(api.is_over(&renewed).await && api.is_over(&older).await && !api.is_over(&old).await);
    assert_eq!(api.change_password(&asks, "muy-secreta-9", "nueva-clave-7").await, 200);
    assert!(api.is_over(&old).await && !api.is_over(&asks).await);
}

/// Logins that another node ended are found by the regular check.
#[tokio::test]
async fn sockets_of_logins_that_another_node_ended_close() {
    let api = Api::with(Server::builder().set("PREGON_ACTIVE_CHECK_SECONDS", 1)).await;
    let ana = api.register("ana").await;
    let mut feed = api.feed(&ana.access).await;
    let access = Tokens::new(SECRET.as_bytes()).verify_access(&ana.access, Timestamp::now()).unwrap();
    let user = access.user.hex();
    let family = access.family.hex();
    let now = Timestamp::now().0;
    let sql = format!(
        "INSERT INTO pregon_ended_logins (user_id, goes_on, family, ended_at, expires) \
         VALUES ('{user}', 0, '{family}', {now}, {})",
        i64::MAX
    );
    assert_eq!(api.server.execute(&sql, &[]).await, 1);
    assert_eq!(feed.closed().await, 4001);
    // The cached state of the token expires within seconds.
    let began = std::time::Instant::now();
    while api.is_good(&ana.access).await {
        assert!(began.elapsed() < crate::support::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_that_comes_again_ends_its_login() {
    let api = Api::with(Server::builder().set("PREGON_ROTATE_REFRESH", "on")).await;
    let first = api.register("ana").await;
    let other = api.log_in("ana", "muy-secreta-9").await;
    let second = api.renew(&first).await;
    let third = api.renew(&second).await;
    let mut feed = api.feed(&third.access).await;
    let stolen = api.post("/api/auth/refresh/", None, json!({"refresh": first.refresh})).await;
    assert_eq!(stolen.0, 401);
    assert_eq!(feed.closed().await, 4001);
    assert!(api.is_over(&third).await && !api.is_good(&first.access).await);
    assert!(api.is_good(&other.access).await);
    api.renew(&other).await;
}

#[tokio::test]
async fn djangos_way_ends_the_refresh_token_alone() {
    let api = Api::with(Server::builder().set("PREGON_END_LOGINS", "off")).await;
    let first = api.register("ana").await;
    let second = api.renew(&first).await;
    let body = json!({"refresh_token": first.refresh});
    assert_eq!(api.post("/api/auth/logout/", Some(&first.access), body).await.0, 200);
    assert!(api.is_good(&first.access).await && !api.is_over(&second).await);
    assert_eq!(api.post("/api/auth/refresh/", None, json!({"refresh": first.refresh})).await.0, 401);
    assert_eq!(api.change_password(&second, "muy-secreta-9", "nueva-clave-7").await, 200);
    let third = api.log_in("ana", "nueva-clave-7").await;
    assert_eq!(api.change_password(&third, "nueva-clave-7", "nueva-clave-8").await, 200);
    assert!(api.is_good(&first.access).await && !api.is_over(&second).await && !api.is_over(&third).await);
}

#[tokio::test]
async fn logins_are_counted_and_failed_ones_logged() {
    let api = Api::start().await;
    api.register("ana").await;
    api.log_in("ana", "muy-secreta-9").await;
    for login in ["ana", "ana@example.com", "nadie"] {
        let body = json!({"login": login, "password": "adivinada-1"});
        assert_eq!(api.post("/api/auth/login/", None, body).await.0, 400);
    }
    assert!((api.server.metric("pregon_logins_total").await - 4.0).abs() < 0.1);
    let log = api.server.log();
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("a login failed")).collect();
    assert_eq!(failed.len(), 3, "{log}");
    assert!(failed.iter().all(|line| line.contains("127.0.0.1") && line.contains("wrong")), "{failed:?}");
    assert!(!log.contains("ana@example.com") && !log.contains("nadie") && !log.contains("adivinada"), "no names");
}

/// Attempts on both names of one account count towards one limit.
#[tokio::test]
async fn an_account_has_one_limit_whatever_it_is_called() {
    let api = Api::with(Server::builder().set("PREGON_RATE_LIMITS", "on")).await;
    api.register("ana").await;
    let attempt = async |login: &str| {
        let body = json!({"login": login, "password": "adivinada-1"});
        api.post("/api/auth/login/", None, body).await.0
    };
    let names = ["ana", "ana@example.com"];
    let attempts = (0..14).map(|number| attempt(names[number % 2]));
    let answers = futures_util::future::join_all(attempts).await;
    let refused = answers.iter().filter(|status| **status == 429).count();
    assert!((3..=4).contains(&refused), "{answers:?}");
}

/// A client that probes which addresses have accounts must soon wait, and then learns nothing.
#[tokio::test]
async fn which_addresses_are_taken_is_not_told_for_nothing() {
    let api = Api::with(Server::builder().set("PREGON_RATE_LIMITS", "on")).await;
    api.register("ana").await;
    let mut told = 0;
    for _ in 0..20 {
        let body = json!({"email": "ana@example.com", "username": "otra", "display_name": "Otra",
            "password": "muy-secreta-9", "password_confirm": "muy-secreta-9"});
        let (status, answer) = api.post("/api/auth/register/", None, body).await;
        match status {
            400 => told += 1,
            429 => assert!(answer["email"].is_null(), "{answer}"),
            other => panic!("{other} {answer}"),
        }
    }
    assert!((1..=8).contains(&told), "{told}");
}
