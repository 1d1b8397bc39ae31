//! Publishing, listing, editing, deleting, reacting, sharing: each action, each refusal, and its events.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::support::{FIRST_PAGE, World, committed, post_change, post_event, refusal};
use pregon::domain::feed::comment::NewComment;
use pregon::domain::feed::event::PostChange;
use pregon::domain::feed::post::{
    Category, NewPost, Post, PostHead, PostList, PostPatch, PostReactionType, PostType, ReactionCounts,
};
use pregon::domain::feed::write::Action;
use pregon::domain::write::{Outcome, Refusal};
use pregon::ids::{PostId, Topic, UserId};
use pregon::limits;
use pregon::store::PageRequest;

async fn whole(world: &World, viewer: Option<UserId>, post: PostId) -> Post {
    world.store.post(viewer, post).await.unwrap().unwrap()
}

pub async fn a_post_is_what_was_published_and_what_is_read(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let new = NewPost {
        images: r#"["https://example.com/a.png"]"#.into(),
        video: Some("posts/videos/v.mp4".into()),
        thumbnail: Some("posts/thumbnails/t.png".into()),
        podcast_url: "https://example.com/p".into(),
        post_type: PostType::Podcast,
        category: Category::Music,
        ..NewPost::text("hola 🌍".into())
    };
    let post = PostId::fresh();
    let action = Action::Publish { post, new: Box::new(new.clone()) };
    let outcome = world.feed(ana, action.clone()).await;
    let event = committed(&outcome);
    assert_eq!((event.topic, event.cursor.epoch, event.cursor.seq), (Topic::Post(post), 1, 1));
    let told = post_event(event);
    assert_eq!((told.post, told.author, told.is_public), (post, ana, true));
    let PostChange::Created(created) = &told.change else { panic!("{told:?}") };
    assert_eq!((created.user.posts_count, &*created.user.username), (1, "ana"), "this post counts");
    assert!(matches!(world.feed(ana, action).await, Outcome::Unchanged), "the same write again");

    let read = whole(&world, Some(beto), post).await;
    assert_eq!((read.id, read.user.id, &*read.content, &read.images), (post, ana, "hola 🌍", &new.images));
    assert_eq!((&read.video, &read.thumbnail, read.post_type), (&new.video, &new.thumbnail, PostType::Podcast));
    assert_eq!((read.category, &read.podcast_url, &*read.streaming_url), (Category::Music, &new.podcast_url, ""));
    assert_eq!((read.created_at, read.updated_at), (event.at, event.at));
    assert!(read.is_public && read.allow_comments && !read.is_pinned && !read.is_bookmarked);
    assert_eq!((read.counts, read.comments_count, read.shares_count), (ReactionCounts::default(), 0, 0));
    assert_eq!((read.user_reaction, read.reactions.len(), read.comments.len()), (None, 0, 0));
    let is_short = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    assert!(read.short_id.len() == 8 && read.short_id.chars().all(is_short), "{}", read.short_id);
    for short in [read.short_id.clone(), read.short_id.to_lowercase()] {
        assert_eq!(world.store.post_of_short_id(&short).await.unwrap(), Some(post));
    }
    assert_eq!(world.store.post_of_short_id("NADA").await.unwrap(), None);
    assert!(world.store.post(Some(beto), PostId::fresh()).await.unwrap().is_none());

    let profile = world.store.profile(ana).await.unwrap().unwrap();
    assert_eq!(profile.posts_count, 1);
    assert_eq!(world.store.person(beto, ana).await.unwrap().unwrap().posts_column, 1);
    let other = world.publish(ana, "otra").await;
    assert_ne!(whole(&world, None, other).await.short_id, read.short_id);
    assert_eq!(world.store.profile(ana).await.unwrap().unwrap().posts_count, 2, "the cache forgot");
}

async fn listed(world: &World, viewer: UserId, list: PostList) -> Vec<PostId> {
    let page = world.store.posts(viewer, list, FIRST_PAGE).await.unwrap();
    assert_eq!(page.count, page.rows.len() as u64);
    page.rows.iter().map(|post| post.id).collect()
}

