//! Writes and holds what follows from the types: the schema, the TypeScript types, the table, and a golden frame of each kind.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::{MessageType, ReactionType, ReplyPreview};
use crate::domain::chat::roster::{self, Attendance, Readers, Unread, UserPage};
use crate::domain::event::{Committed, Cursor, Event};
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent};
use crate::domain::user::{Account, UserProfile};
use crate::domain::write::{self, Outcome, Refusal};
use crate::ids::{EventId, Topic};
use crate::protocol::v0::fields;
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::event::{self, Named};
use crate::protocol::v1::{answer, reply, request, said};
use crate::protocol::ws::frame::payload_of_first;

const ANA: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
const MESSAGE: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";
const ROOM: &str = "0a0b9502-c454-481e-8985-e9e7f96c1dcb";
const PLACE: Cursor = Cursor { epoch: 1, seq: 57 };

fn room() -> Topic {
    Topic::Room(ROOM.parse().unwrap())
}

fn message() -> crate::domain::chat::message::Message {
    let sender = UserProfile { id: ANA.parse().unwrap(), username: "ana".into(), ..UserProfile::default() };
    crate::domain::chat::message::Message {
        id: MESSAGE.parse().unwrap(),
        room: ROOM.parse().unwrap(),
        sender: Arc::new(sender),
        content: "hola".into(),
        message_type: MessageType::Text,
        image: None,
        video: None,
        audio: None,
        file_url: String::new(),
        file_name: String::new(),
        file_size: None,
        reply_to: None,
        is_edited: false,
        is_deleted: false,
        created_at: Timestamp(1_769_941_800_000_000),
        updated_at: Timestamp(1_769_941_800_000_000),
        reactions: Vec::new(),
        reaction_counts: std::collections::BTreeMap::new(),
        user_reaction: None,
        is_read: false,
        read_by_count: 0,
        story_id: None,
        story: None,
        client_id: None,
    }
}

fn full_message() -> crate::domain::chat::message::Message {
    crate::domain::chat::message::Message {
        message_type: MessageType::Image,
        image: Some("chat/a.png".into()),
        video: Some("chat/a.mp4".into()),
        audio: Some("chat/a.ogg".into()),
        file_url: "https://example.com/a.pdf".into(),
        file_name: "a.pdf".into(),
        file_size: Some(9),
        reply_to: Some(ReplyPreview {
            id: MESSAGE.parse().unwrap(),
            sender_username: "beto".into(),
            sender_display_name: "Beto".into(),
            content: "¿qué tal?".into(),
            message_type: MessageType::Text,
            is_deleted: false,
        }),
        is_edited: true,
        story_id: Some(uuid::Uuid::nil()),
        client_id: Some("c-1".into()),
        ..message()
    }
}

fn committed(topic: Topic, event: Event) -> Committed {
    Committed {
        topic,
        cursor: PLACE,
        event_id: EventId(uuid::Uuid::nil()),
        at: Timestamp(0),
        previous: None,
        origin: None,
        event,
    }
}

