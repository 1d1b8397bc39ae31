//! What may happen in a step: sockets come, stall, break and end; clients speak; lanes publish, evict and relate.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::client::{Said, pieces};
use super::shadow::{Kept, Need, Phase, Shadow};
use super::sockets::{Reads, Socket};
use super::turn::violation;
use super::watch::close_of;
use super::world::{Judged, List, World};
use crate::clock::Timestamp;
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Except, Follows, Publication, Refused, ToShard, Whom};
use crate::ids::{FamilyId, SessionKey, ShardId, Topic, UserId};
use crate::protocol::form::FrameSet;
use crate::protocol::v0::reason::{self, HIDDEN, INACTIVE, REMOVED};
use crate::protocol::v0::{event, feed_event};
use crate::protocol::ws::deflate::Window;
use crate::protocol::ws::frame;
use crate::protocol::ws::negotiation::Negotiation;
use crate::protocol::ws::packing::Packing;

impl World {
    pub(super) fn step(&mut self) {
        let shard = self.random.random_range(0..self.shards.len());
        match self.random.random_range(0..1000) {
            0..60 => {
                let judged = self.judge(shard);
                self.adopt(judged);
            }
            60..70 => {
                let judged = self.judge(shard);
                self.under_way.push(judged);
            }
            70..80 => self.adopt_one_of_those_under_way(),
            80..230 => {
                let topic = self.any_topic();
                self.publish_in(topic);
            }
            230..250 => (0..8).for_each(|_| {
                let topic = self.any_topic();
                self.publish_in(topic);
            }),
            250..260 => {
                let topic = self.any_topic();
                (0..12).for_each(|_| self.publish_in(topic));
            }
            260..290 => self.deliver(shard),
            290..380 => self.speak(shard),
            380..390 => (0..8).for_each(|_| self.speak(shard)),
            390..450 => self.change_socket(shard),
            450..454 => self.evict(),
            454..475 => self.relate(),
            475..480 => self.refollow(),
            480..510 => self.answer_list(),
            510..560 => {
                let milliseconds = [10, 50, 260, 260, 1000, 3000][self.random.random_range(0..6)];
                self.wait(Duration::from_millis(milliseconds));
            }
            560..562 => self.wait(Duration::from_secs(21)),
            562..564 => self.sweep(),
            564..570 => self.asked.lanes_are_full.store(self.random.random_bool(0.3), Ordering::Relaxed),
            570..573 => self.asked.lists_are_full.store(self.random.random_bool(0.3), Ordering::Relaxed),
            573 if self.random.random_bool(0.1) => self.drain(shard),
            574..640 => self.pump(),
            _ => {
                self.pump();
                self.round(shard);
            }
        }
    }

    /// Judges a handshake: the user is admitted or not. The answer is on its way then.
    fn judge(&mut self, shard: usize) -> Judged {
        let (user, endpoint) = (self.any_user(), self.any_endpoint());
        let account = self.account(user, endpoint);
        let is_refused = endpoint.is_chat() && self.random.random_bool(0.05);
        let unix_now = self.wall().seconds();
        let is_short = self.random.random_bool(0.1);
        let token_ends = if is_short { unix_now + self.random.random_range(1..30) } else { i64::MAX };
        let mark = self.asked.withdrawals.mark(user, endpoint.topic(user));
        let entry = Entry { account, endpoint, family: FamilyId::issued(0), token_ends, mark };
        let packing = match self.random.random_range(0..10) {
            0..3 => Packing::Deflated(Window::Usual),
            3 => Packing::Deflated(Window::Small),
            4 => Packing::Deflated(Window::Least),
            _ => Packing::Plain,
        };
        let negotiation = Negotiation { packing, ..Negotiation::default() };
        Judged { shard, entry, negotiation, is_refused, is_evicted: false }
    }

    fn adopt_one_of_those_under_way(&mut self) {
        if !self.under_way.is_empty() {
            let place = self.random.random_range(0..self.under_way.len());
            let judged = self.under_way.swap_remove(place);
            self.adopt(judged);
        }
    }

