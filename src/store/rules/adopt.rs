//! Gives a row that another program added its place in its topic's order: once, whichever node asks first.

use std::sync::Arc;

use super::asked::origin;
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::write::{Addition, Outcome, Write};
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;

/// Gives the row its place and returns its event. Does nothing if the row has its place already, or is gone.
///
/// The topic is locked at this point: of two nodes that ask, the second sees what the first has written.
pub(super) async fn adopt<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    events: &mut Vec<Arc<Committed>>,
    write: &Write,
    addition: Addition,
) -> Result<Outcome, D::Error> {
    if rows.is_adopted(addition.id()).await? {
        return Ok(Outcome::Unchanged);
    }
    let event = match addition {
        Addition::Message { room, message } => {
            let message = rows.message(message).await?.filter(|message| message.room == room && !message.is_deleted);
            message.map(|message| Event::Chat(ChatEvent::Sent(message)))
        }
        Addition::Notification { recipient, notification } => {
            rows.notification(recipient, notification).await?.map(|notification| {
                let change = NotificationChange::Came(notification);
                Event::Feed(FeedEvent::Notification { user: recipient, change })
            })
        }
    };
    let Some(event) = event else { return Ok(Outcome::Unchanged) };
    let topic = addition.topic();
    let place = rows.take_place(topic).await?;
    let committed = Committed {
        topic,
        cursor: place.cursor,
        event_id: write.event_id,
        at: place.at,
        previous: place.previous,
        origin: origin(write),
        event,
    };
    rows.insert_adopted(addition.id(), topic, place).await?;
    rows.log(&committed, write.transport).await?;
    let committed = Arc::new(committed);
    events.push(Arc::clone(&committed));
    Ok(Outcome::Committed(committed))
}
