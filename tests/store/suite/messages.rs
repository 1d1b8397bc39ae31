//! Sending, replying, editing, deleting, reacting, reading: each action and each refusal.

use std::collections::BTreeMap;

use crate::support::FIRST_PAGE;
use crate::support::World;
use crate::support::committed;
use crate::support::contents;
use crate::support::refusal;
use crate::support::send;
use crate::support::sent;
use crate::support::unknown_message;
use pregon::clock::Timestamp;
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::message::Message;
use pregon::domain::chat::message::MessageType;
use pregon::domain::chat::message::ReactionType;
use pregon::domain::chat::write::Action;
use pregon::domain::chat::write::NewMessage;
use pregon::domain::chat::write::Transport;
use pregon::domain::write::Outcome;
use pregon::domain::write::Refusal;
use pregon::limits;
use pregon::store::PageRequest;

pub async fn a_message_is_what_was_sent_and_what_is_read(world: World) {
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

pub async fn replies_stay_in_their_room(world: World) {
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

pub async fn an_attachment_goes_to_its_column(world: World) {
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

pub async fn edits_need_an_own_text_that_is_there(world: World) {
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
    let Some(ChatEvent::Edited(edited)) = committed(&outcome).chat() else { panic!("{outcome:?}") };
    assert_eq!((&*edited.content, edited.is_edited, edited.created_at), ("hola", true, message.created_at));
    assert_eq!(edited.updated_at, committed(&outcome).at);
    assert_eq!(edited.reactions.len(), 1, "the frame carries the whole message");
    assert_eq!(edited.user_reaction, None, "a frame has no viewer");
    assert_eq!(contents(&world.history(users[1], room).await), ["👍", "hola"]);

    world.write(users[0], room, Action::Delete { message: message.id }).await;
    assert_eq!(refusal(&world.write(users[0], room, edit(message.id, "x")).await), Refusal::NoSuchMessage);
}

pub async fn deletion_is_soft_and_once(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = world.say(users[0], room, "secreto").await;
    let delete = Action::Delete { message: message.id };
    assert_eq!(refusal(&world.write(users[1], room, delete.clone()).await), Refusal::NotAuthor);
    let outcome = world.write(users[0], room, delete.clone()).await;
    assert!(
        matches!(committed(&outcome).chat(), Some(&ChatEvent::Deleted { message: id, user }) if id == message.id && user == users[0])
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

pub async fn reactions_toggle(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = world.say(users[0], room, "gol").await;
    let react = |reaction| Action::React { message: message.id, reaction };
    let mut directions = Vec::new();
    for reaction in [ReactionType::Golazo, ReactionType::Fire, ReactionType::Golazo, ReactionType::Golazo] {
        let outcome = world.write(users[1], room, react(reaction)).await;
        let Some(&ChatEvent::Reacted { added, ref username, .. }) = committed(&outcome).chat() else {
            panic!("{outcome:?}")
        };
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

/// The newest few reactions with their users, and the number of each type. A viewer's own reaction counts even if it is
/// not shown.
pub async fn a_message_shows_its_newest_reactions(world: World) {
    let names: Vec<String> = (0..limits::MESSAGE_REACTIONS_SHOWN + 2).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (room, users) = world.room(&names).await;
    let message = world.say(users[0], room, "gol").await;
    let quiet = world.say(users[0], room, "nada").await;
    let react = async |user, reaction| {
        committed(&world.write(user, room, Action::React { message: message.id, reaction }).await);
    };
    react(users[1], ReactionType::Wow).await;
    react(users[1], ReactionType::Sad).await;
    let mut others = Vec::new();
    for (number, user) in users[2..].iter().copied().enumerate() {
        let kind = if number % 2 == 0 { ReactionType::Like } else { ReactionType::Golazo };
        react(user, kind).await;
        others.push((user, kind));
    }
    let most = limits::MESSAGE_REACTIONS_SHOWN as u64;
    let counts = [
        (ReactionType::Wow, 1),
        (ReactionType::Sad, 1),
        (ReactionType::Like, most.div_ceil(2)),
        (ReactionType::Golazo, most / 2),
    ];
    let check = |message: &Message, own: Option<ReactionType>| {
        let shown = message.reactions.iter().map(|reaction| (reaction.user.id, reaction.reaction_type));
        assert_eq!(shown.collect::<Vec<_>>(), others, "the newest, the oldest of them first");
        assert_eq!(message.reaction_counts, BTreeMap::from(counts));
        assert_eq!(message.user_reaction, own);
    };
    for (viewer, own) in
        [(users[0], None), (users[1], Some(ReactionType::Sad)), (others[1].0, Some(ReactionType::Golazo))]
    {
        check(&world.store.message(viewer, room, message.id).await.unwrap().unwrap(), own);
        let listed = world.history(viewer, room).await;
        check(listed.iter().find(|listed| listed.id == message.id).unwrap(), own);
        let quiet = listed.iter().find(|listed| listed.id == quiet.id).unwrap();
        assert!(quiet.reactions.is_empty() && quiet.reaction_counts.is_empty() && quiet.user_reaction.is_none());
    }
    let edit = Action::Edit { message: message.id, content: "¡gol!".into() };
    let outcome = world.write(users[0], room, edit).await;
    let Some(ChatEvent::Edited(edited)) = committed(&outcome).chat() else { panic!("{outcome:?}") };
    check(edited, None);

    // One of the newest is removed: an older one takes its place, and only one is still not shown.
    react(others[0].0, others[0].1).await;
    let read = world.store.message(users[1], room, message.id).await.unwrap().unwrap();
    assert_eq!(read.reactions[0].reaction_type, ReactionType::Sad);
    assert_eq!(read.reaction_counts[&ReactionType::Like], most.div_ceil(2) - 1);
}

pub async fn toggles_at_the_same_time_alternate(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = world.say(users[0], room, "gol").await;
    let react = Action::React { message: message.id, reaction: ReactionType::Like };
    let answers: Vec<_> = (0..31).map(|_| world.queue(users[1], room, Transport::Socket, react.clone())).collect();
    for (number, answer) in answers.into_iter().enumerate() {
        let outcome = answer.await.unwrap();
        let Some(&ChatEvent::Reacted { added, .. }) = committed(&outcome).chat() else { panic!("{outcome:?}") };
        assert_eq!(added, number % 2 == 0, "toggle {number}");
    }
    assert_eq!(world.backend.number("SELECT count(*) FROM message_reactions").await, 1);
}

pub async fn a_read_is_told_once_and_never_goes_back(world: World) {
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
    let Some(&ChatEvent::Read { ref messages, count, user, ref username }) = committed(&outcome).chat() else {
        panic!("{outcome:?}")
    };
    assert_eq!((&**messages, count, user, &**username), (&[message.id][..], 1, users[1], "beto"));
    assert_eq!(unread(1).await, (0, committed(&outcome).at));
    let at = unread(1).await.1;
    assert!(matches!(world.write(users[1], room, read).await, Outcome::Unchanged));
    assert_eq!(unread(1).await.1, at);

    // A user's own and deleted messages may be marked as read; unknown ones may not.
    let own = Action::Read { message: message.id };
    world.write(users[0], room, Action::Delete { message: message.id }).await;
    committed(&world.write(users[0], room, own).await);
    let nowhere = Action::Read { message: unknown_message() };
    assert_eq!(refusal(&world.write(users[1], room, nowhere).await), Refusal::NoSuchMessage);
    let read = world.store.messages(users[1], room, None, FIRST_PAGE).await.unwrap();
    assert_eq!(read.count, 0);
    assert_eq!(world.backend.number("SELECT count(*) FROM message_reads").await, 2);
}

pub async fn mark_as_read_tells_the_newest_and_writes_all(mut world: World) {
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
    let Some(&ChatEvent::Read { ref messages, count, .. }) = committed(&outcome).chat() else { panic!("{outcome:?}") };
    assert_eq!(count, total as u64 - 1, "all but the deleted one, and none of one's own");
    let newest: Vec<_> = ids.iter().rev().take(limits::READ_ALL_FRAMES_MAX).copied().collect();
    assert_eq!(*messages, newest);
    let read = world.store.message(users[1], room, ids[total - 1]).await.unwrap().unwrap();
    assert!(read.is_read && read.read_by_count == 1);
    assert!(!world.store.message(users[1], room, own.id).await.unwrap().unwrap().is_read);
    assert!(matches!(world.write(users[1], room, Action::ReadAll).await, Outcome::Unchanged));

    // Closing writes the rest, so that this test need not wait for an idle moment.
    world.reopen().await;
    assert_eq!(world.backend.number("SELECT count(*) FROM message_reads").await, total as i64 - 1);
}

pub async fn pages_are_cut_and_counted(world: World) {
    let (room, users) = world.room(&["ana", "beto"]).await;
    let mut times = Vec::new();
    for number in 0..7 {
        times.push(world.say(users[0], room, &format!("{number}")).await.created_at);
    }
    let page = async |number, size, since: Option<Timestamp>| {
        let page = world.store.messages(users[1], room, since, PageRequest::numbered(number, size)).await.unwrap();
        (page.count, page.rows.into_iter().map(|message| message.content).collect::<String>())
    };
    assert_eq!(page(1, 3, None).await, (7, "654".into()));
    assert_eq!(page(3, 3, None).await, (7, "0".into()));
    assert_eq!(page(4, 3, None).await, (7, String::new()));
    assert_eq!(page(1, 3, Some(times[4])).await, (2, "65".into()));
    assert_eq!(page(1, 3, Some(times[6])).await, (0, String::new()));
}
