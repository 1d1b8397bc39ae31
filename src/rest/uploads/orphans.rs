//! Removes uploads that no row names any more: after the commit that orphaned them or, if the folder belongs to this
//! database alone, by a sweep.
//!
//! Only files stored for posts, comments and users are considered, recognised by the names of uploads and of copies of
//! the operator's pictures. Files that a backend keeps in the same folders are not touched. The file of a deleted
//! message is removed with it; the sweep ignores messages' files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::ids::MessageId;
use crate::limits;
use crate::rest::uploads::defaults;
use crate::rest::uploads::upload::{self, MediaDir};
use crate::store::{FileTable, Housekeeping, NamedFiles, StoreError};

/// Where orphaned files may be.
#[derive(Debug, Default)]
struct Left {
    /// Paths below the media root, of posts and comments.
    paths: BTreeSet<String>,
    /// Deleted messages.
    messages: BTreeSet<MessageId>,
}

/// Collects files that may be orphaned.
#[derive(Debug, Default)]
pub struct Litter {
    left: Mutex<Left>,
    /// Whether somebody removes the files. If not, nothing is collected.
    is_collected: AtomicBool,
    came: Notify,
}

impl Litter {
    /// Reports files that a committed write no longer names: paths below the media root, or addresses. Files that are
    /// not our uploads are ignored; those beyond the limit are left to the sweep.
    pub fn leave<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        if !self.is_collected.load(Ordering::Relaxed) {
            return;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limits::LITTER_MAX.saturating_sub(left.paths.len());
        left.paths.extend(names.into_iter().filter_map(path_of).map(str::to_owned).take(room));
        if !left.paths.is_empty() {
            self.came.notify_one();
        }
    }

    /// Reports that a committed write deleted this message.
    pub fn leave_of(&self, message: MessageId) {
        if !self.is_collected.load(Ordering::Relaxed) {
            return;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.messages.len() < limits::LITTER_MAX {
            left.messages.insert(message);
            self.came.notify_one();
        }
    }

    fn take(&self) -> Left {
        std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The addresses in a post's `images`.
pub fn addresses(images: &str) -> Vec<String> {
    serde_json::from_str(images).unwrap_or_default()
}

/// The path below the media root of an upload for a post, comment or user; `name` is that path or an address of it.
fn path_of(name: &str) -> Option<&str> {
    let path = name.split_once("/media/").map_or(name, |(_, path)| path);
    let (folder, file) = path.rsplit_once('/')?;
    let is_ours = upload::swept_folders().any(|swept| swept == folder);
    ((is_ours && is_upload(file)) || defaults::is_copy(path)).then_some(path)
}

/// Whether the name is `<uuid>.<extension>`, as [`MediaDir::store`] names files.
fn is_upload(file: &str) -> bool {
    file.split_once('.').is_some_and(|(id, extension)| {
        let is_id = Uuid::try_parse(id).is_ok_and(|found| found.hyphenated().to_string() == id);
        is_id && (1..=5).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Removes reported files as they come in and, with sweeps, searches the folders regularly. The first sweep is not at
/// the start, so that an operator who configured the wrong database or folder has time to notice.
pub async fn collect(store: Arc<dyn Housekeeping>, media: Arc<MediaDir>, sweep_every: Option<Duration>) {
    media.litter().is_collected.store(true, Ordering::Relaxed);
    let every = sweep_every.unwrap_or(limits::MEDIA_SWEEP);
    let mut sweeps = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut swept_to = String::new();
    loop {
        let is_sweep = tokio::select! {
            _ = sweeps.tick(), if sweep_every.is_some() => true,
            () = media.litter().came.notified() => false,
        };
        let began = Instant::now();
        let Left { mut paths, messages } = media.litter().take();
        if is_sweep {
            let (root, after) = (media.root().to_owned(), std::mem::take(&mut swept_to));
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

/// Only one message ever names a message's file, so no other row is checked.
async fn remove_of_messages(
    store: &dyn Housekeeping,
    media: &MediaDir,
    messages: Vec<MessageId>,
) -> Result<(), StoreError> {
    for some in messages.chunks(limits::LITTER_ROWS) {
        let paths = store.files_of_deleted(some).await?;
        remove(media, paths.into_iter().filter(|path| is_of_message(path)).collect()).await;
    }
    Ok(())
}

fn is_of_message(path: &str) -> bool {
    path.rsplit_once('/')
        .is_some_and(|(folder, file)| is_upload(file) && upload::MESSAGE.iter().any(|slot| slot.folder() == folder))
}

async fn remove(media: &MediaDir, paths: Vec<String>) {
    let root = media.root().to_owned();
    let removed = tokio::task::spawn_blocking(move || {
        for path in paths {
            match std::fs::remove_file(root.join(&path)) {
                Ok(()) => metrics::counter!("pregon_media_removed_total").increment(1),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, path, "an orphaned file could not be removed"),
            }
        }
    });
    drop(removed.await);
}

/// The files that no post, comment or user names in any form.
async fn unnamed(store: &dyn Housekeeping, paths: BTreeSet<String>) -> Result<Vec<String>, StoreError> {
    let file = |path: String| (path.rsplit('/').next().unwrap_or_default().to_owned(), path);
    let mut files: BTreeMap<String, String> = paths.into_iter().map(file).collect();
    for table in [FileTable::Posts, FileTable::Comments, FileTable::Users] {
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
    let (mut found, mut is_cut) = (BTreeSet::new(), false);
    for folder in upload::swept_folders() {
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
    fn only_uploads_for_posts_comments_and_users_are_ours() {
        let path = format!("posts/images/{FILE}");
        for path in [&*format!("avatars/{FILE}"), &format!("covers/{FILE}"), "avatars/avatars/ana_avatar.png"] {
            assert_eq!(path_of(path), Some(path));
        }
        for name in [path.clone(), format!("http://localhost:8000/media/{path}"), format!("/media/{path}")] {
            assert_eq!(path_of(&name), Some(path.as_str()));
        }
        for folder in
            ["avatars/avatars", "messages/images", "", "posts", "posts/images/..", "/posts/images", "../posts/images"]
        {
            assert_eq!(path_of(&format!("{folder}/{FILE}")), None, "{folder}");
        }
        for file in
            ["foto.png", "..", ".png", "0a0b9502c454481e8985e9e7f96c1dcb.png", &FILE[..36], &format!("{FILE}/..")]
        {
            assert_eq!(path_of(&format!("posts/images/{file}")), None, "{file}");
        }
        assert_eq!(addresses("[\"a\",\"b\"]"), ["a", "b"]);
        assert!(addresses("nonsense").is_empty());
    }

    #[test]
    fn what_nobody_collects_is_not_gathered() {
        let litter = Litter::default();
        let path = format!("posts/images/{FILE}");
        litter.leave([path.as_str()]);
        litter.leave_of(MessageId::fresh());
        let Left { paths, messages } = litter.take();
        assert!(paths.is_empty() && messages.is_empty());
        litter.is_collected.store(true, Ordering::Relaxed);
        litter.leave([path.as_str()]);
        let message = MessageId::fresh();
        litter.leave_of(message);
        let Left { paths, messages } = litter.take();
        assert_eq!((Vec::from_iter(paths), Vec::from_iter(messages)), (vec![path], vec![message]));
        assert!(is_of_message(&format!("messages/images/{FILE}")));
        for other in ["posts/images", "messages", "messages/images/..", "../messages/images", ""] {
            assert!(!is_of_message(&format!("{other}/{FILE}")), "{other}");
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
