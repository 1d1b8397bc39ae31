//! The sockets without a subprotocol: each path's greeting, frames and refusals, as the documentation has them.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::check::checks;
use super::client::Client;
use super::expect::{has, refused, same, shown, text, that};
use super::socket::Socket;
use super::world::{Room, STRANGER, World};

checks! {
    "older: a chat socket greets and says what is done in the room" => chat;
    "older: typing, signals and pings" => passing;
    "older: a bad frame gets an error and the socket stays" => bad_frames;
    "older: a refused chat socket says why and closes with 1000" => refusals;
    "older: feed, post and notification sockets" => listeners;
    "older: what happens to a post is told on it and on feeds" => post;
    "older: who comes and goes is told, once a user" => presence;
    "older: who loses a room or a post is closed with 4003" => lost;
    "older: what is no socket is answered as HTTP has it" => no_socket;
    "older sockets and pregon.v1 hear each other" => both;
}

/// A socket that ignores presence.
struct Older(Socket);

impl Older {
    async fn open(world: &World, path: &str, user: usize) -> Result<Self> {
        Ok(Self(Socket::open(world, &format!("{path}?token={}", world.users[user].token), &[]).await?))
    }

    /// A chat socket, greeted.
    async fn join(world: &World, room: &Room, user: usize) -> Result<Self> {
        let mut socket = Self::open(world, &format!("/ws/chat/{}/", room.id), user).await?;
        socket.hears(json!({"type": "connection_success", "message": "Conectado exitosamente al chat"})).await?;
        Ok(socket)
    }

    async fn say(&mut self, frame: Value) -> Result<()> {
        self.0.text(frame.to_string()).await
    }

    /// The next frame, presence too.
    async fn any(&mut self) -> Result<Value> {
        loop {
            match self.0.next().await? {
                Message::Text(text) => match serde_json::from_str::<Value>(&text) {
                    Ok(frame) if frame["type"].is_string() => return Ok(frame),
                    _ => bail!("expected JSON with a type, came {text}"),
                },
                Message::Ping(_) | Message::Pong(_) => {}
                other => bail!("expected a text frame, came {other:?}"),
            }
        }
    }

    /// The next frame that is not about presence.
    async fn next(&mut self) -> Result<Value> {
        loop {
            let frame = self.any().await?;
            if frame["type"] != "user_status" {
                return Ok(frame);
            }
        }
    }

    /// The same behind frames that show this post after its counters moved.
    async fn hears_past(&mut self, post: &str, expected: Value) -> Result<Value> {
        loop {
            let frame = self.next().await?;
            if frame["type"] != "post_updated" || frame["post"]["id"] != post {
                has(&frame, &expected)?;
                return Ok(frame);
            }
        }
    }

    /// The next frame, which must have these values.
    async fn hears(&mut self, expected: Value) -> Result<Value> {
        let frame = self.next().await?;
        has(&frame, &expected)?;
        Ok(frame)
    }

    /// Nothing was sent until now.
    async fn heard_nothing(&mut self, world: &World) -> Result<()> {
        let mark = world.name("mark");
        self.say(json!({"type": "ping", "timestamp": mark})).await?;
        self.hears(json!({"type": "pong", "timestamp": mark})).await.map(drop)
    }

    /// An error frame: both its texts are the same.
    async fn complains(&mut self, words: &str) -> Result<()> {
        let error = self.hears(json!({"type": "error"})).await?;
        same("`error`, which repeats `message`", &error["error"], &error["message"])?;
        that(text(&error, "message")?.contains(words), &format!("an error with {words:?}"), &error)
    }
}

