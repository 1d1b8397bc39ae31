//! What `pregon check` finds out about Redis: whether it answers, and whether it keeps what nodes tell each other.

use crate::cli::finding::Finding;
use crate::cluster::redis::{Address, Examined};
use crate::cluster::streams::Streams;
use crate::config::{Database, Settings};
use crate::django::Mode;

/// Older ones are not maintained any more.
const VERSION_MIN: (u32, u32) = (6, 2);
/// Clocks that differ by more are set by hand, or not at all.
const AHEAD_MAX_MICROS: i64 = 1_000_000;

pub(super) fn check(settings: &Settings) -> Vec<(&'static str, Finding)> {
    let Some(address) = &settings.redis else {
        let missing = match (&settings.database, settings.django) {
            (Database::Mysql(_), Mode::Auto | Mode::On) => {
                "not configured: open pages do not see Django's posts, reactions and comments live"
            }
            _ => "not configured: one node",
        };
        return vec![("redis", Finding::Fine(missing.to_owned()))];
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![("redis", Finding::Wrong(error.to_string()))],
    };
    let streams = Streams::new(address.clone(), &settings.bus_prefix());
    runtime.block_on(ask(address, &streams))
}

async fn ask(address: &Address, streams: &Streams) -> Vec<(&'static str, Finding)> {
    let servers = match address.examine().await {
        Ok(servers) => servers,
        Err(error) => {
            let what = format!("{address} does not answer ({error}): start it, or correct PREGON_REDIS_URL");
            return vec![("redis", Finding::Wrong(what))];
        }
    };
    let written = streams.try_to_append().await.map(|()| "they can be written".to_owned()).map_err(|error| {
        format!(
            "they cannot be written ({error}): let pregon's user write the keys and channels that begin with pregon:"
        )
    });
    vec![
        ("redis", version(address, &servers).into()),
        ("redis memory", memory(&servers).into()),
        ("redis streams", written.into()),
        ("redis clock", clock(&servers)),
    ]
}

fn version(address: &Address, servers: &[Examined]) -> Result<String, String> {
    let mut versions: Vec<&str> = servers.iter().map(|server| server.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let is_old = |version: &&&str| {
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < VERSION_MIN
    };
    match versions.iter().find(is_old) {
        Some(old) => Err(format!("{address} has version {old}: install 6.2 or newer")),
        None => Ok(format!("{address} answers, version {}", versions.join(" and "))),
    }
}

/// Streams have no time to live, but the keys of Django's channel layer have: those are what the volatile policies evict.
fn memory(servers: &[Examined]) -> Result<String, String> {
    let policy = servers.iter().filter_map(|server| server.policy.as_deref()).find(|policy| *policy != "noeviction");
    match policy {
        Some(policy) => Err(format!(
            "maxmemory is set and maxmemory-policy is {policy}, so what nodes tell each other may be evicted before all have read \
             it: set maxmemory-policy noeviction"
        )),
        None => Ok("nothing is evicted".to_owned()),
    }
}

fn clock(servers: &[Examined]) -> Finding {
    let ahead = servers.iter().map(|server| server.ahead).max_by_key(|ahead| ahead.abs()).unwrap_or(0);
    let (seconds, millis) = (ahead.abs() / 1_000_000, ahead.abs() % 1_000_000 / 1000);
    let difference =
        format!("{seconds}.{millis:03} s {} this machine's", if ahead < 0 { "behind" } else { "ahead of" });
    if ahead.abs() > AHEAD_MAX_MICROS {
        return Finding::Doubtful(format!(
            "it is {difference}: let NTP set the clocks of all machines, because nodes look for each other's events by their times"
        ));
    }
    Finding::Fine(difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: &str, policy: Option<&str>, ahead: i64) -> Examined {
        Examined { version: version.to_owned(), policy: policy.map(str::to_owned), ahead }
    }

    #[test]
    fn old_versions_are_refused() {
        let address = Address::parse("redis://127.0.0.1").unwrap();
        for (told, is_fine) in [("7.0.15", true), ("6.2.0", true), ("6.0.16", false), ("5.0.9", false), ("10.0", true)]
        {
            assert_eq!(
                version(&address, &[server("7.2.4", None, 0), server(told, None, 0)]).is_ok(),
                is_fine,
                "{told}"
            );
        }
    }

    #[test]
    fn a_server_that_may_evict_is_wrong_wherever_it_is() {
        let fine = [server("7.0.1", None, 0), server("7.0.1", Some("noeviction"), 0)];
        assert!(memory(&fine).is_ok());
        let wrong = memory(&[fine[0].clone(), server("7.0.1", Some("allkeys-lru"), 0)]).unwrap_err();
        assert!(wrong.contains("allkeys-lru") && wrong.contains("noeviction"), "{wrong}");
    }

    #[test]
    fn clocks_that_differ_by_more_than_a_second_are_looked_at() {
        assert!(
            matches!(clock(&[server("7", None, -900_000)]), Finding::Fine(how) if how == "0.900 s behind this machine's")
        );
        let Finding::Doubtful(what) = clock(&[server("7", None, 0), server("7", None, 1_500_000)]) else { panic!() };
        assert!(what.starts_with("it is 1.500 s ahead of this machine's") && what.contains("NTP"), "{what}");
    }
}
