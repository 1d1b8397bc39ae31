//! Random writes about posts, people and notifications, compared with a plain model, for many seeds.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Backend, FIRST_PAGE, Ids, Maria, Sqlite, World, post_change, relation};
use pregon::domain::feed::comment::NewComment;
use pregon::domain::feed::event::PostChange;
use pregon::domain::feed::post::{NewPost, PostPatch, PostReactionType, ReactionCounts};
use pregon::domain::feed::write::Action;
use pregon::domain::notification::NotificationType;
use pregon::domain::write::{Outcome, Refusal};
use pregon::ids::{CommentId, NotificationId, PostId, RequestId, UserId};

const SEEDS: u64 = 40;
/// On a server a seed costs more, because each query is a round trip.
const SEEDS_ON_SERVER: u64 = 12;
const ROUNDS: usize = 16;
const KINDS: [PostReactionType; 3] = [PostReactionType::Like, PostReactionType::Celebration, PostReactionType::Golazo];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }
}

#[derive(Debug)]
struct Post {
    author: UserId,
    is_public: bool,
    allows_comments: bool,
    reactions: BTreeMap<UserId, PostReactionType>,
    shares: BTreeSet<UserId>,
}

#[derive(Debug)]
struct Comment {
    post: PostId,
    parent: Option<CommentId>,
    author: UserId,
    likes: BTreeSet<UserId>,
}

/// (sender, what, post, comment, request)
type Told = (UserId, NotificationType, Option<PostId>, Option<CommentId>, Option<RequestId>);

#[derive(Default)]
struct Model {
    posts: BTreeMap<PostId, Post>,
    comments: BTreeMap<CommentId, Comment>,
    follows: BTreeSet<(UserId, UserId)>,
    friends: BTreeSet<(UserId, UserId)>,
    requests: BTreeMap<RequestId, (UserId, UserId)>,
    /// The notifications, oldest first, and whether each is read.
    told: BTreeMap<UserId, Vec<(Told, bool)>>,
    /// Whether the notification of a reaction that was taken back had been read, by post and user.
    taken_back: BTreeMap<(UserId, PostId), bool>,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Event,
    Unchanged,
    Refused(Refusal),
}

use Expected::{Event, Refused, Unchanged};

fn pair(one: UserId, other: UserId) -> (UserId, UserId) {
    (one.min(other), one.max(other))
}

impl Model {
    fn visible(&mut self, actor: UserId, post: PostId) -> Result<&mut Post, Expected> {
        match self.posts.get_mut(&post) {
            None => Err(Refused(Refusal::NoSuchPost)),
            Some(post) if !post.is_public && post.author != actor => Err(Refused(Refusal::NotVisible)),
            Some(post) => Ok(post),
        }
    }

    fn own(&mut self, actor: UserId, post: PostId) -> Result<&mut Post, Expected> {
        let post = self.visible(actor, post)?;
        if post.author == actor { Ok(post) } else { Err(Refused(Refusal::NotAuthor)) }
    }

    fn comment(&mut self, actor: UserId, post: PostId, id: CommentId) -> Result<&mut Comment, Expected> {
        self.visible(actor, post)?;
        self.comments.get_mut(&id).filter(|comment| comment.post == post).ok_or(Refused(Refusal::NoSuchComment))
    }

    /// The same for removing one's own like or reaction: if `is_own` says so, the post need not be visible any more.
    fn ones_own(
        &mut self,
        actor: UserId,
        (post, id): (PostId, CommentId),
        is_own: impl Fn(&Comment) -> bool,
    ) -> Result<&mut Comment, Expected> {
        let is_own = self.comments.get(&id).is_some_and(|comment| comment.post == post && is_own(comment));
        if is_own { Ok(self.comments.get_mut(&id).unwrap()) } else { self.comment(actor, post, id) }
    }

    fn tell(&mut self, recipient: UserId, told: Told) {
        if recipient != told.0 {
            self.told.entry(recipient).or_default().push((told, false));
        }
    }

    /// The clock stands still, so no existing notification is an hour old.
    fn tell_once(&mut self, recipient: UserId, told: Told) {
        let key = |told: &Told| (told.0, told.1, told.2);
        let known = self.told.get(&recipient).into_iter().flatten();
        if !known.map(|(known, _)| key(known)).any(|known| known == key(&told)) {
            self.tell(recipient, told);
        }
    }

