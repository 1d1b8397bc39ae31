//! What is asked for many clients with a few queries is what each would be told alone.

use std::sync::Arc;

use pregon::clock::Timestamp;
use pregon::domain::event::{Committed, Cursor};
use pregon::domain::login::{Ended, LoginEnd};
use pregon::ids::{FamilyId, Topic, UserId};
use pregon::store::{EventsAfter, News, Since};

use crate::support::{World, named, send, sent};

/// What one client is told alone.
async fn alone(world: &World, topic: Topic, place: Option<Cursor>) -> String {
    let store = &world.store;
    let now = store.cursor_of(topic).await.unwrap();
    let Some(place) = place else { return format!("{now}: not asked") };
    match store.events_after(topic, place, 200).await.unwrap() {
        EventsAfter::NotKept => format!("{now}: not kept"),
        EventsAfter::Next { events, has_more } => shown(now, &store.rebuilt(events).await.unwrap(), has_more),
    }
}

fn shown(now: Cursor, events: &[Arc<Committed>], has_more: bool) -> String {
    let events: Vec<String> = events.iter().map(|event| format!("{} {:?}", event.cursor, event.event)).collect();
    format!("{now}: {events:#?} {has_more}")
}

fn told(News { now, since }: &News) -> String {
    match since {
        Since::NotAsked => format!("{now}: not asked"),
        Since::NotKept => format!("{now}: not kept"),
        Since::Next { events, has_more } => shown(*now, events, *has_more),
    }
}

pub async fn news_of_many_places_is_what_each_would_be_told_alone(world: World) {
    let (room, users) = world.room(&["ana", "beto", "caro"]).await;
    let (quiet, _) = world.room(&["dora", "eva"]).await;
    let (other, others) = world.room(&["fer", "gil"]).await;
    for number in 0..6 {
        sent(&world.write(users[number % 3], room, named(&format!("{number}"), &format!("name-{number}"))).await);
        sent(&world.write(others[number % 2], other, send(&format!("{number}"))).await);
    }
    let post = world.publish(users[0], "un gol").await;
    world.comment(users[1], post, None, "¡vaya!").await;
    let [room, quiet, other] = [room, quiet, other].map(Topic::Room);
    world.backend.sql(&format!("DELETE FROM pregon_events WHERE topic = '{other}' AND seq <= 2")).await;
    let at = |epoch, seq| Some(Cursor { epoch, seq });
    let mut wanted = vec![(quiet, None), (quiet, at(1, 0)), (quiet, at(1, 1)), (Topic::Post(post), at(1, 0))];
    for topic in [room, other] {
        wanted.push((topic, None));
        wanted.push((topic, at(2, 1)));
        wanted.extend((0..=7).map(|seq| (topic, at(1, seq))));
        wanted.push((topic, at(1, 4)));
    }
    wanted.push((Topic::Notifications(users[0]), at(1, 0)));
    let (news, queries) = world.store.news(wanted.clone()).await.unwrap();
    assert_eq!(news.len(), wanted.len());
    for ((topic, place), news) in wanted.into_iter().zip(&news) {
        assert_eq!(told(news), alone(&world, topic, place).await, "{topic} behind {place:?}");
    }
    let not_kept = news.iter().filter(|news| matches!(news.since, Since::NotKept)).count();
    assert!(not_kept >= 6, "what is not there any more is not told as if nothing had happened");
    assert!(queries < 25, "{queries} queries");
    let (of_one, few) = world.store.news(vec![(room, at(1, 0)); 50]).await.unwrap();
    assert_eq!(of_one.len(), 50);
    assert!(few <= 8, "{few} queries for fifty who are at one place");
}

pub async fn what_is_more_than_is_read_at_once_is_read_next_time(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let topic = Topic::Room(room);
    for number in 0..230 {
        sent(&world.write(users[0], room, send(&format!("{number}"))).await);
    }
    let mut place = Cursor { epoch: 1, seq: 0 };
    let mut heard = Vec::new();
    loop {
        let (news, _) = world.store.news(vec![(topic, Some(place))]).await.unwrap();
        let Since::Next { events, has_more } = &news[0].since else { panic!("{news:?}") };
        assert!(events.len() <= 200);
        heard.extend(events.iter().map(|event| event.cursor.seq));
        let Some(last) = events.last() else { panic!("{news:?}") };
        place = last.cursor;
        if !has_more {
            break;
        }
    }
    assert_eq!(heard, (1..=230).collect::<Vec<u64>>());
}

pub async fn bearers_and_admissions_of_many_are_known_as_those_of_each(world: World) {
    let (room, users) = world.room(&["ana", "beto", "caro"]).await;
    let (closed, _) = world.room(&["dora", "eva"]).await;
    world.backend.sql(&format!("UPDATE chat_rooms SET is_active = 0 WHERE id = '{}'", closed.hex())).await;
    let nobody = UserId::fresh();
    let now = world.clock.now();
    let logins: Vec<FamilyId> = (1..5).map(|ago| FamilyId::begun(now.plus_seconds(-ago))).collect();
    let end = |user, ended| LoginEnd { user, ended, at: now };
    world.store.end_logins(end(users[0], Ended::Only(logins[0])), Timestamp(i64::MAX)).await.unwrap();
    world.store.end_logins(end(users[1], Ended::AllBut(logins[1])), Timestamp(i64::MAX)).await.unwrap();
    let bearers: Vec<(UserId, FamilyId)> =
        users.iter().copied().chain([nobody]).flat_map(|user| logins.iter().map(move |login| (user, *login))).collect();
    let admissions: Vec<_> =
        users.iter().copied().chain([nobody]).flat_map(|user| [(room, user), (closed, user)]).collect();
    let mut alone = Vec::new();
    for (user, login) in &bearers {
        alone.push(world.store.bearer(*user, *login).await.unwrap());
    }
    let mut admitted = Vec::new();
    for (room, user) in &admissions {
        admitted.push(world.store.admission(*room, *user).await.unwrap());
    }
    let mut world = world;
    world.reopen().await;
    assert!(world.store.cached_bearer(users[0], logins[0]).is_none(), "nothing is remembered");
    let queries = world.store.know_bearers(bearers.clone()).await.unwrap();
    assert_eq!(queries, 2);
    for ((user, login), alone) in bearers.iter().zip(&alone) {
        let known = world.store.cached_bearer(*user, *login).unwrap();
        assert_eq!((known.account, known.is_over), (alone.account.clone(), alone.is_over), "{user} {login:?}");
    }
    assert_eq!(world.store.know_admissions(admissions.clone()).await.unwrap(), 2);
    for ((room, user), alone) in admissions.iter().zip(&admitted) {
        assert_eq!(world.store.cached_admission(*room, *user), Some(*alone), "{room} {user}");
    }
    assert_eq!(world.store.know_bearers(bearers).await.unwrap(), 0, "all of it is remembered");
    assert_eq!(world.store.know_admissions(admissions).await.unwrap(), 0);
}
