//! The lane's promises: order, sequences, twins, repetitions, bounds, closing.

use std::sync::Arc;
use std::time::Duration;

use crate::support::SESSION;
use crate::support::World;
use crate::support::committed;
use crate::support::contents;
use crate::support::named;
use crate::support::refusal;
use crate::support::send;
use crate::support::sent;
use crate::support::unknown_message;
use pregon::clock::Timestamp;
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::message::MessageType;
use pregon::domain::chat::message::ReactionType;
use pregon::domain::chat::write::Action;
use pregon::domain::chat::write::NewMessage;
use pregon::domain::chat::write::Transport;
use pregon::domain::write::Outcome;
use pregon::domain::write::Refusal;
use pregon::limits;
use pregon::store::PageRequest;

pub async fn history_has_the_order_of_the_events(world: World) {
    let (room, users) = world.room(&["ana", "beto", "caro"]).await;
    let mut answers = Vec::new();
    for number in 0..120 {
        answers.push(world.queue(users[number % 3], room, Transport::Socket, send(&format!("{number}"))));
    }
    for answer in answers {
        committed(&answer.await.unwrap());
    }
    let events = world.events();
    assert!(events.iter().enumerate().all(|(index, event)| event.cursor.seq == index as u64 + 1));
    assert!(events.windows(2).all(|pair| pair[0].at < pair[1].at), "each event has its own time");
    let mut history = Vec::new();
    for number in 1..=3 {
        let page = PageRequest::numbered(number, 50);
        history.extend(world.store.messages(users[0], room, None, page).await.unwrap().rows);
    }
    history.reverse();
    let told = events.iter().map(|event| match event.chat().unwrap() {
        ChatEvent::Sent(message) => message.content.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(history.iter().map(|message| message.content.clone()).collect::<Vec<_>>(), told.collect::<Vec<_>>());
    assert_eq!(contents(&history)[..3], ["0", "1", "2"], "one sender's messages keep their order");
}

pub async fn twins_are_one_message_in_both_directions(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    for (first, second) in [(Transport::Socket, Transport::Rest), (Transport::Rest, Transport::Socket)] {
        // Within one batch and across batches.
        let [early, late] = [first, second].map(|transport| world.queue(users[0], room, transport, send("hola")));
        let message = sent(&early.await.unwrap());
        let Outcome::Twin(twin) = late.await.unwrap() else { panic!("no twin") };
        assert_eq!((twin.id, &*twin.content), (message.id, "hola"));

        let message = sent(&world.queue(users[0], room, first, send("adiós")).await.unwrap());
        let outcome = world.queue(users[0], room, second, send("adiós")).await.unwrap();
        assert!(matches!(outcome, Outcome::Twin(twin) if twin.id == message.id));
        // Each message absorbs one twin at most.
        sent(&world.queue(users[0], room, second, send("adiós")).await.unwrap());
        let outcome = world.queue(users[0], room, first, send("adiós")).await.unwrap();
        assert!(matches!(outcome, Outcome::Twin(_)));
    }
    assert_eq!(world.history(users[1], room).await.len(), 6);
    assert_eq!(world.events().len(), 6);
}

pub async fn twins_need_the_other_transport_the_same_words_and_ten_seconds(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let elsewhere = world.group(&users).await;
    let image = |path: &str| {
        let new = NewMessage::text("foto".into(), MessageType::Image);
        Action::Send(NewMessage { attachment: Some(path.into()), ..new })
    };
    sent(&world.frame(users[0], room, send("hola")).await);
    sent(&world.frame(users[0], room, send("hola")).await);
    sent(&world.write(users[0], room, send("Hola")).await);
    sent(&world.write(users[1], room, send("hola")).await);
    sent(&world.write(users[0], elsewhere, send("hola")).await);
    sent(&world.write(users[0], room, Action::Send(NewMessage::text("hola".into(), MessageType::Emoji))).await);
    sent(&world.frame(users[0], room, image("a.png")).await);
    sent(&world.write(users[0], room, image("a.png")).await);
    sent(&world.frame(users[0], room, named("con nombre", "1")).await);
    sent(&world.write(users[0], room, named("con nombre", "2")).await);
    world.clock.advance(limits::TWIN_WINDOW + Duration::from_micros(3));
    sent(&world.write(users[0], room, send("hola")).await);
}

pub async fn twins_are_remembered_across_a_restart(mut world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.frame(users[0], room, send("hola")).await);
    world.frame(users[0], room, named("con nombre", "1")).await;
    world.reopen().await;
    let outcome = world.write(users[0], room, send("hola")).await;
    assert!(matches!(outcome, Outcome::Twin(twin) if twin.id == message.id));
    sent(&world.write(users[0], room, send("con nombre")).await);
    sent(&world.write(users[0], room, send("hola")).await);
}

pub async fn a_client_id_names_one_message_for_a_day(mut world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let elsewhere = world.group(&users).await;
    let [first, again] =
        ["hola", "otra cosa"].map(|text| world.queue(users[0], room, Transport::Socket, named(text, "k-1")));
    let message = sent(&first.await.unwrap());
    assert!(
        matches!(again.await.unwrap(), Outcome::Repeated(same, Some(_)) if same.id == message.id && same.content == "hola")
    );
    world.reopen().await;
    let outcome = world.write(users[0], room, named("hola", "k-1")).await;
    assert!(matches!(outcome, Outcome::Repeated(same, Some(_)) if same.id == message.id));
    sent(&world.write(users[1], room, named("hola", "k-1")).await);
    sent(&world.write(users[0], elsewhere, named("hola", "k-1")).await);
    world.clock.advance(Duration::from_secs(24 * 3600 + 1));
    let later = sent(&world.write(users[0], room, named("hola", "k-1")).await);
    assert_ne!(later.id, message.id);
    let outcome = world.write(users[0], room, named("hola", "k-1")).await;
    assert!(matches!(outcome, Outcome::Repeated(same, Some(_)) if same.id == later.id));
}

pub async fn sessions_hear_of_refusals_and_repetitions_only(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.write(users[0], room, send("hola")).await);
    world.submit(users[0], room, send("hola"));
    world.submit(users[0], room, Action::Read { message: message.id });
    world.submit(users[0], room, Action::Read { message: message.id });
    world.submit(users[0], room, named("eco", "k"));
    world.submit(users[0], room, named("eco", "k"));
    // No answer to what clients try blindly; a reaction to an unknown message is answered.
    world.submit(users[1], room, Action::Delete { message: message.id });
    world.submit(users[1], room, Action::React { message: unknown_message(), reaction: ReactionType::Like });
    world.settle().await;
    let answers = world.port.answers.lock().unwrap();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(matches!(&answers[0], (SESSION, Outcome::Repeated(message, _)) if message.content == "eco"));
    assert!(matches!(answers[1], (SESSION, Outcome::Refused(Refusal::NoSuchMessage))));
    let events = world.port.events.lock().unwrap();
    assert_eq!(events.iter().map(|event| event.origin.is_some()).collect::<Vec<_>>(), [false, true, true]);
}