pub async fn lists_show_whose_posts_they_should(world: World) {
    let [ana, followed, friend, stranger] = world.users(["ana", "beto", "caro", "dani"]).await;
    world.feed(ana, Action::Follow { user: followed }).await;
    world.feed(stranger, Action::Follow { user: ana }).await;
    world.befriend(friend, ana).await;
    let mut posts = Vec::new();
    for author in [ana, followed, friend, stranger] {
        let hidden = NewPost { is_public: false, ..NewPost::text("secreto".into()) };
        world.publish_new(author, hidden).await;
        posts.push(world.publish(author, "hola").await);
        world.clock.advance(Duration::from_secs(1));
    }
    let [own, of_followed, of_friend, of_stranger] = posts[..] else { panic!() };
    assert_eq!(listed(&world, ana, PostList::Circle).await, [of_friend, of_followed, own]);
    assert_eq!(listed(&world, friend, PostList::Circle).await, [of_friend, own], "both directions");
    assert_eq!(listed(&world, followed, PostList::Circle).await, [of_followed], "to be followed shows nothing");
    assert_eq!(listed(&world, ana, PostList::Everybody).await, [of_stranger, of_friend, of_followed, own]);
    assert_eq!(listed(&world, ana, PostList::Of(stranger)).await, [of_stranger]);
    let second = PageRequest::numbered(2, 2);
    let page = world.store.posts(ana, PostList::Everybody, second).await.unwrap();
    assert_eq!((page.count, page.rows.len(), page.rows[0].id), (4, 2, of_followed));
    world.feed(ana, Action::Unfollow { user: followed }).await;
    world.feed(ana, Action::RemoveFriend { user: friend }).await;
    assert_eq!(listed(&world, ana, PostList::Circle).await, [own]);
}

pub async fn a_large_circle_is_listed_as_a_small_one(world: World) {
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    world.feed(ana, Action::Follow { user: beto }).await;
    // Above the limit the rows are read another way. Several share a time, so that ids decide.
    let total = limits::SORTED_POSTS_MAX + 10;
    let mut values = String::new();
    for number in 0..total {
        let comma = if number == 0 { "" } else { "," };
        let author = if number % 3 == 0 { caro } else { beto };
        let _ = write!(
            values,
            "{comma}('{:032x}', '{number}', '[]', '', '', 'text', '', 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, \
             '2026-01-01 00:00:00.{:06}', '2026-01-01 00:00:00.000000', '{}', '{number:08}')",
            number * 7919 % 10_000,
            number / 4,
            author.hex()
        );
    }
    let columns = "id, content, images, podcast_url, streaming_url, post_type, category, likes_count, \
        celebrations_count, golazos_count, comments_count, shares_count, views_count, is_pinned, is_archived, \
        allow_comments, is_public, created_at, updated_at, user_id, short_id";
    world.backend.sql(&format!("INSERT INTO posts ({columns}) VALUES {values}")).await;
    let all = async |viewer, list| {
        let mut found = Vec::new();
        for number in [1, 2, 40] {
            let page = world.store.posts(viewer, list, PageRequest::numbered(number, 50)).await.unwrap();
            found.push((page.count, page.rows.iter().map(|post| post.id).collect::<Vec<_>>()));
        }
        found
    };
    let few = all(ana, PostList::Circle).await;
    assert_eq!(few, all(ana, PostList::Of(beto)).await);
    assert!(few[0].0 < limits::SORTED_POSTS_MAX);
    world.feed(ana, Action::Follow { user: caro }).await;
    let many = all(ana, PostList::Circle).await;
    assert_eq!(many, all(ana, PostList::Everybody).await);
    assert_eq!(many[0].0, total);
}

