//! Starts the sweeps: tasks that look at what other programs may have changed, and tasks that tidy up the process
//! itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::config::{Database, Settings};
use crate::limits::{MEDIA_SWEEP, PARTICIPANT_SWEEP};
use crate::rest::uploads::orphans;
use crate::server::delivery::Delivery;
use crate::server::front::Front;
use crate::server::storage::Storage;
use crate::server::{active_check, ended_logins, participants, people_index};
use crate::telemetry::{Registry, alarm};

/// Starts all sweeps. `every` turns the usual interval of a sweep into the one to use; it is shorter beside Django.
pub(super) fn start(
    settings: &Settings,
    every: impl Fn(Duration) -> Duration,
    storage: &Storage,
    delivery: &Delivery,
    front: &Front,
    control: &Handle,
) {
    let (store, routes, inboxes) = (&storage.store, &delivery.routes, &delivery.inboxes);
    let active_every = every(settings.active_check);
    let sweep = active_check::sweep(store.clone(), routes.clone(), inboxes.clone(), active_every);
    control.spawn(alarm::watched("the look at active users", sweep));
    let sweep = ended_logins::sweep(store.clone(), inboxes.clone(), front.logins_bell.clone(), active_every);
    control.spawn(alarm::watched("the look at logins that have ended", sweep));
    let sweep = participants::sweep(store.clone(), inboxes.clone(), every(PARTICIPANT_SWEEP));
    control.spawn(alarm::watched("the look at participants", sweep));
    // Only where the database is pregon's own: another program may refer to a file in tables that pregon does not read.
    if matches!(settings.database, Database::Sqlite(_)) {
        let media_every = settings.media_sweep.then_some(MEDIA_SWEEP);
        let sweep = orphans::collect(store.clone(), storage.media.clone(), media_every);
        control.spawn(alarm::watched("the look at unnamed uploads", sweep));
    }
    control.spawn(alarm::watched("the look at names", people_index::keep(store.clone())));
}

/// Starts the task that keeps histograms small and measures the database's files.
pub(super) fn start_upkeep(settings: &Settings, registry: Registry, control: &Handle) {
    let upkeep = upkeep(registry, settings.database.file().map(Path::to_owned));
    control.spawn(alarm::watched("the upkeep of metrics", upkeep));
}

/// Keeps histograms from growing, and measures the database's files.
async fn upkeep(registry: Registry, database: Option<PathBuf>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        registry.upkeep();
        crate::telemetry::tell_left_out();
        let Some(database) = &database else { continue };
        let mut log = database.clone().into_os_string();
        log.push("-wal");
        for (name, path) in [("pregon_database_bytes", database.as_path()), ("pregon_wal_bytes", Path::new(&log))] {
            let bytes = tokio::fs::metadata(path).await.map_or(0, |file| file.len());
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
            metrics::gauge!(name).set(bytes as f64);
        }
    }
}