async fn chat(world: &World) -> Result<()> {
    let room = world.room()?;
    let (mut ana, mut beto) = (Older::join(world, &room, 0).await?, Older::join(world, &room, 1).await?);
    ana.say(json!({"type": "chat_message", "content": " hola ", "client_id": "o-1"})).await?;
    let mut message = Value::Null;
    for socket in [&mut ana, &mut beto] {
        let said = json!({"content": "hola", "message_type": "text", "chat_room": room.id, "user_reaction": null, "is_read": false});
        let heard = socket.hears(json!({"type": "chat_message", "client_id": "o-1", "message": said})).await?;
        same("the sender", &heard["message"]["sender"]["id"], &json!(world.users[0].id))?;
        message = heard["message"].clone();
    }
    let id = text(&message, "id")?.to_owned();
    let stored = world.done("GET", &format!("/api/messaging/chats/{}/messages/{id}/", room.id), 0, None)?;
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    same("the message's keys, which are those of REST", &json!(keys(&message)), &json!(keys(&stored)))?;
    beto.say(json!({"type": "read_message", "message_id": id})).await?;
    beto.say(json!({"type": "react_message", "message_id": id, "reaction_type": "golazo"})).await?;
    let by = |user: usize| json!({"message_id": id, "user_id": world.users[user].id, "username": world.users[user].username});
    let with = |mut frame: Value, more: &[(&str, Value)]| {
        more.iter().for_each(|(key, value)| frame[*key] = value.clone());
        frame
    };
    ana.say(json!({"type": "edit_message", "message_id": id, "content": "mejor"})).await?;
    // Of two members' deeds each has its order; hers may come first.
    let mut kinds: Vec<String> = Vec::new();
    for _ in 0..3 {
        let frame = beto.next().await?;
        let kind = text(&frame, "type")?.to_owned();
        match kind.as_str() {
            "message_read" => has(&frame, &by(1))?,
            "message_reaction" => {
                has(&frame, &with(by(1), &[("reaction_type", json!("golazo")), ("added", json!(true))]))?;
            }
            "message_edited" => has(&frame, &json!({"message": {"id": id, "content": "mejor", "is_edited": true}}))?,
            _ => bail!("expected what was done, came {}", shown(&frame)),
        }
        kinds.push(kind);
        ana.next().await?;
    }
    kinds.sort_unstable();
    same("what was done", &json!(kinds), &json!(["message_edited", "message_reaction", "message_read"]))?;
    ana.say(json!({"type": "delete_message", "message_id": id})).await?;
    beto.hears(json!({"type": "message_deleted", "message_id": id, "user_id": world.users[0].id})).await?;
    Ok(())
}

async fn passing(world: &World) -> Result<()> {
    let room = world.room()?;
    let (mut ana, mut beto) = (Older::join(world, &room, 0).await?, Older::join(world, &room, 1).await?);
    let from = |mut frame: Value| {
        frame["user_id"] = json!(world.users[0].id);
        frame["username"] = json!(world.users[0].username);
        frame
    };
    ana.say(json!({"type": "typing", "is_typing": true})).await?;
    beto.hears(from(json!({"type": "typing_status", "is_typing": true}))).await?;
    for echo in [false, true] {
        ana.say(json!({"type": "signal", "data": {"n": [1]}, "echo": echo})).await?;
        let signal = from(json!({"type": "signal", "data": {"n": [1]}}));
        beto.hears(signal.clone()).await?;
        if echo {
            ana.hears(signal).await?;
        }
        ana.heard_nothing(world).await?;
    }
    for timestamp in [json!(1.5), json!({"a": [null]}), Value::Null] {
        ana.say(json!({"type": "ping", "timestamp": timestamp})).await?;
        let pong = ana.hears(json!({"type": "pong", "timestamp": timestamp})).await?;
        that(pong.get("timestamp").is_some(), "a timestamp, if only null", &pong)?;
    }
    Ok(())
}

async fn bad_frames(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Older::join(world, &room, 0).await?;
    for text in ["", "nope", "[]", "{\"type\":\"ping\""] {
        ana.0.text(text).await?;
        ana.complains("JSON").await?;
    }
    ana.0.send(Message::binary(&b"{}"[..])).await?;
    ana.complains("JSON").await?;
    ana.say(json!({"type": "chat_message", "content": "x".repeat(2001), "client_id": "long"})).await?;
    ana.complains("2000").await?;
    ana.say(json!({"type": "chat_message", "content": "x", "client_id": ""})).await?;
    ana.complains("client_id").await?;
    ana.say(json!({"type": "signal", "data": "x".repeat(4096)})).await?;
    ana.complains("4 KiB").await?;
    for ignored in [
        json!({"type": "nonsense"}),
        json!({}),
        json!({"type": "chat_message", "content": " "}),
        json!({"type": "read_message"}),
    ] {
        ana.say(ignored).await?;
        ana.heard_nothing(world).await?;
    }
    Ok(())
}

async fn refusals(world: &World) -> Result<()> {
    let room = world.room()?;
    let (member, stranger) = (&world.users[0].token, &world.users[STRANGER].token);
    let nobody = uuid::Uuid::new_v4();
    for (path, words) in [
        (format!("/ws/chat/{}/", room.id), "Token no proporcionado"),
        (format!("/ws/chat/{}/?token=a.b.c", room.id), "Token inválido"),
        (format!("/ws/chat/{}/?token={stranger}", room.id), "No eres participante de este chat"),
        (format!("/ws/chat/{nobody}/?token={member}"), "No eres participante de este chat"),
        (format!("/ws/chat/abc-12/?token={member}"), "Error de autenticación"),
    ] {
        let mut socket = Older(Socket::open(world, &path, &[]).await?);
        socket.complains(words).await?;
        match socket.0.closed().await? {
            1000 => {}
            code => bail!("expected the close code 1000, came {code}"),
        }
    }
    Ok(())
}

