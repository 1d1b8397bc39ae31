//! The exact frames of posts, comments and notifications.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Category, PostReaction, PostType};
use crate::domain::notification::{Notification, NotificationType, References};
use crate::domain::user::UserProfile;
use crate::ids::{CommentId, NotificationId};

const ANA: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
const POST: &str = "fb349c61-b203-43fa-a906-87fa47e3c37e";
const COMMENT: &str = "38ee9ed1-7aaf-42d2-a3b9-926f38f8086b";
const TIME: &str = "2026-02-01T10:30:00.000000Z";
const AT: Timestamp = Timestamp(1_769_941_800_000_000);

fn ana() -> Arc<UserProfile> {
    let username = "ana".to_owned();
    let display_name = "Ana Pérez".to_owned();
    Arc::new(UserProfile { id: ANA.parse().unwrap(), username, display_name, ..UserProfile::default() })
}

fn comment() -> Comment {
    Comment {
        id: COMMENT.parse().unwrap(),
        post: POST.parse().unwrap(),
        parent: None,
        user: ana(),
        content: "bien".into(),
        image: Some("comments/images/a.png".into()),
        likes_count: 2,
        replies_count: 1,
        is_edited: true,
        created_at: AT,
        updated_at: AT,
        replies: vec![],
        is_liked: false,
    }
}

fn post() -> Post {
    Post {
        id: POST.parse().unwrap(),
        short_id: "AB12CD34".into(),
        user: ana(),
        content: "hola \"feed\" ñ".into(),
        images: r#"["https://example.com/a.png"]"#.into(),
        video: Some("posts/videos/v.mp4".into()),
        thumbnail: None,
        podcast_url: String::new(),
        streaming_url: String::new(),
        post_type: PostType::Video,
        category: Category::GeneralSport,
        counts: ReactionCounts { likes: 1, celebrations: 2, golazos: 3 },
        comments_count: 4,
        shares_count: 5,
        views_count: 6,
        is_pinned: false,
        allow_comments: true,
        is_public: true,
        created_at: AT,
        updated_at: AT,
        reactions: vec![reaction()],
        comments: vec![Comment { replies: vec![comment()], ..comment() }],
        user_reaction: None,
        is_bookmarked: false,
    }
}

fn reaction() -> PostReaction {
    PostReaction { id: uuid::Uuid::nil(), user: ana(), reaction_type: PostReactionType::Golazo, created_at: AT }
}

fn event(change: PostChange) -> PostEvent {
    PostEvent { post: POST.parse().unwrap(), author: ANA.parse().unwrap(), is_public: true, change }
}

/// The payloads of unmasked text frames.
fn payloads(write: impl FnOnce(&mut Vec<u8>, &Presenter)) -> Vec<String> {
    let mut frames = Vec::new();
    let mut payloads = Vec::new();
    write(&mut frames, &Presenter::new("http://localhost:8000", true));
    let mut rest = &frames[..];
    while let [0x81, length, ..] = *rest {
        let (header, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            127 => panic!("too long for a test"),
            length => (2, usize::from(length)),
        };
        payloads.push(String::from_utf8(rest[header..header + length].to_vec()).unwrap());
        rest = &rest[header + length..];
    }
    assert!(rest.is_empty());
    payloads
}

fn heard(event: &PostEvent) -> [Vec<String>; 2] {
    [
        payloads(|out, presenter| for_feeds(out, presenter, event)),
        payloads(|out, presenter| for_post(out, presenter, event)),
    ]
}

fn profile() -> Value {
    let mut out = Vec::new();
    Presenter::new("http://localhost:8000", true).profile(&mut out, &ana(), None);
    serde_json::from_slice(&out).unwrap()
}

fn comment_json(replies: &Value) -> Value {
    json!({"id": COMMENT, "post": POST, "parent": null, "user": profile(), "content": "bien",
        "image": "http://localhost:8000/media/comments/images/a.png", "likes_count": 2, "replies_count": 1,
        "is_edited": true, "created_at": TIME, "updated_at": TIME, "replies": replies, "is_liked": false})
}

fn post_json() -> Value {
    json!({"id": POST, "short_id": "AB12CD34", "user": profile(), "content": "hola \"feed\" ñ",
        "images": ["https://example.com/a.png"], "video": "http://localhost:8000/media/posts/videos/v.mp4",
        "thumbnail": null, "podcast_url": "", "streaming_url": "", "post_type": "video", "category": "general_sport",
        "likes_count": 1, "celebrations_count": 2, "golazos_count": 3, "laughs_count": 2, "dislikes_count": 3,
        "comments_count": 4, "shares_count": 5, "views_count": 6, "is_pinned": false, "allow_comments": true,
        "is_public": true, "created_at": TIME, "updated_at": TIME,
        "reactions": [{"id": "00000000-0000-0000-0000-000000000000", "user": profile(), "reaction_type": "golazo",
            "created_at": TIME}],
        "comments": [comment_json(&json!([comment_json(&json!([]))]))],
        "user_reaction": null, "is_bookmarked": false})
}

