//! A budget of memory that all clients share, for requests or for answers. No single client gets all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::telemetry;

/// How much of a budget one client may have.
#[derive(Debug, Clone, Copy)]
enum Own {
    /// At most so many bytes. A client that has nothing gets its first share whatever its length, if the budget has
    /// room.
    Most(usize),
    /// At most this part of what is still free. With 4, one client alone gets a fifth of the budget, and a dozen
    /// clients leave room for a newcomer.
    PartOfFree(usize),
}

/// What each client has. A client that has nothing is not in the table.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    taken: Arc<Mutex<Taken>>,
    bytes_max: usize,
    own: Own,
    names: &'static Names,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// The names that metrics and the log use.
#[derive(Debug)]
struct Names {
    /// What is refused when there is no room.
    shed: &'static str,
    /// The bound for all clients, and the bound for one.
    limits: [&'static str; 2],
}

/// A client's share of a budget. Dropping it gives the bytes back.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    client: IpAddr,
    bytes: usize,
}

impl Budget {
    /// The budget of answers that wait for their readers.
    pub(super) fn of_answers(bytes_max: usize, client_max: usize) -> Self {
        const NAMES: Names = Names { shed: "answer", limits: ["answers", "answers of a client"] };
        Self { taken: Arc::default(), bytes_max, own: Own::Most(client_max), names: &NAMES }
    }

    /// The budget of requests that are not answered yet.
    pub(super) fn of_requests(bytes_max: usize, part: usize) -> Self {
        const NAMES: Names = Names { shed: "request", limits: ["requests' memory", "requests' memory of a client"] };
        Self { taken: Arc::default(), bytes_max, own: Own::PartOfFree(part), names: &NAMES }
    }

    /// Gives a client so many bytes, if there is room.
    pub(super) fn take(&self, client: IpAddr, bytes: usize) -> Option<Share> {
        let mut taken = self.lock();
        let (all, own) = (taken.all, taken.by.get(&client).copied().unwrap_or_default());
        let (is_full, has_enough) = match self.own {
            Own::Most(most) => (all > 0 && all + bytes > self.bytes_max, own > 0 && own + bytes > most),
            Own::PartOfFree(part) => {
                let free = self.bytes_max.saturating_sub(all);
                (bytes > free, own + bytes > free / part)
            }
        };
        if is_full || has_enough {
            drop(taken);
            self.refuse(self.names.limits[usize::from(has_enough)], client);
            return None;
        }
        taken.all = all + bytes;
        taken.by.insert(client, own + bytes);
        Some(Share { budget: self.clone(), client, bytes })
    }

    /// Counts and logs that a client got nothing.
    pub(super) fn refuse(&self, limit: &'static str, client: IpAddr) {
        metrics::counter!("pregon_shed_total", "what" => self.names.shed).increment(1);
        telemetry::limit_hit(limit, client);
    }

    /// What all clients have together.
    pub(super) fn taken_bytes(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.budget.lock();
        taken.all -= self.bytes;
        match taken.by.get_mut(&self.client) {
            Some(own) if *own > self.bytes => *own -= self.bytes,
            _ => drop(taken.by.remove(&self.client)),
        }
    }
}

/// Bytes that hold their share: the share is given back when the last clone is gone, also the one in the connection's
/// own queue.
pub(super) fn holding(bytes: Bytes, share: Share) -> Bytes {
    struct Counted(Bytes, #[expect(dead_code, reason = "held until the bytes are gone")] Share);
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Counted(bytes, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn what_clients_do_not_read_is_bounded_for_each_and_for_all() {
        let (most, all) = (800, 6400);
        let (answers, size) = (Budget::of_answers(all, most), most / 8);
        let mut held: Vec<Share> = (0..8).map(|_| answers.take(client(0), size).unwrap()).collect();
        assert!(answers.take(client(0), 1).is_none(), "one client has all that it may");
        let mut number = 1;
        while let Some(share) = answers.take(client(number), size) {
            held.push(share);
            number = if held.iter().filter(|share| share.client == client(number)).count() == 8 {
                number + 1
            } else {
                number
            };
        }
        assert_eq!((held.iter().map(|share| share.bytes).sum::<usize>(), answers.taken_bytes()), (all, all));
        assert!(answers.take(client(200), size).is_none(), "all clients have all that they may");
        let bytes = holding(Bytes::from_static(b"hola"), held.pop().unwrap());
        let rest = bytes.slice(1..2);
        drop(bytes);
        assert!(answers.take(client(200), size).is_none(), "a slice of the bytes is still there");
        drop(rest);
        held.push(answers.take(client(200), size).unwrap());
        drop(held);
        assert!(answers.lock().by.is_empty() && answers.taken_bytes() == 0);
        assert!(answers.take(client(0), all * 2).is_some(), "alone, it has room");
    }

    #[test]
    fn requests_of_one_client_leave_most_and_those_of_many_leave_some() {
        let requests = Budget::of_requests(1000, 4);
        let fill = |number| std::iter::from_fn(|| requests.take(client(number), 10)).collect::<Vec<_>>();
        let first = fill(0);
        assert_eq!(first.len(), 20);
        let others: Vec<_> = (1..=8).map(fill).collect();
        assert!(others.iter().all(|own| !own.is_empty()), "{:?}", others.iter().map(Vec::len).collect::<Vec<_>>());
        assert!(requests.take(client(0), 10).is_none());
        drop(first);
        assert!(requests.take(client(9), 70).is_some(), "what is given back is there for others");
        assert!(requests.take(client(9), 1001).is_none(), "never more than there is");
        drop(others);
        assert!(requests.lock().by.is_empty());
    }
}