async fn listeners(world: &World) -> Result<()> {
    let greeting = |words: &str| json!({"type": "connection_established", "message": words});
    let mut feed = Older::open(world, "/ws/feed/", 0).await?;
    feed.hears(greeting("Conectado al feed en tiempo real")).await?;
    let mut bell = Older::open(world, "/ws/notifications/", 0).await?;
    bell.hears(greeting("Conectado a notificaciones en tiempo real")).await?;
    let (post, _) = world.post(0)?;
    feed.hears(json!({"type": "new_post", "post": {"id": post}})).await?;
    let mut viewer = Older::open(world, &format!("/ws/post/{post}/"), 1).await?;
    viewer.heard_nothing(world).await?;
    let comments = format!("/api/posts/{post}/comments/");
    let comment = world.done("POST", &comments, 1, Some(&json!({"content": "good"})))?;
    viewer.hears(json!({"type": "new_comment", "comment": {"id": comment["id"], "content": "good"}})).await?;
    let rung = bell.hears(json!({"type": "notification"})).await?;
    let id = text(&rung["notification"], "id")?;
    bell.say(json!({"type": "mark_read", "notification_id": id})).await?;
    bell.hears(json!({"type": "notification_read", "notification_id": id})).await?;
    for socket in [&mut feed, &mut bell, &mut viewer] {
        socket.0.send(Message::binary(&b"x"[..])).await?;
        socket.0.text("nope").await?;
        socket.say(json!({"type": "ping", "timestamp": 7})).await?;
        loop {
            // The post as it is after its counters moved may come before.
            let frame = socket.next().await?;
            if frame["type"] == "pong" {
                break same("the timestamp", &frame["timestamp"], &json!(7))?;
            }
            has(&frame, &json!({"type": "post_updated", "post": {"id": post}}))?;
        }
    }
    world.done("DELETE", &format!("/api/posts/{post}/"), 0, None)?;
    for socket in [&mut feed, &mut viewer] {
        while socket.next().await?["type"] != "post_deleted" {}
    }
    let nobody = uuid::Uuid::new_v4();
    for path in ["/ws/feed/", "/ws/notifications/", &format!("/ws/post/{post}/"), &format!("/ws/post/{nobody}/")] {
        for query in ["", "?token=a.b.c"] {
            is_shut(world, &format!("{path}{query}"), 403).await?;
        }
    }
    is_shut(world, &format!("/ws/post/{nobody}/?token={}", world.users[0].token), 403).await
}

async fn post(world: &World) -> Result<()> {
    let (post, _) = world.post(0)?;
    let mut feed = Older::open(world, "/ws/feed/", 0).await?;
    feed.hears(json!({"type": "connection_established"})).await?;
    let mut viewer = Older::open(world, &format!("/ws/post/{post}/"), 1).await?;
    viewer.heard_nothing(world).await?;
    let path = format!("/api/posts/{post}/");
    let mover = &world.users[2].id;
    world.done("POST", &format!("{path}react/"), 2, Some(&json!({"reaction_type": "like"})))?;
    let data = json!({"post_id": post, "likes_count": 1, "user_reaction": {"user_id": mover, "reaction_type": "like"}});
    feed.hears(json!({"type": "post_reaction", "post_id": post, "reaction_data": data})).await?;
    viewer.hears(json!({"type": "post_reaction", "reaction_data": data})).await?;
    let comment = world.done("POST", &format!("{path}comments/"), 2, Some(&json!({"content": "good"})))?;
    let id = text(&comment, "id")?;
    let of_comment = format!("/api/posts/comments/{id}/");
    viewer.hears_past(&post, json!({"type": "new_comment", "comment": {"id": id}})).await?;
    world.done("POST", &format!("{of_comment}like/"), 0, None)?;
    viewer.hears_past(&post, json!({"type": "comment_like", "comment_id": id, "likes_count": 1})).await?;
    world.done("PATCH", &of_comment, 2, Some(&json!({"content": "better"})))?;
    viewer.hears_past(&post, json!({"type": "comment_updated", "comment": {"id": id, "content": "better"}})).await?;
    world.done("DELETE", &of_comment, 2, None)?;
    viewer.hears_past(&post, json!({"type": "comment_deleted", "comment_id": id})).await?;
    world.done("PATCH", &path, 0, Some(&json!({"content": "edited"})))?;
    for socket in [&mut feed, &mut viewer] {
        // Those before it show the post after its comments came and went.
        while socket.hears(json!({"type": "post_updated", "post": {"id": post}})).await?["post"]["content"] != "edited"
        {
        }
    }
    world.done("DELETE", &path, 0, None)?;
    for socket in [&mut feed, &mut viewer] {
        socket.hears_past(&post, json!({"type": "post_deleted", "post_id": post})).await?;
    }
    Ok(())
}

