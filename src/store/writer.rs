//! A write lane: gathers the writes of its topics, has them committed together, reports, answers.
//!
//! The lane knows no database. A [`BatchStore`] commits one batch in one transaction; the lane owns everything around
//! it: the bounded queue, what to do when a batch fails, the order of report and answers. A database with several
//! lanes starts one [`Lane`] for each, with a connection of its own.
//!
//! There is no artificial delay: a batch is what gathered while the commit before it was under way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram};
use tokio::sync::oneshot;

use crate::domain::event::Committed;
use crate::domain::write::{AnswerTo, Durability, Outcome, Refusal, Write};
use crate::limits;
use crate::store::queue::{Queue, Taken};
use crate::store::{LanePort, StoreError, Told};
use crate::telemetry::alarm;

/// How a batch came out: one outcome for each of its writes, and its events in order.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order of the writes.
    pub outcomes: Vec<Outcome>,
    /// What is to be shown. A write may cause none, or (with notifications) several.
    pub events: Vec<Arc<Committed>>,
    /// Where it is.
    pub durability: Durability,
}

/// Why a batch has no outcome.
#[derive(Debug)]
pub enum BatchError {
    /// Nothing was written, and at once it may succeed: a deadlock, a lock timeout, a lost connection.
    Retry(String),
    /// Nothing was written, and trying again at once is of no use: disk full, read-only.
    Failed(String),
    /// COMMIT did not answer clearly: this is how it came out if it succeeded. To be [resolved](BatchStore::resolve).
    Unknown(Batch, String),
}

/// Called with a batch's events right before COMMIT, while their topics are locked, where others write in them, too. Of
/// several calls for one batch the last one counts.
pub type TakePlaces<'a> = dyn FnMut(&[Arc<Committed>]) + 'a;

/// One connection that writes.
pub trait BatchStore: Send + 'static {
    /// How long a batch waits for a database that is away, beyond [`ATTEMPTS_MAX`] attempts: a queue that waits is better
    /// than senders who are refused, but only for so long. After one batch waited in vain, those after it are tried for
    /// [`PATIENCE_AWAY`] each, until one succeeds.
    const PATIENCE: Duration = Duration::ZERO;

    /// Commits `batch` in one transaction. A single write that fails is answered
    /// [`Refusal::Unavailable`] inside the batch, the others are committed.
    ///
    /// # Errors
    /// The whole batch failed.
    fn commit(&mut self, batch: &[Write], places: &mut TakePlaces<'_>) -> Result<Batch, BatchError>;

    /// Is a batch whose COMMIT gave no clear answer in the database? All of it is, or nothing.
    ///
    /// # Errors
    /// It still cannot be said; the lane asks again.
    fn resolve(&mut self, batch: &Batch) -> Result<bool, StoreError>;

    /// Something panicked or the connection is broken: start from a fresh one.
    fn reset(&mut self);

    /// A small slice of housekeeping in an idle moment; says when to come again.
    fn idle(&mut self) -> Duration;

    /// The lane ends: what was promised and put off for idle moments is done now.
    fn finish(&mut self);
}

/// A direct write (a registration, a new room) in its place between the batches.
type Job<B> = Box<dyn FnOnce(&mut B) + Send>;

enum Work<B> {
    Write(Box<Write>),
    Job(Job<B>),
}

/// Attempts at a batch that may succeed at once.
const ATTEMPTS_MAX: u32 = 5;
/// The first pause between two attempts; each pause is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// The longest pause between two attempts: a database that is back is found at once.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// How long a batch waits when the one before it waited in vain.
const PATIENCE_AWAY: Duration = Duration::from_secs(1);
/// A batch that takes longer is told in the log.
const SLOW_BATCH: Duration = Duration::from_secs(1);
/// A lane that is never idle does its housekeeping this often.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(10);
/// A closing lane gives an undecided batch this long.
const RESOLVE_ON_CLOSE: Duration = Duration::from_secs(5);

