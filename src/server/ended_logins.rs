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
    let mut reach = Reach { looked_at: Timestamp::now(), missed: None };
    loop {
        let since = tokio::select! {
            _ = ticks.tick() => reach.regular(Timestamp::now()),
            () = bell.notified() => {
                sleep(ENDED_LOGINS_GATHER).await;
                reach.near(Timestamp::now())
            }
        };
        let is_done = look(&*store, &inboxes, since).await;
        reach.ended(since, is_done);
        if !is_done {
            // Looks again soon, but at most once a second.
            sleep(Duration::from_secs(1)).await;
            bell.notify_one();
        }
    }
}

/// How far looks reach back.
struct Reach {
    /// When the last regular look began.
    looked_at: Timestamp,
    /// Where a look began that was not done: the next one begins no later.
    missed: Option<Timestamp>,
}

impl Reach {
    fn regular(&mut self, now: Timestamp) -> Timestamp {
        let since = self.looked_at.minus(ENDED_LOGINS_OVERLAP);
        self.looked_at = now;
        self.earliest(since)
    }

    fn near(&self, now: Timestamp) -> Timestamp {
        self.earliest(now.minus(ENDED_LOGINS_NEAR))
    }

    fn earliest(&self, since: Timestamp) -> Timestamp {
        self.missed.map_or(since, |missed| missed.min(since))
    }

    fn ended(&mut self, since: Timestamp, is_done: bool) {
        self.missed = (!is_done).then_some(since);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_look_missed_is_looked_at_again() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let mut reach = Reach { looked_at: at(1000), missed: None };
        let since = reach.regular(at(1600));
        assert_eq!(since, at(940));
        reach.ended(since, false);
        let again = reach.near(at(1601));
        assert_eq!(again, since, "not ten seconds back alone");
        reach.ended(again, false);
        assert_eq!(reach.regular(at(2200)), since);
        reach.ended(since, true);
        assert_eq!((reach.near(at(2201)), reach.regular(at(2800))), (at(2191), at(2140)));
    }
}