pub async fn edits_are_the_authors_alone(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let edit = |patch: PostPatch| Action::EditPost { post, patch: Box::new(patch) };
    let content = PostPatch { content: Some("otra".into()), is_pinned: Some(true), ..PostPatch::default() };
    assert_eq!(refusal(&world.feed(beto, edit(content.clone())).await), Refusal::NotAuthor);
    let outcome = world.feed(ana, edit(content)).await;
    let PostChange::Edited { post: edited, was_public: true } = post_change(committed(&outcome)) else { panic!() };
    assert_eq!((&*edited.content, edited.is_pinned, edited.is_public), ("otra", true, true));
    assert!(edited.updated_at > edited.created_at && edited.updated_at == committed(&outcome).at);

    assert!(world.store.post_head(post).await.unwrap().unwrap().is_public);
    let private = edit(PostPatch { is_public: Some(false), allow_comments: Some(false), ..PostPatch::default() });
    let outcome = world.feed(ana, private).await;
    let told = post_event(committed(&outcome));
    assert!(!told.is_public && matches!(told.change, PostChange::Edited { was_public: true, .. }));
    let head = PostHead { author: ana, is_public: false, allow_comments: false };
    assert_eq!(world.store.post_head(post).await.unwrap(), Some(head), "the cache forgot");
    assert_eq!(world.store.cached_post_head(post), Some(Some(head)));
    assert_eq!(&*whole(&world, None, post).await.content, "otra", "what is not named stays");
    let public = edit(PostPatch { is_public: Some(true), ..PostPatch::default() });
    assert_eq!(refusal(&world.feed(beto, public.clone()).await), Refusal::NotVisible);
    let outcome = world.feed(ana, public).await;
    let told = post_event(committed(&outcome));
    assert!(told.is_public && matches!(told.change, PostChange::Edited { was_public: false, .. }));
    let nothing = Action::EditPost { post: PostId::fresh(), patch: Box::default() };
    assert_eq!(refusal(&world.feed(ana, nothing).await), Refusal::NoSuchPost);
}

pub async fn deleting_a_post_takes_all_with_it(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let kept = world.publish(ana, "queda").await;
    for post in [post, kept] {
        let comment = world.comment(beto, post, None, "uno").await;
        let reply = world.comment(ana, post, Some(comment), "dos").await;
        world.comment(beto, post, Some(reply), "tres").await;
        world.feed(ana, Action::LikeComment { post, comment: reply }).await;
        world.feed(beto, Action::React { post, reaction: PostReactionType::Like }).await;
        world.feed(beto, Action::Share { post, message: String::new() }).await;
        let bookmark = format!(
            "INSERT INTO post_bookmarks (id, created_at, post_id, user_id) VALUES ('{0}', '2026-01-01 00:00:00.000000', \
             '{0}', '{1}')",
            post.hex(),
            beto.hex()
        );
        world.backend.sql(&bookmark).await;
    }
    assert!(whole(&world, Some(beto), post).await.is_bookmarked);
    assert_eq!(refusal(&world.feed(beto, Action::DeletePost { post }).await), Refusal::NotAuthor);
    world.take_events();
    let outcome = world.feed(ana, Action::DeletePost { post }).await;
    let told = post_event(committed(&outcome));
    assert!(matches!(told.change, PostChange::Deleted) && told.author == ana && told.is_public);
    assert_eq!(world.take_events().len(), 3, "the post's, and what ana and beto were told is gone");
    for (table, left) in [
        ("posts", 1),
        ("comments", 3),
        ("comment_likes", 1),
        ("post_reactions", 1),
        ("post_shares", 1),
        ("post_bookmarks", 1),
    ] {
        assert_eq!(world.backend.number(&format!("SELECT count(*) FROM {table}")).await, left, "{table}");
    }
    assert_eq!(world.store.profile(ana).await.unwrap().unwrap().posts_count, 1);
    assert_eq!(world.store.person(beto, ana).await.unwrap().unwrap().posts_column, 1);
    assert_eq!(world.store.post_head(post).await.unwrap(), None);
    assert_eq!(refusal(&world.feed(ana, Action::DeletePost { post }).await), Refusal::NoSuchPost);
}

/// The contents of a reaction's event.
fn reacted(outcome: &Outcome) -> (ReactionCounts, Option<PostReactionType>) {
    match post_change(committed(outcome)) {
        PostChange::Reacted { counts, reaction, .. } => {
            (*counts, reaction.as_ref().map(|reaction| reaction.reaction_type))
        }
        other => panic!("{other:?}"),
    }
}

