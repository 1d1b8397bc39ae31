//! `/api/auth/` over real HTTP: the exact text of every answer and refusal.

use crate::support::{SECRET, Server};
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use pregon::ids::UserId;
use reqwest::{Method, Response};
use serde_json::{Value, json};

struct Api {
    server: Server,
    client: reqwest::Client,
}

impl Api {
    async fn start() -> Self {
        Self::with(Server::builder()).await
    }

    async fn with(builder: crate::support::Builder) -> Self {
        Self { server: builder.start().await, client: reqwest::Client::new() }
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Response {
        let mut request = self.client.request(method, self.server.http(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.send(Method::POST, path, None, Some(body)).await).await
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        read(self.send(Method::GET, path, Some(token), None).await).await
    }

    async fn register(&self, name: &str) -> Value {
        let (status, answer) = self.post("/api/auth/register/", &ana(name)).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

fn ana(name: &str) -> Value {
    json!({"email": format!("{name}@Example.com"), "username": name, "display_name": format!(" {name} Pérez "),
        "password": " muy-secreta-9 ", "password_confirm": "muy-secreta-9"})
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn one_registers_logs_in_and_is_known() {
    let api = Api::start().await;
    let registered = api.register("Ana").await;
    assert_eq!(registered["message"], "Usuario registrado exitosamente");
    let user = &registered["user"];
    assert_eq!((&user["username"], &user["email"]), (&json!("ana"), &json!("ana@example.com")));
    assert_eq!((&user["display_name"], user.as_object().unwrap().len()), (&json!("Ana Pérez"), 28));
    let access = text(&registered["tokens"]["access"]);

    for login in ["ana", " ANA ", "Ana@EXAMPLE.com"] {
        let (status, answer) =
            api.post("/api/auth/login/", &json!({"login": login, "password": " muy-secreta-9 "})).await;
        assert_eq!((status, &answer["user"]), (200, user), "{login}");
        assert!(answer["refresh"].is_string() && answer["access"].is_string());
    }
    let mut profile = user.clone();
    for key in ["first_name", "last_name"] {
        profile[key] = json!("");
    }
    for key in ["is_following", "is_friend", "is_blocked"] {
        profile[key] = json!(false);
    }
    profile["friend_request_status"] = json!(null);
    for path in ["/api/auth/profile/", "/api/auth/profile", "/api/users/profile/", "/api/users/profile/ana/"] {
        assert_eq!(api.get(path, access).await, (200, profile.clone()), "{path}");
    }
    assert_eq!(api.get("/api/auth/verify/", access).await, (200, json!({"valid": true, "user": user})));
}

#[tokio::test]
async fn forms_are_taken_as_json_is() {
    let api = Api::start().await;
    api.register("ana").await;
    let form = "login=ana&password=muy-secreta-9";
    let request = api.client.post(api.server.http("/api/auth/login/")).body(form);
    let request = request.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let form = reqwest::multipart::Form::new().text("login", "ana").text("password", "muy-secreta-9");
    let request = api.client.post(api.server.http("/api/auth/login/")).multipart(form);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_wrong_login_says_no_more_than_it_must() {
    let api = Api::start().await;
    api.register("ana").await;
    let required = json!(["Este campo es requerido."]);
    let blank = json!(["Este campo no puede estar en blanco."]);
    let wrong = json!({"non_field_errors": ["Credenciales inválidas."]});
    for (body, expected) in [
        (json!({"login": "ana", "password": "otra"}), wrong.clone()),
        (json!({"login": "nadie", "password": "muy-secreta-9"}), wrong.clone()),
        (json!({"login": "nadie@example.com", "password": "muy-secreta-9"}), wrong),
        (json!({"username": "ana", "email": "ana", "password": "x"}), json!({"login": required})),
        (json!({"login": "ana"}), json!({"password": required})),
        (json!({"login": "ana", "password": "  "}), json!({"password": blank})),
        (json!({}), json!({"login": required, "password": required})),
        (json!({"login": ["ana"], "password": "x"}), json!({"login": ["No es una cadena válida."]})),
        (json!([]), json!({"non_field_errors": ["Datos inválidos. Se esperaba un diccionario pero es un list."]})),
    ] {
        assert_eq!(api.post("/api/auth/login/", &body).await, (400, expected), "{body}");
    }
}

#[tokio::test]
async fn a_body_that_is_none_is_told_so() {
    let api = Api::start().await;
    let send = async |kind: &str, body: String| {
        let request = api.client.post(api.server.http("/api/auth/login/")).header("content-type", kind).body(body);
        read(request.send().await.unwrap()).await
    };
    let (status, answer) = send("application/json", "{\"login\": ".into()).await;
    assert!(status == 400 && text(&answer["detail"]).starts_with("JSON parse error - "), "{answer}");
    assert_eq!(
        send("text/plain", "x".into()).await,
        (415, json!({"detail": "Tipo de medio \"text/plain\" incompatible en la solicitud."}))
    );
    assert_eq!(send("application/json", "[".repeat(5_000)).await.0, 400);
    // Values are counted before any is made.
    assert_eq!(send("application/json", "[".repeat(200_000)).await.0, 413);
    assert_eq!(send("application/json", " ".repeat(300_000)).await.0, 413);
    let response = api.send(Method::GET, "/api/auth/login/", None, None).await;
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(read(response).await, (405, json!({"detail": "Método \"GET\" no permitido."})));
}

#[tokio::test]
async fn registration_names_all_faults_at_once() {
    let api = Api::start().await;
    api.register("ana").await;
    let (status, faults) = api
        .post(
            "/api/auth/register/",
            &json!({"email": "ana@example.com", "username": "ANA", "display_name": " x ", "password": "corta",
                "account_type": "zz", "website": "javascript:alert(1)", "bio": "x".repeat(501)}),
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(
        faults,
        json!({
            "email": ["Ya existe Usuario con este Email."],
            "username": ["Ya existe Usuario con este Nombre de usuario."],
            "display_name": ["El nombre para mostrar debe tener al menos 2 caracteres."],
            "password": ["Asegúrese de que este campo tenga al menos 8 caracteres."],
            "password_confirm": ["Este campo es requerido."],
            "account_type": ["\"zz\" no es una elección válida."],
            "website": ["Introduzca una URL válida."],
            "bio": ["Asegúrese de que este campo no tenga más de 500 caracteres."],
        })
    );
    let with = |name: &str, value: &str| {
        let mut body = ana("beto");
        body[name] = json!(value);
        if name == "password" {
            body["password_confirm"] = json!(value);
        }
        body
    };
    for (name, value, field, text) in [
        ("email", "beto", "email", "Introduzca una dirección de correo electrónico válida."),
        ("username", "be", "username", "El nombre de usuario debe tener al menos 3 caracteres."),
        ("username", "be to", "username", "El username solo puede contener letras, números y guiones bajos"),
        ("username", "béto", "username", "El username solo puede contener letras, números y guiones bajos"),
        ("password", "password1", "password", "Esta contraseña es demasiado común."),
        ("password", "74920184756", "password", "Esta contraseña es completamente numérica."),
        ("password_confirm", "otra-cosa-9", "password_confirm", "Las contraseñas no coinciden."),
    ] {
        let answer = api.post("/api/auth/register/", &with(name, value)).await;
        assert_eq!(answer, (400, json!({field: [text]})), "{name} {value}");
    }
    // Two at once: one creates the user, the other is told that the name is taken.
    let body = ana("beto");
    let (one, other) = tokio::join!(api.post("/api/auth/register/", &body), api.post("/api/auth/register/", &body));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400]);
}

#[tokio::test]
async fn every_bad_token_has_its_answer() {
    let api = Api::start().await;
    let registered = api.register("ana").await;
    let user: UserId = text(&registered["user"]["id"]).parse().unwrap();
    let tokens = Tokens::new(SECRET.as_bytes());
    let refused = |message: &str| {
        json!({"detail": "El token dado no es valido para ningun tipo de token", "code": "token_not_valid",
            "messages": [{"token_class": "AccessToken", "token_type": "access", "message": message}]})
    };
    let bad = refused("El token es inválido o ha expirado");
    let expired = tokens.issue_access_for(user, Timestamp::now().plus_seconds(-10), 10);
    let nobody = tokens.issue_access(UserId::fresh(), Timestamp::now());
    let others = Tokens::new(b"another secret altogether").issue_access(user, Timestamp::now());
    let bearer = |token: &str| format!("Bearer {token}");
    let missing = json!({"detail": "Las credenciales de autenticación no se proveyeron."});
    let malformed = json!({"detail": "El encabezado 'Authorization' debe contener valores delimitados por espacios",
        "code": "bad_authorization_header"});
    for (header, expected) in [
        (String::new(), missing.clone()),
        ("Basic YTpi".into(), missing.clone()),
        ("bearer x".into(), missing),
        ("Bearer".into(), malformed.clone()),
        ("Bearer a b".into(), malformed),
        (bearer("mock_access_token_1"), bad.clone()),
        (bearer(&expired), bad.clone()),
        (bearer(&others), bad),
        (bearer(text(&registered["tokens"]["refresh"])), refused("El token tiene un tipo incorrecto")),
        (bearer(&nobody), json!({"detail": "Usuario no encontrado", "code": "user_not_found"})),
    ] {
        let request = api.client.get(api.server.http("/api/auth/profile/")).header("authorization", &header);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"api\"", "{header}");
        assert_eq!(read(response).await, (401, expected), "{header}");
    }
}

#[tokio::test]
async fn a_deactivated_user_is_out() {
    let api = Api::start().await;
    let registered = api.register("ana").await;
    assert_eq!(api.server.execute("UPDATE users SET is_active = 0 WHERE username = 'ana'", &[]).await, 1);
    let inactive = json!({"detail": "El usuario está inactivo", "code": "user_inactive"});
    // Accounts are cached for a few seconds.
    let began = std::time::Instant::now();
    while api.get("/api/auth/verify/", text(&registered["tokens"]["access"])).await != (401, inactive.clone()) {
        assert!(began.elapsed() < crate::support::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let refresh = json!({"refresh": registered["tokens"]["refresh"]});
    assert_eq!(api.post("/api/auth/refresh/", &refresh).await, (401, inactive));
    let login = |password: &str| json!({"login": "ana", "password": password});
    assert_eq!(
        api.post("/api/auth/login/", &login("muy-secreta-9")).await,
        (400, json!({"non_field_errors": ["Esta cuenta está desactivada."]}))
    );
    assert_eq!(
        api.post("/api/auth/login/", &login("otra")).await,
        (400, json!({"non_field_errors": ["Credenciales inválidas."]}))
    );
}

#[tokio::test]
async fn refresh_rotates_and_logout_ends_it() {
    let api = Api::start().await;
    let registered = api.register("ana").await;
    let first = registered["tokens"]["refresh"].clone();
    let (status, renewed) = api.post("/api/auth/refresh/", &json!({"refresh": first})).await;
    assert_eq!((status, renewed.as_object().unwrap().len()), (200, 2));
    assert_ne!(renewed["refresh"], first);
    assert_eq!(api.get("/api/auth/verify/", text(&renewed["access"])).await.0, 200);
    assert_eq!(api.post("/api/auth/refresh/", &json!({"refresh": first})).await.0, 200, "the old one stays valid");

    let bad = json!({"detail": "El token es inválido o ha expirado", "code": "token_not_valid"});
    assert_eq!(api.post("/api/auth/refresh/", &json!({"refresh": "x"})).await, (401, bad.clone()));
    assert_eq!(
        api.post("/api/auth/refresh/", &json!({"refresh": renewed["access"]})).await,
        (401, json!({"detail": "El token tiene un tipo incorrecto", "code": "token_not_valid"}))
    );
    assert_eq!(
        api.post("/api/auth/refresh/", &json!({})).await,
        (400, json!({"refresh": ["Este campo es requerido."]}))
    );

    let done = json!({"message": "Sesión cerrada exitosamente"});
    let access = text(&renewed["access"]);
    let body = json!({"refresh_token": first});
    let response = api.send(Method::POST, "/api/auth/logout/", Some(access), Some(&body)).await;
    assert_eq!(read(response).await, (200, done.clone()));
    for token in [&first, &renewed["refresh"]] {
        assert_eq!(api.post("/api/auth/refresh/", &json!({"refresh": token})).await, (401, bad.clone()), "its family");
    }
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let api = Api::start().await;
    let registered = api.register("ana").await;
    let access = text(&registered["tokens"]["access"]);
    let change = async |body: Value| {
        read(api.send(Method::POST, "/api/auth/change-password/", Some(access), Some(&body)).await).await
    };
    let wrong = json!({"old_password": ["La contraseña actual es incorrecta."]});
    assert_eq!(change(json!({"old_password": "otra", "new_password": "nueva-clave-7"})).await, (400, wrong));
    let common = json!({"new_password": ["Esta contraseña es demasiado común."]});
    assert_eq!(change(json!({"old_password": "muy-secreta-9", "new_password": "password1"})).await, (400, common));
    let body = json!({"old_password": "muy-secreta-9", "new_password": "nueva-clave-7"});
    assert_eq!(change(body).await.0, 200);
    let login = |password: &str| json!({"login": "ana", "password": password});
    assert_eq!(api.post("/api/auth/login/", &login("nueva-clave-7")).await.0, 200);
    assert_eq!(api.post("/api/auth/login/", &login("muy-secreta-9")).await.0, 400);
}

/// In the app page's spelling, with the faults under its field names.
#[tokio::test]
async fn a_password_is_changed_in_the_spelling_of_the_app() {
    let api = Api::start().await;
    let registered = api.register("ana").await;
    let access = text(&registered["tokens"]["access"]);
    let change = async |current: &str, new: &str, confirm: &str| {
        let body = json!({"current_password": current, "new_password": new, "new_password_confirm": confirm});
        read(api.send(Method::POST, "/api/auth/change-password/", Some(access), Some(&body)).await).await
    };
    let fault = |name: &str, text: &str| (400, json!({name: [text]}));
    assert_eq!(
        change("otra", "nueva-clave-7", "nueva-clave-7").await,
        fault("current_password", "La contraseña actual es incorrecta.")
    );
    assert_eq!(
        change("", "nueva-clave-7", "nueva-clave-7").await,
        fault("current_password", "Este campo no puede estar en blanco.")
    );
    assert_eq!(
        change("muy-secreta-9", "nueva-clave-7", "nueva-clave-8").await,
        fault("new_password_confirm", "Las contraseñas no coinciden.")
    );
    let done = json!({"message": "Contraseña cambiada exitosamente"});
    assert_eq!(change("muy-secreta-9", "nueva-clave-7", "nueva-clave-7").await, (200, done));
    let login = json!({"login": "ana", "password": "nueva-clave-7"});
    assert_eq!(api.post("/api/auth/login/", &login).await.0, 200);
}

/// Names that may collide with a path that takes a username, and official names.
#[tokio::test]
async fn reserved_names_are_refused() {
    let api = Api::start().await;
    for name in ["followers", "Following", "friends", "profile", "chat", "follow", "unfollow", "search", "SOS", "admin"]
    {
        let body = json!({
            "username": name, "email": "x@example.com", "display_name": "Alguien",
            "password": "muy-secreta-9", "password_confirm": "muy-secreta-9"
        });
        let refused = json!({"username": ["Este nombre de usuario está reservado."]});
        assert_eq!(api.post("/api/auth/register/", &body).await, (400, refused), "{name}");
    }
    api.register("followers_1").await;
}

/// An invisible name leaves a hole in every list, and one with control characters is worse.
#[tokio::test]
async fn a_display_name_shows_something() {
    let api = Api::start().await;
    let register = async |name: &str| {
        let body = json!({
            "username": "ana", "email": "ana@example.com", "display_name": name,
            "password": "muy-secreta-9", "password_confirm": "muy-secreta-9"
        });
        api.post("/api/auth/register/", &body).await
    };
    for name in
        ["\u{FEFF}\u{FEFF}", "\u{200B}\u{200D}\u{2060}", "\u{3164}\u{3164}", "a\u{7}b", "a\nb", "\u{202E}\u{2800}"]
    {
        let (status, body) = register(name).await;
        assert_eq!((status, body["display_name"].is_array()), (400, true), "{name:?}: {body}");
    }
    assert_eq!(register("Ana \u{1F468}\u{200D}\u{1F469}").await.0, 201, "joined emoji are one sign");
}

#[tokio::test]
async fn guessing_is_slowed_down_by_address_and_login() {
    let api = Api::with(Server::builder().set("PREGON_RATE_LIMITS", "on")).await;
    let body = json!({"login": "ana", "password": "x"});
    // All at once, because waiting for hashes would earn new attempts.
    let send = || api.send(Method::POST, "/api/auth/login/", None, Some(&body));
    let answers = futures_util::future::join_all((0..12).map(|_| send())).await;
    let refused: Vec<_> = answers.into_iter().filter(|answer| answer.status() == 429).collect();
    assert_eq!(refused.len(), 2);
    let last = &refused[0];
    let wait: u64 = last.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(api.post("/api/auth/login/", &json!({"login": "beto", "password": "x"})).await.0, 400);
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    let api = Api::with(Server::builder().set("PREGON_LOG_LEVEL", "trace").set("PREGON_LOG_FORMAT", "json")).await;
    let registered = api.register("ana").await;
    let access = text(&registered["tokens"]["access"]);
    assert_eq!(api.get(&format!("/api/users/search/?q=ana&token={access}"), access).await.0, 200);
    let log = api.server.log();
    assert!(log.contains("/api/auth/register"), "requests are logged");
    for secret in ["muy-secreta-9", access, "ana@example.com", SECRET, "q=ana"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
