//! Tests deploy/nginx.conf unchanged, in Debian's nginx, in front of a real pregon and a real Django.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::backend::Django;
use crate::support::private::service::HeldPort;
use crate::support::{PATIENCE, Socket};
use serde_json::{Value, json};

/// A running nginx. Stopped when dropped.
struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
    _held: HeldPort,
}

/// The file with this machine's ports and paths in place of an operator's.
fn adapted(port: u16, pregon: &str, django: &str, folder: &Path) -> String {
    let mut text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx.conf")).unwrap();
    for (from, to) in [
        ("listen 80;", format!("listen 127.0.0.1:{port};")),
        ("server 127.0.0.1:8000;", format!("server {pregon};")),
        ("server 127.0.0.1:8001;", format!("server {django};")),
        ("/var/log/nginx/pregon.log", folder.join("access.log").display().to_string()),
        ("/var/log/nginx/pregon-error.log", folder.join("sockets.log").display().to_string()),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, &to);
    }
    text
}

fn program() -> PathBuf {
    let debians = Path::new("/usr/sbin/nginx");
    if debians.exists() { debians.into() } else { "nginx".into() }
}

impl Nginx {
    async fn start(pregon: &str, django: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let held = HeldPort::new();
        let port = held.number();
        let path = folder.path();
        let site = folder.path().join("site.conf");
        std::fs::write(&site, adapted(port, pregon, django, path)).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", path.join(what).display()))
            .concat();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log {} warn;\nevents {{}}\nhttp {{\n{temporary}include {};\n}}\n",
            path.join("pid").display(),
            path.join("error.log").display(),
            site.display()
        );
        let main = path.join("nginx.conf");
        std::fs::write(&main, whole).unwrap();
        let mut command = Command::new(program());
        command.arg("-p").arg(path).arg("-c").arg(&main).arg("-e").arg(path.join("error.log"));
        let checked = Command::new(program()).arg("-t").arg("-p").arg(path).arg("-c").arg(&main).output();
        let checked = checked.unwrap_or_else(|error| panic!("nginx: {error}; tests/run installs it"));
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, folder, port, _held: held };
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "nginx does not serve");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        nginx
    }

    fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Everything that it logged, in all files.
    fn logs(&self) -> String {
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        ["access.log", "sockets.log", "error.log"].map(read).concat()
    }

    fn access_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries to log in from one of this machine's addresses. Returns the status.
async fn attempt(url: &str, from: &str, claimed: Option<&str>) -> u16 {
    let client = reqwest::Client::builder().local_address(from.parse::<IpAddr>().unwrap()).build().unwrap();
    let mut request = client.post(url).json(&json!({"login": "ana", "password": "equivocada"}));
    if let Some(claimed) = claimed {
        request = request.header("X-Forwarded-For", claimed).header("Forwarded", format!("for={claimed}"));
    }
    request.timeout(PATIENCE).send().await.unwrap().status().as_u16()
}

