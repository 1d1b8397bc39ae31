//! How long a shard computes for TLS handshakes before it takes its next turn.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

/// Lets handshakes compute one after the other, up to a time a turn: a thousand that come at once must not keep sessions waiting.
#[derive(Debug)]
pub(in crate::engine::shard) struct Pace {
    most: Duration,
    /// What was used since the last turn.
    used: Cell<Duration>,
    /// One permit, for whoever comes next; none while the time of this turn is used up.
    next: Semaphore,
    /// Asks for the shard's next turn.
    wake: Notify,
}

impl Pace {
    /// Handshakes compute for about so long between two turns.
    pub(in crate::engine::shard) fn new(most: Duration) -> Self {
        Self { most, used: Cell::new(Duration::ZERO), next: Semaphore::new(1), wake: Notify::new() }
    }

    /// Computes when it is this handshake's turn.
    pub(super) async fn compute<R>(&self, work: impl FnOnce() -> R) -> R {
        if let Ok(permit) = self.next.acquire().await {
            permit.forget();
        }
        let began = Instant::now();
        let result = work();
        self.used.set(self.used.get() + began.elapsed());
        if self.used.get() < self.most {
            self.next.add_permits(1);
        } else {
            self.wake.notify_one();
        }
        result
    }

    /// The shard takes a turn: there is time again.
    pub(in crate::engine::shard) fn renew(&self) {
        if self.used.replace(Duration::ZERO) >= self.most {
            self.next.add_permits(1);
        }
    }

    /// Waits until a turn is wanted.
    pub(in crate::engine::shard) async fn used_up(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// Handshakes that need some time each, in a runtime of one thread as a shard has it.
    #[tokio::test(flavor = "current_thread")]
    async fn many_handshakes_leave_turns_to_the_shard() {
        let pace = Rc::new(Pace::new(Duration::from_millis(2)));
        let (done, local) = (Rc::new(Cell::new(0)), tokio::task::LocalSet::new());
        let handshakes: Vec<_> = (0..30)
            .map(|_| {
                let (pace, done) = (pace.clone(), done.clone());
                local.spawn_local(async move {
                    pace.compute(|| {
                        let began = Instant::now();
                        while began.elapsed() < Duration::from_millis(1) {}
                    })
                    .await;
                    done.set(done.get() + 1);
                })
            })
            .collect();
        let mut turns = Vec::new();
        let shard = async {
            loop {
                pace.used_up().await;
                turns.push(done.get());
                pace.renew();
            }
        };
        let all = async {
            for handshake in handshakes {
                handshake.await.unwrap();
            }
        };
        local
            .run_until(async {
                tokio::select! { () = shard => {}, () = all => {} }
            })
            .await;
        let most = turns.iter().scan(0, |before, now| Some(*now - std::mem::replace(before, *now))).max();
        assert!(turns.len() >= 10 && most.is_some_and(|most| most <= 3), "{turns:?}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_comes_alone_waits_for_nobody() {
        let pace = Pace::new(Duration::from_secs(1));
        for number in 0..100 {
            assert_eq!(pace.compute(|| number).await, number);
        }
    }
}
