//! The task that keeps people found by their names, also those that another program gives them.

use std::sync::Arc;
use std::time::Instant;

use crate::limits::{NAMES_EVERY, NAMES_REST};
use crate::store::Store;

/// Looks at all names again and again, at first at once: the index of an older database is filled so.
pub async fn keep(store: Arc<dyn Store>) {
    loop {
        let began = Instant::now();
        if let Err(error) = store.index_people().await {
            tracing::warn!(%error, "names could not be looked at: some people may not be found");
        }
        tokio::time::sleep(NAMES_EVERY.max(began.elapsed() * NAMES_REST)).await;
    }
}
