//! `pregon seed`: creates users and rooms in bulk, and writes their tokens to a file for demonstrations and load tests.

use std::fs::{OpenOptions, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::access::password;
use crate::cli::arguments::SeedArguments;
use crate::cli::database;
use crate::cli::output::say;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::ids::{RoomId, UserId};
use crate::store::sqlite::SeedPlan;

#[derive(Serialize)]
struct Fixture<'a> {
    users: Vec<FixtureUser<'a>>,
    rooms: Vec<FixtureRoom<'a>>,
}

#[derive(Serialize)]
struct FixtureUser<'a> {
    id: UserId,
    username: &'a str,
    token: String,
}

#[derive(Serialize)]
struct FixtureRoom<'a> {
    id: RoomId,
    members: &'a [usize],
}

/// The members of a room if none are given and there are enough users.
const MEMBERS: usize = 100;

/// Creates the data and writes `{"users":[{"id","username","token"}],"rooms":[{"id","members"}]}`.
pub fn run(settings: &Settings, plan: &SeedArguments) -> Result<()> {
    let tokens = settings.tokens()?;
    // The file is opened first, so that nothing is created if it cannot be written. An existing file keeps its content
    // for now.
    let is_new = !plan.out.exists();
    let unwritable = || format!("{} cannot be written", plan.out.display());
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&plan.out).with_context(unwritable)?;
    let seed_plan = SeedPlan {
        users: plan.users,
        rooms: plan.rooms,
        members: plan.members.unwrap_or(MEMBERS.min(plan.users)),
        follows: plan.follows,
        password_hash: password::encode(&plan.password, password::ITERATIONS),
        allow_existing: plan.allow_existing,
    };
    let seeded = database::seed(&settings.database, settings.zone, &seed_plan).inspect_err(|_| {
        if is_new {
            let _ = std::fs::remove_file(&plan.out);
        }
    })?;
    let now = Timestamp::now();
    let seconds = i64::from(plan.token_hours) * 3600;
    let users = seeded.users.iter().map(|(id, username)| FixtureUser {
        id: *id,
        username,
        token: tokens.issue_access_for(*id, now, seconds),
    });
    let fixture = Fixture {
        users: users.collect(),
        rooms: seeded.rooms.iter().map(|(id, members)| FixtureRoom { id: *id, members }).collect(),
    };
    // Only now is the old content removed: if the database refused the data, the file still holds the tokens of the
    // earlier run.
    if file.metadata().with_context(unwritable)?.is_file() {
        file.set_len(0).and_then(|()| file.set_permissions(Permissions::from_mode(0o600))).with_context(unwritable)?;
    }
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(&mut writer, &fixture).with_context(unwritable)?;
    writer.flush().with_context(unwritable)?;
    say(&format!(
        "{} users (password {:?}) and {} rooms in {}; ids and tokens in {}",
        fixture.users.len(),
        plan.password,
        fixture.rooms.len(),
        settings.database,
        plan.out.display()
    ))?;
    Ok(())
}
