//! The connection to Redis: where it is, and connections that end when nobody has them.

use std::fmt;
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, ClusterInterface};
use fred::types::config::{Config, ServerConfig};
use fred::types::{Builder, ClusterHash, ConnectHandle, CustomCommand};
use tokio::time::timeout;

use crate::clock::Timestamp;
use crate::limits;

/// Where Redis is. Never printed whole: a password may be in it.
#[derive(Clone)]
pub struct Address {
    config: Config,
    place: String,
}

impl Address {
    /// Reads `redis://[user:password@]host[:port][/database]`; behind Sentinels
    /// `redis-sentinel://[user:password@]host:port[/database]?sentinelServiceName=name[&node=host:port]`; and for a Redis
    /// Cluster `redis-cluster://[user:password@]host:port[?node=host:port]`.
    ///
    /// # Errors
    /// What is wrong with it; the URL is not repeated.
    pub fn parse(url: &str) -> Result<Self, String> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("redis" | "redis-sentinel" | "redis-cluster")) {
            return Err("must begin with redis://, redis-sentinel:// or redis-cluster://".into());
        }
        if scheme == Some("redis-sentinel") && !url.contains("sentinelServiceName=") {
            return Err("must name the service that the Sentinels watch: ?sentinelServiceName=NAME".into());
        }
        let config = Config::from_url(url).map_err(|_| "is no URL of a Redis server".to_owned())?;
        let place = config.server.hosts().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let place = match config.server {
            ServerConfig::Clustered { .. } => format!("the cluster of {place}"),
            ServerConfig::Sentinel { ref service_name, .. } => {
                format!("{service_name} of the Sentinels {place}, database {}", config.database.unwrap_or(0))
            }
            ServerConfig::Centralized { .. } => format!("{place}, database {}", config.database.unwrap_or(0)),
        };
        Ok(Self { config, place })
    }

    /// One server, neither a cluster nor watched by Sentinels.
    pub fn is_one_server(&self) -> bool {
        self.config.server.is_centralized()
    }

    /// Keys are divided among several servers.
    pub fn is_cluster(&self) -> bool {
        self.config.server.is_clustered()
    }

    /// What its servers say of themselves: all that have a part of a cluster's keys.
    ///
    /// # Errors
    /// One of them does not answer.
    pub async fn examine(&self) -> Result<Vec<Examined>, Error> {
        let connection = self.connect().await?;
        let client = &connection.client;
        if !self.is_cluster() {
            return Ok(vec![examine(client).await?]);
        }
        let servers = client.cached_cluster_state().map(|state| state.unique_primary_nodes()).unwrap_or_default();
        let mut examined = Vec::with_capacity(servers.len());
        for server in servers {
            examined.push(examine(&client.with_cluster_node(server)).await?);
        }
        Ok(examined)
    }

    /// A connection for commands that Redis answers at once: a late answer is an error.
    ///
    /// # Errors
    /// Redis does not answer in time, or refuses.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.open(Use::Answers).await
    }

    /// A connection for commands that wait inside Redis. The caller bounds how long.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_to_block(&self) -> Result<Connection, Error> {
        self.open(Use::Blocks).await
    }

    /// A connection that hears what is published.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_to_listen(&self) -> Result<Connection, Error> {
        // The places for what is heard cost more than all else of an attempt: whether Redis answers is asked without them.
        drop(self.connect().await?);
        self.open(Use::Listens).await
    }

    async fn open(&self, used: Use) -> Result<Connection, Error> {
        let mut builder = Builder::from_config(self.config.clone());
        builder.with_connection_config(|connection| {
            connection.connection_timeout = limits::CHANNEL_ANSWER_TIMEOUT;
            connection.internal_command_timeout = limits::CHANNEL_ANSWER_TIMEOUT;
            connection.max_command_attempts = 1;
        });
        builder.with_performance_config(|performance| match used {
            Use::Answers => performance.default_command_timeout = limits::CHANNEL_ANSWER_TIMEOUT,
            Use::Blocks => {}
            // The library keeps 32, and a burst of bells is longer. It makes these places at once, for nine kinds of news.
            Use::Listens => performance.broadcast_channel_capacity = limits::BELLS_WAITING_MAX,
        });
        let client = builder.build()?;
        match timeout(limits::CHANNEL_ANSWER_TIMEOUT, client.init()).await {
            Ok(opened) => Ok(Connection { task: opened?, client }),
            Err(_) => {
                // If it should come about after all, it ends at once; nobody waits for it.
                tokio::spawn(async move { timeout(Duration::from_secs(1), client.quit()).await });
                Err(Error::new(ErrorKind::Timeout, "no answer in time"))
            }
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
enum Use {
    /// Commands that are answered at once.
    Answers,
    /// Commands that wait inside Redis.
    Blocks,
    /// Hearing what is published.
    Listens,
}

/// What a server says of itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Examined {
    /// `redis_version`.
    pub version: String,
    /// What it does when its memory is full; `None` if it has all memory that there is.
    pub policy: Option<String>,
    /// By how much its clock is ahead of this machine's, in microseconds.
    pub ahead: i64,
}

async fn examine(client: &impl ClientLike) -> Result<Examined, Error> {
    let ask = |name| CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    let began = Timestamp::now();
    let time: Vec<i64> = client.custom(ask("TIME"), Vec::<String>::new()).await?;
    // Its clock was read in the middle, about.
    let read = i64::midpoint(began.0, Timestamp::now().0);
    let ahead = if let [seconds, micros] = time[..] { seconds * 1_000_000 + micros - read } else { 0 };
    let server: String = client.custom(ask("INFO"), vec!["server"]).await?;
    let memory: String = client.custom(ask("INFO"), vec!["memory"]).await?;
    let is_bounded = field(&memory, "maxmemory").is_some_and(|bytes| bytes != "0");
    let policy = field(&memory, "maxmemory_policy").filter(|_| is_bounded).map(str::to_owned);
    Ok(Examined { version: field(&server, "redis_version").unwrap_or_default().to_owned(), policy, ahead })
}

/// A field of what `INFO` answers.
fn field<'info>(info: &'info str, name: &str) -> Option<&'info str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// A client, and the task that has its connection: a client that is only dropped leaves it open, and one that is told to
/// quit first waits for what blocks it.
pub struct Connection {
    /// Where commands go.
    pub client: Client,
    task: ConnectHandle,
}

