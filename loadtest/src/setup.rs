//! Provides a run's users, rooms and tokens: from a fixture file, or created over the server's REST API.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::Api;
use crate::fixture::{Fixture, Room, User};
use crate::options::Common;

/// A token with less time left is replaced before the run.
const TOKEN_LEFT_SECONDS: i64 = 300;
/// The lifetime of tokens that are signed here.
const MINTED_SECONDS: i64 = 24 * 3600;
/// The server creates groups of at least three, and pairs only once. Smaller rooms are groups with a participant who
/// does not connect.
const PARTICIPANTS_MIN: usize = 3;

/// The rooms and members of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub rooms: usize,
    pub members: usize,
    /// Whether no user may sit in two of the rooms.
    pub is_distinct: bool,
}

impl Size {
    /// Rooms that may share users.
    pub fn shared(rooms: usize, members: usize) -> Self {
        Self { rooms, members, is_distinct: false }
    }
}

/// The fixture of a run, with tokens that are valid now.
pub fn prepare(common: &Common, size: Size) -> Result<Fixture> {
    check_save(common)?;
    let api = api(common)?;
    let fixture = match &common.fixture {
        Some(path) => Fixture::load(path)?,
        None => make(&api, size, common.users)?,
    };
    fixture.check_size(size.rooms, size.members)?;
    let used = used(&fixture, size);
    if size.is_distinct && used.len() < size.rooms * size.members {
        let there = used.len();
        let wanted = size.rooms * size.members;
        bail!(
            "the first {} rooms of the fixture have {there} different users, and {wanted} are wanted: make one with: \
             pregon seed --users {wanted} --rooms {} --members {} --out FILE, or let one user have many connections \
             (--distinct-users false)",
            size.rooms,
            size.rooms,
            size.members
        );
    }
    renew(common, &api, fixture, &used)
}

/// The same for a scenario without rooms, which uses the first `count` users.
pub fn prepare_users(common: &Common, count: usize) -> Result<Fixture> {
    check_save(common)?;
    let api = api(common)?;
    let fixture = match &common.fixture {
        Some(path) => Fixture::load(path)?,
        None => make(&api, Size::shared(0, count), common.users)?,
    };
    let there = fixture.users.len();
    if there < count {
        bail!(
            "the fixture has {there} users and {count} are needed; make one with: pregon seed --users {count} --rooms 0 \
             --out FILE"
        );
    }
    let used: Vec<usize> = (0..count).collect();
    renew(common, &api, fixture, &used)
}

/// Each user costs the server a password hash, so an unwritable file is reported before they are created.
fn check_save(common: &Common) -> Result<()> {
    match &common.save_fixture {
        Some(path) => Fixture::check_writable(path),
        None => Ok(()),
    }
}

/// The REST API of the server under test.
pub fn api(common: &Common) -> Result<Api> {
    Api::new(&common.api_url())
}

/// Makes sure that the users at `used` have valid tokens, and saves the fixture if requested.
fn renew(common: &Common, api: &Api, mut fixture: Fixture, used: &[usize]) -> Result<Fixture> {
    let environment = std::env::var("PREGON_JWT_SECRET").ok();
    if let Some(secret) = &common.secret {
        mint(&mut fixture, secret)?;
    } else if !stale(&fixture, used)?.is_empty() {
        match environment {
            Some(secret) => mint(&mut fixture, &secret)?,
            None => log_in(api, &mut fixture, used)?,
        }
    }
    if let Some(path) = &common.save_fixture {
        fixture.save(path)?;
    }
    Ok(fixture)
}

/// Creates users and rooms with names of this run. All rooms share the users; each room begins with the next user.
fn make(api: &Api, size: Size, users: Option<usize>) -> Result<Fixture> {
    let members = size.members.max(PARTICIPANTS_MIN);
    let least = if size.is_distinct { members * size.rooms } else { members };
    let count = users.unwrap_or(least).max(least);
    let run = format!("load{:x}{:x}", now_seconds(), std::process::id());
    let password = Uuid::new_v4().simple().to_string();
    eprintln!(
        "no --fixture: making {count} users and {} rooms at {} (each user costs the server a password hash; for \
         thousands `pregon seed` is much faster)",
        size.rooms,
        api.url()
    );
    let users = api.each("users", count, |api, number| register(api, &format!("{run}_{number}"), &password))?;
    let rooms = api.each("rooms", size.rooms, |api, number| {
        let members: Vec<usize> = (0..members).map(|member| (number * members + member) % count).collect();
        open_room(api, &format!("{run} {number}"), &users, members)
    })?;
    Ok(Fixture { users, rooms, password: Some(password) })
}

#[derive(Deserialize)]
struct Registered {
    user: RegisteredUser,
    tokens: Tokens,
}

#[derive(Deserialize)]
struct RegisteredUser {
    id: String,
    username: String,
}

#[derive(Deserialize)]
struct Tokens {
    access: String,
}

