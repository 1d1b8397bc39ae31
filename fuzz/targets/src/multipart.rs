//! Forms with files.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Request;
use http::header::{CONTENT_DISPOSITION, HeaderMap, HeaderValue};
use pregon::ids::UserId;
use pregon::rest::form::Form;
use pregon::rest::uploads::disposition::Disposition;
use pregon::rest::uploads::slots;
use pregon::rest::uploads::upload::MediaDir;

struct Place {
    media: MediaDir,
    _folder: tempfile::TempDir,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let media = MediaDir::open(folder.path().join("media")).expect("a media folder").with_quota(0);
    Place { media, _folder: folder }
});

/// A form's body with the boundary `b`, in pieces; the first line is also read as a part's Content-Disposition.
///
/// # Panics
/// A file is left behind, or more fields come out than can be in it.
pub fn multipart(data: &[u8]) {
    let [first, rest @ ..] = data else { return };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Ok(value) = HeaderValue::from_bytes(line) {
        let Disposition { name, .. } = Disposition::of(&HeaderMap::from_iter([(CONTENT_DISPOSITION, value)]));
        assert!(name.len() <= 2 * line.len(), "{name:?}");
    }
    let piece = usize::from(*first) + 1;
    let pieces: Vec<_> = rest.chunks(piece).map(|piece| Ok::<_, std::convert::Infallible>(piece.to_vec())).collect();
    let body = Body::from_stream(Pieces(pieces.into_iter()));
    let request = Request::builder().header("content-type", "multipart/form-data; boundary=b").body(body);
    let request = request.expect("a request");
    let read = crate::wait(Form::read(&PLACE.media, UserId(uuid::Uuid::nil()), slots::POST, request));
    if let Ok(form) = &read {
        assert!(form.files.len() <= slots::POST.len());
    }
    drop(read);
    let waiting = PLACE.media.root().join(".incoming");
    assert_eq!(std::fs::read_dir(waiting).map_or(0, Iterator::count), 0, "a file is left");
}

/// The pieces of a body.
struct Pieces(std::vec::IntoIter<Result<Vec<u8>, std::convert::Infallible>>);

impl futures_util::Stream for Pieces {
    type Item = Result<Vec<u8>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
