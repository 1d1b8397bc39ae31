//! Feeds on this shard: opened with a user's first socket, given their authors, closed with the last one.

use std::sync::Arc;

use super::Core;
use super::port::{Except, Follows, Ports, Publication};
use crate::engine::session::outbox::Class;
use crate::engine::topics::feeds::{FeedKey, Step};
use crate::ids::{ShardId, Topic, UserId};
use crate::protocol::v0::reason::OVERLOAD;

/// What changes of lists brought about, to be done when the lists are at rest.
#[derive(Default)]
struct Told {
    /// What came of authors before feeds knew that they hear them.
    replays: Vec<(FeedKey, Arc<Publication>)>,
    complete: Vec<FeedKey>,
}

/// The directory hears of an author's first and last listener at once.
fn route(ports: &Ports, shard: ShardId, step: Step) {
    match step {
        Step::Joined(author) => ports.directory.join(Topic::Author(author), shard),
        Step::Left(author) => ports.directory.leave(Topic::Author(author), shard),
        Step::Hears { .. } | Step::Complete(_) => {}
    }
}

impl Core {
    /// A user's first feed socket came, and its greeting waits for the walk. Until it is known whom the user hears, this shard hears everybody and keeps it:
    /// what is committed after the greeting is not missed, and the greeting waits for nothing.
    pub(super) fn open_feed(&mut self, user: UserId, room: u32) {
        let Self { feeds, ports, id, .. } = self;
        ports.directory.hear_all(*id);
        let feed = feeds.open(user, room, &mut |step| route(ports, *id, step));
        self.recent.begin(feed);
        if !(self.ports.load_follows)(user, self.id, feed) {
            self.send_away(feed);
        }
    }

    /// A user's last feed socket went.
    pub(super) fn close_feed(&mut self, user: UserId) {
        if let Some(feed) = self.feeds.close(user) {
            self.finish_loading(feed);
        }
    }

    fn finish_loading(&mut self, feed: FeedKey) {
        self.recent.end(feed);
        self.ports.directory.hear_enough(self.id);
    }

    /// Whom a feed hears was read, or could not be: then its sockets have to come again.
    pub(super) fn follows(&mut self, feed: FeedKey, follows: Option<Follows>) {
        match follows {
            Some(Follows { authors, permit }) => self.feeds.load(feed, authors, Box::new(permit)),
            None if self.feeds.is_loading(feed) => self.send_away(feed),
            None => {}
        }
    }

    /// Others have changed whom a user hears.
    pub(super) fn refollow(&mut self, user: UserId, follows: Follows) {
        let Self { feeds, ports, id, .. } = self;
        feeds.replace(user, follows.authors, &mut |step| route(ports, *id, step));
    }

    /// A user began or ceased to hear another.
    pub(super) fn relation(&mut self, user: UserId, other: UserId, hears: bool) {
        let mut told = Told::default();
        let Self { feeds, ports, id, recent, .. } = self;
        feeds.relate(user, other, hears, &mut |step| {
            route(ports, *id, step);
            told.note(recent, step);
        });
        self.settle(told);
        if hears {
            self.ports.directory.hear_enough(self.id);
        }
    }

    /// Works on authors' lists for a while. True when there is more to do.
    pub(super) fn work_on_feeds(&mut self) -> bool {
        let mut told = Told::default();
        let Self { feeds, ports, id, recent, bounds, .. } = self;
        let has_more = feeds.work(bounds.feed_slice_entries, &mut |step| {
            route(ports, *id, step);
            told.note(recent, step);
        });
        self.settle(told);
        has_more
    }

    /// An author's post or what became of it, for all feeds here that hear the author.
    pub(super) fn fan_out_by(&mut self, author: UserId, publication: &Arc<Publication>) {
        let mut members = std::mem::take(&mut self.reached);
        members.clear();
        for room in self.feeds.rooms_of(author) {
            members.extend_from_slice(&self.registry.room(room).members);
        }
        if !members.is_empty() {
            let Publication { ref frames, class, except, origin, .. } = **publication;
            self.make_memory(frames.len(), members.len());
            // Some of them may have been let go for that.
            members.retain(|index| self.is_open(*index));
            let mut open = self.posts;
            self.give(&members, &mut open, frames, class, except, origin);
            self.posts = open;
            self.let_the_overdue_go();
        }
        self.reached = members;
        for late in self.recent.note(author, publication) {
            self.send_away(late);
        }
    }

    fn settle(&mut self, told: Told) {
        for (feed, publication) in told.replays {
            let Some(room) = self.feeds.room_of(feed) else { continue };
            let members = self.registry.room(room).members.clone();
            // An author is excepted where what is told to the others differs; their own feed listens elsewhere.
            debug_assert!(matches!(publication.except, Except::Nobody | Except::User(_)));
            for index in members {
                // Somebody who asks without reading may have been let go over an earlier one.
                if self.is_open(index) {
                    self.deliver(index, &publication.frames, Class::Durable);
                }
            }
        }
        for feed in told.complete {
            self.finish_loading(feed);
        }
    }

    fn send_away(&mut self, feed: FeedKey) {
        let Some(room) = self.feeds.room_of(feed) else { return };
        let members = self.registry.room(room).members.clone();
        members.into_iter().for_each(|index| self.goodbye(index, OVERLOAD));
    }
}

impl Told {
    fn note(&mut self, recent: &super::Recent, step: Step) {
        match step {
            Step::Hears { feed, author } => {
                self.replays.extend(recent.of(feed, author).map(|publication| (feed, Arc::clone(publication))));
            }
            Step::Complete(feed) => self.complete.push(feed),
            Step::Joined(_) | Step::Left(_) => {}
        }
    }
}