pub async fn a_reaction_replaces_and_takes_back(world: World) {
    use PostReactionType::{Celebration, Golazo, Like};
    let [ana, beto, caro] = world.users(["ana", "beto", "caro"]).await;
    let post = world.publish(ana, "hola").await;
    let counts = |likes, celebrations, golazos| ReactionCounts { likes, celebrations, golazos };
    let react = async |user, reaction| reacted(&world.feed(user, Action::React { post, reaction }).await);
    assert_eq!(react(beto, Like).await, (counts(1, 0, 0), Some(Like)));
    assert_eq!(react(caro, Like).await, (counts(2, 0, 0), Some(Like)));
    assert_eq!(react(beto, Golazo).await, (counts(1, 0, 1), Some(Golazo)), "replaced");
    assert_eq!(whole(&world, Some(beto), post).await.user_reaction, Some(Golazo));
    assert_eq!(whole(&world, Some(ana), post).await.user_reaction, None);
    assert_eq!(react(beto, Golazo).await, (counts(1, 0, 0), None), "taken back");
    assert_eq!(react(beto, Celebration).await, (counts(1, 1, 0), Some(Celebration)));
    let outcome = world.feed(beto, Action::Unreact { post }).await;
    assert_eq!(reacted(&outcome), (counts(1, 0, 0), None));
    let PostChange::Reacted { user, .. } = post_change(committed(&outcome)) else { panic!() };
    assert_eq!(*user, beto);
    assert_eq!(refusal(&world.feed(beto, Action::Unreact { post }).await), Refusal::NoReaction);
    let read = whole(&world, None, post).await;
    assert_eq!((read.counts, read.updated_at), (counts(1, 0, 0), read.created_at), "no edit");
    // Another program may have left two reactions of one user: both are deleted.
    let text = format!(
        "INSERT INTO post_reactions (id, reaction_type, created_at, post_id, user_id) \
         VALUES ('{}', 'golazo', '2026-01-01 00:00:00.000000', '{}', '{}')",
        beto.hex(),
        post.hex(),
        caro.hex()
    );
    world.backend.sql(&text).await;
    world.backend.sql("UPDATE posts SET golazos_count = 1").await;
    assert_eq!(react(caro, Celebration).await, (counts(0, 1, 0), Some(Celebration)));
}

pub async fn reactions_of_many_at_once_add_up(world: World) {
    let ana = world.user("ana").await;
    let posts = [world.publish(ana, "uno").await, world.publish(ana, "dos").await];
    let mut users = Vec::new();
    for number in 0..8 {
        users.push(world.user(&format!("user{number}")).await);
    }
    let kinds = [PostReactionType::Like, PostReactionType::Celebration, PostReactionType::Golazo];
    let mut answers = Vec::new();
    for round in 0..60 {
        for (number, user) in users.iter().enumerate() {
            // A fixed mixture in which the same pairs meet often enough.
            let mixed = round * 31 + number * 17 + round * number;
            let post = posts[mixed % 2];
            let reaction = kinds[mixed / 2 % 5 % 3];
            let action = if mixed % 7 == 0 { Action::Unreact { post } } else { Action::React { post, reaction } };
            answers.push((post, world.queue_feed(*user, action)));
        }
    }
    let mut last = BTreeMap::new();
    let mut taken_back = 0;
    for (post, answer) in answers {
        match answer.await.unwrap() {
            Outcome::Refused(Refusal::NoReaction) => {}
            outcome => {
                let (counts, reaction) = reacted(&outcome);
                taken_back += usize::from(reaction.is_none());
                last.insert(post, counts);
            }
        }
    }
    assert!(taken_back > 20, "{taken_back}");
    for post in posts {
        let rows = async |kind: PostReactionType| {
            let text = kind.as_str();
            let of = format!("post_id = '{}' AND reaction_type = '{text}'", post.hex());
            world.backend.number(&format!("SELECT count(*) FROM post_reactions WHERE {of}")).await as u64
        };
        let [likes, celebrations, golazos] = kinds.map(rows);
        let rows = ReactionCounts { likes: likes.await, celebrations: celebrations.await, golazos: golazos.await };
        assert_eq!(last[&post], rows, "what was told last");
        assert_eq!(whole(&world, None, post).await.counts, rows, "the columns");
    }
    let twice = "SELECT count(*) FROM (SELECT 1 FROM post_reactions GROUP BY post_id, user_id HAVING count(*) > 1) x";
    assert_eq!(world.backend.number(twice).await, 0, "one reaction a user and post");
}