    /// The notification of a post's author about somebody's reaction.
    fn told_of_reaction(&mut self, author: UserId, actor: UserId, post: PostId) -> Option<usize> {
        use NotificationType::{Celebration, Golazo, Like};
        let told = self.told.entry(author).or_default();
        told.iter().position(|((sender, kind, of, ..), _)| {
            *sender == actor && *of == Some(post) && matches!(kind, Like | Celebration | Golazo)
        })
    }

    fn tell_of_reaction(&mut self, author: UserId, told: Told, post: PostId) {
        match (self.told_of_reaction(author, told.0, post), self.taken_back.get(&(told.0, post))) {
            (Some(place), _) => self.told.entry(author).or_default()[place].0 = told,
            (None, Some(is_read)) if author != told.0 => self.told.entry(author).or_default().push((told, *is_read)),
            (None, _) => self.tell(author, told),
        }
    }

    fn take_back(&mut self, author: UserId, actor: UserId, post: PostId) {
        if let Some(place) = self.told_of_reaction(author, actor, post) {
            let (_, is_read) = self.told.entry(author).or_default().remove(place);
            self.taken_back.insert((actor, post), is_read);
        }
    }

    /// Removes the notifications of deleted rows.
    fn forget(&mut self, is_gone: impl Fn(Option<PostId>, Option<CommentId>) -> bool) {
        for told in self.told.values_mut() {
            told.retain(|((_, _, post, comment, _), _)| !is_gone(*post, *comment));
        }
    }

    fn remove_comments(&mut self, root: CommentId) {
        self.forget(|_, comment| comment == Some(root));
        let answers = |(id, comment): (&CommentId, &Comment)| (comment.parent == Some(root)).then_some(*id);
        for answer in self.comments.iter().filter_map(answers).collect::<Vec<_>>() {
            self.remove_comments(answer);
        }
        self.comments.remove(&root);
    }

    fn decide(&mut self, actor: UserId, action: &Action, outcome: &Outcome) -> Result<Expected, Expected> {
        match action {
            Action::Publish { post, new } => {
                let reactions = BTreeMap::new();
                let shares = BTreeSet::new();
                let post_row =
                    Post { author: actor, is_public: new.is_public, allows_comments: true, reactions, shares };
                self.posts.insert(*post, post_row);
            }
            Action::EditPost { post, patch } => {
                let post = self.own(actor, *post)?;
                post.is_public = patch.is_public.unwrap_or(post.is_public);
                post.allows_comments = patch.allow_comments.unwrap_or(post.allows_comments);
            }
            Action::DeletePost { post } => {
                self.own(actor, *post)?;
                self.posts.remove(post);
                self.comments.retain(|_, comment| comment.post != *post);
                self.forget(|of, _| of == Some(*post));
            }
            Action::React { post, reaction } => self.react(actor, *post, *reaction)?,
            Action::Unreact { post } => {
                let taken = self.posts.get_mut(post).and_then(|post| post.reactions.remove(&actor));
                if taken.is_none() {
                    self.visible(actor, *post)?;
                    return Ok(Refused(Refusal::NoReaction));
                }
                let author = self.posts[post].author;
                self.take_back(author, actor, *post);
            }
            Action::Share { post, .. } => {
                let row = self.visible(actor, *post)?;
                let author = row.author;
                if !row.shares.insert(actor) {
                    return Ok(Unchanged);
                }
                self.tell(author, (actor, NotificationType::Share, Some(*post), None, None));
            }
            Action::Comment(new) => self.add_comment(actor, new, outcome)?,
            Action::DeleteComment { post, comment } => {
                if self.ones_own(actor, (*post, *comment), |comment| comment.author == actor)?.author != actor {
                    return Ok(Refused(Refusal::NotAuthor));
                }
                self.remove_comments(*comment);
            }
            Action::LikeComment { post, comment } => {
                if !self.comment(actor, *post, *comment)?.likes.insert(actor) {
                    return Ok(Unchanged);
                }
            }
            Action::UnlikeComment { post, comment } => {
                let own = self.ones_own(actor, (*post, *comment), |comment| comment.likes.contains(&actor))?;
                if !own.likes.remove(&actor) {
                    return Ok(Refused(Refusal::NoLike));
                }
            }
            other => return self.decide_people(actor, other, outcome),
        }
        Ok(Event)
    }

