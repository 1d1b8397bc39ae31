//! Every kind of frame, with every field longer than any column should hold, against its size limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::{Message, MessageType, Reaction, ReactionType, ReplyPreview, StoryPreview};
use crate::domain::feed::comment::Comment;
use crate::domain::feed::event::{NotificationChange, PostChange, PostEvent};
use crate::domain::feed::post::{Category, Post, PostReaction, PostReactionType, PostType, ReactionCounts};
use crate::domain::notification::{Notification, NotificationType, References};
use crate::domain::user::{Account, UserProfile};
use crate::ids::{CommentId, MessageId, NotificationId, PostId, RoomId, UserId};
use crate::limits::frames::{FRAMES, POST_IMAGES_JSON_BYTES_MAX, PROFILE_JSON_BYTES_MAX};
use crate::limits::{
    CLIENT_ID_BYTES_MAX, COMMENTS_DELETED_MAX, COMMENTS_SHOWN, MESSAGE_BYTES_MAX, MESSAGE_REACTIONS_SHOWN,
    POST_REACTIONS_SHOWN_CEILING, POST_REPLY_LEVELS_SHOWN, READ_ALL_FRAMES_MAX, REPLIES_SHOWN, REPLY_LEVELS_SHOWN,
    SIGNAL_BYTES_MAX,
};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::{event, feed_event, reason};

/// The most expensive text: six bytes per character.
pub(crate) fn endless() -> String {
    "\u{1}".repeat(5000)
}

/// The longest address that is shown, in its most expensive form.
pub(crate) fn address() -> String {
    format!("http{}", "\u{1}".repeat(255))
}

fn user() -> UserProfile {
    UserProfile {
        email: endless(),
        username: endless(),
        display_name: endless(),
        first_name: format!("a{}", endless()),
        last_name: endless(),
        avatar: Some(address()),
        cover_photo: Some(address()),
        bio: endless(),
        position: endless(),
        team: endless(),
        contact_number: endless(),
        interests: format!("[\"{}\"]", "x".repeat(4000)),
        social_links: "[]".into(),
        followers_count: u64::MAX,
        following_count: u64::MAX,
        posts_count: u64::MAX,
        show_email: true,
        show_phone: true,
        account_type: endless(),
        company_name: endless(),
        industry: endless(),
        website: endless(),
        ..UserProfile::default()
    }
}

pub(crate) fn shared() -> Arc<UserProfile> {
    Arc::new(user())
}

fn message() -> Message {
    let reaction =
        Reaction { id: Uuid::nil(), user: shared(), reaction_type: ReactionType::Golazo, created_at: Timestamp(0) };
    let kinds = ["like", "love", "laugh", "wow", "sad", "angry", "fire", "golazo"];
    Message {
        id: MessageId(Uuid::nil()),
        room: RoomId(Uuid::nil()),
        sender: shared(),
        content: endless(),
        message_type: MessageType::StoryReply,
        image: Some(address()),
        video: Some(address()),
        audio: Some(address()),
        file_url: endless(),
        file_name: endless(),
        file_size: Some(u32::MAX),
        reply_to: Some(ReplyPreview {
            id: MessageId(Uuid::nil()),
            sender_username: endless(),
            sender_display_name: endless(),
            content: endless(),
            message_type: MessageType::StoryReply,
            is_deleted: true,
        }),
        is_edited: false,
        is_deleted: false,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        reactions: vec![reaction; MESSAGE_REACTIONS_SHOWN],
        reaction_counts: kinds.map(|kind| (ReactionType::from_text(kind).unwrap(), u64::MAX)).into(),
        user_reaction: None,
        is_read: false,
        read_by_count: u64::MAX,
        story_id: Some(Uuid::nil()),
        story: Some(StoryPreview {
            id: Uuid::nil(),
            media: address(),
            media_type: endless(),
            user: shared(),
            created_at: Timestamp(0),
            expires_at: Timestamp(0),
        }),
        client_id: Some(client_id().into()),
    }
}

/// A comment with the most replies that are shown, `levels` deep.
fn comment(levels: u32) -> Comment {
    let replies = if levels == 0 { Vec::new() } else { vec![comment(levels - 1); REPLIES_SHOWN as usize] };
    Comment {
        id: CommentId(Uuid::nil()),
        post: PostId(Uuid::nil()),
        parent: Some(CommentId(Uuid::nil())),
        user: shared(),
        content: endless(),
        image: Some(address()),
        likes_count: u64::MAX,
        replies_count: u64::MAX,
        is_edited: false,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        replies,
        is_liked: false,
    }
}