/// The handle of a lane's thread.
pub struct Lane<B: BatchStore> {
    queue: Arc<Queue<Work<B>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<B: BatchStore> Lane<B> {
    /// Starts the thread. The writes that wait for it carry at most so many bytes.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(number: usize, bytes_max: usize, store: B, port: Arc<dyn LanePort>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::of_bytes(limits::LANE_WRITES_MAX, bytes_max));
        let meters = Arc::new(Meters::new(number));
        let telling = Arc::default();
        let body = Body { queue: Arc::clone(&queue), store, port, meters, telling, is_failing: false };
        let taken = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            // What the lane does with a batch is caught where it can go on. The rest leaves it in no state to write.
            if !alarm::guard(&format!("write lane {number}"), || body.run()) {
                taken.close();
                // Whoever waits for these hears that there is no answer.
                taken.take(&mut Vec::new(), usize::MAX, Duration::ZERO);
            }
        })?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a write.
    ///
    /// # Errors
    /// It comes back when the queue is full or the lane is closing.
    pub fn submit(&self, write: Box<Write>) -> Result<(), Box<Write>> {
        let bytes = write.memory_bytes();
        self.queue.push_carrying(Work::Write(write), bytes).map_err(|work| match work {
            Work::Write(write) => {
                shed();
                write
            }
            Work::Job(_) => unreachable!("what comes back is what was given"),
        })
    }

    /// Runs `job` on the lane's thread, after everything queued before it.
    ///
    /// # Errors
    /// The queue is full, the lane is closing, or the job panicked.
    pub async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut B) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let work = Work::Job(Box::new(move |store: &mut B| drop(answer.send(job(store)))));
        if self.queue.push(work).is_err() {
            shed();
            return Err(StoreError::Unavailable("too many writes wait, or the store is closing".into()));
        }
        result.await.unwrap_or_else(|_| Err(StoreError::Broken("a direct write panicked".into())))
    }

    /// Takes no more work. What is queued is still done; [`Self::join`] waits for it.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits until the thread has ended. Blocks: not for async threads.
    pub fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("a write lane ended by a panic");
        }
    }
}

/// A write came for which there is no room.
fn shed() {
    metrics::counter!("pregon_shed_total", "what" => "write").increment(1);
}

struct Body<B: BatchStore> {
    queue: Arc<Queue<Work<B>>>,
    store: B,
    port: Arc<dyn LanePort>,
    meters: Arc<Meters>,
    /// A batch is being told and answered.
    telling: Arc<Telling>,
    /// The last batch failed: one log line at each change, not one a batch.
    is_failing: bool,
}

