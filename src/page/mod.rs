//! The static page, embedded.

/// One file of the page.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// For `Content-Type`.
    pub content_type: &'static str,
    /// The file.
    pub body: &'static [u8],
    /// For `ETag`, with its quotes.
    pub etag: &'static str,
}

/// The file at `path`, such as `/` or `/chat.js`.
pub fn asset(_path: &str) -> Option<Asset> {
    None
}
