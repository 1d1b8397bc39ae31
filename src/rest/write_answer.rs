//! What a write's outcome is to a request: an event, nothing new, or an error.

use std::sync::Arc;

use crate::domain::event::Committed;
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent, RelationEvent};
use crate::domain::write::Outcome;
use crate::rest::error::{Error, Result};

/// The event; `None` when it was so already.
///
/// # Errors
/// The refusal's.
pub fn event(outcome: Outcome) -> Result<Option<Arc<Committed>>> {
    match outcome {
        Outcome::Committed(event) => Ok(Some(event)),
        Outcome::Unchanged => Ok(None),
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => Err(Error::Internal(format!("a write ended as {other:?}"))),
    }
}

/// What happened to which post.
///
/// # Errors
/// 500: it is something else.
pub fn post_event(event: &Committed) -> Result<&PostEvent> {
    match event.feed() {
        Some(FeedEvent::Post(event)) => Ok(event),
        _ => Err(unexpected(event)),
    }
}

/// What happened to a post.
///
/// # Errors
/// 500: it is something else.
pub fn post_change(event: &Committed) -> Result<&PostChange> {
    Ok(&post_event(event)?.change)
}

/// What happened between people.
///
/// # Errors
/// 500: it is something else.
pub fn relation(event: &Committed) -> Result<RelationEvent> {
    match event.feed() {
        Some(FeedEvent::Relation(event)) => Ok(*event),
        _ => Err(unexpected(event)),
    }
}

/// To how many notifications it happened.
///
/// # Errors
/// 500: it is something else.
pub fn notifications_changed(event: &Committed) -> Result<u64> {
    match event.feed() {
        Some(FeedEvent::Notification { change: NotificationChange::Read { count, .. }, .. }) => Ok(*count),
        Some(FeedEvent::Notification { change: NotificationChange::Gone { notifications, .. }, .. }) => {
            Ok(notifications.len() as u64)
        }
        _ => Err(unexpected(event)),
    }
}

/// A defect: a write became what it never should.
pub fn unexpected(event: &Committed) -> Error {
    Error::Internal(format!("a write became {event:?}"))
}
