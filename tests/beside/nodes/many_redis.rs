//! A Redis Cluster of three masters, and a master and its replica behind a Sentinel, each private to a test.

use std::time::{Duration, Instant};

use fred::types::Value;

use crate::redis::{Redis, program};
use crate::support::PATIENCE;
use crate::support::private::service::{HeldPort, Service, new_folder};

/// How often a server is asked whether it is as wanted.
const POLL: Duration = Duration::from_millis(20);

/// Three masters, and one replica of the first.
pub struct RedisCluster {
    /// The masters, and the replica at the end.
    pub servers: Vec<Redis>,
    _ports: Vec<HeldPort>,
}

impl RedisCluster {
    pub async fn start() -> Self {
        let ports: Vec<_> = (0..4).map(|_| HeldPort::new()).collect();
        let servers: Vec<_> = ports.iter().map(|port| server(port.number())).collect();
        let shares = [(0, 5460), (5461, 10922), (10923, 16383)];
        for (server, (first, last)) in servers.iter().zip(shares) {
            let words = ["CLUSTER".to_owned(), "ADDSLOTSRANGE".to_owned(), first.to_string(), last.to_string()];
            let _: String = server.command(words.map(Value::from)).await;
        }
        for (server, port) in servers.iter().zip(&ports).skip(1) {
            let (place, bus) = (server.port().to_string(), port.number().to_string());
            let words = ["CLUSTER", "MEET", "127.0.0.1", &place, &bus];
            let _: String = servers[0].command(words.map(Value::from)).await;
        }
        for server in &servers {
            wait_for("all know all", || async { cluster_info(server).await.contains("cluster_known_nodes:4") }).await;
        }
        let master: String = servers[0].command(["CLUSTER", "MYID"].map(Value::from)).await;
        let follow = || async {
            let words = ["CLUSTER", "REPLICATE", &master].map(Value::from);
            servers[3].try_command::<String>(words).await.is_ok()
        };
        wait_for("the replica knows its master", follow).await;
        for server in &servers {
            wait_for("the cluster is whole", || async { cluster_info(server).await.contains("cluster_state:ok") })
                .await;
        }
        wait_for("the replica has what its master has", || async { is_replica_in_step(&servers[3]).await }).await;
        Self { servers, _ports: ports }
    }

    /// All masters are in it.
    pub fn url(&self) -> String {
        let [one, two, three] = [0, 1, 2].map(|number| self.servers[number].port());
        format!("redis-cluster://127.0.0.1:{one}?node=127.0.0.1:{two}&node=127.0.0.1:{three}")
    }

    /// Kills the first master. Its replica takes its place.
    pub async fn kill_a_master(&self) {
        self.servers[0].kill();
    }

    /// Moves the slots of all streams to the next master each, keys and all. Returns how many.
    pub async fn move_the_streams(&self) -> usize {
        let mut moved = 0;
        let mut places = Vec::new();
        for from in 0..3 {
            places.extend(self.servers[from].streams().await.into_iter().map(|stream| (from, stream)));
        }
        for (from, stream) in places {
            let to = (from + 1) % 3;
            let slot: i64 = self.servers[from].command(["CLUSTER", "KEYSLOT", &stream].map(Value::from)).await;
            self.move_slot(&slot.to_string(), from, to).await;
            moved += 1;
        }
        moved
    }

    /// As `redis-cli --cluster reshard` does it.
    async fn move_slot(&self, slot: &str, from: usize, to: usize) {
        let ids = futures_util::future::join_all([from, to].map(|server| self.id(server))).await;
        let (source, target) = (&self.servers[from], &self.servers[to]);
        let begun = ["CLUSTER", "SETSLOT", slot, "IMPORTING", &ids[0]].map(Value::from);
        let _: String = target.command(begun).await;
        let begun = ["CLUSTER", "SETSLOT", slot, "MIGRATING", &ids[1]].map(Value::from);
        let _: String = source.command(begun).await;
        loop {
            let keys: Vec<String> = source.command(["CLUSTER", "GETKEYSINSLOT", slot, "10"].map(Value::from)).await;
            if keys.is_empty() {
                break;
            }
            let port = target.port().to_string();
            let words = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"].map(str::to_owned);
            let _: String = source.command(words.into_iter().chain(keys).map(Value::from)).await;
        }
        for server in [target, source, &self.servers[3 - from - to]] {
            let words = ["CLUSTER", "SETSLOT", slot, "NODE", &ids[1]].map(Value::from);
            let _: String = server.command(words).await;
        }
    }

