//! The three counts of a post's reactions, from frames, from answers and from the table.

use std::collections::HashSet;
use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::digest::excerpt;

/// The kinds, named as in requests and frames.
pub const KINDS: [&str; 3] = ["like", "celebration", "golazo"];

/// How many reactions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Counts {
    #[serde(rename = "likes_count")]
    pub likes: i64,
    #[serde(rename = "celebrations_count")]
    pub celebrations: i64,
    #[serde(rename = "golazos_count")]
    pub golazos: i64,
}

impl Counts {
    /// The counts of reactions given by their indexes in [`KINDS`].
    pub fn of(kinds: impl Iterator<Item = usize>) -> Self {
        let mut counts = [0; KINDS.len()];
        kinds.for_each(|kind| counts[kind] += 1);
        let [likes, celebrations, golazos] = counts;
        Self { likes, celebrations, golazos }
    }

    pub fn total(&self) -> i64 {
        self.likes + self.celebrations + self.golazos
    }
}

impl Display for Counts {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { likes, celebrations, golazos } = self;
        write!(out, "{likes} like, {celebrations} celebration, {golazos} golazo")
    }
}

/// The kind of a text frame on a feed or post socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    Reaction(Counts),
    Other,
    Damaged(String),
}

/// Reads a frame; only `post_reaction` of this post counts.
pub fn read(text: &[u8], post: &str) -> Reading {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: String,
        reaction_data: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        post_id: String,
        #[serde(flatten)]
        counts: Counts,
        #[serde(rename = "user_reaction")]
        reactor: Reactor,
    }
    #[derive(Deserialize)]
    struct Reactor {
        user_id: String,
        reaction_type: Option<String>,
    }
    let damaged = |what: &str| Reading::Damaged(format!("{what}: {}", excerpt(text)));
    let Ok(event) = serde_json::from_slice::<Event>(text) else {
        return damaged("no event of the known form");
    };
    match event.reaction_data {
        _ if event.kind != "post_reaction" => Reading::Other,
        None => damaged("post_reaction without its data"),
        Some(data) if data.post_id != post => Reading::Other,
        Some(Data { reactor: Reactor { user_id, reaction_type }, counts, .. }) => {
            let is_known = reaction_type.is_none_or(|kind| KINDS.contains(&kind.as_str()));
            if is_known && user_id.len() == 36 { Reading::Reaction(counts) } else { damaged("no reaction there is") }
        }
    }
}

/// The counts in the answer to a write.
pub fn answered(body: &[u8]) -> Option<Counts> {
    #[derive(Deserialize)]
    struct Answer {
        counts: Counts,
    }
    serde_json::from_slice::<Answer>(body).ok().map(|answer| answer.counts)
}

/// The stored post: its counters, and its reactions counted one by one.
#[derive(Deserialize)]
pub struct Stored {
    #[serde(flatten)]
    pub counts: Counts,
    reactions: Vec<StoredReaction>,
}

#[derive(Deserialize)]
struct StoredReaction {
    reaction_type: String,
}

impl Stored {
    /// The reactions counted one by one; `None` if not all are listed, or one has an unknown kind.
    pub fn counted(&self) -> Option<Counts> {
        let place = |reaction: &StoredReaction| KINDS.iter().position(|kind| *kind == reaction.reaction_type);
        let kinds: Option<Vec<usize>> = self.reactions.iter().map(place).collect();
        kinds.filter(|kinds| kinds.len() as i64 >= self.counts.total()).map(|kinds| Counts::of(kinds.into_iter()))
    }

    /// The number of listed reactions; servers list a configured number of the newest.
    pub fn listed(&self) -> usize {
        self.reactions.len()
    }
}

/// The counts in `heard` that no write ever produced.
pub fn never_true(heard: &HashSet<Counts>, answered: &HashSet<Counts>) -> Vec<Counts> {
    heard.difference(answered).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = "fb349c61-b203-43fa-a906-87fa47e3c37e";

    #[test]
    fn frames_of_both_sockets_are_read() {
        let data = format!(
            r#"{{"post_id":"{POST}","likes_count":1,"celebrations_count":2,"golazos_count":3,"laughs_count":2,"user_reaction":{{"user_id":"{POST}","reaction_type":null}}}}"#
        );
        let counts = Counts { likes: 1, celebrations: 2, golazos: 3 };
        let on_post = format!(r#"{{"type":"post_reaction","reaction_data":{data}}}"#);
        assert_eq!(read(on_post.as_bytes(), POST), Reading::Reaction(counts));
        let on_feed = format!(r#"{{"type":"post_reaction","post_id":"{POST}","reaction_data":{data}}}"#);
        assert_eq!(read(on_feed.as_bytes(), POST), Reading::Reaction(counts));
        assert_eq!(read(on_feed.as_bytes(), "another"), Reading::Other);
        let unknown = on_feed.replace("null", "\"love\"");
        assert!(matches!(read(unknown.as_bytes(), POST), Reading::Damaged(_)));
        assert_eq!(read(br#"{"type":"pong"}"#, POST), Reading::Other);
    }

    #[test]
    fn the_table_is_counted_one_by_one_where_it_is_listed_whole() {
        let stored = |likes: i64| -> Stored {
            let reactions = r#"[{"reaction_type":"golazo"},{"reaction_type":"like"}]"#;
            let text = format!(
                r#"{{"likes_count":{likes},"celebrations_count":0,"golazos_count":1,"reactions":{reactions}}}"#
            );
            serde_json::from_str(&text).expect("a post")
        };
        let counted = Counts { likes: 1, celebrations: 0, golazos: 1 };
        assert_eq!(stored(1).counted(), Some(counted));
        assert_eq!(stored(0).counted(), Some(counted), "one more than the counters say");
        assert_eq!((stored(9).counted(), stored(9).listed()), (None, 2));
    }
}
