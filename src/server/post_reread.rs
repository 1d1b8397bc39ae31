//! Reads posts whose counters have moved, so that `post_updated` can be sent.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::fanout::publish::ReadPost;
use crate::fanout::publisher::Fanout;
use crate::store::Posts;
use crate::telemetry::alarm;

/// Reads on the control runtime, and hands what was found to the fan-out on a thread that may block.
pub(super) fn port(store: Arc<dyn Posts>, fanout: Arc<Fanout>, control: &Handle) -> ReadPost {
    let control = control.clone();
    Box::new(move |post, ticket, audience| {
        let (store, fanout) = (Arc::clone(&store), Arc::clone(&fanout));
        control.spawn(alarm::watched("the read of a post", async move {
            let found = store.post(None, post).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a post could not be read: its sockets hear of its counters with the next change");
                None
            });
            drop(tokio::task::spawn_blocking(move || fanout.refreshed(post, ticket, audience, found)).await);
        }));
    })
}
