//! What a shared database demands of its store: its zone, its collation, foreign rows and missing tables.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::private::MariaDb;
use crate::support::{FIRST_PAGE, Ids, Maria, World, committed, new_user, refusal, send, sent};
use pregon::clock::{JsonTimes, Timestamp, Zone};
use pregon::domain::chat::message::{MessageType, ReactionType};
use pregon::domain::chat::room::ChatType;
use pregon::domain::chat::write::{Action, Transport};
use pregon::domain::feed::post::{Category, PostList, PostReactionType};
use pregon::domain::feed::write::Action as FeedAction;
use pregon::domain::notification::NotificationType;
use pregon::domain::user::NewUser;
use pregon::domain::write::Refusal;
use pregon::ids::{CommentId, NotificationId, Topic};
use pregon::limits;
use pregon::store::django::Beside;
use pregon::store::mysql::{self, Link};
use pregon::store::sqlite::SeedPlan;
use pregon::store::{RegisterError, StoreError};

/// A world whose database is known to be MariaDB.
async fn world(maria: Maria) -> (World, Maria) {
    (World::new(Box::new(maria.clone())).await, maria)
}

fn cache_seconds() -> Duration {
    Duration::from_secs(u64::try_from(limits::ADMISSION_CACHE_SECONDS).unwrap())
}

#[tokio::test]
async fn times_hang_in_the_databases_zone() {
    let (world, maria) = world(Maria::in_zone(Ids::Char, "America/Bogota")).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    let first = sent(&world.write(users[0], room, send("hola")).await);
    let stored = maria.texts(&format!("SELECT created_at FROM messages WHERE id = '{}'", first.id.hex())).await;
    // Five hours behind UTC all year round.
    let expected = first.created_at.plus_seconds(-5 * 3600).database_text();
    assert_eq!(stored, [expected]);
    world.clock.advance(Duration::from_secs(1));
    let second = sent(&world.write(users[0], room, send("otra")).await);
    let since = world.store.messages(users[1], room, Some(first.created_at), FIRST_PAGE).await.unwrap();
    assert_eq!((since.count, since.rows[0].id, since.rows[0].created_at), (1, second.id, second.created_at));
    // A client may ask for any moment.
    for (since, count) in [("-262142-01-01 00:00:00", 2), ("0000-01-01 00:00:00", 2), ("+262141-01-01 00:00:00", 0)] {
        let since = JsonTimes::Utc.read(since).unwrap();
        let page = world.store.messages(users[1], room, Some(since), FIRST_PAGE).await.unwrap();
        assert_eq!(page.count, count, "{since}");
    }
    // A time that another program wrote in its own zone is read as the moment it meant.
    let sql = format!("UPDATE messages SET created_at = '2026-02-01 05:30:00.000001' WHERE id = '{}'", first.id.hex());
    world.backend.sql(&sql).await;
    let read = world.store.message(users[1], room, first.id).await.unwrap().unwrap();
    assert_eq!(read.created_at.to_string(), "2026-02-01T10:30:00.000001Z");
    let outcome = world.write(users[1], room, Action::ReadAll).await;
    let at = committed(&outcome).at;
    let seen = world.store.room(users[1], room).await.unwrap().unwrap();
    let own = seen.participants.iter().find(|participant| participant.user.id == users[1]).unwrap();
    assert_eq!((own.last_read_at, own.unread_count), (at, 0));
}

#[tokio::test]
async fn ids_are_written_in_their_columns_form() {
    for (ids, length) in [(Ids::Uuid, 36), (Ids::Char, 32)] {
        let (world, maria) = world(Maria::new(ids)).await;
        let (room, users) = world.room(&["ana", "beto"]).await;
        let message = sent(&world.write(users[0], room, send("hola")).await);
        let row = maria.texts("SELECT id, length(id), sender_id, chat_room_id FROM messages").await;
        let text = |id: uuid::Uuid| if length == 36 { id.to_string() } else { id.simple().to_string() };
        assert_eq!(row, [text(message.id.0), format!("{length}"), text(users[0].0), text(room.0)]);
    }
}