    /// Ends a handshake: the shard takes the socket.
    fn adopt(&mut self, judged: Judged) {
        let Judged { shard, entry, negotiation, is_refused, is_evicted } = judged;
        if self.shards[shard].is_over || self.shards[shard].shadows.iter().flatten().count() >= 14 {
            return;
        }
        let (user, endpoint, account) = (entry.account.id, entry.endpoint, entry.account.clone());
        // A later eviction of this user, or of other users from this topic, may turn it away, too.
        let has_lost = self.asked.withdrawals.mark(user, endpoint.topic(user)) != entry.mark;
        assert!(has_lost || !is_evicted, "an eviction was not counted");
        let is_shed = has_lost || self.shards[shard].core.is_overloaded();
        let (begun, began) = (self.next_count(), self.shards[shard].core.now.0);
        let index = self.shards[shard].core.reserve();
        let (capacity, reads) = (self.random.random_range(200..6000), self.any_reads());
        self.shards[shard].sockets.adopt(index, Socket::new(capacity, reads, self.now));
        let key = self.shards[shard].core.key(index);
        let account = (!is_refused).then_some(account);
        let is_out = is_refused || is_shed;
        let mut shadow = Shadow::new(key, account.clone().filter(|_| !is_out), endpoint, begun, began);
        shadow.window_bits = match negotiation.packing {
            Packing::Plain => None,
            Packing::Deflated(Window::Usual | Window::Full) => Some(15),
            Packing::Deflated(Window::Small) => Some(9),
            Packing::Deflated(Window::Least) => Some(8),
        };
        let mut greeting = Vec::new();
        let refused = Refused { text: reason::NOT_PARTICIPANT, goodbye: reason::REFUSED };
        match endpoint {
            _ if is_refused => event::error(&mut greeting, refused.text, None),
            _ if is_shed => {}
            Endpoint::Chat { .. } => event::greeting(&mut greeting),
            Endpoint::Feed => feed_event::greeting(&mut greeting, feed_event::FEED_GREETING),
            Endpoint::Post(_) | Endpoint::Many | Endpoint::Echo => {}
            Endpoint::Notifications => {
                feed_event::greeting(&mut greeting, feed_event::NOTIFICATIONS_GREETING);
            }
        }
        if !greeting.is_empty() {
            shadow.expect(None, &greeting, Need::Must);
        }
        if is_out {
            let goodbye = if is_refused { refused.goodbye } else { reason::OVERLOAD };
            shadow.phase = Phase::Closing { since: began, close: close_of(goodbye), is_cut: false };
        }
        let wall = self.wall();
        self.shards[shard].core.moment = self.now;
        shadow.token_ends =
            (entry.token_ends < i64::MAX).then(|| Timestamp(0).plus_seconds(entry.token_ends).max(wall));
        let is_loading = endpoint == Endpoint::Feed && self.shards[shard].is_loading(user);
        let it = &mut self.shards[shard];
        if is_loading {
            shadow.shares_kept(it.kept.entry(user).or_default());
        } else if endpoint == Endpoint::Feed {
            it.kept.insert(user, Kept { begun, frames: Vec::new() });
        }
        if it.shadows.len() <= index as usize {
            it.shadows.resize_with(index as usize + 1, || None);
        }
        it.shadows[index as usize] = Some(shadow);
        let mut call = self.before(shard, 2048);
        if endpoint == Endpoint::Feed && self.asked.lists_are_full.load(Ordering::Relaxed) {
            call.is_sent_away = true;
        }
        let admission = if is_refused { Err(refused) } else { Ok(entry) };
        self.shards[shard].core.begin(index, negotiation, admission, wall);
        self.after(&call);
        let what = match (has_lost, is_shed) {
            (true, _) => "turned away for what was lost",
            (false, true) => "sent away at once",
            (false, false) => "adopted",
        };
        self.note(what, shard, index);
        self.ask();
        if self.random.random_bool(0.3) {
            // These bytes came with the handshake.
            for piece in self.anything_said(shard, index) {
                self.receive(shard, index, piece);
            }
        }
    }

    fn any_reads(&mut self) -> Reads {
        [Reads::All, Reads::All, Reads::Some, Reads::Nothing, Reads::Nothing][self.random.random_range(0..5)]
    }

    /// Notes what shards asked for: lists that are to be read, and writes that commit in time.
    pub(super) fn ask(&mut self) {
        for (user, shard, feed) in self.asked.take_lists() {
            self.shards[shard.index()].feeds.insert(user, feed);
            self.lists.push(List { shard: shard.index(), feed, user, authors: None });
        }
        for write in self.asked.take_writes() {
            if let crate::domain::write::Intent::Chat { room, .. } = write.intent {
                let frames = self.frames(Topic::Room(room));
                let origin = match write.answer {
                    crate::domain::write::AnswerTo::Session(key) => Some(key),
                    _ => None,
                };
                self.send(Topic::Room(room), frames, Class::Durable, Except::Nobody, origin);
            }
        }
    }

