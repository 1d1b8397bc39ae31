//! Publishers that a test has work, on its own thread and by its own clock.

use super::*;

/// All publishers of a [`Fanout`].
pub(crate) struct ByHand(Vec<Body>);

impl Fanout {
    /// The publishers, without threads.
    pub(crate) fn by_hand(&self) -> ByHand {
        ByHand(lock(&self.bodies).drain(..).collect())
    }
}

impl ByHand {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// One of them does at most so many jobs and asks the log for what is due.
    pub(crate) fn work(&mut self, publisher: usize, most: usize, now: Instant) -> usize {
        let Some(body) = self.0.get_mut(publisher) else { return 0 };
        let mut done = 0;
        while done < most
            && let Ok(job) = body.jobs.try_recv()
        {
            body.work(job, now);
            done += 1;
        }
        if let Some(others) =
            body.others.as_mut().filter(|others| others.sequence.next_due().is_some_and(|due| due <= now))
        {
            others.ask_the_log(now);
        }
        done
    }

    /// Events that wait for others.
    pub(crate) fn held(&self) -> usize {
        self.0.iter().flat_map(|body| &body.others).map(|others| others.sequence.held()).sum()
    }

    /// No event waits, no place is taken, and no hole is known.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.held() == 0
            && self.0.iter().all(|body| lock(&body.places).is_empty())
            && self.0.iter().flat_map(|body| &body.others).all(|others| others.sequence.is_whole())
    }
}
