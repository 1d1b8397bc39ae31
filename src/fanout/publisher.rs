//! The stage between lanes and shards: a few threads tell the events of every topic in the order of its sequence.
//!
//! A topic's hash chooses its publisher, which tells all events of that topic. A publisher that waits for a full inbox
//! delays only the topics that it tells.
//!
//! Little can wait here: a lane has one batch in this stage while it commits the next one, and taking a place
//! (`places.rs`) never blocks. If a publisher's queue is full all the same, the sender waits.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::domain::feed::post::Post;
use crate::domain::write::{Durability, Outcome};
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Inbox, ToShard};
use crate::fanout::batch::Ways;
use crate::fanout::places::{Part, Places};
use crate::fanout::posts::PostUpdates;
use crate::fanout::posts::{Audience, Looks};
use crate::fanout::publish::{ReadPost, Teller};
use crate::fanout::routes::Routes;
use crate::fanout::seen::Seen;
use crate::fanout::sequence::counters::Counters;
use crate::fanout::sequence::{Reach, Sequence};
use crate::ids::{PostId, SessionKey, Topic};
use crate::limits::PUBLISHER_JOBS_MAX;
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::{event, reason};
use crate::protocol::v1;
use crate::store::{Head, Missing, Told};
use crate::telemetry::alarm;

/// One piece of work for a publisher.
enum Job {
    /// Tell committed events.
    Tell(Part),
    /// Places were given back in these topics: batches that waited behind them may be next.
    GoOn(Vec<Topic>),
    /// Take notice of where topics are at the beginning.
    Begin(Vec<Head>),
    /// Tell a post that was read.
    Refresh(Box<Refreshed>),
    /// Take what the log says of events that did not come.
    Fill(Missing, Option<Vec<Arc<Committed>>>),
    /// Take notice of what the log has.
    Look(Vec<Head>, Reach),
    /// Tell what was seen in rows that other programs write.
    See {
        look: Option<(PostId, u64)>,
        seen: Vec<Seen>,
        /// Gets whether it was told.
        answer: SyncSender<bool>,
    },
    /// End the thread.
    End,
}

struct Refreshed {
    post: PostId,
    ticket: u64,
    audience: Audience,
    found: Option<Post>,
    /// Dropped when the post was told.
    told: Told,
}

/// The part of a publisher that other threads use.
struct Publisher {
    jobs: SyncSender<Job>,
    places: Arc<Mutex<Places>>,
    looks: Arc<Looks>,
}

/// A publisher's thread before it starts.
struct Body {
    teller: Teller,
    jobs: Receiver<Job>,
    places: Arc<Mutex<Places>>,
    is_quiet: Arc<AtomicBool>,
    others: Option<Others>,
}

/// What is needed where other nodes write to the same topics.
struct Others {
    sequence: Sequence,
    read_missing: Arc<ReadMissing>,
    counters: Counters,
}

/// Asks for missing events to be read from the log and given to [`Fanout::fill`]. Never blocks; false if too much is asked for
/// already.
pub type ReadMissing = Box<dyn Fn(Missing) -> bool + Send + Sync>;

/// The publishers.
pub struct Fanout {
    ways: Arc<Ways>,
    presenter: Arc<Presenter>,
    publishers: Box<[Publisher]>,
    bodies: Mutex<Vec<Body>>,
    read_post: Arc<OnceLock<ReadPost>>,
    is_quiet: Arc<AtomicBool>,
}

impl Fanout {
    /// As many publishers as asked for (at least one) for these shards. Nothing is told before [`Self::start`].
    pub fn new(
        routes: Arc<Routes>,
        inboxes: Arc<[Arc<Inbox>]>,
        presenter: Arc<Presenter>,
        updates: PostUpdates,
        publishers: usize,
    ) -> Self {
        let (ways, read_post) = (Arc::new(Ways { routes, inboxes }), Arc::<OnceLock<ReadPost>>::default());
        let is_quiet = Arc::<AtomicBool>::default();
        let new = || {
            let (sender, jobs) = sync_channel(PUBLISHER_JOBS_MAX);
            let teller = Teller::new(Arc::clone(&ways), Arc::clone(&presenter), updates, Arc::clone(&read_post));
            let (places, looks) = (Arc::default(), Arc::clone(teller.looks()));
            let (places_too, is_quiet) = (Arc::clone(&places), Arc::clone(&is_quiet));
            let body = Body { teller, jobs, places: places_too, is_quiet, others: None };
            (Publisher { jobs: sender, places, looks }, body)
        };
        let (publishers, bodies): (Vec<_>, Vec<_>) = (0..publishers.max(1)).map(|_| new()).unzip();
        Self { ways, presenter, publishers: publishers.into(), bodies: Mutex::new(bodies), read_post, is_quiet }
    }

