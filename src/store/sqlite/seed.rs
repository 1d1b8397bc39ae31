//! Users, rooms and follows in bulk, for demonstrations and load tests.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clock::Timestamp;
use crate::domain::chat::room::{ChatType, NewRoom};
use crate::domain::user::NewUser;
use crate::ids::{RoomId, UserId};
use crate::store::StoreError;
use crate::store::caches::Caches;
use crate::store::seed::{SeedPlan, Seeded};
use crate::store::sql::{accounts, at_once, new_rooms, people};
use crate::store::sqlite::driver::View;
use crate::store::sqlite::{connection, migrate};

/// Makes all of `plan` in one transaction, in a file that is made if need be.
///
/// # Errors
/// The plan does not add up, the file holds users already, or the database failed. Nothing is written then.
pub fn seed(path: &Path, plan: &SeedPlan) -> Result<Seeded, StoreError> {
    plan.check()?;
    migrate::migrate(path, false)?;
    let mut connection = connection::open(path, connection::Role::Writer)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let holds_users: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM users)", [], |row| row.get(0))?;
    if holds_users && !plan.allow_existing {
        return Err(StoreError::Unavailable(format!(
            "{} holds users already: name a new file, or add to them with --allow-existing",
            path.display()
        )));
    }
    let caches = Caches::default();
    let (now, changed) = (Timestamp::now(), BTreeSet::new());
    let mut view = View { driver: &mut connection, caches: &caches, now, shown_reactions: 0, changed };
    let seeded = at_once(fill(&mut view, plan))?;
    connection.execute_batch("COMMIT")?;
    Ok(seeded)
}

async fn fill(view: &mut View<'_>, plan: &SeedPlan) -> rusqlite::Result<Seeded> {
    let mut seeded = Seeded::default();
    let mut number = 0;
    while seeded.users.len() < plan.users {
        number += 1;
        let username = format!("user{number:05}");
        if people::id_of_name(view, &username).await?.is_none() {
            let id = UserId::fresh();
            accounts::insert_user(view, id, &new_user(&username, number, plan)).await?;
            seeded.users.push((id, username));
        }
    }
    let count = seeded.users.len();
    for (index, (follower, _)) in seeded.users.iter().enumerate() {
        for step in 1..=plan.follows {
            let (other, now) = (seeded.users[(index + step) % count].0, view.now);
            accounts::insert_follow(view, *follower, other, now).await?;
        }
    }
    for room in 0..plan.rooms {
        let members: Vec<usize> = (0..plan.members).map(|member| (room * plan.members + member) % count).collect();
        let id = insert_room(view, room, &members, &seeded.users).await?;
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

async fn insert_room(
    view: &mut View<'_>,
    room: usize,
    members: &[usize],
    users: &[(UserId, String)],
) -> rusqlite::Result<RoomId> {
    let new = NewRoom {
        creator: users[members[0]].0,
        chat_type: ChatType::Group,
        name: format!("Room {}", room + 1),
        description: String::new(),
        others: members[1..].iter().map(|member| users[*member].0).collect(),
    };
    let id = RoomId::fresh();
    new_rooms::insert(view, id, &new).await.map(|()| id)
}
