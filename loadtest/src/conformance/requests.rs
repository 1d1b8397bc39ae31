//! Requests and replies: messages and what is done with them, repetitions, ids, and every fault with its code.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::check::checks;
use super::client::Client;
use super::expect::{has, number, refused, same, shown, text, that};
use super::world::{STRANGER, World};

checks! {
    "a message is acknowledged and told with its sender's number" => message;
    "messages are answered, edited, reacted to, read and deleted" => deeds;
    "a client_id names one message, also on another socket" => client_id;
    "every request is answered once, by its own id" => every_one;
    "a request with a wrong field is answered by its id" => wrong_fields;
    "an id is a number or a short text and is given back as it came" => ids;
    "what cannot be done has a code that says why" => faults;
    "typing and signals reach the others and are not stored" => passing;
    "what the protocol does not know is ignored or named" => unknown;
}

async fn message(world: &World) -> Result<()> {
    let room = world.room()?;
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    ana.joined(&room.topic).await?;
    beto.joined(&room.topic).await?;
    let request =
        json!({"type": "chat_message", "topic": room.topic, "content": "  ¿qué tal? 😀 \"'<b>\\ ", "client_id": "m-1"});
    let ack = beto.asked_well(request).await?;
    has(&ack, &json!({"type": "ack", "client_id": "m-1", "repeated": false}))?;
    let durability = text(&ack, "durability")?;
    that(["stored", "replicated"].contains(&durability), "a durability of stored or replicated", &ack)?;
    let content = "¿qué tal? 😀 \"'<b>\\";
    for client in [&mut ana, &mut beto] {
        let heard =
            client.hears(&room.topic, json!({"type": "message", "content": content, "client_id": "m-1"})).await?;
        same("the message's id", &heard["event"]["id"], &ack["message_id"])?;
        same("the message's place", &heard["cursor"], &ack["cursor"])?;
        let user = client.told.user(&room.topic, number(&heard["event"], "user")?);
        same("the sender", &json!(user), &json!(world.users[1].id))?;
        that(heard["event"].get("message_type").is_none(), "no type where it is text", &heard)?;
    }
    let emoji = json!({"type": "chat_message", "topic": room.topic, "content": "😀", "message_type": "emoji"});
    has(&ana.asked_well(emoji).await?, &json!({"type": "ack"}))?;
    beto.hears(&room.topic, json!({"message_type": "emoji", "content": "😀"})).await?;
    Ok(())
}

async fn deeds(world: &World) -> Result<()> {
    let room = world.room()?;
    let topic = room.topic.as_str();
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    ana.joined(topic).await?;
    let first = text(&beto.say(topic, "first").await?, "message_id")?.to_owned();
    ana.hears(topic, json!({"id": first})).await?;
    let reply = json!({"type": "chat_message", "topic": topic, "content": "second", "reply_to": first});
    has(&beto.asked_well(reply).await?, &json!({"type": "ack"}))?;
    let answered =
        json!({"id": first, "content": "first", "message_type": "text", "username": world.users[1].username});
    ana.hears(topic, json!({"content": "second", "reply_to": answered})).await?;
    let lost = json!({"type": "chat_message", "topic": topic, "content": "plain", "reply_to": uuid::Uuid::new_v4()});
    has(&beto.asked_well(lost).await?, &json!({"type": "ack"}))?;
    let plain = ana.hears(topic, json!({"content": "plain"})).await?;
    that(plain["event"].get("reply_to").is_none(), "a plain message", &plain)?;

    let of_first = |kind: &str| json!({"type": kind, "topic": topic, "message_id": first});
    let with = |mut request: Value, key: &str, value: &str| {
        request[key] = json!(value);
        request
    };
    let edit = beto.asked_well(with(of_first("edit_message"), "content", "better")).await?;
    has(&edit, &json!({"type": "ack", "message_id": first, "repeated": false}))?;
    let edited = json!({"type": "message_edited", "id": first, "content": "better", "is_edited": true});
    same("the edit's place", &ana.hears(topic, edited).await?["cursor"], &edit["cursor"])?;
    for added in [true, false] {
        let react = beto.asked_well(with(of_first("react_message"), "reaction_type", "fire")).await?;
        has(&react, &json!({"type": "ack", "message_id": first}))?;
        let reacted = json!({"type": "message_reaction", "message_id": first, "reaction_type": "fire", "added": added});
        ana.hears(topic, reacted).await?;
    }
    let read = beto.asked_well(of_first("read_message")).await?;
    has(&read, &json!({"type": "ack", "repeated": false}))?;
    ana.hears(topic, json!({"type": "message_read", "count": 1, "message_ids": [first]})).await?;
    has(&beto.asked(of_first("read_message")).await?, &json!({"type": "ack", "repeated": true}))?;
    has(&beto.asked_well(of_first("delete_message")).await?, &json!({"type": "ack", "message_id": first}))?;
    ana.hears(topic, json!({"type": "message_deleted", "message_id": first, "user_id": world.users[1].id})).await?;
    has(&beto.asked(of_first("delete_message")).await?, &json!({"type": "ack", "repeated": true}))?;
    ana.heard_nothing().await
}

