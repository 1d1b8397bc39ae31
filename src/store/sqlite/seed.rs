//! Users, rooms and follows in bulk, for demonstrations and load tests.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::clock::Timestamp;
use crate::domain::chat::room::{ChatType, NewRoom};
use crate::domain::user::NewUser;
use crate::ids::{RoomId, UserId};
use crate::store::StoreError;
use crate::store::sqlite::accounts::{insert_follow, insert_user};
use crate::store::sqlite::{connection, migrate, rooms};

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
    pub(in crate::store) fn check(&self) -> Result<(), StoreError> {
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

/// Makes all of `plan` in one transaction, in a file that is made if need be.
///
/// # Errors
/// The plan does not add up, the file holds users already, or the database failed. Nothing is written then.
pub fn seed(path: &Path, plan: &SeedPlan) -> Result<Seeded, StoreError> {
    plan.check()?;
    migrate::migrate(path, false)?;
    let mut connection = connection::open(path, connection::Role::Writer)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let holds_users: bool = transaction.query_row("SELECT EXISTS (SELECT 1 FROM users)", [], |row| row.get(0))?;
    if holds_users && !plan.allow_existing {
        return Err(StoreError::Unavailable(format!(
            "{} holds users already: name a new file, or add to them with --allow-existing",
            path.display()
        )));
    }
    let seeded = fill(&transaction, plan, Timestamp::now())?;
    transaction.commit()?;
    Ok(seeded)
}

fn fill(connection: &Connection, plan: &SeedPlan, now: Timestamp) -> rusqlite::Result<Seeded> {
    let mut seeded = Seeded::default();
    let mut number = 0;
    while seeded.users.len() < plan.users {
        number += 1;
        let username = format!("user{number:05}");
        if !connection.prepare_cached("SELECT 1 FROM users WHERE username = ?1")?.exists([&username])? {
            let id = UserId::fresh();
            insert_user(connection, id, &new_user(&username, number, plan), now)?;
            seeded.users.push((id, username));
        }
    }
    let count = seeded.users.len();
    for (index, (follower, _)) in seeded.users.iter().enumerate() {
        for step in 1..=plan.follows {
            insert_follow(connection, *follower, seeded.users[(index + step) % count].0, now)?;
        }
    }
    for room in 0..plan.rooms {
        let members: Vec<usize> = (0..plan.members).map(|member| (room * plan.members + member) % count).collect();
        let id = insert_room(connection, room, &members, &seeded.users, now)?;
        seeded.rooms.push((id, members));
    }
    Ok(seeded)
}

fn new_user(username: &str, number: usize, plan: &SeedPlan) -> NewUser {
    NewUser {
        email: format!("user{number}@example.com"),
        username: username.to_owned(),
        display_name: format!("User {number}"),
        password_hash: plan.password_hash.clone(),
        account_type: "user".to_owned(),
        ..NewUser::default()
    }
}

fn insert_room(
    connection: &Connection,
    room: usize,
    members: &[usize],
    users: &[(UserId, String)],
    now: Timestamp,
) -> rusqlite::Result<RoomId> {
    let new = NewRoom {
        creator: users[members[0]].0,
        chat_type: ChatType::Group,
        name: format!("Room {}", room + 1),
        description: String::new(),
        others: members[1..].iter().map(|member| users[*member].0).collect(),
    };
    rooms::insert_room(connection, &new, now)
}
