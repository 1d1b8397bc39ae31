//! What `pregon check` finds.

/// What was found out about one thing.
pub(super) enum Finding {
    Fine(String),
    /// The server works, but somebody should look.
    Doubtful(String),
    Wrong(String),
}

impl From<Result<String, String>> for Finding {
    fn from(found: Result<String, String>) -> Self {
        found.map_or_else(Self::Wrong, Self::Fine)
    }
}
