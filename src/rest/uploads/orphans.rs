//! Uploads that no row names any more: removed after the commit that left them, or, where the folder is this database's
//! alone, found by a sweep.
//!
//! Only files that were stored for posts, comments and users are looked at, by the names that are given to uploads and to
//! copies of the operator's pictures: what a backend keeps in the same folders is not ours to remove. A deleted message's
//! file goes with it; the sweep passes over messages' files.

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

/// What may have left files.
#[derive(Debug, Default)]
struct Left {
    /// Paths below the media root, by post or comment.
    paths: BTreeSet<String>,
    /// Deleted messages.
    messages: BTreeSet<MessageId>,
}

/// Files that may be nobody's now.
#[derive(Debug, Default)]
pub struct Litter {
    left: Mutex<Left>,
    /// Somebody takes what is left: otherwise nothing is gathered.
    is_collected: AtomicBool,
    came: Notify,
}

impl Litter {
    /// A committed write ceased to name these: paths below the media root, or addresses. What is no upload of ours, or more
    /// than there is room for, is left to the sweep.
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

    /// A committed write deleted this message.
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

/// The addresses in a post's list of pictures.
pub fn addresses(images: &str) -> Vec<String> {
    serde_json::from_str(images).unwrap_or_default()
}

/// The path below the media root of an upload for a post, a comment or a user, from that path or an address of it.
fn path_of(name: &str) -> Option<&str> {
    let path = name.split_once("/media/").map_or(name, |(_, path)| path);
    let (folder, file) = path.rsplit_once('/')?;
    let is_ours = upload::swept_folders().any(|swept| swept == folder);
    ((is_ours && is_upload(file)) || defaults::is_copy(path)).then_some(path)
}

/// `<uuid>.<extension>`, as [`MediaDir::store`] names files.
fn is_upload(file: &str) -> bool {
    file.split_once('.').is_some_and(|(id, extension)| {
        let is_id = Uuid::try_parse(id).is_ok_and(|found| found.hyphenated().to_string() == id);
        is_id && (1..=5).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Removes what was left as it comes; with sweeps, looks through the folders that often. The first look is not at the
/// start: whoever has given a server the wrong database or folder has time to see it.
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
                Ok(Err(error)) => tracing::warn!(%error, "the media folder could not be looked through"),
                Err(_) => return,
            }
        }
        if let Err(error) = remove_of_messages(&*store, &media, messages.into_iter().collect()).await {
            tracing::warn!(%error, "files of deleted messages stay");
        }
        if let Err(error) = remove_unnamed(&*store, &media, paths).await {
            tracing::warn!(%error, "files that nobody names stay until the next look through the media folder");
        }
        // Each look reads all posts, comments and users: it takes a twentieth of one reader's time, and gathers meanwhile.
        tokio::time::sleep(began.elapsed() * 20).await;
    }
}

async fn remove_unnamed(store: &dyn Housekeeping, media: &MediaDir, paths: BTreeSet<String>) -> Result<(), StoreError> {
    remove(media, unnamed(store, paths).await?).await;
    Ok(())
}

/// A message's file is its own: no other row is looked for.
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
                Err(error) => tracing::warn!(%error, path, "a file that nobody names could not be removed"),
            }
        }
    });
    drop(removed.await);
}

/// Which of the files no post, no comment and no user names, in whatever form.
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

/// Uploads that are older than any that may still be waiting for its row, behind `after` by path, and up to where these
/// are all; empty: to the end.
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
            // Gone meanwhile, or no file: not ours to look at.
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
