//! Looks now and then whether the users behind open sockets other than chat's still exist and are active.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::engine::shard::port::{Directory, Inbox, Readers, ToShard, Whom};
use crate::fanout::routes::Routes;
use crate::ids::{Topic, UserId};
use crate::limits::ACTIVE_CHECK_USERS_MAX;
use crate::protocol::v0::reason::INACTIVE;
use crate::store::Accounts;

/// Sockets of users who are no longer active hear 4001. Feed sockets outlive their token: this is what ends them.
pub(super) async fn sweep(store: Arc<dyn Accounts>, routes: Arc<Routes>, inboxes: Arc<[Arc<Inbox>]>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut live = routes.live_users();
        for inbox in inboxes.iter() {
            readers(inbox, &mut live).await;
        }
        live.sort_unstable();
        live.dedup();
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

/// Who listens to posts on a shard: the directory knows which posts, not whose sockets. Asked for a few at a time.
async fn readers(inbox: &Inbox, live: &mut Vec<(UserId, Topic)>) {
    let mut from = Some(0);
    while let Some(slot) = from {
        let (answer, found) = oneshot::channel();
        // A full inbox has more urgent mail; the next sweep comes. A shard that has ended does not answer.
        if inbox.try_send(ToShard::Readers { from: slot, answer }).is_err() {
            return;
        }
        let Ok(Readers { users, next }) = found.await else { return };
        live.extend(users);
        from = next;
    }
}

fn end(routes: &Routes, inboxes: &[Arc<Inbox>], user: UserId, topic: Topic) {
    for shard in routes.shards_of(&topic).iter() {
        // A full inbox has more urgent mail; the next sweep comes.
        let evict = ToShard::Evict { topic, whom: Whom::Only(user), goodbye: INACTIVE };
        let _ = inboxes[shard.index()].try_send(evict);
    }
}
