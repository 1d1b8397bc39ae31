//! Questions about a room, and who is told to be there.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::check::checks;
use super::client::Client;
use super::expect::{has, list, number, refused, same, shown, text, that};
use super::world::{MEMBERS, STRANGER, World};

checks! {
    "room_info counts who takes part and who is there" => info;
    "the roster comes page by page, each member once" => roster;
    "unread counts as REST does" => unread;
    "readers of a message are listed with their times" => readers;
    "newcomers are told who is there, the others who comes and goes" => presence;
    "questions are for participants, about rooms" => rights;
    "of many questions at once each is answered" => many;
}

async fn info(world: &World) -> Result<()> {
    let room = world.room()?;
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    let ask = json!({"type": "room_info", "topic": room.topic});
    let counted =
        |present: u64| json!({"type": "room_info", "topic": room.topic, "participants": MEMBERS, "present": present});
    has(&ana.asked_well(ask.clone()).await?, &counted(0))?;
    beto.joined(&room.topic).await?;
    ana.joined(&room.topic).await?;
    // The room's home hears of both by mail.
    for _ in 0..200 {
        if ana.asked(ask.clone()).await?["present"] == 2 {
            break;
        }
    }
    has(&ana.asked(ask).await?, &counted(2))
}

async fn roster(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Client::open(world, 0).await?;
    ana.joined(&room.topic).await?;
    ana.rest().await?;
    let (mut members, mut after) = (Vec::<Value>::new(), Value::Null);
    let mut request = json!({"type": "roster", "topic": room.topic, "limit": 2});
    for limit in [2, MEMBERS - 2] {
        if !after.is_null() {
            request["after"] = after.clone();
        }
        let page = ana.asked_well(request.clone()).await?;
        has(&page, &json!({"type": "roster", "topic": room.topic, "participants": MEMBERS}))?;
        members.extend(list(&page, "members")?.iter().cloned());
        that(list(&page, "members")?.len() == limit, "a page of the size asked for", &page)?;
        after = page["next"].clone();
    }
    that(after.is_null(), "no next page behind the last", &after)?;
    for user in &world.users[..MEMBERS] {
        let found: Vec<&Value> = members.iter().filter(|member| member["id"] == user.id.as_str()).collect();
        let [member] = found[..] else { bail!("expected {} once, came {}", user.username, json!(members)) };
        let is_first = user.id == world.users[0].id;
        let role = if is_first { "owner" } else { "member" };
        has(member, &json!({"username": user.username, "role": role, "present": is_first}))?;
    }
    for (limit, length) in [(0, 1), (1, 1), (1000, MEMBERS)] {
        let page = ana.asked(json!({"type": "roster", "topic": room.topic, "limit": limit})).await?;
        that(list(&page, "members")?.len() == length, "a page within its bounds", &page)?;
    }
    Ok(())
}

async fn unread(world: &World) -> Result<()> {
    let room = world.room()?;
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    let ask = json!({"type": "unread", "topic": room.topic});
    let before = beto.asked_well(ask.clone()).await?;
    has(&before, &json!({"type": "unread", "count": 0, "more": false}))?;
    let mut last = String::new();
    for content in ["one", "two", "three"] {
        text(&ana.say(&room.topic, content).await?, "message_id")?.clone_into(&mut last);
    }
    beto.say(&room.topic, "one's own").await?;
    let gone = ana.say(&room.topic, "gone").await?;
    ana.asked(json!({"type": "delete_message", "topic": room.topic, "message_id": gone["message_id"]})).await?;
    let now = beto.asked(ask.clone()).await?;
    has(&now, &json!({"count": 3, "last_read_at": before["last_read_at"]}))?;
    let path = format!("/api/messaging/chats/{}/", room.id);
    let shown = world.done("GET", &path, 1, None)?;
    same("what REST counts", &shown["unread_count"], &now["count"])?;
    world.done("POST", &format!("{path}mark_as_read/"), 1, None)?;
    let after = beto.asked(ask).await?;
    has(&after, &json!({"count": 0}))?;
    that(number(&after, "last_read_at")? > number(&before, "last_read_at")?, "a later watermark", &after)
}

