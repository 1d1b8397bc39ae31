//! `pregon token`: an access token for development.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::auth::token::Tokens;
use crate::cli::say;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::ids::UserId;

/// Prints the token of a user who exists.
pub fn run(settings: &Settings, user: &str, hours: u32) -> Result<()> {
    let Some(id) = find_user(&settings.database, user)? else {
        bail!("{user:?} is no user of {}: give a username or an id", settings.database.display());
    };
    let tokens = Tokens::new(settings.secret()?.bytes());
    say(&tokens.issue_access_for(id, Timestamp::now(), i64::from(hours) * 3600))?;
    Ok(())
}

fn find_user(database: &Path, user: &str) -> Result<Option<UserId>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || format!("{} cannot be read: start the server once, or run pregon migrate", database.display());
    let connection = Connection::open_with_flags(database, flags).with_context(open)?;
    let id = user.parse::<UserId>().map_or_else(|_| String::new(), UserId::hex);
    let found: Option<String> = connection
        .query_row("SELECT id FROM users WHERE username = ?1 OR id = ?2", [user.to_lowercase(), id], |row| row.get(0))
        .optional()
        .with_context(open)?;
    Ok(found.and_then(|text| text.parse().ok()))
}
