//! Django announces one change several times: it is told once.

use smallvec::smallvec;

use super::*;
use crate::domain::feed::post::{Category, PostType};
use crate::domain::user::UserProfile;

fn post(author: UserId) -> Post {
    Post {
        id: PostId::fresh(),
        short_id: "ABCD1234".into(),
        user: Arc::new(UserProfile { id: author, ..UserProfile::default() }),
        content: "hola".into(),
        images: "[]".into(),
        video: None,
        thumbnail: None,
        podcast_url: String::new(),
        streaming_url: String::new(),
        post_type: PostType::Text,
        category: Category::Unset,
        counts: ReactionCounts::default(),
        comments_count: 0,
        shares_count: 0,
        views_count: 0,
        is_pinned: false,
        allow_comments: true,
        is_public: true,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
        reactions: Vec::new(),
        comments: Vec::new(),
        user_reaction: None,
        is_bookmarked: false,
    }
}

fn comment(on: PostId) -> Comment {
    Comment {
        id: CommentId::fresh(),
        post: on,
        parent: None,
        user: Arc::default(),
        content: "sí".into(),
        image: None,
        likes_count: 0,
        replies_count: 0,
        is_edited: false,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
        replies: Vec::new(),
        is_liked: false,
    }
}

fn look(post: &Post) -> PostLook {
    PostLook { post: Arc::new(post.clone()), reaction: None }
}

fn posted() -> Due {
    Due { is_posted: true, ..Due::default() }
}

fn updated() -> Due {
    Due { is_updated: true, ..Due::default() }
}

/// What was seen, in a word for each.
fn words(judged: &Judged) -> Vec<&'static str> {
    let word = |seen: &Seen| match seen {
        Seen::Created(_) => "created",
        Seen::Edited { was_public: true, .. } => "edited",
        Seen::Edited { was_public: false, .. } => "edited, was private",
        Seen::Deleted { .. } => "deleted",
        Seen::Reacted { .. } => "reacted",
        Seen::Counted(..) => "counted",
        Seen::Comment { .. } => "comment",
    };
    judged.seen.iter().map(word).collect()
}

#[test]
fn a_post_is_new_once_and_a_change_is_told_once() {
    let (mut told, mut post) = (Told::default(), post(UserId::fresh()));
    assert_eq!(words(&told.judge(&look(&post), &posted())), ["created"]);
    assert!(words(&told.judge(&look(&post), &posted())).is_empty(), "by another group");
    post.updated_at = Timestamp(2);
    assert_eq!(words(&told.judge(&look(&post), &updated())), ["edited"]);
    let judged = told.judge(&look(&post), &updated());
    assert!(words(&judged).is_empty() && judged.again.is_updated, "it may not be committed yet: two more looks");
    assert_eq!(judged.again.looks, LATE_LOOK);
    assert!(told.judge(&look(&post), &Due { looks: LAST_LOOK, ..updated() }).again.is_updated);
    assert!(told.judge(&look(&post), &Due { looks: LAST_LOOK + 1, ..updated() }).again.is_empty(), "and no more");
    post.is_public = false;
    assert_eq!(words(&told.judge(&look(&post), &updated())), ["edited"], "who saw it loses it");
    post.updated_at = Timestamp(3);
    assert_eq!(words(&told.judge(&look(&post), &updated())), ["edited, was private"]);
}

#[test]
fn an_unknown_post_whose_change_is_not_committed_yet_is_told_as_it_is_and_as_it_becomes() {
    let (mut told, mut post) = (Told::default(), post(UserId::fresh()));
    let judged = told.judge(&look(&post), &updated());
    assert_eq!((words(&judged), judged.again.looks), (vec!["edited"], LATE_LOOK));
    assert!(judged.again.is_updated, "this may be the row before the change");
    post.content = "adiós".into();
    post.updated_at = Timestamp(2);
    let due = Due { looks: judged.again.looks + 1, ..judged.again };
    let judged = told.judge(&look(&post), &due);
    assert_eq!(words(&judged), ["edited"]);
    assert!(judged.again.is_empty());
    // A counter that moves meanwhile is not the change.
    post.shares_count = 1;
    let judged = told.judge(&look(&post), &updated());
    assert_eq!((words(&judged), judged.again.is_updated), (vec!["counted"], true));
}

#[test]
fn a_reaction_is_told_with_its_counts_and_the_change_behind_it_is_not() {
    let (mut told, mut post, ana) = (Told::default(), post(UserId::fresh()), UserId::fresh());
    let reacted = Due { reacted: Some(ana), ..Due::default() };
    post.counts.likes = 1;
    let like = PostLook { reaction: Some(PostReactionType::Like), ..look(&post) };
    assert_eq!(words(&told.judge(&like, &reacted)), ["reacted"]);
    assert!(words(&told.judge(&like, &reacted)).is_empty(), "by the post's own group");
    assert!(words(&told.judge(&look(&post), &updated())).is_empty(), "the counter's column moved");
    post.counts.likes = 0;
    assert_eq!(words(&told.judge(&look(&post), &updated())), ["counted"], "taken back: nobody says by whom");
    post.counts.likes = 1;
    let like = PostLook { reaction: Some(PostReactionType::Like), ..look(&post) };
    assert_eq!(words(&told.judge(&like, &reacted)), ["reacted"], "and given again");
    let judged = told.judge(&look(&post), &reacted);
    assert_eq!((judged.seen.len(), judged.again.reacted), (0, Some(ana)), "not committed yet");
    post.shares_count = 1;
    assert_eq!(words(&told.judge(&look(&post), &updated())), ["counted"]);
}

