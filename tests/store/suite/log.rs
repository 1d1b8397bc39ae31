//! What the event log says to who reads it again.

use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::message::ReactionType;
use pregon::domain::chat::write::{Action, Transport};
use pregon::domain::event::Cursor;
use pregon::domain::event_record::EventRecord;
use pregon::domain::feed::event::{FeedEvent, PostChange};
use pregon::domain::feed::write::Action as FeedAction;
use pregon::ids::Topic;
use pregon::store::EventsAfter;

use crate::support::{World, committed, named, send, sent};

const BEGIN: Cursor = Cursor { epoch: 1, seq: 0 };

/// All of a topic's events, read in pages of `limit`.
async fn read(world: &World, topic: Topic, limit: usize) -> Vec<EventRecord> {
    let mut all: Vec<EventRecord> = Vec::new();
    loop {
        let cursor = all.last().map_or(BEGIN, |event| event.cursor);
        match world.store.events_after(topic, cursor, limit).await.unwrap() {
            EventsAfter::Next { events, has_more } => {
                assert!(events.len() <= limit, "a page is bounded");
                all.extend(events);
                if !has_more {
                    return all;
                }
            }
            EventsAfter::NotKept => panic!("{topic} behind {cursor:?}"),
        }
    }
}

pub async fn the_log_says_what_was_told(world: World) {
    let (room, users) = world.room(&["ana", "beto", "caro"]).await;
    let [ana, beto, _] = users[..] else { panic!() };
    let message = sent(&world.write(ana, room, named("hola", "a")).await).id;
    sent(&world.write(beto, room, send("qué tal")).await);
    let reaction = ReactionType::Golazo;
    for _ in 0..2 {
        committed(&world.write(beto, room, Action::React { message, reaction }).await);
    }
    committed(
        &world.write(beto, room, Action::Delete { message: sent(&world.write(beto, room, send("x")).await).id }).await,
    );
    committed(&world.write(users[2], room, Action::ReadAll).await);
    committed(&world.write(users[2], room, Action::Leave).await);
    let post = world.publish(ana, "un gol").await;
    let comment = world.comment(beto, post, None, "¡vaya!").await;
    committed(&world.feed(ana, FeedAction::LikeComment { post, comment }).await);
    committed(&world.feed(beto, FeedAction::DeleteComment { post, comment }).await);
    committed(&world.feed(beto, FeedAction::Follow { user: ana }).await);
    world.befriend(ana, beto).await;
    committed(&world.feed(ana, FeedAction::ReadAllNotifications).await);
    committed(&world.feed(ana, FeedAction::ClearNotifications).await);

    let events = world.events();
    let mut topics: Vec<Topic> = events.iter().map(|event| event.topic).collect();
    topics.sort_unstable();
    topics.dedup();
    assert!(topics.len() >= 6, "a room, a post, feeds and notifications of two: {topics:?}");
    for topic in topics {
        let told = events.iter().filter(|event| event.topic == topic);
        let expected: Vec<EventRecord> = told.map(|event| EventRecord::of(event, Transport::Rest)).collect();
        for limit in [1, 3, 1000] {
            assert_eq!(read(&world, topic, limit).await, expected, "in pages of {limit}");
        }
    }
}

