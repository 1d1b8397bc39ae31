//! What the event log says to who reads it again.

use pregon::domain::chat::message::ReactionType;
use pregon::domain::chat::write::{Action, Transport};
use pregon::domain::event::Cursor;
use pregon::domain::event_record::EventRecord;
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
