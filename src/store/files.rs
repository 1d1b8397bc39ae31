//! The uploaded files that rows name.

use uuid::Uuid;

/// Tables whose rows name uploaded files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTable {
    /// Pictures, film, thumbnail, and the addresses of podcast and stream.
    Posts,
    /// Pictures of comments.
    Comments,
    /// Avatars and covers.
    Users,
    /// Pictures of groups.
    Rooms,
}

/// The files that some rows of a table name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// The columns as stored: paths below the media root, addresses, and JSON lists of addresses. In no particular
    /// order.
    pub texts: Vec<String>,
    /// The last row's id; `None` if there are no more rows.
    pub last: Option<Uuid>,
}
