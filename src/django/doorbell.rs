//! Answers bells: reads the rows that a bell is about, and tells what in them is news.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::sync::Notify;
use tokio::task::block_in_place;
use tokio::time::sleep_until;

use crate::django::channels::{Unheard, decode};
use crate::django::doorbell_queue::{Bells, CommentDue, Due, Rung};
use crate::django::told_window::{Judged, PostLook, Told};
use crate::fanout::publisher::Fanout;
use crate::fanout::seen::Seen;
use crate::ids::{CommentId, PostId, Topic, UserId};
use crate::limits::BELL_READS_MAX;
use crate::store::StoreError;
use crate::store::django::Beside;

/// How often a post is looked at anew because newer news of it was told during the look. After that, the next bell of
/// the post looks again.
const ATTEMPTS_MAX: usize = 4;
/// How long a worker sleeps at most when nothing rings.
const IDLE: Duration = Duration::from_secs(60);

/// Has a topic listeners?
pub type IsLive = Box<dyn Fn(Topic) -> bool + Send + Sync>;

/// The bells of this process, and everything that is needed to answer them.
pub struct Ringer {
    bells: Mutex<Bells>,
    told: Mutex<Told>,
    rung: Notify,
    rows: Arc<dyn Beside>,
    fanout: Arc<Fanout>,
    is_live: IsLive,
    meters: Meters,
}

struct Meters {
    noted: Counter,
    copies: Counter,
    full: Counter,
    garbage: Counter,
    foreign: Counter,
    given_up: Counter,
}

impl Meters {
    fn new() -> Self {
        let bells = |outcome: &'static str| metrics::counter!("pregon_django_bells_total", "outcome" => outcome);
        Self {
            noted: bells("noted"),
            copies: bells("copy"),
            full: bells("full"),
            garbage: bells("garbage"),
            foreign: bells("foreign"),
            given_up: bells("given up"),
        }
    }
}

impl Ringer {
    /// A ringer that has heard no bell yet.
    pub fn new(rows: Arc<dyn Beside>, fanout: Arc<Fanout>, is_live: IsLive) -> Arc<Self> {
        Arc::new(Self {
            bells: Mutex::default(),
            told: Mutex::default(),
            rung: Notify::new(),
            rows,
            fanout,
            is_live,
            meters: Meters::new(),
        })
    }

    /// Takes an element from a queue of the channel layer. Never blocks.
    pub fn hear(&self, element: &[u8]) {
        let heard = match decode(element) {
            Ok(heard) => heard,
            Err(Unheard::Foreign) => return self.meters.foreign.increment(1),
            Err(Unheard::Garbage) => {
                tracing::debug!(bytes = element.len(), "a message of the channel layer cannot be read");
                return self.meters.garbage.increment(1);
            }
        };
        let mut bells = lock(&self.bells);
        for heard in heard {
            match bells.ring(heard) {
                Rung::Noted => self.meters.noted.increment(1),
                Rung::Copy => self.meters.copies.increment(1),
                Rung::Full => self.meters.full.increment(1),
            }
        }
        drop(bells);
        self.rung.notify_one();
    }

    /// Answers bells, a few posts at a time, for as long as the runtime lives.
    pub fn start(self: &Arc<Self>, control: &tokio::runtime::Handle) {
        for _ in 0..BELL_READS_MAX {
            let ringer = Arc::clone(self);
            control.spawn(crate::telemetry::alarm::watched("the answering of doorbells", async move {
                loop {
                    ringer.answer_next().await;
                }
            }));
        }
    }

    async fn answer_next(&self) {
        let (next, due) = {
            let mut bells = lock(&self.bells);
            (bells.take(Instant::now()), bells.next_due())
        };
        let Some((post, due)) = next else {
            let until = due.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = self.rung.notified() => {}
                () = sleep_until(until.into()) => {}
            }
            return;
        };
        // Wakes another worker: more posts may be ready.
        self.rung.notify_one();
        let again = if self.is_heard(post, &due) { self.answer(post, &due).await } else { Due::default() };
        if !lock(&self.bells).answered(post, Some(again), Instant::now()) {
            self.meters.given_up.increment(1);
        }
    }

    fn is_heard(&self, post: PostId, due: &Due) -> bool {
        let hears = |owner: &UserId| (self.is_live)(Topic::Author(*owner)) || (self.is_live)(Topic::Feed(*owner));
        due.owners.iter().any(hears) || (self.is_live)(Topic::Post(post))
    }

    /// Looks at the rows and tells the news. Returns what is to be looked at again: what was told before a read failed is not.
    async fn answer(&self, post: PostId, due: &Due) -> Due {
        // Comments come first: their frames bring the post's new counters with them.
        let comments = self.answer_comments(post, due).await;
        let rest = if due.is_posted || due.is_updated || due.is_deleted || due.reacted.is_some() {
            self.answer_post(post, due).await.unwrap_or_else(|error| {
                try_again(&error);
                due.clone()
            })
        } else {
            Due { looks: due.looks, owners: due.owners.clone(), ..Due::default() }
        };
        Due { comments, ..rest }
    }

    async fn answer_post(&self, post: PostId, due: &Due) -> Result<Due, StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            let ticket = self.fanout.begin_look(post);
            let looked = self.rows.look_at_post(post, due.reacted).await;
            let judged = match looked {
                Ok(Some((row, reaction))) => lock(&self.told).judge(&PostLook { post: row, reaction }, due),
                Ok(None) => lock(&self.told).judge_absent(post, due),
                Err(error) => {
                    block_in_place(|| self.fanout.tell_looked(post, ticket, Vec::new()));
                    return Err(error);
                }
            };
            let Judged { seen, again } = judged;
            // From here on, a listener who asks to join is judged by the post as it is now.
            if seen.iter().any(|seen| matches!(seen, Seen::Edited { .. } | Seen::Deleted { .. })) {
                self.rows.forget_head(post);
            }
            if block_in_place(|| self.fanout.tell_looked(post, ticket, seen)) {
                return Ok(again);
            }
            lock(&self.told).forget(post);
        }
        Ok(Due::default())
    }

    /// Looks at the comments and tells the news. Returns those that are to be looked at again.
    async fn answer_comments(&self, post: PostId, due: &Due) -> Vec<(CommentId, CommentDue)> {
        if due.comments.is_empty() {
            return Vec::new();
        }
        let head = match self.rows.look_at_head(post).await {
            Ok(Some(head)) => head,
            // A post that is gone takes its comments with it: there is nothing to tell of them.
            Ok(None) => return Vec::new(),
            Err(error) => {
                try_again(&error);
                return due.comments.clone();
            }
        };
        let (mut seen, mut again) = (Vec::new(), Vec::new());
        for (place, &(id, comment)) in due.comments.iter().enumerate() {
            let row = match self.rows.look_at_comment(id).await {
                Ok(row) => row,
                Err(error) => {
                    try_again(&error);
                    again.extend_from_slice(&due.comments[place..]);
                    break;
                }
            };
            let (news, once_more) = lock(&self.told).judge_comment(post, head, (id, row.as_ref()), comment);
            seen.extend(news);
            if once_more != Default::default() {
                again.push((id, once_more));
            }
        }
        if !seen.is_empty() {
            block_in_place(|| self.fanout.tell_seen(post, seen));
        }
        again
    }
}

fn try_again(error: &StoreError) {
    tracing::warn!(%error, "rows that Django announced could not be read: trying again");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