/// A frame of each kind that the server writes.
fn server_frames() -> Vec<Value> {
    let mut out = Vec::new();
    let ana = Account::active(ANA.parse().unwrap(), "ana".into());
    let id = Some("7");
    reply::welcome(&mut out, id, &ana, 1_769_945_400);
    reply::refreshed(&mut out, Some("\"a\""), 1_769_945_400);
    reply::subscribed(&mut out, id, room(), Some(PLACE), true);
    reply::subscribed(&mut out, None, Topic::Feed(ana.id), None, false);
    reply::gap(&mut out, room(), Some(PLACE));
    reply::unsubscribed(&mut out, id, room(), None);
    reply::unsubscribed(&mut out, None, room(), Some(Complaint::of(Refusal::NotParticipant)));
    reply::slow(&mut out);
    reply::error(&mut out, id, Some(room()), complaint::BUSY);
    reply::error(&mut out, None, None, complaint::BAD_JSON);
    reply::pong(&mut out, id);
    reply::skipped(&mut out);
    reply::drain(&mut out, 500, 1500);
    reply::notice(&mut out, None, "Volvemos en cinco minutos");
    reply::notice(&mut out, Some(room()), "Hablen de fútbol");
    let sent = Arc::new(committed(room(), Event::Chat(ChatEvent::Sent(Arc::new(message())))));
    reply::outcome(&mut out, "7", room(), Some("c-1"), (&Outcome::Committed(sent), write::Durability::Replicated));
    reply::outcome(
        &mut out,
        "7",
        room(),
        Some("c-1"),
        (&Outcome::Repeated(Arc::new(message()), Some(PLACE)), write::Durability::Stored),
    );
    reply::outcome(&mut out, "null", room(), None, (&Outcome::Unchanged, write::Durability::Stored));
    let presenter = Presenter::new("http://127.0.0.1:8000/", true);
    let looks = Some(("Ana Pérez".into(), Some("avatars/ana.png".into())));
    let users = [
        Named {
            number: 12,
            id: ana.id,
            username: "ana".into(),
            looks,
            avatar: presenter.address("avatars/ana.png").map(String::into_boxed_str),
        },
        Named { number: 13, id: ana.id, username: "beto".into(), looks: None, avatar: None },
    ];
    event::users(&mut out, room(), users.iter());
    let (messages, user, username) = (vec![message().id], ana.id, || Box::from("ana"));
    let (message_id, reaction) = (message().id, ReactionType::Fire);
    let in_room = [
        ChatEvent::Sent(Arc::new(message())),
        ChatEvent::Edited(Arc::new(full_message())),
        ChatEvent::Deleted { message: message_id, user },
        ChatEvent::Changed { user },
        ChatEvent::Read { messages, count: 1, user, username: username() },
        ChatEvent::Reacted { message: message_id, user, username: username(), reaction, added: true },
    ];
    let mut events: Vec<Committed> = in_room.into_iter().map(|event| committed(room(), Event::Chat(event))).collect();
    let post = |change| {
        let event = PostEvent { post: ROOM.parse().unwrap(), author: user, is_public: true, change };
        committed(Topic::Post(ROOM.parse().unwrap()), Event::Feed(FeedEvent::Post(event)))
    };
    let comments = vec![MESSAGE.parse().unwrap()];
    events.push(post(PostChange::CommentsDeleted { comments, user, comments_count: 3 }));
    events.push(post(PostChange::Shared { user, shares_count: 2 }));
    events.push(post(PostChange::Deleted));
    let rung = |change| committed(Topic::Notifications(user), Event::Feed(FeedEvent::Notification { user, change }));
    let notifications = vec![MESSAGE.parse().unwrap()];
    events.push(rung(NotificationChange::Read { notifications: notifications.clone(), count: 1 }));
    events.push(rung(NotificationChange::Gone { notifications, unread_count: 0 }));
    for one in &events {
        event::committed(&mut out, &presenter, one, &mut |_| 12);
    }
    let mut typing = Vec::new();
    crate::protocol::v0::event::typing_status(&mut typing, &ana, true);
    out.extend_from_slice(&said::wrapped(room(), &typing));
    let Topic::Room(room) = room() else { panic!("it is a room") };
    event::presence_count(&mut out, room, 412);
    answers(&mut out, &presenter, room);
    frames_of(&out)
}

/// What is answered to questions about a room.
fn answers(out: &mut Vec<u8>, presenter: &Presenter, room: crate::ids::RoomId) {
    let profile = |username: &str, avatar: Option<&str>| {
        let (id, display_name) = (ANA.parse().unwrap(), "Ana Pérez".into());
        let avatar = avatar.map(str::to_owned);
        Arc::new(UserProfile { id, username: username.into(), display_name, avatar, ..UserProfile::default() })
    };
    let id = Some("7");
    answer::room_info(out, id, room, 1200, 412);
    let member = |username, avatar, role: &str| roster::Member { user: profile(username, avatar), role: role.into() };
    let rows = vec![member("ana", Some("avatars/ana.png"), "owner"), member("beto", None, "member")];
    let page = UserPage { rows, next: Some(ANA.parse().unwrap()) };
    answer::roster(out, id, presenter, (room, 1200), &page, &Attendance { count: 412, are_present: vec![true, false] });
    let last_read_at = Timestamp(1_769_941_800_000_000);
    answer::unread(out, id, room, Unread { count: 3, is_capped: false, last_read_at });
    let rows = vec![roster::Reader { user: profile("ana", Some("avatars/ana.png")), at: last_read_at }];
    let readers = Readers { count: 1, page: UserPage { rows, next: None } };
    answer::readers(out, None, presenter, (room, MESSAGE.parse().unwrap()), &readers);
}

fn frames_of(mut frames: &[u8]) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some((payload, _, rest)) = payload_of_first(frames) {
        all.push(serde_json::from_slice(payload.expect("a text")).unwrap());
        frames = rest;
    }
    all
}

