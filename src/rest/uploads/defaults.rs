//! The operator's default pictures: copied from the media folder's `defaults` for each new user.

use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::domain::user::PicturePatch;
use crate::rest::uploads::passing::{Passing, WAITING_ROOM};

/// A picture that may exist, and the names of its copies.
struct Gift {
    /// The path of the original below the media root.
    original: &'static str,
    /// The folder of the copies within the one of uploads, as in the older backend.
    folder: &'static str,
    /// The end of a copy's name, after the username.
    ending: &'static str,
}

const GIFTS: [Gift; 2] = [
    Gift { original: "defaults/default-avatar.png", folder: "avatars/avatars", ending: "_avatar.png" },
    Gift { original: "defaults/default-cover.png", folder: "covers/covers", ending: "_cover.png" },
];

/// A new user's avatar and cover, in the media folder `root`. `None` for one that does not exist or cannot be copied: users without pictures get a
/// drawing.
pub async fn give(root: &Path, username: &str) -> [PicturePatch; 2] {
    let root = root.to_owned();
    let username = username.to_owned();
    let copied = tokio::task::spawn_blocking(move || GIFTS.map(|gift| copy(&root, &gift, &username)));
    copied.await.unwrap_or_default()
}

fn copy(root: &Path, gift: &Gift, username: &str) -> PicturePatch {
    let path = format!("{}/{username}{}", gift.folder, gift.ending);
    match copy_to(root, gift.original, &path) {
        Ok(()) => PicturePatch::Replace(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => PicturePatch::Keep,
        Err(error) => {
            tracing::warn!(%error, original = gift.original, "cannot copy a default picture for a new user");
            PicturePatch::Keep
        }
    }
}

/// Copies a file. The copy appears whole or not at all.
fn copy_to(root: &Path, original: &str, path: &str) -> io::Result<()> {
    let waiting = root.join(WAITING_ROOM).join(Uuid::new_v4().simple().to_string());
    let place = root.join(path);
    if !root.join(original).is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let copy = Passing::at(waiting.clone());
    std::fs::copy(root.join(original), &waiting)?;
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::rename(waiting, place)?;
    copy.keep();
    Ok(())
}

/// Whether this path below the media root is the name of such a copy.
pub fn is_copy(path: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    GIFTS.iter().any(|gift| folder == gift.folder && file.strip_suffix(gift.ending).is_some_and(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_operator_has_not_given_nobody_gets() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join(WAITING_ROOM)).unwrap();
        assert_eq!(give(root, "ana").await, [PicturePatch::Keep, PicturePatch::Keep]);
        std::fs::create_dir(root.join("defaults")).unwrap();
        std::fs::write(root.join("defaults/default-cover.png"), b"cover").unwrap();
        let path = "covers/covers/ana_cover.png";
        assert_eq!(give(root, "ana").await, [PicturePatch::Keep, PicturePatch::Replace(path.to_owned())]);
        assert_eq!(std::fs::read(root.join(path)).unwrap(), b"cover");
        assert_eq!(std::fs::read_dir(root.join(WAITING_ROOM)).unwrap().count(), 0);
    }

    #[test]
    fn copies_are_told_by_name() {
        assert!(is_copy("avatars/avatars/ana_avatar.png") && is_copy("covers/covers/ana_2_cover.png"));
        for other in [
            "avatars/avatars/_avatar.png",
            "avatars/ana_avatar.png",
            "avatars/avatars/../ana_avatar.png",
            "avatars/avatars/ana_cover.png",
            "defaults/default-avatar.png",
            "avatars/avatars/a.b_avatar.png",
        ] {
            assert!(!is_copy(other), "{other}");
        }
    }
}
