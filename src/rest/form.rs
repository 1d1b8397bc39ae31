//! Reads a body that may hold files beside its fields.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::StatusCode;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use crate::ids::UserId;
use crate::limits;
use crate::rest::error::{Error, Result};
use crate::rest::fields::{Fields, NO_FILE, media_type, rejected, too_slow};
use crate::rest::uploads::disposition::Disposition;
use crate::rest::uploads::slots::Slot;
use crate::rest::uploads::upload::{Incoming, MediaDir, Stored};

/// The answer to a second file in a field.
const ONE_FILE: &str = "Este campo admite un solo archivo.";

/// Fields and files. Dropping the form deletes the files that are not stored.
#[derive(Debug)]
pub struct Form {
    /// The fields that are not files.
    pub fields: Fields,
    /// At most one file per slot, complete and of the slot's kind, in the waiting room.
    pub files: Vec<Incoming>,
}

impl Form {
    /// Reads a user's body; files for `slots` go to the media folder's waiting room.
    ///
    /// # Errors
    /// 400, 408, 413 or 415 for a bad body; 503 if too many uploads are running.
    pub async fn read(media: &MediaDir, user: UserId, slots: &'static [Slot], mut request: Request) -> Result<Self> {
        if media_type(&request) != "multipart/form-data" {
            // The route's limit is meant for files; JSON of that length would take many times as much memory.
            DefaultBodyLimit::max(limits::BODY_BYTES_MAX).apply(&mut request);
            return Ok(Self { fields: Fields::from_request(request, &()).await?, files: Vec::new() });
        }
        let meter = Meter::default();
        let request = request.map(|body| meter.measured(body));
        let mut form = Multipart::from_request(request, &()).await.map_err(|error| rejected(error.status()))?;
        let mut read = Self { fields: Fields::default(), files: Vec::new() };
        let mut texts = Texts { bytes: 0, left: media.texts_timeout() };
        loop {
            meter.allow(limits::PART_HEAD_BYTES_MAX);
            let next = texts.wait(form.next_field()).await?;
            let Some(part) = next.map_err(|error| meter.blame(error.status()))? else { return Ok(read) };
            meter.allow(usize::MAX);
            let Disposition { name, file_name } = Disposition::of(part.headers());
            texts.came(limits::memory::FORM_PART_BYTES + name.len())?;
            let Some(file_name) = file_name else {
                read.fields.push(name, texts.read(part).await?);
                continue;
            };
            let is_named = !file_name.is_empty();
            match slots.iter().find(|slot| slot.field == name) {
                Some(slot) if read.files.iter().all(|file| file.slot() != slot) => {
                    read.files.extend(media.receive(user, slot, &file_name, part).await?);
                }
                _ if !is_named && texts.read_bytes(part).await?.is_empty() => {}
                Some(_) => return Err(Error::field(&name, ONE_FILE)),
                None => return Err(Error::field(&name, NO_FILE)),
            }
        }
    }

    /// Whether this field brought a file.
    pub fn has_file(&self, field: &str) -> bool {
        self.files.iter().any(|file| file.slot().field == field)
    }

    /// Moves the file of one field to its place, if there is one. The file is deleted again unless it is kept.
    ///
    /// # Errors
    /// 503 if the file cannot be stored.
    pub async fn store(&mut self, media: &MediaDir, field: &str) -> Result<Option<Stored>> {
        match self.files.iter().position(|file| file.slot().field == field) {
            Some(place) => media.store(self.files.swap_remove(place)).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The headers of a part are too long.
#[derive(Debug)]
struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the head of a part is too long")
    }
}

impl std::error::Error for TooLong {}

/// How many more bytes of the body may be read. Renewed for each part, because a part's headers are collected in
/// memory.
#[derive(Clone, Default)]
struct Meter(Arc<AtomicUsize>);

impl Meter {
    fn allow(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn measured(&self, body: Body) -> Body {
        let start = (body.into_data_stream(), Arc::clone(&self.0));
        Body::from_stream(futures_util::stream::unfold(start, async |(mut pieces, left)| {
            // The parser collects everything available before it looks at it, so it is given one piece at a time.
            tokio::task::yield_now().await;
            let piece = pieces.next().await?;
            let length = piece.as_ref().map_or(0, Bytes::len);
            let had = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(length)));
            let piece = if had == Ok(0) { Err(axum::Error::new(TooLong)) } else { piece };
            Some((piece, (pieces, left)))
        }))
    }

