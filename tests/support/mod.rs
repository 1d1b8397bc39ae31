//! Helpers of the integration tests: the real binary on a free port with its own folder, and clients for it.
#![allow(clippy::needless_pass_by_value, reason = "values read better than references")]

pub mod client;
mod database;
pub mod deflate;
pub mod leaks;
pub mod ledger;
mod limits;
pub mod private;
pub mod push;
pub mod schema;
pub mod v1;
mod wire;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;
use serde_json::{Value, json};

pub use client::Socket;
pub use database::Database;
#[allow(unused_imports, reason = "tests of TLS alone")]
pub use wire::{Papers, Wire, trusting};

/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// How often a server is asked whether it is ready.
const POLL: Duration = Duration::from_millis(10);
/// The secret with which all tests' servers sign tokens.
pub const SECRET: &str = "a secret of the tests, long enough";

/// The key of all tests' operators.
pub const ADMIN_KEY: &str = "the key of the tests' operators";

/// A user of a seeded database.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: String,
    pub username: String,
    pub token: String,
}

/// A room of a seeded database.
#[derive(Debug, Clone, Deserialize)]
pub struct Room {
    pub id: String,
    /// Indexes of the fixture's users.
    pub members: Vec<usize>,
}

/// The output of `pregon seed`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Fixture {
    pub users: Vec<User>,
    pub rooms: Vec<Room>,
}

/// The options for starting a server.
pub struct Builder {
    seed: Option<(usize, usize, usize)>,
    settings: Vec<(String, String)>,
    folder: tempfile::TempDir,
    /// Asked for, whatever the run is about.
    database: Option<Kind>,
    /// Where it speaks TLS.
    papers: Option<Papers>,
}

/// A kind of database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    #[allow(dead_code, reason = "tests/alone plays on both databases")]
    Mariadb,
}

/// A running server. Killed when dropped.
pub struct Server {
    pub child: Child,
    settings: Vec<(String, String)>,
    pub database: Database,
    folder: tempfile::TempDir,
    address: String,
    http: reqwest::Client,
    pub fixture: Fixture,
    pub papers: Option<Papers>,
}

impl Builder {
    /// Seeds users, and rooms with `members` members each, before the start.
    pub fn seed(mut self, users: usize, rooms: usize, members: usize) -> Self {
        self.seed = Some((users, rooms, members));
        self
    }

    /// Sets an environment variable of the server.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// SQLite, whatever the run asks for, because the test opens the file itself.
    pub fn on_file(mut self) -> Self {
        self.database = Some(Kind::File);
        self
    }

    /// MariaDB behind the server, whatever the run asks for.
    #[allow(dead_code, reason = "tests/alone plays on both databases")]
    pub fn on_mariadb(mut self) -> Self {
        self.database = Some(Kind::Mariadb);
        self
    }

    /// With TLS, whatever the run asks for.
    #[allow(dead_code, reason = "tests of TLS alone")]
    pub fn encrypted(mut self) -> Self {
        self.papers = Some(Papers::make(self.folder.path()));
        self
    }

    /// With TLS and a certificate that is there.
    #[allow(dead_code, reason = "tests of TLS alone")]
    pub fn with_papers(mut self, papers: &Papers) -> Self {
        self.papers = Some(papers.clone());
        self
    }

    pub async fn start(mut self) -> Server {
        if std::env::var_os("PREGON_TEST_TLS").is_some_and(|value| value == "on") && self.papers.is_none() {
            self = self.encrypted();
        }
        if let Some(papers) = &self.papers {
            let files = [("PREGON_TLS_CERT", &papers.certificate), ("PREGON_TLS_KEY", &papers.key)];
            self.settings.extend(files.map(|(name, file)| (name.to_owned(), file.to_str().unwrap().to_owned())));
        }
        let folder = self.folder.path();
        let database = match self.database {
            Some(Kind::File) => Database::file(folder),
            Some(Kind::Mariadb) => Database::mariadb().await,
            None => Database::of(folder).await,
        };
        self.settings.insert(0, ("PREGON_DATABASE_URL".to_owned(), database.url()));
        if matches!(database, Database::Mariadb(_)) {
            // The start migrates only a file.
            let output = pregon(&self.settings, self.folder.path()).arg("migrate").output().unwrap();
            assert!(output.status.success(), "migrate: {}", String::from_utf8_lossy(&output.stderr));
        }
        let fixture = match self.seed {
            None => Fixture::default(),
            Some((users, rooms, members)) => seed(&self.settings, self.folder.path(), users, rooms, members),
        };
        let (child, address) = launch(&self.settings, self.folder.path());
        let (http, papers) = (http(self.papers.as_ref()), self.papers);
        Server { child, settings: self.settings, database, folder: self.folder, address, http, fixture, papers }
    }
}

