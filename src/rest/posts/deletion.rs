//! Deletions that need several writes, because one transaction takes a bounded number of comments.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::feed::event::PostChange;
use crate::domain::feed::write::Action;
use crate::domain::write::{Outcome, Refusal};
use crate::ids::UserId;
use crate::limits::{DELETION_PATIENCE, DELETION_WRITES_MAX};
use crate::rest::app::App;
use crate::rest::error::{Error, Result};
use crate::rest::write_answer;

/// The pause after a temporarily refused write.
const PAUSE: Duration = Duration::from_millis(100);

/// Repeats a write until `is_whole` accepts its event; `left` then returns the files that no row names any more. It
/// runs in a task of its own, so that a dropped request leaves nothing half deleted.
///
/// # Errors
/// The refusal's error; also 503 if it could not go on.
pub async fn whole(
    app: Arc<App>,
    user: UserId,
    action: Action,
    left: Vec<String>,
    is_whole: impl Fn(&PostChange) -> bool + Send + 'static,
) -> Result<()> {
    let deletion = async move {
        again(|| app.store.write_feed(user, action.clone()), is_whole, PAUSE).await?;
        app.media.litter().leave(left.iter().map(String::as_str));
        Ok(())
    };
    tokio::spawn(deletion).await.map_err(|error| Error::Internal(error.to_string()))?
}

/// Retries a write. A deletion that has begun is not abandoned because the database is briefly busy or unreachable.
async fn again<W: Future<Output = Outcome>>(
    mut write: impl FnMut() -> W,
    is_whole: impl Fn(&PostChange) -> bool,
    pause: Duration,
) -> Result<()> {
    let mut has_begun = false;
    let mut refused_since = None;
    for _ in 0..DELETION_WRITES_MAX {
        let outcome = write().await;
        if let Outcome::Refused(refusal) = &outcome
            && has_begun
        {
            match refusal {
                // Another deletion was faster, or the answer to ours was lost.
                Refusal::NoSuchPost | Refusal::NoSuchComment => return Ok(()),
                Refusal::Busy | Refusal::Unavailable => {
                    let since = *refused_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < DELETION_PATIENCE {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                }
                _ => {}
            }
        }
        let event = write_answer::event(outcome)?;
        let event = event.ok_or_else(|| Error::Internal("a deletion changed nothing".to_owned()))?;
        if is_whole(write_answer::post_change(&event)?) {
            return Ok(());
        }
        (has_begun, refused_since) = (true, None);
    }
    Err(Error::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::event::{Committed, Cursor, Event};
    use crate::domain::feed::event::{FeedEvent, PostEvent};
    use crate::ids::{EventId, PostId, Topic};

    fn committed(change: PostChange) -> Outcome {
        let post = PostId::fresh();
        Outcome::Committed(Arc::new(Committed {
            topic: Topic::Post(post),
            cursor: Cursor { epoch: 1, seq: 1 },
            event_id: EventId::fresh(),
            at: Timestamp(0),
            previous: None,
            origin: None,
            event: Event::Feed(FeedEvent::Post(PostEvent { post, author: UserId::fresh(), is_public: true, change })),
        }))
    }

    fn some() -> Outcome {
        committed(PostChange::CommentsDeleted { comments: Vec::new(), user: UserId::fresh(), comments_count: 0 })
    }

    /// How the deletion ended, and how many of the prepared outcomes it did not use.
    async fn run(outcomes: Vec<Outcome>) -> (Result<()>, usize) {
        let mut outcomes = outcomes.into_iter();
        let is_whole = |change: &PostChange| matches!(change, PostChange::Deleted);
        let result = again(|| std::future::ready(outcomes.next().unwrap()), is_whole, Duration::ZERO).await;
        (result, outcomes.count())
    }

    #[tokio::test]
    async fn a_deletion_that_has_begun_outlasts_a_busy_database() {
        let refused = Outcome::Refused;
        let busy = [some(), refused(Refusal::Busy), refused(Refusal::Unavailable), some(), refused(Refusal::Busy)];
        let (result, left) = run(busy.into_iter().chain([committed(PostChange::Deleted), some()]).collect()).await;
        assert!(result.is_ok() && left == 1, "{result:?}");
        let (result, left) = run(vec![refused(Refusal::Busy), some()]).await;
        assert!(matches!(result, Err(Error::Unavailable)) && left == 1, "before it has begun: {result:?}");
        let (result, _) = run(vec![some(), refused(Refusal::NoSuchPost)]).await;
        assert!(result.is_ok(), "it is gone: {result:?}");
        for outcomes in [vec![refused(Refusal::NoSuchPost)], vec![some(), refused(Refusal::NotAuthor)]] {
            assert!(run(outcomes).await.0.is_err());
        }
    }
}