    fn react(&mut self, actor: UserId, id: PostId, reaction: PostReactionType) -> Result<(), Expected> {
        let post = self.visible(actor, id)?;
        let author = post.author;
        if post.reactions.get(&actor) == Some(&reaction) {
            post.reactions.remove(&actor);
            self.take_back(author, actor, id);
            return Ok(());
        }
        post.reactions.insert(actor, reaction);
        self.tell_of_reaction(author, (actor, NotificationType::of_reaction(reaction), Some(id), None, None), id);
        Ok(())
    }

    fn add_comment(&mut self, actor: UserId, new: &NewComment, outcome: &Outcome) -> Result<(), Expected> {
        let post = self.visible(actor, new.post)?;
        let author = post.author;
        if !post.allows_comments {
            return Err(Refused(Refusal::CommentsClosed));
        }
        let parent_author = match new.parent.map(|parent| self.comments.get(&parent)) {
            None => None,
            Some(Some(parent)) if parent.post == new.post => Some(parent.author),
            Some(_) => return Err(Refused(Refusal::ParentElsewhere)),
        };
        // The store chooses the id.
        let Outcome::Committed(event) = outcome else { return Ok(()) };
        let PostChange::Commented { comment, .. } = post_change(event) else { return Ok(()) };
        let row = Comment { post: new.post, parent: new.parent, author: actor, likes: BTreeSet::new() };
        self.comments.insert(comment.id, row);
        if let Some(parent_author) = parent_author {
            self.tell(parent_author, (actor, NotificationType::Reply, Some(new.post), Some(comment.id), None));
        }
        if parent_author != Some(author) {
            self.tell(author, (actor, NotificationType::Comment, Some(new.post), Some(comment.id), None));
        }
        Ok(())
    }

    fn decide_people(&mut self, actor: UserId, action: &Action, outcome: &Outcome) -> Result<Expected, Expected> {
        match action {
            Action::Follow { user } | Action::RequestFriend { user } if *user == actor => {
                return Ok(Refused(Refusal::Oneself));
            }
            Action::Follow { user } => {
                if !self.follows.insert((actor, *user)) {
                    return Ok(Unchanged);
                }
                self.tell_once(*user, (actor, NotificationType::Follow, None, None, None));
            }
            Action::Unfollow { user } => {
                if !self.follows.remove(&(actor, *user)) {
                    return Ok(Refused(Refusal::NotFollowing));
                }
            }
            Action::RequestFriend { user } => {
                if self.friends.contains(&pair(actor, *user)) {
                    return Ok(Refused(Refusal::AlreadyFriends));
                }
                if self.requests.values().any(|(from, to)| pair(*from, *to) == pair(actor, *user)) {
                    return Ok(Refused(Refusal::AlreadyRequested));
                }
                let Outcome::Committed(event) = outcome else { return Ok(Event) };
                let request = relation(event).request.unwrap();
                self.requests.insert(request, (actor, *user));
                self.tell_once(*user, (actor, NotificationType::FriendRequest, None, None, Some(request)));
            }
            Action::AnswerRequest { request, accept } => {
                let Some((from, _)) = self.requests.get(request).copied().filter(|(_, to)| *to == actor) else {
                    return Ok(Refused(Refusal::NoSuchRequest));
                };
                self.requests.remove(request);
                if *accept {
                    self.friends.insert(pair(from, actor));
                    self.tell_once(from, (actor, NotificationType::FriendAccept, None, None, Some(*request)));
                }
            }
            Action::CancelRequest { request } => {
                if self.requests.get(request).is_none_or(|(from, _)| *from != actor) {
                    return Ok(Refused(Refusal::NoSuchRequest));
                }
                self.requests.remove(request);
            }
            Action::RemoveFriend { user } => {
                if !self.friends.remove(&pair(actor, *user)) {
                    return Ok(Refused(Refusal::NotFriends));
                }
            }
            other => return Ok(self.decide_notifications(actor, other)),
        }
        Ok(Event)
    }

    fn decide_notifications(&mut self, actor: UserId, action: &Action) -> Expected {
        match action {
            Action::ReadAllNotifications => {
                let told = self.told.entry(actor).or_default();
                let unread = told.iter_mut().filter(|(_, is_read)| !is_read).map(|(_, is_read)| *is_read = true);
                if unread.count() == 0 {
                    return Unchanged;
                }
            }
            Action::ClearNotifications => {
                // With the rows, the memory of taken-back reactions is lost.
                if std::mem::take(self.told.entry(actor).or_default()).is_empty() {
                    return Unchanged;
                }
            }
            Action::ReadNotification { .. } => return Refused(Refusal::NoSuchNotification),
            other => panic!("not rolled: {other:?}"),
        }
        Event
    }
}

