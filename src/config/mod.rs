//! Settings: a file, the environment and flags become values that cannot be wrong, or one sentence that says what is.

mod database;
mod raw;
mod secret;
mod setting;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use database::Database;
pub use raw::Raw;
pub use secret::Secret;
pub use setting::{Setting, documentation};

use crate::access::client_address::Network;
use crate::access::logins::LoginTerms;
use crate::access::origin::{Hosts, Rules};
use crate::clock::{JsonTimes, Zone};
use crate::django::Mode;
use crate::django::listener::Address;
use crate::engine::net::send::Io;
use crate::fanout::publish::PostUpdates;
use crate::limits;
use crate::limits::memory::Sizes;
use crate::rest::site::Site;
use crate::store::mysql::{self, PlanLine};

/// One sentence: the setting, its value, and a right example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; at least one. Port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Where what must last is kept.
    pub database: Database,
    /// Where the clock of the database's times hangs.
    pub zone: Zone,
    /// The zone was set; where it was not, [`Self::zone`] is only what is usual.
    pub is_zone_given: bool,
    /// How times look in JSON.
    pub json_times: JsonTimes,
    /// The Redis of Django's channel layer.
    pub redis: Option<Address>,
    /// Is there a Django beside pregon?
    pub django: Mode,
    /// What tokens are signed with; `None` means the one kept beside the database (see [`Settings::secret`]).
    pub jwt_secret: Option<Secret>,
    /// Engine threads, 1 to 64.
    pub shards: usize,
    /// Threads that write to the database, 1 to [`limits::WRITE_LANES_MAX`]. SQLite has one writer.
    pub write_lanes: usize,
    /// How frames leave.
    pub io: Io,
    /// This node's name in logs and metrics.
    pub node: String,
    /// Which web pages may call.
    pub origins: Rules,
    /// Are requests and frames limited in rate?
    pub rate_limits: bool,
    /// From SIGTERM to the last connection's end.
    pub drain: Duration,
    /// From a token's end to the end of its sockets (close code 4001).
    pub token_grace: Duration,
    /// When a post's whole object is sent after its counters have moved.
    pub post_updates: PostUpdates,
    /// Do sockets for feeds and notifications, too, end with their token?
    pub strict_tokens: bool,
    /// How logins end.
    pub logins: LoginTerms,
    /// How often the users behind open feed, post and notification sockets are looked at.
    pub active_check: Duration,
    /// Participants up to which a room sends `user_status` frames; joins cost the square of it.
    pub presence_room_max: u32,
    /// Reactions that a post shows, the newest; each brings a whole profile.
    pub post_reactions_shown: u32,
    /// Where clients reach this server, without a slash at the end; `None` means the first listen address.
    pub public_url: Option<String>,
    /// Where uploads are kept.
    pub media_dir: PathBuf,
    /// The folder that the page's files are read from; `None` means the binary.
    pub web_dir: Option<PathBuf>,
    /// What an uploaded file may take, however small; beyond it, a least speed counts.
    pub upload_grace: Duration,
    /// What one user may upload a day, in MiB; 0: as much as they like.
    pub upload_quota_mb: u32,
    /// Is the media folder this database's alone, and looked through for uploads that no row names?
    pub media_sweep: bool,
    /// Flags and menu of pages.
    pub site: Site,
    /// Pictures keep where they were made.
    pub keep_location: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Is `/metrics` open to everybody? Otherwise only to this machine.
    pub metrics_public: bool,
    /// Are e-mail addresses and telephone numbers hidden from others unless their owner shows them?
    pub mask_contacts: bool,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// What is logged, as `tracing` writes it: `info`, `pregon=debug`.
    pub log_level: String,
}

