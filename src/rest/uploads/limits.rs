//! Turns to upload: few at the same time, fewer for one user, and none for ever.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::ids::UserId;
use crate::limits;
use crate::rest::error::{Error, Result};
use crate::rest::fields::too_slow;
use crate::telemetry;

/// The running uploads of each user, oldest first. Users without one are not in it.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<UserId, VecDeque<Arc<Notify>>>>);

/// One running upload. Dropping it ends the turn.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    user: UserId,
    /// Notified when a user with fewer uploads needs this turn.
    lost: Arc<Notify>,
}

impl Turns {
    /// Starts one more upload of a user. If all turns are taken, the user with the most uploads loses the oldest one to
    /// a user with fewer.
    ///
    /// # Errors
    /// 503 if the user's turns are taken, or if all are and nobody has more.
    pub fn take(&self, user: UserId) -> Result<Turn<'_>> {
        let mut taken = self.lock();
        let own = taken.get(&user).map_or(0, VecDeque::len);
        if own >= limits::USER_UPLOADS_MAX {
            telemetry::limit_hit("uploads of a user", user);
            return Err(Error::Unavailable);
        }
        // There are at most as many entries as turns, so scanning them costs little beside an upload.
        if taken.values().map(VecDeque::len).sum::<usize>() >= limits::UPLOADS_MAX {
            let most = taken.values_mut().max_by_key(|uploads| uploads.len());
            let oldest = most.filter(|most| most.len() > own + 1).and_then(VecDeque::pop_front);
            metrics::counter!("pregon_shed_total", "what" => "upload").increment(1);
            let oldest = oldest.ok_or_else(|| {
                telemetry::limit_hit("uploads", user);
                Error::Unavailable
            });
            oldest?.notify_one();
        }
        let lost = Arc::new(Notify::new());
        taken.entry(user).or_default().push_back(Arc::clone(&lost));
        Ok(Turn { turns: self, user, lost })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, VecDeque<Arc<Notify>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits for the upload's next step.
    ///
    /// # Errors
    /// 503 if another user got this turn in the meantime.
    pub async fn keep<T>(&self, next: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.lost.notified() => Err(Error::Unavailable),
            next = next => Ok(next),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.lock();
        let Some(own) = taken.get_mut(&self.user) else { return };
        own.retain(|other| !Arc::ptr_eq(other, &self.lost));
        if own.is_empty() {
            taken.remove(&self.user);
        }
    }
}

/// The minimum speed of an upload: no piece may take long, and many small ones may not add up to for ever.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    began: Instant,
    grace: Duration,
    piece: Duration,
}

impl Pace {
    /// The pace of an upload that begins now and may take `grace`, however small it is, and `piece` for each piece.
    pub fn starting(grace: Duration, piece: Duration) -> Self {
        Self { began: Instant::now(), grace, piece }
    }

    /// Waits for the next piece of an upload of which `came_bytes` have arrived.
    ///
    /// # Errors
    /// 408 if it does not arrive in time.
    pub async fn keep<T>(self, came_bytes: usize, piece: impl Future<Output = T>) -> Result<T> {
        let due = self.due(came_bytes).min(Instant::now() + self.piece);
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
        drop(held.pop());
        held.push(turns.take(users[users.len() - 1]).unwrap());
        drop(held);
        assert!(turns.lock().is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn a_few_who_hold_all_turns_give_way() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..limits::UPLOADS_MAX / limits::USER_UPLOADS_MAX {
            let user = UserId::fresh();
            held.extend((0..limits::USER_UPLOADS_MAX).map(|_| turns.take(user).unwrap()));
        }
        let late = UserId::fresh();
        let first = turns.take(late).unwrap();
        let mut lost = 0;
        for turn in &held {
            lost += usize::from(turn.keep(ready(())).await.is_err());
        }
        assert_eq!(lost, 1, "one gave way, once");
        assert!(first.keep(ready(())).await.is_ok());
        let others: Vec<Turn<'_>> = std::iter::from_fn(|| turns.take(UserId::fresh()).ok()).take(100).collect();
        let first_ones = limits::UPLOADS_MAX / limits::USER_UPLOADS_MAX;
        assert_eq!(others.len(), limits::UPLOADS_MAX - first_ones - 1, "everybody has one");
        assert!(turns.take(UserId::fresh()).is_err(), "nobody has more than one");
        drop((first, held, others));
        assert!(turns.lock().is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn an_upload_that_fell_behind_is_given_up() {
        let behind = limits::UPLOAD_GRACE + Duration::from_secs(10);
        let began = Instant::now().checked_sub(behind).unwrap();
        let pace = Pace { began, grace: limits::UPLOAD_GRACE, piece: limits::BODY_TIMEOUT };
        let enough = 12 * limits::UPLOAD_BYTES_PER_SECOND_MIN;
        for came_bytes in [0, 9 * limits::UPLOAD_BYTES_PER_SECOND_MIN] {
            let kept = pace.keep(came_bytes, pending::<()>()).await;
            assert!(matches!(kept, Err(Error::Hand(StatusCode::REQUEST_TIMEOUT, _))), "{came_bytes}");
        }
        assert!(pace.due(enough) > Instant::now());
        assert_eq!(pace.keep(enough, ready(7)).await.unwrap(), 7);
    }
}
