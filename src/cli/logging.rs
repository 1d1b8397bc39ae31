//! Where log lines go, and how they look.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// To standard error, from now on.
pub fn start(settings: &Settings) -> Result<()> {
    let filter = settings.log_level.parse::<EnvFilter>().context("PREGON_LOG_LEVEL")?;
    // A line that cannot be written (the log's disk is full) is lost. Otherwise the subscriber would complain on standard
    // error with `eprintln!`, which panics, and take the thread along that had something to say.
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let started = match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}
