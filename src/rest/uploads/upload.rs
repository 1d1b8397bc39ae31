//! Receives uploaded files into a waiting room, checks their content, and stores those that are kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::multipart::Field;
use axum::http::StatusCode;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use uuid::Uuid;

use crate::ids::{MessageId, UserId};
use crate::limits;
use crate::rest::error::{Error, Result};
use crate::rest::fields::rejected;
use crate::rest::uploads::limits::{Pace, Turns};
use crate::rest::uploads::litter::Litter;
use crate::rest::uploads::passing::{Passing, WAITING_ROOM};
use crate::rest::uploads::pictures;
use crate::rest::uploads::quota::{Hourly, Quota};
use crate::rest::uploads::slots::{COMMENT, Kind, MESSAGE, POST, PROFILE, ROOM, Slot};
use crate::rest::uploads::{documents, labels, location};

/// The number of leading bytes that tell a file's type.
const HEAD_BYTES: usize = 8 * 1024;

/// A complete file in the waiting room.
#[derive(Debug)]
pub struct Incoming {
    slot: &'static Slot,
    extension: &'static str,
    /// The name under which a document was sent; empty for other kinds.
    name: String,
    bytes: usize,
    file: Passing,
}

impl Incoming {
    /// The field that brought it.
    pub fn slot(&self) -> &'static Slot {
        self.slot
    }
}

/// A stored file. It is deleted again unless it is kept.
#[derive(Debug)]
pub struct Stored {
    path: String,
    file: Passing,
    document: Option<Document>,
}

/// What is known of a stored document beside its content.
#[derive(Debug)]
pub struct Document {
    /// The name under which it was sent, clean.
    pub name: String,
    /// Its size.
    pub bytes: usize,
    label: Passing,
}

impl Stored {
    /// Its path below the media root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Name and size, if it is a document.
    pub fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    /// The file stays.
    pub fn keep(self) {
        self.file.keep();
        if let Some(document) = self.document {
            document.label.keep();
        }
    }

    /// The file stays, and goes with this message, which is committed.
    pub async fn keep_for(self, message: MessageId) {
        let label = self.document.as_ref().map(|document| document.label.path().to_owned());
        self.keep();
        let Some(label) = label else { return };
        let noted = tokio::task::spawn_blocking(move || labels::note(&label, message)).await;
        if let Ok(Err(error)) = noted {
            tracing::warn!(%error, "a document does not know its message; it stays when that is deleted");
        }
    }
}

/// The media folder.
#[derive(Debug)]
pub struct MediaDir {
    root: PathBuf,
    turns: Turns,
    quota: Quota,
    hourly: Hourly,
    grace: Duration,
    /// How long each piece of an upload may take, and all texts of a form.
    body_deadline: Duration,
    /// Whether pictures keep the place where they were taken.
    keeps_location: bool,
    litter: Arc<Litter>,
}

