//! Bounds that a client reaches on purpose.

use super::*;

/// Whoever asks and gives up again and again is told to wait until what it gave up was looked up.
#[test]
fn who_gives_up_what_it_asked_for_waits_for_it_all_the_same() {
    let mut world = World::new(0);
    let index = world.clients[0].index;
    for _ in 0..TOPICS_PER_SOCKET_MAX {
        let topic = Name(Topic::Room(RoomId::fresh()));
        for kind in ["subscribe", "unsubscribe"] {
            world.core.many_text(index, &format!(r#"{{"type":"{kind}","topic":"{topic}"}}"#));
        }
    }
    world.gather();
    assert_eq!(world.under_way.len(), TOPICS_PER_SOCKET_MAX);
    let subscribe = format!(r#"{{"type":"subscribe","topic":"{}"}}"#, Name(world.topic(0)));
    world.core.many_text(index, &subscribe);
    world.gather();
    assert_eq!(world.under_way.len(), TOPICS_PER_SOCKET_MAX, "it waits");
    let told = world.core.lines[index as usize].outbox.tail(&world.core.arena);
    assert!(String::from_utf8_lossy(told).contains("\"busy\""));
    for errand in std::mem::take(&mut world.under_way) {
        let Errands::Judge(Errand::Judge { session, ticket, .. }, _) = errand else { panic!("all are judged") };
        world.core.answered(Answer::Judged { session, ticket, outcome: Err(complaint::NOT_PARTICIPANT) });
    }
    world.core.many_text(index, &subscribe);
    world.gather();
    assert_eq!(world.under_way.len(), 1);
}