    /// Starts the threads. [`Self::stop`] ends them.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(&self, read_post: ReadPost) -> std::io::Result<Vec<JoinHandle<()>>> {
        let _ = self.read_post.set(read_post);
        let start = |(number, body): (usize, Body)| {
            let name = format!("publisher-{number}");
            std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || _ = alarm::guard(&format!("the thread {name}"), || body.run()))
        };
        lock(&self.bodies).drain(..).enumerate().map(start).collect()
    }

    /// Other nodes write to the same topics: from now on each topic's events are told by their numbers. Called before
    /// [`Self::start`]. `began` is when this process began.
    pub fn join_others(&self, began: Timestamp, read_missing: ReadMissing) {
        let read_missing = Arc::new(read_missing);
        for body in lock(&self.bodies).iter_mut() {
            let (sequence, read_missing) = (Sequence::new(began), Arc::clone(&read_missing));
            body.others = Some(Others { sequence, read_missing, counters: Counters::new() });
        }
    }

    /// Takes what the log says of [`Missing`] events; `None` if it could not be read. Waits while the publisher's queue is
    /// full.
    pub fn fill(&self, missing: Missing, found: Option<Vec<Arc<Committed>>>) {
        self.publishers[self.number(missing.topic)].hand(Job::Fill(missing, found));
    }

    /// Takes notice of the places that the log has, of all topics in which something happened in this time. What has not come is
    /// read. Waits while a publisher's queue is full.
    pub fn look(&self, heads: &[Head], reach: Reach) {
        for (publisher, heads) in self.heads_of_each(heads) {
            publisher.hand(Job::Look(heads, reach));
        }
    }

    /// All publishers, each with its own topics' places, if there are any.
    fn heads_of_each(&self, heads: &[Head]) -> impl Iterator<Item = (&Publisher, Vec<Head>)> {
        self.publishers.iter().enumerate().map(|(number, publisher)| {
            let ours = |head: &&Head| self.number(head.topic) == number;
            (publisher, heads.iter().filter(ours).copied().collect())
        })
    }

    /// Takes notice of where the topics are in which something happened in the last
    /// [`COMMIT_MAX`](crate::limits::COMMIT_MAX), before anybody listens: all that comes behind is news. Waits while a
    /// publisher's queue is full.
    pub fn begin(&self, heads: &[Head]) {
        for (publisher, heads) in self.heads_of_each(heads) {
            publisher.hand(Job::Begin(heads));
        }
    }

    /// From now on held frames are not sent: nobody listens any more.
    pub fn quiet(&self) {
        self.is_quiet.store(true, Ordering::Release);
    }

    /// Tells everything that was handed over before, and ends the threads.
    pub fn stop(&self, threads: Vec<JoinHandle<()>>) {
        self.publishers.iter().for_each(|publisher| publisher.hand(Job::End));
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }

    /// Takes places for events that a lane is about to commit. The lane holds the locks of their topics. Never blocks.
    pub fn place(&self, events: &[Arc<Committed>]) {
        for (publisher, ours) in self.divided(events, |event| event.topic) {
            lock(&publisher.places).take(&ours);
        }
    }

    /// Gives the places of events back that were not committed.
    pub fn give_back(&self, events: &[Arc<Committed>]) {
        for (publisher, ours) in self.divided(events, |event| event.topic) {
            let moved = lock(&publisher.places).give_back(&ours);
            if !moved.is_empty() {
                publisher.hand(Job::GoOn(moved));
            }
        }
    }

    /// Tells the events of one batch, each topic's in order. `told` is dropped when all shards with listeners have
    /// them. Waits while a publisher's queue is full.
    pub fn tell(&self, events: Vec<Arc<Committed>>, told: Told) {
        let told = Arc::new(told);
        if let [publisher] = &*self.publishers {
            return publisher.hand(Job::Tell(Part::new(events, told)));
        }
        for (publisher, events) in self.divided(events, |event| event.topic) {
            publisher.hand(Job::Tell(Part::new(events, Arc::clone(&told))));
        }
    }

    /// Splits the events by publisher. Publishers without events are left out.
    fn divided<T>(
        &self,
        events: impl IntoIterator<Item = T>,
        topic: impl Fn(&T) -> Topic,
    ) -> impl Iterator<Item = (&Publisher, Vec<T>)> {
        let mut parts: Vec<Vec<T>> = self.publishers.iter().map(|_| Vec::new()).collect();
        for event in events {
            parts[self.number(topic(&event))].push(event);
        }
        self.publishers.iter().zip(parts).filter(|(_, part)| !part.is_empty())
    }

    /// As [`Self::tell`], and waits until the events are told.
    pub fn publish(&self, events: &[Arc<Committed>]) {
        let (told, wait) = waited_for();
        self.tell(events.to_vec(), told);
        // Nothing is ever sent: the wait is over when the publishers have dropped the other end.
        let _ = wait.recv();
    }

    /// Answers a session's write that produced no event: the session hears why the write was refused, or hears again of
    /// the message that was there already. Waits while the shard's inbox is full.
    pub fn answer(&self, session: SessionKey, client_id: Option<&str>, outcome: &Outcome) {
        let mut frames = Vec::new();
        match outcome {
            Outcome::Refused(refusal) => {
                let Some(text) = reason::refusal_text(*refusal) else { return };
                event::error(&mut frames, text, client_id);
            }
            Outcome::Repeated(message, _) => event::chat_message(&mut frames, &self.presenter, message),
            Outcome::Committed(_) | Outcome::Twin(_) | Outcome::Unchanged => return,
        }
        let deliver = ToShard::Deliver { session, frames: frames.into(), class: Class::Durable };
        self.ways.inboxes[session.shard.index()].send(deliver);
    }

    /// Tells a session of `pregon.v1` the outcome of its request.
    pub fn reply(
        &self,
        session: SessionKey,
        request: &str,
        (topic, client_id): (Topic, Option<&str>),
        (outcome, durability): (&Outcome, Durability),
    ) {
        let mut frames = Vec::new();
        v1::reply::outcome(&mut frames, request, topic, client_id, (outcome, durability));
        let deliver = ToShard::Deliver { session, frames: frames.into(), class: Class::Durable };
        self.ways.inboxes[session.shard.index()].send(deliver);
    }

    /// Tells a post that [`ReadPost`] was asked for with this ticket and for this audience. `found` is `None` if the
    /// post is gone or could not be read. Waits until it is told.
    pub fn refreshed(&self, post: PostId, ticket: u64, audience: Audience, found: Option<Post>) {
        let (told, wait) = waited_for();
        let refreshed = Refreshed { post, ticket, audience, found, told };
        self.of(post).hand(Job::Refresh(Box::new(refreshed)));
        let _ = wait.recv();
    }

    /// Begins a look at a post: returns the ticket for [`Self::tell_looked`].
    pub fn begin_look(&self, post: PostId) -> u64 {
        self.of(post).looks.begin(post)
    }

    /// Tells what a look with this ticket saw of a post. False if newer news of the post was told meanwhile: nothing is
    /// told then, and the caller looks again. Waits until it is told.
    pub fn tell_looked(&self, post: PostId, ticket: u64, seen: Vec<Seen>) -> bool {
        self.see(post, Some((post, ticket)), seen)
    }

    /// Tells what was seen of something that belongs to a post, such as a comment. Waits until it is told.
    pub fn tell_seen(&self, post: PostId, seen: Vec<Seen>) {
        self.see(post, None, seen);
    }

    fn see(&self, post: PostId, look: Option<(PostId, u64)>, seen: Vec<Seen>) -> bool {
        let (answer, told) = sync_channel(1);
        self.of(post).hand(Job::See { look, seen, answer });
        // No answer means that the server ends: the caller need not look again.
        told.recv().unwrap_or(true)
    }

    /// The publisher of a post's topic.
    fn of(&self, post: PostId) -> &Publisher {
        &self.publishers[self.number(Topic::Post(post))]
    }

    fn number(&self, topic: Topic) -> usize {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(topic);
        usize::try_from(hash % self.publishers.len() as u64).unwrap_or(0)
    }
}

