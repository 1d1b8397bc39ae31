//! Who is notified of what, once, and how notifications are read and deleted.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{FIRST_PAGE, World, committed, refusal, relation};
use pregon::domain::feed::event::{FeedEvent, NotificationChange};
use pregon::domain::feed::post::PostReactionType;
use pregon::domain::feed::write::Action;
use pregon::domain::notification::{Notification, NotificationType, References};
use pregon::domain::write::{Outcome, Refusal};
use pregon::ids::{NotificationId, Topic, UserId};
use pregon::limits;

/// The notifications since the last call: recipient, type, text.
fn told(world: &World) -> Vec<(UserId, NotificationType, String)> {
    let came = world.take_notifications();
    came.iter().map(|one| (one.recipient, one.notification_type, one.message.clone())).collect()
}

async fn all(world: &World, user: UserId) -> Vec<Notification> {
    let page = world.store.notifications(user, FIRST_PAGE).await.unwrap();
    assert_eq!(page.count, page.rows.len() as u64);
    page.rows
}

pub async fn each_rule_tells_whom_it_should(world: World) {
    use NotificationType::{Comment, FriendAccept, FriendRequest, Reply};
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let post = world.publish(ana, "hola").await;
    for (reaction, text) in [
        (PostReactionType::Like, "beto Pérez le dio me gusta a tu publicación"),
        (PostReactionType::Celebration, "beto Pérez celebró tu publicación"),
        (PostReactionType::Golazo, "beto Pérez dijo ¡Golazo! a tu publicación"),
    ] {
        let post = world.publish(ana, "hola").await;
        world.feed(beto, Action::React { post, reaction }).await;
        assert_eq!(told(&world), [(ana, NotificationType::of_reaction(reaction), text.to_owned())]);
    }
    let comment = world.comment(beto, post, None, "uno").await;
    let came = world.take_notifications();
    let references = References { post: Some(post), comment: Some(comment), friend_request: None };
    assert_eq!((came.len(), came[0].references, came[0].sender.id), (1, references, beto));
    assert_eq!(came[0].message, "beto Pérez comentó tu publicación");
    // A reply notifies the author of the answered comment, a comment the author of the post; each person once.
    world.comment(caro, post, Some(comment), "dos").await;
    let mut heard = told(&world);
    heard.sort_by_key(|(recipient, ..)| *recipient != beto);
    assert_eq!(heard[0], (beto, Reply, "caro Pérez respondió a tu comentario".to_owned()));
    assert_eq!(heard[1], (ana, Comment, "caro Pérez comentó tu publicación".to_owned()));
    let own = world.comment(ana, post, Some(comment), "la autora responde").await;
    assert_eq!(told(&world), [(beto, Reply, "ana Pérez respondió a tu comentario".to_owned())]);
    world.comment(caro, post, Some(own), "tres").await;
    assert_eq!(told(&world), [(ana, Reply, "caro Pérez respondió a tu comentario".to_owned())]);

    world.feed(beto, Action::Share { post, message: String::new() }).await;
    world.feed(beto, Action::Share { post, message: String::new() }).await;
    assert_eq!(told(&world), [(ana, NotificationType::Share, "beto Pérez compartió tu publicación".to_owned())]);
    world.feed(beto, Action::Follow { user: ana }).await;
    world.feed(beto, Action::Follow { user: ana }).await;
    assert_eq!(told(&world), [(ana, NotificationType::Follow, "beto Pérez comenzó a seguirte".to_owned())]);
    world.feed(beto, Action::RequestFriend { user: ana }).await;
    let came = world.take_notifications();
    assert_eq!((came[0].recipient, came[0].notification_type), (ana, FriendRequest));
    assert_eq!(came[0].message, "beto Pérez te envió una solicitud de amistad");
    let request = came[0].references.friend_request.unwrap();
    world.feed(ana, Action::AnswerRequest { request, accept: true }).await;
    let came = world.take_notifications();
    assert_eq!((came.len(), came[0].recipient, came[0].notification_type), (1, beto, FriendAccept));
    assert_eq!(came[0].message, "ana Pérez aceptó tu solicitud de amistad");
    assert_eq!(came[0].references.friend_request, Some(request));

    let rows = all(&world, ana).await;
    assert!(rows.windows(2).all(|pair| pair[0].created_at > pair[1].created_at), "newest first");
    assert_eq!(rows.len(), 9);
    let stored = &rows[0];
    assert_eq!((stored.notification_type, stored.is_read, stored.read_at), (FriendRequest, false, None));
    assert_eq!((stored.references.friend_request, stored.sender.id, stored.recipient), (Some(request), beto, ana));
    assert_eq!(world.store.unread_notifications(ana).await.unwrap(), 9);
}

