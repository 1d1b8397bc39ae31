//! Hands a write to the rules of its kind.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::twin::Twins;
use crate::domain::event::Committed;
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::write::{Intent, Outcome, Write};
use crate::store::rules::asked::Asked;
use crate::store::rules::{adopt, feed, message};
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;

/// Does what `write` asks for, or says why not. Adds what is to be shown to `events`, in order.
///
/// # Errors
/// A statement failed: the write must be rolled back as a whole.
pub async fn apply<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    twins: &mut Twins,
    events: &mut Vec<Arc<Committed>>,
    now: Timestamp,
    write: &Write,
) -> Result<Outcome, D::Error> {
    Ok(match &write.intent {
        Intent::Chat { room, action } => {
            let asked = Asked { room: *room, actor: write.actor, transport: write.transport, write };
            let outcome = message::apply(rows, twins, now, &asked, action).await?;
            if let Outcome::Committed(event) = &outcome {
                events.push(Arc::clone(event));
            }
            outcome
        }
        Intent::Feed(action) => feed::apply(rows, events, now, write, action).await?,
        Intent::Adopt(addition) => adopt::adopt(rows, events, write, *addition).await?,
    })
}

/// True if the event tells a user that notifications were deleted together with what they were about. Which users these
/// are is found out during the deletion, so their topics are locked only then.
pub fn is_of_the_gone(event: &Committed) -> bool {
    matches!(event.feed(), Some(FeedEvent::Notification { change: NotificationChange::Gone { .. }, .. }))
}
