//! Rows that another program added get their places in their topics' order, once.

use crate::support::{World, committed, sent};
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::write::Action;
use pregon::domain::event::Event;
use pregon::domain::feed::event::{FeedEvent, NotificationChange};
use pregon::domain::feed::write::Action as FeedAction;
use pregon::domain::write::{Addition, Intent, Outcome};
use pregon::ids::{MessageId, NotificationId, RoomId, Topic, UserId};

async fn adopt(world: &World, row: Addition) -> Outcome {
    world.store.request(UserId::default(), Intent::Adopt(row)).await
}

/// The rule treats all rows alike, whoever wrote them.
pub async fn a_row_that_is_there_gets_one_place(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.write(users[0], room, crate::support::send("hola")).await);
    world.feed(users[1], FeedAction::Follow { user: users[0] }).await;
    let notification = world.take_notifications().remove(0);
    world.take_events();

    let row = Addition::Message { room, message: message.id };
    let outcome = adopt(&world, row).await;
    let event = committed(&outcome);
    assert_eq!((event.topic, event.cursor.seq), (Topic::Room(room), 2), "behind the room's first event");
    let Event::Chat(ChatEvent::Sent(told)) = &event.event else { panic!("{event:?}") };
    assert_eq!((told.id, &told.content, told.created_at), (message.id, &message.content, message.created_at));

    let recipient = users[0];
    let bell = Addition::Notification { recipient, notification: notification.id };
    let outcome = adopt(&world, bell).await;
    let event = committed(&outcome);
    assert_eq!(event.topic, Topic::Notifications(recipient));
    let Event::Feed(FeedEvent::Notification { user, change: NotificationChange::Came(told) }) = &event.event else {
        panic!("{event:?}")
    };
    assert_eq!((*user, told.id, &told.message), (recipient, notification.id, &notification.message));
    assert_eq!(world.take_events().len(), 2, "both were told");

    for row in [row, bell] {
        assert!(matches!(adopt(&world, row).await, Outcome::Unchanged), "somebody else was first");
    }
    assert!(world.take_events().is_empty());
    let next = sent(&world.write(users[1], room, crate::support::send("¿qué tal?")).await);
    assert_eq!(world.take_events().last().map(|event| event.cursor.seq), Some(3), "without a hole: {next:?}");
}

pub async fn what_is_gone_or_elsewhere_gets_none(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.write(users[0], room, crate::support::send("hola")).await);
    let deleted = sent(&world.write(users[0], room, crate::support::send("adiós")).await);
    world.write(users[0], room, Action::Delete { message: deleted.id }).await;
    world.feed(users[1], FeedAction::Follow { user: users[0] }).await;
    let notification = world.take_notifications().remove(0).id;
    world.take_events();
    for row in [
        Addition::Message { room, message: MessageId::fresh() },
        Addition::Message { room, message: deleted.id },
        Addition::Message { room: RoomId::fresh(), message: message.id },
        Addition::Notification { recipient: users[0], notification: NotificationId::fresh() },
        Addition::Notification { recipient: users[1], notification },
    ] {
        assert!(matches!(adopt(&world, row).await, Outcome::Unchanged), "{row:?}");
    }
    assert!(world.take_events().is_empty());
}

/// Many ask for many rows at once, each row more than once, as nodes that find them at the same time do.
pub async fn of_many_who_ask_one_is_first(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let mut rows = Vec::new();
    for number in 0..20 {
        let message = sent(&world.write(users[0], room, crate::support::send(&number.to_string())).await);
        rows.push(Addition::Message { room, message: message.id });
    }
    world.take_events();
    let asked = rows.iter().cycle().take(60).map(|row| adopt(&world, *row));
    let outcomes = futures_util::future::join_all(asked).await;
    let first = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_))).count();
    assert_eq!(first, 20);
    let told = world.take_events();
    let sequences: Vec<u64> = told.iter().map(|event| event.cursor.seq).collect();
    assert_eq!(sequences, (21..=40).collect::<Vec<_>>());
}
