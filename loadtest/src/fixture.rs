//! The fixture file: users with their tokens, and rooms with their members, in the format of `pregon seed`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub struct Fixture {
    pub users: Vec<User>,
    pub rooms: Vec<Room>,
    /// The password of all users, if this program made them; used to log them in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

#[derive(Deserialize, Serialize)]
pub struct User {
    pub id: String,
    pub username: String,
    pub token: String,
}

#[derive(Deserialize, Serialize)]
pub struct Room {
    pub id: String,
    /// Positions in `users`.
    pub members: Vec<usize>,
}

impl Fixture {
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the fixture {}", path.display()))?;
        let fixture: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not a fixture of `pregon seed`", path.display()))?;
        let users = fixture.users.len();
        for room in &fixture.rooms {
            if let Some(member) = room.members.iter().find(|member| **member >= users) {
                bail!("room {} names user {member} of {users}", room.id);
            }
        }
        Ok(fixture)
    }

    /// Checks that it could be saved there. An existing file keeps its content.
    pub fn check_writable(path: &Path) -> Result<()> {
        let is_new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        file.with_context(|| format!("cannot write the fixture {}", path.display()))?;
        if is_new {
            std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Only this user may read the file, because it holds tokens.
    pub fn save(&self, path: &Path) -> Result<()> {
        let unwritable = || format!("cannot write the fixture {}", path.display());
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(path).with_context(unwritable)?;
        let json = serde_json::to_vec(self).context("the fixture as JSON")?;
        file.write_all(&json).with_context(unwritable)
    }

    /// Checks that it has `rooms` rooms of `members` members.
    pub fn check_size(&self, rooms: usize, members: usize) -> Result<()> {
        let fit = self.rooms.iter().take(rooms);
        let fit = fit.filter(|room| room.members.len() >= members).count();
        if fit < rooms {
            bail!(
                "the fixture has {} rooms, {fit} of the first {rooms} with {members} members; make one \
                 with: pregon seed --users N --rooms {rooms} --members {members} --out FILE",
                self.rooms.len()
            );
        }
        Ok(())
    }

    pub fn user(&self, room: usize, member: usize) -> &User {
        &self.users[self.rooms[room].members[member]]
    }
}
