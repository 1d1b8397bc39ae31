//! The connection to Redis: where it is, and connections that end when nobody has them.

use std::fmt;
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, ConnectHandle, Value};
use tokio::time::timeout;

use crate::limits;

/// Where Redis is. Never printed whole: a password may be in it.
#[derive(Clone)]
pub struct Address {
    config: Config,
    place: String,
}

impl Address {
    /// Reads `redis://[user:password@]host[:port][/database]`.
    ///
    /// # Errors
    /// What is wrong with it; the URL is not repeated.
    pub fn parse(url: &str) -> Result<Self, String> {
        if !url.starts_with("redis://") {
            return Err("must begin with redis://".into());
        }
        let config = Config::from_url_centralized(url).map_err(|_| "is no URL of a Redis server".to_owned())?;
        let place = config.server.hosts().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let place = format!("{place}, database {}", config.database.unwrap_or(0));
        Ok(Self { config, place })
    }

    /// Does Redis answer?
    ///
    /// # Errors
    /// It does not; why.
    pub async fn ping(&self) -> Result<(), String> {
        let connection = self.connect().await.map_err(|error| error.to_string())?;
        let answered = connection.client.ping::<Value>(None).await;
        answered.map(drop).map_err(|error| error.to_string())
    }

    /// A connection for commands that Redis answers at once: a late answer is an error.
    ///
    /// # Errors
    /// Redis does not answer in time, or refuses.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.open(true).await
    }

    /// A connection for commands that wait inside Redis. The caller bounds how long.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_to_block(&self) -> Result<Connection, Error> {
        self.open(false).await
    }

    async fn open(&self, has_answers_bounded: bool) -> Result<Connection, Error> {
        let mut builder = Builder::from_config(self.config.clone());
        builder.with_connection_config(|connection| {
            connection.connection_timeout = limits::CHANNEL_ANSWER_TIMEOUT;
            connection.internal_command_timeout = limits::CHANNEL_ANSWER_TIMEOUT;
            connection.max_command_attempts = 1;
        });
        if has_answers_bounded {
            builder.with_performance_config(|performance| {
                performance.default_command_timeout = limits::CHANNEL_ANSWER_TIMEOUT;
            });
        } else {
            // The library keeps 32, and a burst of bells is longer.
            builder.with_performance_config(|performance| {
                performance.broadcast_channel_capacity = limits::BELLS_WAITING_MAX;
            });
        }
        let client = builder.build()?;
        let opened = timeout(limits::CHANNEL_ANSWER_TIMEOUT, client.init()).await;
        let late = || Error::new(ErrorKind::Timeout, "no answer in time");
        match opened.unwrap_or_else(|_| Err(late())) {
            Ok(task) => Ok(Connection { client, task }),
            Err(error) => {
                // If it should come about after all, it ends at once; nobody waits for it.
                tokio::spawn(async move { timeout(Duration::from_secs(1), client.quit()).await });
                Err(error)
            }
        }
    }
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
        assert!(Address::parse("redis://127.0.0.1").is_ok());
        for bad in ["", "rediss://:hunter2@x", "http://:hunter2@x", "redis://:hunter2@", "redis:///3"] {
            let error = Address::parse(bad).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
