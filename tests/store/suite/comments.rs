//! Comments and replies: nested, counted, edited, liked, deleted with their replies.

use crate::support::{FIRST_PAGE, World, committed, post_change, post_event, refusal};
use pregon::domain::feed::comment::{Comment, NewComment};
use pregon::domain::feed::event::PostChange;
use pregon::domain::feed::post::{NewPost, PostPatch, PostReactionType};
use pregon::domain::feed::write::Action;
use pregon::domain::write::{Outcome, Refusal};
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
        let mut shown = comment;
        let mut levels = 0;
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
    let second = world.store.comments(beto, post, PageRequest::numbered(2, 5)).await.unwrap();
    assert_eq!((second.count, contents(&second.rows)), (7, vec!["5", "6"]));
    assert!(world.store.comment(beto, CommentId::fresh()).await.unwrap().is_none());
    assert_eq!(world.store.comment_head(top[3]).await.unwrap().unwrap().author, beto);
}

pub async fn a_comment_needs_an_open_post_and_a_parent_on_it(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let other = world.publish(ana, "otra").await;
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
    let PostChange::CommentsDeleted { comments, comments_count, .. } = post_change(committed(&outcome)) else {
        panic!()
    };
    assert_eq!((&comments[..], *comments_count), (&[left, leaf][..], 3), "the parent first");
    assert_eq!(world.store.comment(ana, root).await.unwrap().unwrap().replies_count, 1);
    let outcome = delete(beto, root).await;
    let PostChange::CommentsDeleted { comments, comments_count, .. } = post_change(committed(&outcome)) else {
        panic!()
    };
    assert_eq!((&comments[..], *comments_count), (&[root, right][..], 1));
    assert_eq!(refusal(&delete(beto, root).await), Refusal::NoSuchComment);
    assert_eq!(world.backend.number("SELECT count(*) FROM comments").await, 1);
    assert_eq!(world.backend.number("SELECT count(*) FROM comment_likes").await, 1);
    let read = world.store.post(None, post).await.unwrap().unwrap();
    assert_eq!((read.comments_count, contents(&read.comments)), (1, vec!["otra"]));
}

/// Wide, deep and mixed trees with more replies than one write deletes. Each write deletes some, nothing dangles, the
/// counters are right in between, and the comment itself is deleted last.
pub async fn a_comment_with_many_answers_goes_in_several_writes(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let most = limits::COMMENTS_DELETED_MAX;
    let wrong = "SELECT count(*) FROM comments AS one WHERE replies_count <> \
        (SELECT count(*) FROM comments WHERE parent_id = one.id)";
    let number = async |query: &str| world.backend.number(query).await as u64;
    for shape in ["wide", "deep", "mixed"] {
        let root = world.comment(ana, post, None, "raíz").await;
        let mut all = vec![root];
        let mut answers = Vec::new();
        for index in 0..2 * most + 50 {
            let parent = match shape {
                "wide" => root,
                "deep" => all[all.len() - 1],
                _ => all[index / 3],
            };
            let new = NewComment { post, parent: Some(parent), content: format!("{index}"), image: None };
            if shape == "wide" {
                answers.push(world.queue_feed(beto, Action::Comment(new)));
                continue;
            }
            all.push(world.comment(beto, post, Some(parent), "más").await);
        }
        for answer in answers {
            let outcome = answer.await.unwrap();
            let PostChange::Commented { comment, .. } = post_change(committed(&outcome)) else { panic!() };
            all.push(comment.id);
        }
        world.feed(ana, Action::LikeComment { post, comment: all[all.len() - 1] }).await;
        let kept = world.comment(beto, post, None, "otra").await;
        let before = number("SELECT count(*) FROM comments").await;
        let mut gone = Vec::new();
        let mut writes = 0;
        while !gone.contains(&root) {
            let outcome = world.feed(ana, Action::DeleteComment { post, comment: root }).await;
            let PostChange::CommentsDeleted { comments, user, comments_count } = post_change(committed(&outcome))
            else {
                panic!("{outcome:?}")
            };
            assert!((1..=most).contains(&comments.len()) && *user == ana, "{shape}: {}", comments.len());
            gone.extend_from_slice(comments);
            writes += 1;
            assert_eq!(*comments_count, before - gone.len() as u64, "{shape}");
            assert_eq!(number("SELECT count(*) FROM comments").await, *comments_count);
            assert_eq!(number("SELECT comments_count FROM posts").await, *comments_count);
            assert_eq!((number(wrong).await, writes <= 6), (0, true), "{shape}");
        }
        gone.sort_unstable();
        all.sort_unstable();
        assert_eq!((gone == all, writes >= 3), (true, true), "{shape}: each once, in {writes} writes");
        assert_eq!(number("SELECT count(*) FROM comment_likes").await, 0);
        let events = world.backend.number("SELECT max(length(detail)) FROM pregon_events").await;
        assert!(events < 40 * most as i64, "no event's row is longer than its write is wide: {events}");
        committed(&world.feed(beto, Action::DeleteComment { post, comment: kept }).await);
    }
}

/// Users can remove their own likes and comments from a post that has become private; they can do or learn nothing
/// else.
pub async fn ones_own_comes_back_from_a_private_post(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let mine = world.comment(beto, post, None, "mía").await;
    let liked = world.comment(ana, post, None, "suya").await;
    let unliked = world.comment(ana, post, None, "otra").await;
    for action in
        [Action::LikeComment { post, comment: liked }, Action::React { post, reaction: PostReactionType::Like }]
    {
        committed(&world.feed(beto, action).await);
    }
    let patch = Box::new(PostPatch { is_public: Some(false), ..PostPatch::default() });
    committed(&world.feed(ana, Action::EditPost { post, patch }).await);
    let edit = Action::EditComment { post, comment: mine, content: "x".into() };
    for action in [
        edit,
        Action::DeleteComment { post, comment: liked },
        Action::DeleteComment { post, comment: CommentId::fresh() },
        Action::UnlikeComment { post, comment: unliked },
        Action::UnlikeComment { post, comment: CommentId::fresh() },
        Action::LikeComment { post, comment: mine },
    ] {
        assert_eq!(refusal(&world.feed(beto, action.clone()).await), Refusal::NotVisible, "{action:?}");
    }
    for action in [
        Action::UnlikeComment { post, comment: liked },
        Action::DeleteComment { post, comment: mine },
        Action::Unreact { post },
    ] {
        let outcome = world.feed(beto, action).await;
        assert!(!post_event(committed(&outcome)).is_public, "its frames are the author's alone");
    }
    assert_eq!(refusal(&world.feed(beto, Action::Unreact { post }).await), Refusal::NotVisible, "once");
    let left = world.store.post(None, post).await.unwrap().unwrap();
    assert_eq!((left.comments_count, left.counts.likes), (2, 0));
    let doer = format!("SELECT count(*) FROM pregon_events WHERE kind = 'uncomment' AND user_id = '{}'", beto.hex());
    assert_eq!(world.backend.number(&doer).await, 1, "the log names who did it");
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
    let post = world.publish(ana, "hola").await;
    let other = world.publish(ana, "otra").await;
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
    let like = Action::LikeComment { post, comment };
    let unlike = Action::UnlikeComment { post, comment };
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
