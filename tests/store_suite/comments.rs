//! Comments and replies: nested, counted, edited, liked, deleted with their answers.

use crate::store_support::{FIRST_PAGE, World, committed, post_change, post_event, refusal};
use pregon::durable::write::{Outcome, Refusal};
use pregon::feed::comment::{Comment, NewComment};
use pregon::feed::event::PostChange;
use pregon::feed::post::NewPost;
use pregon::feed::write::Action;
use pregon::ids::{CommentId, PostId};
use pregon::limits;
use pregon::store::PageRequest;

fn contents(comments: &[Comment]) -> Vec<&str> {
    comments.iter().map(|comment| comment.content.as_str()).collect()
}

pub async fn comments_are_nested_counted_and_paged(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let mut top = Vec::new();
    for number in 0..7 {
        top.push(world.comment(beto, post, None, &format!("{number}")).await);
    }
    // A reply to each reply, deeper than is shown.
    let mut deepest = top[0];
    for level in 1..=limits::REPLY_LEVELS_SHOWN + 1 {
        deepest = world.comment(ana, post, Some(deepest), &format!("nivel {level}")).await;
    }
    for number in 0..4 {
        world.comment(ana, post, Some(top[1]), &format!("respuesta {number}")).await;
    }
    let read = world.store.post(None, post).await.unwrap().unwrap();
    assert_eq!(read.comments_count, 7 + u64::from(limits::REPLY_LEVELS_SHOWN) + 1 + 4);
    assert_eq!(contents(&read.comments), ["0", "1", "2", "3", "4"], "the first five");
    assert_eq!(contents(&read.comments[1].replies), ["respuesta 0", "respuesta 1", "respuesta 2"], "the first three");
    assert_eq!((read.comments[1].replies_count, read.comments[0].replies_count), (4, 1));
    let depth = |comment: &Comment| {
        let (mut shown, mut levels) = (comment, 0);
        while let [reply] = &shown.replies[..] {
            assert_eq!((reply.parent, reply.post, reply.user.id), (Some(shown.id), post, ana));
            (shown, levels) = (reply, levels + 1);
        }
        (levels, shown.replies_count, shown.id)
    };
    let (levels, unshown, _) = depth(&read.comments[0]);
    assert_eq!((levels, unshown), (limits::POST_REPLY_LEVELS_SHOWN, 1), "a post goes out as a frame: it shows less");

    let page = world.store.comments(beto, post, FIRST_PAGE).await.unwrap();
    assert_eq!((page.count, contents(&page.rows)), (7, vec!["0", "1", "2", "3", "4", "5", "6"]));
    let (levels, unshown, last) = depth(&page.rows[0]);
    assert_eq!((levels, unshown), (limits::REPLY_LEVELS_SHOWN, 1), "the rest is asked for by itself");
    let deeper = world.store.comment(beto, last).await.unwrap().unwrap();
    assert_eq!(deeper.replies[0].id, deepest);
    let second = world.store.comments(beto, post, PageRequest { number: 2, size: 5 }).await.unwrap();
    assert_eq!((second.count, contents(&second.rows)), (7, vec!["5", "6"]));
    assert!(world.store.comment(beto, CommentId::fresh()).await.unwrap().is_none());
    assert_eq!(world.store.comment_head(top[3]).await.unwrap().unwrap().author, beto);
}

pub async fn a_comment_needs_an_open_post_and_a_parent_on_it(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let (post, other) = (world.publish(ana, "hola").await, world.publish(ana, "otra").await);
    let closed = NewPost { allow_comments: false, ..NewPost::text("x".into()) };
    let closed = world.publish_new(ana, closed).await;
    let elsewhere = world.comment(beto, other, None, "allí").await;
    let refused = async |post, parent| {
        let new = NewComment { post, parent, content: "x".into(), image: None };
        refusal(&world.feed(beto, Action::Comment(new)).await)
    };
    assert_eq!(refused(closed, None).await, Refusal::CommentsClosed);
    assert_eq!(refused(post, Some(elsewhere)).await, Refusal::ParentElsewhere);
    assert_eq!(refused(post, Some(CommentId::fresh())).await, Refusal::ParentElsewhere);
    assert_eq!(refused(PostId::fresh(), None).await, Refusal::NoSuchPost);
    assert_eq!(world.backend.number("SELECT count(*) FROM comments").await, 1);
    assert_eq!(world.backend.number("SELECT sum(comments_count) FROM posts").await, 1);
    world.backend.sql(&format!("UPDATE users SET is_active = 0 WHERE id = '{}'", beto.hex())).await;
    world.clock.advance(std::time::Duration::from_secs(limits::ADMISSION_CACHE_SECONDS as u64));
    assert_eq!(refused(post, None).await, Refusal::NotActive);
}

