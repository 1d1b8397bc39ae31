//! Foresees what each message of an inbox makes the shard's sessions hear, before the shard takes the message.

use std::sync::Arc;

use super::shadow::{Need, Shadow, each_frame};
use super::watch::{Call, close_of};
use super::world::{World, tag};
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Except, Publication, ToShard};
use crate::ids::{Topic, UserId};
use crate::protocol::v0::reason::{OVERLOAD, REMOVED};

impl World {
    /// Takes as many messages from the shard's inbox as it takes before it walks.
    pub(super) fn take_mail(&mut self, shard: usize, most: usize) {
        self.shards[shard].core.begin_round();
        for _ in 0..most {
            if self.shards[shard].core.has_mail_enough() {
                return;
            }
            let Some(message) = self.inboxes[shard].pop() else { return };
            self.shards[shard].core.heard += 1;
            self.take(shard, message);
        }
    }

    fn take(&mut self, shard: usize, message: ToShard) {
        let call = self.foresee(shard, &message);
        self.shards[shard].core.take(message);
        self.after(&call);
    }

    fn foresee(&mut self, shard: usize, message: &ToShard) -> Call {
        // The longest answer to a message that carries nothing is a newcomer's greeting, which names everybody who is
        // present.
        let mut call = self.before(shard, message.carried_bytes().max(1024));
        match message {
            ToShard::Publish(publication) => {
                self.note("a publication", shard, 0);
                self.foresee_publication(shard, publication);
            }
            ToShard::Deliver { session, frames, class } => {
                let found = self.shards[shard].open_mut().find(|shadow| shadow.key == *session);
                let is_ours = frames.windows(4).any(|bytes| bytes == b"\"n\":");
                if let Some(shadow) = found.filter(|_| is_ours) {
                    each_frame(frames).for_each(|frame| shadow.expect(None, frame, need(*class)));
                }
            }
            ToShard::Evict { topic, whom, goodbye } => {
                self.note("an eviction", shard, 0);
                let meant = self.shards[shard].open().filter(|shadow| shadow.topic() == Some(*topic));
                let meant = meant.filter(|shadow| shadow.user().is_some_and(|user| whom.is(user)));
                call.ends = meant.map(|shadow| (shadow.key.index, close_of(*goodbye))).collect();
            }
            ToShard::Participants { room, users, asked_at } => {
                let asked = u32::try_from((*asked_at - self.began).as_secs()).unwrap_or(0);
                let meant = self.shards[shard].open().filter(|shadow| shadow.topic() == Some(Topic::Room(*room)));
                let meant = meant.filter(|shadow| shadow.began + 1 < asked);
                let meant = meant.filter(|shadow| shadow.user().is_some_and(|user| !users.contains(&user)));
                call.ends = meant.map(|shadow| (shadow.key.index, close_of(REMOVED))).collect();
            }
            ToShard::Follows { feed, follows: None } => {
                let it = &self.shards[shard];
                let of = it.feeds.iter().find(|(_, known)| *known == feed).map(|(user, _)| *user);
                let meant = it.open().filter(|shadow| {
                    shadow.endpoint == Endpoint::Feed
                        && shadow.user() == of
                        && of.is_some_and(|user| it.is_loading(user))
                });
                call.ends = meant.map(|shadow| (shadow.key.index, close_of(OVERLOAD))).collect();
            }
            ToShard::Drain(_) => self.shards[shard].is_draining = true,
            // Everything that was kept for a feed that is loading may be delivered now.
            ToShard::Relation { user, other, hears } => {
                if !hears {
                    self.truth.learns_end(*user, *other, self.count);
                }
                call.bytes = self.bounds.feed_recent_max * self.bounds.publication_bytes_max;
                call.ranges = usize::MAX;
            }
            _ => {}
        }
        call
    }

    fn foresee_publication(&mut self, shard: usize, publication: &Arc<Publication>) {
        let Some((_, sent)) = self.sent.get(&Arc::as_ptr(publication)) else {
            return self.foresee_from_shard(shard, publication);
        };
        if let Topic::Author(author) = publication.topic {
            return self.foresee_author(shard, author, publication, *sent);
        }
        self.tell_listeners(shard, publication);
    }

    /// Foresees a signal, typing or presence that another shard tells.
    fn foresee_from_shard(&mut self, shard: usize, publication: &Publication) {
        assert_eq!(publication.class, Class::Ephemeral);
        let room = match publication.topic {
            Topic::Room(room) => room,
            Topic::Post(_) => {
                let text = String::from_utf8_lossy(publication.frames.usual());
                assert!(text.contains("typing_status"), "shards tell who types at a post, and nothing else: {text}");
                return self.tell_listeners(shard, publication);
            }
            other => panic!("shards tell of rooms and posts alone, not of {other}"),
        };
        if publication.frames.usual().is_empty() {
            // How many are in a large room, for clients of `pregon.v1`.
            return;
        }
        if self.truth.is_presence(room, publication.frames.usual()) {
            // Whoever is there may hear it at any time.
            return;
        }
        let (tag, text) = (tag(room), String::from_utf8_lossy(publication.frames.usual()));
        assert!(text.contains(&tag), "one room's frames are told in another: {text}");
        self.tell_listeners(shard, publication);
    }

    pub(super) fn tell_listeners(&mut self, shard: usize, publication: &Publication) {
        let Publication { topic, ref frames, class, except, .. } = *publication;
        for shadow in self.shards[shard].open_mut() {
            if shadow.topic() == Some(topic) && !is_excepted(shadow, except) {
                each_frame(frames.usual()).for_each(|frame| shadow.expect(None, frame, need(class)));
            }
        }
    }

    fn foresee_author(&mut self, shard: usize, author: UserId, publication: &Publication, sent: u64) {
        let (truth, it) = (&self.truth, &mut self.shards[shard]);
        let loading: Vec<UserId> = self.users.iter().copied().filter(|user| it.is_loading(*user)).collect();
        for user in &loading {
            let kept = it.kept.entry(*user).or_default();
            each_frame(publication.frames.usual()).for_each(|frame| kept.frames.push((author, frame.into())));
        }
        for shadow in it.open_mut().filter(|shadow| shadow.endpoint == Endpoint::Feed) {
            let Some(user) = shadow.user() else { continue };
            // A feed that is loading may still get it: whether its user heard the author is checked when it does.
            let may_hear = loading.contains(&user) || truth.has_heard(user, author, shadow.begun);
            if is_excepted(shadow, publication.except) || !may_hear {
                continue;
            }
            let is_due = truth.hears(user, author, sent) && shadow.begun < sent;
            let need = match (is_due, loading.contains(&user)) {
                (false, _) => Need::May,
                (true, true) => Need::WhileHeard { author, sent },
                (true, false) => Need::Must,
            };
            each_frame(publication.frames.usual()).for_each(|frame| shadow.expect(Some(author), frame, need));
        }
    }
}

pub(super) fn is_excepted(shadow: &Shadow, except: Except) -> bool {
    match except {
        Except::Nobody => false,
        Except::Session(key) => shadow.key == key,
        // Presence is told by shards, and is not foreseen here.
        Except::User(user) | Except::UserAndNewcomers(user) => shadow.user() == Some(user),
        Except::AllBut(user) => shadow.user() != Some(user),
    }
}

fn need(class: Class) -> Need {
    match class {
        Class::Durable => Need::Must,
        Class::Ephemeral => Need::May,
    }
}