#[test]
fn the_end_of_a_post_is_told_to_those_who_heard_its_author() {
    let (mut told, known) = (Told::default(), post(UserId::fresh()));
    let due = |owners| Due { is_deleted: true, owners, ..Due::default() };
    let deleted = due(smallvec![UserId::fresh()]);
    let judged = told.judge(&look(&known), &deleted);
    assert!(judged.seen.is_empty() && judged.again.is_deleted, "still there: its transaction is not committed");
    let judged = told.judge_absent(known.id, &deleted);
    let author = known.user.id;
    let is_right = matches!(judged.seen[..], [Seen::Deleted { author: told, is_public: true, .. }] if told == author);
    assert!(is_right, "{judged:?}: the author's, not the follower's whose group rang");
    assert!(told.judge_absent(known.id, &deleted).seen.is_empty(), "once");

    let (unknown, [ana, beto]) = (PostId::fresh(), [UserId::fresh(), UserId::fresh()]);
    assert_eq!(told.judge_absent(unknown, &due(smallvec![ana])).seen.len(), 1);
    assert_eq!(told.judge_absent(unknown, &due(smallvec![ana, beto])).seen.len(), 1, "the other group's");
    assert!(told.judge_absent(unknown, &due(smallvec![beto])).seen.is_empty());

    let judged = told.judge_absent(PostId::fresh(), &posted());
    assert!(judged.seen.is_empty() && judged.again.is_posted, "not committed yet");
}

#[test]
fn of_a_comment_only_news_is_told() {
    let (mut told, post) = (Told::default(), post(UserId::fresh()));
    told.judge(&look(&post), &posted());
    let mut row = comment(post.id);
    let mut judge = |row: Option<&Comment>, id, due| {
        let row = row.map(|row| Arc::new(row.clone()));
        let (seen, again) = told.judge_comment(post.id, post.head(), (id, row.as_ref()), due);
        let word = seen.map(|seen| match seen {
            Seen::Comment { comment: CommentSeen::New(_), .. } => "new",
            Seen::Comment { comment: CommentSeen::Edited(_), .. } => "edited",
            Seen::Comment { comment: CommentSeen::Deleted(_), .. } => "deleted",
            Seen::Comment { comment: CommentSeen::Liked(..), .. } => "liked",
            other => panic!("{other:?}"),
        });
        (word, again)
    };
    let none = CommentDue::default();
    let (is_new, reworded) = (CommentDue { is_new: true, ..none }, CommentDue { is_reworded: true, ..none });
    let (liked, gone) = (CommentDue { is_liked: true, ..none }, CommentDue { is_gone: true, ..none });
    assert_eq!(judge(None, row.id, is_new), (None, is_new), "not committed yet");
    assert_eq!(judge(Some(&row), row.id, is_new), (Some("new"), none));
    row.likes_count = 1;
    assert_eq!(judge(Some(&row), row.id, liked), (Some("liked"), none));
    assert_eq!(judge(Some(&row), row.id, reworded), (None, reworded), "the counter's column moved");
    row.likes_count = 0;
    assert_eq!(judge(Some(&row), row.id, reworded), (Some("liked"), none), "a like went");
    row.updated_at = Timestamp(2);
    assert_eq!(judge(Some(&row), row.id, reworded), (Some("edited"), none));
    assert_eq!(judge(Some(&row), row.id, gone), (None, gone), "its transaction is not committed");
    assert_eq!(judge(None, row.id, gone), (Some("deleted"), none));
    let mut unknown = comment(post.id);
    assert_eq!(judge(Some(&unknown), unknown.id, reworded), (Some("edited"), reworded), "perhaps not committed yet");
    unknown.updated_at = Timestamp(2);
    assert_eq!(judge(Some(&unknown), unknown.id, reworded), (Some("edited"), none));
    let mut unknown = comment(post.id);
    assert_eq!(judge(Some(&unknown), unknown.id, liked), (Some("liked"), liked), "likewise");
    unknown.likes_count = 1;
    assert_eq!(judge(Some(&unknown), unknown.id, liked), (Some("liked"), none));
    let elsewhere = comment(PostId::fresh());
    assert_eq!(judge(Some(&elsewhere), elsewhere.id, is_new), (None, none), "another post's");
}

#[test]
fn a_comment_brings_the_posts_frame_with_it() {
    let (mut told, mut post) = (Told::default(), post(UserId::fresh()));
    told.judge(&look(&post), &posted());
    let row = Arc::new(comment(post.id));
    let is_new = CommentDue { is_new: true, ..CommentDue::default() };
    assert!(told.judge_comment(post.id, post.head(), (row.id, Some(&row)), is_new).0.is_some());
    post.comments_count = 1;
    assert!(words(&told.judge(&look(&post), &updated())).is_empty());
    post.comments_count = 2;
    assert_eq!(words(&told.judge(&look(&post), &updated())), ["counted"], "nobody told of this comment");
}

#[test]
fn the_memory_has_an_end() {
    let mut recent = Recent::default();
    for number in 0..TOLD_MAX * 2 {
        recent.put(number, ());
    }
    assert!(recent.young.len() + recent.old.len() <= TOLD_MAX);
    assert!(recent.get(&(TOLD_MAX * 2 - 1)).is_some() && recent.get(&0).is_none());
}
