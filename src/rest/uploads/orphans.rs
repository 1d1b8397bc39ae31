//! Removes uploads that no row names any more: after the commit that orphaned them or, if the folder belongs to this
//! database alone, by a sweep.
//!
//! Only files stored for posts, comments and users are considered, recognised by the names of uploads and of copies of
//! the operator's pictures. Files that a backend keeps in the same folders are not touched. The file of a deleted
//! message is removed with it; the sweep ignores messages' files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::ids::MessageId;
use crate::limits;
use crate::rest::uploads::labels;
use crate::rest::uploads::litter::{Left, is_upload};
use crate::rest::uploads::slots::{self, swept_folders};
use crate::rest::uploads::upload::MediaDir;
use crate::store::{FileTable, Housekeeping, NamedFiles, StoreError};

pub use crate::rest::uploads::litter::Litter;

/// Removes reported files as they come in and, with sweeps, searches the folders regularly. The first sweep is not at
/// the start, so that an operator who configured the wrong database or folder has time to notice.
pub async fn collect(store: Arc<dyn Housekeeping>, media: Arc<MediaDir>, sweep_every: Option<Duration>) {
    media.litter().begin_collecting();
    let every = sweep_every.unwrap_or(limits::MEDIA_SWEEP);
    let mut sweeps = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut swept_to = String::new();
    loop {
        let is_sweep = tokio::select! {
            _ = sweeps.tick(), if sweep_every.is_some() => true,
            () = media.litter().came() => false,
        };
        let began = Instant::now();
        let Left { mut paths, messages } = media.litter().take();
        if is_sweep {
            let root = media.root().to_owned();
            let after = std::mem::take(&mut swept_to);
            match tokio::task::spawn_blocking(move || old_uploads(&root, &after)).await {
                Ok(Ok((old, last))) => {
                    paths.extend(old);
                    swept_to = last;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the media folder could not be searched"),
                Err(_) => return,
            }
        }
        if let Err(error) = remove_of_messages(&*store, &media, messages.into_iter().collect()).await {
            tracing::warn!(%error, "files of deleted messages could not be removed");
        }
        if let Err(error) = remove_unnamed(&*store, &media, paths).await {
            tracing::warn!(%error, "orphaned files could not be removed; the next sweep tries again");
        }
        // Each round reads all posts, comments and users. The pause limits it to a twentieth of one reader's time.
        tokio::time::sleep(began.elapsed() * 20).await;
    }
}

async fn remove_unnamed(store: &dyn Housekeeping, media: &MediaDir, paths: BTreeSet<String>) -> Result<(), StoreError> {
    remove(media, unnamed(store, paths).await?).await;
    Ok(())
}

async fn remove_of_messages(
    store: &dyn Housekeeping,
    media: &MediaDir,
    messages: Vec<MessageId>,
) -> Result<(), StoreError> {
    for some in messages.chunks(limits::LITTER_ROWS) {
        let names = store.files_of_deleted(some).await?;
        remove(media, names.iter().filter_map(|name| own_file(media.root(), some, name)).collect()).await;
    }
    Ok(())
}

/// The path of a file that goes with these deleted messages; `name` is what one of their columns holds.
///
/// Pictures, films and recordings are named by a path that only their message has. A document is named by its address, and
/// anybody may send any address again: it is a document's, and goes with the message that its label names, or it is nothing.
fn own_file(root: &Path, messages: &[MessageId], name: &str) -> Option<String> {
    let Some((_, path)) = name.rsplit_once("/media/") else {
        return is_of_message(name).then(|| name.to_owned());
    };
    let is_document = is_of_message(path) && is_document(path);
    let is_theirs = is_document && labels::message(&root.join(path)).is_some_and(|message| messages.contains(&message));
    is_theirs.then(|| path.to_owned())
}

fn is_document(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(folder, _)| folder == slots::DOCUMENTS)
}

fn is_of_message(path: &str) -> bool {
    path.rsplit_once('/')
        .is_some_and(|(folder, file)| is_upload(file) && slots::MESSAGE.iter().any(|slot| slot.folder() == folder))
}

