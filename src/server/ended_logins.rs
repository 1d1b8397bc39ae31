//! Closes the sockets of logins that have ended: soon after this node ended them, or at the next regular look.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock::Timestamp;
use crate::engine::shard::port::{Inbox, LoginEnds, ToShard};
use crate::limits::{ENDED_LOGINS_GATHER, ENDED_LOGINS_NEAR, ENDED_LOGINS_OVERLAP};
use crate::store::Store;

/// Looks each time the bell rings, and regularly after `every`, for logins that other nodes ended.
pub(super) async fn sweep(store: Arc<dyn Store>, inboxes: Arc<[Arc<Inbox>]>, bell: Arc<Notify>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked_at = Timestamp::now();
    loop {
        let since = tokio::select! {
            _ = ticks.tick() => {
                let since = back(looked_at, ENDED_LOGINS_OVERLAP);
                looked_at = Timestamp::now();
                since
            }
            () = bell.notified() => {
                sleep(ENDED_LOGINS_GATHER).await;
                back(Timestamp::now(), ENDED_LOGINS_NEAR)
            }
        };
        if !look(&*store, &inboxes, since).await {
            // Looks again soon, but at most once a second.
            sleep(Duration::from_secs(1)).await;
            bell.notify_one();
        }
    }
}

fn back(from: Timestamp, by: Duration) -> Timestamp {
    Timestamp(from.0 - i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

/// Closes the sockets of logins that ended after `since`. False if a part was not done.
async fn look(store: &dyn Store, inboxes: &[Arc<Inbox>], since: Timestamp) -> bool {
    let mut ends = LoginEnds::new();
    match store.ended_logins(since).await {
        Ok(found) => found.into_iter().for_each(|end| ends.entry(end.user).or_default().push(end)),
        Err(error) => {
            tracing::warn!(%error, "ended logins could not be looked up");
            return false;
        }
    }
    if ends.is_empty() {
        return true;
    }
    let ends = Arc::new(ends);
    let mut is_done = true;
    for inbox in inboxes {
        is_done &= close(inbox, &ends).await;
    }
    is_done
}

/// Has a shard look through its sessions, some at a time. False if its inbox is full.
async fn close(inbox: &Inbox, ends: &Arc<LoginEnds>) -> bool {
    let mut next = Some(0);
    while let Some(from) = next {
        let (answer, looked) = oneshot::channel();
        // A full inbox has more urgent mail.
        if inbox.try_send(ToShard::EndLogins { ends: ends.clone(), from, answer }).is_err() {
            return false;
        }
        // A shard that has ended does not answer.
        let Ok(then) = looked.await else { return true };
        next = then;
    }
    true
}