async fn client_id(world: &World) -> Result<()> {
    let room = world.room()?;
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    beto.joined(&room.topic).await?;
    let request = json!({"type": "chat_message", "topic": room.topic, "content": "once", "client_id": "c-1"});
    let first = ana.asked(request.clone()).await?;
    has(&first, &json!({"type": "ack", "client_id": "c-1", "repeated": false}))?;
    let second = ana.asked(request.clone()).await?;
    ana.leave().await?;
    let mut ana = Client::open(world, 0).await?;
    let third = ana.asked(request.clone()).await?;
    for again in [second, third] {
        has(&again, &json!({"type": "ack", "client_id": "c-1", "repeated": true}))?;
        same("the same message", &again["message_id"], &first["message_id"])?;
        same("its place", &again["cursor"], &first["cursor"])?;
    }
    beto.hears(&room.topic, json!({"id": first["message_id"], "content": "once"})).await?;
    // It is the sender's own name: another's same name means another message.
    let other = beto.asked(request.clone()).await?;
    has(&other, &json!({"type": "ack", "repeated": false}))?;
    that(other["message_id"] != first["message_id"], "another message", &other)?;
    beto.hears(&room.topic, json!({"id": other["message_id"]})).await?;
    let delete = json!({"type": "delete_message", "topic": room.topic, "message_id": first["message_id"]});
    has(&ana.asked(delete).await?, &json!({"type": "ack"}))?;
    let gone = ana.asked(request).await?;
    refused(&gone, "deleted")?;
    has(&gone, &json!({"retry": "never"}))?;
    beto.hears(&room.topic, json!({"type": "message_deleted"})).await?;
    beto.heard_nothing().await
}

/// The frames that come until all of `expected` were answered, by their ids as JSON.
async fn answers(client: &mut Client<'_>, expected: usize) -> Result<BTreeMap<String, Value>> {
    let mut answers = BTreeMap::new();
    while answers.len() < expected {
        let frame = client.next().await?;
        let Some(id) = frame.get("id").filter(|id| !id.is_null()) else {
            if frame["type"] == "error" {
                bail!("expected an id with each answer, came {}", shown(&frame));
            }
            continue;
        };
        if let Some(before) = answers.insert(id.to_string(), frame.clone()) {
            bail!("expected one answer for {id}, came {} and {}", shown(&before), shown(&frame));
        }
    }
    Ok(answers)
}

/// All kinds of requests at once, without waiting for one another.
async fn every_one(world: &World) -> Result<()> {
    let room = world.room()?;
    let topic = &room.topic;
    let mut ana = Client::open(world, 0).await?;
    let message = text(&ana.say(topic, "hola").await?, "message_id")?.to_owned();
    // Questions and writes do not wait for each other: what is deleted may be gone before its readers are asked for.
    let gone = text(&ana.say(topic, "nothing").await?, "message_id")?.to_owned();
    let requests = [
        (json!({"type": "auth", "token": world.users[0].token}), "refreshed"),
        (json!({"type": "subscribe", "topic": topic}), "subscribed"),
        (json!({"type": "subscribe", "topic": "feed"}), "subscribed"),
        (json!({"type": "subscribe", "topic": "notifications"}), "subscribed"),
        (json!({"type": "unsubscribe", "topic": "post:00000000-0000-0000-0000-000000000000"}), "error"),
        (json!({"type": "chat_message", "topic": topic, "content": "one"}), "ack"),
        (json!({"type": "edit_message", "topic": topic, "message_id": message, "content": "two"}), "ack"),
        (json!({"type": "react_message", "topic": topic, "message_id": message, "reaction_type": "like"}), "ack"),
        (json!({"type": "read_message", "topic": topic, "message_id": message}), "ack"),
        (json!({"type": "room_info", "topic": topic}), "room_info"),
        (json!({"type": "roster", "topic": topic}), "roster"),
        (json!({"type": "unread", "topic": topic}), "unread"),
        (json!({"type": "readers", "topic": topic, "message_id": message}), "readers"),
        (json!({"type": "mark_read", "notification_id": message}), "error"),
        (json!({"type": "ping"}), "pong"),
        (json!({"type": "nonsense"}), "error"),
        (json!({"type": "delete_message", "topic": topic, "message_id": gone}), "ack"),
    ];
    let mut texts = Vec::new();
    for (number, (request, _)) in requests.iter().enumerate() {
        let mut request = request.clone();
        request["id"] = json!(format!("r-{number}"));
        texts.push(request.to_string());
    }
    ana.socket.texts(texts).await?;
    let answers = answers(&mut ana, requests.len()).await?;
    for (number, (request, kind)) in requests.iter().enumerate() {
        let answer = &answers[&format!("\"r-{number}\"")];
        if answer["type"] != *kind {
            bail!("{request}: expected {kind}, came {}", shown(answer));
        }
    }
    match ana.rest().await?.iter().find(|frame| !frame["id"].is_null()) {
        None => Ok(()),
        Some(frame) => bail!("expected no second answer, came {}", shown(frame)),
    }
}