fn post(images: String) -> Post {
    let reaction = PostReaction {
        id: Uuid::nil(),
        user: shared(),
        reaction_type: PostReactionType::Celebration,
        created_at: Timestamp(0),
    };
    Post {
        id: PostId(Uuid::nil()),
        short_id: endless(),
        user: shared(),
        content: endless(),
        images,
        video: Some(address()),
        thumbnail: Some(address()),
        podcast_url: endless(),
        streaming_url: endless(),
        post_type: PostType::Highlight,
        category: Category::GeneralSport,
        counts: ReactionCounts { likes: u64::MAX, celebrations: u64::MAX, golazos: u64::MAX },
        comments_count: u64::MAX,
        shares_count: u64::MAX,
        views_count: u64::MAX,
        is_pinned: false,
        allow_comments: false,
        is_public: false,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        reactions: vec![reaction; POST_REACTIONS_SHOWN_CEILING as usize],
        comments: vec![comment(POST_REPLY_LEVELS_SHOWN); COMMENTS_SHOWN as usize],
        user_reaction: None,
        is_bookmarked: false,
    }
}

/// A list of exactly the longest size that is shown.
fn images() -> String {
    format!("[\"{}\"]", "x".repeat(POST_IMAGES_JSON_BYTES_MAX - 4))
}

/// The lengths of the written frames by their `type`, in order.
pub(crate) fn frames(write: impl FnOnce(&mut Vec<u8>)) -> Vec<(String, usize)> {
    let mut out = Vec::new();
    write(&mut out);
    let mut rest = &out[..];
    let mut found = Vec::new();
    while let [0x81, length, ..] = *rest {
        let (header, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            127 => (10, usize::try_from(u64::from_be_bytes(rest[2..10].try_into().unwrap())).unwrap()),
            length => (2, usize::from(length)),
        };
        let frame: serde_json::Value = serde_json::from_slice(&rest[header..header + length]).unwrap();
        found.push((frame["type"].as_str().unwrap().to_owned(), length));
        rest = &rest[header + length..];
    }
    assert!(rest.is_empty());
    found
}

/// The longest name, in letters that JSON escapes.
fn client_id() -> String {
    "\u{1f}".repeat(CLIENT_ID_BYTES_MAX)
}

fn chat_frames(presenter: &Presenter) -> Vec<Vec<(String, usize)>> {
    let id = MessageId(Uuid::nil());
    let username = || endless().into_boxed_str();
    let account = Account::active(UserId(Uuid::nil()), username());
    let user = account.id;
    let message = Arc::new(message());
    let reaction = ReactionType::Golazo;
    let events = [
        ChatEvent::Sent(Arc::clone(&message)),
        ChatEvent::Edited(message),
        ChatEvent::Deleted { message: id, user },
        ChatEvent::Read { messages: vec![id], count: 1, user, username: username() },
        ChatEvent::Read { messages: vec![id; READ_ALL_FRAMES_MAX], count: 1, user, username: username() },
        ChatEvent::Reacted { message: id, user, username: username(), reaction, added: false },
    ];
    let mut found: Vec<_> = events.iter().map(|event| frames(|out| event::durable(out, presenter, event))).collect();
    let passed_on = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    found.extend([
        frames(event::greeting),
        frames(|out| event::error(out, reason::BAD_JSON, Some(&client_id()))),
        frames(|out| event::pong(out, &passed_on(MESSAGE_BYTES_MAX))),
        frames(|out| event::signal(out, &account, &passed_on(SIGNAL_BYTES_MAX))),
        frames(|out| event::typing_status(out, &account, false)),
        frames(|out| event::user_status(out, &account, false)),
    ]);
    found
}

fn feed_frames(presenter: &Presenter) -> Vec<Vec<(String, usize)>> {
    let author = UserId(Uuid::nil());
    let id = CommentId(Uuid::nil());
    let event = |change| PostEvent { post: PostId(Uuid::nil()), author, is_public: true, change };
    let on_feed = |change| frames(|out| feed_event::for_feeds(out, presenter, &event(change)));
    let on_post = |change| frames(|out| feed_event::for_post(out, presenter, &event(change)));
    let heard = |change| frames(|out| feed_event::for_notifications(out, presenter, &change));
    let counts = post(images()).counts;
    let notification = Notification {
        id: NotificationId(Uuid::nil()),
        recipient: author,
        sender: shared(),
        notification_type: NotificationType::StoryReaction,
        references: References { post: Some(PostId(Uuid::nil())), comment: Some(id), friend_request: None },
        message: endless(),
        is_read: false,
        created_at: Timestamp(0),
        read_at: Some(Timestamp(0)),
    };
    let comments = |count| PostChange::CommentsDeleted { comments: vec![id; count], user: author, comments_count: 0 };
    let read = |count| NotificationChange::Read { notifications: vec![NotificationId(Uuid::nil()); count], count: 1 };
    let gone = |count| NotificationChange::Gone {
        notifications: vec![NotificationId(Uuid::nil()); count],
        unread_count: u64::MAX,
    };
    vec![
        frames(|out| feed_event::greeting(out, feed_event::NOTIFICATIONS_GREETING)),
        on_feed(PostChange::Created(Arc::new(post(images())))),
        on_post(PostChange::Edited { post: Arc::new(post(images())), was_public: true }),
        on_feed(PostChange::Deleted),
        on_feed(PostChange::Reacted { counts, user: author, reaction: None }),
        on_post(PostChange::Commented { comment: Arc::new(comment(REPLY_LEVELS_SHOWN)), comments_count: 1 }),
        on_post(PostChange::CommentEdited(Arc::new(comment(REPLY_LEVELS_SHOWN)))),
        on_post(PostChange::CommentLiked { comment: id, user: author, likes_count: u64::MAX, is_liked: true }),
        on_post(comments(1)),
        on_post(comments(COMMENTS_DELETED_MAX)),
        heard(NotificationChange::Changed(Arc::new(notification.clone()))),
        heard(NotificationChange::Came(Arc::new(notification))),
        heard(gone(1)),
        heard(gone(READ_ALL_FRAMES_MAX + 1)),
        heard(read(1)),
        heard(read(READ_ALL_FRAMES_MAX)),
    ]
}