#[tokio::test]
async fn case_and_accents_do_not_count_in_names() {
    let (world, _) = world(Maria::new(Ids::Uuid)).await;
    let ana = world.user("ana").await;
    for login in ["ána", "ANA", "Ána@Example.com"] {
        assert_eq!(world.store.credentials(login).await.unwrap().unwrap().user, ana, "{login}");
    }
    assert_eq!(world.store.profile_by_name("ÁNA").await.unwrap().unwrap().id, ana);
    let taken = world.store.register(new_user("Aná")).await;
    assert!(matches!(taken, Err(RegisterError::Taken { email: true, username: true })), "{taken:?}");
    let found = world.store.search_people(world.user("beto").await, "perez", FIRST_PAGE).await.unwrap();
    assert_eq!(found.rows[0].profile.username, "ana");
}

#[tokio::test]
async fn tables_that_others_need_not_have_are_not_missed() {
    let (world, _) = world(Maria::new(Ids::Mixed)).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.write(users[0], room, send("hola")).await);
    let story = uuid::Uuid::from_u128(7);
    let name = |table| format!("UPDATE {table} SET story_id = '{}'", story.simple());
    world.backend.sql(&name("messages")).await;
    let dated = "'2026-01-01 00:00:00'";
    let row = format!("'{}', 'm.png', 'image', NULL, 0, {dated}, {dated}, '{}'", story.simple(), users[1].hex());
    world.backend.sql(&format!("INSERT INTO stories VALUES ({row})")).await;
    let read = world.store.message(users[1], room, message.id).await.unwrap().unwrap();
    let preview = read.story.unwrap();
    assert_eq!((read.story_id, preview.id, &*preview.media, preview.user.id), (Some(story), story, "m.png", users[1]));
    // Tables with other columns are treated as missing.
    for tables in [
        [
            "ALTER TABLE stories CHANGE COLUMN media film text",
            "ALTER TABLE friend_requests CHANGE COLUMN status s text",
        ],
        ["DROP TABLE stories", "DROP TABLE friend_requests"],
    ] {
        world.backend.sql(tables[0]).await;
        world.backend.sql(tables[1]).await;
        let read = world.store.message(users[1], room, message.id).await.unwrap().unwrap();
        assert!(read.story.is_none() && read.story_id == Some(story));
        assert!(world.store.friend_requests(users[0]).await.unwrap().is_empty());
        assert_eq!(world.store.person(users[0], users[1]).await.unwrap().unwrap().friend_request, None);
    }
}

#[tokio::test]
async fn words_that_only_another_program_knows_hide_nothing() {
    let (world, _) = world(Maria::new(Ids::Uuid)).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    let strange = world.say(users[0], room, "hola").await;
    let loud = world.say(users[0], room, "¡HOLA!").await;
    for (word, id) in [("gif", strange.id), ("IMAGE", loud.id)] {
        world.backend.sql(&format!("UPDATE messages SET message_type = '{word}' WHERE id = '{}'", id.0)).await;
    }
    let read = world.history(users[1], room).await;
    let kinds: Vec<_> = read.iter().map(|message| message.message_type).collect();
    assert_eq!(kinds, [MessageType::Image, MessageType::Text]);
    committed(&world.write(users[1], room, Action::Read { message: strange.id }).await);
    let post = world.publish(users[0], "hola").await;
    world.feed(users[1], FeedAction::React { post, reaction: PostReactionType::Like }).await;
    world.backend.sql("UPDATE posts SET category = 'chess', post_type = 'poll'").await;
    world.backend.sql("UPDATE notifications SET notification_type = 'badge'").await;
    world.backend.sql("UPDATE chat_rooms SET chat_type = 'channel'").await;
    assert_eq!(world.store.post(None, post).await.unwrap().unwrap().category, Category::Unset);
    let told = world.store.notifications(users[0], FIRST_PAGE).await.unwrap();
    assert_eq!(told.rows[0].notification_type, NotificationType::Mention);
    assert_eq!(world.store.room(users[0], room).await.unwrap().unwrap().chat_type, ChatType::Group);
}

