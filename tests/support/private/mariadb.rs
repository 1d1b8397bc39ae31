//! A private MariaDB: one for all tests of a run or process, and instances that a test may stop and kill.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

use super::service::{HeldPort, Service, new_folder};

/// The tests' account, with the same password everywhere. The server takes one statement per line.
const ACCOUNT: &str = "CREATE USER IF NOT EXISTS 'pregon'@'127.0.0.1' IDENTIFIED BY 'pregon';\n\
    GRANT ALL ON *.* TO 'pregon'@'127.0.0.1';\n";

/// A small log makes the template and its copies small.
const LOG_SIZE: &str = "--innodb-log-file-size=16M";

/// Nothing is forced to disk, and all tables are in one file. Tests that never stop the server lose nothing by it, and
/// would otherwise spend most of their time creating thousands of tables.
const IN_HASTE: [&str; 4] = [
    "--innodb-file-per-table=0",
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=0",
    "--debug-no-sync",
];

/// A MariaDB server of the tests.
pub struct MariaDb {
    port: u16,
    /// The server, unless it belongs to the run.
    own: Option<(Service, HeldPort)>,
}

impl MariaDb {
    /// The port of the whole run's server, if there is one: `tests/run` starts it (`tests/services.rs`).
    pub const RUNS_PORT: &str = "PREGON_TEST_MARIADB_PORT";

    /// The server that all tests share, each with its own databases: the run's server, or else one of this process.
    /// Nobody may stop it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var(Self::RUNS_PORT) {
            Ok(port) => Self { port: port.parse().unwrap(), own: None },
            Err(_) => Self::start_with(&IN_HASTE),
        })
    }

    /// A server for one test, with default settings: every commit is on disk before it is answered.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server whose commits wait for a replica's acknowledgement, for so many milliseconds.
    pub fn source(patience_ms: u32) -> Self {
        let patience = format!("--rpl-semi-sync-master-timeout={patience_ms}");
        Self::start_with(&["--log-bin=binlog", "--server-id=1", "--rpl-semi-sync-master-enabled=ON", &patience])
    }

    /// A replica of a source, which acknowledges what it has.
    pub async fn replica_of(source: &Self) -> Self {
        let replica = Self::start_with(&["--server-id=2", "--rpl-semi-sync-slave-enabled=ON"]);
        let mut connection = replica.connect("").await;
        let change = format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={}, MASTER_USER='pregon', MASTER_PASSWORD='pregon', \
             MASTER_USE_GTID=slave_pos",
            source.port()
        );
        connection.query_drop(change).await.unwrap();
        connection.query_drop("START SLAVE").await.unwrap();
        connection.disconnect().await.unwrap();
        replica
    }

    /// A status variable of the server.
    pub async fn status(&self, name: &str) -> String {
        let mut connection = self.connect("").await;
        let found: Option<(String, String)> =
            connection.query_first(format!("SHOW GLOBAL STATUS LIKE '{name}'")).await.unwrap();
        connection.disconnect().await.unwrap();
        found.map(|(_, value)| value).unwrap_or_default()
    }

    fn start_with(settings: &[&str]) -> Self {
        let folder = new_folder("mariadb");
        let held = HeldPort::new();
        let port = held.number();
        let data = folder.join("data");
        must(Command::new("cp").arg("-a").arg(template()).arg(&data));
        let accounts = folder.join("accounts.sql");
        std::fs::write(&accounts, ACCOUNT).unwrap();
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", data.display()),
            format!("--tmpdir={}", folder.display()),
            format!("--socket={}", folder.join("socket").display()),
            format!("--pid-file={}", folder.join("pid").display()),
            format!("--init-file={}", accounts.display()),
            format!("--port={port}"),
            LOG_SIZE.to_owned(),
        ];
        let fixed = [
            "--bind-address=127.0.0.1",
            "--skip-log-bin",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=64M",
            "--character-set-server=utf8mb4",
            "--max-connections=500",
        ];
        arguments.extend(as_root().iter().chain(&fixed).chain(settings).map(|text| (*text).to_owned()));
        let service = Service::start(folder, &program("mariadbd"), &arguments, "ready for connections");
        Self { port, own: Some((service, held)) }
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://pregon:pregon@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection beside the store's.
    pub async fn connect(&self, database: &str) -> Conn {
        Conn::new(Opts::from_url(&self.url(database)).unwrap()).await.unwrap()
    }

    /// Makes an empty database and returns its name.
    pub async fn new_database(&self) -> String {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mut connection = self.connect("").await;
        connection.query_drop(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).await.unwrap();
        connection.disconnect().await.unwrap();
        name
    }

    fn service(&self) -> &Service {
        &self.own.as_ref().expect("the run's server is everybody's: a test ends and pauses its own").0
    }

    /// Kills it with `kill -9`.
    pub fn kill(&self) {
        self.service().end("KILL");
    }

    /// Starts it again on the same files and port. Returns when it takes connections.
    pub fn start_again(&self) {
        self.service().start_again();
    }
}

/// The data files of a new server. They are created once per build folder, because that takes seconds and a copy does
/// not.
fn template() -> PathBuf {
    let version = must(Command::new(program("mariadbd")).args(["--no-defaults", "--version"])).stdout;
    let version: String = String::from_utf8_lossy(&version)
        .split_whitespace()
        .nth(2)
        .unwrap()
        .replace(|c: char| !c.is_alphanumeric(), "-");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(folder).unwrap();
    let lock = File::create(folder.join("mariadb.lock")).unwrap();
    lock.lock().unwrap();
    let template = folder.join(format!("mariadb-{version}"));
    if !template.exists() {
        let unfinished = template.with_extension("unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        let mut command = Command::new(program("mariadb-install-db"));
        command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", LOG_SIZE]);
        command.arg(format!("--datadir={}", unfinished.display())).args(as_root());
        must(&mut command);
        std::fs::rename(&unfinished, &template).unwrap();
    }
    template
}

/// Debian's folder of servers is not on everybody's path.
fn program(name: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists()).unwrap_or_else(|| name.into())
}

/// The server refuses to run as root unless told so.
fn as_root() -> &'static [&'static str] {
    if rustix::process::getuid().is_root() { &["--user=root"] } else { &[] }
}

fn must(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    output
}
