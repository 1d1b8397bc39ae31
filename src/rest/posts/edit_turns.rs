//! Puts the edits of one post one after the other.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::ids::PostId;

/// Edits of one post run one at a time, from reading the post to the commit, so that each edit keeps the pictures that
/// the one before it left. Several posts share a lock, chosen by their ids.
#[derive(Debug)]
pub struct EditTurns([Arc<Mutex<()>>; 64]);

/// Held for the length of an edit.
pub type Turn = OwnedMutexGuard<()>;

impl Default for EditTurns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl EditTurns {
    /// Waits for the edits of this post that came before.
    pub async fn take(&self, post: PostId) -> Turn {
        let of_post = &self.0[usize::from(post.0.as_bytes()[15]) % self.0.len()];
        Arc::clone(of_post).lock_owned().await
    }
}
