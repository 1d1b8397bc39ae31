//! The server's own queries: the database's health, the files that rows name, and closing.

use async_trait::async_trait;
use uuid::Uuid;

use crate::ids::MessageId;
use crate::store::backend::Backend;
use crate::store::sql::{messages, posts};
use crate::store::{FileTable, NamedFiles, StoreError};

/// Queries and commands of the server itself.
#[async_trait]
pub trait Housekeeping: Send + Sync + 'static {
    /// The files that the next [`crate::limits::LITTER_ROWS`] rows of a table after `after`, by id, name.
    async fn named_files(&self, table: FileTable, after: Option<Uuid>) -> Result<NamedFiles, StoreError>;
    /// The files of those of `messages` that are deleted.
    async fn files_of_deleted(&self, messages: &[MessageId]) -> Result<Vec<String>, StoreError>;
    /// Whether the database answers and takes writes.
    async fn ping(&self) -> Result<(), StoreError>;
    /// Takes no more writes, commits those in the queue, answers their callers, and closes the database.
    async fn close(&self);
}

#[async_trait]
impl<B: Backend> Housekeeping for B {
    async fn named_files(&self, table: FileTable, after: Option<Uuid>) -> Result<NamedFiles, StoreError> {
        self.read(move |view| Box::pin(posts::named_files(view, table, after))).await
    }

    async fn files_of_deleted(&self, messages: &[MessageId]) -> Result<Vec<String>, StoreError> {
        let of = messages.to_vec();
        self.read(move |view| Box::pin(async move { messages::files_of_deleted(view, &of).await })).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|view| Box::pin(view.is_there("SELECT 1", &[]))).await?;
        self.probe().await
    }

    async fn close(&self) {
        self.shut().await;
    }
}