pub async fn the_log_says_when_it_does_not_reach_back(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let topic = Topic::Room(room);
    let nothing = EventsAfter::Next { events: Vec::new(), has_more: false };
    assert_eq!(world.store.events_after(topic, BEGIN, 10).await.unwrap(), nothing, "nothing has happened yet");
    for number in 0..6 {
        sent(&world.write(users[0], room, send(&format!("{number}"))).await);
    }
    let all = read(&world, topic, 10).await;
    assert_eq!(all.iter().map(|event| event.cursor.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    world.backend.sql(&format!("DELETE FROM pregon_events WHERE topic = '{topic}' AND seq <= 3")).await;
    let after = async |epoch, seq| world.store.events_after(topic, Cursor { epoch, seq }, 10).await.unwrap();
    for seq in 0..3 {
        assert_eq!(after(1, seq).await, EventsAfter::NotKept, "{seq} and what follows is not all there");
    }
    assert_eq!(after(1, 3).await, EventsAfter::Next { events: all[3..].to_vec(), has_more: false });
    assert_eq!(after(1, 6).await, nothing);
    assert_eq!(after(1, 7).await, EventsAfter::NotKept, "nobody has been there yet");
    assert_eq!(after(2, 3).await, EventsAfter::NotKept, "another log");
}

pub async fn events_are_rebuilt_from_the_log_and_what_is_gone_is_told_as_gone(world: World) {
    let (room, users) = world.room(&["ana", "beto", "caro"]).await;
    let [ana, beto, caro] = users[..] else { panic!() };
    let message = sent(&world.write(ana, room, named("hola", "a")).await).id;
    let reaction = ReactionType::Golazo;
    for _ in 0..2 {
        committed(&world.write(beto, room, Action::React { message, reaction }).await);
    }
    committed(&world.write(ana, room, Action::Edit { message, content: "adiós".into() }).await);
    committed(&world.write(caro, room, Action::ReadAll).await);
    let post = world.publish(ana, "un gol").await;
    let comment = world.comment(beto, post, None, "¡vaya!").await;
    committed(&world.feed(ana, FeedAction::LikeComment { post, comment }).await);
    committed(&world.feed(beto, FeedAction::Follow { user: ana }).await);
    committed(&world.feed(ana, FeedAction::ReadAllNotifications).await);
    let topics: std::collections::BTreeSet<Topic> = world.events().iter().map(|event| event.topic).collect();
    for topic in &topics {
        let records = read(&world, *topic, 1000).await;
        let rebuilt = world.store.rebuilt(records.clone()).await.unwrap();
        let again: Vec<EventRecord> = rebuilt.iter().map(|event| EventRecord::of(event, Transport::Rest)).collect();
        assert_eq!(again, records, "{topic}");
    }
    let of_room = world.store.rebuilt(read(&world, Topic::Room(room), 1000).await).await.unwrap();
    let Some(ChatEvent::Sent(first)) = of_room[0].chat() else { panic!("{of_room:?}") };
    assert_eq!((first.content.as_str(), first.client_id.as_deref()), ("adiós", Some("a")), "as it is now");
    let Some(ChatEvent::Reacted { username, .. }) = of_room[1].chat() else { panic!("{of_room:?}") };
    assert_eq!(&**username, "beto");

    committed(&world.write(ana, room, Action::Delete { message }).await);
    committed(&world.feed(beto, FeedAction::DeleteComment { post, comment }).await);
    let of_room = world.store.rebuilt(read(&world, Topic::Room(room), 1000).await).await.unwrap();
    let deleted = of_room.iter().filter(|event| matches!(event.chat(), Some(ChatEvent::Deleted { .. })));
    assert_eq!(deleted.count(), 3, "it came, it was edited, it went: {of_room:?}");
    let of_post = world.store.rebuilt(read(&world, Topic::Post(post), 1000).await).await.unwrap();
    let gone =
        |change: &PostChange| matches!(change, PostChange::CommentsDeleted { comments, .. } if *comments == [comment]);
    let gone = of_post.iter().filter(|event| matches!(event.feed(), Some(FeedEvent::Post(post)) if gone(&post.change)));
    assert_eq!(gone.count(), 3, "it came, it was liked, it went: {of_post:?}");
    committed(&world.feed(ana, FeedAction::DeletePost { post }).await);
    let of_post = world.store.rebuilt(read(&world, Topic::Post(post), 1000).await).await.unwrap();
    let is_gone =
        |event: &FeedEvent| matches!(event, FeedEvent::Post(post) if matches!(post.change, PostChange::Deleted));
    assert!(of_post.iter().all(|event| event.feed().is_some_and(is_gone)));
}
