//! The objects against the texts that existing clients expect.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::notification::{Notification, NotificationType, References};
use crate::ids::NotificationId;

const ANA: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
const BETO: &str = "a309761f-1711-4671-b12e-422be0c990ec";

/// The example from the protocol's description, with times in UTC.
const ANA_JSON: &str = r#"{"id":"c29e1460-2438-4c40-a229-7c210c701b1c","email":"ana@example.com","username":"ana","display_name":"Ana Pérez","full_name":"Ana Pérez","avatar":"https://ui-avatars.com/api/?name=Ana%20P%C3%A9rez&background=00ff88&color=fff","avatar_url":"https://ui-avatars.com/api/?name=Ana%20P%C3%A9rez&background=00ff88&color=fff","cover_photo":null,"cover_photo_url":null,"bio":"","position":"","team":"","contact_number":"","interests":[],"social_links":[],"followers_count":1,"following_count":0,"posts_count":2,"is_verified":false,"is_private":false,"show_email":false,"show_phone":false,"created_at":"2026-11-21T18:02:35.916430Z","last_active":"2026-11-21T18:02:35.916471Z","account_type":"user","company_name":"","industry":"","website":""}"#;

fn at(text: &str) -> Timestamp {
    JsonTimes::Utc.read(text).unwrap()
}

fn ana() -> UserProfile {
    UserProfile {
        id: ANA.parse().unwrap(),
        email: "ana@example.com".into(),
        username: "ana".into(),
        display_name: "Ana Pérez".into(),
        interests: "[]".into(),
        social_links: "[]".into(),
        followers_count: 1,
        posts_count: 2,
        is_active: true,
        created_at: at("2026-11-21T18:02:35.916430Z"),
        last_active: at("2026-11-21T18:02:35.916471Z"),
        account_type: "user".into(),
        ..UserProfile::default()
    }
}

fn beto() -> UserProfile {
    UserProfile { id: BETO.parse().unwrap(), username: "beto".into(), display_name: "Beto".into(), ..ana() }
}

fn presenter(mask_contacts: bool) -> Presenter {
    Presenter::new("http://127.0.0.1:8000/", mask_contacts)
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn message() -> Message {
    Message {
        id: "7d17fe03-94d3-4a71-9dbe-0dbb933c1946".parse().unwrap(),
        room: "0a0b9502-c454-481e-8985-e9e7f96c1dcb".parse().unwrap(),
        sender: Arc::new(ana()),
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
        created_at: at("2026-11-21T18:04:19.998600Z"),
        updated_at: at("2026-11-21T18:04:19.998617Z"),
        reactions: Vec::new(),
        reaction_counts: BTreeMap::new(),
        user_reaction: None,
        is_read: false,
        read_by_count: 0,
        story_id: None,
        story: None,
        client_id: None,
    }
}

#[test]
fn a_profile_is_the_examples() {
    let json = text(|out| presenter(false).profile(out, &ana(), None));
    assert_eq!(json, ANA_JSON);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap().as_object().unwrap().len(), 28);
    let own = text(|out| presenter(true).profile(out, &ana(), Some(ANA.parse().unwrap())));
    assert_eq!(own, ANA_JSON, "to oneself nothing is masked");
}