#[tokio::test]
async fn rows_that_others_add_are_counted_where_their_columns_do_not_move() {
    let (world, _) = world(Maria::new(Ids::Char)).await;
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let top = CommentId::fresh();
    let reply = CommentId::fresh();
    for (id, parent) in [(top, "NULL".to_owned()), (reply, format!("'{}'", top.hex()))] {
        let dated = "'2026-01-01 00:00:00'";
        let id = id.hex();
        let beto = beto.hex();
        let post = post.hex();
        let row = format!("'{id}', 'de otro', NULL, 0, 0, 0, {dated}, {dated}, {parent}, '{beto}', '{post}'");
        world.backend.sql(&format!("INSERT INTO comments VALUES ({row})")).await;
    }
    let follow = format!("'{}', '2026-01-01 00:00:00', '{}', '{}'", top.hex(), beto.hex(), ana.hex());
    world.backend.sql(&format!("INSERT INTO user_follows VALUES ({follow})")).await;
    let read = world.store.post(None, post).await.unwrap().unwrap();
    assert_eq!((read.comments_count, read.comments.len(), read.comments[0].replies_count), (2, 1, 1));
    assert_eq!(read.comments[0].replies[0].id, reply);
    world.clock.advance(cache_seconds());
    let profile = world.store.profile(ana).await.unwrap().unwrap();
    assert_eq!((profile.followers_count, profile.posts_count), (1, 1), "live");
    let person = world.store.person(beto, ana).await.unwrap().unwrap();
    assert_eq!((person.followers_column, person.is_following), (0, true), "the column, as the backend shows it");
    let many = limits::LIVE_COUNT_MAX + 1;
    world.backend.sql(&format!("UPDATE users SET followers_count = {many}, posts_count = {many} - 1")).await;
    world.backend.sql(&format!("UPDATE posts SET comments_count = {many}")).await;
    world.clock.advance(cache_seconds());
    let profile = world.store.profile(ana).await.unwrap().unwrap();
    assert_eq!((profile.followers_count, profile.posts_count), (many, 1), "so many are not counted");
    assert_eq!(world.store.post(None, post).await.unwrap().unwrap().comments_count, many);
}

#[tokio::test]
async fn notifications_of_others_in_either_form_are_read() {
    let (world, _) = world(Maria::in_zone(Ids::Mixed, "America/Bogota")).await;
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let id = NotificationId::fresh();
    let story = uuid::Uuid::from_u128(9);
    let row = format!(
        "'{}', 'story_reply', NULL, NULL, 'hola', 0, '2026-02-01 05:30:00', NULL, '{}', '{}', NULL, '{story}'",
        id.0,
        ana.hex(),
        beto.hex()
    );
    world.backend.sql(&format!("INSERT INTO notifications VALUES ({row})")).await;
    let page = world.store.notifications(ana, FIRST_PAGE).await.unwrap();
    assert_eq!((page.count, page.rows[0].id, page.rows[0].sender.id), (1, id, beto));
    assert_eq!(page.rows[0].created_at.to_string(), "2026-02-01T10:30:00.000000Z");
    committed(&world.feed(ana, FeedAction::ReadNotification { notification: id }).await);
    assert_eq!(world.store.unread_notifications(ana).await.unwrap(), 0);
}

