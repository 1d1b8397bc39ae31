//! The data that demonstrations and load tests fill a database with.

use std::collections::HashSet;

use crate::domain::chat::room::{ChatType, NewRoom};
use crate::domain::user::NewUser;
use crate::ids::{RoomId, Topic, UserId};
use crate::store::StoreError;
use crate::store::sql::accounts::user_row;
use crate::store::sql::{Id, LaneSql, Sql, Table, View, new_rooms};

/// The size of the data.
#[derive(Debug, Clone, Default)]
pub struct SeedPlan {
    /// Users, named `user00001` and so on; numbers that are taken are skipped.
    pub users: usize,
    /// The number of rooms.
    pub rooms: usize,
    /// Members of each room: consecutive users, starting over at the end.
    pub members: usize,
    /// How many of the users after it each user follows.
    pub follows: usize,
    /// The password of all users, as Django stores it.
    pub password_hash: String,
    /// Whether the database may hold users already.
    pub allow_existing: bool,
}

impl SeedPlan {
    /// Refuses a database that holds users, so that it is not filled by mistake.
    pub(super) fn check_names(&self, taken: &Taken, place: &str) -> Result<(), StoreError> {
        if taken.is_empty || self.allow_existing {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{place} already holds users: name a new database, or add to them with --allow-existing"
        )))
    }

    /// Checks that the plan is consistent.
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

/// The data that was made.
#[derive(Debug, Clone, Default)]
pub struct Seeded {
    /// Ids and usernames.
    pub users: Vec<(UserId, String)>,
    /// Rooms, with their members as indexes into `users`. The first is the owner.
    pub rooms: Vec<(RoomId, Vec<usize>)>,
}

/// The relevant content of the database beforehand.
pub struct Taken {
    /// Whether there are no users at all.
    is_empty: bool,
    /// Usernames in the reserved form, in lower case.
    names: HashSet<String>,
}

/// Reads the content of the database.
pub async fn taken<C: Sql>(view: &mut View<'_, C>) -> Result<Taken, C::Error> {
    let is_empty = !view.is_there("SELECT 1 FROM users LIMIT 1", &[]).await?;
    let names = view.rows("SELECT lower(username) FROM users WHERE username LIKE 'user%'", &[], |row| row.text(0));
    Ok(Taken { is_empty, names: names.await?.into_iter().collect() })
}

/// Inserts all of `plan` in the current transaction.
pub async fn fill<D: LaneSql>(view: &mut View<'_, D>, plan: &SeedPlan, taken: &Taken) -> Result<Seeded, D::Error> {
    let names = (1_usize..).map(|number| (number, format!("user{number:05}")));
    let mut names = names.filter(|(_, name)| !taken.names.contains(name));
    let now = view.now;
    let mut seeded = Seeded::default();
    for (number, username) in names.by_ref().take(plan.users) {
        let id: UserId = view.ids.fresh();
        let user = new_user(&username, number, plan);
        view.driver.insert(Table::Users, &user_row(&id, &user, &plan.follows, &now)).await?;
        seeded.users.push((id, username));
    }
    let count = seeded.users.len();
    for (index, (follower, _)) in seeded.users.iter().enumerate() {
        for step in 1..=plan.follows {
            let other = seeded.users[(index + step) % count].0;
            let id: Id = view.ids.fresh();
            view.driver.insert(Table::Follows, &[&id, &now, follower, &other]).await?;
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

async fn insert_room<D: LaneSql>(
    view: &mut View<'_, D>,
    room: usize,
    members: &[usize],
    users: &[(UserId, String)],
) -> Result<RoomId, D::Error> {
    let id: RoomId = view.ids.fresh();
    let now = view.now;
    let new = NewRoom {
        creator: users[members[0]].0,
        chat_type: ChatType::Group,
        name: format!("Room {}", room + 1),
        description: String::new(),
        others: Vec::new(),
    };
    view.driver.insert(Table::Rooms, &new_rooms::room_row(&id, &new, &now)).await?;
    let topic = Topic::Room(id).to_string();
    view.driver.insert(Table::Topics, &new_rooms::topic_row(&topic, &now.0)).await?;
    for (place, member) in members.iter().enumerate() {
        let member = (users[*member].0, if place == 0 { "owner" } else { "member" });
        let row_id: Id = view.ids.fresh();
        view.driver.insert(Table::Participants, &new_rooms::participant_row(&row_id, &member, &id, &now)).await?;
    }
    Ok(id)
}
