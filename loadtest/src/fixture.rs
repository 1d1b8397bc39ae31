//! The fixture file: users with their tokens, and rooms with their members, as `pregon seed` writes it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Fixture {
    pub users: Vec<User>,
    pub rooms: Vec<Room>,
}

#[derive(Deserialize)]
pub struct User {
    pub id: String,
    pub username: String,
    pub token: String,
}

#[derive(Deserialize)]
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

    /// Whether `rooms` rooms of `members` members can be had.
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
