//! What no log may hold: tokens, secrets, and what clients said. Every server of every test is held to it at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::{ADMIN_KEY, SECRET};

/// Shorter texts may stand in a log by chance: names of fields and kinds.
const BYTES_MIN: usize = 16;
/// Texts that are remembered, of one test program. All of them are: a test that passes this fails.
const TEXTS_MAX: usize = 1 << 20;
/// Characters of a text that are looked for: the log may cut a long one.
const CHARACTERS_MAX: usize = 64;

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

/// What a text begins with.
type Beginning = [u8; BYTES_MIN];

/// All texts, by their beginnings: a log is looked through once, however many there are.
struct Said {
    texts: BTreeMap<Beginning, BTreeSet<String>>,
    count: usize,
}

impl Said {
    fn remember(&mut self, text: &str) {
        let end = text.char_indices().nth(CHARACTERS_MAX).map_or(text.len(), |(end, _)| end);
        let Some(beginning) = text.as_bytes().first_chunk() else { return };
        if self.texts.entry(*beginning).or_default().insert(text[..end].to_owned()) {
            self.count += 1;
            assert!(self.count <= TEXTS_MAX, "tests said more than {TEXTS_MAX} texts: raise TEXTS_MAX in leaks.rs");
        }
    }

    /// A text that a line holds.
    fn found_in(&self, line: &str) -> Option<&str> {
        let windows = line.as_bytes().windows(BYTES_MIN).enumerate();
        let mut texts = windows.filter_map(|(place, window)| {
            let of_beginning = self.texts.get(window)?;
            of_beginning.iter().find(|text| line.as_bytes()[place..].starts_with(text.as_bytes()))
        });
        texts.next().map(String::as_str)
    }
}

static SAID: Mutex<Said> = Mutex::new(Said { texts: BTreeMap::new(), count: 0 });

/// Remembers the texts of a body or frame that a test sends.
pub fn said(body: &Value) {
    match body {
        Value::String(text) if text.len() >= BYTES_MIN && uuid::Uuid::parse_str(text).is_err() => {
            SAID.lock().unwrap_or_else(PoisonError::into_inner).remember(text);
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
        let sign = SIGNS.iter().copied().find(|sign| line.contains(sign)).or_else(|| said.found_in(line));
        assert!(sign.is_none(), "the log holds {:?}: {line}", sign.unwrap_or_default());
    }
}
