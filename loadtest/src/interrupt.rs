//! Ctrl-C and SIGTERM: the run stops measuring and reports what it has. A second signal ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code of a run that was cut off.
pub const EXIT_CUT_OFF: u8 = 3;

/// The longest time between two checks of the flag while waiting.
const LOOK: Duration = Duration::from_millis(50);

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Starts to listen for the signals.
pub fn listen() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order, so that only the second signal finds the flag set.
        flag::register_conditional_shutdown(signal, EXIT_CUT_OFF.into(), Arc::clone(&ASKED)).context("a signal")?;
        flag::register(signal, Arc::clone(&ASKED)).context("a signal")?;
    }
    Ok(())
}

/// Whether the run should stop.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Fails if the run should stop, for steps before there is anything to report.
pub fn check(what: &str) -> Result<()> {
    if is_asked() {
        bail!("cut off while {what}: nothing was measured yet");
    }
    Ok(())
}

/// Sleeps, but wakes at the signal.
pub fn sleep(time: Duration) {
    let until = Instant::now() + time;
    while !is_asked() {
        match until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(LOOK)),
            _ => return,
        }
    }
}
