//! Reads users as others see them: profiles, lists of people, friends.
//!
//! One query completes all people of a page. Profiles have live counts if another program may write to the database;
//! lists of people show the columns, as that program does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::user::{Account, Apart, Person, UserProfile};
use crate::ids::UserId;
use crate::limits;
use crate::store::sql::{
    Columns, KEYS_MAX, Parameters, Sql, Text, ToColumn, Unexpected, View, each, marks, or_none, padded,
};

/// The columns of [`profile_of_row`], of `users u`.
static PROFILE: Text = Text::new(|dialect| {
    let [followers, following, posts] = [
        dialect.live("u.followers_count", "user_follows WHERE following_id = u.id"),
        dialect.live("u.following_count", "user_follows WHERE follower_id = u.id"),
        dialect.live("u.posts_count", "posts WHERE user_id = u.id"),
    ];
    format!(
        "u.id, u.email, u.username, u.display_name, u.first_name, u.last_name, u.avatar, u.cover_photo, u.bio, \
         u.position, u.team, u.contact_number, u.interests, u.social_links, u.is_verified, u.is_private, u.show_email, \
         u.show_phone, u.is_active, u.created_at, u.last_active, u.account_type, u.company_name, u.industry, u.website, \
         {followers}, {following}, {posts}"
    )
});

/// The profiles of all users that some rows refer to.
#[derive(Default)]
pub struct Profiles(pub HashMap<UserId, Arc<UserProfile>>);

impl Profiles {
    /// The profile of a user that a row refers to, so that it must exist.
    pub fn of(&self, user: UserId) -> Result<Arc<UserProfile>, Unexpected> {
        let found = self.0.get(&user).cloned();
        found.ok_or_else(|| Unexpected(format!("a row refers to the user {user}, who does not exist")))
    }
}

/// The profiles of those of `users` who exist: from the cache, or else by one query.
pub async fn profiles<C: Sql>(
    view: &mut View<'_, C>,
    users: impl IntoIterator<Item = UserId>,
) -> Result<Profiles, C::Error> {
    let mut found = HashMap::new();
    let mut missing = Vec::new();
    for user in users.into_iter().collect::<HashSet<_>>() {
        match remembered(view, user) {
            Some(profile) => drop(found.insert(user, profile)),
            None => missing.push(user),
        }
    }
    let before = view.caches.profiles.before();
    for keys in missing.chunks(KEYS_MAX).map(padded) {
        let sql = format!("SELECT {} FROM users u WHERE u.id IN ({})", PROFILE.of(C::DIALECT), marks(keys.len()));
        let parameters: Vec<_> = each(&keys).collect();
        for profile in view.rows(&sql, &parameters, profile_of_row).await? {
            let profile = Arc::new(profile);
            if !view.changed.contains(&profile.id) {
                view.caches.profiles.put(before, profile.id, Arc::clone(&profile), view.now);
            }
            found.insert(profile.id, profile);
        }
    }
    Ok(Profiles(found))
}

/// The cached profile of a user whose row the transaction has not changed.
fn remembered<C>(view: &View<'_, C>, user: UserId) -> Option<Arc<UserProfile>> {
    view.caches.profiles.get(&user, view.now).filter(|_| !view.changed.contains(&user))
}

/// A profile by id.
pub async fn profile<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<Option<Arc<UserProfile>>, C::Error> {
    match remembered(view, user) {
        Some(profile) => Ok(Some(profile)),
        None => Ok(profiles(view, [user]).await?.0.remove(&user)),
    }
}

/// The profile of a user that a row refers to, so that it must exist.
pub async fn known_profile<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<Arc<UserProfile>, C::Error> {
    match remembered(view, user) {
        Some(profile) => Ok(profile),
        None => Ok(profiles(view, [user]).await?.of(user)?),
    }
}

fn profile_of_row(row: Columns<'_>) -> Result<UserProfile, Unexpected> {
    Ok(UserProfile {
        id: row.id(0)?,
        email: row.text(1)?,
        username: row.text(2)?,
        display_name: row.text(3)?,
        first_name: row.text(4)?,
        last_name: row.text(5)?,
        avatar: row.optional_text(6)?,
        cover_photo: row.optional_text(7)?,
        bio: row.text(8)?,
        position: row.text(9)?,
        team: row.text(10)?,
        contact_number: row.text(11)?,
        interests: row.text(12)?,
        social_links: row.text(13)?,
        is_verified: row.flag(14)?,
        is_private: row.flag(15)?,
        show_email: row.flag(16)?,
        show_phone: row.flag(17)?,
        is_active: row.flag(18)?,
        created_at: row.time(19)?,
        last_active: row.time(20)?,
        account_type: row.text(21)?,
        company_name: row.text(22)?,
        industry: row.text(23)?,
        website: row.text(24)?,
        followers_count: row.count(25)?,
        following_count: row.count(26)?,
        posts_count: row.count(27)?,
        public_json: std::sync::OnceLock::new(),
    })
}

