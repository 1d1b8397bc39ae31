//! A bounded pool of connections for reads, and for writes that belong to no topic.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::limits;
use crate::store::StoreError;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::Driver;
use crate::store::mysql::shared::Shared;

/// The pool. A connection belongs to the event loop that opened it, so a pool serves one event loop.
pub struct Direct {
    shared: Arc<Shared>,
    idle: Mutex<Vec<Driver>>,
    free: Semaphore,
    waiting: AtomicUsize,
}

/// A connection on loan. [`Self::give_back`] returns it; dropping it closes it.
pub struct Loan<'a> {
    pub driver: Driver,
    /// It was used before, so the server may have closed it since.
    pub is_used: bool,
    pool: &'a Direct,
    _permit: SemaphorePermit<'a>,
}

impl Direct {
    /// At most `count` connections; none is open yet.
    pub fn new(shared: Arc<Shared>, count: usize) -> Self {
        let idle = Mutex::default();
        let free = Semaphore::new(count.max(1));
        Self { shared, idle, free, waiting: AtomicUsize::new(0) }
    }

    /// Lends a connection as soon as one is free.
    ///
    /// # Errors
    /// Too many callers wait, none came free within [`limits::CONNECT_TIMEOUT`], the store is closed, or the server
    /// cannot be reached.
    pub async fn lend(&self) -> Result<Loan<'_>, StoreError> {
        self.lend_within(limits::CONNECT_TIMEOUT).await
    }

    async fn lend_within(&self, wait: Duration) -> Result<Loan<'_>, StoreError> {
        let waiting = Waiting::enter(&self.waiting);
        if waiting.before >= limits::READS_WAITING_MAX {
            return Err(StoreError::Unavailable("too many reads wait".into()));
        }
        let permit = tokio::time::timeout(wait, self.free.acquire()).await;
        let permit = permit.map_err(|_| StoreError::Unavailable("no connection came free in time".into()))?;
        let permit = permit.map_err(|_| StoreError::Unavailable("the store is closing".into()))?;
        drop(waiting);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let is_used = idle.is_some();
        let driver = match idle {
            Some(driver) => driver,
            None => self.shared.open().await?,
        };
        Ok(Loan { driver, is_used, pool: self, _permit: permit })
    }

    /// Closes the idle connections after one was lost, because they were most likely lost with it.
    pub fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Lends no more, and closes the idle connections.
    pub async fn close(&self) {
        self.free.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for driver in idle {
            drop(tokio::time::timeout(limits::CONNECT_TIMEOUT, driver.connection.disconnect()).await);
        }
    }
}

impl Loan<'_> {
    /// Returns the connection, unless `error` made it unusable.
    pub fn give_back(self, error: Option<&MysqlError>) {
        if error.is_none_or(|error| !error.ends_connection()) {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.driver);
        }
    }
}

/// Counts a waiting caller.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        Self { before: count.fetch_add(1, Ordering::Relaxed), count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mysql::connection::Link;

    #[tokio::test]
    async fn nobody_waits_for_a_connection_for_ever() {
        let shared = Shared::alone(Link::parse("mysql://ana@127.0.0.1:1/x").unwrap());
        let direct = Direct::new(Arc::new(shared), 1);
        let _held = direct.free.acquire().await.unwrap();
        let refused = direct.lend_within(Duration::from_millis(10)).await.map(drop);
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("in time")), "{refused:?}");
        assert_eq!(direct.waiting.load(Ordering::Relaxed), 0);
    }
}
