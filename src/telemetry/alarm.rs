//! The alarm: a thread or task that must run for ever reports that it cannot, and the server then ends the process with
//! that reason.
//!
//! There is one alarm per process, like the log, so that code which finds something broken beyond repair need not know
//! who started it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use futures_util::FutureExt;
use tokio::sync::watch;

static REASONS: LazyLock<watch::Sender<Vec<String>>> = LazyLock::new(|| watch::Sender::new(Vec::new()));

/// The most reasons that are kept; the first one is reported.
const REASONS_MAX: usize = 16;

/// Reports that the server cannot go on.
pub fn raise(reason: &str) {
    tracing::error!(%reason, "the server cannot go on");
    REASONS.send_modify(|reasons| {
        if reasons.len() < REASONS_MAX {
            reasons.push(reason.to_owned());
        }
    });
}

/// Waits until the server cannot go on, and returns the reason.
pub async fn raised() -> String {
    let mut reasons = REASONS.subscribe();
    let raised = reasons.wait_for(|reasons| !reasons.is_empty()).await;
    // The sender is never dropped.
    raised.ok().and_then(|reasons| reasons.first().cloned()).unwrap_or_default()
}

/// Runs the body of a thread. It may end but may not panic. Returns true if it did not panic.
pub fn guard(what: &str, body: impl FnOnce()) -> bool {
    let has_ended = catch_unwind(AssertUnwindSafe(body)).is_ok();
    if !has_ended {
        raise(&format!("{what} panicked"));
    }
    has_ended
}

/// Runs a task that may end but may not panic.
pub async fn watched(what: &'static str, task: impl Future<Output = ()>) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        raise(&format!("{what} panicked"));
    }
}

/// Whether this reason was reported. For tests, which share one process.
#[cfg(test)]
pub(crate) fn is_raised(reason: &str) -> bool {
    REASONS.borrow().iter().any(|known| known == reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_panics_is_named_and_who_ends_is_not() {
        assert!(guard("a thread that ends", || {}));
        watched("a task that ends", async {}).await;
        assert!(!guard("a thread of this test", || panic!("on purpose")));
        watched("a task of this test", async { panic!("on purpose") }).await;
        assert!(is_raised("a thread of this test panicked") && is_raised("a task of this test panicked"));
        assert!(!is_raised("a thread that ends panicked") && !is_raised("a task that ends panicked"));
        assert!(!raised().await.is_empty());
    }
}