/// A user's account.
pub async fn account<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<Option<Arc<Account>>, C::Error> {
    let read = |row: Columns<'_>| {
        Ok(Arc::new(Account {
            id: user,
            username: row.text(0)?.into_boxed_str(),
            is_active: row.flag(1)?,
            apart: Apart::default(),
        }))
    };
    view.row("SELECT username, is_active FROM users WHERE id = ?", &[&user], read).await
}

/// Those of `users` who exist and are active.
pub async fn active<C: Sql>(view: &mut View<'_, C>, users: &[UserId]) -> Result<Vec<UserId>, C::Error> {
    let mut found = Vec::with_capacity(users.len());
    for keys in users.chunks(KEYS_MAX).map(padded) {
        let sql = format!("SELECT id FROM users WHERE is_active = 1 AND id IN ({})", marks(keys.len()));
        let parameters: Vec<_> = each(&keys).collect();
        found.extend(view.rows(&sql, &parameters, |row| row.id::<UserId>(0)).await?);
    }
    Ok(found)
}

/// The id of a username, as the database compares names: ignoring case and accents.
pub async fn id_of_name<C: Sql>(view: &mut View<'_, C>, username: &str) -> Result<Option<UserId>, C::Error> {
    match view.row("SELECT id FROM users WHERE username = ?", &[&username], |row| row.id(0)).await {
        // A name that the column cannot store belongs to nobody.
        Err(error) if C::is_of_characters(&error) => Ok(None),
        found => found,
    }
}

/// The profile of a username, ignoring case.
pub async fn profile_of_name<C: Sql>(
    view: &mut View<'_, C>,
    username: &str,
) -> Result<Option<Arc<UserProfile>>, C::Error> {
    match id_of_name(view, username).await? {
        Some(user) => profile(view, user).await,
        None => Ok(None),
    }
}

/// One person as the viewer sees them.
pub async fn person<C: Sql>(view: &mut View<'_, C>, viewer: UserId, of: UserId) -> Result<Option<Person>, C::Error> {
    Ok(people(view, viewer, "WHERE u.id = ?", &[&of]).await?.pop())
}

/// Friends of `of`, newest first.
pub async fn friends<C: Sql>(view: &mut View<'_, C>, viewer: UserId, of: UserId) -> Result<Vec<Person>, C::Error> {
    let listed = "JOIN (SELECT f.id, f.since FROM (SELECT user2_id AS id, created_at AS since FROM friendships \
        WHERE user1_id = ? UNION ALL SELECT user1_id, created_at FROM friendships WHERE user2_id = ?) f \
        JOIN users a ON a.id = f.id AND a.is_active = 1 ORDER BY f.since DESC, f.id LIMIT ?) listed \
        ON listed.id = u.id ORDER BY listed.since DESC, listed.id";
    people(view, viewer, listed, &[&of, &of, &limits::PEOPLE_LISTED_MAX]).await
}

/// The followers of `of`, newest first.
pub async fn followers<C: Sql>(view: &mut View<'_, C>, viewer: UserId, of: UserId) -> Result<Vec<Person>, C::Error> {
    let listed = "JOIN (SELECT f.follower_id AS id, f.created_at AS since FROM user_follows f \
        JOIN users a ON a.id = f.follower_id AND a.is_active = 1 WHERE f.following_id = ? \
        ORDER BY f.created_at DESC, f.follower_id LIMIT ?) listed ON listed.id = u.id \
        ORDER BY listed.since DESC, listed.id";
    people(view, viewer, listed, &[&of, &limits::PEOPLE_LISTED_MAX]).await
}

/// The users whom `of` follows, newest first.
pub async fn following<C: Sql>(view: &mut View<'_, C>, viewer: UserId, of: UserId) -> Result<Vec<Person>, C::Error> {
    let listed = "JOIN (SELECT f.following_id AS id, f.created_at AS since FROM user_follows f \
        JOIN users a ON a.id = f.following_id AND a.is_active = 1 WHERE f.follower_id = ? \
        ORDER BY f.created_at DESC, f.following_id LIMIT ?) listed ON listed.id = u.id \
        ORDER BY listed.since DESC, listed.id";
    people(view, viewer, listed, &[&of, &limits::PEOPLE_LISTED_MAX]).await
}

/// Active users whom the viewer neither follows nor has as a friend, the most followed first.
pub async fn suggested<C: Sql>(view: &mut View<'_, C>, viewer: UserId) -> Result<Vec<Person>, C::Error> {
    let listed = "WHERE u.is_active = 1 AND u.id <> ? \
        AND NOT EXISTS (SELECT 1 FROM user_follows WHERE follower_id = ? AND following_id = u.id) \
        AND NOT EXISTS (SELECT 1 FROM friendships WHERE user1_id = ? AND user2_id = u.id) \
        AND NOT EXISTS (SELECT 1 FROM friendships WHERE user1_id = u.id AND user2_id = ?) \
        AND NOT EXISTS (SELECT 1 FROM pregon_blocks WHERE blocker_id = ? AND blocked_id = u.id) \
        AND NOT EXISTS (SELECT 1 FROM pregon_blocks WHERE blocker_id = u.id AND blocked_id = ?) \
        ORDER BY u.followers_count DESC, u.id LIMIT ?";
    people(view, viewer, listed, &[&viewer, &viewer, &viewer, &viewer, &viewer, &viewer, &limits::SUGGESTED_MAX]).await
}

