//! Coming in: the subprotocol, the three ways of a token, and who is not let in.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::check::checks;
use super::client::Client;
use super::expect::{has, number, refused, same, that};
use super::socket::Socket;
use super::world::World;

checks! {
    "the subprotocol alone is named in the answer" => subprotocol;
    "without pregon.v1 the address answers 400" => without;
    "a foreign page is refused" => foreign;
    "a token comes as a subprotocol" => offered;
    "a token comes in a first frame" => first_frame;
    "a ticket opens one socket, offered or in a frame" => ticket;
    "what is asked before the welcome is answered behind it" => early;
    "who has not said who they are is told so and may try again" => again;
    "a newer token refreshes the socket, another user's does not" => refresh;
    "who never says who they are loses the socket" => silent;
    "a logout ends the socket with 4001" => logout;
}

async fn subprotocol(world: &World) -> Result<()> {
    let token = &world.users[0].token;
    for offers in
        [format!("pregon.v1, token.{token}"), format!("token.{token}, x.v9, pregon.v1"), "pregon.v1".to_owned()]
    {
        let socket = Socket::open(world, "/ws/", &[("sec-websocket-protocol", &offers)]).await?;
        let named: Vec<_> = socket.headers.get_all("sec-websocket-protocol").iter().collect();
        if named != ["pregon.v1"] {
            bail!("expected the one subprotocol pregon.v1, came {named:?}");
        }
    }
    Ok(())
}

async fn without(world: &World) -> Result<()> {
    for offers in ["pregon.v0", "token.a.b.c", "PREGON.V1"] {
        match Socket::try_open(world, "/ws/", &[("sec-websocket-protocol", offers)]).await? {
            Err(shut) if shut.status == 400 => {}
            Err(shut) => bail!("expected 400 for {offers}, came {}", shut.status),
            Ok(_) => bail!("expected 400 for {offers}, came an open socket"),
        }
    }
    Ok(())
}

async fn foreign(world: &World) -> Result<()> {
    let headers = [("sec-websocket-protocol", "pregon.v1"), ("origin", "https://elsewhere.invalid")];
    match Socket::try_open(world, "/ws/", &headers).await? {
        Err(shut) if shut.status == 403 => Ok(()),
        Err(shut) => bail!("expected 403, came {}", shut.status),
        Ok(_) => bail!("expected 403, came an open socket"),
    }
}

fn welcomed(world: &World, user: usize, welcome: &Value) -> Result<()> {
    let user = &world.users[user];
    has(welcome, &json!({"type": "welcome", "user": {"id": user.id, "username": user.username}}))?;
    let ends = crate::setup::token_end(&user.token).unwrap_or_default();
    same("token_expires", &welcome["token_expires"], &json!(ends))?;
    that(number(welcome, "topics_max")? > 0, "a number of topics", welcome)
}

async fn offered(world: &World) -> Result<()> {
    let mut client = Client::offering(world, &format!("pregon.v1, token.{}", world.users[0].token)).await?;
    let welcome = client.next().await?;
    that(welcome.get("id").is_none(), "a welcome without id", &welcome)?;
    welcomed(world, 0, &welcome)?;
    client.heard_nothing().await
}

async fn first_frame(world: &World) -> Result<()> {
    let mut client = Client::offering(world, "pregon.v1").await?;
    let welcome = client.asked_well(json!({"type": "auth", "token": world.users[1].token})).await?;
    welcomed(world, 1, &welcome)
}

async fn ticket(world: &World) -> Result<()> {
    let offer = format!("pregon.v1, ticket.{}", world.ticket(0)?);
    let mut client = Client::offering(world, &offer).await?;
    has(&client.next().await?, &json!({"type": "welcome", "user": {"id": world.users[0].id}}))?;
    let mut again = Client::offering(world, &offer).await?;
    refused(&again.next().await?, "used_ticket")?;
    let ticket = world.ticket(1)?;
    let mut second = Client::offering(world, "pregon.v1").await?;
    let welcome = second.asked_well(json!({"type": "auth", "ticket": ticket})).await?;
    has(&welcome, &json!({"type": "welcome", "user": {"id": world.users[1].id}}))?;
    refused(&again.asked(json!({"type": "auth", "ticket": ticket})).await?, "used_ticket")?;
    refused(&again.asked(json!({"type": "auth", "ticket": world.users[1].token})).await?, "used_ticket")
}