    /// The error for a failed read.
    fn blame(&self, status: StatusCode) -> Error {
        let is_used_up = self.0.load(Ordering::Relaxed) == 0;
        rejected(if is_used_up { StatusCode::PAYLOAD_TOO_LARGE } else { status })
    }
}

/// The total size and time of a form's names and texts. Many small ones must not take for ever or add up to an upload.
struct Texts {
    bytes: usize,
    /// The time left for all of them.
    left: Duration,
}

impl Texts {
    async fn wait<T>(&mut self, next: impl Future<Output = T>) -> Result<T> {
        let began = Instant::now();
        let came = timeout(self.left, next).await.map_err(|_| too_slow())?;
        self.left = self.left.saturating_sub(began.elapsed());
        Ok(came)
    }

    fn came(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.bytes > limits::BODY_BYTES_MAX { Err(rejected(StatusCode::PAYLOAD_TOO_LARGE)) } else { Ok(()) }
    }

    async fn read(&mut self, part: Field<'_>) -> Result<String> {
        String::from_utf8(self.read_bytes(part).await?).map_err(|_| rejected(StatusCode::BAD_REQUEST))
    }

    async fn read_bytes(&mut self, mut part: Field<'_>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.wait(part.chunk()).await?.map_err(|error| rejected(error.status()))? {
            self.came(piece.len())?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::uploads::slots;

    /// A part's headers are collected before the user has a turn to upload, so they are cut off early, however long the
    /// body is.
    #[tokio::test]
    async fn what_stands_before_a_part_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let media = MediaDir::open(folder.path().join("media")).unwrap();
        let before = ["", "--b\r\ncontent-disposition: form-data; name=\"content\"\r\n\r\nhola\r\n"];
        for (before, begins) in [(before[0], ""), (before[0], "--b\r\nx-long: "), (before[1], "--b\r\nx-long: ")] {
            let taken = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&taken);
            let start = futures_util::stream::iter([Ok::<_, std::io::Error>(format!("{before}{begins}"))]);
            let more = futures_util::stream::repeat_with(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok("x".repeat(1024))
            });
            let body = Body::from_stream(start.chain(more.take(20 * 1024)));
            let mut request =
                Request::builder().header("content-type", "multipart/form-data; boundary=b").body(body).unwrap();
            DefaultBodyLimit::max(64 * 1024 * 1024).apply(&mut request);
            let read = Form::read(&media, UserId::fresh(), slots::MESSAGE, request).await;
            assert!(matches!(read, Err(Error::Hand(StatusCode::PAYLOAD_TOO_LARGE, _))), "{begins:?}: {read:?}");
            assert!(taken.load(Ordering::Relaxed) < 256, "{begins:?}: {taken:?} KiB were read");
        }
    }

    #[tokio::test]
    async fn names_count_as_texts_do() {
        let folder = tempfile::tempdir().unwrap();
        let media = MediaDir::open(folder.path().join("media")).unwrap();
        let mut body = String::new();
        for number in 0..40 {
            let name = format!("{number}{}", "x".repeat(limits::BODY_BYTES_MAX / 32));
            body.push_str(&format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n\r\n"));
        }
        body.push_str("--b--\r\n");
        let request = Request::builder().header("content-type", "multipart/form-data; boundary=b");
        let read = Form::read(&media, UserId::fresh(), slots::MESSAGE, request.body(body.into()).unwrap()).await;
        assert!(matches!(read, Err(Error::Hand(StatusCode::PAYLOAD_TOO_LARGE, _))));
    }
}
