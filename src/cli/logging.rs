//! Sets up the log: its destination and format.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// From now on the log goes to standard error.
pub fn start(settings: &Settings) -> Result<()> {
    let filter = settings.log_level.parse::<EnvFilter>().context("PREGON_LOG_LEVEL")?;
    // A line that cannot be written (the log's disk is full) is dropped. Without this the subscriber would report the
    // failure with `eprintln!`, which panics and ends the thread that logged.
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let started = match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}
