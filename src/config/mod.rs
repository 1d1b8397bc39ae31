//! Settings: a file, the environment and flags become checked values, or one sentence that names the mistake.

mod adjustable;
mod cores;
mod database;
mod error;
mod keys;
mod push;
mod raw;
mod secret;
mod setting;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use database::Database;
pub use error::ConfigError;
pub use raw::Raw;
pub use secret::Secret;
pub use setting::{Setting, documentation};
pub use tls::TlsFiles;

use crate::access::client_address::Network;
use crate::access::gate::Compression;
use crate::access::key_file::KeyFile;
use crate::access::keys::Keys;
use crate::access::logins::LoginTerms;
use crate::access::origin::{Hosts, Rules};
use crate::access::token::{Parties, Tokens};
use crate::clock::{JsonTimes, Zone};
use crate::cluster::redis::Address;
use crate::config::cores::cores;
use crate::django::Mode;
use crate::engine::net::send::Io;
use crate::fanout::posts::PostUpdates;
use crate::fanout::push::Terms as Push;
use crate::limits::memory::Sizes;
use crate::limits::{self, Adjustable};
use crate::rest::site::Site;
use crate::store::Durability;
use crate::store::mysql::{self, PlanLine};

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The addresses to listen on; at least one. Port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// The database that holds everything durable.
    pub database: Database,
    /// The zone of the times in the database.
    pub zone: Zone,
    /// Whether the zone was set. If not, [`Self::zone`] is only the default.
    pub is_zone_given: bool,
    /// The form of times in JSON.
    pub json_times: JsonTimes,
    /// The Redis of Django's channel layer.
    pub redis: Option<Address>,
    /// Whether Django runs beside pregon.
    pub django: Mode,
    /// The secret that signs tokens; `None` means the one stored beside the database (see [`Settings::secret`]).
    pub jwt_secret: Option<Secret>,
    /// The file of keys for tokens.
    pub jwt_keys: Option<KeyFile>,
    /// Who tokens are for and from.
    pub jwt_parties: Parties,
    /// Where operators are heard.
    pub admin_address: SocketAddr,
    /// Their key; `None`: they are not heard.
    pub admin_key: Option<Secret>,
    /// By how many percent more sessions than the mean a node gives some away by itself; 0: never.
    pub rebalance_skew: u32,
    /// The certificate of the clients' listeners; `None`: they are not encrypted.
    pub tls: Option<TlsFiles>,
    /// The secret of TLS tickets; `None`: each process makes one.
    pub tls_ticket_secret: Option<Secret>,
    /// How long browsers are told to use TLS alone; zero: they are told nothing.
    pub hsts: Duration,
    /// Engine threads, 1 to 64.
    pub shards: usize,
    /// The number of threads that write to the database, 1 to [`limits::WRITE_LANES_MAX`]. SQLite has one writer.
    pub write_lanes: usize,
    /// What acknowledgements say at best.
    pub durability: Durability,
    /// How frames are sent.
    pub io: Io,
    /// Which sockets' messages are compressed.
    pub compression: Compression,
    /// This node's name in logs and metrics.
    pub node: String,
    /// The web pages that may call.
    pub origins: Rules,
    /// Whether requests and frames are rate-limited.
    pub rate_limits: bool,
    /// What clients may do.
    pub limits: Adjustable,
    /// The time from SIGTERM to the end of the last connection.
    pub drain: Duration,
    /// The time from a token's end to the end of its sockets (close code 4001).
    pub token_grace: Duration,
    /// When a post's whole object is sent after its counters changed.
    pub post_updates: PostUpdates,
    /// Whether sockets for feeds and notifications also end with their token.
    pub strict_tokens: bool,
    /// How logins end.
    pub logins: LoginTerms,
    /// How often the users behind open feed, post and notification sockets are checked.
    pub active_check: Duration,
    /// The largest room that sends `user_status` frames; the cost of joins grows with its square.
    pub presence_room_max: u32,
    /// How many of its newest reactions a post shows; each brings a whole profile.
    pub post_reactions_shown: u32,
    /// The address at which clients reach this server, without a slash at the end; `None` means the first listen
    /// address.
    pub public_url: Option<String>,
    /// The folder of uploads.
    pub media_dir: PathBuf,
    /// The folder from which the page's files are read; `None` means those in the binary.
    pub web_dir: Option<PathBuf>,
    /// How long any uploaded file may take. A file that takes longer must reach a minimum speed.
    pub upload_grace: Duration,
    /// How much one user may upload per day, in MiB; 0 means without limit.
    pub upload_quota_mb: u32,
    /// Whether the media folder belongs to this database alone, so that uploads which no row names are removed.
    pub media_sweep: bool,
    /// The flags and menu of the pages.
    pub site: Site,
    /// Whether pictures keep the place where they were taken.
    pub keep_location: bool,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// Whether everybody may read `/metrics`. Otherwise only this machine may.
    pub metrics_public: bool,
    /// Whether e-mail addresses and telephone numbers are hidden from others unless their owner shows them.
    pub mask_contacts: bool,
    /// Whether there is a socket that sends back what comes, for conformance suites.
    pub echo: bool,
    /// How users without a socket are told of messages; `None`: not at all.
    pub push: Option<Push>,
    /// The form of a log line.
    pub log_format: LogFormat,
    /// The log filter in `tracing`'s syntax: `info`, `pregon=debug`.
    pub log_level: String,
}

