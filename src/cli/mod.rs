//! The command line: turns arguments into settings and runs one command.

mod arguments;
mod check;
mod database;
mod finding;
mod keys;
mod logging;
mod operator;
mod output;
mod redis;
mod seed;
mod token;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::arguments::{Command, Flags};
use crate::cli::output::say;
use crate::config::Settings;

/// Runs the command. An error is printed as one sentence on standard error.
pub fn run() -> ExitCode {
    // Only the owner may read the files made from here on: the database with its journal, backups, uploads and their
    // folders.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let (flags, command) = arguments::parse();
    match act(flags, command) {
        Ok(code) => code,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn act(flags: Flags, command: Option<Command>) -> Result<ExitCode> {
    if let Some(Command::Keys { verb }) = &command {
        // Whatever the settings are: the file that one of them names may not exist yet.
        keys::run(verb)?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::load(flags.texts())?;
    match command.unwrap_or(Command::Serve) {
        Command::Serve => {
            logging::start(&settings)?;
            crate::server::run(&settings)?;
        }
        Command::Migrate { dry_run } => {
            database::migrate(&settings, dry_run)?;
        }
        Command::Keys { verb } => keys::run(&verb)?,
        Command::Check => return check::run(&settings),
        Command::Token { user, hours } => token::run(&settings, &user, hours)?,
        Command::Sessions { verb } => return operator::sessions(&settings, &verb),
        Command::Rebalance(pace) => return operator::rebalance(&settings, &pace),
        Command::Seed(plan) => seed::run(&settings, &plan)?,
        Command::Backup { file } => {
            database::backup(&settings.database, &file)?;
            say(&format!("{} is a copy of {}", file.display(), settings.database))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