pub async fn a_closed_store_takes_nothing_and_keeps_everything(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let answers: Vec<_> =
        (0..300).map(|number| world.queue(users[0], room, Transport::Socket, send(&format!("{number}")))).collect();
    world.store.close().await;
    for answer in answers {
        committed(&answer.await.unwrap());
    }
    assert_eq!(refusal(&world.write(users[0], room, send("tarde")).await), Refusal::Busy);
    assert!(world.store.ping().await.is_err());
    world.store.close().await;
    assert_eq!(world.backend.number("SELECT count(*) FROM messages").await, 300);
}

pub async fn sequences_have_no_holes_across_refusals_and_restarts(mut world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let mut before = Timestamp::default();
    for round in 0..3 {
        for number in 0..5 {
            let event = Arc::clone(committed(&world.write(users[0], room, send("a")).await));
            assert_eq!(event.cursor.seq, round * 5 + number + 1);
            assert!(event.at > before, "later than all before it, whatever the clock says");
            before = event.at;
            refusal(&world.write(users[0], room, Action::Delete { message: unknown_message() }).await);
        }
        world.reopen().await;
    }
    let holes = "SELECT count(*) - max(seq) FROM pregon_events";
    assert_eq!(world.backend.number(holes).await, 0);
}

pub async fn a_full_lane_gives_the_write_back(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    // Far more than the lane can take at once: some writes come back, and every other one is answered.
    let writes = limits::LANE_WRITES_MAX * 20;
    let (answers, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    let mut returned = 0;
    for number in 0..writes {
        let answers = answers.clone();
        let write = pregon::domain::write::Write {
            event_id: pregon::ids::EventId::fresh(),
            actor: users[0],
            transport: Transport::Socket,
            intent: pregon::domain::write::Intent::Chat { room, action: send(&format!("{number}")) },
            answer: pregon::domain::write::AnswerTo::Caller(Box::new(move |outcome| drop(answers.send(outcome)))),
        };
        returned += usize::from(world.store.submit(Box::new(write)).is_err());
    }
    drop(answers);
    let mut count = 0;
    while let Some(outcome) = outcomes.recv().await {
        committed(&outcome);
        count += 1;
    }
    assert!(returned > 0, "a queue without a bound");
    assert_eq!(count + returned, writes);
}