#[tokio::test]
async fn a_page_costs_as_many_queries_however_long_it_is() {
    let (world, _) = world(Maria::on(Box::leak(Box::new(MariaDb::start())), Ids::Uuid)).await;
    let users = world.users(["ana", "beto", "caro"]).await;
    let mut posts = 0;
    let mut rooms = 0;
    let mut costs = Vec::new();
    for length in [2, 16] {
        while posts < length {
            let post = world.publish(users[posts % 3], "hola").await;
            world.feed(users[0], FeedAction::React { post, reaction: PostReactionType::Like }).await;
            let comment = world.comment(users[1], post, None, "uno").await;
            world.comment(users[2], post, Some(comment), "dos").await;
            posts += 1;
        }
        while rooms < length {
            let room = world.group(&users).await;
            for text in ["uno", "dos"] {
                let message = world.say(users[rooms % 3], room, text).await;
                let reaction = ReactionType::Like;
                world.write(users[0], room, Action::React { message: message.id, reaction }).await;
            }
            rooms += 1;
        }
        world.settle().await;
        // The caches have expired, so that everybody is looked up.
        world.clock.advance(cache_seconds());
        let before = statements(&world).await;
        let listed = world.store.posts(users[0], PostList::Everybody, FIRST_PAGE).await.unwrap().rows;
        assert!(listed.iter().all(|post| post.reactions.len() == 1 && post.comments[0].replies.len() == 1));
        world.clock.advance(cache_seconds());
        let between = statements(&world).await;
        let shown = world.store.rooms(users[0], None, true, FIRST_PAGE).await.unwrap().rows;
        assert!(shown.iter().all(|room| room.last_message.as_ref().unwrap().reactions.len() == 1));
        assert_eq!((listed.len(), shown.len()), (length, length));
        costs.push((between - before, statements(&world).await - between));
    }
    let [few, many] = costs[..] else { unreachable!() };
    // The store's housekeeping may run in between: three statements, at either page.
    let of_others = 3;
    assert!(many.0 <= few.0 + of_others && many.1 <= few.1 + of_others, "{few:?} {many:?}");
    let most = 10 + of_others;
    assert!((5..=most).contains(&few.0) && (5..=most).contains(&few.1), "{few:?}");
}

/// The number of prepared statements that the server has executed, over all its connections.
async fn statements(world: &World) -> i64 {
    let sql = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'COM_STMT_EXECUTE'";
    world.backend.number(sql).await
}

#[tokio::test]
async fn seeded_people_are_listed_though_no_one_query_takes_them_all() {
    const USERS: usize = 300;
    let maria = Maria::new(Ids::Char);
    let link = Link::parse(&maria.url().await).unwrap();
    let plan = SeedPlan { users: USERS, rooms: 2, members: USERS, follows: USERS - 1, ..SeedPlan::default() };
    let seeded = mysql::seed(&link, Zone::Utc, &plan).await.unwrap();
    let refused = mysql::seed(&link, Zone::Utc, &plan).await.unwrap_err().to_string();
    assert!(refused.contains("--allow-existing"), "{refused}");
    let more = SeedPlan { users: 1, rooms: 0, follows: 0, allow_existing: true, ..plan };
    assert_eq!(mysql::seed(&link, Zone::Utc, &more).await.unwrap().users[0].1, "user00301");

    let (world, _) = world(maria).await;
    let [(first, _), (second, name), ..] = &seeded.users[..] else { panic!() };
    assert_eq!(world.store.profile_by_name(name).await.unwrap().unwrap().id, *second);
    let followers = world.store.followers(*second, *first).await.unwrap();
    let ids: BTreeSet<_> = followers.iter().map(|person| person.profile.id).collect();
    assert_eq!((followers.len(), ids.len()), (USERS - 1, USERS - 1));
    assert!(followers.iter().all(|person| person.followers_column == USERS as u64 - 1));
    assert_eq!(followers.iter().filter(|person| person.is_following).count(), USERS - 2, "all but the viewer");
    let users: Vec<_> = seeded.users.iter().map(|(id, _)| *id).collect();
    assert_eq!(world.store.active_users(&users).await.unwrap().len(), USERS);
    let rooms: Vec<_> = seeded.rooms.iter().map(|(id, _)| *id).collect();
    assert_eq!(world.store.participants(&rooms).await.unwrap().len(), 2 * USERS);
    let room = world.store.room(*second, rooms[1]).await.unwrap().unwrap();
    assert_eq!(
        (
            room.participants.len(),
            room.participants_count,
            room.participants.iter().filter(|one| one.role == "owner").count()
        ),
        (200, USERS as u64, 1)
    );
    world.say(*first, rooms[1], "hola").await;
    let room = world.store.room(*second, rooms[1]).await.unwrap().unwrap();
    let unread: u64 = room.participants.iter().map(|participant| participant.unread_count).sum();
    assert_eq!(unread, 199, "all who are shown but the sender");
}