async fn presence(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Older::join(world, &room, 0).await?;
    let is = |user: usize, status: &str| json!({"type": "user_status", "user_id": world.users[user].id, "username": world.users[user].username, "status": status});
    let mut beto = Older::join(world, &room, 1).await?;
    has(&beto.any().await?, &is(0, "online"))?;
    has(&ana.any().await?, &is(1, "online"))?;
    // A second socket of one user is no news, nor is the end of one of two.
    let second = Older::join(world, &room, 1).await?;
    for mut socket in [second.0, beto.0] {
        socket.send(Message::Close(None)).await?;
        socket.closed().await?;
    }
    has(&ana.any().await?, &is(1, "offline"))
}

async fn lost(world: &World) -> Result<()> {
    let room = world.room()?;
    let (post, _) = world.post(0)?;
    let beto = Older::join(world, &room, 1).await?;
    let mut viewer = Older::open(world, &format!("/ws/post/{post}/"), 1).await?;
    viewer.heard_nothing(world).await?;
    let path = format!("/api/messaging/chats/{}/remove_participant/", room.id);
    world.done("POST", &path, 0, Some(&json!({"user_id": world.users[1].id})))?;
    world.done("PATCH", &format!("/api/posts/{post}/"), 0, Some(&json!({"is_public": false})))?;
    for mut socket in [beto.0, viewer.0] {
        match socket.closed().await? {
            4003 => {}
            code => bail!("expected the close code 4003, came {code}"),
        }
    }
    Ok(())
}

async fn is_shut(world: &World, path: &str, expected: u16) -> Result<()> {
    match Socket::try_open(world, path, &[]).await? {
        Err(shut) if shut.status == expected => Ok(()),
        Err(shut) => bail!("expected {expected} at {path}, came {}", shut.status),
        Ok(_) => bail!("expected {expected} at {path}, came an open socket"),
    }
}

async fn no_socket(world: &World) -> Result<()> {
    for path in ["/ws/nowhere/", "/ws/chat/", "/ws/feed/more/"] {
        is_shut(world, path, 404).await?;
    }
    let plain = world.rest("GET", "/ws/feed/", 0, None)?;
    same("a request that is no upgrade", &json!(plain.status), &json!(426))?;
    let posted = world.rest("POST", "/ws/feed/", 0, Some(&json!({})))?;
    same("a POST", &json!(posted.status), &json!(405))?;
    match Socket::try_open(world, "/ws/feed/", &[("sec-websocket-version", "8")]).await? {
        Err(shut) if shut.status == 426 && shut.headers.contains_key("sec-websocket-version") => Ok(()),
        other => {
            bail!("expected 426 for version 8, came {:?}", other.map(|_| "an open socket").map_err(|shut| shut.status))
        }
    }
}

async fn both(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut old = Older::join(world, &room, 0).await?;
    let mut new = Client::open(world, 1).await?;
    new.joined(&room.topic).await?;
    old.say(json!({"type": "chat_message", "content": "from the older"})).await?;
    let heard = new.hears(&room.topic, json!({"type": "message", "content": "from the older"})).await?;
    let own = old.hears(json!({"type": "chat_message"})).await?;
    same("the message's id", &own["message"]["id"], &heard["event"]["id"])?;
    let ack = new.say(&room.topic, "from the newer").await?;
    let said = json!({"id": ack["message_id"], "content": "from the newer"});
    old.hears(json!({"type": "chat_message", "message": said})).await?;
    new.ask(json!({"type": "typing", "topic": room.topic, "is_typing": true})).await?;
    old.hears(json!({"type": "typing_status", "user_id": world.users[1].id, "is_typing": true})).await?;
    // A client that offers pregon.v1 elsewhere is told nothing of it.
    let mut stranger = Client::open(world, STRANGER).await?;
    refused(&stranger.asked(json!({"type": "subscribe", "topic": room.topic})).await?, "not_participant")
}