async fn remove(media: &MediaDir, paths: Vec<String>) {
    let root = media.root().to_owned();
    let removed = tokio::task::spawn_blocking(move || {
        for path in paths {
            match std::fs::remove_file(root.join(&path)) {
                Ok(()) => {
                    metrics::counter!("pregon_media_removed_total").increment(1);
                    if is_document(&path) {
                        labels::remove(&root.join(&path));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, path, "an orphaned file could not be removed"),
            }
        }
    });
    drop(removed.await);
}

/// The files that no post, comment, user or group names in any form.
async fn unnamed(store: &dyn Housekeeping, paths: BTreeSet<String>) -> Result<Vec<String>, StoreError> {
    let file = |path: String| (path.rsplit('/').next().unwrap_or_default().to_owned(), path);
    let mut files: BTreeMap<String, String> = paths.into_iter().map(file).collect();
    for table in [FileTable::Posts, FileTable::Comments, FileTable::Users, FileTable::Rooms] {
        let mut after = None;
        while !files.is_empty() {
            let NamedFiles { texts, last } = store.named_files(table, after).await?;
            for text in &texts {
                let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.' | '_'));
                words.for_each(|word| drop(files.remove(word)));
            }
            after = last;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(files.into_values().collect())
}

/// The next uploads, ordered by path, after `after`. Uploads that may still wait for their row are left out. The second
/// value is the path to continue from; it is empty at the end.
fn old_uploads(root: &Path, after: &str) -> io::Result<(BTreeSet<String>, String)> {
    let old = SystemTime::now().checked_sub(limits::MEDIA_SWEEP_AGE).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut found = BTreeSet::new();
    let mut is_cut = false;
    for folder in swept_folders() {
        for entry in std::fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let Ok(file) = entry.file_name().into_string() else { continue };
            let path = format!("{folder}/{file}");
            if path.as_str() <= after || !is_upload(&file) {
                continue;
            }
            // The file is gone, or is not a regular file.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() && metadata.modified().is_ok_and(|modified| modified < old) {
                found.insert(path);
            }
            if found.len() > limits::LITTER_MAX {
                found.pop_last();
                is_cut = true;
            }
        }
    }
    let last = found.last().filter(|_| is_cut).cloned().unwrap_or_default();
    Ok((found, last))
}

const _: () =
    assert!(limits::MEDIA_SWEEP_AGE.as_secs() >= Duration::from_secs(1800).as_secs(), "twice a turn's length");

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "0a0b9502-c454-481e-8985-e9e7f96c1dcb.png";

    #[test]
    fn only_uploads_of_messages_are_removed_with_them() {
        assert!(is_of_message(&format!("messages/images/{FILE}")));
        for other in ["posts/images", "messages", "messages/images/..", "../messages/images", ""] {
            assert!(!is_of_message(&format!("{other}/{FILE}")), "{other}");
        }
    }

    #[test]
    fn an_address_in_a_message_gives_no_right_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join(slots::DOCUMENTS)).unwrap();
        let (own, other) = (MessageId::fresh(), MessageId::fresh());
        let [picture, document] = [format!("messages/images/{FILE}"), format!("{}/{FILE}", slots::DOCUMENTS)];
        let address = |path: &str| format!("https://example.com/media/{path}");
        assert_eq!(own_file(root, &[own], &picture), Some(picture.clone()));
        assert_eq!(own_file(root, &[own], &address(&document)), None, "it has no label");
        let label = labels::write(&root.join(&document), "acta.pdf").unwrap();
        assert_eq!(own_file(root, &[own], &address(&document)), None, "its message is not known");
        labels::note(label.path(), own).unwrap();
        for name in [address(&document), format!("/media/{document}")] {
            assert_eq!(own_file(root, &[other, own], &name), Some(document.clone()));
            assert_eq!(own_file(root, &[other], &name), None, "another message's");
        }
        for name in [address(&picture), address("../messages/files/x"), address(""), String::new()] {
            assert_eq!(own_file(root, &[own], &name), None, "{name}");
        }
    }

    #[test]
    fn a_sweep_passes_over_what_is_young_or_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let media = MediaDir::open(folder.path().to_owned()).unwrap();
        let ours = format!("comments/images/{FILE}");
        for path in
            [&ours, "comments/images/foto.png", &format!("messages/images/{FILE}"), &format!("posts/videos/{FILE}")]
        {
            let file = std::fs::File::create(media.root().join(path)).unwrap();
            if !path.starts_with("posts") {
                file.set_modified(SystemTime::now() - limits::MEDIA_SWEEP_AGE * 2).unwrap();
            }
        }
        let (found, last) = old_uploads(media.root(), "").unwrap();
        assert_eq!((found.into_iter().collect::<Vec<_>>(), last.as_str()), (vec![ours.clone()], ""));
        assert!(old_uploads(media.root(), &ours).unwrap().0.is_empty());
    }
}
