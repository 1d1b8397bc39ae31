//! Feeds on this shard: opened with a user's first socket, given their authors, closed with the last one.

use std::collections::VecDeque;
use std::sync::Arc;

use super::core::{Core, Due};
use super::outbound::To;
use super::port::{Except, Follows, Ports, Publication};
use super::recent::Recent;
use crate::engine::session::outbox::Class;
use crate::engine::topics::feeds::{FeedKey, Step};
use crate::engine::topics::members::Member;
use crate::ids::{ShardId, Topic, UserId};
use crate::protocol::form::Forms;
use crate::protocol::v0::reason::OVERLOAD;
use crate::telemetry;

/// Tells the directory at once of an author's first and last listener.
fn route(ports: &Ports, shard: ShardId, step: Step) {
    match step {
        Step::Joined(author) => drop(ports.directory.join(Topic::Author(author), shard)),
        Step::Left(author) => ports.directory.leave(Topic::Author(author), shard),
        Step::Hears { .. } | Step::Complete(_) => {}
    }
}

impl Core {
    /// Opens a user's feed when the first feed socket came. The greeting is queued before the follow list is known, so that it
    /// waits for nothing. Until then the shard hears all authors and keeps what they publish: nothing that is committed after
    /// the greeting is missed.
    pub(super) fn open_feed(&mut self, user: UserId, slot: u32) {
        let Self { feeds, ports, id, .. } = self;
        ports.directory.hear_all(*id);
        let feed = feeds.open(user, slot, &mut |step| route(ports, *id, step));
        self.recent.begin(feed);
        if !(self.ports.load_follows)(user, self.id, feed) {
            self.send_away(feed);
        }
    }

    /// Closes a user's feed when the last feed socket went.
    pub(super) fn close_feed(&mut self, user: UserId) {
        if let Some(feed) = self.feeds.close(user) {
            self.finish_loading(feed);
        }
    }

    fn finish_loading(&mut self, feed: FeedKey) {
        self.recent.end(feed);
        self.ports.directory.hear_enough(self.id);
    }

    /// Takes the list of authors that a feed hears. If it could not be read, the feed's sockets are closed and have to
    /// reconnect.
    pub(super) fn follows(&mut self, feed: FeedKey, follows: Option<Follows>) {
        match follows {
            Some(Follows { authors, permit }) => self.feeds.load(feed, authors, Box::new(permit)),
            None if self.feeds.is_loading(feed) => self.send_away(feed),
            None => {}
        }
    }

    /// Replaces the list of a user whose follows were changed by another program.
    pub(super) fn refollow(&mut self, user: UserId, follows: Follows) {
        let Self { feeds, ports, id, .. } = self;
        feeds.replace(user, follows.authors, &mut |step| route(ports, *id, step));
    }

    /// A user began or stopped hearing another.
    pub(super) fn relation(&mut self, user: UserId, other: UserId, hears: bool) {
        let Self { feeds, ports, id, recent, due, .. } = self;
        feeds.relate(user, other, hears, &mut |step| {
            route(ports, *id, step);
            note(due, recent, step);
        });
        self.do_what_is_due();
        if hears {
            self.ports.directory.hear_enough(self.id);
        }
    }

    /// Works on authors' lists for a while. True when there is more to do.
    pub(super) fn work_on_feeds(&mut self) -> bool {
        if !self.do_what_is_due() {
            return true;
        }
        let Self { feeds, ports, id, recent, due, bounds, .. } = self;
        let has_more = feeds.work(bounds.feed_slice_entries, &mut |step| {
            route(ports, *id, step);
            note(due, recent, step);
        });
        !self.do_what_is_due() || has_more
    }

    /// Gives an author's publication to all feeds here that hear the author.
    pub(super) fn fan_out_by(&mut self, author: UserId, publication: &Arc<Publication>) {
        let mut members = std::mem::take(&mut self.reached);
        members.clear();
        for slot in self.feeds.slots_of(author) {
            members.extend_from_slice(&self.registry.live(slot).members);
        }
        if !members.is_empty() {
            let Publication { class, except, origin, .. } = **publication;
            self.make_memory(publication.frames.bytes_of(forms_of(&members)));
            // Some of them may have been let go for that.
            members.retain(|member| self.is_open(member.session) && self.still_sits(*member));
            self.give_posts(&members, publication, To { class, except, origin, is_passing: false });
        }
        self.reached = members;
        for late in self.recent.note(author, publication) {
            self.send_away(late);
        }
    }

    /// Gives feeds what was kept for them, but only as much as one round of the walk may carry: far more may have been kept than
    /// may wait for a shard's sessions. False if there is more. Mail has to wait for it, or it would be told out of order.
    fn do_what_is_due(&mut self) -> bool {
        self.begin_round();
        while let Some(due) = self.due.pop_front() {
            if self.is_flooded() || self.round.is_full() {
                self.due.push_front(due);
                return false;
            }
            match due {
                Due::Kept(feed, publication) => self.replay(feed, &publication),
                Due::Complete(feed) => self.finish_loading(feed),
            }
        }
        true
    }

    fn replay(&mut self, feed: FeedKey, publication: &Publication) {
        let Some(slot) = self.feeds.slot_of(feed) else { return };
        // An author is excepted where what is told to the others differs; their own feed listens elsewhere.
        debug_assert!(matches!(publication.except, Except::Nobody | Except::User(_)));
        self.make_memory(publication.frames.bytes_of(self.registry.live(slot).forms(false)));
        if self.registry.contains(slot) {
            let members = self.registry.live(slot).members.clone();
            self.give_posts(
                &members,
                publication,
                To { class: Class::Durable, except: Except::Nobody, origin: None, is_passing: false },
            );
        }
        self.round.appended(publication.frames.usual().len(), self.walk.len());
    }

    fn give_posts(&mut self, members: &[Member], publication: &Publication, to: To) {
        let mut open = self.posts;
        for form in forms_of(members).iter().filter(|form| !publication.frames.of(*form).is_empty()) {
            self.give(members, form, &mut open[form.index()], publication.frames.of(form), to);
        }
        self.posts = open;
        self.let_the_overdue_go();
    }

    fn send_away(&mut self, feed: FeedKey) {
        let Some(slot) = self.feeds.slot_of(feed) else { return };
        let (topic, members) = (self.registry.live(slot).topic, self.registry.live(slot).members.clone());
        for member in members {
            telemetry::session_let_go("overload", self.id.0);
            self.turn_out(member.session, topic, OVERLOAD);
        }
    }
}

fn forms_of(members: &[Member]) -> Forms {
    members.iter().fold(Forms::default(), |forms, member| forms.with(member.form))
}

fn note(due: &mut VecDeque<Due>, recent: &Recent, step: Step) {
    match step {
        Step::Hears { feed, author } => {
            due.extend(recent.of(feed, author).map(|publication| Due::Kept(feed, Arc::clone(publication))));
        }
        Step::Complete(feed) => due.push_back(Due::Complete(feed)),
        Step::Joined(_) | Step::Left(_) => {}
    }
}
