//! A private Redis that stores nothing on disk.

use std::path::{Path, PathBuf};

use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, ClusterHash, CustomCommand, FromValue, Value};

use crate::support::private::service::{HeldPort, Service, new_folder};

/// A Redis server of a test's own.
pub struct Redis {
    service: Service,
    port: HeldPort,
    password: Option<String>,
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more settings.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = new_folder("redis");
        let port = HeldPort::new();
        let number = port.number().to_string();
        let here = folder.display().to_string();
        let own =
            [("--port", &*number), ("--bind", "127.0.0.1"), ("--dir", &*here), ("--save", ""), ("--appendonly", "no")];
        let arguments = own.iter().chain(settings).flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
        let program = program(&folder);
        let ready = "Ready to accept connections";
        let password = settings.iter().find(|(name, _)| *name == "--requirepass").map(|(_, text)| (*text).to_owned());
        Self { service: Service::start(folder, &program, &arguments.collect::<Vec<_>>(), ready), port, password }
    }

    /// `redis://127.0.0.1:<port>/0`, with its password if it has one.
    pub fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}/0", self.port())
    }

    /// What it answers to a command.
    pub async fn command<T: FromValue>(&self, words: impl IntoIterator<Item = Value>) -> T {
        self.try_command(words).await.unwrap()
    }

    /// The same of a server that may refuse.
    pub async fn try_command<T: FromValue>(&self, words: impl IntoIterator<Item = Value>) -> Result<T, Error> {
        let client = Builder::from_config(Config::from_url(&self.url()).unwrap()).build().unwrap();
        let task = client.init().await?;
        let mut words = words.into_iter();
        let name = words.next().and_then(|name| name.as_string()).unwrap();
        let command = CustomCommand::new(name, ClusterHash::FirstKey, false);
        let answer = client.custom(command, words.collect::<Vec<_>>()).await;
        task.abort();
        answer
    }

    /// The names of the streams by which nodes tell each other what they commit.
    pub async fn streams(&self) -> Vec<String> {
        self.command(["KEYS", "*:events:*"].map(Value::from)).await
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Kills it at once, with all its data.
    pub fn kill(&self) {
        self.service.end("KILL");
    }

    /// Starts it again, empty, on the same port.
    pub fn start_again(&self) {
        self.service.start_again();
    }

    /// Lets it answer nobody until [`Self::resume`].
    pub fn pause(&self) {
        self.service.signal("STOP");
    }

    /// Lets it answer again.
    pub fn resume(&self) {
        self.service.signal("CONT");
    }
}

/// The server's program is the check program, too, and looks at the name by which it is called. Debian's package of
/// tools contains it under the other name, and starts no server.
pub fn program(folder: &Path) -> PathBuf {
    let server = Path::new("/usr/bin/redis-server");
    let checker = Path::new("/usr/bin/redis-check-rdb");
    if server.exists() || !checker.exists() {
        return "redis-server".into();
    }
    let link = folder.join("redis-server");
    std::os::unix::fs::symlink(checker, &link).unwrap();
    link
}
