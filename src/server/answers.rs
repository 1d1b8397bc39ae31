//! How much memory answers may have that wait for their readers: in sum, and those of one client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits::{ANSWERS_BYTES_MAX, CLIENT_ANSWERS_BYTES_MAX};
use crate::telemetry;

/// Bytes of answers under way, by client; who has none is not in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// An answer's part of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    answers: Answers,
    client: IpAddr,
    bytes: usize,
}

impl Answers {
    /// Room for an answer of so many bytes. A client's first has room whatever its length, where there is any.
    pub fn take(&self, client: IpAddr, bytes: usize) -> Option<Share> {
        let mut taken = self.lock();
        let own = taken.get(&client).copied().unwrap_or_default();
        // Few clients are here at a time: the others' answers went into their sockets' buffers.
        let all: usize = taken.values().sum();
        let is_much = own > 0 && own + bytes > CLIENT_ANSWERS_BYTES_MAX;
        if is_much || (all > 0 && all + bytes > ANSWERS_BYTES_MAX) {
            metrics::counter!("pregon_answers_refused_total").increment(1);
            metrics::counter!("pregon_shed_total", "what" => "answer").increment(1);
            telemetry::limit_hit(if is_much { "answers of a client" } else { "answers" }, client);
            return None;
        }
        taken.insert(client, own + bytes);
        Some(Share { answers: self.clone(), client, bytes })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.answers.lock();
        match taken.get_mut(&self.client) {
            Some(own) if *own > self.bytes => *own -= self.bytes,
            _ => drop(taken.remove(&self.client)),
        }
    }
}

/// Bytes that hold their share: it is free when the last of them is gone, also out of the connection's own queue.
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

    #[test]
    fn what_clients_do_not_read_is_bounded_for_each_and_for_all() {
        let (answers, size) = (Answers::default(), CLIENT_ANSWERS_BYTES_MAX / 8);
        let client = |number: u8| IpAddr::from([10, 0, 0, number]);
        let mut held: Vec<Share> = (0..8).map(|_| answers.take(client(0), size).unwrap()).collect();
        assert!(answers.take(client(0), 1).is_none(), "one client's are used up");
        let mut number = 1;
        while let Some(share) = answers.take(client(number), size) {
            held.push(share);
            number = if held.iter().filter(|share| share.client == client(number)).count() == 8 {
                number + 1
            } else {
                number
            };
        }
        assert_eq!(held.iter().map(|share| share.bytes).sum::<usize>(), ANSWERS_BYTES_MAX);
        assert!(answers.take(client(200), size).is_none(), "all are used up");
        let bytes = holding(Bytes::from_static(b"hola"), held.pop().unwrap());
        let rest = bytes.slice(1..2);
        drop(bytes);
        assert!(answers.take(client(200), size).is_none(), "some of it is still there");
        drop(rest);
        held.push(answers.take(client(200), size).unwrap());
        drop(held);
        assert!(answers.lock().is_empty());
        assert!(answers.take(client(0), ANSWERS_BYTES_MAX * 2).is_some(), "alone, it has room");
    }
}
