//! Settings as texts: where they come from, and which source wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::Value;

use crate::config::ConfigError;

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)*) => {
        /// The name of a setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Setting {
            $($(#[$doc])* $name,)*
        }

        impl Setting {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in the configuration file.
            pub fn key(self) -> &'static str {
                match self {
                    $(Self::$name => $key,)*
                }
            }
        }
    };
}

settings! {
    /// Addresses to listen on.
    Listen = "listen",
    /// The database.
    DatabaseUrl = "database_url",
    /// A file that holds the database's URL, since a password may be in it.
    DatabaseUrlFile = "database_url_file",
    /// The Redis of Django's channel layer.
    RedisUrl = "redis_url",
    /// Is there a Django beside pregon?
    Django = "django",
    /// The token secret itself.
    JwtSecret = "jwt_secret",
    /// A file that holds the token secret.
    JwtSecretFile = "jwt_secret_file",
    /// Engine threads.
    Shards = "shards",
    /// Writers.
    WriteLanes = "write_lanes",
    /// The network back end.
    Io = "io",
    /// This node's name.
    Node = "node",
    /// Which pages may call.
    AllowedOrigins = "allowed_origins",
    /// Must programs other than browsers send an origin, too?
    RequireOrigin = "require_origin",
    /// `on` or `off`.
    RateLimits = "rate_limits",
    /// From SIGTERM to the end.
    DrainSeconds = "drain_seconds",
    /// From a token's end to the end of its sockets.
    TokenGraceSeconds = "token_grace_seconds",
    /// `coalesced` or `always`.
    PostUpdates = "post_updates",
    /// Do feed sockets, too, end with their token?
    StrictTokens = "strict_tokens",
    /// How often users of open feeds are looked at.
    ActiveCheckSeconds = "active_check_seconds",
    /// The largest room with presence frames.
    PresenceRoomMax = "presence_room_max",
    /// Reactions that a post shows.
    PostReactionsShown = "post_reactions_shown",
    /// Where clients reach this server.
    PublicUrl = "public_url",
    /// Where uploads are kept.
    MediaDir = "media_dir",
    /// Where the page is read from instead of the binary.
    WebDir = "web_dir",
    /// What an uploaded file may take, however small.
    UploadGraceSeconds = "upload_grace_seconds",
    /// Is the media folder swept?
    MediaSweep = "media_sweep",
    /// Proxies that are believed.
    TrustedProxies = "trusted_proxies",
    /// Who may read `/metrics`.
    Metrics = "metrics",
    /// Hide e-mail addresses and telephone numbers?
    MaskContacts = "mask_contacts",
    /// `text` or `json`.
    LogFormat = "log_format",
    /// A level or filter.
    LogLevel = "log_level",
    /// The zone of the database's times, and of naive ones in JSON.
    DbZone = "db_zone",
    /// The form of times in JSON.
    TimeStyle = "time_style",
    /// TLS; later.
    TlsCert = "tls_cert",
    /// TLS; later.
    TlsKey = "tls_key",
}

impl Setting {
    /// Its name in the environment, by which errors call it.
    pub fn environment(self) -> String {
        format!("PREGON_{}", self.key().to_ascii_uppercase())
    }

    /// The sentence on a wrong value.
    pub fn wrong(self, value: &str, must: &str, example: &str) -> ConfigError {
        let name = self.environment();
        ConfigError(format!("{name} is {value:?}, but {must}, for example {name}={example}."))
    }
}

/// Texts by setting, from the source that wins. Not printable, since the secret is among them.
#[derive(Default)]
pub struct Raw(BTreeMap<Setting, String>);

impl Raw {
    /// The file (`PREGON_CONFIG`, or `pregon.toml` if there is one), then `environment`, then `flags`.
    ///
    /// # Errors
    /// The file is named but missing, is no TOML, or holds a name that is no setting's.
    pub fn gather(
        environment: impl IntoIterator<Item = (String, OsString)>,
        flags: Vec<(Setting, String)>,
    ) -> Result<Self, ConfigError> {
        let mut environment: BTreeMap<String, OsString> = environment.into_iter().collect();
        let mut raw = Self::default();
        match environment.remove("PREGON_CONFIG") {
            Some(path) => raw.read_file(Path::new(&path))?,
            None if Path::new("pregon.toml").exists() => raw.read_file(Path::new("pregon.toml"))?,
            None => {}
        }
        for &setting in Setting::ALL {
            if let Some(value) = environment.remove(&setting.environment()) {
                let value = value
                    .into_string()
                    .map_err(|bad| ConfigError(format!("{} is {bad:?}, but must be UTF-8.", setting.environment())))?;
                raw.set(setting, value);
            }
        }
        if let Some(name) = environment.keys().find(|name| name.starts_with("PREGON_") && !is_of_kubernetes(name)) {
            return Err(ConfigError(format!(
                "{name} is set, which is no setting's name: see docs/operations.md, or remove it."
            )));
        }
        for (setting, value) in flags {
            raw.set(setting, value);
        }
        Ok(raw)
    }

