//! Follows and friendships: their counters, and who hears whose posts.

use crate::support::{World, committed, refusal, relation};
use pregon::domain::feed::write::Action;
use pregon::domain::people::Relation;
use pregon::domain::write::{Outcome, Refusal};
use pregon::ids::{RequestId, Topic, UserId};
use pregon::limits;

async fn authors(world: &World, user: UserId) -> Vec<UserId> {
    let mut authors = world.store.feed_authors(user).await.unwrap();
    authors.sort_unstable();
    authors
}

/// (followers, following) counted from the rows, in lists and in the profile.
async fn counters(world: &World, user: UserId) -> [(u64, u64); 3] {
    let rows = async |column: &str| {
        let query = format!("SELECT count(*) FROM user_follows WHERE {column} = '{}'", user.hex());
        world.backend.number(&query).await as u64
    };
    let person = world.store.person(user, user).await.unwrap().unwrap();
    let profile = world.store.profile(user).await.unwrap().unwrap();
    [
        (rows("following_id").await, rows("follower_id").await),
        (person.followers_column, person.following_column),
        (profile.followers_count, profile.following_count),
    ]
}

pub async fn follows_move_counters_and_audience(world: World) {
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    assert_eq!(counters(&world, beto).await, [(0, 0); 3]);
    let outcome = world.feed(ana, Action::Follow { user: beto }).await;
    let told = relation(committed(&outcome));
    assert_eq!(committed(&outcome).topic, Topic::Feed(ana));
    assert_eq!((told.user, told.other, told.relation, told.hears), (ana, beto, Relation::Followed, true));
    assert!(matches!(world.feed(ana, Action::Follow { user: beto }).await, Outcome::Unchanged));
    world.clock.advance(std::time::Duration::from_secs(1));
    world.feed(caro, Action::Follow { user: beto }).await;
    world.feed(beto, Action::Follow { user: ana }).await;
    assert_eq!(counters(&world, beto).await, [(2, 1); 3], "rows and columns, and the cache forgot");
    assert_eq!(counters(&world, ana).await, [(1, 1); 3]);
    assert_eq!((authors(&world, ana).await, authors(&world, caro).await), (vec![beto], vec![beto]));
    let names = |people: Vec<pregon::domain::user::Person>| {
        people.into_iter().map(|person| (person.profile.id, person.is_following)).collect::<Vec<_>>()
    };
    let followers = names(world.store.followers(beto, beto).await.unwrap());
    assert_eq!(followers, [(caro, false), (ana, true)], "newest first, as the viewer sees them");
    assert_eq!(names(world.store.following(caro, ana).await.unwrap()), [(beto, true)]);

    let outcome = world.feed(ana, Action::Unfollow { user: beto }).await;
    let told = relation(committed(&outcome));
    assert_eq!((told.relation, told.hears), (Relation::Unfollowed, false));
    assert_eq!(refusal(&world.feed(ana, Action::Unfollow { user: beto }).await), Refusal::NotFollowing);
    assert_eq!(counters(&world, beto).await, [(1, 1); 3]);
    assert_eq!(authors(&world, ana).await, []);
}

async fn request(world: &World, from: UserId, to: UserId) -> RequestId {
    relation(committed(&world.feed(from, Action::RequestFriend { user: to }).await)).request.unwrap()
}

