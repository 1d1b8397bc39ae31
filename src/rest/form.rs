//! A body that may bring files beside its fields.

use std::future::Future;
use std::time::Duration;

use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::StatusCode;
use tokio::time::{Instant, timeout};

use crate::ids::UserId;
use crate::limits;
use crate::rest::error::Result;
use crate::rest::fields::{Fields, media_type, rejected, too_slow};
use crate::rest::uploads::upload::{Incoming, MediaDir, Slot, Stored};

/// Fields and files. Files that are not stored go when the form is dropped.
#[derive(Debug)]
pub struct Form {
    /// What is no file.
    pub fields: Fields,
    /// At most one a slot, whole and of the slot's kind, in the waiting room.
    pub files: Vec<Incoming>,
}

impl Form {
    /// Reads a user's body; files for `slots` go to the media folder's waiting room.
    ///
    /// # Errors
    /// 400, 408, 413, 415 as the body deserves; 503 when too many upload.
    pub async fn read(media: &MediaDir, user: UserId, slots: &'static [Slot], mut request: Request) -> Result<Self> {
        if media_type(&request) != "multipart/form-data" {
            // The route's limit is for files: JSON of that length takes many times as much memory.
            DefaultBodyLimit::max(limits::BODY_BYTES_MAX).apply(&mut request);
            return Ok(Self { fields: Fields::from_request(request, &()).await?, files: Vec::new() });
        }
        let mut form = Multipart::from_request(request, &()).await.map_err(|error| rejected(error.status()))?;
        let mut read = Self { fields: Fields::default(), files: Vec::new() };
        let mut texts = Texts { bytes: 0, left: media.texts_timeout() };
        loop {
            let next = texts.wait(form.next_field()).await?;
            let Some(part) = next.map_err(|error| rejected(error.status()))? else { return Ok(read) };
            let name = part.name().unwrap_or_default().to_owned();
            texts.came(name.len())?;
            match (part.file_name().is_some(), slots.iter().find(|slot| slot.field == name)) {
                (false, _) => read.fields.push(name, texts.read(part).await?),
                (true, Some(slot)) if read.files.iter().all(|file| file.slot() != slot) => {
                    read.files.push(media.receive(user, slot, part).await?);
                }
                // A file nobody asked for is read past.
                (true, _) => {}
            }
        }
    }

    /// Did a file come in this field?
    pub fn has_file(&self, field: &str) -> bool {
        self.files.iter().any(|file| file.slot().field == field)
    }

    /// Moves the file of one field to its place, if there is one. It goes again unless it is kept.
    ///
    /// # Errors
    /// 503 when the file cannot be stored.
    pub async fn store(&mut self, media: &MediaDir, field: &str) -> Result<Option<Stored>> {
        match self.files.iter().position(|file| file.slot().field == field) {
            Some(place) => media.store(self.files.swap_remove(place)).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What a form's names and texts have taken together: many small ones must not add up to for ever, nor to an upload.
struct Texts {
    bytes: usize,
    /// Of the time for all of them.
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

    async fn read(&mut self, mut part: Field<'_>) -> Result<String> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.wait(part.chunk()).await?.map_err(|error| rejected(error.status()))? {
            self.came(piece.len())?;
            bytes.extend_from_slice(&piece);
        }
        String::from_utf8(bytes).map_err(|_| rejected(StatusCode::BAD_REQUEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::error::Error;
    use crate::rest::uploads::upload;

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
        let read = Form::read(&media, UserId::fresh(), upload::MESSAGE, request.body(body.into()).unwrap()).await;
        assert!(matches!(read, Err(Error::Hand(StatusCode::PAYLOAD_TOO_LARGE, _))));
    }
}
