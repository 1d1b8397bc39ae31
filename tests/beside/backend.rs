//! A real Django beside the server: the fixture project of tests/django on a private MariaDB, its WSGI application on
//! loopback, and its channel layer in a private Redis.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::python;
use crate::redis::Redis;
use crate::support::private::MariaDb;
use crate::support::{PATIENCE, SECRET, Server, User};

/// A running Django with its own database. Stopped when dropped.
pub struct Django {
    child: Child,
    address: String,
    pub database: String,
    pub redis: Redis,
}

impl Django {
    /// Runs the real migrations in an empty database, then pregon's.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with ids in `char(32)`, as on MySQL and older MariaDB.
    pub async fn start_with_char_ids() -> Self {
        Self::start_with(&[("FIXTURE_UUID", "char")]).await
    }

    async fn start_with(more: &[(&str, &str)]) -> Self {
        let database = MariaDb::shared().new_database().await;
        let redis = Redis::start();
        let environment = environment(&database, &redis.url(), more);
        run(manage(&environment, &["migrate"]));
        let mut command = manage(&environment, &["serve"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").to_owned();
        assert!(!address.is_empty(), "Django does not serve");
        Self { child, address, database, redis }
    }

    /// `host:port` of its WSGI application.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The database's address for pregon.
    pub fn database_url(&self) -> String {
        MariaDb::shared().url(&self.database)
    }

    /// The settings of a pregon beside this Django.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PREGON_DATABASE_URL", self.database_url()),
            ("PREGON_REDIS_URL", self.redis.url()),
            ("PREGON_DB_ZONE", "America/Bogota".to_owned()),
        ]
    }

    /// Runs a `pregon` command as an operator would.
    pub fn pregon(&self, arguments: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<(String, String)> =
            self.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut command = crate::support::pregon(&settings, folder.path());
        command.args(arguments);
        run(command)
    }

    /// A pregon beside it with these users. The database has pregon's own tables.
    pub async fn pregon_server(&self, users: &[&Value]) -> Server {
        self.pregon_server_with(users, &[]).await
    }

    /// The same with further settings.
    pub async fn pregon_server_with(&self, users: &[&Value], more: &[(&str, &str)]) -> Server {
        let mut builder = Server::builder();
        for (name, value) in self.settings() {
            builder = builder.set(name, value);
        }
        for (name, value) in more {
            builder = builder.set(name, value);
        }
        let mut server = builder.start().await;
        server.fixture.users = users.iter().map(|user| user_of(user)).collect();
        if more.iter().all(|(name, _)| *name != "PREGON_REDIS_URL") {
            server.wait_for_metric("pregon_django_redis", |up| up == 1.0).await;
        }
        server
    }

    /// Performs an action of `social/actions.py` with the ORM.
    pub async fn act(&self, action: &str, arguments: Value) -> Value {
        let url = format!("http://{}/fixture/{action}/", self.address);
        let response = reqwest::Client::new().post(url).json(&arguments).timeout(PATIENCE).send().await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert!(status.is_success(), "{action} {arguments}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A new user with a token that Django signed.
    pub async fn user(&self, username: &str) -> Value {
        self.act("make_user", json!({"username": username})).await
    }

    /// The number in Redis's answer to a command.
    pub async fn redis_number(&self, command: &str) -> i64 {
        let answer = self.redis(command).await;
        answer.trim_start_matches(':').parse().unwrap_or_else(|_| panic!("{command}: {answer}"))
    }

    /// The first line of Redis's answer.
    async fn redis(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.redis.port())).await.unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        tokio::io::BufReader::new(stream).read_line(&mut line).await.unwrap();
        line.trim().to_owned()
    }

    /// Sets one of Redis's settings.
    pub async fn redis_set(&self, setting: &str, value: &str) {
        assert_eq!(self.redis(&format!("CONFIG SET {setting} {value}")).await, "+OK");
    }

    /// Empties Redis.
    pub async fn redis_flush(&self) {
        assert_eq!(self.redis("FLUSHALL").await, "+OK");
    }

    /// Makes all entries in pregon's ledger of processes look old.
    pub async fn redis_age_ledger(&self) {
        let script = "local found = redis.call('ZRANGE','asgi:pregon:queues',0,-1) \
            for _, queue in ipairs(found) do redis.call('ZADD','asgi:pregon:queues',1,queue) end return #found";
        assert_eq!(self.redis_number(&format!("EVAL \"{script}\" 0")).await, 8);
    }

    /// Puts invalid elements into all queues. Returns how many.
    pub async fn redis_throw_garbage(&self, each: i64) -> i64 {
        let script = format!(
            "local found = redis.call('ZRANGE','asgi:pregon:queues',0,-1) \
             for _, queue in ipairs(found) do for n = 1, {each} do \
             redis.call('ZADD', 'asgispecific.' .. queue .. '!', n, 'garbage' .. n .. string.rep('x', n)) end end \
             return #found * {each}"
        );
        self.redis_number(&format!("EVAL \"{script}\" 0")).await
    }

    /// Waits until `members` processes are in a group of the channel layer.
    pub async fn wait_for_group(&self, group: &str, members: i64) {
        let began = Instant::now();
        loop {
            let found = self.redis_number(&format!("ZCARD asgi:group:{group}")).await;
            if found == members {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{group} has {found} members");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Django {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user from `make_user`, in the form of the server's fixture.
pub fn user_of(user: &Value) -> User {
    let text = |key: &str| user[key].as_str().unwrap().to_owned();
    User { id: text("id"), username: text("username"), token: text("token") }
}

fn environment(database: &str, redis: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let port = MariaDb::shared().port().to_string();
    let fixed = [
        ("FIXTURE_SECRET", SECRET),
        ("FIXTURE_DATABASE", database),
        ("FIXTURE_PORT", &port),
        ("FIXTURE_USER", "pregon"),
        ("FIXTURE_PASSWORD", "pregon"),
        ("FIXTURE_REDIS", redis),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    fixed.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/django")
}

fn manage(environment: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(python());
    command.current_dir(project()).arg("manage.py").args(arguments);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// The Python interpreter of an environment with the packages that `requirements.txt` pins.
pub fn python() -> PathBuf {
    python::environment("django", "tests/django/requirements.txt").join("bin/python")
}

fn run(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
