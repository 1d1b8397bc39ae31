//! Applies the one sum of memory (`limits::memory`): measures what is in use, and admits requests while there is room.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, Request, header};
use hyper::body::{Body as _, Incoming};

use crate::engine::shard::port::{Inbox, Waiting};
use crate::limits::bounds;
use crate::limits::memory::{
    self, BODY_MEMORY_FACTOR, FORM_BYTES, REQUEST_BYTES, REQUESTS_BYTES_MAX, REQUESTS_CLIENT_PART, Sizes,
};
use crate::limits::{ANSWERS_BYTES_MAX, BODY_BYTES_MAX, CLIENT_ANSWERS_BYTES_MAX};
use crate::server::budget::{Budget, Share};
use crate::server::desk::WaitingErrands;

/// The queues and budgets that are measured.
pub(super) struct Memory {
    sizes: Sizes,
    waiting: Arc<Waiting>,
    inboxes: Arc<[Arc<Inbox>]>,
    pub(super) errands: WaitingErrands,
    requests: Budget,
    pub(super) answers: Budget,
}

/// There is no room for a request.
pub(super) struct NoRoom;

impl Memory {
    pub(super) fn new(sizes: Sizes, waiting: Arc<Waiting>, inboxes: Arc<[Arc<Inbox>]>) -> Self {
        let requests = Budget::of_requests(REQUESTS_BYTES_MAX, REQUESTS_CLIENT_PART);
        let answers = Budget::of_answers(ANSWERS_BYTES_MAX, CLIENT_ANSWERS_BYTES_MAX);
        Self { sizes, waiting, inboxes, errands: WaitingErrands::default(), requests, answers }
    }

    /// Gives a request its share of the memory for requests, until it is answered; exempt paths need none. While all
    /// shards hold as much as they may, they let debtors go and send new sockets away: then requests are refused, too,
    /// with 503.
    pub(super) fn admit(&self, client: IpAddr, request: &Request<Incoming>) -> Result<Option<Share>, NoRoom> {
        if is_exempt(request.uri().path()) {
            return Ok(None);
        }
        let Sizes { shards, .. } = self.sizes;
        if is_over(self.waiting.held().sessions, shards) {
            self.requests.refuse("sessions' memory", client);
            return Err(NoRoom);
        }
        let is_form = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
            let form = b"multipart/form-data";
            kind.as_bytes().get(..form.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(form))
        });
        let length = if *request.method() == Method::GET { Some(0) } else { request.body().size_hint().exact() };
        let length = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
        self.requests.take(client, cost(length, is_form)).map(Some).ok_or(NoRoom)
    }

    /// Sets the gauges of what may wait in each part and of what does wait.
    pub(super) fn measure(&self) {
        let gauge = |name: &'static str, part: &'static str, bytes: usize| {
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
            metrics::gauge!(name, "part" => part).set(bytes as f64);
        };
        for part in memory::parts(self.sizes) {
            gauge("pregon_memory_bound_bytes", part.name, part.bytes);
        }
        let inboxes = self.inboxes.iter().map(|inbox| inbox.waiting_bytes()).sum();
        let held = self.waiting.held();
        let used = [
            ("sessions", held.sessions),
            ("unfinished", held.unfinished),
            ("inboxes", inboxes),
            ("overflow", held.overflow),
            ("subscriptions", held.subscriptions),
            ("records", held.records),
            ("http records", held.http_records),
            ("errands", self.errands.bytes()),
            ("requests", self.requests.taken_bytes()),
            ("answers", self.answers.taken_bytes()),
        ];
        for (part, bytes) in used {
            gauge("pregon_memory_used_bytes", part, bytes);
        }
    }
}

/// True if all shards together hold more than their shares.
fn is_over(bytes: usize, shards: usize) -> bool {
    bytes > shards * bounds::shard_waiting_bytes(shards)
}

/// Paths that show how the server does: they are answered whatever happens.
pub(super) fn is_exempt(path: &str) -> bool {
    matches!(path.trim_end_matches('/'), "/healthz" | "/readyz" | "/health" | "/metrics")
}

/// What a request with a body of this length takes until it is answered, at most.
fn cost(length: usize, is_form: bool) -> usize {
    let body = match is_form {
        // The files of a form go to the disk.
        true => length.saturating_mul(4).min(FORM_BYTES),
        false => length.min(BODY_BYTES_MAX) * BODY_MEMORY_FACTOR,
    };
    REQUEST_BYTES + body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_costs_what_it_becomes_and_no_more_than_may_come() {
        assert_eq!(cost(0, false), REQUEST_BYTES);
        assert_eq!(cost(100, false), REQUEST_BYTES + 2000);
        assert_eq!(cost(usize::MAX, false), REQUEST_BYTES + BODY_BYTES_MAX * BODY_MEMORY_FACTOR);
        assert_eq!((cost(1000, true), cost(usize::MAX, true)), (REQUEST_BYTES + 4000, REQUEST_BYTES + FORM_BYTES));
        assert!(is_exempt("/metrics") && is_exempt("/health/") && !is_exempt("/api/auth/login/"));
    }

    /// Requests are refused after debtors and new sockets: only when no shard has room.
    #[test]
    fn requests_are_refused_while_all_shards_hold_what_they_may() {
        for shards in [1, 2, 64] {
            let share = bounds::shard_waiting_bytes(shards);
            assert!(!is_over(share * shards, shards) && is_over(share * shards + 1, shards));
        }
    }
}