async fn early(world: &World) -> Result<()> {
    let mut client = Client::offering(world, &format!("pregon.v1, token.{}", world.users[0].token)).await?;
    let room = world.room()?;
    client.ask(json!({"type": "ping"})).await?;
    client.ask(json!({"type": "subscribe", "topic": room.topic})).await?;
    has(&client.next().await?, &json!({"type": "welcome"}))?;
    has(&client.next().await?, &json!({"type": "pong", "id": 1}))?;
    has(&client.next().await?, &json!({"type": "subscribed", "id": 2}))?;
    // The same before a token that is none.
    let mut nobody = Client::offering(world, "pregon.v1, token.a.b.c").await?;
    let texts = (1..4).map(|id| json!({"type": "ping", "id": id}).to_string()).collect();
    nobody.socket.texts(texts).await?;
    let mut codes = Vec::new();
    for _ in 0..4 {
        let frame = nobody.next().await?;
        codes.push((frame["id"].as_u64(), frame["code"].as_str().unwrap_or_default().to_owned()));
    }
    let expected = [
        (None, "bad_token"),
        (Some(1), "not_authenticated"),
        (Some(2), "not_authenticated"),
        (Some(3), "not_authenticated"),
    ];
    if !codes.iter().zip(expected).all(|((id, code), expected)| (*id, code.as_str()) == expected) {
        bail!("expected {expected:?}, came {codes:?}");
    }
    Ok(())
}

async fn again(world: &World) -> Result<()> {
    let mut client = Client::offering(world, "pregon.v1").await?;
    let early = client.asked(json!({"type": "subscribe", "topic": "feed"})).await?;
    refused(&early, "not_authenticated")?;
    let both = json!({"type": "auth", "token": world.users[0].token, "ticket": "a.b.c"});
    for (request, code) in [
        (json!({"type": "auth", "token": "a.b.c"}), "bad_token"),
        (json!({"type": "auth", "ticket": "a.b.c"}), "used_ticket"),
        (json!({"type": "auth"}), "bad_fields"),
        (both, "bad_fields"),
    ] {
        let reply = client.asked(request).await?;
        refused(&reply, code)?;
        has(&reply, &json!({"retry": "fix"}))?;
    }
    let welcome = client.asked(json!({"type": "auth", "token": world.users[0].token})).await?;
    welcomed(world, 0, &welcome)
}

async fn refresh(world: &World) -> Result<()> {
    let mut client = Client::open(world, 0).await?;
    let room = world.room()?;
    client.joined(&room.topic).await?;
    let newer = client.asked_well(json!({"type": "auth", "token": world.users[0].token})).await?;
    has(&newer, &json!({"type": "refreshed", "token_expires": crate::setup::token_end(&world.users[0].token)}))?;
    refused(&client.asked(json!({"type": "auth", "token": world.users[1].token})).await?, "other_user")?;
    refused(&client.asked(json!({"type": "auth", "token": "a.b.c"})).await?, "bad_token")?;
    client.say(&room.topic, "still here").await?;
    client.hears(&room.topic, json!({"content": "still here"})).await?;
    Ok(())
}

async fn silent(world: &World) -> Result<()> {
    let mut client = Client::offering(world, "pregon.v1").await?;
    let began = Instant::now();
    refused(&client.asked(json!({"type": "ping"})).await?, "not_authenticated")?;
    let (code, after) = (client.socket.closed().await?, began.elapsed());
    let expected = Duration::from_secs(4)..Duration::from_secs(9);
    if code != 4001 || !expected.contains(&after) {
        bail!("expected 4001 after 5 s, came {code} after {after:?}");
    }
    Ok(())
}

async fn logout(world: &World) -> Result<()> {
    let guest = world.guest()?;
    let mut client = Client::offering(world, &format!("pregon.v1, token.{}", guest.token)).await?;
    has(&client.next().await?, &json!({"type": "welcome", "user": {"id": guest.id}}))?;
    let answer = world.rest_with("POST", "/api/auth/logout/", &guest.token, Some(&json!({})), &[])?;
    that((200..300).contains(&answer.status), "a logout that succeeds", &answer.body)?;
    match client.socket.closed().await? {
        4001 => {}
        code => bail!("expected 4001 after the logout, came {code}"),
    }
    let mut again = Client::offering(world, &format!("pregon.v1, token.{}", guest.token)).await?;
    refused(&again.next().await?, "bad_token")
}
