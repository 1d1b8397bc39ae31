//! Secrets: set or read from a file; the one that signs tokens may be made once and stored.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::{ConfigError, Raw, Setting};
use crate::limits::{ADMIN_KEY_BYTES_FAR_MIN, ADMIN_KEY_BYTES_MIN};

/// A shorter secret can be guessed.
const BYTES_MIN: usize = 16;
/// Where others than this machine may try: RFC 7518 §3.2 wants as many bytes as the hash has.
const BYTES_FAR_MIN: usize = 32;
const EXAMPLE: &str = "PREGON_JWT_SECRET=$(openssl rand -hex 32)";

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The bytes, for signing.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// `named` is what the sentence is about, `setting` what its example sets.
    fn checked(text: &str, named: &str, setting: &str, bytes_min: usize) -> Result<Self, ConfigError> {
        if text.len() < bytes_min {
            return Err(ConfigError(format!(
                "{named} has {} bytes, but must have at least {bytes_min}, for example {setting}=$(openssl rand -hex 32).",
                text.len()
            )));
        }
        // As in deploy/environment.example: everybody knows it.
        if text.to_ascii_uppercase().starts_with("CHANGE-ME") {
            return Err(ConfigError(format!(
                "{named} is still that of the example: make one, for example {setting}=$(openssl rand -hex 32)."
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secret that signs tokens, if it was set; it is longer if others than this machine may try it.
pub(super) fn given(raw: &Raw, is_near: bool) -> Result<Option<Secret>, ConfigError> {
    let bytes_min = if is_near { BYTES_MIN } else { BYTES_FAR_MIN };
    set(raw, [Setting::JwtSecret, Setting::JwtSecretFile], "The secret", bytes_min)
}

/// The secret of TLS tickets, if it was set.
pub(super) fn of_tickets(raw: &Raw) -> Result<Option<Secret>, ConfigError> {
    set(raw, [Setting::TlsTicketSecret, Setting::TlsTicketSecretFile], "The secret", BYTES_MIN)
}

/// The key of operators, if it was set; it is longer if others than this machine may try it.
pub(super) fn admin_key(raw: &Raw, is_near: bool) -> Result<Option<Secret>, ConfigError> {
    let bytes_min = if is_near { ADMIN_KEY_BYTES_MIN } else { ADMIN_KEY_BYTES_FAR_MIN };
    set(raw, [Setting::AdminKey, Setting::AdminKeyFile], "The key", bytes_min)
}

/// A secret that was set, or stands in a file that was named.
fn set(raw: &Raw, [text, file]: [Setting; 2], what: &str, bytes_min: usize) -> Result<Option<Secret>, ConfigError> {
    let name = text.environment();
    if let Some(given) = raw.untrimmed(text) {
        return Secret::checked(given, &name, &name, bytes_min).map(Some);
    }
    let Some(path) = raw.get(file) else { return Ok(None) };
    let file = file.environment();
    let given = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("{file} is {path:?}, but that file cannot be read: {error}.")))?;
    let named = format!("{what} in {path:?} ({file})");
    Secret::checked(given.trim_end_matches(['\n', '\r']), &named, &name, bytes_min).map(Some)
}

/// The secret in `<database>.jwt-secret`, readable only by its owner. It is made if there is none.
pub(super) fn kept_beside(database: &Path) -> Result<Secret, ConfigError> {
    let path = PathBuf::from(format!("{}.jwt-secret", database.display()));
    read_or_make(&path).map_err(|error| {
        ConfigError(format!(
            "PREGON_JWT_SECRET is not set, and a secret cannot be kept in {path:?}: {error}; set it, for example {EXAMPLE}."
        ))
    })
}

fn read_or_make(path: &Path) -> std::io::Result<Secret> {
    for _ in 0..2 {
        let mut text = String::new();
        match std::fs::File::open(path) {
            Ok(mut file) => {
                file.read_to_string(&mut text)?;
                return Secret::checked(&text, "it", "PREGON_JWT_SECRET", BYTES_MIN)
                    .map_err(|_| ErrorKind::InvalidData.into());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let made: String = (0..32).map(|_| format!("{:02x}", rand::random::<u8>())).collect();
        // Written whole under another name and then linked, so that two first starts at once end with the same secret.
        let draft = path.with_extension(format!("draft-{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(made.as_bytes())?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Err(ErrorKind::NotFound.into())
}
