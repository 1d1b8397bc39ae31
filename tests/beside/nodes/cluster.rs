//! Nodes of a test, and what listeners on them hear.

use std::time::Instant;

use crate::nodes::proxy::Proxy;
use crate::redis::Redis;
use crate::support::private::MariaDb;
use crate::support::{ADMIN_KEY, PATIENCE, Server, Socket};
use serde_json::{Value, json};

/// Nodes on one MariaDB with a Redis of their own.
pub struct Cluster {
    pub redis: Redis,
    pub nodes: Vec<Server>,
    /// Each node's own way to Redis, if the test has asked for such.
    pub ways: Vec<Proxy>,
}

impl Cluster {
    /// As many nodes as asked for, with users and one room that all of them are in.
    pub async fn start(nodes: usize, users: usize) -> Self {
        Self::with_redis(Redis::start(), nodes, users).await
    }

    pub async fn with_redis(redis: Redis, nodes: usize, users: usize) -> Self {
        let url = redis.url();
        Self::at(redis, &url, nodes, users).await
    }

    /// `url` is where the nodes look for Redis.
    pub async fn at(redis: Redis, url: &str, nodes: usize, users: usize) -> Self {
        Self::each_at(redis, &vec![url.to_owned(); nodes], users, None, &[]).await
    }

    /// Each node has its own way to Redis, which can be cut.
    pub async fn with_ways(nodes: usize, users: usize) -> Self {
        let redis = Redis::start();
        let mut ways = Vec::new();
        for _ in 0..nodes {
            ways.push(Proxy::to(redis.port()).await);
        }
        let urls: Vec<_> = ways.iter().map(Proxy::url).collect();
        Self { ways, ..Self::each_at(redis, &urls, users, None, &[]).await }
    }

    /// With other values of some settings.
    pub async fn with_settings(nodes: usize, users: usize, settings: &[(&str, &str)]) -> Self {
        let redis = Redis::start();
        let urls = vec![redis.url(); nodes];
        Self::each_at(redis, &urls, users, None, settings).await
    }

    /// On a MariaDB that the test may kill.
    pub async fn on(database: &MariaDb, nodes: usize, users: usize) -> Self {
        let url = database.url(&database.new_database().await);
        let redis = Redis::start();
        let urls = vec![redis.url(); nodes];
        Self::each_at(redis, &urls, users, Some(url), &[]).await
    }

    /// `urls` are where each node looks for Redis.
    async fn each_at(
        redis: Redis,
        urls: &[String],
        users: usize,
        database: Option<String>,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut first = Server::builder().on_mariadb().seed(users, 2, users).set("PREGON_DJANGO", "off");
        first = first
            .set("PREGON_ADMIN_KEY", ADMIN_KEY)
            .set("PREGON_ADMIN_ADDRESS", "127.0.0.1:0")
            .set("PREGON_NODE", "chat-0");
        for (name, value) in settings {
            first = first.set(name, value);
        }
        if let Some(database) = database {
            first = first.set("PREGON_DATABASE_URL", database);
        }
        let mut nodes = vec![first.set("PREGON_REDIS_URL", &urls[0]).start().await];
        for (number, url) in (1..).zip(&urls[1..]) {
            let name = format!("chat-{number}");
            let next = nodes[0].another_with(&[("PREGON_REDIS_URL", url.clone()), ("PREGON_NODE", name)]);
            nodes.push(next);
        }
        let cluster = Self { redis, nodes, ways: Vec::new() };
        cluster.wait_for_peers().await;
        cluster
    }

    /// One more node, which all others know when this returns.
    pub async fn add(&mut self) {
        let name = format!("chat-{}", self.nodes.len());
        let next = self.nodes[0].another_with(&[("PREGON_NODE", name)]);
        self.nodes.push(next);
        self.wait_for_peers().await;
    }

    /// Waits until each node knows all others.
    pub async fn wait_for_peers(&self) {
        let others = u32::try_from(self.nodes.len() - 1).unwrap();
        for node in &self.nodes {
            node.wait_for_metric("pregon_bus_peers", |peers| peers >= f64::from(others)).await;
            node.wait_for_metric("pregon_bus_up", |up| up > 0.0).await;
        }
    }

    /// A new group of these users, made on the first node.
    pub async fn group(&self, users: &[usize]) -> String {
        let node = &self.nodes[0];
        let others: Vec<_> = users[1..].iter().map(|user| node.id(*user)).collect();
        let body = json!({"chat_type": "group", "name": "Equipo", "participant_ids": others});
        let made = node.done("POST", "/api/messaging/chats/", users[0], Some(body)).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// A socket of this user in the first room, on this node.
    pub async fn join(&self, node: usize, user: usize) -> Socket {
        self.nodes[node].join(0, user).await
    }
}

/// What a listener of a room has heard of messages.
pub struct Ear {
    pub socket: Socket,
    pub heard: Vec<String>,
}

impl Ear {
    pub fn new(socket: Socket) -> Self {
        Self { socket, heard: Vec::new() }
    }

    /// Listens until so many messages were heard in all.
    pub async fn hear(&mut self, count: usize) {
        let began = Instant::now();
        while self.heard.len() < count {
            assert!(began.elapsed() < PATIENCE, "heard {} of {count}: {:?}", self.heard.len(), self.heard.last());
            let frame = self.socket.next_json().await;
            if frame["type"] == "chat_message" {
                self.heard.push(text_of(&frame));
            }
        }
    }
}

pub fn text_of(frame: &Value) -> String {
    frame["message"]["content"].as_str().unwrap_or_default().to_owned()
}

/// Says something, without waiting for anything.
pub async fn say(socket: &mut Socket, text: &str) {
    socket.send(json!({"type": "chat_message", "content": text})).await;
}

/// Checks that all have heard the same in the same order, each message once.
pub fn agree(ears: &[Ear]) {
    let first = &ears[0].heard;
    let mut distinct = first.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), first.len(), "something was heard twice");
    for ear in &ears[1..] {
        assert_eq!(ear.heard, *first);
    }
}