#[tokio::test]
async fn what_comes_in_an_hour_that_comes_twice_stays_in_order() {
    let (world, _) = world(Maria::in_zone(Ids::Uuid, "Europe/Madrid")).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    // 02:50 on the wall clock, for the first time.
    let before = JsonTimes::Utc.read("2027-10-31T00:50:00Z").unwrap();
    let ahead = u64::try_from(before.0 - world.clock.now().0).unwrap();
    world.clock.advance(Duration::from_micros(ahead));
    let first = sent(&world.write(users[0], room, send("antes")).await);
    world.write(users[1], room, Action::ReadAll).await;
    // 02:10 for the second time; then 02:55, and 03:10.
    let mut later = Vec::new();
    for minutes in [20, 45, 15] {
        world.clock.advance(Duration::from_secs(minutes * 60));
        later.push(sent(&world.write(users[0], room, send(&format!("{minutes}"))).await));
        sent(&world.write(users[0], room, send(&format!("{minutes} más"))).await);
    }
    let history = world.history(users[1], room).await;
    let told: Vec<&str> = history.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(told, ["15 más", "15", "45 más", "45", "20 más", "20", "antes"], "the newest first");
    assert!(history.windows(2).all(|pair| pair[0].created_at > pair[1].created_at));
    for message in &later {
        let stored = history.iter().find(|one| one.id == message.id).unwrap();
        assert_eq!(stored.created_at, message.created_at, "live and in REST");
    }
    let since = world.store.messages(users[1], room, Some(first.created_at), FIRST_PAGE).await.unwrap();
    assert_eq!(since.count, 6);
    let seen = world.store.room(users[1], room).await.unwrap().unwrap();
    let own = seen.participants.iter().find(|participant| participant.user.id == users[1]).unwrap();
    assert_eq!(own.unread_count, 6);
}

#[tokio::test]
async fn texts_that_the_tables_cannot_hold_are_refused_and_found_nowhere() {
    use mysql_async::prelude::Queryable;

    let (world, maria) = world(Maria::new(Ids::Char)).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    let link = Link::parse(&maria.url().await).unwrap();
    assert_eq!(mysql::characters_to_change(&link).await.unwrap(), None);
    let mut connection = maria.connect().await;
    for table in ["messages", "users"] {
        let sql = format!(
            "SELECT concat('MODIFY ', column_name, ' ', column_type, ' CHARACTER SET utf8mb3', \
             if(is_nullable = 'YES', '', ' NOT NULL')) FROM information_schema.columns \
             WHERE table_schema = database() AND table_name = '{table}' AND character_set_name = 'utf8mb4' \
             AND column_type <> 'char(32)'"
        );
        let columns: Vec<String> = connection.query(sql).await.unwrap();
        connection.query_drop(format!("ALTER TABLE {table} {}", columns.join(", "))).await.unwrap();
    }
    let said = mysql::characters_to_change(&link).await.unwrap().unwrap();
    assert!(said.contains("texts of messages, users in utf8mb3"), "{said}");
    // One such text is refused; the others in its batch are not.
    let party = world.queue(users[0], room, Transport::Rest, send("fiesta 🎉"));
    let plain = world.queue(users[1], room, Transport::Rest, send("fiesta"));
    assert_eq!(refusal(&party.await.unwrap()), Refusal::Characters);
    sent(&plain.await.unwrap());
    assert!(world.store.credentials("🎉").await.unwrap().is_none());
    assert!(world.store.credentials("🎉@example.com").await.unwrap().is_none());
    assert!(world.store.profile_by_name("🎉").await.unwrap().is_none());
    for text in ["🎉", "ana 🎉", "𠮷"] {
        let found = world.store.search_people(users[1], text, FIRST_PAGE).await.unwrap();
        assert_eq!(found.count, u64::from(text.starts_with("ana")), "{text}");
    }
    let register = world.store.register(NewUser { display_name: "🎉🎉".into(), ..new_user("fiesta") }).await;
    assert!(matches!(register, Err(RegisterError::Store(StoreError::Characters(_)))), "{register:?}");
    // The suggested change solves it.
    let alters = said.split_once("run: ").unwrap().1;
    for statement in alters.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        connection.query_drop(statement).await.unwrap();
    }
    assert_eq!(mysql::characters_to_change(&link).await.unwrap(), None);
    assert_eq!(sent(&world.write(users[0], room, send("fiesta 🎉")).await).content, "fiesta 🎉");
}

