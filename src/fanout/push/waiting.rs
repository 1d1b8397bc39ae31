//! What waits to be pushed and what is under way, as those who look up, send and stop share it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::fanout::push::pending::Pending;
use crate::limits::PUSH_STOP;

/// Shared by all parts.
#[derive(Debug)]
pub(super) struct Waiting {
    pending: Mutex<Pending>,
    /// Rings when something is pending.
    pub bell: Notify,
    /// Rings when everything was sent.
    idle: Notify,
    /// Topics that are looked up, and pushes that wait or are under way.
    under_way: AtomicUsize,
}

impl Waiting {
    /// Each topic waits for `delay`.
    pub fn new(delay: Duration) -> Self {
        let pending = Mutex::new(Pending::new(delay));
        Self { pending, bell: Notify::new(), idle: Notify::new(), under_way: AtomicUsize::new(0) }
    }

    /// What is pending is due now.
    pub fn hurry(&self) {
        self.pending().hurry();
        self.bell.notify_one();
    }

    /// Waits until all that is pending was sent or given up, but no longer than [`PUSH_STOP`].
    pub async fn stop(&self) {
        self.hurry();
        let idle = async {
            loop {
                let rung = self.idle.notified();
                if self.is_idle() {
                    return;
                }
                rung.await;
            }
        };
        if tokio::time::timeout(PUSH_STOP, idle).await.is_err() {
            tracing::warn!("some pushes were not sent before the stop");
        }
    }

    fn is_idle(&self) -> bool {
        // Under the lock: what leaves the pending ones is counted before it is released.
        let pending = self.pending();
        pending.is_empty() && self.under_way.load(Ordering::Acquire) == 0
    }

    /// Counts something that is under way until it is dropped.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.clone())
    }

    /// The topics that wait.
    pub fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that a stop waits for.
pub(super) struct UnderWay(Arc<Waiting>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        if self.0.is_idle() {
            self.0.idle.notify_one();
        }
    }
}
