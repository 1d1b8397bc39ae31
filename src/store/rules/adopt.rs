//! Rows that another program has added get their place in their topic's order, once, whoever asks for it first.

use std::sync::Arc;

use super::feed::FeedRows;
use super::origin;
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::write::{Addition, Outcome, Write};

/// The row's event, unless it has its place already, or is gone.
///
/// The topic is locked by then: of two nodes that ask, the second sees what the first has written.
pub(super) fn adopt<R: FeedRows>(
    rows: &mut R,
    events: &mut Vec<Arc<Committed>>,
    write: &Write,
    addition: Addition,
) -> Result<Outcome, R::Error> {
    if rows.is_adopted(addition.id())? {
        return Ok(Outcome::Unchanged);
    }
    let event = match addition {
        Addition::Message { room, message } => {
            let message = rows.message(message)?.filter(|message| message.room == room && !message.is_deleted);
            message.map(|message| Event::Chat(ChatEvent::Sent(message)))
        }
        Addition::Notification { recipient, notification } => {
            rows.notification(recipient, notification)?.map(|notification| {
                let change = NotificationChange::Came(notification);
                Event::Feed(FeedEvent::Notification { user: recipient, change })
            })
        }
    };
    let Some(event) = event else { return Ok(Outcome::Unchanged) };
    let topic = addition.topic();
    let place = rows.take_place(topic)?;
    let committed =
        Committed { topic, cursor: place.cursor, event_id: write.event_id, at: place.at, origin: origin(write), event };
    rows.insert_adopted(addition.id(), topic, place)?;
    rows.log(&committed, write.transport)?;
    let committed = Arc::new(committed);
    events.push(Arc::clone(&committed));
    Ok(Outcome::Committed(committed))
}
