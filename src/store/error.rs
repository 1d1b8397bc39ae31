//! The error of every method of the store.

/// The database failed. The detail goes to the log, never to a client.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// Retry later: busy, full, read-only, unreachable, or shutting down.
    Unavailable(String),
    /// Fix the request: the database's columns cannot store its characters.
    Characters(String),
    /// A defect: the rows or the query are not what the code expects.
    Broken(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(f, "database unavailable: {detail}"),
            Self::Characters(detail) => write!(f, "characters that the database cannot store: {detail}"),
            Self::Broken(detail) => write!(f, "unexpected answer from the database: {detail}"),
        }
    }
}

impl std::error::Error for StoreError {}
