//! Finds messages of a room by words in their texts.
//!
//! There is no index of texts: it would cost every message, and few are ever looked for. A room's messages are read newest first, a
//! bounded number for one request, and compared here, so that both databases find the same.

use unicode_normalization::UnicodeNormalization;

use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits::{MESSAGES_SEARCHED_AT_ONCE, MESSAGES_SEARCHED_MAX, SEARCH_WORDS_MAX};
use crate::store::sql::search::is_mark;
use crate::store::sql::{Behind, Columns, Sql, ToColumn, View, behind, messages};
use crate::store::{PageRequest, Position};

/// What a search has found.
#[derive(Debug)]
pub struct MessagesFound {
    /// Newest first.
    pub messages: Vec<Message>,
    /// Where the next search goes on; `None` if the room's first message was looked at.
    pub next: Option<Position>,
}

/// Messages that are not deleted and have all words of `text` in their text or file's name, behind the page's position.
pub async fn search<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    room: RoomId,
    text: &str,
    page: PageRequest,
) -> Result<MessagesFound, C::Error> {
    let text = folded(text);
    let words: Vec<&str> = text.split_whitespace().take(SEARCH_WORDS_MAX).collect();
    let mut found: Vec<Position> = Vec::new();
    let (mut page, mut looked_at) = (page, 0);
    let next = loop {
        let sql = format!(
            "SELECT id, created_at, content, file_name FROM messages WHERE chat_room_id = ? AND is_deleted = 0{} \
             ORDER BY created_at DESC, id DESC LIMIT ?",
            behind(page, "", "id DESC")
        );
        let after = Behind::of(page);
        let mut parameters: Vec<&dyn ToColumn> = vec![&room];
        parameters.extend(after.parameters());
        parameters.push(&MESSAGES_SEARCHED_AT_ONCE);
        let read = |row: Columns<'_>| {
            let at: Timestamp = row.time(1)?;
            let position = Position { at, id: row.id::<MessageId>(0)?.0 };
            Ok((position, has_all(&words, [row.str(2)?, row.str(3)?])))
        };
        let rows = view.rows(&sql, &parameters, read).await?;
        let is_last = rows.len() < MESSAGES_SEARCHED_AT_ONCE as usize;
        looked_at += rows.len();
        let last = rows.last().map(|(position, _)| *position);
        let room_left = page.size as usize - found.len();
        let mut matching = rows.into_iter().filter(|(_, is_found)| *is_found).map(|(position, _)| position);
        found.extend(matching.by_ref().take(room_left));
        if found.len() >= page.size as usize {
            break found.last().copied();
        }
        if is_last {
            break None;
        }
        if looked_at >= MESSAGES_SEARCHED_MAX {
            break last;
        }
        page.after = last;
    };
    let ids: Vec<MessageId> = found.iter().map(|position| MessageId(position.id)).collect();
    let mut messages = messages::wholes(view, Some(viewer), &ids).await?;
    messages.sort_by_key(|message| ids.iter().position(|id| *id == message.id));
    Ok(MessagesFound { messages, next })
}

fn has_all(words: &[&str], texts: [&str; 2]) -> bool {
    let texts = texts.map(folded);
    words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
}

/// Lower case, without accents and in one composition.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkd().filter(|letter| !is_mark(*letter)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_case_accents_and_composition() {
        let has = |text: &str, content: &str| {
            let text = folded(text);
            has_all(&text.split_whitespace().collect::<Vec<_>>(), [content, "Informe_Final.pdf"])
        };
        for (text, content) in [
            ("gol", "¡GOLAZO!"),
            ("AREA", "en el área"),
            ("área", "EN EL AREA"),
            ("área", "en el a\u{301}rea"),
            ("niño", "NINO"),
            ("final área", "área"),
            ("informe", ""),
            ("😀", "ja 😀"),
        ] {
            assert!(has(text, content), "{text} in {content}");
        }
        for (text, content) in [("gol área", "gol"), ("golazos", "golazo"), ("%", "gol"), ("_g", "gol")] {
            assert!(!has(text, content), "{text} in {content}");
        }
    }
}
