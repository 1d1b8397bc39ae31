//! Rooms: their participants, who may change these, and how rooms are created and listed.

use std::sync::Arc;
use std::time::Duration;

use crate::support::FIRST_PAGE;
use crate::support::World;
use crate::support::committed;
use crate::support::refusal;
use crate::support::send;
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::room::ChatType;
use pregon::domain::chat::room::NewRoom;
use pregon::domain::chat::room::SettingsPatch;
use pregon::domain::chat::write::Action;
use pregon::domain::chat::write::Transport;
use pregon::domain::feed::post::PostPatch;
use pregon::domain::feed::write as feed;
use pregon::domain::login::Ended;
use pregon::domain::login::LoginEnd;
use pregon::domain::user::{Admission, Membership};
use pregon::domain::write::Outcome;
use pregon::domain::write::Refusal;
use pregon::ids::FamilyId;
use pregon::ids::PostId;
use pregon::ids::RoomId;
use pregon::ids::Topic;
use pregon::ids::UserId;
use pregon::limits;
use pregon::store::NewRoomError;
use pregon::store::PasswordChange;

pub async fn only_active_participants_of_active_rooms_write(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let stranger = world.user("caro").await;
    let refused = |outcome: Outcome| assert_eq!(refusal(&outcome), Refusal::NotParticipant);
    refused(world.write(stranger, room, send("hola")).await);
    refused(world.write(users[0], RoomId::fresh(), send("hola")).await);
    refused(world.write(UserId::fresh(), room, send("hola")).await);
    refused(world.write(stranger, room, Action::ReadAll).await);

    world.say(users[1], room, "antes").await;
    world.backend.sql(&format!("UPDATE users SET is_active = 0 WHERE id = '{}'", users[1].hex())).await;
    refused(world.write(users[1], room, send("después")).await);
    world.backend.sql(&format!("DELETE FROM chat_participants WHERE user_id = '{}'", users[1].hex())).await;
    refused(world.write(users[1], room, send("sin fila")).await);

    world.say(users[0], room, "aún").await;
    world.backend.sql(&format!("UPDATE chat_rooms SET is_active = 0 WHERE id = '{}'", room.hex())).await;
    refused(world.write(users[0], room, send("cerrado")).await);
    assert_eq!(world.store.admission(room, users[0]).await.unwrap().membership, Membership::None);
    assert_eq!(world.backend.number("SELECT count(*) FROM messages").await, 2);
}

pub async fn owners_and_admins_add_and_remove(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let caro = world.user("caro").await;
    let add = Action::Add { user: caro };
    let remove = Action::Remove { user: caro };
    assert_eq!(refusal(&world.write(users[1], room, add.clone()).await), Refusal::NotAdmin);
    let nobody = Action::Add { user: UserId::fresh() };
    assert_eq!(refusal(&world.write(users[0], room, nobody).await), Refusal::NoSuchUser);
    assert_eq!(refusal(&world.write(users[0], room, remove.clone()).await), Refusal::NoSuchUser);

    world.say(users[0], room, "antes de caro").await;
    assert_eq!(world.store.admission(room, caro).await.unwrap().membership, Membership::None);
    let outcome = world.write(users[0], room, add.clone()).await;
    assert!(matches!(committed(&outcome).chat(), Some(&ChatEvent::Joined { user }) if user == caro));
    let admission = world.store.admission(room, caro).await.unwrap();
    assert!(admission.membership == Membership::Open && admission.participants == 3);
    assert!(matches!(world.write(users[0], room, add).await, Outcome::Unchanged));
    let seen = world.store.room(caro, room).await.unwrap().unwrap();
    let row = seen.participants.iter().find(|participant| participant.user.id == caro).unwrap();
    assert_eq!((row.unread_count, &*row.role, row.last_read_at), (0, "member", committed(&outcome).at));
    committed(&world.write(caro, room, send("gracias")).await);

    let outcome = world.write(users[0], room, remove).await;
    assert!(matches!(committed(&outcome).chat(), Some(&ChatEvent::Left { user }) if user == caro));
    assert_eq!(world.store.admission(room, caro).await.unwrap().membership, Membership::None);
    assert_eq!(refusal(&world.write(caro, room, send("¿hola?")).await), Refusal::NotParticipant);
    assert!(world.store.room(caro, room).await.unwrap().is_none());
    assert!(world.history(caro, room).await.is_empty());
}