/// What existed before the round.
struct Known {
    users: Vec<UserId>,
    posts: Vec<PostId>,
    comments: Vec<(PostId, CommentId)>,
    requests: Vec<RequestId>,
}

fn any_action(dice: &mut Dice, known: &Known) -> Action {
    let post = if known.posts.is_empty() || dice.roll(20) == 0 { PostId::fresh() } else { dice.of(&known.posts) };
    let (of, comment) = match known.comments.is_empty() || dice.roll(20) == 0 {
        true => (post, CommentId::fresh()),
        false => dice.of(&known.comments),
    };
    let user = dice.of(&known.users);
    let request = if known.requests.is_empty() { RequestId::fresh() } else { dice.of(&known.requests) };
    match dice.roll(30) {
        0..=2 => {
            let new = NewPost { is_public: dice.roll(5) > 0, ..NewPost::text("hola".into()) };
            Action::Publish { post: PostId::fresh(), new: Box::new(new) }
        }
        3 => {
            let is_public = Some(dice.roll(3) > 0);
            let allow_comments = Some(dice.roll(3) > 0);
            Action::EditPost { post, patch: Box::new(PostPatch { is_public, allow_comments, ..PostPatch::default() }) }
        }
        4 => Action::DeletePost { post },
        5..=9 => Action::React { post, reaction: dice.of(&KINDS) },
        10 => Action::Unreact { post },
        11 => Action::Share { post, message: String::new() },
        12..=15 => Action::Comment(NewComment { post, parent: None, content: "x".into(), image: None }),
        16..=18 => {
            // Sometimes the parent is on another post.
            let post = if dice.roll(8) == 0 { post } else { of };
            Action::Comment(NewComment { post, parent: Some(comment), content: "x".into(), image: None })
        }
        19..=22 => {
            // Sometimes on another post.
            let post = if dice.roll(6) == 0 { post } else { of };
            match dice.roll(4) {
                0 => Action::DeleteComment { post, comment },
                1 => Action::UnlikeComment { post, comment },
                _ => Action::LikeComment { post, comment },
            }
        }
        23 => Action::Follow { user },
        24 => Action::Unfollow { user },
        25 => Action::RequestFriend { user },
        26 => match dice.roll(3) {
            0 => Action::CancelRequest { request },
            answer => Action::AnswerRequest { request, accept: answer == 1 },
        },
        27 => Action::RemoveFriend { user },
        28 => Action::ReadAllNotifications,
        _ if dice.roll(3) == 0 => Action::ClearNotifications,
        _ => Action::ReadNotification { notification: NotificationId::fresh() },
    }
}

#[tokio::test]
async fn posts_and_people_are_what_the_plain_model_says() {
    for seed in 1..=SEEDS {
        compare_with_model(Box::new(Sqlite::new()), seed, 12).await;
    }
}

#[tokio::test]
async fn posts_and_people_are_what_the_plain_model_says_on_mariadb() {
    for seed in 1..=SEEDS_ON_SERVER {
        // With one lane, which keeps the order of writes to different topics; with several lanes, one write at a time.
        compare_with_model(Box::new(Maria::new(Ids::Uuid).with_lanes(1)), seed, 12).await;
        compare_with_model(Box::new(Maria::new(Ids::Char)), seed + SEEDS_ON_SERVER, 0).await;
    }
}

/// Makes random writes, up to `more` beside another one at the same time.
async fn compare_with_model(backend: Box<dyn Backend>, seed: u64, more: usize) {
    let mut world = World::new(backend).await;
    let users = world.users(["ana", "beto", "caro", "dani"]).await;
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut model = Model::default();
    for _ in 0..ROUNDS {
        // Several at once, so that batches see their own writes.
        let known = Known {
            users: users.to_vec(),
            posts: model.posts.keys().copied().collect(),
            comments: model.comments.iter().map(|(id, comment)| (comment.post, *id)).collect(),
            requests: model.requests.keys().copied().collect(),
        };
        let mut asked = Vec::new();
        for _ in 0..=dice.roll(more.max(1)) {
            let actor = dice.of(&users);
            let action = any_action(&mut dice, &known);
            asked.push((actor, action.clone(), world.queue_feed(actor, action)));
        }
        for (actor, action, answer) in asked {
            let outcome = answer.await.unwrap();
            let expected = model.decide(actor, &action, &outcome).unwrap_or_else(|refused| refused);
            let actual = match &outcome {
                Outcome::Committed(_) => Event,
                Outcome::Unchanged => Unchanged,
                Outcome::Refused(refusal) => Refused(*refusal),
                other => panic!("{other:?}"),
            };
            assert_eq!(actual, expected, "seed {seed}, {action:?}");
        }
    }
    if seed.is_multiple_of(8) {
        world.reopen().await;
    }
    compare_posts(&world, &users, &model, seed).await;
    compare_people(&world, &users, &model, seed).await;
}