    async fn id(&self, server: usize) -> String {
        self.servers[server].command(["CLUSTER", "MYID"].map(Value::from)).await
    }

    pub async fn wait_for_the_replica(&self) {
        let promoted = || async { role(&self.servers[3]).await == "master" };
        wait_for("the replica takes its master's place", promoted).await;
        wait_for("the cluster is whole", || async {
            cluster_info(&self.servers[1]).await.contains("cluster_state:ok")
        })
        .await;
    }
}

fn server(bus: u16) -> Redis {
    Redis::start_with(&[
        ("--cluster-enabled", "yes"),
        ("--cluster-port", &*bus.to_string()),
        ("--cluster-node-timeout", "1000"),
        ("--cluster-config-file", "nodes.conf"),
        ("--repl-diskless-sync-delay", "0"),
    ])
}

/// A master, its replica, and the Sentinel that watches them.
pub struct Watched {
    pub master: Redis,
    pub replica: Redis,
    sentinel: Service,
    port: HeldPort,
    /// Those of the servers and of the Sentinel.
    passwords: Option<[&'static str; 2]>,
}

impl Watched {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same where servers and Sentinel want passwords.
    pub async fn with_passwords(servers: &'static str, sentinel: &'static str) -> Self {
        Self::start_with(Some([servers, sentinel])).await
    }

    async fn start_with(passwords: Option<[&'static str; 2]>) -> Self {
        let mut settings = vec![("--repl-diskless-sync-delay", "0")];
        if let Some([password, _]) = passwords {
            settings.extend([("--requirepass", password), ("--masterauth", password)]);
        }
        let master = Redis::start_with(&settings);
        let follows = format!("127.0.0.1 {}", master.port());
        settings.push(("--replicaof", &follows));
        let replica = Redis::start_with(&settings);
        wait_for("the replica has what its master has", || async { is_replica_in_step(&replica).await }).await;
        let (folder, port) = (new_folder("sentinel"), HeldPort::new());
        let file = folder.join("sentinel.conf");
        let (number, watched) = (port.number(), master.port());
        let secrets = passwords.map(|[servers, sentinel]| {
            format!("sentinel auth-pass main {servers}\nrequirepass {sentinel}\nsentinel sentinel-pass {sentinel}\n")
        });
        let secrets = secrets.unwrap_or_default();
        let text = format!(
            "port {number}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {watched} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n{secrets}",
            folder.display()
        );
        std::fs::write(&file, text).unwrap();
        let program = program(&folder);
        let arguments = [file.display().to_string(), "--sentinel".to_owned()];
        let sentinel = Service::start(folder, &program, &arguments, "+monitor master");
        let watched = Self { master, replica, sentinel, port, passwords };
        let log = || async { watched.sentinel.log().contains("+slave slave") };
        wait_for("the Sentinel knows the replica", log).await;
        watched
    }

    pub fn url(&self) -> String {
        let place = format!("127.0.0.1:{}/0?sentinelServiceName=main", self.port.number());
        match self.passwords {
            None => format!("redis-sentinel://{place}"),
            Some([servers, sentinel]) => format!("redis-sentinel://:{servers}@{place}&sentinelPassword={sentinel}"),
        }
    }

    pub async fn wait_for_the_replica(&self) {
        wait_for("the replica takes its master's place", || async { role(&self.replica).await == "master" }).await;
    }
}

async fn cluster_info(server: &Redis) -> String {
    server.command(["CLUSTER", "INFO"].map(Value::from)).await
}

async fn role(server: &Redis) -> String {
    let role = server.command::<Value>([Value::from("ROLE")]).await.into_array();
    role.first().and_then(Value::as_string).unwrap_or_default()
}

async fn is_replica_in_step(replica: &Redis) -> bool {
    let role = replica.command::<Value>([Value::from("ROLE")]).await.into_array();
    role.iter().filter_map(Value::as_string).any(|word| word == "connected")
}

pub async fn wait_for<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "not so: {what}");
        tokio::time::sleep(POLL).await;
    }
}
