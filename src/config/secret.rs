//! The secret that signs tokens: set, read from a file, or made once and stored.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::{ConfigError, Raw, Setting};

/// A shorter secret can be guessed.
const BYTES_MIN: usize = 16;
const EXAMPLE: &str = "PREGON_JWT_SECRET=$(openssl rand -hex 32)";

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The bytes, for signing.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn checked(text: &str, name: &str) -> Result<Self, ConfigError> {
        if text.len() < BYTES_MIN {
            return Err(ConfigError(format!(
                "{name} has {} bytes, but must have at least {BYTES_MIN}, for example {EXAMPLE}.",
                text.len()
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

pub(super) fn given(raw: &Raw) -> Result<Option<Secret>, ConfigError> {
    if let Some(text) = raw.untrimmed(Setting::JwtSecret) {
        return Secret::checked(text, "PREGON_JWT_SECRET").map(Some);
    }
    let Some(path) = raw.get(Setting::JwtSecretFile) else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError(format!("PREGON_JWT_SECRET_FILE is {path:?}, but that file cannot be read: {error}."))
    })?;
    Secret::checked(text.trim_end_matches(['\n', '\r']), &format!("The secret in {path:?} (PREGON_JWT_SECRET_FILE)"))
        .map(Some)
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
                return Secret::checked(&text, "it").map_err(|_| ErrorKind::InvalidData.into());
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