    /// One to three frames, each with its number and topic in it.
    fn frames(&mut self, topic: Topic) -> Vec<u8> {
        let mut frames = Vec::new();
        for _ in 0..self.random.random_range(1..=3) {
            let number = self.next_count();
            let padding = match self.random.random_range(0..20) {
                0 => self.random.random_range(0..1200),
                1..5 => self.random.random_range(0..300),
                _ => 0,
            };
            let text = format!(r#"{{"n":{number},"of":"{topic}","x":"{}"}}"#, "x".repeat(padding));
            frame::encode_text(text.as_bytes(), &mut frames);
        }
        frames
    }

    fn any_topic(&mut self) -> Topic {
        let user = self.any_user();
        match self.random.random_range(0..10) {
            0..4 => Topic::Room(self.rooms.choose(&mut self.random).expect("there are rooms").0),
            4 => Topic::Post(*self.posts.choose(&mut self.random).expect("there are posts")),
            5..8 => Topic::Author(user),
            8 => Topic::Feed(user),
            _ => Topic::Notifications(user),
        }
    }

    fn publish_in(&mut self, topic: Topic) {
        let frames = self.frames(topic);
        let is_author = matches!(topic, Topic::Author(_));
        let class = if is_author || self.random.random_bool(0.7) { Class::Durable } else { Class::Ephemeral };
        let user = self.any_user();
        let except = match (self.random.random_range(0..10), topic) {
            (0..2, Topic::Author(author)) => Except::User(author),
            (_, Topic::Author(_)) => Except::Nobody,
            (0..2, _) => Except::User(user),
            (2, _) => Except::AllBut(user),
            _ => Except::Nobody,
        };
        let shard = self.random.random_range(0..self.shards.len());
        let origin = self.any_session(shard).map(|index| self.shards[shard].core.key(index));
        self.send(topic, frames, class, except, origin);
    }

    /// Sends a publication to all shards that listen now, as a lane does after its commit.
    fn send(&mut self, topic: Topic, frames: Vec<u8>, class: Class, except: Except, origin: Option<SessionKey>) {
        let sent = self.next_count();
        let listeners = self.routes.listeners(topic);
        for shard in self.shards.iter().filter(|shard| !listeners.contains(shard.core.id)) {
            for shadow in shard.open() {
                let hears = match topic {
                    Topic::Author(author) => {
                        let user = shadow.user().filter(|_| shadow.endpoint == Endpoint::Feed);
                        user.is_some_and(|user| self.truth.hears(user, author, sent))
                    }
                    _ => shadow.topic() == Some(topic),
                };
                assert!(!hears, "session {} is passed over: nobody knows that it listens", shadow.key.index);
            }
        }
        let (frames, born) = (FrameSet::new(Bytes::from(frames)), std::time::Instant::now());
        let publication = Arc::new(Publication { topic, frames, class, except, origin, born });
        self.sent.insert(Arc::as_ptr(&publication), (publication.clone(), sent));
        for shard in listeners.iter() {
            self.mail(shard, ToShard::Publish(publication.clone()));
        }
    }

    fn mail(&mut self, shard: ShardId, message: ToShard) {
        self.shards[shard.index()].mail.push_back(message);
    }

    /// Sends an answer to one session. The session may have ended, and another one may have its slot.
    fn deliver(&mut self, shard: usize) {
        let Some(index) = self.any_session(shard) else { return };
        let mut session = self.shards[shard].core.key(index);
        if self.random.random_bool(0.2) {
            session.generation = session.generation.wrapping_sub(1);
        }
        let topic = Topic::Room(self.rooms[0].0);
        let frames = Bytes::from(self.frames(topic));
        self.mail(session.shard, ToShard::Deliver { session, frames, class: Class::Durable });
    }

    fn anything_said(&mut self, shard: usize, index: u32) -> Vec<super::client::Piece> {
        let count = if self.random.random_bool(0.8) { 1 } else { self.random.random_range(2..6) };
        let said = (0..count).map(|_| self.any_said()).collect();
        let shadow = self.shards[shard].shadows[index as usize].as_ref();
        let may_deflate = shadow.is_some_and(|shadow| shadow.window_bits.is_some());
        pieces(&mut self.random, said, may_deflate)
    }

    fn any_said(&mut self) -> Said {
        let number = self.next_count();
        match self.random.random_range(0..100) {
            0..35 => {
                let data = format!(r#"{{"n":{number},"x":"{}"}}"#, "x".repeat(self.random.random_range(0..200)));
                Said::Signal { number, data, echo: self.random.random_bool(0.5) }
            }
            35..45 => Said::Typing(self.random.random_bool(0.5)),
            45..60 => Said::Ping(number.to_string()),
            60..70 => Said::ProtocolPing(number.to_string().into_bytes()),
            70..74 => Said::ProtocolPong,
            74..90 => Said::Write,
            90..93 => Said::Nonsense,
            93..96 => Said::Binary,
            96..98 => Said::Close([1000, 1001, 4000][self.random.random_range(0..3)]),
            _ => violation(),
        }
    }

    fn speak(&mut self, shard: usize) {
        let Some(index) = self.any_session(shard) else { return };
        let said = self.anything_said(shard, index);
        let socket = self.shards[shard].sockets.all[index as usize].as_mut().expect("a session has a socket");
        if !socket.has_ended && socket.input.len() < 8 {
            socket.input.extend(said);
        }
    }

    fn change_socket(&mut self, shard: usize) {
        let Some(index) = self.any_session(shard) else { return };
        let (chance, reads) = (self.random.random_range(0..20), self.any_reads());
        let socket = self.shards[shard].sockets.all[index as usize].as_mut().expect("a session has a socket");
        match chance {
            0 => socket.is_broken = true,
            1 | 2 => socket.has_ended = true,
            _ => socket.reads = reads,
        }
    }

    fn evict(&mut self) {
        let (mut topic, user) = (self.any_topic(), self.any_user());
        if let Topic::Author(author) = topic {
            topic = Topic::Feed(author);
        }
        let (whom, goodbye) = match topic {
            Topic::Post(_) => (Whom::AllBut(user), HIDDEN),
            Topic::Room(_) => (Whom::Only(user), REMOVED),
            _ => (Whom::Only(user), INACTIVE),
        };
        match whom {
            Whom::Only(user) => self.asked.withdrawals.from_user(user),
            Whom::AllBut(_) => self.asked.withdrawals.in_topic(topic),
        }
        for judged in &mut self.under_way {
            let user = judged.entry.account.id;
            judged.is_evicted |= judged.entry.endpoint.topic(user) == topic && whom.is(user);
        }
        for shard in self.routes.listeners(topic).iter() {
            self.mail(shard, ToShard::Evict { topic, whom, goodbye });
        }
    }

    /// Sweeps the participants of a room, beside the lanes.
    fn sweep(&mut self) {
        let (room, user) = (self.rooms.choose(&mut self.random).expect("there are rooms").0, self.any_user());
        let mut users = self.users.clone();
        users.retain(|known| *known != user);
        users.sort_unstable();
        let (users, asked_at): (Arc<[UserId]>, _) = (users.into(), self.now);
        for shard in self.routes.listeners(Topic::Room(room)).iter() {
            self.mail(shard, ToShard::Participants { room, users: users.clone(), asked_at });
        }
    }

    fn relate(&mut self) {
        let (user, other, hears) = (self.any_user(), self.any_user(), self.random.random_bool(0.5));
        if user == other {
            return;
        }
        let at = self.next_count();
        self.truth.relate(user, other, hears, at);
        for shard in self.routes.listeners(Topic::Feed(user)).iter() {
            if hears {
                crate::engine::shard::port::Directory::hear_all(&*self.routes, shard);
            } else {
                self.truth.will_learn_end(user, other);
            }
            self.mail(shard, ToShard::Relation { user, other, hears });
        }
    }

    fn refollow(&mut self) {
        let user = self.any_user();
        let authors = self.truth.heard_by(user);
        for shard in self.routes.listeners(Topic::Feed(user)).iter() {
            let follows = self.follows(authors.clone());
            self.mail(shard, ToShard::Refollow { user, follows });
        }
    }

    fn follows(&self, authors: Vec<UserId>) -> Follows {
        let permit = self.permits.clone().try_acquire_owned().expect("as many lists as permits at most");
        Follows { authors, permit }
    }

    /// Answers a question for a list: it is read, or handed over after it was read, or the database did not give it.
    pub(super) fn answer_list(&mut self) {
        if self.lists.is_empty() {
            return;
        }
        let place = self.random.random_range(0..self.lists.len());
        if self.lists[place].authors.is_none() {
            self.lists[place].authors = Some(self.truth.heard_by(self.lists[place].user));
            return;
        }
        let List { shard, feed, authors, .. } = self.lists.swap_remove(place);
        let is_there = self.random.random_bool(0.95);
        let follows = is_there.then(|| self.follows(authors.unwrap_or_default()));
        let message = ToShard::Follows { feed, follows };
        if let Err(message) = self.inboxes[shard].put(message) {
            // The reader of lists waits in line like all senders.
            self.shards[shard].mail.push_back(message);
        }
    }

    pub(super) fn drain(&mut self, shard: usize) {
        let window = Duration::from_millis(self.random.random_range(0..3000));
        self.mail(self.shards[shard].core.id, ToShard::Drain(window));
        self.note("drain", shard, 0);
    }
}
