//! Stands in for `store::sqlite` until it lands: then `use crate::store::sqlite` replaces it and this file goes.

use std::path::Path;

use crate::ids::{RoomId, UserId};
use crate::store::StoreError;

/// What to make.
#[derive(Debug, Clone, Default)]
pub struct SeedPlan {
    /// Users.
    pub users: usize,
    /// Rooms.
    pub rooms: usize,
    /// Members of each room.
    pub members: usize,
    /// How many others each user follows.
    pub follows: usize,
    /// Everybody's password.
    pub password_hash: String,
    /// The database may hold users already.
    pub allow_existing: bool,
}

/// What was made.
#[derive(Debug, Clone, Default)]
pub struct Seeded {
    /// Ids and usernames.
    pub users: Vec<(UserId, String)>,
    /// Rooms with the places of their members in `users`.
    pub rooms: Vec<(RoomId, Vec<usize>)>,
}

fn absent<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("the store has not landed yet".to_owned()))
}

/// The plan's lines.
pub fn migrate(_path: &Path, _dry_run: bool) -> Result<Vec<String>, StoreError> {
    absent()
}

/// Copies the database.
pub fn backup(_from: &Path, _to: &Path) -> Result<(), StoreError> {
    absent()
}

/// Makes all of `plan`.
pub fn seed(_path: &Path, plan: &SeedPlan) -> Result<Seeded, StoreError> {
    let _ = (plan.users, plan.rooms, plan.members, plan.follows, &plan.password_hash, plan.allow_existing);
    absent()
}
