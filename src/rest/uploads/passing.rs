//! Unfinished files, which are deleted unless somebody keeps them.

use std::path::{Path, PathBuf};

/// The folder of unfinished files. It is never served, because its name begins with a dot.
pub const WAITING_ROOM: &str = ".incoming";

/// A file that is deleted when this is dropped.
#[derive(Debug)]
pub struct Passing {
    path: PathBuf,
    is_kept: bool,
}

impl Passing {
    /// The file at this path.
    pub fn at(path: PathBuf) -> Self {
        Self { path, is_kept: false }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file stays, or has already been moved.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "an abandoned upload could not be removed");
        }
    }
}