#[tokio::test]
async fn names_that_another_program_gives_are_found_after_a_look() {
    let (world, _) = world(Maria::new(Ids::Char)).await;
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let search = async |text: &str| world.store.search_people(ana, text, FIRST_PAGE).await.unwrap().count;
    for sql in [
        "UPDATE users SET display_name = 'Zoe\u{301} Núñez' WHERE username = 'beto'",
        "DELETE FROM pregon_words",
        "DELETE FROM pregon_named",
    ] {
        world.backend.sql(sql).await;
    }
    assert_eq!((search("zoé").await, search("beto").await), (0, 1), "a whole username needs no index");
    world.store.index_people().await.unwrap();
    for text in ["zoe", "ZOÉ", "nunez", "núñ zo"] {
        assert_eq!(search(text).await, 1, "{text}");
    }
    world.store.index_people().await.unwrap();
    assert_eq!(world.backend.number("SELECT count(*) FROM pregon_named").await, 2);
    assert_eq!(search("pérez").await, 0, "the name that Beto had: {beto}");
}

/// Another program may write thousands of rows with one time: more than a page of them, in two tables.
#[tokio::test]
async fn rows_of_others_are_found_however_many_have_the_same_time() {
    let (world, maria) = world(Maria::new(Ids::Char)).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    let count = limits::TAIL_PAGE_ROWS + 7;
    // Version 4, as Django makes them.
    let numbers = format!("SELECT concat('00000000000040008', lpad(hex(seq), 15, '0')) FROM seq_1_to_{count}");
    let (room_id, ana, beto) = (room.hex(), users[0].hex(), users[1].hex());
    let at = "'2026-01-01 05:00:00'";
    let rows =
        numbers.replacen(" FROM", &format!(", 'hola', 'text', '', '', 0, 0, {at}, {at}, '{room_id}', '{ana}' FROM"), 1);
    let columns = "id, content, message_type, file_url, file_name, is_edited, is_deleted, created_at, updated_at, \
                   chat_room_id, sender_id";
    world.backend.sql(&format!("INSERT INTO messages ({columns}) {rows}")).await;
    let rows = numbers.replacen(" FROM", &format!(", 'mention', 'hola', 0, {at}, '{ana}', '{beto}' FROM"), 1);
    let columns = "id, notification_type, message, is_read, created_at, recipient_id, sender_id";
    world.backend.sql(&format!("INSERT INTO notifications ({columns}) {rows}")).await;
    let store = maria.open_store(Arc::default(), &world.clock).await;
    let topics = [Topic::Room(room), Topic::Notifications(users[0])];
    let found = store.additions(&topics, Timestamp(0)).await.unwrap();
    let distinct: BTreeSet<_> = found.iter().map(|(row, _)| (row.topic(), row.id())).collect();
    assert_eq!((found.len(), distinct.len()), (2 * count, 2 * count));
}