pub async fn friends_are_made_by_request(world: World) {
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let asked = request(&world, ana, beto).await;
    for (from, to) in [(ana, beto), (beto, ana)] {
        assert_eq!(refusal(&world.feed(from, Action::RequestFriend { user: to }).await), Refusal::AlreadyRequested);
    }
    let listed = world.store.friend_requests(beto).await.unwrap();
    assert_eq!((listed.len(), listed[0].id, listed[0].sender.id, listed[0].receiver.id), (1, asked, ana, beto));
    assert_eq!(world.store.friend_requests(ana).await.unwrap()[0].id, asked);
    assert!(world.store.friend_requests(caro).await.unwrap().is_empty());
    let accept = Action::AnswerRequest { request: asked, accept: true };
    for other in [ana, caro] {
        assert_eq!(refusal(&world.feed(other, accept.clone()).await), Refusal::NoSuchRequest);
    }
    assert_eq!(authors(&world, ana).await, [], "asking is not enough");
    world.take_events();
    committed(&world.feed(beto, accept.clone()).await);
    let events = world.take_events();
    let mut told: Vec<_> = events.iter().filter(|event| matches!(event.topic, Topic::Feed(_))).collect();
    told.sort_by_key(|event| event.topic != Topic::Feed(ana));
    let told: Vec<_> = told.into_iter().map(|event| relation(event)).collect();
    assert_eq!((told[0].user, told[0].other, told[1].user, told[1].other), (ana, beto, beto, ana));
    assert!(told.iter().all(|one| one.relation == Relation::Befriended && one.hears && one.request == Some(asked)));
    assert_eq!((authors(&world, ana).await, authors(&world, beto).await), (vec![beto], vec![ana]));
    assert_eq!(world.store.friends(ana, beto).await.unwrap()[0].profile.id, ana);
    assert_eq!(refusal(&world.feed(beto, accept).await), Refusal::NoSuchRequest);
    assert_eq!(refusal(&world.feed(ana, Action::RequestFriend { user: beto }).await), Refusal::AlreadyFriends);

    world.take_events();
    committed(&world.feed(ana, Action::RemoveFriend { user: beto }).await);
    let told: Vec<_> = world.take_events().iter().map(|event| relation(event)).collect();
    assert!(told.len() == 2 && told.iter().all(|one| one.relation == Relation::Unfriended && !one.hears));
    assert_eq!(refusal(&world.feed(beto, Action::RemoveFriend { user: ana }).await), Refusal::NotFriends);
    assert_eq!((authors(&world, ana).await, authors(&world, beto).await), (vec![], vec![]));
    assert_eq!(request(&world, ana, beto).await, asked, "an older row is opened again");
}

pub async fn a_request_may_be_withdrawn_or_refused(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let asked = request(&world, ana, beto).await;
    assert_eq!(refusal(&world.feed(beto, Action::CancelRequest { request: asked }).await), Refusal::NoSuchRequest);
    committed(&world.feed(ana, Action::CancelRequest { request: asked }).await);
    assert!(world.store.friend_requests(beto).await.unwrap().is_empty());
    let asked = request(&world, beto, ana).await;
    let refuse = Action::AnswerRequest { request: asked, accept: false };
    committed(&world.feed(ana, refuse.clone()).await);
    assert_eq!(refusal(&world.feed(ana, refuse).await), Refusal::NoSuchRequest);
    assert_eq!(world.store.person(ana, beto).await.unwrap().unwrap().friend_request, None);
    assert_eq!(world.backend.number("SELECT count(*) FROM friendships").await, 0);
    request(&world, ana, beto).await;
}

pub async fn nobody_joins_with_oneself_or_nobody(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    world.backend.sql(&format!("UPDATE users SET is_active = 0 WHERE id = '{}'", beto.hex())).await;
    world.clock.advance(std::time::Duration::from_secs(limits::ADMISSION_CACHE_SECONDS as u64));
    for (user, expected) in
        [(ana, Refusal::Oneself), (beto, Refusal::NoSuchUser), (UserId::fresh(), Refusal::NoSuchUser)]
    {
        assert_eq!(refusal(&world.feed(ana, Action::Follow { user }).await), expected);
        assert_eq!(refusal(&world.feed(ana, Action::RequestFriend { user }).await), expected);
    }
    assert_eq!(refusal(&world.feed(beto, Action::Follow { user: ana }).await), Refusal::NotActive);
    assert_eq!(world.backend.number("SELECT count(*) FROM user_follows").await, 0);
    assert!(world.events().is_empty());
}

pub async fn friends_who_follow_hear_until_both_end(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    world.befriend(ana, beto).await;
    world.feed(ana, Action::Follow { user: beto }).await;
    assert_eq!(authors(&world, ana).await, [beto], "once");
    let outcome = world.feed(ana, Action::Unfollow { user: beto }).await;
    assert!(relation(committed(&outcome)).hears, "as a friend");
    world.feed(ana, Action::Follow { user: beto }).await;
    world.take_events();
    world.feed(beto, Action::RemoveFriend { user: ana }).await;
    let hears: Vec<_> =
        world.take_events().iter().map(|event| relation(event)).map(|one| (one.user, one.hears)).collect();
    assert!(hears.contains(&(ana, true)) && hears.contains(&(beto, false)), "{hears:?}");
}