impl Settings {
    /// The settings of this process: `flags` over the environment over the file.
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
        Sizes { shards: self.shards, lanes: self.write_lanes }
    }

    /// Settings from raw values.
    ///
    /// # Errors
    /// The sentence to print.
    pub fn check(raw: &Raw) -> Result<Self, ConfigError> {
        refuse_what_is_not_served(raw)?;
        let listen: Vec<SocketAddr> = raw.list(Setting::Listen, "must be IP addresses with ports", "127.0.0.1:8000")?;
        let loopback = listen.iter().all(|address| address.ip().is_loopback());
        let database = Database::checked(raw)?;
        let (zone, json_times) = database.times(raw)?;
        let (redis, django) = database.neighbours(raw)?;
        let jwt_secret = secret::given(raw)?;
        if jwt_secret.is_none() && !loopback {
            return Err(ConfigError(format!(
                "PREGON_JWT_SECRET is not set, but is required when listening beyond this machine (PREGON_LISTEN is \
                 {:?}), for example PREGON_JWT_SECRET=$(openssl rand -hex 32).",
                raw.get(Setting::Listen).unwrap_or_default()
            )));
        }
        let rate_limits = raw.on_off(Setting::RateLimits)?;
        if !rate_limits && !loopback {
            return Err(Setting::RateLimits.wrong("off", "may be off only when listening on this machine alone", "on"));
        }
        Ok(Self {
            jwt_secret,
            shards: shards(raw)?,
            write_lanes: database.write_lanes(raw)?,
            io: io(raw)?,
            node: node(raw)?,
            origins: origins(raw, loopback)?,
            rate_limits,
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

    /// What to do about a database of another program's that took `plan`, when nobody has said by which clock that program
    /// writes its times: hours off, every list would be in a wrong order.
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

    /// Is this machine the only one that can connect?
    pub fn listens_on_loopback(&self) -> bool {
        self.listen.iter().all(|address| address.ip().is_loopback())
    }

    /// Which names requests may call this server by: its machine's own, where nothing says that a proxy sends others there.
    pub fn hosts(&self) -> Hosts {
        if self.listens_on_loopback() && self.public_url.is_none() && self.trusted_proxies.is_empty() {
            Hosts::of_this_machine(self.origins.clone())
        } else {
            Hosts::any()
        }
    }

    /// What tokens are signed with: as set, or the one kept beside a database file, made on first use.
    ///
    /// # Errors
    /// The kept secret can be neither read nor made, or there is no file to keep it beside.
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

    /// What stands before paths of files and lists in answers; empty where only a request knows by which name this server
    /// is reached.
    pub fn media_base(&self, bound: SocketAddr) -> String {
        if self.public_url.is_none() && bound.ip().is_unspecified() { String::new() } else { self.public_url(bound) }
    }

    /// Where clients reach a server that listens on `bound`, its first address with the port that the system chose.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| match bound.ip() {
            ip if ip.is_unspecified() => format!("http://localhost:{}", bound.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => format!("http://{bound}"),
        })
    }
}

/// What this version does not do must not look as if it did.
fn refuse_what_is_not_served(raw: &Raw) -> Result<(), ConfigError> {
    for (setting, why) in [
        (Setting::TlsCert, "this version leaves TLS to a proxy in front of it: remove it"),
        (Setting::TlsKey, "this version leaves TLS to a proxy in front of it: remove it"),
    ] {
        if raw.get(setting).is_some() {
            return Err(ConfigError(format!("{} is set, but {why}.", setting.environment())));
        }
    }
    Ok(())
}

fn seconds(raw: &Raw, setting: Setting, range: std::ops::RangeInclusive<u64>) -> Result<Duration, ConfigError> {
    Ok(Duration::from_secs(raw.number(setting, range)?))
}

fn shards(raw: &Raw) -> Result<usize, ConfigError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    raw.number_or(Setting::Shards, cores.min(limits::SHARDS_MAX), 1..=limits::SHARDS_MAX)
}

fn io(raw: &Raw) -> Result<Io, ConfigError> {
    Ok(match raw.one_of(Setting::Io, &["auto", "uring", "epoll"])? {
        "uring" => Io::Uring,
        "epoll" => Io::Epoll,
        _ => Io::Auto,
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
    // A word alone is to be a level: as a target, which it could be too, it would silence everything else.
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
