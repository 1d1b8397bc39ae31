//! The settings of tokens beside their secret: a file of keys, and who tokens are for and from.

use crate::access::key_file::KeyFile;
use crate::access::keys::Keys;
use crate::access::token::Parties;
use crate::config::{ConfigError, Raw, Secret, Setting};
use crate::limits::PARTY_BYTES_MAX;

/// The file of keys, if one was named. It is read once, so that a server with a wrong file does not start.
pub(super) fn file(raw: &Raw, secret: Option<&Secret>) -> Result<Option<KeyFile>, ConfigError> {
    let Some(path) = raw.get(Setting::JwtKeys) else { return Ok(None) };
    let file = KeyFile::new(path, secret.map(Secret::bytes));
    load(&file)?;
    Ok(Some(file))
}

/// The keys in a file.
pub(super) fn load(file: &KeyFile) -> Result<Keys, ConfigError> {
    let loaded = file.load().map_err(|unusable| {
        let must = format!("must name a file of keys for tokens: {}", unusable.why);
        Setting::JwtKeys.wrong(&file.path().display().to_string(), &must, "/etc/pregon/keys.json")
    })?;
    Ok(loaded.keys)
}

/// Who tokens are for and from.
pub(super) fn parties(raw: &Raw) -> Result<Parties, ConfigError> {
    let party = |setting: Setting, example: &str| match raw.get(setting) {
        Some(text) if text.len() > PARTY_BYTES_MAX || text.contains(char::is_control) => {
            Err(setting.wrong(text, &format!("must be a text of at most {PARTY_BYTES_MAX} bytes"), example))
        }
        other => Ok(other.map(str::to_owned)),
    };
    Ok(Parties {
        audience: party(Setting::JwtAudience, "chat")?,
        issuer: party(Setting::JwtIssuer, "https://id.example.com")?,
    })
}