impl Connection {
    /// Ready when the connection has ended: the server closed it, or it broke. A peer that is silent is not noticed.
    pub async fn ended(&mut self) {
        if !self.task.is_finished() {
            // How it ended makes no difference.
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_refused_without_its_password() {
        let address = Address::parse("redis://:hunter2@redis.example:6380/3").unwrap();
        assert_eq!(format!("{address} {address:?}").matches("redis.example:6380, database 3").count(), 2);
        assert!(!format!("{address:?}").contains("hunter2"));
        assert!(Address::parse("redis://127.0.0.1").is_ok_and(|address| address.is_one_server()));
        let cluster = Address::parse("redis-cluster://:hunter2@one:7000?node=two:7001").unwrap();
        assert!(
            cluster.is_cluster()
                && cluster.to_string().contains("two:7001")
                && cluster.to_string().contains("one:7000")
        );
        let watched =
            "redis-sentinel://:hunter2@one:26379/2?sentinelServiceName=main&node=two:26379&sentinelPassword=hunter2";
        let watched = Address::parse(watched).unwrap();
        assert!(
            !watched.is_cluster() && !watched.is_one_server() && !watched.to_string().contains("hunter2"),
            "{watched}"
        );
        assert!(watched.to_string().starts_with("main of the Sentinels "), "{watched}");
        for bad in [
            "",
            "rediss://:hunter2@x",
            "http://:hunter2@x",
            "redis://:hunter2@",
            "redis:///3",
            "redis-sentinel://:hunter2@x:1",
        ] {
            let error = Address::parse(bad).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn fields_of_info_are_whole_words() {
        let info = "# Memory\r\nmaxmemory_human:1M\r\nmaxmemory:1048576\r\nmaxmemory_policy:noeviction\r\n";
        assert_eq!((field(info, "maxmemory"), field(info, "maxmemory_policy")), (Some("1048576"), Some("noeviction")));
        assert_eq!(field(info, "memory"), None);
    }
}