/// A request of each kind.
fn requests() -> Vec<Value> {
    let topic = format!("room:{}", ROOM.replace('-', ""));
    [
        serde_json::json!({"type": "auth", "id": 1, "token": "a.b.c"}),
        serde_json::json!({"type": "auth", "ticket": "a.b.c"}),
        serde_json::json!({"type": "subscribe", "id": "dos", "topic": topic, "cursor": "1.57"}),
        serde_json::json!({"type": "unsubscribe", "id": 3, "topic": "feed"}),
        serde_json::json!({"type": "chat_message", "id": 4, "topic": topic, "content": "hola", "message_type": "text",
            "reply_to": MESSAGE, "client_id": "c-1"}),
        serde_json::json!({"type": "edit_message", "id": 5, "topic": topic, "message_id": MESSAGE, "content": "adiós"}),
        serde_json::json!({"type": "delete_message", "id": 6, "topic": topic, "message_id": MESSAGE}),
        serde_json::json!({"type": "react_message", "id": 7, "topic": topic, "message_id": MESSAGE, "reaction_type": "fire"}),
        serde_json::json!({"type": "read_message", "id": 8, "topic": topic, "message_id": MESSAGE}),
        serde_json::json!({"type": "typing", "topic": topic, "is_typing": true}),
        serde_json::json!({"type": "signal", "topic": topic, "data": {"x": 1}, "echo": true}),
        serde_json::json!({"type": "room_info", "id": 11, "topic": topic}),
        serde_json::json!({"type": "roster", "id": 12, "topic": topic, "after": ANA.replace('-', ""), "limit": 50}),
        serde_json::json!({"type": "unread", "id": 13, "topic": topic}),
        serde_json::json!({"type": "readers", "id": 14, "topic": topic, "message_id": MESSAGE}),
        serde_json::json!({"type": "mark_read", "id": 9, "notification_id": MESSAGE}),
        serde_json::json!({"type": "ping", "id": 10}),
    ]
    .into()
}

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Protocol)).unwrap()
}

/// The variants of a definition by their `type`, each with its schema.
fn kinds(schema: &Value, name: &str) -> Vec<(String, Value)> {
    let variants = schema["$defs"][name]["oneOf"].as_array().unwrap();
    let kind = |one: &Value| one["properties"]["type"]["const"].as_str().unwrap().to_owned();
    variants.iter().map(|one| (kind(one), one.clone())).collect()
}

#[test]
fn frames_are_those_of_the_types_and_each_kind_has_one() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    for frame in server_frames() {
        let typed: ServerFrame =
            serde_json::from_value(frame.clone()).unwrap_or_else(|error| panic!("{error}: {frame}"));
        assert_eq!(serde_json::to_value(&typed).unwrap(), frame, "nothing is left out and nothing added");
        seen.insert(frame["type"].as_str().unwrap().to_owned());
        if let ServerFrame::Event { event, .. } = &typed {
            let kind = frame["event"]["type"].as_str().unwrap().to_owned();
            let is_own = kinds(&schema, "OwnEvent").iter().any(|(own, _)| *own == kind);
            assert_eq!(matches!(event, TopicEvent::Own(_)), is_own, "{frame}");
            seen.insert(kind);
        }
    }
    for (kind, _) in kinds(&schema, "ServerFrame").into_iter().chain(kinds(&schema, "OwnEvent")) {
        assert!(seen.contains(&kind), "no golden frame is a {kind}");
    }
    let mut asked = BTreeSet::new();
    for frame in requests() {
        let typed: ClientFrame =
            serde_json::from_value(frame.clone()).unwrap_or_else(|error| panic!("{error}: {frame}"));
        assert_eq!(serde_json::to_value(&typed).unwrap(), frame);
        let text = frame.to_string();
        assert!(request::parse(&text, &mut fields::Reader::default()).is_ok(), "{text}");
        asked.insert(frame["type"].as_str().unwrap().to_owned());
    }
    assert!(kinds(&schema, "ClientFrame").iter().all(|(kind, _)| asked.contains(kind)), "{asked:?}");
}

