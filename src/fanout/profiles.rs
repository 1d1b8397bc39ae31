//! Tells clients of `pregon.v1` who know a user by number when the user's name or picture has changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::domain::user::UserProfile;
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Except, Inbox, Publication, ToShard};
use crate::fanout::routes::Routes;
use crate::ids::{Topic, UserId};
use crate::limits::{PROFILE_GATHER, PROFILES_CHANGED_MAX};
use crate::protocol::form::{Also, FrameSet};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::event::{self, Named};
use crate::protocol::v1::said::Said;
use crate::store::Store;

/// Users whose profiles changed, here or on another node, and of whom nobody was told yet.
#[derive(Debug, Default)]
pub struct Profiles {
    changed: Mutex<HashSet<UserId>>,
    bell: Notify,
}

impl Profiles {
    /// A user's profile has changed, and caches have forgotten the old one. Never blocks. If too many have changed, clients learn
    /// of this one with the user's next message.
    pub fn changed(&self, user: UserId) {
        let mut changed = self.lock();
        if changed.len() < PROFILES_CHANGED_MAX {
            changed.insert(user);
        }
        drop(changed);
        self.bell.notify_one();
    }

    /// Tells for as long as the runtime lives.
    pub async fn tell(self: Arc<Self>, store: Arc<dyn Store>, ways: Told) {
        loop {
            self.bell.notified().await;
            // A look goes through all topics: what changes in the meantime is told with it.
            sleep(PROFILE_GATHER).await;
            let users = std::mem::take(&mut *self.lock());
            let mut profiles = HashMap::new();
            for user in users {
                match store.profile(user).await {
                    Ok(profile) => profiles.extend(profile.map(|profile| (user, profile))),
                    Err(error) => tracing::warn!(%error, "a changed profile could not be read"),
                }
            }
            if !profiles.is_empty() {
                ways.tell(&profiles).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<UserId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told, and how.
pub struct Told {
    /// Who listens where, and whom they know by which number.
    pub routes: Arc<Routes>,
    /// The shards.
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// Writes the addresses of pictures.
    pub presenter: Arc<Presenter>,
}

impl Told {
    async fn tell(&self, profiles: &HashMap<UserId, Arc<UserProfile>>) {
        for (topic, names) in self.routes.named() {
            let renamed = names.lock().unwrap_or_else(PoisonError::into_inner).renamed(profiles, &self.presenter);
            if renamed.is_empty() {
                continue;
            }
            let publication = Arc::new(self.publication(topic, &renamed));
            for shard in self.routes.shards_of(&topic).iter() {
                self.inboxes[shard.index()].send_async(ToShard::Publish(publication.clone())).await;
            }
        }
    }

    fn publication(&self, topic: Topic, renamed: &[Arc<Named>]) -> Publication {
        let mut said = Said::default();
        said.add(None, |out| event::users(out, topic, renamed.iter().map(|named| &**named)));
        let frames = FrameSet::new(Bytes::new()).and(Also::Said(Box::new(said))).made_for(self.routes.forms_of(topic));
        let born = Instant::now();
        Publication { topic, frames, class: Class::Durable, except: Except::Nobody, origin: None, born }
    }
}
