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
        let (json, mode) = self.read().map_err(|error| gone(&error))?;
        self.parse(&json, mode, crypto::fingerprint(&json))
    }

    /// The same, unless it has the content that is known: keys cost time to be read.
    pub fn load_unless(&self, known: Option<&str>) -> Option<Result<Loaded, Unusable>> {
        let (json, mode) = match self.read() {
            Ok(read) => read,
            Err(error) => return (known != Some("")).then(|| Err(gone(&error))),
        };
        let content = crypto::fingerprint(&json);
        (known != Some(&content)).then(|| self.parse(&json, mode, content))
    }

    fn parse(&self, json: &[u8], mode: u32, content: String) -> Result<Loaded, Unusable> {
        let unusable = |why| Unusable { why, content: content.clone() };
        if json.len() > KEY_FILE_BYTES_MAX {
            return Err(unusable(format!("it has more than {} KiB", KEY_FILE_BYTES_MAX / 1024)));
        }
        let jwk::KeySet { mut keys, left_out } = jwk::read(json).map_err(&unusable)?;
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

fn gone(error: &std::io::Error) -> Unusable {
    Unusable { why: format!("it cannot be read ({error})"), content: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let file = KeyFile::new(&path, Some(b"a secret beside the keys"));
        let missing = file.load().unwrap_err();
        assert!(missing.content.is_empty() && missing.why.contains("cannot be read"));
        assert!(file.load_unless(Some("")).is_none(), "it was missing before");
        std::fs::write(&path, "{\"keys\": []}").unwrap();
        let loaded = file.load_unless(Some("")).unwrap().unwrap();
        assert_eq!((loaded.keys.all().len(), loaded.is_open_to_all), (1, false));
        assert!(file.load_unless(Some(&loaded.content)).is_none());
        std::fs::write(&path, "{\"keys\": [7]}").unwrap();
        let wrong = file.load_unless(Some(&loaded.content)).unwrap().unwrap_err();
        assert!(wrong.why.contains("key 1") && file.load_unless(Some(&wrong.content)).is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(file.load_unless(Some(&wrong.content)).unwrap().is_err());
    }

    #[test]
    fn a_file_with_private_keys_that_everybody_can_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let key = jwk::make(jsonwebtoken::Algorithm::EdDSA, "a").unwrap();
        for (key, mode, is_open) in [
            (key.clone(), 0o600, false),
            (key.clone(), 0o640, false),
            (key.clone(), 0o644, true),
            (jwk::public_half(&key).unwrap(), 0o644, false),
        ] {
            std::fs::write(&path, serde_json::json!({ "keys": [key] }).to_string()).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let loaded = KeyFile::new(&path, Some(b"a secret beside the keys")).load().unwrap();
            assert_eq!(loaded.is_open_to_all, is_open, "{mode:o}");
        }
    }
}