/// Frames that `pregon.v1` alone has.
pub(crate) const ONLY_V1: [&str; 3] = ["roster", "readers", "users"];

#[test]
fn no_frame_is_longer_than_its_limit() {
    let presenter = Presenter::new("http://localhost:8000", true);
    let is_v0 = |(kind, _): &(&str, usize)| !ONLY_V1.contains(kind);
    let mut limits: BTreeMap<&str, usize> = FRAMES.iter().copied().filter(is_v0).collect();
    for events in chat_frames(&presenter).into_iter().chain(feed_frames(&presenter)) {
        let kind = events[0].0.as_str();
        let several = |(limited, _): &&(&str, usize)| limited.starts_with(&format!("{kind} of "));
        let name = if events.len() == 1 { kind } else { FRAMES.iter().find(several).unwrap().0 };
        let bytes: usize = events.iter().map(|(_, bytes)| bytes).sum();
        let most = limits.remove(name).unwrap_or_else(|| panic!("{name} has no limit, or came twice"));
        assert!(bytes <= most, "{name}: {bytes} bytes, {most} at most");
        let is_large = ["chat_message", "new_post", "comment_updated"].contains(&name);
        assert!(!is_large || bytes > most / 4 * 3, "{name}: {bytes} bytes, {most} promise nothing");
    }
    assert!(limits.is_empty(), "nobody made {limits:?}");
}

#[test]
fn what_other_programs_made_too_long_is_whole_where_it_is_ones_own_or_asked_for() {
    let presenter = Presenter::new("http://localhost:8000", true);
    let json = |write: &dyn Fn(&mut Vec<u8>)| -> serde_json::Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).unwrap()
    };
    let viewer = Some(UserId::fresh());
    let framed = json(&|out| presenter.message(out, &message()));
    let asked = json(&|out| presenter.message_for(out, &message(), viewer, Timestamp(0)));
    assert_eq!((framed["content"].as_str().unwrap().len(), asked["content"].as_str().unwrap().len()), (2000, 5000));
    let long = format!("[\"{}\"]", "x".repeat(POST_IMAGES_JSON_BYTES_MAX));
    let framed = json(&|out| presenter.post(out, &post(long.clone()), None));
    let asked = json(&|out| presenter.post(out, &post(long.clone()), viewer));
    assert_eq!((framed["images"].to_string(), asked["images"].to_string()), ("[]".into(), long));
    assert_eq!((framed["content"].as_str().unwrap().len(), asked["content"].as_str().unwrap().len()), (2000, 5000));

    let lists = |bytes| UserProfile { interests: format!("[\"{}\"]", "x".repeat(bytes)), ..UserProfile::default() };
    let of_others = |user: &UserProfile| json(&|out| presenter.profile(out, user, viewer))["interests"].to_string();
    assert!(of_others(&lists(PROFILE_JSON_BYTES_MAX / 2)).len() > PROFILE_JSON_BYTES_MAX / 2, "there is room for it");
    assert_eq!(of_others(&lists(PROFILE_JSON_BYTES_MAX)), "[]");
    let own = UserProfile { bio: endless(), ..lists(PROFILE_JSON_BYTES_MAX) };
    let seen = json(&|out| presenter.profile(out, &own, Some(own.id)));
    assert_eq!((seen["interests"].to_string(), seen["bio"].as_str()), (own.interests.clone(), Some(&*own.bio)));
    let far = UserProfile { avatar: Some("http".repeat(1000)), cover_photo: Some("http".repeat(1000)), ..lists(1) };
    let seen = json(&|out| presenter.profile(out, &far, viewer));
    assert!(seen["avatar"].as_str().unwrap().starts_with("https://ui-avatars.com/") && seen["cover_photo"].is_null());
}
