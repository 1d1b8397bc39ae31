//! Turns a write's outcome into a handler's result: an event, nothing new, or an error.

use std::sync::Arc;

use crate::domain::event::Committed;
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent, RelationEvent};
use crate::domain::write::Outcome;
use crate::rest::error::{Error, Result};

/// The event; `None` if nothing changed.
///
/// # Errors
/// The refusal's error.
pub fn event(outcome: Outcome) -> Result<Option<Arc<Committed>>> {
    match outcome {
        Outcome::Committed(event) => Ok(Some(event)),
        Outcome::Unchanged => Ok(None),
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => Err(Error::Internal(format!("a write ended as {other:?}"))),
    }
}

/// The event as a post's event.
///
/// # Errors
/// 500 for any other event.
pub fn post_event(event: &Committed) -> Result<&PostEvent> {
    match event.feed() {
        Some(FeedEvent::Post(event)) => Ok(event),
        _ => Err(unexpected(event)),
    }
}

/// The change of a post.
///
/// # Errors
/// 500 for any other event.
pub fn post_change(event: &Committed) -> Result<&PostChange> {
    Ok(&post_event(event)?.change)
}

/// The change between two users.
///
/// # Errors
/// 500 for any other event.
pub fn relation(event: &Committed) -> Result<RelationEvent> {
    match event.feed() {
        Some(FeedEvent::Relation(event)) => Ok(*event),
        _ => Err(unexpected(event)),
    }
}

/// The number of notifications that changed.
///
/// # Errors
/// 500 for any other event.
pub fn notifications_changed(event: &Committed) -> Result<u64> {
    match event.feed() {
        Some(FeedEvent::Notification { change: NotificationChange::Read { count, .. }, .. }) => Ok(*count),
        Some(FeedEvent::Notification { change: NotificationChange::Gone { notifications, .. }, .. }) => {
            Ok(notifications.len() as u64)
        }
        _ => Err(unexpected(event)),
    }
}

/// A defect: a write committed an event that it never should.
pub fn unexpected(event: &Committed) -> Error {
    Error::Internal(format!("a write committed {event:?}"))
}
