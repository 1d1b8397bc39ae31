//! What no log may hold: tokens, secrets, and what clients said. Every server of every test is held to it at its end.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::{ADMIN_KEY, SECRET};

/// Shorter texts may stand in a log by chance: names of fields and kinds.
const BYTES_MIN: usize = 16;
/// Texts that are remembered, of one test program.
const TEXTS_MAX: usize = 4096;

/// What a token, a header with one, a query string or a body begins with, and passwords that tests use.
const SIGNS: [&str; 10] = [
    "eyJ",
    "Bearer ",
    "?token=",
    "&token=",
    "\"password\"",
    "\"content\"",
    "pregon-demo",
    "muy-secreta",
    SECRET,
    ADMIN_KEY,
];

static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Remembers the texts of a body or frame that a test sends.
pub fn said(body: &Value) {
    match body {
        Value::String(text) if text.len() >= BYTES_MIN && uuid::Uuid::parse_str(text).is_err() => {
            let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < TEXTS_MAX {
                // The log may cut a long text.
                let end = text.char_indices().nth(64).map_or(text.len(), |(end, _)| end);
                said.insert(text[..end].to_owned());
            }
        }
        Value::Array(values) => values.iter().for_each(said),
        Value::Object(members) => members.values().for_each(said),
        _ => {}
    }
}

/// Fails if a log holds what it may not.
pub fn check(log: &str) {
    let said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    for line in log.lines() {
        let signs = SIGNS.iter().copied().chain(said.iter().map(String::as_str));
        for sign in signs {
            assert!(!line.contains(sign), "the log holds {sign:?}: {line}");
        }
    }
}
