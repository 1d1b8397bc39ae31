//! The file with the keys of tokens, which may change while the server runs.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::access::crypto;
use crate::access::jwk;
use crate::access::keys::{Key, Keys};
use crate::limits::KEY_FILE_BYTES_MAX;

/// Where keys are read, and the secret that counts beside them.
#[derive(Clone)]
pub struct KeyFile {
    path: PathBuf,
    secret: Option<Vec<u8>>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({:?})", self.path)
    }
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The keys; the secret is the last of them.
    pub keys: Keys,
    /// Keys that were left out, and why.
    pub left_out: Vec<String>,
    /// Tells this content from another.
    pub content: String,
    /// Whether every program on this machine can read a key that signs.
    pub is_open_to_all: bool,
}

/// Why the file gives no keys. Reading the same again gives the same.
#[derive(Debug)]
pub struct Unusable {
    /// In a sentence that goes on after "it"; it holds nothing of the keys.
    pub why: String,
    /// Tells this content from another; empty if there is none.
    pub content: String,
}

impl KeyFile {
    /// `secret`: a key without a name, which signs where the file has no key that can.
    pub fn new(path: impl Into<PathBuf>, secret: Option<&[u8]>) -> Self {
        Self { path: path.into(), secret: secret.map(<[u8]>::to_vec) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it.
    ///
    /// # Errors
    /// What to mend.
    pub fn load(&self) -> Result<Loaded, Unusable> {
        let (json, mode) = self
            .read()
            .map_err(|error| Unusable { why: format!("it cannot be read ({error})"), content: String::new() })?;
        let content = crypto::fingerprint(&json);
        let unusable = |why| Unusable { why, content: content.clone() };
        if json.len() > KEY_FILE_BYTES_MAX {
            return Err(unusable(format!("it has more than {} KiB", KEY_FILE_BYTES_MAX / 1024)));
        }
        let jwk::KeySet { mut keys, left_out } = jwk::read(&json).map_err(&unusable)?;
        let holds_secrets = keys.iter().any(Key::can_sign);
        keys.extend(self.secret.as_deref().map(Key::secret));
        let keys = Keys::of(keys).map_err(|error| unusable(error.to_string()))?;
        Ok(Loaded { keys, left_out, content, is_open_to_all: holds_secrets && mode & 0o004 != 0 })
    }

    fn read(&self) -> std::io::Result<(Vec<u8>, u32)> {
        let file = std::fs::File::open(&self.path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut json = Vec::new();
        file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut json)?;
        Ok((json, mode))
    }
}
