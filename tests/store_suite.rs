//! What every store does, whatever its database: each action, each refusal, order, twins, repetitions, races.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::sync::Arc;
use std::time::Duration;

use pregon::chat::event::ChatEvent;
use pregon::chat::message::{MessageType, ReactionType};
use pregon::chat::room::{ChatType, NewRoom, SettingsPatch};
use pregon::chat::write::{Action, NewMessage, Outcome, Refusal, Transport};
use pregon::clock::Timestamp;
use pregon::ids::{RoomId, UserId};
use pregon::limits;
use pregon::store::{NewRoomError, PageRequest, RegisterError};
use store_support::{
    FIRST_PAGE, SESSION, Sqlite, World, committed, contents, named, new_user, refusal, send, sent, unknown_message,
};

/// One list of claims; each backend is one line.
macro_rules! suite {
    ($($backend:ident: $new:expr;)* => $claims:tt) => {
        $(mod $backend {
            use super::{Sqlite, World};
            suite!(@claims $new, $claims);
        })*
    };
    (@claims $new:expr, [$($claim:ident,)*]) => {
        $(#[tokio::test]
        async fn $claim() {
            super::$claim(World::new(Box::new($new)).await).await;
        })*
    };
}

suite! {
    sqlite: Sqlite::new();
    => [
        a_message_is_what_was_sent_and_what_is_read,
        history_has_the_order_of_the_events,
        only_active_participants_of_active_rooms_write,
        replies_stay_in_their_room,
        an_attachment_goes_to_its_column,
        edits_need_an_own_text_that_is_there,
        deletion_is_soft_and_once,
        reactions_toggle,
        toggles_at_the_same_time_alternate,
        a_read_is_told_once_and_never_goes_back,
        mark_as_read_tells_the_newest_and_writes_all,
        owners_and_admins_add_and_remove,
        nobody_is_added_to_a_private_room,
        whoever_leaves_writes_no_more,
        twins_are_one_message_in_both_directions,
        twins_need_the_other_transport_the_same_words_and_ten_seconds,
        twins_are_remembered_across_a_restart,
        a_client_id_names_one_message_for_a_day,
        sessions_hear_of_refusals_and_repetitions_only,
        a_private_room_is_made_once,
        rooms_are_made_with_their_roles,
        rooms_are_listed_by_their_newest_message,
        settings_are_ones_own,
        registration_keeps_names_unique,
        logins_find_mail_and_name,
        revoked_tokens_are_known,
        admissions_are_cached_and_forgotten_by_our_writes,
        others_changes_show_within_seconds,
        people_are_found_by_any_name,
        friends_and_requests_show_in_people,
        pages_are_cut_and_counted,
        a_closed_store_takes_nothing_and_keeps_everything,
        sequences_have_no_holes_across_refusals_and_restarts,
        a_full_lane_gives_the_write_back,
    ]
}

async fn a_message_is_what_was_sent_and_what_is_read(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let outcome = world.frame(users[0], room, send("hola 🌍")).await;
    let event = committed(&outcome);
    assert_eq!((event.cursor.epoch, event.cursor.seq), (1, 1));
    let message = sent(&outcome);
    assert_eq!(message.sender.username, "ana");
    assert_eq!(message.created_at, event.at);
    assert!(message.updated_at == event.at && !message.is_edited && message.read_by_count == 0);

    let read = world.history(users[1], room).await;
    assert_eq!(contents(&read), ["hola 🌍"]);
    assert_eq!((read[0].id, read[0].created_at, read[0].sender.id), (message.id, message.created_at, users[0]));
    assert_eq!(world.store.message(users[1], room, message.id).await.unwrap().unwrap().id, message.id);
    let listed = world.store.room(users[1], room).await.unwrap().unwrap();
    assert_eq!(listed.last_activity, event.at);
    assert_eq!(listed.last_message.unwrap().id, message.id);
    assert_eq!(world.events().len(), 1);
}

