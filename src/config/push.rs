//! The settings of Web Push.

use std::time::Duration;

use crate::config::{ConfigError, Raw, Setting};
use crate::fanout::push::{Contact, Content, Hosts, PrivateKey, Terms};

/// The settings; `None` if no contact is set: then nothing is pushed.
///
/// # Errors
/// A wrong value, or a contact that a push service would refuse.
pub(super) fn terms(raw: &Raw, is_near: bool) -> Result<Option<Terms>, ConfigError> {
    let has_loopback = raw.on_off(Setting::PushLoopback)?;
    if has_loopback && !is_near {
        return Err(Setting::PushLoopback.wrong("on", "may be on only when listening on this machine alone", "off"));
    }
    let rules =
        raw.list(Setting::PushHosts, "must be hosts' names, .domains, or *", "fcm.googleapis.com,.push.apple.com")?;
    let content = raw.one_of(Setting::PushContent, &["all", "groups", "none"])?;
    // `one_of` has checked the word.
    let content = content.parse().unwrap_or(Content::Nothing);
    let delay = Duration::from_millis(raw.number(Setting::PushDelayMs, 0..=60_000)?);
    let ttl_seconds = raw.number(Setting::PushTtlSeconds, 0..=2_419_200)?;
    let (key, page) = (key(raw)?, page(raw)?);
    let Some(text) = raw.get(Setting::PushContact) else { return Ok(None) };
    let contact: Contact = text.parse().map_err(|_| {
        let must = "must be mailto: with an address, or an https: URL, of a name that others can reach (Apple's push service \
                    refuses localhost, .local and the like)";
        Setting::PushContact.wrong(text, must, "mailto:ops@example.org")
    })?;
    Ok(Some(Terms { contact, key, hosts: Hosts { rules, has_loopback }, content, delay, ttl_seconds, page }))
}

/// The private key, if it was set. It is not printed.
fn key(raw: &Raw) -> Result<Option<PrivateKey>, ConfigError> {
    const MUST: &str =
        "must hold a private key of P-256, 32 bytes as base64url, as `npx web-push generate-vapid-keys` prints it";
    let parsed =
        |text: &str, named: String| text.parse().map(Some).map_err(|_| ConfigError(format!("{named} {MUST}.")));
    if let Some(text) = raw.get(Setting::PushKey) {
        return parsed(text, Setting::PushKey.environment());
    }
    let Some(path) = raw.get(Setting::PushKeyFile) else { return Ok(None) };
    let named = format!("{path:?} ({})", Setting::PushKeyFile.environment());
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError(format!("{named} cannot be read: {error}.")))?;
    parsed(text.trim(), named)
}

fn page(raw: &Raw) -> Result<Option<String>, ConfigError> {
    let Some(text) = raw.get(Setting::PushPage) else { return Ok(None) };
    let is_fine = text.len() <= 200
        && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.fragment().is_none());
    if is_fine {
        return Ok(Some(text.to_owned()));
    }
    Err(Setting::PushPage.wrong(
        text,
        "must be an http: or https: URL without #, of at most 200 bytes",
        "https://chat.example.org/",
    ))
}
