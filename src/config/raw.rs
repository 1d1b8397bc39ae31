//! Settings as texts, from the file, the environment and the flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use toml::{Table, Value};

use crate::config::{ConfigError, Setting};

/// The text of each setting, from the winning source. It has no `Debug`, because it holds the secret.
#[derive(Default)]
pub struct Raw(BTreeMap<Setting, String>);

impl Raw {
    /// Reads the file (`PREGON_CONFIG`, or `pregon.toml` if it exists), then `environment`, then `flags`; later ones
    /// win.
    ///
    /// # Errors
    /// The named file is missing, is not TOML, or holds an unknown name.
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
                "{name} is set, but there is no such setting: see docs/operations.md, or remove it."
            )));
        }
        for (setting, value) in flags {
            raw.set(setting, value);
        }
        Ok(raw)
    }

    /// Replaces an earlier text. A secret and the file of that secret replace each other; an empty text counts as not
    /// set.
    pub fn set(&mut self, setting: Setting, value: String) {
        match setting {
            Setting::JwtSecret => self.0.remove(&Setting::JwtSecretFile),
            Setting::JwtSecretFile => self.0.remove(&Setting::JwtSecret),
            Setting::AdminKey => self.0.remove(&Setting::AdminKeyFile),
            Setting::AdminKeyFile => self.0.remove(&Setting::AdminKey),
            Setting::PushKey => self.0.remove(&Setting::PushKeyFile),
            Setting::PushKeyFile => self.0.remove(&Setting::PushKey),
            Setting::TlsTicketSecret => self.0.remove(&Setting::TlsTicketSecretFile),
            Setting::TlsTicketSecretFile => self.0.remove(&Setting::TlsTicketSecret),
            Setting::DatabaseUrl => self.0.remove(&Setting::DatabaseUrlFile),
            Setting::DatabaseUrlFile => self.0.remove(&Setting::DatabaseUrl),
            Setting::RedisUrl => self.0.remove(&Setting::RedisUrlFile),
            Setting::RedisUrlFile => self.0.remove(&Setting::RedisUrl),
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
        // The parser's message may quote the file, which may hold a secret, so only the position is reported.
        let values: Table = toml::from_str(&text).map_err(|error| {
            let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.split('\n').count());
            let line = line.map_or_else(String::new, |line| format!(" in line {line}"));
            ConfigError(format!("The configuration file {named} is not valid TOML{line}; a right line is shards = 4."))
        })?;
        for (key, value) in values {
            let setting = Setting::ALL.iter().find(|setting| setting.key() == key).ok_or_else(|| {
                ConfigError(format!("The configuration file {named} sets {key:?}, but there is no such setting."))
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

    /// The text, if it was set.
    pub fn get(&self, setting: Setting) -> Option<&str> {
        self.untrimmed(setting).map(str::trim)
    }

    /// The text, or the default; empty if the default depends on something else.
    pub(super) fn or_usual(&self, setting: Setting) -> &str {
        self.get(setting).or_else(|| setting.usual()).unwrap_or_default()
    }

    /// The text with trailing blanks: every byte of a secret counts.
    pub(super) fn untrimmed(&self, setting: Setting) -> Option<&str> {
        self.0.get(&setting).map(String::as_str)
    }

    /// A number within a range; `usual` is the default if the table of settings has none.
    pub(super) fn number_or<T>(&self, setting: Setting, usual: T, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display,
    {
        if self.get(setting).is_some() { self.number(setting, range) } else { Ok(usual) }
    }

    /// A number within a range.
    pub(super) fn number<T>(&self, setting: Setting, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.or_usual(setting);
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => {
                let must = format!("must be a number from {} to {}", range.start(), range.end());
                let example = setting.usual().map_or_else(|| range.start().to_string(), str::to_owned);
                Err(setting.wrong(text, &must, &example))
            }
        }
    }

    /// `on` or `off`, in any common spelling.
    pub(super) fn on_off(&self, setting: Setting) -> Result<bool, ConfigError> {
        match self.or_usual(setting) {
            "on" | "true" | "1" | "yes" => Ok(true),
            "off" | "false" | "0" | "no" => Ok(false),
            other => Err(setting.wrong(other, "must be on or off", setting.usual().unwrap_or("on"))),
        }
    }

    /// One of a few words.
    pub(super) fn one_of<'a>(&'a self, setting: Setting, words: &[&str]) -> Result<&'a str, ConfigError> {
        let text = self.or_usual(setting);
        if words.contains(&text) {
            return Ok(text);
        }
        Err(setting.wrong(text, &format!("must be {}", words.join(" or ")), setting.usual().unwrap_or(words[0])))
    }

    /// Values separated by commas. `must` and `example` complete the sentence about a wrong value.
    pub(super) fn list<T: FromStr>(&self, setting: Setting, must: &str, example: &str) -> Result<Vec<T>, ConfigError> {
        let values = self.or_usual(setting).split(',').map(str::trim).filter(|one| !one.is_empty());
        values.map(|one| one.parse().map_err(|_| setting.wrong(one, must, example))).collect()
    }
}

/// Whether Kubernetes set this variable for a service whose name begins with pregon, such as `PREGON_SERVICE_HOST`,
/// `PREGON_PORT` and `PREGON_CHAT_PORT_8000_TCP`.
fn is_of_kubernetes(name: &str) -> bool {
    name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_")
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Array(values) => Some(values.iter().map(text_of).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}