impl Settings {
    /// The settings of this process. `flags` win over the environment, which wins over the file.
    ///
    /// # Errors
    /// The sentence to print.
    pub fn load(flags: Vec<(Setting, String)>) -> Result<Self, ConfigError> {
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let raw = Raw::gather(environment, flags)?;
        Self::check(&raw)
    }

    /// What of them moves the sum of what may wait in memory.
    pub fn sizes(&self) -> Sizes {
        Sizes { shards: self.shards, lanes: self.write_lanes, tls: self.tls.is_some() }
    }

    /// How the names of all nodes' keys and channels in Redis begin. Channels do not belong to one of Redis' databases: the name
    /// keeps clusters of nodes apart.
    pub fn bus_prefix(&self) -> String {
        let database = if let Database::Mysql(link) = &self.database { link.database() } else { "" };
        format!("pregon:{database}")
    }

    /// Checks raw values.
    ///
    /// # Errors
    /// The sentence to print.
    pub fn check(raw: &Raw) -> Result<Self, ConfigError> {
        let listen: Vec<SocketAddr> = raw.list(Setting::Listen, "must be IP addresses with ports", "127.0.0.1:8000")?;
        let loopback = listen.iter().all(|address| address.ip().is_loopback());
        let database = Database::checked(raw)?;
        let (zone, json_times) = database.times(raw)?;
        let (redis, django) = database.neighbours(raw)?;
        let jwt_secret = secret::given(raw, loopback)?;
        let jwt_keys = keys::file(raw, jwt_secret.as_ref())?;
        if jwt_secret.is_none() && jwt_keys.is_none() && !loopback {
            return Err(ConfigError(format!(
                "PREGON_JWT_SECRET is not set, but is required when listening beyond this machine (PREGON_LISTEN is \
                 {:?}), for example PREGON_JWT_SECRET=$(openssl rand -hex 32); or set PREGON_JWT_KEYS.",
                raw.get(Setting::Listen).unwrap_or_default()
            )));
        }
        let (admin_address, admin_key) = admin(raw)?;
        let rate_limits = raw.on_off(Setting::RateLimits)?;
        if !rate_limits && !loopback {
            return Err(Setting::RateLimits.wrong("off", "may be off only when listening on this machine alone", "on"));
        }
        let echo = raw.on_off(Setting::Echo)?;
        if echo && !loopback {
            return Err(Setting::Echo.wrong("on", "may be on only when listening on this machine alone", "off"));
        }
        let tls = tls::files(raw)?;
        Ok(Self {
            jwt_secret,
            jwt_keys,
            jwt_parties: keys::parties(raw)?,
            echo,
            push: push::terms(raw, loopback)?,
            tls_ticket_secret: secret::of_tickets(raw)?,
            hsts: tls::hsts(raw, tls.is_some())?,
            tls,
            admin_address,
            admin_key,
            rebalance_skew: raw.number(Setting::RebalanceSkew, 0..=1000)?,
            shards: shards(raw)?,
            write_lanes: database.write_lanes(raw)?,
            durability: database.durability(raw)?,
            io: io(raw)?,
            compression: compression(raw)?,
            node: node(raw)?,
            origins: origins(raw, loopback)?,
            rate_limits,
            limits: adjustable::limits(raw)?,
            drain: seconds(raw, Setting::DrainSeconds, 0..=3600)?,
            token_grace: seconds(raw, Setting::TokenGraceSeconds, 0..=86_400)?,
            post_updates: post_updates(raw)?,
            strict_tokens: raw.on_off(Setting::StrictTokens)?,
            logins: logins(raw)?,
            active_check: seconds(raw, Setting::ActiveCheckSeconds, 1..=3600)?,
            presence_room_max: raw.number(Setting::PresenceRoomMax, 0..=limits::PRESENCE_ROOM_CEILING)?,
            post_reactions_shown: raw.number(Setting::PostReactionsShown, 0..=limits::POST_REACTIONS_SHOWN_CEILING)?,
            public_url: public_url(raw)?,
            media_dir: media_dir(raw, &database),
            web_dir: raw.get(Setting::WebDir).map(PathBuf::from),
            upload_grace: seconds(raw, Setting::UploadGraceSeconds, 1..=3600)?,
            upload_quota_mb: raw.number(Setting::UploadQuotaMb, 0..=1_000_000)?,
            keep_location: raw.on_off(Setting::KeepLocation)?,
            media_sweep: raw.on_off(Setting::MediaSweep)?,
            site: site(raw)?,
            trusted_proxies: raw.list(
                Setting::TrustedProxies,
                "must be IP addresses or networks",
                "127.0.0.1,10.0.0.0/8",
            )?,
            metrics_public: raw.one_of(Setting::Metrics, &["loopback", "public"])? == "public",
            mask_contacts: raw.on_off(Setting::MaskContacts)?,
            log_format: log_format(raw)?,
            log_level: log_level(raw)?,
            listen,
            database,
            redis,
            django,
            zone,
            is_zone_given: raw.get(Setting::DbZone).is_some(),
            json_times,
        })
    }