pub async fn nobody_is_told_of_their_own_doing(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    world.feed(ana, Action::React { post, reaction: PostReactionType::Like }).await;
    world.feed(ana, Action::Share { post, message: String::new() }).await;
    let comment = world.comment(ana, post, None, "uno").await;
    world.comment(ana, post, Some(comment), "dos").await;
    // Nothing is notified that is taken back or not allowed.
    world.feed(ana, Action::LikeComment { post, comment }).await;
    world.feed(beto, Action::Unreact { post }).await;
    world.feed(beto, Action::DeletePost { post }).await;
    world.feed(beto, Action::Unfollow { user: ana }).await;
    assert_eq!(told(&world), []);
    assert_eq!(world.backend.number("SELECT count(*) FROM notifications").await, 0);
}

pub async fn reactions_are_told_once_an_hour(world: World) {
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let post = world.publish(ana, "hola").await;
    let other = world.publish(ana, "otra").await;
    let react = async |user, post, reaction| {
        committed(&world.feed(user, Action::React { post, reaction }).await);
        told(&world).len()
    };
    assert_eq!(react(beto, post, PostReactionType::Like).await, 1);
    assert_eq!(react(beto, post, PostReactionType::Like).await, 0, "taken back");
    assert_eq!(react(beto, post, PostReactionType::Like).await, 0, "and given again");
    assert_eq!(react(beto, post, PostReactionType::Golazo).await, 0, "or another");
    assert_eq!(react(beto, other, PostReactionType::Like).await, 1, "another post");
    assert_eq!(react(caro, post, PostReactionType::Like).await, 1, "another user");
    world.clock.advance(limits::NOTICE_WINDOW + Duration::from_secs(1));
    assert_eq!(react(beto, post, PostReactionType::Like).await, 0, "another, however late, is the same told otherwise");
    assert_eq!(react(beto, post, PostReactionType::Like).await, 0);
    world.clock.advance(limits::NOTICE_WINDOW + Duration::from_secs(1));
    assert_eq!(react(beto, post, PostReactionType::Like).await, 1, "taken back an hour ago");
}

/// The types of a user's notifications, newest first, and the number of unread ones.
async fn shown(world: &World, user: UserId) -> (Vec<NotificationType>, u64) {
    let rows = all(world, user).await;
    let unread = world.store.unread_notifications(user).await.unwrap();
    assert_eq!(unread, rows.iter().filter(|one| !one.is_read).count() as u64);
    (rows.iter().map(|one| one.notification_type).collect(), unread)
}

pub async fn what_is_told_of_a_reaction_follows_it(world: World) {
    use NotificationType::{Golazo, Like};
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let post = world.publish(ana, "hola").await;
    let other = world.publish(ana, "otra").await;
    let react = async |user, post, reaction| drop(world.feed(user, Action::React { post, reaction }).await);
    react(beto, post, PostReactionType::Like).await;
    react(caro, post, PostReactionType::Like).await;
    react(beto, other, PostReactionType::Like).await;
    let first = all(&world, ana).await.remove(2);
    assert_eq!(first.references.post, Some(post));
    // Another reaction, even much later, changes the text of the same notification, which stays unread.
    world.clock.advance(limits::NOTICE_WINDOW * 3);
    react(beto, post, PostReactionType::Golazo).await;
    let rows = all(&world, ana).await;
    assert_eq!(rows.iter().map(|one| one.notification_type).collect::<Vec<_>>(), [Like, Like, Golazo]);
    assert_eq!((rows[2].id, rows[2].created_at, rows[2].is_read), (first.id, first.created_at, false));
    assert_eq!(rows[2].message, "beto Pérez dijo ¡Golazo! a tu publicación");
    let changes = world.take_notification_changes();
    assert!(matches!(changes.last(), Some(NotificationChange::Changed(one)) if one.id == first.id), "{changes:?}");
    // Taken back in either way, this notification is deleted and no other.
    world.feed(ana, Action::ReadNotification { notification: first.id }).await;
    react(beto, post, PostReactionType::Golazo).await;
    assert_eq!(shown(&world, ana).await, (vec![Like, Like], 2));
    world.feed(beto, Action::Unreact { post: other }).await;
    assert_eq!(shown(&world, ana).await, (vec![Like], 1));
    let changes = world.take_notification_changes();
    assert!(
        matches!(changes.last(), Some(NotificationChange::Gone { notifications, unread_count: 1 }) if notifications.len() == 1),
        "{changes:?}"
    );
    // If the reaction is soon given again, the notification returns as it was, and the bell does not ring.
    react(beto, post, PostReactionType::Like).await;
    assert_eq!(shown(&world, ana).await, (vec![Like, Like], 1));
    assert!(all(&world, ana).await[0].is_read);
    react(beto, other, PostReactionType::Golazo).await;
    assert_eq!(shown(&world, ana).await, (vec![Golazo, Like, Like], 2));
    let changes = world.take_notification_changes();
    assert!(changes.iter().all(|change| matches!(change, NotificationChange::Changed(_))), "{changes:?}");
}

