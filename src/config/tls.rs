//! The settings of TLS.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ConfigError, Raw, Setting};

/// Browsers remember for at most so long (two years, as the preload list of browsers asks for).
const HSTS_SECONDS_MAX: u64 = 2 * 365 * 86_400;

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those that signed it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Both files, or none. They are read at the start, not here.
pub(super) fn files(raw: &Raw) -> Result<Option<TlsFiles>, ConfigError> {
    let missing = |given: Setting, other: Setting, example: &str| {
        let (given, other) = (given.environment(), other.environment());
        ConfigError(format!(
            "{given} is set, but {other} is not: a certificate needs its key, for example {other}={example}."
        ))
    };
    match (raw.get(Setting::TlsCert), raw.get(Setting::TlsKey)) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate: certificate.into(), key: key.into() })),
        (Some(_), None) => Err(missing(Setting::TlsCert, Setting::TlsKey, "/etc/pregon/privkey.pem")),
        (None, Some(_)) => Err(missing(Setting::TlsKey, Setting::TlsCert, "/etc/pregon/fullchain.pem")),
    }
}

/// How long browsers shall use TLS alone.
pub(super) fn hsts(raw: &Raw, is_encrypted: bool) -> Result<Duration, ConfigError> {
    let seconds = raw.number(Setting::HstsSeconds, 0..=HSTS_SECONDS_MAX)?;
    if seconds > 0 && !is_encrypted {
        let must = "must be 0 where PREGON_TLS_CERT is not set: browsers heed it over TLS alone, and a proxy can say it itself";
        return Err(Setting::HstsSeconds.wrong(&seconds.to_string(), must, "0"));
    }
    Ok(Duration::from_secs(seconds))
}
