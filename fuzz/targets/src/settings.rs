//! Settings, as a file has them: one a line.

use pregon::config::{Raw, Setting, Settings};

/// Those that name a file, which is then read: not any file of this machine.
const OF_FILES: [Setting; 7] = [
    Setting::DatabaseUrlFile,
    Setting::RedisUrlFile,
    Setting::JwtSecretFile,
    Setting::JwtKeys,
    Setting::AdminKeyFile,
    Setting::SiteFile,
    Setting::WebDir,
];

/// TOML, and `key = value` lines.
///
/// # Panics
/// A sentence about a wrong setting names none, or a secret is printed.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = toml::from_str::<toml::Table>(text);
    let mut raw = Raw::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let setting = Setting::ALL.iter().find(|setting| setting.key() == key.trim());
        if let Some(setting) = setting.filter(|setting| !OF_FILES.contains(setting)) {
            raw.set(*setting, value.trim().trim_matches('"').to_owned());
        }
    }
    let secret = raw.get(Setting::JwtSecret).filter(|secret| secret.len() >= 16).map(str::to_owned);
    match Settings::check(&raw) {
        Ok(settings) => {
            assert!(!settings.listen.is_empty() && settings.shards >= 1 && settings.write_lanes >= 1);
            let is_far = !settings.listens_on_loopback();
            assert!(!is_far || settings.jwt_secret.is_some(), "a server that everybody reaches has a secret");
            assert!(!is_far || (settings.rate_limits && !settings.echo));
            let shown = format!("{settings:?}");
            let is_distinct = |secret: &String| !text.replacen(secret.as_str(), "", 1).contains(secret.as_str());
            if let Some(secret) = secret.filter(is_distinct) {
                assert!(!shown.contains(&secret), "the secret is printed");
            }
        }
        Err(error) => assert!(error.to_string().contains("PREGON_"), "{error}"),
    }
}
