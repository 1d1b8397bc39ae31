//! Bounds of searches.

/// Characters of a search that are used.
pub const SEARCH_CHARS_MAX: usize = 100;
/// People that a search finds by the beginnings of words, beside those with exactly this name.
pub const SEARCH_FOUND_MAX: u32 = 1000;
/// Words of a search; further words are ignored.
pub const SEARCH_WORDS_MAX: usize = 4;
/// SQLite: searches that wait for their thread.
pub const SEARCHES_WAITING_MAX: usize = 64;
/// MySQL: connections of searches.
pub const SEARCH_CONNECTIONS: usize = 2;
/// Messages that one request of a search looks at, at most, and how many it reads at once.
pub const MESSAGES_SEARCHED_MAX: usize = 5000;
/// See [`MESSAGES_SEARCHED_MAX`].
pub const MESSAGES_SEARCHED_AT_ONCE: u32 = 500;
