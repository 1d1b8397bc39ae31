//! Keeps the index of people's names up to date, also with names that another program writes.

use std::sync::Arc;
use std::time::Instant;

use crate::limits::{NAMES_EVERY, NAMES_REST};
use crate::store::Store;

/// Looks at all names again and again. The first look is at once: it fills the index of a database from an older
/// version.
pub async fn keep(store: Arc<dyn Store>) {
    loop {
        let began = Instant::now();
        if let Err(error) = store.index_people().await {
            tracing::warn!(%error, "names could not be looked at: some people may not be found");
        }
        tokio::time::sleep(NAMES_EVERY.max(began.elapsed() * NAMES_REST)).await;
    }
}
