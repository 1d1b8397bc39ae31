//! Checks at intervals that the users behind open sockets, other than chat's, still exist and are active.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::shard::port::{Inbox, ToShard, Whom, readers};
use crate::fanout::routes::Routes;
use crate::ids::{Topic, UserId};
use crate::limits::ACTIVE_CHECK_USERS_MAX;
use crate::protocol::v0::reason::INACTIVE;
use crate::store::Accounts;

/// Ends the sockets of users who are no longer active with 4001. A feed socket outlives its token, so nothing else ends
/// it.
pub(super) async fn sweep(store: Arc<dyn Accounts>, routes: Arc<Routes>, inboxes: Arc<[Arc<Inbox>]>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let live = readers(&inboxes).await;
        for live in live.chunks(ACTIVE_CHECK_USERS_MAX) {
            let users: Vec<UserId> = live.iter().map(|(user, _)| *user).collect();
            match store.active_users(&users).await {
                Ok(active) => {
                    let active: HashSet<UserId> = active.into_iter().collect();
                    let gone = live.iter().filter(|(user, _)| !active.contains(user));
                    gone.for_each(|(user, topic)| end(&routes, &inboxes, *user, *topic));
                }
                Err(error) => tracing::warn!(%error, "whether users are active could not be looked at"),
            }
        }
    }
}

fn end(routes: &Routes, inboxes: &[Arc<Inbox>], user: UserId, topic: Topic) {
    let evict = || ToShard::Evict { topic, whom: Whom::Only(user), goodbye: INACTIVE };
    // A full inbox has more urgent mail; the next sweep tries again.
    if let Topic::Author(_) = topic {
        // Sockets with many topics: nobody knows on which shard they are.
        inboxes.iter().for_each(|inbox| drop(inbox.try_send(evict())));
        return;
    }
    for shard in routes.shards_of(&topic).iter() {
        let _ = inboxes[shard.index()].try_send(evict());
    }
}
