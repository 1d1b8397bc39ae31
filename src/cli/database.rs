//! The commands that work on the database, SQLite or MySQL.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::cli::output::say;
use crate::clock::Zone;
use crate::config::{Database, Settings};
use crate::ids::UserId;
use crate::store::mysql::{self, IdForm, Step};
use crate::store::sqlite::{self, SeedPlan, Seeded};

/// Runs a server's asynchronous code on an event loop of its own.
fn block_on<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T>
where
    E: Into<anyhow::Error>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    runtime.block_on(work).map_err(Into::into)
}

/// Applies the migrations, unless it is a dry run, and prints the plan afterwards.
pub fn migrate(settings: &Settings, dry_run: bool) -> Result<()> {
    match &settings.database {
        Database::Sqlite(file) => {
            if !dry_run {
                sqlite::migrate(file, false)?;
            }
            sqlite::migrate(file, true)?.iter().try_for_each(|line| say(&line.to_string()))?;
        }
        Database::Mysql(link) => {
            // Only before the first migration do the tables show which program made them.
            let zone_to_set = settings.zone_to_set(&block_on(mysql::plan(link))?);
            if !dry_run {
                block_on(mysql::migrate(link, IdForm::Fitting))?;
            }
            block_on(mysql::plan(link))?.iter().try_for_each(|line| say(&line.to_string()))?;
            zone_to_set.map_or(Ok(()), |sentence| say(&sentence))?;
            block_on(mysql::characters_to_change(link))?.map_or(Ok(()), |sentence| say(&sentence))?;
        }
    }
    Ok(())
}

/// The number of pending migrations, and other work that is needed before the database can be served.
pub fn steps_to_do(settings: &Settings) -> Result<(usize, Option<String>)> {
    Ok(match &settings.database {
        Database::Sqlite(file) => {
            (sqlite::migrate(file, true)?.iter().filter(|line| line.applied.is_none()).count(), None)
        }
        Database::Mysql(link) => {
            let plan = block_on(mysql::plan(link))?;
            (plan.iter().filter(|line| line.step == Step::ToDo).count(), settings.zone_to_set(&plan))
        }
    })
}

/// What to do about columns that cannot store all characters.
pub fn characters_to_change(settings: &Settings) -> Result<Option<String>> {
    match &settings.database {
        Database::Sqlite(_) => Ok(None),
        Database::Mysql(link) => block_on(mysql::characters_to_change(link)),
    }
}

/// Other servers that say that they run on this database; `None` where the file itself lets one in alone.
pub fn servers(settings: &Settings) -> Result<Option<Vec<mysql::SeenNode>>> {
    match &settings.database {
        Database::Sqlite(_) => Ok(None),
        Database::Mysql(link) => block_on(mysql::nodes(link)).map(Some),
    }
}

/// What the database says of its replicas; `None` where it cannot have any.
pub fn semi_sync(settings: &Settings) -> Result<Option<mysql::SemiSync>> {
    match &settings.database {
        Database::Sqlite(_) => Ok(None),
        Database::Mysql(link) => block_on(mysql::semi_sync(link)).map(Some),
    }
}

/// The user with this username or id.
pub fn find_user(database: &Database, user: &str) -> Result<Option<UserId>> {
    match database {
        Database::Sqlite(file) => find_in_file(file, user),
        Database::Mysql(link) => block_on(mysql::find_user(link, user)),
    }
}

fn find_in_file(database: &Path, user: &str) -> Result<Option<UserId>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || format!("cannot read {}: start the server once, or run pregon migrate", database.display());
    let connection = Connection::open_with_flags(database, flags).with_context(open)?;
    let id = user.parse::<UserId>().map_or_else(|_| String::new(), UserId::hex);
    let found: Option<String> = connection
        .query_row("SELECT id FROM users WHERE username = ?1 OR id = ?2", [user.to_lowercase(), id], |row| row.get(0))
        .optional()
        .with_context(open)?;
    Ok(found.and_then(|text| text.parse().ok()))
}

/// Creates the data that `plan` describes.
pub fn seed(database: &Database, zone: Zone, plan: &SeedPlan) -> Result<Seeded> {
    match database {
        Database::Sqlite(file) => Ok(sqlite::seed(file, plan)?),
        Database::Mysql(link) => {
            block_on(mysql::require_migrated(link))?;
            block_on(mysql::seed(link, zone, plan))
        }
    }
}

/// Copies the database into a new file.
pub fn backup(database: &Database, to: &Path) -> Result<()> {
    match database {
        Database::Sqlite(file) => Ok(sqlite::backup(file, to)?),
        Database::Mysql(link) => bail!(
            "pregon copies SQLite files only: copy {} with mariadb-dump --single-transaction (or mysqldump)",
            link.place()
        ),
    }
}
