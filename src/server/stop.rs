//! Handles signals, and ends the sessions and requests of a server.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::access::lifecycle::{Lifecycle, Phase};
use crate::engine::shard::port::{Inbox, ToShard};
use crate::server::rest::UnderWay;

/// How long the shards' threads may take to end, after the drain window or after the last answer is made. Sessions that
/// do not take their goodbye have been reset by then.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer answers may take to be made. A busy machine needs seconds for one password.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(60);

const NO_SIGNALS: &str = "the system does not deliver signals";

/// From now on, signals that would end the process by default are ignored; all but SIGXFSZ write a line in the log.
pub(super) fn ignore_others(control: &Runtime) -> anyhow::Result<()> {
    let ignored = Ignored::install(control).context(NO_SIGNALS)?;
    control.spawn(crate::telemetry::alarm::watched("the listener to signals", ignored.listen()));
    Ok(())
}

struct Ignored {
    reload: Signal,
    user: [Signal; 2],
    /// When a file reaches its limit (`ulimit -f`, a container's quota), the write fails with an error, as on a full
    /// disk.
    file_limit: Signal,
}

impl Ignored {
    fn install(control: &Runtime) -> io::Result<Self> {
        let _entered = control.enter();
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            user: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
            file_limit: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    async fn listen(mut self) {
        let [first, second] = &mut self.user;
        loop {
            tokio::select! {
                _ = self.reload.recv() => {
                    tracing::info!("SIGHUP: files of keys and certificates are read again; other settings are read at the start alone");
                }
                _ = first.recv() => tracing::info!("SIGUSR1 is ignored"),
                _ = second.recv() => tracing::info!("SIGUSR2 is ignored"),
                _ = self.file_limit.recv() => {}
            }
        }
    }
}

/// The signals that stop a server. Before they are listened to, each of them ends the process at once.
pub(super) struct Stops {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
}

impl Stops {
    /// From now on the signals are noticed, even before anybody waits for them. Called before the server says that it
    /// is ready.
    pub(super) fn listen(control: &Runtime) -> anyhow::Result<Self> {
        let _entered = control.enter();
        let listen = |kind| signal(kind).context(NO_SIGNALS);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            quit: listen(SignalKind::quit())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of the signals. Returns how long the sessions have to go.
    async fn window(mut self, usual: Duration) -> Duration {
        tokio::select! {
            _ = self.terminate.recv() => usual,
            _ = self.quit.recv() => usual,
            _ = self.interrupt.recv() => Duration::ZERO,
        }
    }
}

/// Waits for a signal, then ends the sessions: spread over the window after SIGTERM and SIGQUIT, at once after SIGINT.
///
/// # Errors
/// When the server cannot go on: says why, as soon as that is known.
pub(super) async fn stop(
    stops: Stops,
    lifecycle: &Lifecycle,
    inboxes: &[Arc<Inbox>],
    window: Duration,
    shards: Vec<JoinHandle<()>>,
    under_way: &UnderWay,
) -> anyhow::Result<()> {
    tokio::select! {
        stopped = drain(stops, lifecycle, inboxes, window, shards, under_way) => stopped,
        reason = crate::telemetry::alarm::raised() => anyhow::bail!("the server cannot go on: {reason}"),
    }
}

async fn drain(
    stops: Stops,
    lifecycle: &Lifecycle,
    inboxes: &[Arc<Inbox>],
    window: Duration,
    shards: Vec<JoinHandle<()>>,
    under_way: &UnderWay,
) -> anyhow::Result<()> {
    let window = stops.window(window).await;
    tracing::info!(seconds = window.as_secs(), "draining");
    lifecycle.enter(Phase::Draining);
    for inbox in inboxes {
        let inbox = inbox.clone();
        let _ = tokio::task::spawn_blocking(move || inbox.send(ToShard::Drain(window))).await;
    }
    let mut joined = tokio::task::spawn_blocking(move || shards.into_iter().for_each(|shard| drop(shard.join())));
    if timeout(window + STOP_TIMEOUT, &mut joined).await.is_ok() {
        return Ok(());
    }
    tracing::info!("requests are still being answered");
    let are_made = timeout(ANSWERS_TIMEOUT, under_way.none()).await.is_ok();
    if !are_made || timeout(STOP_TIMEOUT, joined).await.is_err() {
        tracing::warn!("some requests were not answered in time");
    }
    Ok(())
}