pub async fn what_is_told_goes_with_what_it_tells_of(world: World) {
    use NotificationType::{Comment, Reply};
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let post = world.publish(ana, "hola").await;
    let other = world.publish(ana, "otra").await;
    let kept = world.comment(beto, other, None, "otro").await;
    let first = world.comment(beto, post, None, "uno").await;
    let second = world.comment(caro, post, Some(first), "dos").await;
    world.comment(beto, post, Some(second), "tres").await;
    world.comment(beto, post, None, "cuatro").await;
    assert_eq!(shown(&world, ana).await, (vec![Comment; 5], 5));
    assert_eq!(shown(&world, caro).await, (vec![Reply], 1));
    world.take_notification_changes();
    world.feed(beto, Action::DeleteComment { post, comment: first }).await;
    assert_eq!(shown(&world, ana).await, (vec![Comment; 2], 2));
    assert_eq!(shown(&world, beto).await, (vec![], 0));
    assert_eq!(shown(&world, caro).await, (vec![], 0));
    let gone: usize = world.take_notification_changes().iter().map(gone).sum();
    assert_eq!(gone, 5, "three of Ana's, one of Beto's, one of Caro's");
    // A deleted post takes everybody's notifications about it along.
    let fifth = world.comment(beto, post, None, "cinco").await;
    world.comment(caro, post, Some(fifth), "seis").await;
    world.feed(caro, Action::React { post, reaction: PostReactionType::Like }).await;
    world.feed(caro, Action::Share { post, message: String::new() }).await;
    assert_eq!((shown(&world, ana).await.1, shown(&world, beto).await), (6, (vec![Reply], 1)));
    world.feed(ana, Action::DeletePost { post }).await;
    let left = all(&world, ana).await;
    assert_eq!((left.len(), left[0].references.comment), (1, Some(kept)));
    assert_eq!(shown(&world, beto).await, (vec![], 0));
    assert_eq!(world.take_notification_changes().iter().map(self::gone).sum::<usize>(), 6);
}

fn gone(change: &NotificationChange) -> usize {
    match change {
        NotificationChange::Gone { notifications, .. } => notifications.len(),
        _ => 0,
    }
}

pub async fn follows_and_requests_are_told_once_an_hour(world: World) {
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let follow = async |user| {
        committed(&world.feed(user, Action::Follow { user: ana }).await);
        let came = told(&world).len();
        committed(&world.feed(user, Action::Unfollow { user: ana }).await);
        came
    };
    assert_eq!((follow(beto).await, follow(beto).await, follow(caro).await, follow(beto).await), (1, 0, 1, 0));
    let request = async |from, to| {
        let outcome = world.feed(from, Action::RequestFriend { user: to }).await;
        (relation(committed(&outcome)).request.unwrap(), told(&world).len())
    };
    let (first, came) = request(beto, ana).await;
    assert_eq!(came, 1);
    committed(&world.feed(beto, Action::CancelRequest { request: first }).await);
    assert_eq!(request(beto, ana).await, (first, 0), "what ana was told leads to the request still");
    assert_eq!(world.store.friend_requests(ana).await.unwrap()[0].id, first);
    committed(&world.feed(ana, Action::AnswerRequest { request: first, accept: true }).await);
    assert_eq!(told(&world).len(), 1, "another kind");
    committed(&world.feed(ana, Action::RemoveFriend { user: beto }).await);
    assert_eq!(request(ana, beto).await.1, 1, "the other way round");
    world.clock.advance(limits::NOTICE_WINDOW + Duration::from_secs(1));
    assert_eq!((follow(beto).await, follow(beto).await), (1, 0));
}