#[test]
fn contacts_are_masked_by_flag_alone_for_all_others() {
    let mut user = UserProfile { contact_number: "555".into(), ..ana() };
    let json = text(|out| presenter(true).profile(out, &user, Some(BETO.parse().unwrap())));
    assert!(json.contains(r#""email":"","username""#) && json.contains(r#""contact_number":"","interests""#));
    let kept = user.public_json.get().unwrap().as_ptr();
    text(|out| presenter(true).profile(out, &user, None));
    assert_eq!(user.public_json.get().unwrap().as_ptr(), kept, "written once");
    user = UserProfile { contact_number: "555".into(), show_email: true, show_phone: true, ..ana() };
    let json = text(|out| presenter(true).profile(out, &user, None));
    assert!(json.contains(r#""email":"ana@example.com""#) && json.contains(r#""contact_number":"555""#));
}

#[test]
fn stored_values_cannot_spoil_a_frame() {
    let user = UserProfile {
        first_name: " Ana".into(),
        last_name: "Pérez ".into(),
        avatar: Some("avatars/a b#1.png".into()),
        cover_photo: Some("https://cdn.example/c.png".into()),
        bio: "\"\\\n\u{1}".into(),
        interests: r#"[ "x", {"y": [1]} ]"#.into(),
        social_links: "[1,".into(),
        ..ana()
    };
    let json = text(|out| presenter(true).profile(out, &user, None));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["full_name"], "Ana Pérez");
    assert_eq!(value["avatar"], "http://127.0.0.1:8000/media/avatars/a%20b%231.png");
    assert_eq!(value["cover_photo_url"], "https://cdn.example/c.png");
    assert_eq!(value["bio"], "\"\\\n\u{1}");
    assert_eq!(value["interests"], serde_json::json!(["x", {"y": [1]}]));
    assert_eq!(value["social_links"], serde_json::json!([]));
}

#[test]
fn a_message_is_the_examples() {
    let expected = format!(
        r#"{{"id":"7d17fe03-94d3-4a71-9dbe-0dbb933c1946","chat_room":"0a0b9502-c454-481e-8985-e9e7f96c1dcb","sender":{ANA_JSON},"content":"hola","message_type":"text","image":null,"video":null,"audio":null,"file_url":"","file_name":"","file_size":null,"reply_to":null,"is_edited":false,"is_deleted":false,"created_at":"2026-11-21T18:04:19.998600Z","updated_at":"2026-11-21T18:04:19.998617Z","reactions":[],"reaction_counts":{{}},"user_reaction":null,"is_read":false,"read_by_count":0,"is_reply":false,"story_id":null,"story_preview":null}}"#
    );
    assert_eq!(text(|out| presenter(false).message(out, &message())), expected);
}

#[test]
fn a_message_shows_all_it_may_have() {
    let user = Arc::new(beto());
    let full = Message {
        message_type: MessageType::Image,
        image: Some("messages/images/a.png".into()),
        file_size: Some(7),
        reply_to: Some(ReplyPreview {
            id: message().id,
            sender_username: "beto".into(),
            sender_display_name: "Beto".into(),
            content: "ñ".repeat(101),
            message_type: MessageType::Text,
            is_deleted: false,
        }),
        reactions: [1, 2]
            .map(|number| Reaction {
                id: Uuid::from_u128(number),
                user: Arc::clone(&user),
                reaction_type: ReactionType::Fire,
                created_at: Timestamp(0),
            })
            .into(),
        reaction_counts: [(ReactionType::Fire, 12), (ReactionType::Like, 1)].into(),
        user_reaction: Some(ReactionType::Love),
        is_read: true,
        read_by_count: 3,
        story_id: Some(Uuid::from_u128(5)),
        story: Some(StoryPreview {
            id: Uuid::from_u128(5),
            media: "stories/s.mp4".into(),
            media_type: "video".into(),
            user,
            created_at: Timestamp(0),
            expires_at: Timestamp(10),
        }),
        ..message()
    };
    let json = |now| text(|out| presenter(true).message_for(out, &full, None, Timestamp(now)));
    let value: serde_json::Value = serde_json::from_str(&json(11)).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 24);
    assert_eq!(value["image"], "http://127.0.0.1:8000/media/messages/images/a.png");
    assert_eq!(value["reply_to"]["content"], format!("{}...", "ñ".repeat(100)));
    assert_eq!(value["reply_to"]["sender"], serde_json::json!({"username": "beto", "display_name": "Beto"}));
    assert!(value["reply_to"].get("is_deleted").is_none());
    let avatar = "https://ui-avatars.com/api/?name=Beto&background=00ff88&color=fff";
    assert_eq!(
        value["reactions"][1],
        serde_json::json!({"id": Uuid::from_u128(2), "user": {"id": BETO, "username": "beto", "display_name": "Beto",
            "avatar": avatar, "avatar_url": avatar, "is_verified": false}, "reaction_type": "fire",
            "created_at": "1970-01-01T00:00:00.000000Z"})
    );
    assert_eq!(value["reaction_counts"], serde_json::json!({"like": 1, "fire": 12}));
    assert_eq!((&value["user_reaction"], &value["is_reply"]), (&"love".into(), &true.into()));
    let story = &value["story_preview"];
    assert_eq!(story["media_url"], "http://127.0.0.1:8000/media/stories/s.mp4");
    assert_eq!((&story["is_expired"], story["user"].as_object().unwrap().len()), (&true.into(), 4));
    assert!(json(10).contains(r#""is_expired":false"#));
}

#[test]
fn a_quote_of_a_deleted_message_says_so() {
    let reply = ReplyPreview {
        id: message().id,
        sender_username: "beto".into(),
        sender_display_name: "Beto".into(),
        content: String::new(),
        message_type: MessageType::Text,
        is_deleted: true,
    };
    let answer = Message { reply_to: Some(reply), ..message() };
    let value: serde_json::Value = serde_json::from_str(&text(|out| presenter(true).message(out, &answer))).unwrap();
    assert_eq!((&value["reply_to"]["is_deleted"], &value["reply_to"]["content"]), (&true.into(), &"".into()));
    assert_eq!(value["is_reply"], true);
}

fn participant(number: u128, user: UserProfile, nickname: &str) -> Participant {
    Participant {
        id: Uuid::from_u128(number),
        user: Arc::new(user),
        role: "member".into(),
        settings: RoomSettings {
            other_user_nickname: nickname.into(),
            chat_background: String::new(),
            chat_color: String::new(),
            other_message_color: String::new(),
            notifications_enabled: true,
            sound_enabled: true,
            is_muted: false,
        },
        joined_at: Timestamp(0),
        last_read_at: Timestamp(0),
        unread_count: u64::try_from(number).unwrap(),
    }
}

#[test]
fn a_room_is_its_viewers() {
    let mut room = ChatRoom {
        id: message().room,
        name: String::new(),
        chat_type: ChatType::Private,
        description: String::new(),
        avatar: None,
        is_active: true,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_activity: Timestamp(0),
        participants: vec![participant(1, ana(), ""), participant(2, beto(), "Anita")],
        participants_count: 2,
        last_message: Some(Arc::new(message())),
        viewer: BETO.parse().unwrap(),
    };
    let json = |room: &ChatRoom| -> serde_json::Value {
        serde_json::from_str(&text(|out| presenter(true).room(out, room))).unwrap()
    };
    let value = json(&room);
    let keys = value.as_object().unwrap();
    assert_eq!((keys.len(), value["participants"][0].as_object().unwrap().len()), (16, 13));
    assert_eq!(value["participants_count"], 2);
    assert_eq!(value["other_user"]["username"], "ana");
    assert_eq!((&value["display_name"], &value["unread_count"]), (&"Anita".into(), &2.into()));
    assert_eq!(value["user_settings"].as_object().unwrap().len(), 7);
    assert_eq!(value["last_message"].as_object().unwrap().len(), 5);
    assert_eq!(value["participants"][1]["user"]["email"], "ana@example.com", "the viewer's own");
    assert_eq!(value["participants"][0]["user"]["email"], "");
    let own = &value["participants"][1];
    assert_eq!((&own["other_user_nickname"], &own["unread_count"]), (&"Anita".into(), &2.into()));
    assert!(own["last_read_at"].is_string());

    room.viewer = ANA.parse().unwrap();
    assert_eq!(json(&room)["display_name"], "Beto");
    let other = &json(&room)["participants"][1];
    assert_eq!(
        (&other["other_user_nickname"], &other["unread_count"], &other["is_muted"]),
        (&"".into(), &0.into(), &false.into())
    );
    assert!(other["last_read_at"].is_null(), "what others have read, muted and called somebody is theirs");
    assert_eq!(
        own.as_object().unwrap().keys().collect::<Vec<_>>(),
        other.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    (room.chat_type, room.name) = (ChatType::Group, "Equipo".into());
    assert_eq!((&json(&room)["display_name"], &json(&room)["other_user"]), (&"Equipo".into(), &().into()));
    (room.name, room.last_message) = (String::new(), None);
    assert_eq!(json(&room)["display_name"], format!("Chat {}", room.id));
}

#[test]
fn a_person_has_fifteen_keys() {
    let person = Person {
        profile: Arc::new(ana()),
        followers_column: 4,
        following_column: 5,
        posts_column: 6,
        is_following: true,
        is_friend: false,
        is_blocked: false,
        friend_request: Some("sent"),
    };
    let json = text(|out| presenter(true).person(out, &person));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 15);
    assert_eq!((&value["followers_count"], &value["friend_request_status"]), (&4.into(), &"sent".into()));
    let basic = text(|out| presenter(true).basic(out, &ana()));
    assert!(json.starts_with(basic.trim_end_matches('}')));
}

/// The form of times is the presenter's, not the process's, for every time of an object.
#[test]
fn presenters_with_two_forms_of_times_stand_beside_each_other() {
    let bogota = JsonTimes::Naive("America/Bogota".parse().unwrap());
    let (came, read) = ("2026-11-21T18:02:35.916430", "2026-11-21T18:30:00.000001");
    let json = |presenter: Presenter| {
        let notification = Notification {
            id: NotificationId(Uuid::nil()),
            recipient: BETO.parse().unwrap(),
            sender: Arc::new(ana()),
            notification_type: NotificationType::Follow,
            references: References::default(),
            message: String::new(),
            is_read: true,
            created_at: at(&format!("{came}Z")),
            read_at: Some(at(&format!("{read}Z"))),
        };
        text(|out| presenter.notification(out, &notification, Timestamp(0)))
    };
    let (utc, naive) = (json(presenter(true)), json(presenter(true).with_times(bogota)));
    for (key, time) in [("created_at", came), ("read_at", read)] {
        assert!(utc.contains(&format!("\"{key}\":\"{time}Z\"")), "{utc}");
        assert!(naive.contains(&format!("\"{key}\":\"{}\"", time.replace("T18", "T13"))), "{naive}");
    }
}
