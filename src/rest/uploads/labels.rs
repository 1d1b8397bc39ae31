//! A document's label: a small file beside it with the name under which it was sent and the message that it belongs to.
//!
//! The name of the document itself is random, and rows are not found by it. The label's name begins with a dot, so that
//! it is never served.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::ids::MessageId;
use crate::rest::uploads::passing::Passing;

/// The most that is read of a label, in bytes: a name and an id.
const LABEL_BYTES_MAX: u64 = 2048;

/// The place of a document's label.
fn place(document: &Path) -> PathBuf {
    let name = document.file_name().unwrap_or_default().to_string_lossy();
    document.with_file_name(format!(".{name}.label"))
}

/// Writes the label of a document that is about to be at this place. It is removed again unless it is kept.
///
/// # Errors
/// The disk does not take it.
pub fn write(document: &Path, name: &str) -> io::Result<Passing> {
    let place = place(document);
    let mut file = File::options().write(true).create_new(true).open(&place)?;
    let label = Passing::at(place);
    file.write_all(format!("{name}\n").as_bytes())?;
    file.sync_all()?;
    Ok(label)
}

/// Notes which message the document belongs to, once that is committed. If it is lost in a crash, the document stays when
/// its message is deleted.
///
/// # Errors
/// The disk does not take it.
pub fn note(label: &Path, message: MessageId) -> io::Result<()> {
    File::options().append(true).open(label)?.write_all(format!("{message}\n").as_bytes())
}

/// The name under which a document was sent, if it has a label.
pub fn name(document: &Path) -> Option<String> {
    read(document)?.lines().next().map(str::to_owned)
}

/// The message to which a document belongs, if it is known.
pub fn message(document: &Path) -> Option<MessageId> {
    read(document)?.lines().nth(1)?.parse().ok()
}

/// Removes the label of a document that was removed.
pub fn remove(document: &Path) {
    match std::fs::remove_file(place(document)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the label of a removed document could not be removed");
        }
        _ => {}
    }
}

fn read(document: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(place(document)).ok()?.take(LABEL_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_name_and_message_and_goes_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("x.pdf");
        assert_eq!((name(&document), message(&document)), (None, None));
        drop(write(&document, "acta.pdf").unwrap());
        assert_eq!(name(&document), None);
        let label = write(&document, "acta.pdf").unwrap();
        assert_eq!((name(&document).as_deref(), message(&document)), (Some("acta.pdf"), None));
        let id = MessageId::fresh();
        note(label.path(), id).unwrap();
        label.keep();
        assert_eq!((name(&document).as_deref(), message(&document)), (Some("acta.pdf"), Some(id)));
        assert!(write(&document, "otra.pdf").is_err(), "a name is given once");
        remove(&document);
        remove(&document);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
