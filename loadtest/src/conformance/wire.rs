//! Below the protocol: frames of all kinds, sizes, broken bytes, and the codes with which sockets close.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::check::checks;
use super::client::Client;
use super::expect::{has, refused, that};
use super::world::World;

/// The most bytes of a message.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const TEXT: OpCode = OpCode::Data(Data::Text);
const MORE: OpCode = OpCode::Data(Data::Continue);

checks! {
    "a protocol ping gets its pong, also amid a message" => ping;
    "a message may come in fragments" => fragments;
    "what is no JSON object is refused and the socket stays" => no_json;
    "a binary frame is refused and the socket stays" => binary;
    "a message of 64 KiB is read, a longer one closes with 1009" => size;
    "text that is not UTF-8 closes with 1007" => not_utf8;
    "broken framing closes with 1002" => framing;
    "a close is answered with its code" => close;
}

async fn pong(client: &mut Client<'_>, payload: &'static [u8]) -> Result<()> {
    match client.socket.next().await? {
        Message::Pong(came) if came == payload => Ok(()),
        other => bail!("expected a pong with {payload:?}, came {other:?}"),
    }
}

async fn ping(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    ana.heard_nothing().await?;
    ana.socket.send(Message::Ping(b"one"[..].into())).await?;
    pong(&mut ana, b"one").await?;
    ana.socket.frame(TEXT, r#"{"type":"pi"#, false).await?;
    ana.socket.frame(OpCode::Control(Control::Ping), "two", true).await?;
    pong(&mut ana, b"two").await?;
    ana.socket.frame(MORE, r#"ng","id":1}"#, true).await?;
    has(&ana.next().await?, &json!({"type": "pong", "id": 1}))
}

async fn fragments(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    let text = json!({"type": "ping", "id": "a😀b"}).to_string();
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    for (number, piece) in pieces.iter().enumerate() {
        // Characters are cut, too.
        ana.socket.frame(if number == 0 { TEXT } else { MORE }, *piece, false).await?;
    }
    ana.socket.frame(MORE, "", true).await?;
    has(&ana.next().await?, &json!({"type": "pong", "id": "a😀b"}))
}

async fn no_json(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    for text in
        ["", "nope", "[]", "5", "null", "\"ping\"", r#"{"type":"ping""#, r#"{"type":"ping"}x"#, "{'type':'ping'}"]
    {
        ana.socket.text(text).await?;
        let error = ana.next().await?;
        refused(&error, "bad_json")?;
        that(error["retry"] == "fix" && error.get("id").is_none(), "an error without id that says `fix`", &error)?;
    }
    ana.socket.text(format!("{{\"type\":\"ping\",\"id\":1,\"x\":{}1{}}}", "[".repeat(500), "]".repeat(500))).await?;
    let deep = ana.next().await?;
    that(deep["type"] == "error" || deep["type"] == "pong", "an answer to JSON nested deeply", &deep)?;
    ana.socket.text("\u{feff}{\"type\":\"ping\",\"id\":2}").await?;
    has(&ana.next().await?, &json!({"type": "pong", "id": 2}))?;
    let room = world.room()?;
    let half = format!(r#"{{"type":"chat_message","id":3,"topic":"{}","content":"\ud83d"}}"#, room.topic);
    ana.socket.text(half).await?;
    let error = ana.next().await?;
    refused(&error, "bad_fields")?;
    has(&error, &json!({"id": 3}))?;
    ana.heard_nothing().await
}

async fn binary(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    ana.socket.send(Message::binary(r#"{"type":"ping","id":1}"#)).await?;
    refused(&ana.next().await?, "bad_json")?;
    ana.heard_nothing().await
}

/// A ping of this many bytes.
fn long(bytes: usize) -> String {
    let (begin, end) = (r#"{"type":"ping","id":9,"pad":""#, "\"}");
    format!("{begin}{}{end}", "x".repeat(bytes - begin.len() - end.len()))
}

async fn size(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    ana.socket.text(long(MESSAGE_BYTES_MAX)).await?;
    has(&ana.next().await?, &json!({"type": "pong", "id": 9}))?;
    let text = long(MESSAGE_BYTES_MAX);
    let (first, second) = text.as_bytes().split_at(40_000);
    ana.socket.frame(TEXT, first, false).await?;
    ana.socket.frame(MORE, second, true).await?;
    has(&ana.next().await?, &json!({"type": "pong", "id": 9}))?;
    ana.socket.frame(TEXT, first, false).await?;
    ana.socket.frame(MORE, [second, b" "].concat(), true).await?;
    closes(ana, 1009).await?;
    let mut ana = Client::open(world, 0).await?;
    ana.socket.text(long(MESSAGE_BYTES_MAX + 1)).await?;
    closes(ana, 1009).await
}

async fn closes(mut client: Client<'_>, expected: u16) -> Result<()> {
    match client.socket.closed().await? {
        code if code == expected => Ok(()),
        code => bail!("expected the close code {expected}, came {code}"),
    }
}

async fn not_utf8(world: &World) -> Result<()> {
    for bytes in [&b"\xff"[..], b"{\"type\":\"ping\xc3\"}", b"\xed\xa0\x80"] {
        let mut ana = Client::open(world, 0).await?;
        ana.socket.frame(TEXT, bytes, true).await?;
        closes(ana, 1007).await?;
        // At once, although the message could go on.
        let mut ana = Client::open(world, 0).await?;
        ana.socket.frame(TEXT, bytes, false).await?;
        closes(ana, 1007).await?;
    }
    Ok(())
}

async fn framing(world: &World) -> Result<()> {
    let whole = [(OpCode::Data(Data::Reserved(3)), true), (OpCode::Control(Control::Reserved(11)), true), (MORE, true)];
    let cut = [(OpCode::Control(Control::Ping), false)];
    for (opcode, is_final) in whole.into_iter().chain(cut) {
        let mut ana = Client::open(world, 0).await?;
        ana.socket.frame(opcode, "x", is_final).await?;
        closes(ana, 1002).await?;
    }
    let mut ana = Client::open(world, 0).await?;
    ana.socket.frame(TEXT, "{", false).await?;
    ana.socket.frame(TEXT, "}", true).await?;
    closes(ana, 1002).await?;
    let mut ana = Client::open(world, 0).await?;
    ana.socket.frame(OpCode::Control(Control::Ping), [b'x'; 126], true).await?;
    closes(ana, 1002).await?;
    // Without a mask; with a reserved bit; with a length of two bytes where one would do.
    for bytes in [&b"\x81\x02{}"[..], b"\xc1\x82\0\0\0\0{}", b"\x81\xfe\0\x02\0\0\0\0{}"] {
        let mut ana = Client::open(world, 0).await?;
        ana.socket.bytes(bytes)?;
        closes(ana, 1002).await?;
    }
    for code in [0_u16, 999, 1005, 1006, 2000, 5000] {
        let mut ana = Client::open(world, 0).await?;
        ana.socket.frame(OpCode::Control(Control::Close), code.to_be_bytes(), true).await?;
        closes(ana, 1002).await?;
    }
    Ok(())
}

async fn close(world: &World) -> Result<()> {
    for (sent, expected) in [(Some(1000), 1000), (Some(1001), 1001), (Some(4321), 4321), (None, 1000)] {
        let mut ana = Client::open(world, 0).await?;
        ana.ask(json!({"type": "ping"})).await?;
        let frame = sent.map(|code: u16| CloseFrame { code: code.into(), reason: "bye".into() });
        ana.socket.send(Message::Close(frame)).await?;
        // What was asked before the close is answered before its answer.
        has(&ana.next().await?, &json!({"type": "pong", "id": 1}))?;
        match ana.socket.next().await? {
            Message::Close(Some(frame)) if u16::from(frame.code) == expected => {}
            other => bail!("expected the close code {expected}, came {other:?}"),
        }
    }
    // Nothing is heard behind a close.
    let mut ana = Client::open(world, 0).await?;
    let room = world.room()?;
    let before = ana.say(&room.topic, "before").await?["cursor"].clone();
    let mut beto = Client::open(world, 1).await?;
    ana.socket.frame(OpCode::Control(Control::Close), 1000_u16.to_be_bytes(), true).await?;
    let _ = ana
        .socket
        .frame(TEXT, json!({"type": "chat_message", "topic": room.topic, "content": "after"}).to_string(), true)
        .await;
    closes(ana, 1000).await?;
    let reply: Value = beto.subscribed(&room.topic, None).await?;
    that(reply["cursor"] == before, "nothing behind the close", &reply)
}