impl MediaDir {
    /// Creates the folders and empties the waiting room.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        let waiting = root.join(WAITING_ROOM);
        std::fs::create_dir_all(&waiting)?;
        for slot in [MESSAGE, POST, COMMENT, PROFILE, ROOM].into_iter().flatten() {
            std::fs::create_dir_all(root.join(slot.folder()))?;
        }
        for entry in std::fs::read_dir(waiting)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            root,
            turns: Turns::default(),
            quota: Quota::default(),
            hourly: Hourly::default(),
            grace: limits::UPLOAD_GRACE,
            body_deadline: limits::BODY_TIMEOUT,
            keeps_location: false,
            litter: Arc::default(),
        })
    }

    /// Sets the time that every upload has, however small.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets each user's quota in MiB per day; 0 means no quota.
    #[must_use]
    pub fn with_quota(self, megabytes: u32) -> Self {
        Self { quota: Quota::of(megabytes), ..self }
    }

    /// Sets how many files each user may upload in an hour; 0 means without limit.
    #[must_use]
    pub fn with_uploads_per_hour(self, uploads: u32) -> Self {
        Self { hourly: Hourly::of(uploads), ..self }
    }

    /// Sets how long each piece of an upload may take, and all texts of a form.
    #[must_use]
    pub fn with_body_deadline(self, body_deadline: Duration) -> Self {
        Self { body_deadline, ..self }
    }

    /// Sets whether pictures keep the place where they were taken.
    #[must_use]
    pub fn with_location_kept(self, keeps_location: bool) -> Self {
        Self { keeps_location, ..self }
    }

    /// The time for all texts of a form together.
    pub fn texts_timeout(&self) -> Duration {
        self.grace.min(self.body_deadline)
    }

    /// Sets the collector of orphaned files.
    #[must_use]
    pub fn with_litter(self, litter: Arc<Litter>) -> Self {
        Self { litter, ..self }
    }

    /// The collector to which a committed write reports the files it no longer names.
    pub fn litter(&self) -> &Litter {
        &self.litter
    }

    /// The folder that `/media/` serves.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Streams one field of a user's form into the waiting room; `file_name` is what the client calls the file. `None` if
    /// it has neither name nor content: browsers send this for a file input that was left empty.
    ///
    /// # Errors
    /// 400 for a wrong type, 413 for too much, 408 for too slow, 429 if the user's quota or uploads are used up, 503 if the disk is
    /// full or too many uploads are running.
    pub async fn receive(
        &self,
        user: UserId,
        slot: &'static Slot,
        file_name: &str,
        mut field: Field<'_>,
    ) -> Result<Option<Incoming>> {
        let turn = self.turns.take(user)?;
        self.hourly.count(user)?;
        let mut bill = self.quota.bill(user)?;
        let pace = Pace::starting(self.grace, self.body_deadline);
        let path = self.root.join(WAITING_ROOM).join(Uuid::new_v4().simple().to_string());
        let opened = File::options().read(true).write(true).create_new(true).open(&path).await.map_err(disk)?;
        let mut writer = BufWriter::with_capacity(256 * 1024, opened);
        let place = path.clone();
        let file = Passing::at(path);
        let name = documents::clean(file_name);
        let mut head = Vec::new();
        let mut size = 0;
        let mut extension = None;
        loop {
            let piece = turn.keep(pace.keep(size, field.chunk())).await??;
            let Some(piece) = piece.map_err(|error| match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => slot.too_large(),
                status => rejected(status),
            })?
            else {
                break;
            };
            size += piece.len();
            bill.charge(size)?;
            if size > slot.bytes_max {
                return Err(slot.too_large());
            }
            let missing = HEAD_BYTES - head.len().min(HEAD_BYTES);
            head.extend_from_slice(&piece[..piece.len().min(missing)]);
            if extension.is_none() && head.len() == HEAD_BYTES {
                extension = Some(slot.extension(&name, &head)?);
            }
            writer.write_all(&piece).await.map_err(disk)?;
        }
        if size == 0 && file_name.is_empty() {
            return Ok(None);
        }
        let extension = match extension {
            Some(extension) => extension,
            None => slot.extension(&name, &head)?,
        };
        writer.flush().await.map_err(disk)?;
        let whole = writer.into_inner().into_std().await;
        let keeps_location = self.keeps_location;
        let finish = move || {
            if !keeps_location {
                location::strip(&whole, extension)?;
            }
            whole.sync_all()
        };
        let finished = tokio::task::spawn_blocking(finish).await;
        finished.map_err(|error| Error::Internal(error.to_string()))?.map_err(disk)?;
        if slot.kind == Kind::Image && !pictures::is_showable(place).await {
            return Err(Error::field(slot.field, pictures::TOO_LARGE));
        }
        let name = if slot.kind == Kind::Document { documents::named(name, extension) } else { String::new() };
        Ok(Some(Incoming { slot, extension, name, bytes: size, file }))
    }

    /// Moves a complete file to its place and syncs it to disk.
    ///
    /// # Errors
    /// 503 if the disk does not accept it.
    pub async fn store(&self, incoming: Incoming) -> Result<Stored> {
        let folder = self.root.join(incoming.slot.folder());
        let name = format!("{}.{}", Uuid::new_v4(), incoming.extension);
        let path = format!("{}/{name}", incoming.slot.folder());
        // One blocking task does the whole move. If the request is dropped meanwhile, the moved file is deleted when
        // the task's result is dropped.
        let moved = tokio::task::spawn_blocking(move || move_to(incoming, &folder, &name, path)).await;
        moved.map_err(|error| Error::Internal(error.to_string()))?.map_err(disk)
    }
}