async fn json_of(url: String, token: &str) -> Value {
    let response = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
    let status = response.status();
    response.json().await.unwrap_or_else(|error| panic!("{status}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_path_goes_to_its_server_and_sockets_pass() {
    let django = Django::start().await;
    django.pregon(&["migrate"]);
    let ana = django.user("ana").await;
    let beto = django.user("beto").await;
    let server = django.pregon_server_with(&[&ana, &beto], &[("PREGON_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let nginx = Nginx::start(server.address(), django.address()).await;
    let token = ana["token"].as_str().unwrap();
    assert_eq!(json_of(nginx.http("/api/auth/profile/"), token).await["served_by"], "django");
    assert_eq!(json_of(nginx.http("/api/notifications/"), token).await["count"], 0);
    assert_eq!(json_of(nginx.http("/api/messaging/chats/"), token).await["count"], 0);
    let open =
        reqwest::Client::new().post(nginx.http("/api/users/chat/beto/")).bearer_auth(token).send().await.unwrap();
    assert_eq!(open.status().as_u16(), 201);
    let room = open.json::<Value>().await.unwrap()["chat"]["id"].as_str().unwrap().to_owned();

    let address = format!("127.0.0.1:{}", nginx.port);
    let mut feed = Socket::try_open_at(&address, &format!("/ws/feed/?token={token}"), &[]).await.unwrap();
    assert_eq!(feed.next_json().await["type"], "connection_established");
    let mut chat = Socket::try_open_at(&address, &format!("/ws/chat/{room}/?token={token}"), &[]).await.unwrap();
    chat.expect("connection_success").await;
    chat.send(json!({"type": "chat_message", "content": "hola"})).await;
    assert_eq!(chat.expect("chat_message").await["message"]["content"], "hola");
    django.wait_for_group(&format!("feed_{}", ana["id"].as_str().unwrap()), 1).await;
    // A post the way the page makes it: Django's REST behind the proxy, the frame from pregon behind the same proxy.
    let post = reqwest::Client::new()
        .post(nginx.http("/api/posts/"))
        .bearer_auth(token)
        .json(&json!({"content": "por el proxy"}))
        .send()
        .await
        .unwrap();
    assert_eq!(post.status().as_u16(), 201);
    let post: Value = post.json().await.unwrap();
    let frame = feed.next_json().await;
    assert_eq!((&frame["type"], &frame["post"]["id"]), (&json!("new_post"), &post["id"]));
    feed.close().await;
    chat.close().await;
    let began = Instant::now();
    while !nginx.access_log().contains("\"GET /ws/feed/\" 101") {
        assert!(began.elapsed() < PATIENCE, "{}", nginx.access_log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!nginx.access_log().contains("token") && !nginx.access_log().contains(token), "{}", nginx.access_log());
}

/// If nobody listens upstream, nginx logs an error for every attempt of every client.
#[tokio::test]
async fn a_token_is_in_no_log_when_pregon_is_away() {
    let held = HeldPort::new();
    let nobody = format!("127.0.0.1:{}", held.number());
    let nginx = Nginx::start(&nobody, &nobody).await;
    for path in ["/ws/feed/?token=hunter2", "/api/notifications/?page=1"] {
        assert_eq!(reqwest::get(nginx.http(path)).await.unwrap().status().as_u16(), 502);
    }
    let began = Instant::now();
    while !(nginx.logs().contains("GET /ws/feed/\" 502") && nginx.logs().contains("connect() failed")) {
        assert!(began.elapsed() < PATIENCE, "{}", nginx.logs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!nginx.logs().contains("hunter2"), "{}", nginx.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_alone_says_where_clients_come_from() {
    let django = Django::start().await;
    django.pregon(&["migrate"]);
    let ana = django.user("ana").await;
    let more = [("PREGON_TRUSTED_PROXIES", "127.0.0.1"), ("PREGON_RATE_LIMITS", "on")];
    let server = django.pregon_server_with(&[&ana], &more).await;
    // Behind this proxy, logins go to Django. Here they go to pregon, whose limits distinguish clients.
    let nginx = Nginx::start(server.address(), server.address()).await;
    let login = nginx.http("/api/auth/login/");
    let mut tries = 0;
    while attempt(&login, "127.0.0.2", None).await != 429 {
        tries += 1;
        assert!(tries < 50, "nobody counts");
    }
    assert_eq!(attempt(&login, "127.0.0.3", None).await, 400, "another client behind the same proxy");
    assert_eq!(
        attempt(&login, "127.0.0.2", Some("203.0.113.7")).await,
        429,
        "the proxy does not pass on what clients claim"
    );
    let direct = server.http("/api/auth/login/");
    assert_eq!(attempt(&direct, "127.0.0.2", Some("203.0.113.8")).await, 429, "past the proxy nobody is believed");
    assert_eq!(attempt(&direct, "127.0.0.1", Some("203.0.113.9")).await, 400, "the proxy is");
}
