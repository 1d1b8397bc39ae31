//! Collects the files that committed writes no longer name.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::ids::MessageId;
use crate::limits;
use crate::rest::uploads::defaults;
use crate::rest::uploads::slots::swept_folders;

/// Where orphaned files may be.
#[derive(Debug, Default)]
pub struct Left {
    /// Paths below the media root, of posts and comments.
    pub paths: BTreeSet<String>,
    /// Deleted messages.
    pub messages: BTreeSet<MessageId>,
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

    /// From now on reports are collected.
    pub fn begin_collecting(&self) {
        self.is_collected.store(true, Ordering::Relaxed);
    }

    /// Waits for a report.
    pub async fn came(&self) {
        self.came.notified().await;
    }

    /// Takes everything reported so far.
    pub fn take(&self) -> Left {
        std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The addresses in a post's `images`.
pub fn addresses(images: &str) -> Vec<String> {
    serde_json::from_str(images).unwrap_or_default()
}

/// The path below the media root of an upload for a post, comment or user; `name` is that path or an address of it.
pub fn path_of(name: &str) -> Option<&str> {
    let path = name.split_once("/media/").map_or(name, |(_, path)| path);
    let (folder, file) = path.rsplit_once('/')?;
    let is_ours = swept_folders().any(|swept| swept == folder);
    ((is_ours && is_upload(file)) || defaults::is_copy(path)).then_some(path)
}

/// Whether the name is `<uuid>.<extension>`, as `MediaDir::store` names files.
pub fn is_upload(file: &str) -> bool {
    file.split_once('.').is_some_and(|(id, extension)| {
        let is_id = Uuid::try_parse(id).is_ok_and(|found| found.hyphenated().to_string() == id);
        is_id && (1..=5).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

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
    }
}
