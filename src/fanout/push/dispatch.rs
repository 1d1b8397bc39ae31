//! Sends what waits, some at once, and again what a push service could not take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::clock::Timestamp;
use crate::domain::push::Subscription;
use crate::fanout::push::deliver::{Outcome, Sender};
use crate::fanout::push::note::Note;
use crate::fanout::push::retries::{Retries, pause};
use crate::fanout::push::waiting::{UnderWay, Waiting};
use crate::limits::{PUSH_ATTEMPTS_MAX, PUSH_SENDS_MAX};
use crate::store::Store;

/// A push for one browser.
pub(super) struct Delivery {
    pub subscription: Subscription,
    pub note: Arc<Note>,
    /// How often it was tried.
    pub attempts: u32,
    pub _under_way: UnderWay,
}

/// Sends pushes.
pub(super) struct Dispatcher {
    push: Arc<Waiting>,
    store: Arc<dyn Store>,
    sender: Arc<Sender>,
    ttl: Duration,
    retries: Retries<Delivery>,
    sends: JoinSet<(Delivery, Outcome)>,
}

impl Dispatcher {
    pub fn new(push: Arc<Waiting>, store: Arc<dyn Store>, sender: Sender, ttl_seconds: u32) -> Self {
        let ttl = Duration::from_secs(ttl_seconds.into());
        let (retries, sends) = (Retries::new(), JoinSet::new());
        Self { push, store, sender: Arc::new(sender), ttl, retries, sends }
    }

    /// Sends for as long as the runtime lives.
    pub async fn run(mut self, mut waiting: mpsc::Receiver<Delivery>) {
        loop {
            let has_room = self.sends.len() < PUSH_SENDS_MAX;
            let due = self.retries.next_due();
            tokio::select! {
                biased;
                Some(done) = self.sends.join_next() => match done {
                    Ok((delivery, outcome)) => self.done(delivery, outcome).await,
                    Err(_) => panic!("a push panicked"),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if has_room && due.is_some() => {
                    if let Some(delivery) = self.retries.take(Instant::now()) {
                        self.begin(delivery);
                    }
                }
                Some(delivery) = waiting.recv(), if has_room => self.begin(delivery),
                else => return,
            }
            self.measure(waiting.len());
        }
    }

    fn begin(&mut self, mut delivery: Delivery) {
        delivery.attempts += 1;
        let sender = self.sender.clone();
        self.sends.spawn(async move {
            let outcome = sender.send(&delivery.subscription, &delivery.note).await;
            (delivery, outcome)
        });
    }

    async fn done(&mut self, delivery: Delivery, outcome: Outcome) {
        let age = Duration::from_micros(u64::try_from(Timestamp::now().0 - delivery.note.at.0).unwrap_or(0));
        let what = match outcome {
            Outcome::Sent => {
                metrics::histogram!("pregon_push_seconds").record(age);
                "sent"
            }
            Outcome::Gone => {
                self.gone(&delivery.subscription);
                "gone"
            }
            Outcome::Refused(_) => "refused",
            Outcome::Later(_) if delivery.attempts >= PUSH_ATTEMPTS_MAX => "given_up",
            Outcome::Later(asked) => {
                let wait = pause(delivery.attempts, asked, rand::random());
                if age + wait > self.ttl.max(Duration::from_secs(60)) {
                    "given_up"
                } else {
                    self.wait(delivery, wait);
                    "again"
                }
            }
        };
        metrics::counter!("pregon_push_total", "outcome" => what).increment(1);
    }

    fn wait(&mut self, delivery: Delivery, wait: Duration) {
        if self.retries.wait(Instant::now() + wait, delivery).is_err() {
            metrics::counter!("pregon_push_total", "outcome" => "dropped").increment(1);
        }
    }

    /// Deletes a subscription that is over. If that fails, its next push finds it.
    fn gone(&self, subscription: &Subscription) {
        let (id, created_at) = (subscription.id, subscription.created_at);
        let (store, under_way) = (self.store.clone(), self.push.begin());
        tokio::spawn(async move {
            if let Err(error) = store.push_gone(id, created_at).await {
                tracing::warn!(%error, "a subscription that is over cannot be deleted");
            }
            drop(under_way);
        });
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
    fn measure(&self, waiting: usize) {
        let queues = [("deliveries", waiting), ("retries", self.retries.len()), ("sending", self.sends.len())];
        for (queue, length) in queues {
            metrics::gauge!("pregon_push_waiting", "queue" => queue).set(length as f64);
        }
    }
}