pub async fn nobody_is_added_to_a_private_room(world: World) {
    let ana = world.user("ana").await;
    let beto = world.user("beto").await;
    let caro = world.user("caro").await;
    let (room, _) = world.store.open_private_room(ana, beto).await.unwrap();
    for action in [Action::Add { user: caro }, Action::Remove { user: beto }] {
        assert_eq!(refusal(&world.write(ana, room, action).await), Refusal::NotAdmin);
    }
    assert_eq!(refusal(&world.write(ana, room, Action::Leave).await), Refusal::PrivateRoom);
    assert_eq!(refusal(&world.write(caro, room, Action::Leave).await), Refusal::NotParticipant);
}

pub async fn whoever_leaves_writes_no_more(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let batch = [send("uno"), Action::Leave, send("dos"), Action::Leave];
    let answers: Vec<_> =
        batch.into_iter().map(|action| world.queue(users[1], room, Transport::Socket, action)).collect();
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.unwrap());
    }
    committed(&outcomes[0]);
    assert!(matches!(committed(&outcomes[1]).chat(), Some(&ChatEvent::Left { user }) if user == users[1]));
    assert_eq!(refusal(&outcomes[2]), Refusal::NotParticipant);
    assert_eq!(refusal(&outcomes[3]), Refusal::NotParticipant);
    assert_eq!(world.store.admission(room, users[0]).await.unwrap().participants, 1);
}

pub async fn a_private_room_is_made_once(world: World) {
    let ana = world.user("ana").await;
    let beto = world.user("beto").await;
    let mut tasks = Vec::new();
    for number in 0..16 {
        let store = Arc::clone(&world.store);
        let (actor, other) = if number % 2 == 0 { (ana, beto) } else { (beto, ana) };
        tasks.push(tokio::spawn(async move { store.open_private_room(actor, other).await.unwrap() }));
    }
    let mut rooms = Vec::new();
    for task in tasks {
        rooms.push(task.await.unwrap());
    }
    assert!(rooms.iter().all(|(room, _)| *room == rooms[0].0));
    assert_eq!(rooms.iter().filter(|(_, made)| *made).count(), 1);
    let seen = world.store.room(beto, rooms[0].0).await.unwrap().unwrap();
    assert_eq!((seen.chat_type, seen.participants.len()), (ChatType::Private, 2));
    assert!(seen.participants.iter().all(|participant| participant.role == "member"));
    let same = NewRoom {
        creator: ana,
        chat_type: ChatType::Private,
        name: String::new(),
        description: String::new(),
        others: vec![beto],
    };
    assert_eq!(world.store.create_room(same).await.unwrap(), rooms[0].0);
}

pub async fn rooms_are_made_with_their_roles(world: World) {
    let (room, users) = world.room(&["ana", "beto", "caro"]).await;
    let seen = world.store.room(users[1], room).await.unwrap().unwrap();
    let roles: Vec<_> = seen.participants.iter().map(|p| (p.user.id, p.role.as_str())).collect();
    assert!(roles.contains(&(users[0], "owner")) && roles.contains(&(users[1], "member")) && roles.len() == 3);
    assert!(seen.participants[0].settings.notifications_enabled && !seen.participants[0].settings.is_muted);
    world.backend.sql(&format!("UPDATE users SET is_active = 0 WHERE id = '{}'", users[2].hex())).await;
    for other in [users[2], UserId::fresh()] {
        let new = NewRoom {
            creator: users[0],
            chat_type: ChatType::Group,
            name: "x".into(),
            description: String::new(),
            others: vec![users[1], other],
        };
        assert!(matches!(world.store.create_room(new).await, Err(NewRoomError::UnknownUsers)));
    }
    assert_eq!(world.backend.number("SELECT count(*) FROM chat_rooms").await, 1, "nothing half-made");
}

