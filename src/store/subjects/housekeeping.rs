//! What the server itself asks: is the database well, which files are named, and the end.

use async_trait::async_trait;
use uuid::Uuid;

use crate::ids::MessageId;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::sql::{messages, posts};

/// Rows that name uploaded files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTable {
    /// Pictures, film, thumbnail, and the addresses of podcast and stream.
    Posts,
    /// Pictures.
    Comments,
    /// Pictures of themselves.
    Users,
}

/// What some rows of a table name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// Columns as they are: paths below the media root, addresses, and lists of addresses as JSON. In no order.
    pub texts: Vec<String>,
    /// The last row's id; `None`: there are no more rows.
    pub last: Option<Uuid>,
}

/// The server's own affairs.
#[async_trait]
pub trait Housekeeping: Send + Sync + 'static {
    /// What the first [`crate::limits::LITTER_ROWS`] rows of a table behind `after`, by id, name.
    async fn named_files(&self, table: FileTable, after: Option<Uuid>) -> Result<NamedFiles, StoreError>;
    /// The files of those of `messages` that are deleted.
    async fn files_of_deleted(&self, messages: &[MessageId]) -> Result<Vec<String>, StoreError>;
    /// Does the database answer and take writes?
    async fn ping(&self) -> Result<(), StoreError>;
    /// Takes no more writes, commits what is queued, answers everybody, closes.
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
