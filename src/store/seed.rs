//! What demonstrations and load tests fill a database with.

use crate::ids::{RoomId, UserId};
use crate::store::StoreError;

/// What to make.
#[derive(Debug, Clone, Default)]
pub struct SeedPlan {
    /// Users, named `user00001` and so on; numbers that are taken are passed over.
    pub users: usize,
    /// Rooms.
    pub rooms: usize,
    /// Members of each room: consecutive users, wrapping round.
    pub members: usize,
    /// How many others each user follows: those after it.
    pub follows: usize,
    /// Everybody's password, as Django writes it.
    pub password_hash: String,
    /// The database may hold users already.
    pub allow_existing: bool,
}

impl SeedPlan {
    /// Does it add up?
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.rooms > 0 && !(1..=self.users).contains(&self.members) {
            return Err(StoreError::Unavailable(format!(
                "rooms of {} members need as many users, and there are {}: ask for fewer members or more users",
                self.members, self.users
            )));
        }
        if self.users > 0 && self.follows >= self.users {
            return Err(StoreError::Unavailable(format!(
                "{} users can follow {} others at most: ask for fewer follows",
                self.users,
                self.users - 1
            )));
        }
        Ok(())
    }
}

/// What was made.
#[derive(Debug, Clone, Default)]
pub struct Seeded {
    /// Ids and usernames.
    pub users: Vec<(UserId, String)>,
    /// Rooms with the places of their members in `users`. The first is the owner.
    pub rooms: Vec<(RoomId, Vec<usize>)>,
}
