//! Accounts, tokens, people and friends.

use crate::support::FIRST_PAGE;
use crate::support::World;
use crate::support::new_user;
use pregon::domain::login::{Ended, LoginEnd};
use pregon::domain::user::NewUser;
use pregon::ids::{FamilyId, UserId};
use pregon::store::PageRequest;
use pregon::store::PasswordChange;
use pregon::store::RegisterError;

pub async fn registration_keeps_names_unique(world: World) {
    let sos = world.user("sos").await;
    let ana = world.user("ana").await;
    let taken = async |mail: &str, name: &str| {
        let user = NewUser { email: mail.into(), username: name.into(), ..new_user("x") };
        match world.store.register(user).await {
            Err(RegisterError::Taken { email, username }) => (email, username),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(taken("ana@example.com", "ana2").await, (true, false));
    assert_eq!(taken("ana2@example.com", "ANA").await, (false, true));
    assert_eq!(taken("ANA@example.com", "sos").await, (true, true));
    let profile = world.store.profile(ana).await.unwrap().unwrap();
    assert_eq!((&*profile.username, &*profile.display_name, profile.following_count), ("ana", "ana Pérez", 0));
    assert_eq!((&*profile.interests, &*profile.account_type, profile.avatar.clone()), ("[]", "user", None));
    assert!(!world.store.person(ana, sos).await.unwrap().unwrap().is_following, "that is a write of its own");
    let beto = world.user("beto").await;
    assert!(world.store.account(beto).await.unwrap().unwrap().is_active);
}

pub async fn logins_find_mail_and_name(world: World) {
    let ana = world.user("ana").await;
    for login in ["ana", "ana@example.com"] {
        let found = world.store.credentials(login).await.unwrap().unwrap();
        assert_eq!((found.user, found.is_active, &*found.password_hash), (ana, true, "pbkdf2_sha256$1$salt$hash"));
    }
    for login in ["nadie", "nadie@example.com", "ana@", ""] {
        assert!(world.store.credentials(login).await.unwrap().is_none(), "{login}");
    }
    let change =
        |user, old: &str, new: &str| PasswordChange { user, old_hash: old.into(), new_hash: new.into(), spared: None };
    assert!(world.store.change_password(change(ana, "pbkdf2_sha256$1$salt$hash", "otra")).await.unwrap());
    assert_eq!(world.store.credentials("ana").await.unwrap().unwrap().password_hash, "otra");
    let late = change(ana, "pbkdf2_sha256$1$salt$hash", "tercera");
    assert!(!world.store.change_password(late).await.unwrap(), "another change was faster");
    assert!(!world.store.change_password(change(UserId::fresh(), "otra", "x")).await.unwrap());
    assert_eq!(world.store.credentials("ana").await.unwrap().unwrap().password_hash, "otra");
}

pub async fn logins_end(mut world: World) {
    let ana = world.user("ana").await;
    let beto = world.user("beto").await;
    let now = world.clock.now();
    let [first, second] = [-10, -5].map(|seconds| FamilyId::begun(now.plus_seconds(seconds)));
    let over = async |world: &World, user, family| world.store.bearer(user, family).await.unwrap().is_over;
    assert!(world.store.bearer(UserId::fresh(), first).await.unwrap().account.is_none());
    assert!(!over(&world, ana, first).await && !over(&world, ana, second).await && !over(&world, beto, first).await);
    let end = LoginEnd { user: ana, ended: Ended::Only(first), at: now };
    for _ in 0..2 {
        world.store.end_logins(end, now.plus_seconds(60)).await.unwrap();
    }
    assert!(over(&world, ana, first).await, "at once, whatever was remembered");
    assert!(!over(&world, ana, second).await && !over(&world, beto, first).await);

    let change = PasswordChange {
        user: ana,
        old_hash: "pbkdf2_sha256$1$salt$hash".into(),
        new_hash: "otra".into(),
        spared: Some(second),
    };
    let third = FamilyId::begun(now.plus_seconds(-1));
    assert!(!over(&world, ana, third).await);
    assert!(world.store.change_password(change).await.unwrap());
    assert!(over(&world, ana, third).await && over(&world, ana, FamilyId::issued(now.seconds() - 1)).await);
    assert!(!over(&world, ana, second).await && !over(&world, beto, third).await);
    let later = FamilyId::begun(world.clock.now().plus_seconds(1));
    assert!(!over(&world, ana, later).await, "whoever logs in with the new password");
    let change = PasswordChange { user: ana, old_hash: "otra".into(), new_hash: "más".into(), spared: Some(later) };
    assert!(world.store.change_password(change).await.unwrap());
    world.reopen().await;
    assert!(over(&world, ana, first).await && over(&world, ana, second).await && !over(&world, ana, later).await);
    let ended = world.store.ended_logins(now).await.unwrap();
    assert_eq!(ended.len(), 2, "one row a password, however often it changes: {ended:?}");
    assert!(ended.contains(&end) && ended.iter().any(|end| end.ended == Ended::AllBut(later)));
    assert!(world.store.ended_logins(now.plus_seconds(3600)).await.unwrap().is_empty());
}

pub async fn a_refresh_token_is_used_up_once(world: World) {
    let expires = world.clock.now().plus_seconds(60);
    let uses = (0..8).map(|_| world.store.use_up("uno".into(), expires));
    let first = futures_util::future::join_all(uses).await.into_iter().filter(|used| *used.as_ref().unwrap()).count();
    assert_eq!(first, 1, "of those who come together, too");
    assert!(world.store.is_revoked("uno").await.unwrap());
    assert!(world.store.use_up("dos".into(), expires).await.unwrap());
}

pub async fn revoked_tokens_are_known(mut world: World) {
    let expires = world.clock.now().plus_seconds(60);
    assert!(!world.store.is_revoked("abc").await.unwrap());
    world.store.revoke("abc".into(), expires).await.unwrap();
    world.store.revoke("abc".into(), expires).await.unwrap();
    assert!(world.store.is_revoked("abc").await.unwrap());
    world.reopen().await;
    assert!(world.store.is_revoked("abc").await.unwrap());
    assert!(!world.store.is_revoked("abd").await.unwrap());
}

pub async fn people_are_found_by_any_name(world: World) {
    let ana = world.user("ana").await;
    for name in ["beto", "carla_r", "dani"] {
        world.user(name).await;
    }
    world.backend.sql("UPDATE users SET last_name = 'Ibáñez' WHERE username = 'beto'").await;
    world.backend.sql("UPDATE users SET is_active = 0 WHERE username = 'dani'").await;
    let search = async |text: &str| {
        let page = world.store.search_people(ana, text, FIRST_PAGE).await.unwrap();
        assert_eq!(page.count, page.rows.len() as u64);
        page.rows.iter().map(|person| person.profile.username.clone()).collect::<Vec<_>>()
    };
    world.store.index_people().await.unwrap();
    assert_eq!(search("").await, ["beto", "carla_r"]);
    assert_eq!(search("BET").await, ["beto"]);
    assert_eq!(search("Ibáñ").await, ["beto"]);
    // Ignoring case, accents and composition; words in any order, each by its beginning.
    for text in ["IBANEZ", "ibáñez", "iba\u{301}n\u{303}ez", "ibañ pér", "perez BETO", "@beto", "Pe\u{301}rez ib"] {
        assert_eq!(search(text).await, ["beto"], "{text:?}");
    }
    for nobody in ["_", "%", "😀", "\"", "*", "beto carla", "ñez", "dani"] {
        assert_eq!(search(nobody).await, Vec::<String>::new(), "{nobody:?}");
    }
    assert_eq!(search("carla_R").await, ["carla_r"]);
    assert_eq!(search("pérez").await, ["beto", "carla_r"]);
    let second = PageRequest::numbered(2, 1);
    let page = world.store.search_people(ana, "", second).await.unwrap();
    assert_eq!((page.count, &*page.rows[0].profile.username), (2, "carla_r"));
    assert_eq!(world.store.profile_by_name("BETO").await.unwrap().unwrap().username, "beto");
    assert!(world.store.profile_by_name("nadie").await.unwrap().is_none());
}

pub async fn friends_and_requests_show_in_people(world: World) {
    let mut users = [world.user("ana").await, world.user("beto").await, world.user("caro").await];
    let dani = world.user("dani").await;
    users.sort_unstable();
    for (number, (one, two)) in [(0, 1), (0, 2)].into_iter().enumerate() {
        let one = users[one].hex();
        let two = users[two].hex();
        let text = format!(
            "INSERT INTO friendships (id, created_at, user1_id, user2_id) \
             VALUES ('{number:032x}', '2026-01-0{} 00:00:00.000000', '{one}', '{two}')",
            number + 1
        );
        world.backend.sql(&text).await;
    }
    let text = format!(
        "INSERT INTO friend_requests (id, status, created_at, sender_id, receiver_id) \
         VALUES ('{:032x}', 'pending', '2026-01-01 00:00:00.000000', '{}', '{}')",
        1,
        users[0].hex(),
        dani.hex()
    );
    world.backend.sql(&text).await;
    let friends = world.store.friends(users[0], users[0]).await.unwrap();
    assert_eq!(friends.iter().map(|friend| friend.profile.id).collect::<Vec<_>>(), [users[2], users[1]]);
    assert!(friends.iter().all(|friend| friend.is_friend && friend.friend_request.is_none()));
    assert_eq!(world.store.friends(dani, users[1]).await.unwrap()[0].profile.id, users[0]);
    assert_eq!(world.store.person(users[0], dani).await.unwrap().unwrap().friend_request, Some("sent"));
    assert_eq!(world.store.person(dani, users[0]).await.unwrap().unwrap().friend_request, Some("received"));
    assert!(world.store.person(dani, UserId::fresh()).await.unwrap().is_none());
}