async fn readers(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Client::open(world, 0).await?;
    let said = text(&ana.say(&room.topic, "read me").await?, "message_id")?.to_owned();
    let ask = json!({"type": "readers", "topic": room.topic, "message_id": said, "limit": 1});
    let nobody = ana.asked_well(ask.clone()).await?;
    has(&nobody, &json!({"type": "readers", "message_id": said, "count": 0, "readers": [], "next": null}))?;
    let mut expected = Vec::new();
    for user in 1..MEMBERS {
        let mut reader = Client::open(world, user).await?;
        let read = json!({"type": "read_message", "topic": room.topic, "message_id": said});
        has(&reader.asked(read).await?, &json!({"type": "ack"}))?;
        expected.push(world.users[user].id.as_str());
    }
    let first = ana.asked(ask.clone()).await?;
    has(&first, &json!({"count": MEMBERS - 1}))?;
    let mut next = ask;
    next["after"] = first["next"].clone();
    let second = ana.asked_well(next).await?;
    let mut found: Vec<&str> = Vec::new();
    for page in [&first, &second] {
        for reader in list(page, "readers")? {
            that(number(reader, "at")? > 1_000_000_000_000_000, "microseconds since 1970", reader)?;
            found.push(text(reader, "id")?);
        }
    }
    found.sort_unstable();
    expected.sort_unstable();
    same("the readers", &json!(found), &json!(expected))?;
    let stored = world.done("GET", &format!("/api/messaging/chats/{}/messages/{said}/", room.id), 0, None)?;
    same("what REST counts", &stored["read_by_count"], &first["count"])?;
    let none = json!({"type": "readers", "topic": room.topic, "message_id": uuid::Uuid::new_v4()});
    refused(&ana.asked(none).await?, "no_such_message")
}

async fn presence(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Client::open(world, 0).await?;
    ana.joined(&room.topic).await?;
    let is = |user: usize, status: &str| {
        let user = &world.users[user];
        json!({"event": {"type": "user_status", "user_id": user.id, "username": user.username, "status": status}})
    };
    let mut beto = Client::open(world, 1).await?;
    beto.joined(&room.topic).await?;
    has(&ana.hears_of(&room.topic, "user_status").await?, &is(1, "online"))?;
    has(&beto.hears_of(&room.topic, "user_status").await?, &is(0, "online"))?;
    // A second socket of the same user is no news, and the end of one of two is none.
    let mut second = Client::open(world, 1).await?;
    second.joined(&room.topic).await?;
    has(&second.hears_of(&room.topic, "user_status").await?, &is(0, "online"))?;
    second.leave().await?;
    beto.leave().await?;
    has(&ana.hears_of(&room.topic, "user_status").await?, &is(1, "offline"))
}

async fn rights(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut stranger = Client::open(world, STRANGER).await?;
    let nobody = uuid::Uuid::new_v4();
    for kind in ["room_info", "roster", "unread", "readers"] {
        for (topic, code) in [(room.topic.as_str(), "not_participant"), ("feed", "bad_topic"), ("room:1", "bad_topic")]
        {
            let request = json!({"type": kind, "topic": topic, "message_id": nobody});
            refused(&stranger.asked(request).await?, code)?;
        }
    }
    Ok(())
}

async fn many(world: &World) -> Result<()> {
    const QUESTIONS: usize = 60;
    let room = world.room()?;
    let mut ana = Client::open(world, 0).await?;
    let question = |id| json!({"type": "room_info", "topic": room.topic, "id": id}).to_string();
    ana.socket.texts((0..QUESTIONS).map(question).collect()).await?;
    let (mut answered, mut is_answered) = (0, [false; QUESTIONS]);
    for _ in 0..QUESTIONS {
        let frame = ana.next().await?;
        let id = usize::try_from(number(&frame, "id")?).unwrap_or(QUESTIONS);
        match is_answered.get_mut(id) {
            Some(is_answered) if !*is_answered => *is_answered = true,
            _ => bail!("expected one answer for each question, came {}", shown(&frame)),
        }
        match frame["type"].as_str() {
            Some("room_info") => answered += 1,
            _ => {
                refused(&frame, "busy")?;
                has(&frame, &json!({"retry": "later"}))?;
            }
        }
    }
    if answered < 16 {
        bail!("expected that 16 questions may be under way, came {answered} answers of {QUESTIONS}");
    }
    ana.heard_nothing().await
}