pub async fn rooms_are_listed_by_their_newest_message(world: World) {
    let (first, users) = world.room(&["ana", "beto"]).await;
    let second = world.group(&users).await;
    let (private, _) = world.store.open_private_room(users[0], users[1]).await.unwrap();
    let silent = world.group(&users).await;
    for room in [second, first, private] {
        world.say(users[0], room, "hola").await;
        world.clock.advance(Duration::from_secs(1));
    }
    let deleted = world.say(users[0], second, "nada").await;
    world.write(users[0], second, Action::Delete { message: deleted.id }).await;
    let list = async |kind, active| {
        let page = world.store.rooms(users[1], kind, active, FIRST_PAGE).await.unwrap();
        assert_eq!(page.count, page.rows.len() as u64);
        page.rows
    };
    let all = list(None, true).await;
    assert_eq!(all.iter().map(|room| room.id).collect::<Vec<_>>(), [private, first, second, silent]);
    assert_eq!(all[2].last_message.as_ref().unwrap().content, "hola", "deleted messages do not count");
    let own = all[0].participants.iter().find(|participant| participant.user.id == users[1]).unwrap();
    assert_eq!(own.unread_count, 1);
    assert_eq!(list(Some(ChatType::Private), true).await.len(), 1);
    world.backend.sql(&format!("UPDATE chat_rooms SET is_active = 0 WHERE id = '{}'", first.hex())).await;
    assert_eq!(list(None, true).await.len(), 3);
    assert_eq!(list(None, false).await[0].id, first);
    assert!(world.store.room(users[1], first).await.unwrap().is_none());
}

pub async fn settings_are_ones_own(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let patch = SettingsPatch { chat_color: Some("#fff".into()), is_muted: Some(true), ..SettingsPatch::default() };
    assert!(world.store.change_room_settings(users[0], room, patch.clone()).await.unwrap());
    assert!(!world.store.change_room_settings(UserId::fresh(), room, patch).await.unwrap());
    let nickname = SettingsPatch { other_user_nickname: Some("B".into()), ..SettingsPatch::default() };
    assert!(world.store.change_room_settings(users[0], room, nickname).await.unwrap());
    let seen = world.store.room(users[1], room).await.unwrap().unwrap();
    let of = |user| &seen.participants.iter().find(|participant| participant.user.id == user).unwrap().settings;
    assert_eq!((&*of(users[0]).chat_color, of(users[0]).is_muted), ("#fff", true));
    assert_eq!(&*of(users[0]).other_user_nickname, "B");
    assert_eq!((&*of(users[1]).chat_color, of(users[1]).is_muted), ("", false));
}

pub async fn admissions_are_cached_and_forgotten_by_our_writes(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    assert!(world.store.cached_admission(room, users[0]).is_none());
    let read = world.store.admission(room, users[0]).await.unwrap();
    assert_eq!(read, Admission { membership: Membership::Open, participants: 2 });
    assert_eq!(world.store.cached_admission(room, users[0]), Some(read));
    world.write(users[0], room, Action::Leave).await;
    assert!(world.store.cached_admission(room, users[0]).is_none());
    let stranger = world.store.admission(room, UserId::fresh()).await.unwrap();
    assert_eq!(stranger, Admission { membership: Membership::None, participants: 1 });
    let beto = world.store.admission(room, users[1]).await.unwrap();
    assert_eq!(beto, Admission { membership: Membership::Open, participants: 1 }, "with the size that is remembered");
    world.clock.advance(Duration::from_secs(u64::try_from(limits::ADMISSION_CACHE_SECONDS).unwrap()));
    assert!(world.store.cached_admission(room, users[1]).is_none());
}