impl Publisher {
    /// A job that comes after [`Job::End`] is dropped, which also releases the caller that waits for it.
    fn hand(&self, job: Job) {
        let _ = self.jobs.send(job);
    }
}

impl Body {
    fn run(mut self) {
        while let Some(job) = self.next() {
            // After a panic the thread goes on: the batch is committed whatever becomes of its frames, and its writers
            // wait for answers.
            match catch_unwind(AssertUnwindSafe(|| self.work(job, Instant::now()))) {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => tracing::error!("the fan-out panicked over what it was to tell"),
            }
        }
    }

    /// Waits for the next job. Sends held frames meanwhile, when their turn comes.
    fn next(&mut self) -> Option<Job> {
        loop {
            let held = self.teller.next_due().filter(|_| !self.is_quiet.load(Ordering::Acquire));
            let hole = self.others.as_ref().and_then(|others| others.sequence.next_due());
            let Some(due) = held.into_iter().chain(hole).min() else { return self.jobs.recv().ok() };
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                if let Some(others) = &mut self.others {
                    others.ask_the_log(Instant::now());
                }
                if held.is_some() {
                    self.teller.send_due();
                }
                continue;
            }
            match self.jobs.recv_timeout(wait) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Does one job. False if it was the last one.
    fn work(&mut self, job: Job, now: Instant) -> bool {
        match job {
            Job::Tell(part) => {
                let parts = lock(&self.places).come(part);
                self.tell(parts, now);
            }
            Job::GoOn(topics) => {
                let mut parts = Vec::new();
                let mut places = lock(&self.places);
                topics.into_iter().for_each(|topic| places.next_in(topic, &mut parts));
                drop(places);
                self.tell(parts, now);
            }
            Job::Fill(missing, found) => {
                let mut ready = Vec::new();
                if let Some(others) = &mut self.others {
                    others.sequence.filled(missing, found, now, &mut ready);
                }
                self.tell_now(ready);
            }
            Job::Look(heads, reach) => {
                let mut ready = Vec::new();
                if let Some(others) = &mut self.others {
                    others.sequence.look(&heads, reach, now, &mut ready);
                }
                self.tell_now(ready);
            }
            Job::Begin(heads) => {
                if let Some(others) = &mut self.others {
                    others.sequence.begin(&heads, now);
                }
            }
            Job::Refresh(refreshed) => {
                let Refreshed { post, ticket, audience, found, told } = *refreshed;
                self.teller.refreshed(post, ticket, audience, found.as_ref());
                drop(told);
            }
            Job::See { look, seen, answer } => drop(answer.send(self.teller.tell_seen(look, &seen))),
            Job::End => return false,
        }
        true
    }

    fn tell(&mut self, parts: Vec<Part>, now: Instant) {
        let Some(others) = &mut self.others else { return self.tell_now(parts) };
        let mut ready = Vec::new();
        for part in parts {
            others.sequence.come(part, now, &mut ready);
        }
        self.tell_now(ready);
    }

    fn tell_now(&mut self, parts: Vec<Part>) {
        for Part { events, told, gap } in parts {
            if let Some((topic, cursor)) = gap {
                self.teller.tell_gap(topic, cursor);
            }
            self.teller.publish(&events);
            drop(told);
        }
        if let Some(others) = &mut self.others {
            others.count();
        }
    }
}

impl Others {
    fn ask_the_log(&mut self, now: Instant) {
        for missing in self.sequence.take_due(now) {
            if !(self.read_missing)(missing) {
                self.sequence.not_asked(missing.topic, now);
            }
        }
    }

    fn count(&mut self) {
        self.counters.count(self.sequence.take_counts());
    }
}

/// A [`Told`], and the receiver that ends when it is dropped.
fn waited_for() -> (Told, Receiver<()>) {
    let (told, wait) = sync_channel(0);
    (Told::new(move || drop(told)), wait)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fan-out to one shard that listens to these topics, and the shard's inbox. Its thread ends with the process.
#[cfg(test)]
pub(crate) fn to_one_shard(topics: &[Topic]) -> (Fanout, Arc<Inbox>) {
    use crate::engine::shard::port::Directory;
    let (routes, inbox) = (Arc::new(Routes::default()), Arc::new(Inbox::default()));
    for topic in topics {
        routes.join(*topic, crate::ids::ShardId(0));
    }
    let presenter = Arc::new(Presenter::new("http://localhost", true));
    let fanout = Fanout::new(routes, Arc::from([Arc::clone(&inbox)]), presenter, PostUpdates::Coalesced, 1);
    drop(fanout.start(Box::new(|_, _, _| ())).expect("a thread"));
    (fanout, inbox)
}

#[cfg(test)]
#[path = "publisher/by_hand.rs"]
pub(crate) mod by_hand;

#[cfg(test)]
mod tests;