fn change(outcome: &Outcome) -> &NotificationChange {
    match committed(outcome).feed() {
        Some(FeedEvent::Notification { change, .. }) => change,
        other => panic!("{other:?}"),
    }
}

pub async fn notifications_are_read_once_and_go(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let total = limits::READ_ALL_FRAMES_MAX + 3;
    for number in 0..total {
        world.comment(beto, post, None, &format!("{number}")).await;
    }
    let ids = {
        let first = world.store.notifications(ana, FIRST_PAGE).await.unwrap();
        assert_eq!(first.count, total as u64);
        first.rows.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    // Two tabs of one user: only the first one finds it unread.
    let read = || Action::ReadNotification { notification: ids[0] };
    let [first, second] = [world.queue_feed(ana, read()), world.queue_feed(ana, read())];
    let outcome = first.await.unwrap();
    let NotificationChange::Read { notifications, count: 1 } = change(&outcome) else { panic!("{outcome:?}") };
    assert_eq!((&notifications[..], committed(&outcome).topic), (&ids[..1], Topic::Notifications(ana)));
    assert!(matches!(second.await.unwrap(), Outcome::Unchanged));
    let stored = world.store.notification(ana, ids[0]).await.unwrap().unwrap();
    assert_eq!((stored.is_read, stored.read_at), (true, Some(committed(&outcome).at)));
    assert!(world.store.notification(beto, ids[0]).await.unwrap().is_none(), "somebody else's");
    for (user, notification) in [(beto, ids[1]), (ana, NotificationId::fresh())] {
        let missing = Refusal::NoSuchNotification;
        assert_eq!(refusal(&world.feed(user, Action::ReadNotification { notification }).await), missing);
        assert_eq!(refusal(&world.feed(user, Action::DeleteNotification { notification }).await), missing);
    }
    assert_eq!(world.store.unread_notifications(ana).await.unwrap(), total as u64 - 1);
    let outcome = world.feed(ana, Action::DeleteNotification { notification: ids[2] }).await;
    assert!(matches!(change(&outcome), NotificationChange::Gone { notifications, .. } if notifications.len() == 1));
    let outcome = world.feed(ana, Action::ReadAllNotifications).await;
    let NotificationChange::Read { notifications, count } = change(&outcome) else { panic!("{outcome:?}") };
    assert_eq!(*count, total as u64 - 2, "all that were unread");
    assert_eq!(
        (notifications.len(), notifications[0], notifications[1]),
        (limits::READ_ALL_FRAMES_MAX, ids[1], ids[3])
    );
    assert!(matches!(world.feed(ana, Action::ReadAllNotifications).await, Outcome::Unchanged));
    assert_eq!(world.store.unread_notifications(ana).await.unwrap(), 0);
    let outcome = world.feed(ana, Action::ClearNotifications).await;
    assert!(
        matches!(change(&outcome), NotificationChange::Gone { notifications, .. } if notifications.len() == total - 1)
    );
    assert!(matches!(world.feed(ana, Action::ClearNotifications).await, Outcome::Unchanged));
    assert!(all(&world, ana).await.is_empty());
}

pub async fn one_write_takes_places_in_several_topics(world: World) {
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let post = world.publish(ana, "hola").await;
    let comment = world.comment(beto, post, None, "uno").await;
    for number in 0..5 {
        world.comment(caro, post, Some(comment), &format!("{number}")).await;
        world.feed(caro, Action::ReadAllNotifications).await;
        refusal(&world.feed(caro, Action::DeleteComment { post, comment }).await);
    }
    let events = world.events();
    let ids: BTreeSet<_> = events.iter().map(|event| event.event_id.0).collect();
    assert_eq!(ids.len(), events.len(), "each event has an id of its own");
    for topic in [Topic::Post(post), Topic::Notifications(ana), Topic::Notifications(beto)] {
        let of: Vec<_> = events.iter().filter(|event| event.topic == topic).collect();
        assert!(of.iter().enumerate().all(|(index, event)| event.cursor.seq == index as u64 + 1), "{topic}");
        assert!(of.windows(2).all(|pair| pair[0].at < pair[1].at), "{topic}");
        assert!(of.len() >= 5);
    }
    let holes = "SELECT (SELECT sum(seq) FROM pregon_topics) - (SELECT count(*) FROM pregon_events)";
    assert_eq!(world.backend.number(holes).await, 0);
    assert_eq!(world.backend.number("SELECT count(*) FROM pregon_events").await, events.len() as i64);
}
