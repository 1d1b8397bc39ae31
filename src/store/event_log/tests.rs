//! What is written of any event is read again as it was.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::clock::Timestamp;
use crate::domain::chat::write::Transport;
use crate::domain::event::Cursor;
use crate::ids::{EventId, PostId, RoomId};

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

/// Some ids, and how many there are in all.
fn several_of<T: std::fmt::Debug>(name: fn(Uuid) -> T) -> impl Strategy<Value = (Vec<T>, u64)> {
    (vec(id().prop_map(name), 0..4), 0..3_u64).prop_map(|(ids, more)| {
        let count = ids.len() as u64 + more;
        (ids, count)
    })
}

fn in_a_room() -> impl Strategy<Value = Happening> {
    use ReactionType::{Angry, Fire, Golazo, Laugh, Like, Love, Sad, Wow};
    let message = || id().prop_map(MessageId);
    let reaction = || select(vec![Like, Love, Laugh, Wow, Sad, Angry, Fire, Golazo]);
    prop_oneof![
        message().prop_map(Happening::Sent),
        message().prop_map(Happening::Edited),
        message().prop_map(Happening::Deleted),
        several_of(MessageId).prop_map(|(messages, count)| Happening::Read(messages, count)),
        (message(), reaction()).prop_map(|(message, reaction)| Happening::Reacted(message, reaction)),
        (message(), reaction()).prop_map(|(message, reaction)| Happening::Unreacted(message, reaction)),
        Just(Happening::Joined),
        Just(Happening::Left),
        Just(Happening::RoomChanged),
    ]
}

fn of_a_post() -> impl Strategy<Value = Happening> {
    use PostReactionType::{Celebration, Golazo, Like};
    let comment = || id().prop_map(CommentId);
    prop_oneof![
        Just(Happening::Posted),
        any::<bool>().prop_map(|was_public| Happening::PostEdited { was_public }),
        Just(Happening::PostDeleted),
        select(vec![None, Some(Like), Some(Celebration), Some(Golazo)]).prop_map(Happening::PostReacted),
        comment().prop_map(Happening::Commented),
        comment().prop_map(Happening::CommentEdited),
        vec(comment(), 0..4).prop_map(Happening::CommentsDeleted),
        comment().prop_map(Happening::CommentLiked),
        comment().prop_map(Happening::CommentUnliked),
        Just(Happening::Shared),
    ]
}

fn of_notifications_of_a_user() -> impl Strategy<Value = Happening> {
    prop_oneof![
        id().prop_map(|id| Happening::Notified(NotificationId(id))),
        id().prop_map(|id| Happening::NotificationChanged(NotificationId(id))),
        several_of(NotificationId).prop_map(|(ids, count)| Happening::NotificationsRead(ids, count)),
        several_of(NotificationId).prop_map(|(ids, count)| Happening::NotificationsGone(ids, count)),
    ]
}

fn between_users() -> impl Strategy<Value = Happening> {
    use Relation::{Befriended, Followed, Requested, Unfollowed, Unfriended};
    let relations = select(vec![Followed, Unfollowed, Befriended, Unfriended, Requested]);
    (id(), relations, any::<bool>()).prop_map(|(other, relation, hears)| Happening::Related {
        other: UserId(other),
        relation,
        hears,
    })
}

fn record() -> impl Strategy<Value = EventRecord> {
    let what = prop_oneof![
        (id().prop_map(|id| Topic::Room(RoomId(id))), in_a_room().boxed()),
        (id().prop_map(|id| Topic::Post(PostId(id))), of_a_post().boxed()),
        (id().prop_map(|id| Topic::Notifications(UserId(id))), of_notifications_of_a_user().boxed()),
        (id().prop_map(|id| Topic::Feed(UserId(id))), between_users().boxed()),
    ];
    let transport = select(vec![Transport::Socket, Transport::Rest]);
    (what, any::<u32>(), any::<u64>(), id(), any::<i64>(), transport, id()).prop_map(
        |((topic, happening), epoch, seq, event_id, at, transport, user)| EventRecord {
            topic,
            cursor: Cursor { epoch, seq },
            event_id: EventId(event_id),
            at: Timestamp(at),
            transport,
            user: UserId(user),
            happening,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_row_says_what_happened(record in record()) {
        let LogLine { kind, subject, detail } = LogLine::of(&record);
        prop_assert!(kind.len() <= 10, "{kind} fits its column");
        prop_assert!(detail.iter().all(|detail| detail.is_ascii()));
        let read = happening(record.topic, kind, subject, detail.as_deref());
        prop_assert_eq!(read.map_err(|unexpected| unexpected.0), Ok(record.happening.clone()));
        prop_assert_eq!(record.topic.to_string().parse(), Ok(record.topic));
        prop_assert_eq!(Transport::from_text(record.transport.as_str()), Some(record.transport));
    }

    #[test]
    fn json_says_what_happened(record in record()) {
        let text = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(serde_json::from_str::<EventRecord>(&text).unwrap(), record, "{}", text);
    }

    #[test]
    fn no_columns_make_it_panic(kind in "[a-z]{0,10}", detail in proptest::option::of("[0-9a-f:,]{0,70}")) {
        let id = Uuid::nil();
        for topic in [Topic::Room(RoomId(id)), Topic::Post(PostId(id)), Topic::Notifications(UserId(id))] {
            let _ = happening(topic, &kind, None, detail.as_deref());
            for kind in ["read", "gone", "uncomment"] {
                let _ = happening(topic, kind, Some(id), detail.as_deref());
            }
        }
    }
}

#[test]
fn rows_of_earlier_versions_are_read() {
    let topic = Topic::Notifications(UserId(Uuid::nil()));
    let gone = happening(topic, "gone", None, Some("17")).map_err(|unexpected| unexpected.0);
    assert_eq!(gone, Ok(Happening::NotificationsGone(Vec::new(), 17)));
    for topic in ["", "room", "room:", "room:0", "house:00000000000000000000000000000000", "room:é"] {
        assert!(topic.parse::<Topic>().is_err(), "{topic}");
    }
}
