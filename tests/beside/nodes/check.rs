//! What `pregon check` says of Redis.

use std::path::Path;

use fred::types::Value;

use crate::nodes::many_redis::{RedisCluster, Watched};
use crate::redis::Redis;
use crate::support::pregon;
use crate::support::private::MariaDb;

/// The lines about Redis, and whether all is well.
async fn check(folder: &Path, database: &str, redis: &str) -> (String, bool) {
    let settings = [
        ("PREGON_DATABASE_URL".to_owned(), database.to_owned()),
        ("PREGON_REDIS_URL".to_owned(), redis.to_owned()),
        ("PREGON_DJANGO".to_owned(), "off".to_owned()),
    ];
    let output = pregon(&settings, folder).arg("check").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line[6..].starts_with("redis")).collect();
    (lines.join("\n"), output.status.success())
}

async fn migrated(folder: &Path) -> String {
    let url = MariaDb::shared().url(&MariaDb::shared().new_database().await);
    let settings = [("PREGON_DATABASE_URL".to_owned(), url.clone())];
    assert!(pregon(&settings, folder).arg("migrate").output().unwrap().status.success());
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_may_evict_or_refuses_writes_is_wrong() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start());
    let database = migrated(folder.path()).await;
    let (said, is_well) = check(folder.path(), &database, &redis.url()).await;
    assert!(is_well, "{said}");
    for line in [
        "ok    redis: 127.0.0.1",
        "ok    redis memory: nothing",
        "ok    redis streams: they can",
        "ok    redis clock: ",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let left: Vec<String> = redis.command(["KEYS", "*"].map(Value::from)).await;
    assert!(left.is_empty(), "{left:?}");
    for (name, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")] {
        let _: String = redis.command(["CONFIG", "SET", name, value].map(Value::from)).await;
    }
    let (said, is_well) = check(folder.path(), &database, &redis.url()).await;
    assert!(
        !is_well && said.contains("WRONG redis memory: ") && said.contains("set maxmemory-policy noeviction"),
        "{said}"
    );
    let _: String = redis.command(["CONFIG", "SET", "maxmemory", "0"].map(Value::from)).await;
    let _: String = redis.command(["CONFIG", "SET", "min-replicas-to-write", "1"].map(Value::from)).await;
    let (said, is_well) = check(folder.path(), &database, &redis.url()).await;
    assert!(
        !is_well && said.contains("WRONG redis streams: they cannot be written (") && said.contains("NOREPLICAS"),
        "{said}"
    );
    redis.kill();
    let (said, is_well) = check(folder.path(), &database, &redis.url()).await;
    assert!(!is_well && said.contains("does not answer") && said.lines().count() == 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_of_a_redis_cluster_is_checked() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), RedisCluster::start().await);
    let database = migrated(folder.path()).await;
    let (said, is_well) = check(folder.path(), &database, &redis.url()).await;
    assert!(is_well && said.contains("ok    redis: the cluster of 127.0.0.1"), "{said}");
    for (name, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lfu")] {
        let _: String = redis.servers[2].command(["CONFIG", "SET", name, value].map(Value::from)).await;
    }
    let (said, is_well) = check(folder.path(), &database, &redis.url()).await;
    assert!(!is_well && said.contains("maxmemory-policy is allkeys-lfu"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_behind_a_sentinel_is_checked() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Watched::start().await);
    let database = migrated(folder.path()).await;
    let (said, is_well) = check(folder.path(), &database, &redis.url()).await;
    assert!(is_well && said.contains("ok    redis: main of the Sentinels 127.0.0.1"), "{said}");
}