impl<B: BatchStore> Body<B> {
    fn run(mut self) {
        let mut works = Vec::new();
        let mut writes = Vec::new();
        let mut last_kept = Instant::now();
        let mut due = last_kept + self.keep_house();
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            let taken = self.queue.take(&mut works, limits::BATCH_WRITES_MAX, wait);
            self.meters.queue.set(as_f64(self.queue.len()));
            for work in works.drain(..) {
                match work {
                    Work::Write(write) => writes.push(*write),
                    Work::Job(job) => {
                        self.commit(&mut writes);
                        self.run_job(job);
                    }
                }
            }
            self.commit(&mut writes);
            match taken {
                Taken::Closed => {
                    drop(Telling::begin(&self.telling));
                    return self.store.finish();
                }
                // Not idle: housekeeping waits for the queue to be empty when it is due, but not for ever.
                Taken::Some if last_kept.elapsed() < HOUSEKEEPING_INTERVAL => {}
                Taken::Some | Taken::Nothing => {
                    last_kept = Instant::now();
                    due = last_kept + self.keep_house();
                }
            }
        }
    }

    fn commit(&mut self, writes: &mut Vec<Write>) {
        if writes.is_empty() {
            return;
        }
        let started = Instant::now();
        let batch = match self.attempt(writes) {
            Ok(batch) => {
                debug_assert_eq!(batch.outcomes.len(), writes.len());
                self.note_success();
                batch
            }
            Err(detail) => {
                self.note_failure(&detail);
                let outcomes = vec![Outcome::Refused(Refusal::Unavailable); writes.len()];
                Batch { outcomes, ..Batch::default() }
            }
        };
        let took = started.elapsed();
        if took > SLOW_BATCH {
            let writes = writes.len();
            let millis = took.as_millis();
            tracing::warn!(writes, millis, "a slow batch: is the database's disk or server busy?");
        }
        self.meters.batch_size.record(as_f64(writes.len()));
        self.meters.commit_seconds.record(took.as_secs_f64());
        self.report(std::mem::take(writes), batch);
    }

    fn attempt(&mut self, writes: &[Write]) -> Result<Batch, String> {
        let mut pause = PAUSE_MIN;
        let started = Instant::now();
        for attempt in 1.. {
            let port = Arc::clone(&self.port);
            let mut places = Places { port: &*port, events: Vec::new() };
            let detail = match self.commit_once(writes, &mut places) {
                Ok(batch) => {
                    places.keep();
                    return Ok(batch);
                }
                Err(BatchError::Failed(detail)) => return Err(detail),
                Err(BatchError::Retry(detail)) => detail,
                Err(BatchError::Unknown(batch, detail)) => {
                    tracing::warn!(%detail, "COMMIT without a clear answer: looking the batch up");
                    if self.resolve(&batch)? {
                        places.keep();
                        return Ok(batch);
                    }
                    detail
                }
            };
            drop(places);
            if attempt + 1 >= ATTEMPTS_MAX && started.elapsed() >= self.patience() {
                return Err(format!("the database keeps asking to try again: {detail}"));
            }
            tracing::debug!(%detail, attempt, "trying a batch again");
            self.meters.retries.increment(1);
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Err("tried for ever".into())
    }

    fn patience(&self) -> Duration {
        let most = if self.queue.is_closed() {
            RESOLVE_ON_CLOSE
        } else if self.is_failing {
            PATIENCE_AWAY
        } else {
            Duration::MAX
        };
        B::PATIENCE.min(most)
    }

    fn commit_once(&mut self, writes: &[Write], places: &mut Places<'_>) -> Result<Batch, BatchError> {
        let mut take = |events: &[Arc<Committed>]| places.take(events);
        let result = catch_unwind(AssertUnwindSafe(|| self.store.commit(writes, &mut take)));
        result.unwrap_or_else(|_| {
            self.store.reset();
            Err(BatchError::Failed("a panic inside the transaction".into()))
        })
    }

    /// Asks until there is an answer: until then nothing else may be written, or its place might be taken twice.
    fn resolve(&mut self, batch: &Batch) -> Result<bool, String> {
        let mut pause = PAUSE_MIN;
        let mut closing_since = None;
        loop {
            match self.store.resolve(batch) {
                Ok(is_committed) => return Ok(is_committed),
                Err(error) => {
                    if self.queue.is_closed()
                        && closing_since.get_or_insert_with(Instant::now).elapsed() > RESOLVE_ON_CLOSE
                    {
                        return Err(error.to_string());
                    }
                    tracing::warn!(%error, "cannot look up whether a batch was committed; asking again");
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// First the events, so that nobody has an answer before the shards have the event; then the answers. One batch at a
    /// time: the next one is committed meanwhile, but not told.
    fn report(&self, writes: Vec<Write>, batch: Batch) {
        let turn = Telling::begin(&self.telling);
        let (port, meters, outcomes) = (Arc::clone(&self.port), Arc::clone(&self.meters), batch.outcomes);
        let durability = batch.durability;
        let told = Told::new(move || {
            answer(&*port, &meters, durability, writes.into_iter().zip(outcomes));
            drop(turn);
        });
        if batch.events.is_empty() {
            return drop(told);
        }
        if catch_unwind(AssertUnwindSafe(|| self.port.committed(batch.events, told))).is_err() {
            tracing::error!("the fan-out panicked over a committed batch");
        }
    }

    fn run_job(&mut self, job: Job<B>) {
        // Its answer comes after those of the writes before it.
        drop(Telling::begin(&self.telling));
        if catch_unwind(AssertUnwindSafe(|| job(&mut self.store))).is_err() {
            self.store.reset();
        }
    }

    fn keep_house(&mut self) -> Duration {
        catch_unwind(AssertUnwindSafe(|| self.store.idle())).unwrap_or_else(|_| {
            self.store.reset();
            HOUSEKEEPING_INTERVAL
        })
    }

    fn note_success(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("the database takes writes again");
        }
    }

    fn note_failure(&mut self, detail: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::error!(%detail, "the database does not take writes: senders are told to try again later");
        }
    }
}

fn answer(
    port: &dyn LanePort,
    meters: &Meters,
    durability: Durability,
    answers: impl Iterator<Item = (Write, Outcome)>,
) {
    for (write, outcome) in answers {
        meters.count(&outcome);
        let answered = catch_unwind(AssertUnwindSafe(|| match write.answer {
            AnswerTo::Caller(answer) => answer(outcome),
            AnswerTo::Request(session, request) => {
                port.replied(session, &request, (write.actor, &write.intent), (&outcome, durability));
            }
            AnswerTo::Session(session) => match outcome {
                Outcome::Refused(refusal) if write.intent.is_silent_about(refusal) => {}
                Outcome::Refused(_) | Outcome::Repeated(..) => {
                    port.answered(session, write.intent.client_id(), &outcome);
                }
                Outcome::Committed(_) | Outcome::Twin(_) | Outcome::Unchanged => {}
            },
        }));
        if answered.is_err() {
            tracing::error!("an answer's receiver panicked");
        }
    }
}

/// A lane's batch on its way to the shards and to those who wait for answers.
#[derive(Default)]
struct Telling {
    is_under_way: Mutex<bool>,
    is_over: Condvar,
}

/// It is over when this is dropped.
struct Turn(Arc<Telling>);

impl Telling {
    /// Waits for the batch before.
    fn begin(telling: &Arc<Self>) -> Turn {
        let mut is_under_way = telling.is_under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_under_way {
            is_under_way = telling.is_over.wait(is_under_way).unwrap_or_else(PoisonError::into_inner);
        }
        *is_under_way = true;
        Turn(Arc::clone(telling))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.is_under_way.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.is_over.notify_one();
    }
}

/// The places that a batch has taken; given back unless it is committed.
struct Places<'a> {
    port: &'a dyn LanePort,
    events: Vec<Arc<Committed>>,
}

impl Places<'_> {
    fn take(&mut self, events: &[Arc<Committed>]) {
        self.give_back();
        self.port.place(events);
        self.events = events.to_vec();
    }

    fn keep(mut self) {
        self.events.clear();
    }

    fn give_back(&mut self) {
        if !self.events.is_empty() {
            self.port.give_back(&std::mem::take(&mut self.events));
        }
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Handles are looked up once: the recorder must be installed before the store is opened.
struct Meters {
    queue: Gauge,
    batch_size: Histogram,
    commit_seconds: Histogram,
    retries: Counter,
    committed: Counter,
    twin: Counter,
    repeated: Counter,
    unchanged: Counter,
    refused: Counter,
    unavailable: Counter,
}

impl Meters {
    fn new(lane: usize) -> Self {
        let lane = lane.to_string();
        let writes = |outcome: &'static str| metrics::counter!("pregon_lane_writes_total", "lane" => lane.clone(), "outcome" => outcome);
        Self {
            queue: metrics::gauge!("pregon_lane_queue", "lane" => lane.clone()),
            batch_size: metrics::histogram!("pregon_lane_batch_size", "lane" => lane.clone()),
            commit_seconds: metrics::histogram!("pregon_lane_commit_seconds", "lane" => lane.clone()),
            retries: metrics::counter!("pregon_lane_retries_total", "lane" => lane.clone()),
            committed: writes("committed"),
            twin: writes("twin"),
            repeated: writes("repeated"),
            unchanged: writes("unchanged"),
            refused: writes("refused"),
            unavailable: writes("unavailable"),
        }
    }

    fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Committed(_) => &self.committed,
            Outcome::Twin(_) => &self.twin,
            Outcome::Repeated(..) => &self.repeated,
            Outcome::Unchanged => &self.unchanged,
            Outcome::Refused(Refusal::Unavailable) => &self.unavailable,
            Outcome::Refused(_) => &self.refused,
        };
        counter.increment(1);
    }
}

/// Counts of things in memory are far below 2^52.
fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