fn move_to(incoming: Incoming, folder: &Path, name: &str, path: String) -> io::Result<Stored> {
    let place = folder.join(name);
    let Incoming { slot, name, bytes, file, .. } = incoming;
    let document = match slot.kind {
        Kind::Document => Some(Document { label: labels::write(&place, &name)?, name, bytes }),
        _ => None,
    };
    std::fs::rename(file.path(), &place)?;
    file.keep();
    let stored = Stored { path, file: Passing::at(place), document };
    // A new name is only durable once its folder is synced.
    std::fs::File::open(folder)?.sync_all()?;
    Ok(stored)
}

/// The client may try again; only the log gets the detail.
#[expect(clippy::needless_pass_by_value, reason = "used as the function of map_err")]
fn disk(error: io::Error) -> Error {
    tracing::error!(%error, "an upload could not be stored");
    Error::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[tokio::test]
    async fn a_file_goes_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let media = MediaDir::open(folder.path().join("media")).unwrap();
        let incoming = |name: &str| {
            let path = media.root().join(WAITING_ROOM).join(name);
            std::fs::write(&path, PNG).unwrap();
            Incoming {
                slot: &MESSAGE[0],
                extension: "png",
                name: String::new(),
                bytes: PNG.len(),
                file: Passing::at(path),
            }
        };
        let kept = media.store(incoming("a")).await.unwrap();
        let place = media.root().join(kept.path());
        assert!(kept.path().starts_with("messages/images/") && kept.path().ends_with(".png"));
        kept.keep();
        assert_eq!(std::fs::read(&place).unwrap(), PNG);
        let refused = media.store(incoming("b")).await.unwrap();
        let place = media.root().join(refused.path());
        drop(refused);
        assert!(!place.exists());
        let given_up = incoming("c");
        let place = given_up.file.path().to_owned();
        drop(given_up);
        assert!(!place.exists());
        std::fs::write(media.root().join(WAITING_ROOM).join("left"), PNG).unwrap();
        MediaDir::open(media.root().to_owned()).unwrap();
        assert_eq!(std::fs::read_dir(media.root().join(WAITING_ROOM)).unwrap().count(), 0);
    }

    /// A request that is dropped while its file is being moved leaves no file, whichever folder it had reached.
    #[tokio::test]
    async fn a_request_that_is_given_up_while_its_file_is_moved_leaves_none() {
        let folder = tempfile::tempdir().unwrap();
        let media = MediaDir::open(folder.path().join("media")).unwrap();
        let count = |below: &str| std::fs::read_dir(media.root().join(below)).unwrap().count();
        for number in 0..50 {
            let path = media.root().join(WAITING_ROOM).join(number.to_string());
            std::fs::write(&path, PNG).unwrap();
            let incoming = Incoming {
                slot: &MESSAGE[0],
                extension: "png",
                name: String::new(),
                bytes: PNG.len(),
                file: Passing::at(path),
            };
            let mut stored = Box::pin(media.store(incoming));
            tokio::select! {
                biased;
                _ = &mut stored => {}
                () = std::future::ready(()) => {}
            }
            // Every other request is dropped just after its file has left the waiting room.
            while number % 2 == 0 && count(WAITING_ROOM) > 0 {
                std::thread::yield_now();
            }
        }
        let began = std::time::Instant::now();
        while count(WAITING_ROOM) + count("messages/images") > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "{} files", count("messages/images"));
            tokio::task::yield_now().await;
        }
    }
}