/// Registers a user.
pub fn register(api: &Api, username: &str, password: &str) -> Result<User> {
    let body = serde_json::json!({
        "email": format!("{username}@example.com"),
        "username": username,
        "display_name": username,
        "password": password,
        "password_confirm": password,
    });
    let Registered { user, tokens } = api.post("/api/auth/register/", None, &body)?;
    Ok(User { id: user.id, username: user.username, token: tokens.access })
}

fn open_room(api: &Api, name: &str, users: &[User], members: Vec<usize>) -> Result<Room> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    let (creator, others) = members.split_first().context("a room has members")?;
    let others: Vec<&str> = others.iter().map(|member| users[*member].id.as_str()).collect();
    let body = serde_json::json!({"name": name, "chat_type": "group", "participant_ids": others});
    let made: Made = api.post("/api/messaging/chats/", Some(&users[*creator].token), &body)?;
    Ok(Room { id: made.id, members })
}

/// The users of the first rooms.
fn used(fixture: &Fixture, size: Size) -> Vec<usize> {
    let rooms = fixture.rooms.iter().take(size.rooms);
    let mut used: Vec<usize> = rooms.flat_map(|room| room.members.iter().take(size.members).copied()).collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// Those at `used` whose tokens have expired or soon will.
fn stale(fixture: &Fixture, used: &[usize]) -> Result<Vec<usize>> {
    let now = now_seconds();
    let mut stale = Vec::new();
    for &user in used {
        let user_of = &fixture.users[user];
        let end =
            token_end(&user_of.token).with_context(|| format!("the token of {} is not valid", user_of.username))?;
        if end < now + TOKEN_LEFT_SECONDS {
            stale.push(user);
        }
    }
    Ok(stale)
}

/// The `exp` of a token.
pub fn token_end(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Some(claims.exp as i64)
}

/// `{"alg":"HS256","typ":"JWT"}`
const TOKEN_HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Signs fresh tokens for all users with the server's secret.
fn mint(fixture: &mut Fixture, secret: &str) -> Result<()> {
    #[derive(Serialize)]
    struct Claims<'a> {
        token_type: &'static str,
        exp: i64,
        iat: i64,
        jti: String,
        user_id: &'a str,
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let now = now_seconds();
    for user in &mut fixture.users {
        let jti = Uuid::new_v4().simple().to_string();
        let claims = Claims { token_type: "access", exp: now + MINTED_SECONDS, iat: now, jti, user_id: &user.id };
        let message = format!("{TOKEN_HEADER}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims)?));
        let signature = hmac::sign(&key, message.as_bytes());
        user.token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    }
    Ok(())
}

/// Gets fresh tokens for a fixture that this program made, with the password in it.
fn log_in(api: &Api, fixture: &mut Fixture, used: &[usize]) -> Result<()> {
    let stale = stale(fixture, used)?;
    let Some(password) = fixture.password.clone() else {
        bail!(
            "{} tokens of the fixture have expired: say the server's secret (--secret, or PREGON_JWT_SECRET in the \
             environment) to sign new ones, or make the fixture anew",
            stale.len()
        );
    };
    eprintln!("logging {} users in again: their tokens have expired", stale.len());
    let users = &fixture.users;
    let tokens = api.each("logins", stale.len(), |api, number| {
        let body = serde_json::json!({"login": users[stale[number]].username, "password": password});
        let tokens: Tokens = api.post("/api/auth/login/", None, &body)?;
        Ok(tokens.access)
    })?;
    for (user, token) in stale.into_iter().zip(tokens) {
        fixture.users[user].token = token;
    }
    Ok(())
}

fn now_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::test_fixture;

    #[test]
    fn minted_tokens_are_valid_for_long_and_name_their_user() {
        let mut fixture = test_fixture();
        assert!(stale(&fixture, &used(&fixture, Size::shared(1, 2))).is_err(), "`t0` is no token");
        mint(&mut fixture, "a secret").expect("tokens");
        assert!(stale(&fixture, &used(&fixture, Size::shared(1, 2))).expect("ends").is_empty());
        let payload = fixture.users[0].token.split('.').nth(1).expect("a payload");
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON");
        assert_eq!(claims["user_id"], fixture.users[0].id);
        assert_eq!(claims["token_type"], "access");
    }

    #[test]
    fn only_tokens_of_the_rooms_in_use_must_be_fresh() {
        let mut fixture = test_fixture();
        mint(&mut fixture, "a secret").expect("tokens");
        let over = URL_SAFE_NO_PAD.encode(br#"{"exp":1000}"#);
        fixture.users[0].token = format!("x.{over}.y");
        assert_eq!(stale(&fixture, &used(&fixture, Size::shared(1, 2))).expect("ends"), [0]);
        assert!(stale(&fixture, &used(&fixture, Size::shared(1, 1))).expect("ends").is_empty(), "user 1 sits first");
    }
}