pub async fn a_private_post_is_its_authors_alone(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    world.feed(beto, Action::Follow { user: ana }).await;
    let post = world.publish_new(ana, NewPost { is_public: false, ..NewPost::text("x".into()) }).await;
    let comment = world.comment(ana, post, None, "nota").await;
    let new = NewComment { post, parent: None, content: "x".into(), image: None };
    let reaction = PostReactionType::Like;
    for action in [
        Action::React { post, reaction },
        Action::Unreact { post },
        Action::Share { post, message: String::new() },
        Action::Comment(new),
        Action::LikeComment { post, comment },
        Action::UnlikeComment { post, comment },
        Action::EditComment { post, comment, content: "y".into() },
        Action::DeleteComment { post, comment },
        Action::DeletePost { post },
    ] {
        assert_eq!(refusal(&world.feed(beto, action.clone()).await), Refusal::NotVisible, "{action:?}");
    }
    let outcome = world.feed(ana, Action::React { post, reaction }).await;
    assert!(!post_event(committed(&outcome)).is_public);
    let head = world.store.post_head(post).await.unwrap().unwrap();
    assert!(head.is_visible_to(ana) && !head.is_visible_to(beto));
}

pub async fn a_post_is_shared_once(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let share = || Action::Share { post, message: "mira".into() };
    let outcome = world.feed(beto, share()).await;
    let PostChange::Shared { user, shares_count } = post_change(committed(&outcome)) else { panic!() };
    assert_eq!((*user, *shares_count), (beto, 1));
    assert!(matches!(world.feed(beto, share()).await, Outcome::Unchanged));
    let outcome = world.feed(ana, share()).await;
    assert!(matches!(post_change(committed(&outcome)), PostChange::Shared { shares_count: 2, .. }));
    assert_eq!(whole(&world, None, post).await.shares_count, 2);
    assert_eq!(world.backend.number("SELECT count(*) FROM post_shares WHERE message = 'mira'").await, 2);
}

pub async fn a_post_shows_its_newest_reactions(world: World) {
    let ana = world.user("ana").await;
    let post = world.publish(ana, "hola").await;
    let mut users = Vec::new();
    for number in 0..limits::POST_REACTIONS_SHOWN + 3 {
        let user = world.user(&format!("user{number}")).await;
        world.feed(user, Action::React { post, reaction: PostReactionType::Celebration }).await;
        users.push(user);
    }
    let read = whole(&world, None, post).await;
    let shown: Vec<_> = read.reactions.iter().map(|reaction| reaction.user.id).collect();
    users.reverse();
    assert_eq!(shown, users[..limits::POST_REACTIONS_SHOWN as usize], "the newest first");
    assert_eq!(read.counts.celebrations, users.len() as u64);
}

/// A post with more comments than one write deletes stays until they are gone, with correct counters in between.
pub async fn a_post_with_many_comments_goes_in_several_writes(world: World) {
    let [ana, beto] = world.users(["ana", "beto"]).await;
    let post = world.publish(ana, "hola").await;
    let other = world.publish(ana, "otra").await;
    let kept = world.comment(beto, other, None, "sigue").await;
    let most = limits::COMMENTS_DELETED_MAX;
    let mut all = Vec::new();
    for index in 0..2 * most + 50 {
        let parent = all.get(index / 2).copied().filter(|_| index % 3 > 0);
        all.push(world.comment([ana, beto][index % 2], post, parent, "x").await);
    }
    let wrong = "SELECT count(*) FROM comments AS one WHERE replies_count <> \
        (SELECT count(*) FROM comments WHERE parent_id = one.id)";
    let delete = async |user| world.feed(user, Action::DeletePost { post }).await;
    assert_eq!(refusal(&delete(beto).await), Refusal::NotAuthor);
    let mut gone = Vec::new();
    loop {
        let outcome = delete(ana).await;
        let PostChange::CommentsDeleted { comments, comments_count, user } = post_change(committed(&outcome)) else {
            assert!(matches!(post_change(committed(&outcome)), PostChange::Deleted));
            break;
        };
        assert!((1..=most).contains(&comments.len()) && *user == ana, "{}", comments.len());
        gone.extend_from_slice(comments);
        assert_eq!(*comments_count as usize, all.len() - gone.len());
        assert_eq!(world.store.post(None, post).await.unwrap().unwrap().comments_count, *comments_count);
        assert_eq!(world.backend.number(wrong).await, 0);
    }
    assert!((most..=all.len()).contains(&gone.len()), "{}", gone.len());
    assert!(gone.iter().all(|comment| all.contains(comment)));
    assert!(world.store.post(None, post).await.unwrap().is_none());
    assert_eq!(world.backend.number("SELECT count(*) FROM comments").await, 1);
    assert!(world.store.comment(ana, kept).await.unwrap().is_some());
}