    /// Advice for a database whose tables another program made, when no setting says in which zone that program writes
    /// its times. With times that are hours off, every list would be in the wrong order.
    pub fn zone_to_set(&self, plan: &[PlanLine]) -> Option<String> {
        (!self.is_zone_given && mysql::is_anothers(plan)).then(|| {
            format!(
                "{} has another program's tables, and PREGON_DB_ZONE does not say by which clock their times are written: \
                 set it to Django's TIME_ZONE, for example PREGON_DB_ZONE=America/Bogota, or to UTC where Django has \
                 USE_TZ = True",
                self.database
            )
        })
    }

    /// Whether only this machine can connect.
    pub fn listens_on_loopback(&self) -> bool {
        self.listen.iter().all(|address| address.ip().is_loopback())
    }

    /// The names under which requests may call this server: this machine's own names, unless a setting shows that a
    /// proxy forwards others.
    pub fn hosts(&self) -> Hosts {
        if self.listens_on_loopback() && self.public_url.is_none() && self.trusted_proxies.is_empty() {
            Hosts::of_this_machine(self.origins.clone())
        } else {
            Hosts::any()
        }
    }

    /// What makes and checks tokens: with the keys of a file, or with the secret.
    ///
    /// # Errors
    /// There is no key that signs, or it cannot be read.
    pub fn tokens(&self) -> Result<Tokens, ConfigError> {
        let keys = match &self.jwt_keys {
            Some(file) => keys::load(file)?,
            None => Keys::secret(self.secret()?.bytes()),
        };
        Ok(Tokens::of(keys, self.jwt_parties.clone()))
    }