async fn history_has_the_order_of_the_events(world: World) {
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
        let page = PageRequest { number, size: 50 };
        history.extend(world.store.messages(users[0], room, None, page).await.unwrap().rows);
    }
    history.reverse();
    let told = events.iter().map(|event| match &event.event {
        ChatEvent::Sent(message) => message.content.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(history.iter().map(|message| message.content.clone()).collect::<Vec<_>>(), told.collect::<Vec<_>>());
    assert_eq!(contents(&history)[..3], ["0", "1", "2"], "one sender's messages keep their order");
}

async fn only_active_participants_of_active_rooms_write(world: World) {
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
    assert_eq!(world.backend.number("SELECT count(*) FROM messages").await, 2);
}

async fn replies_stay_in_their_room(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let elsewhere = world.group(&users).await;
    let here = world.say(users[0], room, "pregunta").await;
    let there = world.say(users[0], elsewhere, "otra").await;
    let reply = |to, strict| {
        let new = NewMessage::text(format!("respuesta {to}"), MessageType::Text);
        Action::Send(NewMessage { reply_to: Some(to), reply_is_strict: strict, ..new })
    };
    let answer = sent(&world.write(users[1], room, reply(here.id, true)).await);
    let preview = answer.reply_to.clone().unwrap();
    assert_eq!((preview.id, &*preview.content, &*preview.sender_username), (here.id, "pregunta", "ana"));
    assert_eq!(world.history(users[0], room).await[0].reply_to, Some(preview));

    for bad in [there.id, unknown_message()] {
        assert_eq!(refusal(&world.write(users[1], room, reply(bad, true)).await), Refusal::ReplyElsewhere);
        assert_eq!(sent(&world.write(users[1], room, reply(bad, false)).await).reply_to, None);
    }
    world.write(users[0], room, Action::Delete { message: here.id }).await;
    assert_eq!(refusal(&world.write(users[0], room, reply(here.id, true)).await), Refusal::ReplyElsewhere);
}

async fn an_attachment_goes_to_its_column(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    for (kind, path) in [(MessageType::Image, "i.png"), (MessageType::Video, "v.mp4"), (MessageType::Audio, "a.ogg")] {
        let new = NewMessage::text(String::new(), kind);
        world.write(users[0], room, Action::Send(NewMessage { attachment: Some(path.into()), ..new })).await;
    }
    let file = NewMessage {
        file_url: "https://example.com/f.pdf".into(),
        file_name: "f.pdf".into(),
        file_size: Some(u32::MAX),
        ..NewMessage::text("mira".into(), MessageType::File)
    };
    world.write(users[0], room, Action::Send(file)).await;
    let history = world.history(users[1], room).await;
    let columns: Vec<_> = history
        .iter()
        .map(|message| {
            (message.image.as_deref(), message.video.as_deref(), message.audio.as_deref(), message.file_size)
        })
        .collect();
    let expected = [
        (None, None, None, Some(u32::MAX)),
        (None, None, Some("a.ogg"), None),
        (None, Some("v.mp4"), None, None),
        (Some("i.png"), None, None, None),
    ];
    assert_eq!(columns, expected);
    assert_eq!((&*history[0].file_url, &*history[0].file_name), ("https://example.com/f.pdf", "f.pdf"));
}

async fn edits_need_an_own_text_that_is_there(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let elsewhere = world.group(&users).await;
    let message = world.say(users[0], room, "hloa").await;
    let edit = |message, content: &str| Action::Edit { message, content: content.into() };
    assert_eq!(refusal(&world.write(users[1], room, edit(message.id, "x")).await), Refusal::NotAuthor);
    assert_eq!(refusal(&world.write(users[0], elsewhere, edit(message.id, "x")).await), Refusal::NoSuchMessage);
    assert_eq!(refusal(&world.write(users[0], room, edit(unknown_message(), "x")).await), Refusal::NoSuchMessage);
    let emoji = NewMessage::text("👍".into(), MessageType::Emoji);
    let emoji = sent(&world.write(users[0], room, Action::Send(emoji)).await);
    assert_eq!(refusal(&world.write(users[0], room, edit(emoji.id, "x")).await), Refusal::NotText);

    world.write(users[1], room, Action::React { message: message.id, reaction: ReactionType::Love }).await;
    let outcome = world.write(users[0], room, edit(message.id, "hola")).await;
    let ChatEvent::Edited(edited) = &committed(&outcome).event else { panic!("{outcome:?}") };
    assert_eq!((&*edited.content, edited.is_edited, edited.created_at), ("hola", true, message.created_at));
    assert_eq!(edited.updated_at, committed(&outcome).at);
    assert_eq!(edited.reactions.len(), 1, "the frame carries the whole message");
    assert_eq!(edited.user_reaction, None, "a frame has no viewer");
    assert_eq!(contents(&world.history(users[1], room).await), ["👍", "hola"]);

    world.write(users[0], room, Action::Delete { message: message.id }).await;
    assert_eq!(refusal(&world.write(users[0], room, edit(message.id, "x")).await), Refusal::NoSuchMessage);
}

async fn deletion_is_soft_and_once(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = world.say(users[0], room, "secreto").await;
    let delete = Action::Delete { message: message.id };
    assert_eq!(refusal(&world.write(users[1], room, delete.clone()).await), Refusal::NotAuthor);
    let outcome = world.write(users[0], room, delete.clone()).await;
    assert!(
        matches!(committed(&outcome).event, ChatEvent::Deleted { message: id, user } if id == message.id && user == users[0])
    );
    assert!(matches!(world.write(users[0], room, delete).await, Outcome::Unchanged));
    let gone = Action::Delete { message: unknown_message() };
    assert_eq!(refusal(&world.write(users[0], room, gone).await), Refusal::NoSuchMessage);
    assert!(world.history(users[1], room).await.is_empty());
    assert!(world.store.message(users[0], room, message.id).await.unwrap().is_none());
    assert_eq!(world.backend.number("SELECT count(*) FROM messages WHERE deleted_at = updated_at").await, 1);
    let react = Action::React { message: message.id, reaction: ReactionType::Sad };
    assert_eq!(refusal(&world.write(users[1], room, react).await), Refusal::NoSuchMessage);
}

async fn reactions_toggle(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = world.say(users[0], room, "gol").await;
    let react = |reaction| Action::React { message: message.id, reaction };
    let mut directions = Vec::new();
    for reaction in [ReactionType::Golazo, ReactionType::Fire, ReactionType::Golazo, ReactionType::Golazo] {
        let outcome = world.write(users[1], room, react(reaction)).await;
        let ChatEvent::Reacted { added, ref username, .. } = committed(&outcome).event else { panic!("{outcome:?}") };
        assert_eq!(&**username, "beto");
        directions.push(added);
    }
    assert_eq!(directions, [true, true, false, true]);
    let read = world.store.message(users[1], room, message.id).await.unwrap().unwrap();
    let kinds: Vec<_> = read.reactions.iter().map(|reaction| reaction.reaction_type).collect();
    assert_eq!(kinds, [ReactionType::Fire, ReactionType::Golazo], "oldest first");
    assert_eq!(read.user_reaction, Some(ReactionType::Golazo));
    assert_eq!(world.history(users[0], room).await[0].user_reaction, None);
    let nowhere = Action::React { message: unknown_message(), reaction: ReactionType::Like };
    assert_eq!(refusal(&world.write(users[1], room, nowhere).await), Refusal::NoSuchMessage);
}

async fn toggles_at_the_same_time_alternate(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = world.say(users[0], room, "gol").await;
    let react = Action::React { message: message.id, reaction: ReactionType::Like };
    let answers: Vec<_> = (0..31).map(|_| world.queue(users[1], room, Transport::Socket, react.clone())).collect();
    for (number, answer) in answers.into_iter().enumerate() {
        let outcome = answer.await.unwrap();
        let ChatEvent::Reacted { added, .. } = committed(&outcome).event else { panic!("{outcome:?}") };
        assert_eq!(added, number % 2 == 0, "toggle {number}");
    }
    assert_eq!(world.backend.number("SELECT count(*) FROM message_reactions").await, 1);
}

async fn a_read_is_told_once_and_never_goes_back(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = world.say(users[0], room, "hola").await;
    let read = Action::Read { message: message.id };
    let unread = async |user: usize| {
        let room = world.store.room(users[1], room).await.unwrap().unwrap();
        let own = room.participants.iter().find(|participant| participant.user.id == users[user]).unwrap();
        (own.unread_count, own.last_read_at)
    };
    assert_eq!(unread(1).await.0, 1);
    assert_eq!(unread(0).await.0, 0, "one's own messages are read");
    let outcome = world.write(users[1], room, read.clone()).await;
    let ChatEvent::Read { ref messages, count, user, ref username } = committed(&outcome).event else {
        panic!("{outcome:?}")
    };
    assert_eq!((&**messages, count, user, &**username), (&[message.id][..], 1, users[1], "beto"));
    assert_eq!(unread(1).await, (0, committed(&outcome).at));
    let at = unread(1).await.1;
    assert!(matches!(world.write(users[1], room, read).await, Outcome::Unchanged));
    assert_eq!(unread(1).await.1, at);

    // One's own and deleted messages may be read, too; unknown ones not.
    let own = Action::Read { message: message.id };
    world.write(users[0], room, Action::Delete { message: message.id }).await;
    committed(&world.write(users[0], room, own).await);
    let nowhere = Action::Read { message: unknown_message() };
    assert_eq!(refusal(&world.write(users[1], room, nowhere).await), Refusal::NoSuchMessage);
    let read = world.store.messages(users[1], room, None, FIRST_PAGE).await.unwrap();
    assert_eq!(read.count, 0);
    assert_eq!(world.backend.number("SELECT count(*) FROM message_reads").await, 2);
}

async fn mark_as_read_tells_the_newest_and_writes_all(mut world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let total = limits::READ_ALL_ROWS_MAX * 2 + 7;
    let answers: Vec<_> =
        (0..total).map(|number| world.queue(users[0], room, Transport::Rest, send(&format!("{number}")))).collect();
    let mut ids = Vec::new();
    for answer in answers {
        ids.push(sent(&answer.await.unwrap()).id);
    }
    let own = world.say(users[1], room, "propio").await;
    world.write(users[0], room, Action::Delete { message: ids[3] }).await;
    let outcome = world.write(users[1], room, Action::ReadAll).await;
    let ChatEvent::Read { ref messages, count, .. } = committed(&outcome).event else { panic!("{outcome:?}") };
    assert_eq!(count, total as u64 - 1, "all but the deleted one, and none of one's own");
    let newest: Vec<_> = ids.iter().rev().take(limits::READ_ALL_FRAMES_MAX).copied().collect();
    assert_eq!(*messages, newest);
    let read = world.store.message(users[1], room, ids[total - 1]).await.unwrap().unwrap();
    assert!(read.is_read && read.read_by_count == 1);
    assert!(!world.store.message(users[1], room, own.id).await.unwrap().unwrap().is_read);
    assert!(matches!(world.write(users[1], room, Action::ReadAll).await, Outcome::Unchanged));

    // Closing does what is left, so that this test need not wait for an idle moment.
    world.reopen().await;
    assert_eq!(world.backend.number("SELECT count(*) FROM message_reads").await, total as i64 - 1);
}

async fn owners_and_admins_add_and_remove(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let caro = world.user("caro").await;
    let (add, remove) = (Action::Add { user: caro }, Action::Remove { user: caro });
    assert_eq!(refusal(&world.write(users[1], room, add.clone()).await), Refusal::NotAdmin);
    let nobody = Action::Add { user: UserId::fresh() };
    assert_eq!(refusal(&world.write(users[0], room, nobody).await), Refusal::NoSuchUser);
    assert_eq!(refusal(&world.write(users[0], room, remove.clone()).await), Refusal::NoSuchUser);

    world.say(users[0], room, "antes de caro").await;
    assert!(!world.store.admission(room, caro).await.unwrap().is_participant);
    let outcome = world.write(users[0], room, add.clone()).await;
    assert!(matches!(committed(&outcome).event, ChatEvent::Joined { user } if user == caro));
    let admission = world.store.admission(room, caro).await.unwrap();
    assert!(admission.is_participant && admission.participants == 3);
    assert!(matches!(world.write(users[0], room, add).await, Outcome::Unchanged));
    let seen = world.store.room(caro, room).await.unwrap().unwrap();
    let row = seen.participants.iter().find(|participant| participant.user.id == caro).unwrap();
    assert_eq!((row.unread_count, &*row.role, row.last_read_at), (0, "member", committed(&outcome).at));
    committed(&world.write(caro, room, send("gracias")).await);

    let outcome = world.write(users[0], room, remove).await;
    assert!(matches!(committed(&outcome).event, ChatEvent::Left { user } if user == caro));
    assert!(!world.store.admission(room, caro).await.unwrap().is_participant);
    assert_eq!(refusal(&world.write(caro, room, send("¿hola?")).await), Refusal::NotParticipant);
    assert!(world.store.room(caro, room).await.unwrap().is_none());
    assert!(world.history(caro, room).await.is_empty());
}

async fn nobody_is_added_to_a_private_room(world: World) {
    let (ana, beto, caro) = (world.user("ana").await, world.user("beto").await, world.user("caro").await);
    let (room, _) = world.store.open_private_room(ana, beto).await.unwrap();
    for action in [Action::Add { user: caro }, Action::Remove { user: beto }] {
        assert_eq!(refusal(&world.write(ana, room, action).await), Refusal::NotAdmin);
    }
}

async fn whoever_leaves_writes_no_more(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let batch = [send("uno"), Action::Leave, send("dos"), Action::Leave];
    let answers: Vec<_> =
        batch.into_iter().map(|action| world.queue(users[1], room, Transport::Socket, action)).collect();
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.unwrap());
    }
    committed(&outcomes[0]);
    assert!(matches!(committed(&outcomes[1]).event, ChatEvent::Left { user } if user == users[1]));
    assert_eq!(refusal(&outcomes[2]), Refusal::NotParticipant);
    assert_eq!(refusal(&outcomes[3]), Refusal::NotParticipant);
    assert_eq!(world.store.admission(room, users[0]).await.unwrap().participants, 1);
}