/// Each request with each of its fields replaced by something of another type.
async fn wrong_fields(world: &World) -> Result<()> {
    let room = world.room()?;
    let topic = &room.topic;
    let mut ana = Client::open(world, 0).await?;
    let message = text(&ana.say(topic, "hola").await?, "message_id")?.to_owned();
    let requests = [
        json!({"type": "auth", "token": "a.b.c"}),
        json!({"type": "auth", "ticket": "a.b.c"}),
        json!({"type": "subscribe", "topic": "feed", "cursor": "1.1"}),
        json!({"type": "unsubscribe", "topic": topic}),
        json!({"type": "chat_message", "topic": topic, "content": "x", "message_type": "text", "client_id": "a"}),
        json!({"type": "edit_message", "topic": topic, "message_id": message, "content": "x"}),
        json!({"type": "delete_message", "topic": topic, "message_id": message}),
        json!({"type": "react_message", "topic": topic, "message_id": message, "reaction_type": "like"}),
        json!({"type": "read_message", "topic": topic, "message_id": message}),
        json!({"type": "typing", "topic": topic, "is_typing": true}),
        json!({"type": "signal", "topic": topic, "data": 1, "echo": false}),
        json!({"type": "room_info", "topic": topic}),
        json!({"type": "roster", "topic": topic, "after": world.users[0].id, "limit": 5}),
        json!({"type": "unread", "topic": topic}),
        json!({"type": "readers", "topic": topic, "message_id": message, "after": world.users[0].id, "limit": 5}),
        json!({"type": "mark_read", "notification_id": message}),
    ];
    ana.joined(topic).await?;
    let (mut sent, mut texts) = (Vec::new(), Vec::new());
    for request in &requests {
        for key in request.as_object().into_iter().flat_map(|request| request.keys()).filter(|key| *key != "data") {
            for value in
                [json!({"a": 1}), json!([]), if request[key].is_boolean() { json!("yes") } else { json!(true) }]
            {
                let mut wrong = request.clone();
                wrong[key] = value;
                wrong["id"] = json!(sent.len());
                texts.push(wrong.to_string());
                sent.push(wrong);
            }
        }
    }
    ana.socket.texts(texts).await?;
    let answers = answers(&mut ana, sent.len()).await?;
    for (number, request) in sent.iter().enumerate() {
        let answer = &answers[&number.to_string()];
        if answer["type"] != "error" || answer["retry"] != "fix" {
            bail!("{request}: expected an error that says `fix`, came {}", shown(answer));
        }
    }
    Ok(())
}

async fn ids(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    let longest = "x".repeat(62);
    for id in ["0", "-7", "1.5", "1e3", "18446744073709551615", "\"\"", "\"a\\n\\u00e9é😀\"", &format!("\"{longest}\"")]
    {
        ana.socket.text(format!("{{\"type\":\"ping\",\"id\":{id}}}")).await?;
        let pong = ana.next().await?;
        let same = serde_json::from_str::<Value>(id)?;
        has(&pong, &json!({"type": "pong", "id": same}))?;
    }
    for none in ["{\"type\":\"ping\"}", "{\"type\":\"ping\",\"id\":null}"] {
        ana.socket.text(none).await?;
        let pong = ana.next().await?;
        has(&pong, &json!({"type": "pong", "id": null}))?;
    }
    for id in ["{}", "[1]", "true", "\"\\ud83d\"", &format!("\"{longest}x\"")] {
        ana.socket.text(format!("{{\"type\":\"ping\",\"id\":{id}}}")).await?;
        let error = ana.next().await?;
        refused(&error, "bad_id")?;
        that(error.get("id").is_none(), "no id where there was none", &error)?;
    }
    Ok(())
}