    /// The secret that signs tokens: the one that was set, or the one stored beside a database file, made on first use.
    ///
    /// # Errors
    /// The stored secret can be neither read nor made, or there is no file to store it beside.
    pub fn secret(&self) -> Result<Secret, ConfigError> {
        match (&self.jwt_secret, self.database.file()) {
            (Some(secret), _) => Ok(secret.clone()),
            (None, Some(file)) => secret::kept_beside(file),
            (None, None) => Err(ConfigError(
                "PREGON_JWT_SECRET is not set, but is required with MySQL, where several programs check the same \
                 tokens: give it the key that Django signs them with (JWT_SECRET_KEY, else SECRET_KEY), or, where there \
                 is no Django, for example PREGON_JWT_SECRET=$(openssl rand -hex 32)."
                    .to_owned(),
            )),
        }
    }

    /// Whether what clients send crosses a network in the open: beyond this machine, without TLS here and without a proxy that has it.
    pub fn is_open_to_listeners(&self) -> bool {
        let is_far = self.listen.iter().any(|address| !address.ip().to_canonical().is_loopback());
        is_far && self.tls.is_none() && self.trusted_proxies.is_empty()
    }

    /// Bytes that are the same on all nodes, to mark what they tell each other of: the secret of tokens or, where there are keys
    /// instead, the place of the database. They need not be secret.
    ///
    /// # Errors
    /// As [`Self::secret`].
    pub fn bytes_of_all_nodes(&self) -> Result<Vec<u8>, ConfigError> {
        let has_secret = self.jwt_secret.is_some() || self.database.file().is_some();
        if self.jwt_keys.is_some() && !has_secret {
            return Ok(self.database.to_string().into_bytes());
        }
        self.secret().map(|secret| secret.bytes().to_vec())
    }

    /// The prefix of the paths of files and lists in answers. It is empty if only the request knows under which name
    /// this server is reached.
    pub fn media_base(&self, bound: SocketAddr) -> String {
        if self.public_url.is_none() && bound.ip().is_unspecified() { String::new() } else { self.public_url(bound) }
    }

    /// The address at which clients reach a server that listens on `bound`, its first address with the port that the
    /// system chose.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| match bound.ip() {
            ip if ip.is_unspecified() => format!("{scheme}://localhost:{}", bound.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => format!("{scheme}://{bound}"),
        })
    }
}

fn seconds(raw: &Raw, setting: Setting, range: std::ops::RangeInclusive<u64>) -> Result<Duration, ConfigError> {
    Ok(Duration::from_secs(raw.number(setting, range)?))
}

fn shards(raw: &Raw) -> Result<usize, ConfigError> {
    raw.number_or(Setting::Shards, cores().min(limits::SHARDS_MAX), 1..=limits::SHARDS_MAX)
}

/// Where operators are heard, and their key.
fn admin(raw: &Raw) -> Result<(SocketAddr, Option<Secret>), ConfigError> {
    let text = raw.or_usual(Setting::AdminAddress);
    let must = "must be an IP address with a port";
    let address: SocketAddr = text.parse().map_err(|_| Setting::AdminAddress.wrong(text, must, "127.0.0.1:8010"))?;
    let is_near = address.ip().is_loopback();
    let key = secret::admin_key(raw, is_near)?;
    if key.is_none() && !is_near {
        return Err(ConfigError(format!(
            "PREGON_ADMIN_KEY is not set, but is required when operators are heard beyond this machine (PREGON_ADMIN_ADDRESS \
             is {text:?}), for example PREGON_ADMIN_KEY=$(openssl rand -hex 32)."
        )));
    }
    Ok((address, key))
}

fn io(raw: &Raw) -> Result<Io, ConfigError> {
    Ok(match raw.one_of(Setting::Io, &["auto", "uring", "epoll"])? {
        "uring" => Io::Uring,
        "epoll" => Io::Epoll,
        _ => Io::Auto,
    })
}

fn compression(raw: &Raw) -> Result<Compression, ConfigError> {
    Ok(match raw.one_of(Setting::Compression, &["feeds", "off", "all"])? {
        "off" => Compression::Off,
        "all" => Compression::All,
        _ => Compression::Feeds,
    })
}