impl Server {
    pub fn builder() -> Builder {
        let folder = tempfile::tempdir().unwrap();
        Builder { seed: None, settings: Vec::new(), folder, database: None, papers: None }
    }

    /// One more server on the same database, with the same settings and users, and a folder of its own.
    #[allow(dead_code, reason = "tests of nodes alone")]
    pub fn another(&self) -> Server {
        self.another_with(&[])
    }

    /// The same with other values of some settings.
    #[allow(dead_code, reason = "tests of nodes alone")]
    pub fn another_with(&self, others: &[(&str, String)]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = self.settings.clone();
        settings.extend(others.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let (child, address) = launch(&settings, folder.path());
        let (http, papers) = (http(self.papers.as_ref()), self.papers.clone());
        let (database, fixture) = (self.database.clone(), self.fixture.clone());
        Server { child, settings, database, folder, address, http, fixture, papers }
    }

    /// A server on an empty database.
    pub async fn start() -> Server {
        Self::builder().start().await
    }

    /// The address of a REST endpoint or page.
    pub fn http(&self, path: &str) -> String {
        let scheme = if self.papers.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// From now on its clients trust this certificate.
    #[allow(dead_code, reason = "tests of TLS alone")]
    pub fn trust(&mut self, papers: Papers) {
        self.http = papers.http();
        self.papers = Some(papers);
    }

    /// What makes REST requests, and trusts the server's certificate where there is one.
    pub fn client(&self) -> &reqwest::Client {
        &self.http
    }

    /// A connection.
    pub async fn wire(&self) -> Wire {
        self.try_wire().await.unwrap()
    }

    /// A connection, if the server still takes one.
    pub async fn try_wire(&self) -> std::io::Result<Wire> {
        self.wire_over(tokio::net::TcpStream::connect(&self.address).await?).await
    }

    /// A connection over one that the test has made.
    pub async fn wire_over(&self, stream: tokio::net::TcpStream) -> std::io::Result<Wire> {
        Wire::over(stream, self.papers.as_ref().map(|papers| papers.client.clone())).await
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file of a server on SQLite.
    pub fn database(&self) -> PathBuf {
        match &self.database {
            Database::File(path) => path.clone(),
            Database::Mariadb(name) => panic!("{name} is no file: this test is about SQLite"),
        }
    }

    pub fn media(&self) -> PathBuf {
        self.folder.path().join("media")
    }

    /// The path of a user's socket in a room.
    pub fn chat_path(&self, room: usize, user: usize) -> String {
        format!("/ws/chat/{}/?token={}", self.fixture.rooms[room].id, self.fixture.users[user].token)
    }

    /// A socket of a user in a room, not yet greeted.
    pub async fn connect(&self, room: usize, user: usize) -> Socket {
        Socket::open(self, &self.chat_path(room, user)).await
    }

    /// A socket of a user in a room, greeted.
    pub async fn join(&self, room: usize, user: usize) -> Socket {
        let mut socket = self.connect(room, user).await;
        socket.expect("connection_success").await;
        socket
    }

    /// The path of one of a user's other sockets: `feed`, `notifications`, `post/<id>`.
    pub fn socket_path(&self, what: &str, user: usize) -> String {
        format!("/ws/{what}/?token={}", self.fixture.users[user].token)
    }

    /// A user's feed, greeted.
    pub async fn feed(&self, user: usize) -> Socket {
        let mut socket = Socket::open(self, &self.socket_path("feed", user)).await;
        let greeting = socket.next_json().await;
        let expected = json!({"type": "connection_established", "message": "Conectado al feed en tiempo real"});
        assert_eq!(greeting, expected);
        socket
    }

    /// A user's notifications, greeted.
    pub async fn notifications(&self, user: usize) -> Socket {
        let mut socket = Socket::open(self, &self.socket_path("notifications", user)).await;
        let text = "Conectado a notificaciones en tiempo real";
        assert_eq!(socket.next_json().await, json!({"type": "connection_established", "message": text}));
        socket
    }

    /// A user's socket on a post. There is no greeting, so a ping shows that it is there.
    pub async fn on_post(&self, post: &Value, user: usize) -> Socket {
        let path = format!("post/{}", post["id"].as_str().unwrap());
        let mut socket = Socket::open(self, &self.socket_path(&path, user)).await;
        assert_eq!(socket.until_pong().await, [Value::Null; 0]);
        socket
    }

    /// A user's id as it stands in JSON.
    pub fn id(&self, user: usize) -> Value {
        json!(self.fixture.users[user].id)
    }

    /// A REST request that must succeed.
    pub async fn done(&self, method: &str, path: &str, user: usize, body: Option<Value>) -> Value {
        let (status, answer) = self.rest(method, path, user, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// A post by REST.
    pub async fn publish(&self, user: usize, content: &str) -> Value {
        self.done("POST", "/api/posts/", user, Some(json!({"content": content}))).await
    }

    /// A user follows another, by REST.
    pub async fn follow(&self, user: usize, other: usize) {
        let path = format!("/api/users/follow/{}/", self.fixture.users[other].username);
        self.done("POST", &path, user, None).await;
    }

    /// Inserts follows, given as pairs of follower and followed, without the server.
    pub async fn seed_follows(&self, pairs: impl Iterator<Item = (usize, usize)>) {
        let pairs: Vec<_> = pairs.filter(|(user, other)| user != other).collect();
        for some in pairs.chunks(5000) {
            let rows = some.iter().map(|&(user, other)| {
                let [user, other] = [user, other].map(|user| self.fixture.users[user].id.replace('-', ""));
                let id = uuid::Uuid::new_v4().simple();
                format!("('{id}', '2026-02-01 10:30:00.000000', '{user}', '{other}')")
            });
            let rows = rows.collect::<Vec<_>>().join(", ");
            let sql = format!("INSERT INTO user_follows (id, created_at, follower_id, following_id) VALUES {rows}");
            assert_eq!(self.execute(&sql, &[]).await, some.len() as u64);
        }
    }

    /// A user stops following another, by REST.
    pub async fn unfollow(&self, user: usize, other: usize) {
        let path = format!("/api/users/unfollow/{}/", self.fixture.users[other].username);
        self.done("DELETE", &path, user, None).await;
    }

    /// Everything that the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// Where the server hears operators, as it has logged.
    pub fn admin_address(&self) -> String {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains("operators are heard")).expect("no operators are heard");
        // As text or as JSON.
        let (_, rest) = line.rsplit_once("address=").or_else(|| line.rsplit_once("\"address\":\"")).unwrap();
        rest.split('"').next().unwrap_or_default().trim().to_owned()
    }

    /// Runs a command that asks this server something, as its operator. `None` in place of a key: the right one.
    pub fn operate(&self, key: Option<&str>, arguments: &[&str]) -> std::process::Output {
        let mut command = self.command();
        command.env("PREGON_ADMIN_ADDRESS", self.admin_address());
        if let Some(key) = key {
            command.env("PREGON_ADMIN_KEY", key);
        }
        command.args(arguments).output().unwrap()
    }

    /// Waits until a text is logged.
    pub async fn wait_for_log(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "{text:?} is never logged");
            tokio::task::yield_now().await;
        }
    }

    /// Kills the server as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same folder.
    pub fn restart(&mut self) {
        (self.child, self.address) = launch(&self.settings, self.folder.path());
    }

    /// Starts it again at the same address.
    pub fn restart_in_place(&mut self) {
        let address = self.address.clone();
        self.settings.push(("PREGON_LISTEN".to_owned(), address));
        self.restart();
    }

    /// The command that would start a second server beside the running one.
    pub fn command(&self) -> Command {
        pregon(&self.settings, self.folder.path())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The status of a GET without a token.
    pub async fn status(&self, path: &str) -> u16 {
        self.http.get(self.http(path)).send().await.unwrap().status().as_u16()
    }

    /// Asks until a GET is answered with this status.
    pub async fn wait_for_status(&self, path: &str, status: u16) {
        let began = Instant::now();
        while self.status(path).await != status {
            assert!(began.elapsed() < PATIENCE, "{path} is never answered with {status}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends SIGTERM and waits for the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let server = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        let end = pidfd_open(server, PidfdFlags::empty()).unwrap();
        self.signal("TERM");
        self.wait_for_the_end(&end)
    }

    /// Waits for the exit code of a server that has been told to stop.
    pub fn exit_code(&mut self) -> Option<i32> {
        let server = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        let end = pidfd_open(server, PidfdFlags::empty()).unwrap();
        self.wait_for_the_end(&end)
    }

    fn wait_for_the_end(&mut self, end: &OwnedFd) -> Option<i32> {
        let patience = Timespec::try_from(PATIENCE * 2).unwrap();
        let ended = poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(ended, 1, "the server does not stop");
        self.child.wait().unwrap().code()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// A metric's value, summed over its labels; 0 if it does not exist.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.http.get(self.http("/metrics")).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let (name, label) = name.trim_end_matches('}').split_once('{').unwrap_or((name, ""));
        let is_it = |rest: &str| rest.starts_with([' ', '{']) && rest.contains(label);
        text.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(is_it))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The value of a metric with these labels, as it stands in the text.
    pub async fn labelled(&self, name: &str) -> f64 {
        let answer = self.http.get(self.http("/metrics")).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until a metric is as wanted.
    pub async fn wait_for_metric(&self, name: &str, is_wanted: impl Fn(f64) -> bool) {
        let began = Instant::now();
        loop {
            let value = self.metric(name).await;
            if is_wanted(value) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{name} stays at {value}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// A REST request as a user; status and JSON body.
    pub async fn rest(&self, method: &str, path: &str, user: usize, body: Option<Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method.clone(), self.http(path));
        request = request.bearer_auth(&self.fixture.users[user].token);
        if let Some(body) = body {
            leaks::said(&body);
            request = request.json(&body);
        }
        let response = request.timeout(PATIENCE).send().await.unwrap();
        let status = response.status().as_u16();
        let answer = response.json().await.unwrap_or(Value::Null);
        schema::check(method.as_str(), path, status, &answer);
        (status, answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        } else {
            leaks::check(&self.log());
        }
    }
}

/// A client of REST. Each request has a connection of its own, because a test may make them in several runtimes.
fn http(papers: Option<&Papers>) -> reqwest::Client {
    papers.map_or_else(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(), Papers::http)
}

/// A command of the real binary with the tests' settings and without the caller's environment.
pub fn pregon(settings: &[(String, String)], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pregon"));
    command.current_dir(folder).env_clear();
    command.env("PREGON_DATABASE_URL", Database::file(folder).url());
    command.env("PREGON_MEDIA_DIR", folder.join("media"));
    command.env("PREGON_JWT_SECRET", SECRET);
    command.env("PREGON_LISTEN", "127.0.0.1:0");
    command.env("PREGON_RATE_LIMITS", "off");
    command.env("PREGON_DRAIN_SECONDS", "1");
    command.env("RUST_BACKTRACE", "1");
    // How frames are sent: tests with sockets run on both ways. And the page's folder, so that a changed page is tried
    // without a build.
    for name in ["PREGON_IO", "PREGON_WEB_DIR"] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    if settings.iter().any(|(_, value)| value.starts_with("mysql://")) {
        // Several, however few cores this machine has.
        command.env("PREGON_WRITE_LANES", "4");
    }
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

fn seed(settings: &[(String, String)], folder: &Path, users: usize, rooms: usize, members: usize) -> Fixture {
    let out = folder.join("fixture.json");
    let numbers = [("--users", users), ("--rooms", rooms), ("--members", members)];
    let mut command = pregon(settings, folder);
    command.arg("seed").arg("--out").arg(&out);
    for (flag, number) in numbers {
        command.arg(flag).arg(number.to_string());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "seed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_reader(File::open(out).unwrap()).unwrap()
}

/// Starts the server and waits for the line that says where it listens.
fn launch(settings: &[(String, String)], folder: &Path) -> (Child, String) {
    let log = File::options().create(true).append(true).open(folder.join("server.log")).unwrap();
    let mut child = pregon(settings, folder).arg("serve").stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| {
        let line = line.ok()?;
        let rest = line.split("://").nth(1)?;
        Some(rest.split(['/', ' ']).next().unwrap_or_default().to_owned())
    });
    match address {
        Some(address) => (child, address),
        None => {
            let _ = child.kill();
            let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
            panic!("the server does not start:\n{log}");
        }
    }
}