    /// One text over what was there. A secret and the file of a secret replace each other; an empty text is as good as none.
    pub fn set(&mut self, setting: Setting, value: String) {
        match setting {
            Setting::JwtSecret => self.0.remove(&Setting::JwtSecretFile),
            Setting::JwtSecretFile => self.0.remove(&Setting::JwtSecret),
            Setting::DatabaseUrl => self.0.remove(&Setting::DatabaseUrlFile),
            Setting::DatabaseUrlFile => self.0.remove(&Setting::DatabaseUrl),
            _ => None,
        };
        if value.trim().is_empty() {
            self.0.remove(&setting);
        } else {
            self.0.insert(setting, value);
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let named = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError(format!("PREGON_CONFIG is {named:?}, but that file cannot be read: {error}."))
        })?;
        // The parser's own words may quote the file, in which a secret may stand: only the place is told.
        let values: BTreeMap<String, Value> = Figment::from(Toml::string(&text)).extract().map_err(|error| {
            let line = line_of(&error.to_string()).map_or_else(String::new, |line| format!(" in line {line}"));
            ConfigError(format!("The configuration file {named} is not valid TOML{line}; a right line is shards = 4."))
        })?;
        for (key, value) in values {
            let setting = Setting::ALL.iter().find(|setting| setting.key() == key).ok_or_else(|| {
                ConfigError(format!("The configuration file {named} sets {key:?}, which is no setting's name."))
            })?;
            let text = text_of(&value).ok_or_else(|| {
                ConfigError(format!(
                    "The configuration file {named} sets {key:?} to what is neither text, number, \
                     true, false nor a list of them."
                ))
            })?;
            self.set(*setting, text);
        }
        Ok(())
    }

    /// The text, if it is set.
    pub fn get(&self, setting: Setting) -> Option<&str> {
        self.untrimmed(setting).map(str::trim)
    }

    /// The text to the last blank: a secret's bytes are its own.
    pub(super) fn untrimmed(&self, setting: Setting) -> Option<&str> {
        self.0.get(&setting).map(String::as_str)
    }

    /// A number within a range.
    pub(super) fn number<T>(&self, setting: Setting, default: T, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.get(setting) else { return Ok(default) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => {
                let must = format!("must be a number from {} to {}", range.start(), range.end());
                Err(setting.wrong(text, &must, &default.to_string()))
            }
        }
    }

    /// `on` or `off`, in the usual spellings.
    pub(super) fn on_off(&self, setting: Setting, default: bool) -> Result<bool, ConfigError> {
        match self.get(setting) {
            None => Ok(default),
            Some("on" | "true" | "1" | "yes") => Ok(true),
            Some("off" | "false" | "0" | "no") => Ok(false),
            Some(other) => Err(setting.wrong(other, "must be on or off", if default { "on" } else { "off" })),
        }
    }

    /// One of a few words.
    pub(super) fn one_of<'a>(
        &'a self,
        setting: Setting,
        default: &'a str,
        words: &[&str],
    ) -> Result<&'a str, ConfigError> {
        let text = self.get(setting).unwrap_or(default);
        if words.contains(&text) {
            return Ok(text);
        }
        Err(setting.wrong(text, &format!("must be {}", words.join(" or ")), default))
    }

    /// Values separated by commas.
    pub(super) fn list_or<T: FromStr>(&self, setting: Setting, default: &str) -> Result<Vec<T>, ConfigError> {
        let text = self.get(setting).unwrap_or(default);
        text.split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(|one| {
                one.parse().map_err(|_| match setting {
                    Setting::TrustedProxies => {
                        setting.wrong(one, "must be IP addresses or networks", "127.0.0.1,10.0.0.0/8")
                    }
                    _ => setting.wrong(one, "must be IP addresses with ports", "127.0.0.1:8000"),
                })
            })
            .collect()
    }
}

/// What Kubernetes sets for services whose names begin with pregon, such as `PREGON_SERVICE_HOST`, `PREGON_PORT` and
/// `PREGON_CHAT_PORT_8000_TCP`.
fn is_of_kubernetes(name: &str) -> bool {
    name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_")
}

/// The line that a TOML parser's error speaks of first.
fn line_of(error: &str) -> Option<usize> {
    let (_, rest) = error.split_once("at line ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => number.to_i128().map(|number| number.to_string()),
        Value::Array(_, values) => Some(values.iter().map(text_of).collect::<Option<Vec<_>>>()?.join(",")),
        _ => None,
    }
}