fn parsed(frames: &[String]) -> Vec<Value> {
    frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

#[test]
fn posts_are_whole_and_have_no_viewer() {
    let [feeds, on_post] = heard(&event(PostChange::Created(Arc::new(post()))));
    assert_eq!(parsed(&feeds), [json!({"type": "new_post", "post": post_json()})]);
    assert_eq!(on_post, [""; 0], "nobody is there yet");
    let updated = json!({"type": "post_updated", "post": post_json()});
    let [feeds, on_post] = heard(&event(PostChange::Edited { post: Arc::new(post()), was_public: true }));
    assert_eq!((parsed(&feeds), parsed(&on_post)), (vec![updated.clone()], vec![updated]));
    let deleted = format!(r#"{{"type":"post_deleted","post_id":"{POST}"}}"#);
    assert_eq!(heard(&event(PostChange::Deleted)), [vec![deleted.clone()], vec![deleted]]);
}

#[test]
fn a_reaction_has_the_counts_and_who_it_was() {
    let counts = ReactionCounts { likes: 1, celebrations: 0, golazos: 2 };
    let user = ANA.parse().unwrap();
    let data = |reaction: &str| {
        format!(
            r#"{{"post_id":"{POST}","likes_count":1,"celebrations_count":0,"golazos_count":2,"laughs_count":0,"dislikes_count":2,"user_reaction":{{"user_id":"{ANA}","reaction_type":{reaction}}}}}"#
        )
    };
    for (reaction, text) in [(Some(reaction()), r#""golazo""#), (None, "null")] {
        let [feeds, on_post] = heard(&event(PostChange::Reacted { counts, user, reaction }));
        let data = data(text);
        assert_eq!(feeds, [format!(r#"{{"type":"post_reaction","post_id":"{POST}","reaction_data":{data}}}"#)]);
        assert_eq!(on_post, [format!(r#"{{"type":"post_reaction","reaction_data":{data}}}"#)]);
    }
}

#[test]
fn comments_are_heard_on_the_post_alone() {
    let whole = |kind: &str| vec![json!({"type": kind, "comment": comment_json(&json!([]))})];
    let added = PostChange::Commented { comment: Arc::new(comment()), comments_count: 1 };
    let [feeds, on_post] = heard(&event(added));
    assert_eq!((feeds.len(), parsed(&on_post)), (0, whole("new_comment")));
    let [feeds, on_post] = heard(&event(PostChange::CommentEdited(Arc::new(comment()))));
    assert_eq!((feeds.len(), parsed(&on_post)), (0, whole("comment_updated")));
    let comments: Vec<CommentId> = vec![COMMENT.parse().unwrap(), ANA.parse().unwrap()];
    let [feeds, on_post] =
        heard(&event(PostChange::CommentsDeleted { comments, user: UserId::fresh(), comments_count: 0 }));
    let deleted = |id: &str| format!(r#"{{"type":"comment_deleted","comment_id":"{id}"}}"#);
    assert_eq!((feeds.len(), on_post), (0, vec![deleted(COMMENT), deleted(ANA)]), "in their order");
    let comment = COMMENT.parse().unwrap();
    let user = ANA.parse().unwrap();
    let liked = PostChange::CommentLiked { comment, user, likes_count: 3, is_liked: false };
    let [feeds, on_post] = heard(&event(liked));
    let frame = format!(r#"{{"type":"comment_like","comment_id":"{COMMENT}","likes_count":3}}"#);
    assert_eq!((feeds.len(), on_post), (0, vec![frame]));
    let shared = PostChange::Shared { user, shares_count: 1 };
    assert!(shared.moves_counters() && heard(&event(shared)).iter().all(Vec::is_empty));
}

#[test]
fn notifications_come_and_are_read() {
    let id: NotificationId = "e1647e38-1eac-4645-8144-3c44a5a5af7e".parse().unwrap();
    let came = Notification {
        id,
        recipient: ANA.parse().unwrap(),
        sender: ana(),
        notification_type: NotificationType::Comment,
        references: References { post: POST.parse().ok(), comment: COMMENT.parse().ok(), friend_request: None },
        message: NotificationType::Comment.text("Ana Pérez"),
        is_read: false,
        created_at: AT,
        read_at: None,
    };
    let frames = |change: &NotificationChange| payloads(|out, presenter| for_notifications(out, presenter, change));
    let avatar = "https://ui-avatars.com/api/?name=Ana%20P%C3%A9rez&background=00ff88&color=fff";
    assert_eq!(
        parsed(&frames(&NotificationChange::Came(Arc::new(came)))),
        [json!({"type": "notification", "notification": {"id": id, "sender": {"id": ANA, "username": "ana",
            "display_name": "Ana Pérez", "avatar": avatar, "avatar_url": avatar, "is_verified": false},
            "notification_type": "comment", "post_id": POST, "comment_id": COMMENT, "friend_request_id": null,
            "message": "Ana Pérez comentó tu publicación", "is_read": false, "created_at": TIME, "read_at": null,
            "time_ago": "Hace un momento"}})]
    );
    let read = NotificationChange::Read { notifications: vec![id], count: 1 };
    assert_eq!(frames(&read), [format!(r#"{{"type":"notification_read","notification_id":"{id}"}}"#)]);
    let gone = NotificationChange::Gone { notifications: vec![id], unread_count: 3 };
    assert_eq!(
        parsed(&frames(&gone)),
        [serde_json::json!({"type": "notification_deleted", "notification_id": id.to_string(), "unread_count": 3})]
    );
}
