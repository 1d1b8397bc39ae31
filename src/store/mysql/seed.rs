//! Users, rooms and follows in bulk, for demonstrations and load tests.

use std::collections::HashSet;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::clock::Timestamp;
use crate::clock::Zone;
use crate::ids::{RoomId, Topic, UserId};
use crate::store::StoreError;
use crate::store::mysql::connection::{Link, MysqlError};
use crate::store::mysql::literal::Insert;
use crate::store::seed::{SeedPlan, Seeded};
use crate::store::sql::Id;

/// Bytes of rows at which a statement is sent: well below what every server takes at once.
const STATEMENT_BYTES: usize = 512 * 1024;

/// Makes all of `plan` in one transaction, in a database that has been migrated.
///
/// # Errors
/// The plan does not add up, the database holds users already, or it failed. Nothing is written then.
pub async fn seed(link: &Link, zone: Zone, plan: &SeedPlan) -> Result<Seeded, StoreError> {
    plan.check()?;
    let mut connection = link.open().await.map_err(|error| link.opening(&error))?;
    let taken: HashSet<String> = names(&mut connection).await?;
    if !taken.is_empty() && !plan.allow_existing {
        return Err(StoreError::Unavailable(format!(
            "{} holds users already: name a new database, or add to them with --allow-existing",
            link.place()
        )));
    }
    let seeded = invent(plan, &taken);
    fill(connection, zone, plan, &seeded).await?;
    Ok(seeded)
}

/// Names that are taken, in lower case. Of other users one is enough to know that there are some.
async fn names(connection: &mut Conn) -> Result<HashSet<String>, MysqlError> {
    let sql = "SELECT lower(username) FROM users WHERE username LIKE 'user%' \
        UNION (SELECT lower(username) FROM users LIMIT 1)";
    Ok(connection.query::<String, _>(sql).await?.into_iter().collect())
}

fn invent(plan: &SeedPlan, taken: &HashSet<String>) -> Seeded {
    let names = (1_usize..).map(|number| format!("user{number:05}")).filter(|name| !taken.contains(name));
    let users: Vec<(UserId, String)> = names.take(plan.users).map(|name| (UserId::fresh(), name)).collect();
    let members = |room: usize| (0..plan.members).map(|member| (room * plan.members + member) % plan.users).collect();
    let rooms = (0..plan.rooms).map(|room| (RoomId::fresh(), members(room))).collect();
    Seeded { users, rooms }
}

async fn fill(connection: Conn, zone: Zone, plan: &SeedPlan, seeded: &Seeded) -> Result<(), MysqlError> {
    let mut bulk = Bulk { connection, zone };
    // Without a COMMIT the connection's end takes everything back.
    bulk.connection.query_drop("START TRANSACTION").await?;
    users_and_follows(&mut bulk, plan, seeded, Timestamp::now()).await?;
    rooms(&mut bulk, seeded, Timestamp::now()).await?;
    bulk.connection.query_drop("COMMIT").await?;
    Ok(())
}

struct Bulk {
    connection: Conn,
    zone: Zone,
}

impl Bulk {
    /// Inserts what `row` makes of `items`, in statements of a size that every server takes.
    async fn insert<T>(
        &mut self,
        head: &'static str,
        items: impl Iterator<Item = T>,
        row: impl Fn(&mut Insert, Zone, T),
    ) -> Result<(), MysqlError> {
        let mut insert = Insert::new(head, "");
        for item in items {
            row(&mut insert, self.zone, item);
            if insert.len() > STATEMENT_BYTES {
                self.send(&mut insert).await?;
            }
        }
        self.send(&mut insert).await
    }

    async fn send(&mut self, insert: &mut Insert) -> Result<(), MysqlError> {
        let mut sql = String::new();
        insert.move_to(&mut sql);
        if !sql.is_empty() {
            self.connection.query_drop(sql).await?;
        }
        Ok(())
    }
}