/// Those whom the viewer has blocked, the last one first.
pub async fn blocked<C: Sql>(view: &mut View<'_, C>, viewer: UserId) -> Result<Vec<Person>, C::Error> {
    let listed =
        "JOIN pregon_blocks k ON k.blocked_id = u.id WHERE k.blocker_id = ? ORDER BY k.created_at DESC, u.id LIMIT ?";
    people(view, viewer, listed, &[&viewer, &limits::BLOCKED_SHOWN_MAX]).await
}

/// Whether one of these has blocked the viewer, or the viewer one of them.
pub async fn is_blocked_among<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    others: &[UserId],
) -> Result<bool, C::Error> {
    for keys in others.chunks(KEYS_MAX).map(padded) {
        for (own, their) in [("blocked_id", "blocker_id"), ("blocker_id", "blocked_id")] {
            let sql =
                format!("SELECT 1 FROM pregon_blocks WHERE {own} = ? AND {their} IN ({}) LIMIT 1", marks(keys.len()));
            let parameters: Vec<&dyn ToColumn> = std::iter::once(&viewer as &dyn ToColumn).chain(each(&keys)).collect();
            if view.is_there(&sql, &parameters).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The users whose public posts a user hears: those the user follows, and friends, each once.
pub async fn feed_authors<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<Vec<UserId>, C::Error> {
    let sql = "SELECT following_id FROM user_follows WHERE follower_id = ? \
        UNION SELECT user2_id FROM friendships WHERE user1_id = ? \
        UNION SELECT user1_id FROM friendships WHERE user2_id = ?";
    view.rows(sql, &[&user, &user, &user], |row| row.id(0)).await
}

/// The users of a query that continues `FROM users u`, as the viewer sees them.
pub(super) async fn people<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    listed: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Person>, C::Error> {
    let sql = format!(
        "SELECT {}, u.followers_count, u.following_count, u.posts_count, \
         EXISTS (SELECT 1 FROM user_follows WHERE follower_id = ? AND following_id = u.id), \
         EXISTS (SELECT 1 FROM friendships WHERE user1_id = ? AND user2_id = u.id) \
         OR EXISTS (SELECT 1 FROM friendships WHERE user1_id = u.id AND user2_id = ?), \
         EXISTS (SELECT 1 FROM pregon_blocks WHERE blocker_id = ? AND blocked_id = u.id) FROM users u {listed}",
        PROFILE.of(C::DIALECT)
    );
    let mut all: Vec<&dyn ToColumn> = vec![&viewer, &viewer, &viewer, &viewer];
    all.extend(parameters);
    let before = view.caches.profiles.before();
    let mut people = view.rows(&sql, &all, person_of_row).await?;
    for person in &people {
        view.caches.profiles.put(before, person.profile.id, Arc::clone(&person.profile), view.now);
    }
    let ids: Vec<UserId> = people.iter().map(|person| person.profile.id).collect();
    let requests = requests(view, viewer, &ids).await?;
    for person in &mut people {
        person.friend_request = requests.get(&person.profile.id).copied();
    }
    Ok(people)
}

fn person_of_row(row: Columns<'_>) -> Result<Person, Unexpected> {
    Ok(Person {
        profile: Arc::new(profile_of_row(row)?),
        followers_column: row.count(28)?,
        following_column: row.count(29)?,
        posts_column: row.count(30)?,
        is_following: row.flag(31)?,
        is_friend: row.flag(32)?,
        is_blocked: row.flag(33)?,
        friend_request: None,
    })
}

/// Those of `others` with an open friend request, and its direction: `sent` or `received` by the viewer.
async fn requests<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    others: &[UserId],
) -> Result<HashMap<UserId, &'static str>, C::Error> {
    let mut found = HashMap::new();
    for keys in others.chunks(KEYS_MAX).map(padded) {
        let marks = marks(keys.len());
        let sql = format!(
            "SELECT receiver_id, 1 FROM friend_requests WHERE sender_id = ? AND receiver_id IN ({marks}) \
             AND status = 'pending' UNION ALL \
             SELECT sender_id, 0 FROM friend_requests WHERE receiver_id = ? AND sender_id IN ({marks}) \
             AND status = 'pending'"
        );
        let once: Vec<&dyn ToColumn> = std::iter::once(&viewer as _).chain(each(&keys)).collect();
        let rows = view.rows(&sql, &[&once[..], &once].concat(), |row| Ok((row.id(0)?, row.flag(1)?))).await;
        for (other, is_sent) in or_none::<C, _>(rows)? {
            if is_sent {
                found.insert(other, "sent");
            } else {
                found.entry(other).or_insert("received");
            }
        }
    }
    Ok(found)
}
