//! Allows one server at a time on a database file, by a lock of the system. The lock ends with the process, however the
//! process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Takes the lock beside the database. It is held as long as the returned file is open; the file itself stays on disk,
/// and its presence means nothing. Returns `None` if this user may not write the database: the store refuses such a
/// database and says why.
///
/// # Errors
/// When another server has the lock, or the lock file cannot be made.
pub(super) fn lock(database: &Path) -> anyhow::Result<Option<File>> {
    let path = beside(database)?;
    let named = || format!("{} cannot be locked, as must be what serves {}", path.display(), database.display());
    let file = match OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !is_writable(database) => return Ok(None),
        Err(error) => return Err(error).with_context(named),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is served by another pregon already: stop that one, or give this one a database of its own with \
             PREGON_DATABASE_URL",
            database.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(named),
    }
}

fn is_writable(database: &Path) -> bool {
    OpenOptions::new().write(true).open(database).is_ok()
}

/// The path of the lock file: it is the same for all names of the database file. Makes the folder if it is missing.
fn beside(database: &Path) -> anyhow::Result<PathBuf> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made, the folder of PREGON_DATABASE_URL", folder.display()))?;
    let real = match database.canonicalize() {
        Ok(real) => real,
        Err(_) => folder.canonicalize()?.join(database.file_name().unwrap_or_default()),
    };
    let mut name = real.into_os_string();
    name.push(".lock");
    Ok(name.into())
}
