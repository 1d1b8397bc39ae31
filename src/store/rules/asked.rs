//! A write in a room, and how the rules answer it.

use std::sync::Arc;

use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Event};
use crate::domain::write::{AnswerTo, Outcome, Refusal, Write};
use crate::ids::{RoomId, SessionKey, Topic, UserId};
use crate::store::sql::LaneSql;
use crate::store::sql::rows::{BatchRows, Place};

/// A write, and the room it is about.
pub(super) struct Asked<'a> {
    pub room: RoomId,
    pub actor: UserId,
    pub transport: Transport,
    pub write: &'a Write,
}

/// Logs the event of a write in a room, at a place that was taken there, and answers with it.
pub(super) async fn record<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    place: Place,
    event: ChatEvent,
) -> Result<Outcome, D::Error> {
    let committed = Committed {
        topic: Topic::Room(write.room),
        cursor: place.cursor,
        event_id: write.write.event_id,
        at: place.at,
        previous: place.previous,
        origin: origin(write.write),
        event: Event::Chat(event),
    };
    rows.log(&committed, write.transport).await?;
    Ok(Outcome::Committed(Arc::new(committed)))
}

/// The session that asked for the write, if a session did.
pub(super) fn origin(write: &Write) -> Option<SessionKey> {
    match write.answer {
        AnswerTo::Session(session) | AnswerTo::Request(session, _) => Some(session),
        AnswerTo::Caller(_) => None,
    }
}

pub(super) fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal)
}