fn node(raw: &Raw) -> Result<String, ConfigError> {
    match raw.get(Setting::Node) {
        Some(name) if name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(name.to_owned()),
        Some(other) => Err(Setting::Node.wrong(other, "must be at most 64 visible ASCII characters", "chat-1")),
        None => {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(48).collect();
            let host = if host.is_empty() { "pregon" } else { &host };
            Ok(format!("{host}-{:04x}", rand::random::<u16>()))
        }
    }
}

fn origins(raw: &Raw, loopback: bool) -> Result<Rules, ConfigError> {
    let rules = match raw.get(Setting::AllowedOrigins) {
        None => Rules::same_host(loopback),
        Some(text) => Rules::list(text.split(',').map(str::trim).filter(|entry| !entry.is_empty())).map_err(|bad| {
            let must = "must be host names, with or without scheme and port, separated by commas";
            Setting::AllowedOrigins.wrong(bad, must, "example.com,https://app.example.com")
        })?,
    };
    Ok(rules.require(raw.on_off(Setting::RequireOrigin)?))
}

fn logins(raw: &Raw) -> Result<LoginTerms, ConfigError> {
    let terms = LoginTerms { end: raw.on_off(Setting::EndLogins)?, rotate: raw.on_off(Setting::RotateRefresh)? };
    if terms.rotate && !terms.end {
        let must = "must be off where PREGON_END_LOGINS is off, since a token that is used again ends its login";
        return Err(Setting::RotateRefresh.wrong("on", must, "off"));
    }
    Ok(terms)
}

fn public_url(raw: &Raw) -> Result<Option<String>, ConfigError> {
    let Some(text) = raw.get(Setting::PublicUrl) else { return Ok(None) };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest.map(|rest| rest.trim_end_matches('/')) {
        Some(rest) if !rest.is_empty() && !rest.contains(['?', '#', '@', ' ', '"', '<']) => {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        }
        _ => Err(Setting::PublicUrl.wrong(text, "must be an http or https address", "https://chat.example.com")),
    }
}

fn media_dir(raw: &Raw, database: &Database) -> PathBuf {
    let beside = || match database.file() {
        Some(file) => file.parent().unwrap_or(std::path::Path::new("")).join("media"),
        None => PathBuf::from("data/media"),
    };
    raw.get(Setting::MediaDir).map_or_else(beside, PathBuf::from)
}

fn site(raw: &Raw) -> Result<Site, ConfigError> {
    let Some(path) = raw.get(Setting::SiteFile) else { return Ok(Site::default()) };
    let wrong = |why: &str| {
        let example = "/etc/pregon/site.json";
        Setting::SiteFile.wrong(path, &format!("must name a file of JSON with settings and menu: it {why}"), example)
    };
    let bytes = std::fs::metadata(path).map_err(|error| wrong(&format!("cannot be read ({error})")))?.len();
    if bytes > limits::SITE_FILE_BYTES_MAX {
        return Err(wrong(&format!("has more than {} KiB", limits::SITE_FILE_BYTES_MAX / 1024)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    Site::parse(&text).map_err(|why| wrong(&why))
}

fn post_updates(raw: &Raw) -> Result<PostUpdates, ConfigError> {
    Ok(match raw.one_of(Setting::PostUpdates, &["coalesced", "always"])? {
        "always" => PostUpdates::Always,
        _ => PostUpdates::Coalesced,
    })
}

fn log_format(raw: &Raw) -> Result<LogFormat, ConfigError> {
    Ok(match raw.one_of(Setting::LogFormat, &["text", "json"])? {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}

fn log_level(raw: &Raw) -> Result<String, ConfigError> {
    let text = raw.or_usual(Setting::LogLevel);
    // A single word must be a level. tracing would read any other word as a target and silence everything else.
    let is_level =
        |word: &str| word.contains(['=', '[']) || tracing_subscriber::filter::LevelFilter::from_str(word).is_ok();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    match tracing_subscriber::EnvFilter::from_str(text) {
        Ok(_) if words.clone().all(is_level) => Ok(text.to_owned()),
        _ => Err(Setting::LogLevel.wrong(text, "must be a level or a tracing filter", "info,pregon=debug")),
    }
}

#[cfg(test)]
mod tests;