/// The TypeScript of a schema.
fn typescript(schema: &Value) -> String {
    let joined = |all: &Value| all.as_array().map(|all| all.iter().map(typescript).collect::<Vec<_>>().join(" | "));
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        // A variant that is another type has its `type` beside it.
        let own = schema
            .get("properties")
            .map(|own| serde_json::json!({"type": "object", "properties": own, "required": schema["required"]}));
        return own.map_or_else(|| name.to_owned(), |own| format!("({} & {name})", typescript(&own)));
    }
    if let Some(one) = schema.get("const") {
        return one.to_string();
    }
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(all) = joined(&schema["oneOf"]).or_else(|| joined(&schema["anyOf"])) {
        return all;
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            let each = |kind: &Value| typescript(&serde_json::json!({ "type": kind }));
            kinds.iter().map(each).collect::<Vec<_>>().join(" | ")
        }
        Value::String(kind) => match kind.as_str() {
            "integer" | "number" => "number".to_owned(),
            "array" => format!("({})[]", typescript(&schema["items"])),
            "object" => {
                let mut fields = fields(schema).into_iter().map(|(name, is_needed, of)| {
                    format!("{name}{}: {}", if is_needed { "" } else { "?" }, typescript(&of))
                });
                let more = schema.get("$ref").is_none() && schema["additionalProperties"] == true;
                let fields: Vec<String> =
                    fields.by_ref().chain(more.then(|| "[key: string]: unknown".to_owned())).collect();
                format!("{{ {} }}", fields.join("; "))
            }
            kind => kind.to_owned(),
        },
        _ => "unknown".to_owned(),
    }
}

/// The fields of an object, `type` first: the name, whether it is always there, and its schema.
fn fields(schema: &Value) -> Vec<(String, bool, Value)> {
    let needed: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Vec<_> =
        properties.map(|(name, of)| (name.clone(), needed.contains(&name.as_str()), of.clone())).collect();
    fields.sort_by_key(|(name, ..)| name != "type");
    fields
}

fn types(schema: &Value) -> String {
    let mut text = String::from(
        "// The frames of pregon.v1, made from the types in src/protocol/v1/schema.rs: UPDATE_DOCS=1 cargo test --lib \
         the_protocol_is_documented\n",
    );
    for (name, of) in schema["$defs"].as_object().unwrap() {
        text.push('\n');
        if let Some(description) = of["description"].as_str() {
            text.push_str(&format!("/** {} */\n", description.replace('\n', " ")));
        }
        let variants = of["oneOf"].as_array().map(|all| all.iter().map(typescript).collect::<Vec<_>>().join("\n  | "));
        let of = variants.map_or_else(|| typescript(of), |variants| format!("\n  | {variants}"));
        text.push_str(&format!("export type {name} = {of};\n"));
    }
    text
}

fn table(schema: &Value) -> String {
    let mut text = String::new();
    for (title, name) in [("request", "ClientFrame"), ("frame of the server", "ServerFrame"), ("event", "OwnEvent")] {
        text.push_str(&format!("\n| {title} | fields (? may be missing) | |\n| --- | --- | --- |\n"));
        for (kind, of) in kinds(schema, name) {
            let own = of["$ref"].as_str().and_then(|name| name.rsplit('/').next()).map(|name| &schema["$defs"][name]);
            let fields = fields(own.unwrap_or(&of)).into_iter().filter(|(name, ..)| name != "type");
            let fields: Vec<String> =
                fields.map(|(name, is_needed, _)| format!("`{name}`{}", if is_needed { "" } else { "?" })).collect();
            let why = of["description"].as_str().unwrap_or_default().replace('\n', " ");
            text.push_str(&format!("| `{kind}` | {} | {why} |\n", fields.join(", ")));
        }
    }
    text
}

#[test]
fn the_protocol_is_documented() {
    const BEGIN: &str = "the_protocol_is_documented -->\n";
    const END: &str = "<!-- /pregon.v1 -->";
    let (schema, folder) = (schema(), Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"));
    let lines = |frames: Vec<Value>| frames.iter().map(|frame| format!("{frame}\n")).collect::<String>();
    let page = std::fs::read_to_string(folder.join("protocol.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let files = [
        ("protocol.md", format!("{before}{BEGIN}{}\n{END}{after}", table(&schema))),
        ("protocol/pregon.v1.schema.json", serde_json::to_string_pretty(&schema).unwrap() + "\n"),
        ("protocol/pregon.v1.d.ts", types(&schema)),
        ("../client/src/protocol.ts", types(&schema)),
        ("protocol/pregon.v1.server.jsonl", lines(server_frames())),
        ("protocol/pregon.v1.client.jsonl", lines(requests())),
    ];
    for (name, right) in files {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).unwrap_or_default() == right {
            continue;
        }
        assert!(
            std::env::var_os("UPDATE_DOCS").is_some(),
            "docs/{name} is not up to date: UPDATE_DOCS=1 cargo test --lib the_protocol_is_documented"
        );
        std::fs::write(&path, right).unwrap();
    }
}
