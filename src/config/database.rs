//! The database's settings: its address, writers, clock zone, and the other programs that write to it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::clock::{JsonTimes, Zone};
use crate::cluster::redis::Address;
use crate::config::cores::cores;
use crate::config::{ConfigError, Raw, Setting};
use crate::django::Mode;
use crate::limits;
use crate::store::Durability;
use crate::store::mysql::Link;

const SQLITE_EXAMPLE: &str = "sqlite://data/pregon.db";
const REDIS_EXAMPLE: &str = "redis://127.0.0.1:6379/0";
const MYSQL_EXAMPLE: &str = "mysql://user:password@127.0.0.1:3306/social";

/// The database that holds everything durable.
#[derive(Debug, Clone)]
pub enum Database {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A database on a MySQL or MariaDB server.
    Mysql(Link),
}

impl fmt::Display for Database {
    /// The file, or the database with its server; never the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Mysql(link) => f.write_str(link.place()),
        }
    }
}

impl Database {
    /// The file, for SQLite.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Mysql(_) => None,
        }
    }

    pub(super) fn checked(raw: &Raw) -> Result<Self, ConfigError> {
        let url =
            given(raw, Setting::DatabaseUrl, Setting::DatabaseUrlFile)?.unwrap_or_else(|| SQLITE_EXAMPLE.to_owned());
        if url.starts_with("mysql://") || url.starts_with("mariadb://") {
            // The value may contain a password, so the sentence does not repeat it.
            let wrong = |what: String| {
                ConfigError(format!(
                    "PREGON_DATABASE_URL {what}, but must be right as in PREGON_DATABASE_URL={MYSQL_EXAMPLE}."
                ))
            };
            return Link::parse(&url).map(Self::Mysql).map_err(wrong);
        }
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() && !path.starts_with(':') && !path.contains('?') && !path.ends_with('/') => {
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            _ if url.contains('@') => Err(ConfigError(format!(
                "PREGON_DATABASE_URL must begin with sqlite://, mysql:// or mariadb://, for example \
                 PREGON_DATABASE_URL={MYSQL_EXAMPLE}."
            ))),
            _ => {
                let must = "must be sqlite:// and the path of a file, or mysql:// and a server's database";
                Err(Setting::DatabaseUrl.wrong(&url, must, SQLITE_EXAMPLE))
            }
        }
    }

    pub(super) fn write_lanes(&self, raw: &Raw) -> Result<usize, ConfigError> {
        match (self, raw.get(Setting::WriteLanes)) {
            (Self::Mysql(_), _) => {
                let usual = (cores() / 2).clamp(1, limits::WRITE_LANES);
                raw.number_or(Setting::WriteLanes, usual, 1..=limits::WRITE_LANES_MAX)
            }
            (Self::Sqlite(_), None | Some("1")) => Ok(1),
            (Self::Sqlite(_), Some(other)) => {
                Err(Setting::WriteLanes.wrong(other, "must be 1, since SQLite has one writer", "1"))
            }
        }
    }

    /// What acknowledgements say at best.
    pub(super) fn durability(&self, raw: &Raw) -> Result<Durability, ConfigError> {
        match (self, raw.one_of(Setting::Durability, &["stored", "replicated"])?) {
            (Self::Mysql(_), "replicated") => Ok(Durability::Replicated),
            (Self::Sqlite(_), "replicated") => {
                let must = "must be stored with SQLite, which has no replica";
                Err(Setting::Durability.wrong("replicated", must, "stored"))
            }
            _ => Ok(Durability::Stored),
        }
    }

    /// The zone of the database's clock, and how times look in JSON.
    pub(super) fn times(&self, raw: &Raw) -> Result<(Zone, JsonTimes), ConfigError> {
        let is_naive = raw.one_of(Setting::TimeStyle, &["utc", "naive"])? == "naive";
        let zone = match raw.get(Setting::DbZone) {
            None => Zone::Utc,
            Some(name) => name.parse().map_err(|_| {
                Setting::DbZone.wrong(name, "must be a name of the time-zone database", "America/Bogota")
            })?,
        };
        let times = if is_naive { JsonTimes::Naive(zone) } else { JsonTimes::Utc };
        match self {
            Self::Mysql(_) => Ok((zone, times)),
            Self::Sqlite(_) if is_naive || zone == Zone::Utc => Ok((Zone::Utc, times)),
            Self::Sqlite(_) => Err(Setting::DbZone.wrong(
                raw.get(Setting::DbZone).unwrap_or_default(),
                "must be UTC with SQLite, unless PREGON_TIME_STYLE=naive shows local times",
                "UTC",
            )),
        }
    }

    /// The Redis of Django's channel layer, and whether Django runs beside pregon.
    pub(super) fn neighbours(&self, raw: &Raw) -> Result<(Option<Address>, Mode), ConfigError> {
        let mode = match raw.one_of(Setting::Django, &["auto", "on", "off"])? {
            "on" => Mode::On,
            "off" => Mode::Off,
            _ => Mode::Auto,
        };
        let url = given(raw, Setting::RedisUrl, Setting::RedisUrlFile)?;
        if let Self::Sqlite(_) = self {
            if mode == Mode::On {
                let must = format!("needs Django's database: PREGON_DATABASE_URL={MYSQL_EXAMPLE}");
                return Err(Setting::Django.wrong("on", &must, "off"));
            }
            if url.is_some() {
                return Err(ConfigError(format!(
                    "PREGON_REDIS_URL is set, but only nodes on one MySQL database need Redis: remove it, or name that database, \
                     for example PREGON_DATABASE_URL={MYSQL_EXAMPLE}."
                )));
            }
        }
        let wrong = |what: String| {
            ConfigError(format!("PREGON_REDIS_URL {what}, but must be right as in PREGON_REDIS_URL={REDIS_EXAMPLE}."))
        };
        let address = url.map(|url| Address::parse(&url).map_err(wrong)).transpose()?;
        if mode == Mode::On && address.as_ref().is_some_and(|address| !address.is_one_server()) {
            return Err(wrong(
                "names Sentinels or a cluster while PREGON_DJANGO is on, and Django's channel layer is on one server"
                    .into(),
            ));
        }
        Ok((address, mode))
    }
}

/// A URL that was set, or stands in a file that was named, since there may be a password in it.
fn given(raw: &Raw, url: Setting, file: Setting) -> Result<Option<String>, ConfigError> {
    if let Some(url) = raw.get(url) {
        return Ok(Some(url.to_owned()));
    }
    let Some(path) = raw.get(file) else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError(format!("{} is {path:?}, but that file cannot be read: {error}.", file.environment()))
    })?;
    Ok(Some(text.trim().to_owned()))
}
