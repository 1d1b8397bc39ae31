//! Runs one load at a time, however many threads run tests.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other load of this process runs; the turn lasts until the guard is dropped.
pub async fn mine() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().await;
    open_many_files();
    turn
}

/// The same outside a runtime.
pub fn mine_blocking() -> MutexGuard<'static, ()> {
    let turn = TURN.blocking_lock();
    open_many_files();
    turn
}

/// Lets this process and the servers it starts open as many files as the system allows.
fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}
