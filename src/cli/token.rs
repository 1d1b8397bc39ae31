//! `pregon token`: an access token for development.

use anyhow::{Result, bail};

use crate::cli::database;
use crate::cli::output::say;
use crate::clock::Timestamp;
use crate::config::Settings;

/// Prints the token of a user who exists.
pub fn run(settings: &Settings, user: &str, hours: u32) -> Result<()> {
    let Some(id) = database::find_user(&settings.database, user)? else {
        bail!("{user:?} is not a user of {}: give a username or an id", settings.database);
    };
    let tokens = settings.tokens()?;
    say(&tokens.issue_access_for(id, Timestamp::now(), i64::from(hours) * 3600))?;
    Ok(())
}