async fn faults(world: &World) -> Result<()> {
    let room = world.room()?;
    let topic = &room.topic;
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    let mut stranger = Client::open(world, STRANGER).await?;
    let hers = text(&ana.say(topic, "hers").await?, "message_id")?.to_owned();
    let emoji = json!({"type": "chat_message", "topic": topic, "content": "😀", "message_type": "emoji"});
    let emoji = text(&beto.asked(emoji).await?, "message_id")?.to_owned();
    let nobody = uuid::Uuid::new_v4().to_string();
    let on = |kind: &str, message: &str| json!({"type": kind, "topic": topic, "message_id": message, "content": "x", "reaction_type": "like"});
    let say = |content: &str| json!({"type": "chat_message", "topic": topic, "content": content});
    let with = |mut request: Value, key: &str, value: Value| {
        request[key] = value;
        request
    };
    for (request, code, retry) in [
        (on("edit_message", &hers), "not_author", "never"),
        (on("delete_message", &hers), "not_author", "never"),
        (on("edit_message", &emoji), "not_text", "never"),
        (on("edit_message", &nobody), "no_such_message", "fix"),
        (on("delete_message", &nobody), "no_such_message", "fix"),
        (on("react_message", &nobody), "no_such_message", "fix"),
        (on("read_message", &nobody), "no_such_message", "fix"),
        (on("read_message", "x"), "no_such_message", "fix"),
        (with(on("react_message", &hers), "reaction_type", json!("love you")), "bad_fields", "fix"),
        (say(""), "bad_fields", "fix"),
        (say(" \u{200b} "), "bad_fields", "fix"),
        (say("a\0b"), "bad_fields", "fix"),
        (say(&"😀".repeat(2001)), "bad_fields", "fix"),
        (with(say("x"), "client_id", json!("")), "bad_fields", "fix"),
        (with(say("x"), "client_id", json!("x".repeat(65))), "bad_fields", "fix"),
        (with(say("x"), "message_type", json!("image")), "bad_fields", "fix"),
        (with(say("x"), "topic", json!("feed")), "bad_topic", "fix"),
        (with(say("x"), "topic", json!("post:1")), "bad_topic", "fix"),
        (json!({"type": "chat_message", "content": "x"}), "bad_topic", "fix"),
    ] {
        let answer = beto.asked(request.clone()).await?;
        refused(&answer, code)?;
        has(&answer, &json!({"retry": retry}))?;
    }
    let longest = "😀".repeat(2000);
    has(&beto.asked(say(&longest)).await?, &json!({"type": "ack", "repeated": false}))?;
    for request in [say("x"), on("read_message", &hers), on("react_message", &hers)] {
        let answer = stranger.asked(request).await?;
        refused(&answer, "not_participant")?;
        has(&answer, &json!({"retry": "never", "topic": topic}))?;
    }
    Ok(())
}

async fn passing(world: &World) -> Result<()> {
    let room = world.room()?;
    let topic = room.topic.as_str();
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    let mut second = Client::open(world, 0).await?;
    for client in [&mut ana, &mut beto, &mut second] {
        client.joined(topic).await?;
    }
    let ana_is = json!({"user_id": world.users[0].id, "username": world.users[0].username});
    let from_ana = |mut event: Value| {
        event["user_id"] = ana_is["user_id"].clone();
        event["username"] = ana_is["username"].clone();
        event
    };
    ana.ask(json!({"type": "typing", "topic": topic, "is_typing": true})).await?;
    beto.hears(topic, from_ana(json!({"type": "typing_status", "is_typing": true}))).await?;
    ana.heard_nothing().await?;
    second.heard_nothing().await?;
    let data = json!({"x": [1, "dos", null], "deep": {"y": 1.5}});
    ana.ask(json!({"type": "signal", "topic": topic, "data": data})).await?;
    let signal = from_ana(json!({"type": "signal", "data": data}));
    beto.hears(topic, signal.clone()).await?;
    second.hears(topic, signal.clone()).await?;
    ana.heard_nothing().await?;
    ana.ask(json!({"type": "signal", "topic": topic, "data": data, "echo": true})).await?;
    for client in [&mut ana, &mut beto, &mut second] {
        client.hears(topic, signal.clone()).await?;
    }
    let long = json!({"type": "signal", "topic": topic, "data": "x".repeat(4096)});
    refused(&ana.asked(long).await?, "bad_fields")?;
    beto.heard_nothing().await?;
    let elsewhere = world.room()?;
    for kind in ["typing", "signal"] {
        let request = json!({"type": kind, "topic": elsewhere.topic, "is_typing": true, "data": 1});
        let answer = ana.asked(request).await?;
        refused(&answer, "not_subscribed")?;
    }
    Ok(())
}

async fn unknown(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    for kind in [json!("nonsense"), json!(""), json!("Ping"), Value::Null] {
        let answer = ana.asked(json!({"type": kind})).await?;
        refused(&answer, "unknown_type")?;
        has(&answer, &json!({"retry": "fix"}))?;
    }
    let more = json!({"type": "ping", "future": {"key": [1, 2]}, "topic": "feed", "cursor": null});
    has(&ana.asked(more).await?, &json!({"type": "pong"}))
}