async fn compare_posts(world: &World, users: &[UserId], model: &Model, seed: u64) {
    assert_eq!(world.backend.number("SELECT count(*) FROM posts").await, model.posts.len() as i64, "seed {seed}");
    for (id, row) in &model.posts {
        let count = |kind| row.reactions.values().filter(|reaction| **reaction == kind).count() as u64;
        let [likes, celebrations, golazos] = KINDS.map(count);
        let of_post = model.comments.values().filter(|comment| comment.post == *id).count() as u64;
        for user in users {
            let post = world.store.post(Some(*user), *id).await.unwrap().unwrap();
            assert_eq!(post.counts, ReactionCounts { likes, celebrations, golazos }, "seed {seed}");
            assert_eq!(post.user_reaction, row.reactions.get(user).copied(), "seed {seed}");
            assert_eq!((post.comments_count, post.shares_count), (of_post, row.shares.len() as u64), "seed {seed}");
        }
    }
    assert_eq!(world.backend.number("SELECT count(*) FROM comments").await, model.comments.len() as i64);
    for (id, row) in &model.comments {
        let replies = model.comments.values().filter(|comment| comment.parent == Some(*id)).count() as u64;
        let comment = world.store.comment(users[0], *id).await.unwrap().unwrap();
        assert_eq!((comment.replies_count, comment.likes_count), (replies, row.likes.len() as u64), "seed {seed}");
        assert_eq!(comment.is_liked, row.likes.contains(&users[0]), "seed {seed}");
    }
}

async fn compare_people(world: &World, users: &[UserId], model: &Model, seed: u64) {
    for user in users {
        let heard: BTreeSet<_> = users
            .iter()
            .filter(|other| {
                *other != user
                    && (model.follows.contains(&(*user, **other)) || model.friends.contains(&pair(*user, **other)))
            })
            .copied()
            .collect();
        let authors = world.store.feed_authors(*user).await.unwrap();
        assert_eq!((authors.len(), authors.into_iter().collect::<BTreeSet<_>>()), (heard.len(), heard), "seed {seed}");
        let profile = world.store.profile(*user).await.unwrap().unwrap();
        let followers = model.follows.iter().filter(|(_, to)| to == user).count() as u64;
        let posts = model.posts.values().filter(|post| post.author == *user).count() as u64;
        assert_eq!((profile.followers_count, profile.posts_count), (followers, posts), "seed {seed}");
        let open = model.requests.values().filter(|(from, to)| from == user || to == user).count();
        assert_eq!(world.store.friend_requests(*user).await.unwrap().len(), open, "seed {seed}");

        let nothing = Vec::new();
        let told = model.told.get(user).unwrap_or(&nothing);
        let unread = told.iter().filter(|(_, is_read)| !is_read).count() as u64;
        assert_eq!(world.store.unread_notifications(*user).await.unwrap(), unread, "seed {seed}");
        let page = world.store.notifications(*user, FIRST_PAGE).await.unwrap();
        assert_eq!(page.count, told.len() as u64, "seed {seed}");
        for (stored, (told, is_read)) in page.rows.iter().zip(told.iter().rev()) {
            let references = stored.references;
            let told_here = (
                stored.sender.id,
                stored.notification_type,
                references.post,
                references.comment,
                references.friend_request,
            );
            assert_eq!((told_here, stored.is_read), (*told, *is_read), "seed {seed}");
        }
    }
    let holes = "SELECT coalesce((SELECT sum(seq) FROM pregon_topics), 0) - (SELECT count(*) FROM pregon_events)";
    assert_eq!(world.backend.number(holes).await, 0, "seed {seed}: a hole");
}
