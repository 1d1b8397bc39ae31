//! Finds out when other programs have changed whom the users of open feeds hear, and hands the new lists to their
//! shards.
//!
//! For each user, a sum over the user's rows is compared with the last one; the list is read if they differ. It is also
//! read if no sum of the user is known: the list that the feed began with may be some seconds old.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::engine::shard::port::{self, Follows, Inbox, Kind, ToShard};
use crate::fanout::follow_lists::Lists;
use crate::fanout::routes::Routes;
use crate::ids::{Topic, UserId};
use crate::limits::{CACHE_ENTRIES, FOLLOWS_SWEEP, FOLLOWS_SWEEP_USERS_MAX};
use crate::store::django::{Beside, HearingMark};
use crate::store::{Store, StoreError};

/// What the sweep needs.
pub(crate) struct Sweep {
    pub store: Arc<dyn Store>,
    pub rows: Arc<dyn Beside>,
    pub routes: Arc<Routes>,
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// The remembered lists that feeds begin with.
    pub lists: Arc<Lists>,
}

impl Sweep {
    /// Sweeps for as long as the runtime lives.
    pub(crate) async fn run(self) {
        let mut marks: HashMap<UserId, HearingMark> = HashMap::new();
        // One permit: a list counts as in memory until its shard has worked it off.
        let turn = Arc::new(Semaphore::new(1));
        let seconds = metrics::histogram!("pregon_django_follows_seconds");
        loop {
            let began = Instant::now();
            let live = port::heard(&self.inboxes, &[Kind::Feeds]).await;
            let user = |(topic, _)| if let Topic::Feed(user) = topic { Some(user) } else { None };
            let users: Vec<UserId> = live.into_iter().filter_map(user).collect();
            if marks.len() > CACHE_ENTRIES {
                let live: HashSet<UserId> = users.iter().copied().collect();
                marks.retain(|user, _| live.contains(user));
            }
            for users in users.chunks(FOLLOWS_SWEEP_USERS_MAX) {
                if let Err(error) = self.look(users, &mut marks, &turn).await {
                    tracing::warn!(%error, "whom users follow could not be looked at");
                }
            }
            // The pause is at least as long as the sweep: where sums over many rows take long, the database has as much
            // time for others.
            let took = began.elapsed();
            seconds.record(took);
            sleep(FOLLOWS_SWEEP.saturating_sub(took).max(took)).await;
        }
    }

    async fn look(
        &self,
        users: &[UserId],
        marks: &mut HashMap<UserId, HearingMark>,
        turn: &Arc<Semaphore>,
    ) -> Result<(), StoreError> {
        let found: HashMap<UserId, HearingMark> = self.rows.hearing_marks(users).await?.into_iter().collect();
        for &user in users {
            let mark = found.get(&user).copied().unwrap_or_default();
            if marks.get(&user) == Some(&mark) {
                continue;
            }
            // From here on, a feed that opens gets a list that is read after the change.
            self.lists.forget(user);
            for shard in self.routes.shards_of(&Topic::Feed(user)).iter() {
                let Ok(permit) = Arc::clone(turn).acquire_owned().await else { return Ok(()) };
                let authors = self.store.feed_authors(user).await?;
                let refollow = ToShard::Refollow { user, follows: Follows { authors, permit } };
                self.inboxes[shard.index()].send_async(refollow).await;
            }
            // The sum was taken before the list was read, so the next sweep finds what changed in between.
            marks.insert(user, mark);
        }
        Ok(())
    }
}