pub async fn deleting_a_comment_takes_its_answers(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let root = world.comment(beto, post, None, "raíz").await;
    let left = world.comment(ana, post, Some(root), "izquierda").await;
    let right = world.comment(beto, post, Some(root), "derecha").await;
    let leaf = world.comment(beto, post, Some(left), "hoja").await;
    let other = world.comment(beto, post, None, "otra").await;
    for comment in [left, leaf, other] {
        world.feed(ana, Action::LikeComment { post, comment }).await;
    }
    let delete = async |user, comment| world.feed(user, Action::DeleteComment { post, comment }).await;
    assert_eq!(refusal(&delete(ana, root).await), Refusal::NotAuthor, "not even the post's author");
    let outcome = delete(ana, left).await;
    let PostChange::CommentsDeleted { comments, comments_count } = post_change(committed(&outcome)) else { panic!() };
    assert_eq!((&comments[..], *comments_count), (&[left, leaf][..], 3), "the parent first");
    assert_eq!(world.store.comment(ana, root).await.unwrap().unwrap().replies_count, 1);
    let outcome = delete(beto, root).await;
    let PostChange::CommentsDeleted { comments, comments_count } = post_change(committed(&outcome)) else { panic!() };
    assert_eq!((&comments[..], *comments_count), (&[root, right][..], 1));
    assert_eq!(refusal(&delete(beto, root).await), Refusal::NoSuchComment);
    assert_eq!(world.backend.number("SELECT count(*) FROM comments").await, 1);
    assert_eq!(world.backend.number("SELECT count(*) FROM comment_likes").await, 1);
    let read = world.store.post(None, post).await.unwrap().unwrap();
    assert_eq!((read.comments_count, contents(&read.comments)), (1, vec!["otra"]));
}

pub async fn comments_of_many_at_once_add_up(world: World) {
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let post = world.publish(ana, "hola").await;
    let root = world.comment(ana, post, None, "raíz").await;
    let mut answers = Vec::new();
    for number in 0..60 {
        let user = [ana, beto, caro][number % 3];
        let parent = (number % 2 == 0).then_some(root);
        let new = NewComment { post, parent, content: format!("{number}"), image: None };
        answers.push((user, world.queue_feed(user, Action::Comment(new))));
    }
    let mut made = Vec::new();
    for (user, answer) in answers {
        let outcome = answer.await.unwrap();
        let PostChange::Commented { comment, comments_count } = post_change(committed(&outcome)) else { panic!() };
        assert_eq!(*comments_count, made.len() as u64 + 2);
        made.push((user, comment.id));
    }
    let deleted: Vec<_> = made.iter().step_by(4).collect();
    let answers: Vec<_> = deleted
        .iter()
        .map(|&&(user, comment)| world.queue_feed(user, Action::DeleteComment { post, comment }))
        .collect();
    for answer in answers {
        committed(&answer.await.unwrap());
    }
    let rows = world.backend.number("SELECT count(*) FROM comments").await as u64;
    assert_eq!(rows, 61 - deleted.len() as u64);
    assert_eq!(world.store.post(None, post).await.unwrap().unwrap().comments_count, rows);
    let replies = world.backend.number("SELECT count(*) FROM comments WHERE parent_id IS NOT NULL").await as u64;
    assert_eq!(world.store.comment(ana, root).await.unwrap().unwrap().replies_count, replies);
}

pub async fn a_comment_is_edited_by_its_author(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let (post, other) = (world.publish(ana, "hola").await, world.publish(ana, "otra").await);
    let comment = world.comment(beto, post, None, "uno").await;
    let edit = |post| Action::EditComment { post, comment, content: "dos".into() };
    assert_eq!(refusal(&world.feed(ana, edit(post)).await), Refusal::NotAuthor);
    assert_eq!(refusal(&world.feed(beto, edit(other)).await), Refusal::NoSuchComment, "on another post");
    let outcome = world.feed(beto, edit(post)).await;
    let PostChange::CommentEdited(edited) = post_change(committed(&outcome)) else { panic!() };
    assert_eq!((&*edited.content, edited.is_edited, edited.updated_at), ("dos", true, committed(&outcome).at));
    assert_eq!(post_event(committed(&outcome)).author, ana, "of the post");
    assert!(world.store.comment(ana, comment).await.unwrap().unwrap().is_edited);
}

pub async fn likes_of_comments_count_once(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let comment = world.comment(beto, post, None, "uno").await;
    let (like, unlike) = (Action::LikeComment { post, comment }, Action::UnlikeComment { post, comment });
    let told = |outcome: &Outcome| match post_change(committed(outcome)) {
        PostChange::CommentLiked { likes_count, is_liked, user, .. } => (*likes_count, *is_liked, *user),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&world.feed(ana, unlike.clone()).await), Refusal::NoLike);
    assert_eq!(told(&world.feed(ana, like.clone()).await), (1, true, ana));
    assert!(matches!(world.feed(ana, like.clone()).await, Outcome::Unchanged));
    assert_eq!(told(&world.feed(beto, like).await), (2, true, beto));
    let seen = async |user| world.store.comment(user, comment).await.unwrap().unwrap();
    assert_eq!((seen(ana).await.is_liked, seen(ana).await.likes_count), (true, 2));
    assert_eq!(told(&world.feed(ana, unlike.clone()).await), (1, false, ana));
    assert_eq!(refusal(&world.feed(ana, unlike).await), Refusal::NoLike);
    assert_eq!((seen(ana).await.is_liked, seen(beto).await.is_liked, seen(ana).await.likes_count), (false, true, 1));
    let nobody = Action::LikeComment { post, comment: CommentId::fresh() };
    assert_eq!(refusal(&world.feed(ana, nobody).await), Refusal::NoSuchComment);
}