async fn twins_are_one_message_in_both_directions(world: World) {
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

async fn twins_need_the_other_transport_the_same_words_and_ten_seconds(world: World) {
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

async fn twins_are_remembered_across_a_restart(mut world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.frame(users[0], room, send("hola")).await);
    world.frame(users[0], room, named("con nombre", "1")).await;
    world.reopen().await;
    let outcome = world.write(users[0], room, send("hola")).await;
    assert!(matches!(outcome, Outcome::Twin(twin) if twin.id == message.id));
    sent(&world.write(users[0], room, send("con nombre")).await);
    sent(&world.write(users[0], room, send("hola")).await);
}

async fn a_client_id_names_one_message_for_a_day(mut world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let elsewhere = world.group(&users).await;
    let [first, again] =
        ["hola", "otra cosa"].map(|text| world.queue(users[0], room, Transport::Socket, named(text, "k-1")));
    let message = sent(&first.await.unwrap());
    assert!(matches!(again.await.unwrap(), Outcome::Repeated(same) if same.id == message.id && same.content == "hola"));
    world.reopen().await;
    let outcome = world.write(users[0], room, named("hola", "k-1")).await;
    assert!(matches!(outcome, Outcome::Repeated(same) if same.id == message.id));
    sent(&world.write(users[1], room, named("hola", "k-1")).await);
    sent(&world.write(users[0], elsewhere, named("hola", "k-1")).await);
    world.clock.advance(Duration::from_secs(24 * 3600 + 1));
    let later = sent(&world.write(users[0], room, named("hola", "k-1")).await);
    assert_ne!(later.id, message.id);
    let outcome = world.write(users[0], room, named("hola", "k-1")).await;
    assert!(matches!(outcome, Outcome::Repeated(same) if same.id == later.id));
}

async fn sessions_hear_of_refusals_and_repetitions_only(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.write(users[0], room, send("hola")).await);
    world.submit(users[0], room, send("hola"));
    world.submit(users[0], room, Action::Read { message: message.id });
    world.submit(users[0], room, Action::Read { message: message.id });
    world.submit(users[0], room, named("eco", "k"));
    world.submit(users[0], room, named("eco", "k"));
    world.submit(users[1], room, Action::Delete { message: message.id });
    world.settle().await;
    let answers = world.port.answers.lock().unwrap();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(matches!(&answers[0], (SESSION, Outcome::Repeated(message)) if message.content == "eco"));
    assert!(matches!(answers[1], (SESSION, Outcome::Refused(Refusal::NotAuthor))));
    let events = world.port.events.lock().unwrap();
    assert_eq!(events.iter().map(|event| event.origin.is_some()).collect::<Vec<_>>(), [false, true, true]);
}

