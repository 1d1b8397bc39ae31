//! News that waits for its turn is not overtaken by news that refers to it.

use std::sync::Arc;

use super::*;
use crate::clock::Timestamp;
use crate::domain::notification::References;
use crate::domain::user::UserProfile;
use crate::engine::shard::port::{Directory, Inbox};
use crate::fanout::batch::Ways;
use crate::fanout::routes::Routes;
use crate::ids::{NotificationId, ShardId};

fn like(user: UserId, post: PostId, at: i64) -> FeedEvent {
    let notification = Arc::new(Notification {
        id: NotificationId::fresh(),
        recipient: user,
        sender: Arc::new(UserProfile::default()),
        notification_type: NotificationType::Like,
        references: References { post: Some(post), ..References::default() },
        message: String::new(),
        is_read: false,
        created_at: Timestamp(at),
        read_at: None,
    });
    FeedEvent::Notification { user, change: NotificationChange::Came(notification) }
}

fn id(event: &FeedEvent) -> NotificationId {
    match event {
        FeedEvent::Notification { change: NotificationChange::Came(came), .. } => came.id,
        other => panic!("{other:?}"),
    }
}

/// The types and ids of the frames that came, in order.
fn heard(inbox: &Inbox) -> Vec<(&'static str, String)> {
    let mut heard = Vec::new();
    while let Some(message) = inbox.pop() {
        let ToShard::Publish(publication) = message else { panic!("{message:?}") };
        let text = String::from_utf8_lossy(publication.frames.usual()).into_owned();
        for frame in text.split("{\"type\":\"").skip(1) {
            let (kind, rest) = frame.split_once('"').unwrap();
            let known = ["notification", "notification_read", "notification_deleted"];
            let kind = known.into_iter().find(|known| *known == kind).unwrap();
            let id = rest.split_once("id\":\"").unwrap().1;
            heard.push((kind, id[..36].to_owned()));
        }
    }
    heard
}

#[test]
fn a_notification_that_waits_is_told_before_it_is_read_and_not_once_it_is_gone() {
    let [ana, beto] = [UserId::fresh(), UserId::fresh()];
    for is_read in [true, false] {
        let (routes, inboxes) = (Arc::new(Routes::default()), Arc::from([Arc::new(Inbox::default())]));
        let ways = Ways { routes, inboxes };
        for user in [ana, beto] {
            ways.routes.join(Topic::Notifications(user), ShardId(0));
        }
        let (mut held, presenter) = (Held::new(PostUpdates::Coalesced), Presenter::new("http://localhost", true));
        let (posts, now) = ([PostId::fresh(), PostId::fresh()], Instant::now());
        let mut play = |event: &FeedEvent| {
            let mut batch = Batch::new(&ways);
            Scene { batch: &mut batch, held: &mut held, presenter: &presenter, now }.play(event, None);
            batch.flush();
        };
        // Two posts at once: the last of each is held.
        let mut last = Vec::new();
        for number in 0..=i64::from(REACTIONS_AT_ONCE) {
            last = posts.map(|post| like(ana, post, number)).into();
            last.iter().for_each(&mut play);
        }
        for number in 0..=i64::from(REACTIONS_AT_ONCE) {
            play(&like(beto, posts[0], number));
        }
        assert_eq!(heard(&ways.inboxes[0]).len(), 3 * REACTIONS_AT_ONCE as usize);
        let ids: Vec<NotificationId> = last.iter().map(id).collect();
        let change = match is_read {
            true => NotificationChange::Read { notifications: ids.clone(), count: 2 },
            false => NotificationChange::Gone { notifications: ids[..1].to_vec(), unread_count: 0 },
        };
        play(&FeedEvent::Notification { user: ana, change });
        let mut heard = heard(&ways.inboxes[0]);
        let told = if is_read { &ids[..] } else { &ids[1..] };
        let mut came: Vec<_> = heard.drain(..told.len()).collect();
        came.sort();
        let mut expected: Vec<_> = told.iter().map(|id| ("notification", id.to_string())).collect();
        expected.sort();
        assert_eq!(came, expected, "beto's notification still waits");
        let (kind, of) = if is_read { ("notification_read", &ids[..]) } else { ("notification_deleted", &ids[..1]) };
        assert_eq!(heard, of.iter().map(|id| (kind, id.to_string())).collect::<Vec<_>>());
    }
}
