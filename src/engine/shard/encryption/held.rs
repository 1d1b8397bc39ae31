//! What a shard's connections with TLS hold before the engine has them, and which of them go when it is too much.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use crate::telemetry;

/// What all of them hold together: records whose end has not come, bytes that HTTP has not read, and sealed bytes that sockets have
/// not taken. hyper wants what it carries to be fit for other threads; here there is one, which never waits for the lock.
pub(in crate::engine::shard) struct Holding {
    bytes_max: usize,
    held: Mutex<Held>,
    /// Is told the sum.
    tell: Box<dyn Fn(usize) + Send + Sync>,
}

#[derive(Default)]
struct Held {
    sum: usize,
    /// Who holds something.
    holders: BTreeMap<u64, Holder>,
    count: u64,
}

struct Holder {
    bytes: usize,
    task: Waker,
}

/// What one of them holds; dropping it forgets that.
pub(super) struct Share {
    holding: Arc<Holding>,
    number: u64,
    /// What was said last.
    bytes: usize,
}

impl Holding {
    /// At most so many bytes; `tell` is told of every change.
    pub(in crate::engine::shard) fn new(bytes_max: usize, tell: impl Fn(usize) + Send + Sync + 'static) -> Self {
        Self { bytes_max, held: Mutex::default(), tell: Box::new(tell) }
    }

    /// A connection that holds nothing yet.
    pub(super) fn share(holding: &Arc<Self>) -> Share {
        let mut held = holding.held();
        held.count += 1;
        Share { holding: holding.clone(), number: held.count, bytes: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// If it is too much, who holds most has to go, until there is an eighth of room.
    fn bound(&self, held: &mut Held) {
        if held.sum <= self.bytes_max {
            return;
        }
        let mut holders: Vec<(usize, u64)> =
            held.holders.iter().map(|(number, holder)| (holder.bytes, *number)).collect();
        holders.sort_unstable_by(|one, other| other.cmp(one));
        for (bytes, number) in holders {
            if held.sum <= self.bytes_max / 8 * 7 {
                break;
            }
            if let Some(holder) = held.holders.remove(&number) {
                holder.task.wake();
            }
            held.sum -= bytes;
            metrics::counter!("pregon_shed_total", "what" => "http records").increment(1);
            telemetry::limit_hit("memory of TLS for HTTP", "a connection");
        }
    }
}

impl Share {
    /// Notes how much the connection holds now.
    ///
    /// # Errors
    /// When it has to go.
    pub(super) fn holds(&mut self, bytes: usize, context: &Context<'_>) -> io::Result<()> {
        if bytes == 0 && self.bytes == 0 {
            return Ok(());
        }
        self.stays()?;
        let mut held = self.holding.held();
        held.sum = held.sum - self.bytes + bytes;
        self.bytes = bytes;
        if bytes == 0 {
            held.holders.remove(&self.number);
        } else {
            held.holders.insert(self.number, Holder { bytes, task: context.waker().clone() });
        }
        self.holding.bound(&mut held);
        (self.holding.tell)(held.sum);
        drop(held);
        self.stays()
    }

    /// Fails when the connection has to go.
    pub(super) fn stays(&self) -> io::Result<()> {
        let has_to_go = self.bytes > 0 && !self.holding.held().holders.contains_key(&self.number);
        if has_to_go { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.holding.held();
        if let Some(holder) = held.holders.remove(&self.number) {
            held.sum -= holder.bytes;
            (self.holding.tell)(held.sum);
        }
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn who_holds_most_goes_and_the_sum_is_told() {
        let told = Arc::new(AtomicUsize::new(0));
        let tell = told.clone();
        let holding = Arc::new(Holding::new(80, move |sum| tell.store(sum, Ordering::Relaxed)));
        let mut shares: Vec<Share> = (0..4).map(|_| Holding::share(&holding)).collect();
        let context = Context::from_waker(Waker::noop());
        let told = || (told.load(Ordering::Relaxed), holding.held().holders.len());
        for (share, bytes) in shares.iter_mut().zip([20, 30, 25]) {
            share.holds(bytes, &context).unwrap();
        }
        assert_eq!(told(), (75, 3));
        shares[3].holds(6, &context).unwrap();
        assert_eq!(told(), (51, 3));
        assert_eq!(shares.iter().map(|share| share.stays().is_ok()).collect::<Vec<_>>(), [true, false, true, true]);
        assert!(shares[1].holds(0, &context).is_err(), "it stays gone");
        // It is the largest itself.
        assert!(shares[3].holds(60, &context).is_err());
        shares[0].holds(0, &context).unwrap();
        assert_eq!(told(), (25, 1));
        drop(shares);
        assert_eq!(told(), (0, 0));
    }
}