async fn a_private_room_is_made_once(world: World) {
    let (ana, beto) = (world.user("ana").await, world.user("beto").await);
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

async fn rooms_are_made_with_their_roles(world: World) {
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

async fn rooms_are_listed_by_their_newest_message(world: World) {
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

async fn settings_are_ones_own(world: World) {
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

async fn registration_keeps_names_unique(world: World) {
    let sos = world.user("sos").await;
    let ana = world.user("ana").await;
    let taken = async |mail: &str, name: &str| {
        let user = pregon::chat::user::NewUser { email: mail.into(), username: name.into(), ..new_user("x") };
        match world.store.register(user).await {
            Err(RegisterError::Taken { email, username }) => (email, username),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(taken("ana@example.com", "ana2").await, (true, false));
    assert_eq!(taken("ana2@example.com", "ANA").await, (false, true));
    assert_eq!(taken("ANA@example.com", "sos").await, (true, true));
    let profile = world.store.profile(ana).await.unwrap().unwrap();
    assert_eq!((&*profile.username, &*profile.display_name, profile.following_count), ("ana", "ana Pérez", 1));
    assert_eq!((&*profile.interests, &*profile.account_type, profile.avatar.clone()), ("[]", "user", None));
    let followed = world.store.person(ana, sos).await.unwrap().unwrap();
    assert_eq!((followed.profile.followers_count, followed.followers_column, followed.is_following), (1, 1, true));
    let beto = world.user("beto").await;
    assert_eq!(world.store.profile(sos).await.unwrap().unwrap().followers_count, 2, "the cache forgot");
    assert!(world.store.account(beto).await.unwrap().unwrap().is_active);
}

async fn logins_find_mail_and_name(world: World) {
    let ana = world.user("ana").await;
    for login in ["ana", "ana@example.com"] {
        let found = world.store.credentials(login).await.unwrap().unwrap();
        assert_eq!((found.user, found.is_active, &*found.password_hash), (ana, true, "pbkdf2_sha256$1$salt$hash"));
    }
    for login in ["nadie", "nadie@example.com", "ana@", ""] {
        assert!(world.store.credentials(login).await.unwrap().is_none(), "{login}");
    }
    world.store.set_password(ana, "otra".into()).await.unwrap();
    assert_eq!(world.store.credentials("ana").await.unwrap().unwrap().password_hash, "otra");
    assert!(world.store.set_password(UserId::fresh(), "x".into()).await.is_err());
}

async fn revoked_tokens_are_known(mut world: World) {
    let expires = world.clock.now().plus_seconds(60);
    assert!(!world.store.is_revoked("abc").await.unwrap());
    world.store.revoke("abc".into(), expires).await.unwrap();
    world.store.revoke("abc".into(), expires).await.unwrap();
    assert!(world.store.is_revoked("abc").await.unwrap());
    world.reopen().await;
    assert!(world.store.is_revoked("abc").await.unwrap());
    assert!(!world.store.is_revoked("abd").await.unwrap());
}

async fn admissions_are_cached_and_forgotten_by_our_writes(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    assert!(world.store.cached_admission(room, users[0]).is_none());
    let read = world.store.admission(room, users[0]).await.unwrap();
    let other = world.store.admission(world.group(&users).await, users[0]).await.unwrap();
    assert!(Arc::ptr_eq(read.account.as_ref().unwrap(), other.account.as_ref().unwrap()), "one account a user");
    let cached = world.store.cached_admission(room, users[0]).unwrap();
    assert!(cached.is_participant && cached.participants == 2 && cached.account.unwrap().is_active);
    world.write(users[0], room, Action::Leave).await;
    assert!(world.store.cached_admission(room, users[0]).is_none());
    let stranger = world.store.admission(room, UserId::fresh()).await.unwrap();
    assert!(stranger.account.is_none() && !stranger.is_participant);
    world.clock.advance(Duration::from_secs(u64::try_from(limits::ADMISSION_CACHE_SECONDS).unwrap()));
    assert!(world.store.cached_admission(room, users[1]).is_none());
}

async fn others_changes_show_within_seconds(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    assert!(world.store.admission(room, users[1]).await.unwrap().account.unwrap().is_active);
    let user = users[1].hex();
    world.backend.sql(&format!("UPDATE users SET is_active = 0, display_name = 'B' WHERE id = '{user}'")).await;
    world.clock.advance(Duration::from_secs(u64::try_from(limits::ADMISSION_CACHE_SECONDS).unwrap()));
    assert!(!world.store.admission(room, users[1]).await.unwrap().account.unwrap().is_active);
    assert!(!world.store.account(users[1]).await.unwrap().unwrap().is_active);
    assert_eq!(world.store.profile(users[1]).await.unwrap().unwrap().display_name, "B");
    assert_eq!(world.store.participants(&[room, RoomId::fresh()]).await.unwrap(), [(room, users[0])]);
}

async fn people_are_found_by_any_name(world: World) {
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
    assert_eq!(search("").await, ["beto", "carla_r"]);
    assert_eq!(search("BET").await, ["beto"]);
    assert_eq!(search("Ibáñ").await, ["beto"]);
    assert_eq!(search("_").await, ["carla_r"]);
    assert_eq!(search("%").await, Vec::<String>::new());
    assert_eq!(search("pérez").await, ["beto", "carla_r"]);
    let second = PageRequest { number: 2, size: 1 };
    let page = world.store.search_people(ana, "", second).await.unwrap();
    assert_eq!((page.count, &*page.rows[0].profile.username), (2, "carla_r"));
    assert_eq!(world.store.profile_by_name("BETO").await.unwrap().unwrap().username, "beto");
    assert!(world.store.profile_by_name("nadie").await.unwrap().is_none());
}

async fn friends_and_requests_show_in_people(world: World) {
    let mut users = vec![world.user("ana").await, world.user("beto").await, world.user("caro").await];
    let dani = world.user("dani").await;
    users.sort_unstable();
    for (number, (one, two)) in [(0, 1), (0, 2)].into_iter().enumerate() {
        let (one, two) = (users[one].hex(), users[two].hex());
        let text = format!(
            "INSERT INTO friendships (id, created_at, user1_id, user2_id) \
             VALUES ('{number}', '2026-01-0{} 00:00:00.000000', '{one}', '{two}')",
            number + 1
        );
        world.backend.sql(&text).await;
    }
    let text = format!(
        "INSERT INTO friend_requests (id, status, created_at, sender_id, receiver_id) \
         VALUES ('1', 'pending', '2026-01-01 00:00:00.000000', '{}', '{}')",
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

async fn pages_are_cut_and_counted(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let mut times = Vec::new();
    for number in 0..7 {
        times.push(world.say(users[0], room, &format!("{number}")).await.created_at);
    }
    let page = async |number, size, since: Option<Timestamp>| {
        let page = world.store.messages(users[1], room, since, PageRequest { number, size }).await.unwrap();
        (page.count, page.rows.into_iter().map(|message| message.content).collect::<String>())
    };
    assert_eq!(page(1, 3, None).await, (7, "654".into()));
    assert_eq!(page(3, 3, None).await, (7, "0".into()));
    assert_eq!(page(4, 3, None).await, (7, String::new()));
    assert_eq!(page(1, 3, Some(times[4])).await, (2, "65".into()));
    assert_eq!(page(1, 3, Some(times[6])).await, (0, String::new()));
}

async fn a_closed_store_takes_nothing_and_keeps_everything(world: World) {
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

async fn sequences_have_no_holes_across_refusals_and_restarts(mut world: World) {
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

async fn a_full_lane_gives_the_write_back(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    // Far more than the lane can take in a moment: some come back, and every one that did not is answered.
    let writes = limits::LANE_WRITES_MAX * 20;
    let (answers, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    let mut returned = 0;
    for number in 0..writes {
        let answers = answers.clone();
        let write = pregon::chat::write::Write {
            event_id: pregon::ids::EventId::fresh(),
            actor: users[0],
            room,
            transport: Transport::Socket,
            action: send(&format!("{number}")),
            answer: pregon::chat::write::AnswerTo::Caller(Box::new(move |outcome| drop(answers.send(outcome)))),
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
