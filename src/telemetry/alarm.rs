//! Where a thread or task that has to last says that it cannot: the server then ends the process, with that reason.
//!
//! One for the process, as its log is: whoever finds something broken beyond repair need not know who started it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use futures_util::FutureExt;
use tokio::sync::watch;

static REASONS: LazyLock<watch::Sender<Vec<String>>> = LazyLock::new(|| watch::Sender::new(Vec::new()));

/// Reasons that are kept; the first is the one that counts.
const REASONS_MAX: usize = 16;

/// The server cannot go on.
pub fn raise(reason: &str) {
    tracing::error!(%reason, "the server cannot go on");
    REASONS.send_modify(|reasons| {
        if reasons.len() < REASONS_MAX {
            reasons.push(reason.to_owned());
        }
    });
}

/// Waits until the server cannot go on; why.
pub async fn raised() -> String {
    let mut reasons = REASONS.subscribe();
    let raised = reasons.wait_for(|reasons| !reasons.is_empty()).await;
    // The sender is never dropped.
    raised.ok().and_then(|reasons| reasons.first().cloned()).unwrap_or_default()
}

/// Does what a thread is for. It may end; it may not panic. True when it did not.
pub fn guard(what: &str, body: impl FnOnce()) -> bool {
    let has_ended = catch_unwind(AssertUnwindSafe(body)).is_ok();
    if !has_ended {
        raise(&format!("{what} panicked"));
    }
    has_ended
}

/// A task that may end, and may not panic.
pub async fn watched(what: &'static str, task: impl Future<Output = ()>) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        raise(&format!("{what} panicked"));
    }
}

/// Has somebody said this? For tests, which share one process.
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