async fn users_and_follows(
    bulk: &mut Bulk,
    plan: &SeedPlan,
    seeded: &Seeded,
    now: Timestamp,
) -> Result<(), MysqlError> {
    const USER: &str = "INSERT INTO users (id, password, last_login, is_superuser, first_name, last_name, is_staff, \
        is_active, date_joined, email, username, display_name, avatar, cover_photo, bio, position, team, \
        contact_number, interests, social_links, is_private, show_email, show_phone, followers_count, \
        following_count, posts_count, created_at, updated_at, last_active, is_verified, email_verified, account_type, \
        company_name, industry, website) VALUES ";
    const FOLLOW: &str = "INSERT INTO user_follows (id, created_at, follower_id, following_id) VALUES ";
    let users = &seeded.users;
    let insert_user = |insert: &mut Insert, zone: Zone, (id, username): &(UserId, String)| {
        let number = username.trim_start_matches("user").trim_start_matches('0');
        let (email, display_name) = (format!("user{number}@example.com"), format!("User {number}"));
        let (none, empty, list, no, yes) = (None::<u32>, "", "[]", false, true);
        insert.row(
            zone,
            &[
                id,
                &plan.password_hash,
                &none,
                &no,
                &empty,
                &empty,
                &no,
                &yes,
                &now,
                &email,
                username,
                &display_name,
                &none,
                &none,
                &empty,
                &empty,
                &empty,
                &empty,
                &list,
                &list,
                &no,
                &no,
                &no,
                &plan.follows,
                &plan.follows,
                &0_u32,
                &now,
                &now,
                &now,
                &no,
                &no,
                &"user",
                &empty,
                &empty,
                &empty,
            ],
        );
    };
    bulk.insert(USER, users.iter(), insert_user).await?;
    let after = |(index, (user, _)): (usize, &(UserId, String))| {
        let user = *user;
        (1..=plan.follows).map(move |step| (user, users[(index + step) % users.len()].0))
    };
    let insert_follow = |insert: &mut Insert, zone: Zone, (user, other): (UserId, UserId)| {
        insert.row(zone, &[&Id::fresh(), &now, &user, &other]);
    };
    bulk.insert(FOLLOW, users.iter().enumerate().flat_map(after), insert_follow).await
}

async fn rooms(bulk: &mut Bulk, seeded: &Seeded, now: Timestamp) -> Result<(), MysqlError> {
    const ROOM: &str = "INSERT INTO chat_rooms (id, name, chat_type, description, avatar, is_active, created_at, \
        updated_at, last_activity, created_by_id) VALUES ";
    const TOPIC: &str = "INSERT INTO pregon_topics (topic, epoch, seq, last_at) VALUES ";
    const PARTICIPANT: &str = "INSERT INTO chat_participants (id, role, other_user_nickname, chat_background, \
        chat_color, other_message_color, notifications_enabled, sound_enabled, is_muted, is_blocked, joined_at, \
        last_read_at, user_id, chat_room_id) VALUES ";
    let (empty, no, yes) = ("", false, true);
    let user = |member: &usize| seeded.users[*member].0;
    let insert_room = |insert: &mut Insert, zone: Zone, (number, (id, members)): (usize, &(RoomId, Vec<usize>))| {
        let (name, owner, none) = (format!("Room {}", number + 1), user(&members[0]), None::<u32>);
        insert.row(zone, &[id, &name, &"group", &empty, &none, &yes, &now, &now, &now, &owner]);
    };
    bulk.insert(ROOM, seeded.rooms.iter().enumerate(), insert_room).await?;
    let insert_topic = |insert: &mut Insert, zone: Zone, (id, _): &(RoomId, Vec<usize>)| {
        insert.row(zone, &[&Topic::Room(*id).to_string(), &1_u32, &0_u32, &now.0]);
    };
    bulk.insert(TOPIC, seeded.rooms.iter(), insert_topic).await?;
    let places = seeded.rooms.iter().flat_map(|(id, members)| members.iter().enumerate().map(move |of| (*id, of)));
    let insert_participant = |insert: &mut Insert, zone: Zone, (room, (place, member)): (RoomId, (usize, &usize))| {
        let role = if place == 0 { "owner" } else { "member" };
        insert.row(
            zone,
            &[
                &Id::fresh(),
                &role,
                &empty,
                &empty,
                &empty,
                &empty,
                &yes,
                &yes,
                &no,
                &no,
                &now,
                &now,
                &user(member),
                &room,
            ],
        );
    };
    bulk.insert(PARTICIPANT, places, insert_participant).await
}
