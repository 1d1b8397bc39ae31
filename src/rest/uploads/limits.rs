//! Turns to upload: few at the same time, fewer of one user, and none for ever.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::ids::UserId;
use crate::limits;
use crate::rest::error::{Error, Result};
use crate::rest::fields::too_slow;

/// How many uploads each user has under way; who has none is not in it.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<UserId, usize>>);

/// One upload under way, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    user: UserId,
}

impl Turns {
    /// One more upload of a user.
    ///
    /// # Errors
    /// 503 when the user's turns or all turns are taken.
    pub fn take(&self, user: UserId) -> Result<Turn<'_>> {
        let mut taken = self.lock();
        let own = taken.get(&user).copied().unwrap_or_default();
        // At most as many entries as turns, so adding them up is nothing beside an upload.
        if own >= limits::USER_UPLOADS_MAX || taken.values().sum::<usize>() >= limits::UPLOADS_MAX {
            return Err(Error::Unavailable);
        }
        taken.insert(user, own + 1);
        Ok(Turn { turns: self, user })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.lock();
        match taken.get_mut(&self.user) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.user)),
        }
    }
}

/// How fast an upload must come: no piece may be long in coming, nor may many small ones add up to for ever.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    began: Instant,
    grace: Duration,
}

impl Pace {
    /// Of an upload that begins now and has this time, however small it is.
    pub fn starting(grace: Duration) -> Self {
        Self { began: Instant::now(), grace }
    }

    /// Waits for the next piece of an upload of which so many bytes have come.
    ///
    /// # Errors
    /// 408 when it does not come in time.
    pub async fn keep<T>(self, came_bytes: usize, piece: impl Future<Output = T>) -> Result<T> {
        let due = self.due(came_bytes).min(Instant::now() + limits::BODY_TIMEOUT);
        timeout_at(due, piece).await.map_err(|_| too_slow())
    }

    fn due(self, came_bytes: usize) -> Instant {
        let earned_seconds = came_bytes / limits::UPLOAD_BYTES_PER_SECOND_MIN;
        self.began + self.grace + Duration::from_secs(earned_seconds as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn turns_are_few_fewer_a_user_and_come_back() {
        let turns = Turns::default();
        let users: Vec<UserId> = (0..limits::UPLOADS_MAX / limits::USER_UPLOADS_MAX).map(|_| UserId::fresh()).collect();
        let mut held = Vec::new();
        for user in &users {
            held.extend((0..limits::USER_UPLOADS_MAX).map(|_| turns.take(*user).unwrap()));
            assert!(matches!(turns.take(*user), Err(Error::Unavailable)), "one user's are taken");
        }
        let late = UserId::fresh();
        assert!(matches!(turns.take(late), Err(Error::Unavailable)), "all are taken");
        drop(held.pop());
        drop(turns.take(late).unwrap());
        held.push(turns.take(users[users.len() - 1]).unwrap());
        drop(held);
        assert!(turns.lock().is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn an_upload_that_fell_behind_is_given_up() {
        let behind = limits::UPLOAD_GRACE + Duration::from_secs(10);
        let pace = Pace { began: Instant::now().checked_sub(behind).unwrap(), grace: limits::UPLOAD_GRACE };
        let enough = 12 * limits::UPLOAD_BYTES_PER_SECOND_MIN;
        for came_bytes in [0, 9 * limits::UPLOAD_BYTES_PER_SECOND_MIN] {
            let kept = pace.keep(came_bytes, pending::<()>()).await;
            assert!(matches!(kept, Err(Error::Hand(StatusCode::REQUEST_TIMEOUT, _))), "{came_bytes}");
        }
        assert!(pace.due(enough) > Instant::now());
        assert_eq!(pace.keep(enough, ready(7)).await.unwrap(), 7);
    }
}