/// Whatever half of the answer is remembered, and however the rest is read.
pub async fn a_handshake_asks_for_the_bearer_and_the_admission_at_once(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let (ana, beto) = (users[0], users[1]);
    let post = world.publish(ana, "hola").await;
    let login = FamilyId::begun(world.clock.now());
    let asked = async |user, login| world.store.entrance(room, user, login).await.unwrap();
    let (bearer, admission) = asked(ana, login).await;
    let account = bearer.account.unwrap();
    assert!((account.id, &*account.username, account.is_active, bearer.is_over) == (ana, "ana", true, false));
    assert_eq!(admission, Admission { membership: Membership::Open, participants: 2 });
    let remembered = world.store.cached_bearer(ana, login).unwrap();
    assert!(Arc::ptr_eq(&account, remembered.account.as_ref().unwrap()), "one account a user");
    assert_eq!(world.store.cached_admission(room, ana), Some(admission));

    // Of beto nothing is remembered but the room's size; then their bearer; then, by another login, their admission.
    let (stranger, their) = asked(UserId::fresh(), login).await;
    assert!(stranger.account.is_none() && their.membership == Membership::None);
    assert!(world.store.bearer(beto, login).await.unwrap().account.is_some());
    assert_eq!(asked(beto, login).await.1, admission);
    let other = FamilyId::begun(world.clock.now().plus_seconds(-1));
    let end = LoginEnd { user: beto, ended: Ended::Only(other), at: world.clock.now() };
    world.store.end_logins(end, world.clock.now().plus_seconds(60)).await.unwrap();
    let (bearer, of_beto) = asked(beto, other).await;
    assert!(bearer.account.is_some() && bearer.is_over && of_beto == admission);
    assert!(!asked(beto, login).await.0.is_over);
    let (bearer, head) = world.store.entrance_to_post(post, beto, other).await.unwrap();
    assert!(bearer.is_over && head.is_some_and(|head| head.author == ana));
    let (bearer, head) = world.store.entrance_to_post(PostId::fresh(), beto, login).await.unwrap();
    assert!(!bearer.is_over && head.is_none());

    // Nothing is remembered of these: one query answers all of it.
    world.write(beto, room, Action::Leave).await;
    let change = PasswordChange {
        user: ana,
        old_hash: "pbkdf2_sha256$1$salt$hash".into(),
        new_hash: "otra".into(),
        spared: Some(other),
    };
    assert!(world.store.change_password(change).await.unwrap());
    world.clock.advance(Duration::from_secs(u64::try_from(limits::ADMISSION_CACHE_SECONDS).unwrap()));
    let (bearer, admission) = asked(ana, login).await;
    assert!(bearer.is_over && admission == Admission { membership: Membership::Open, participants: 1 });
    assert!(!asked(ana, other).await.0.is_over, "the login that changed the password");
    let (bearer, admission) = asked(beto, other).await;
    assert!(bearer.is_over && admission.membership == Membership::None);
}

/// Sessions ask by it whether they were evicted before they began.
pub async fn what_is_taken_from_somebody_changes_their_mark(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let (group, post) = (world.group(&[ana, beto]).await, world.publish(ana, "hola").await);
    let (room, on_post, feed) = (Topic::Room(group), Topic::Post(post), Topic::Feed(beto));
    let marks = || [room, on_post, feed].map(|topic| world.store.rights_mark(beto, topic));
    let edit = |patch: PostPatch| feed::Action::EditPost { post, patch: Box::new(patch) };
    let begun = marks();
    world.feed(ana, edit(PostPatch { content: Some("otra".into()), ..PostPatch::default() })).await;
    world.write(beto, group, send("hola")).await;
    assert_eq!(marks(), begun, "nothing was taken");

    world.feed(ana, edit(PostPatch { is_public: Some(false), ..PostPatch::default() })).await;
    let hidden = marks();
    assert!(hidden[1] != begun[1] && [hidden[0], hidden[2]] == [begun[0], begun[2]], "the post was hidden");
    world.feed(ana, feed::Action::DeletePost { post }).await;
    let deleted = marks();
    assert!(deleted[1] != hidden[1], "the post was deleted");
    world.write(beto, group, Action::Leave).await;
    let left = marks();
    assert!(left[0] != deleted[0], "beto left");
    let now = world.clock.now();
    let end = LoginEnd { user: beto, ended: Ended::Only(FamilyId::begun(now)), at: now };
    world.store.end_logins(end, now.plus_seconds(60)).await.unwrap();
    let logged_out = marks();
    assert!((0..3).all(|place| logged_out[place] != left[place]), "beto logged out");
    assert_eq!(world.store.ended_logins(now.plus_seconds(-1)).await.unwrap().len(), 1);
    assert!(marks()[2] != logged_out[2], "perhaps another node ended it");
}

pub async fn others_changes_show_within_seconds(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let login = FamilyId::begun(world.clock.now());
    let is_active = async || world.store.entrance(room, users[1], login).await.unwrap().0.account.unwrap().is_active;
    assert!(is_active().await);
    let user = users[1].hex();
    world.backend.sql(&format!("UPDATE users SET is_active = 0, display_name = 'B' WHERE id = '{user}'")).await;
    world.clock.advance(Duration::from_secs(u64::try_from(limits::ADMISSION_CACHE_SECONDS).unwrap()));
    assert!(!is_active().await);
    assert!(!world.store.account(users[1]).await.unwrap().unwrap().is_active);
    assert_eq!(world.store.profile(users[1]).await.unwrap().unwrap().display_name, "B");
    assert_eq!(world.store.participants(&[room, RoomId::fresh()]).await.unwrap(), [(room, users[0])]);
}
