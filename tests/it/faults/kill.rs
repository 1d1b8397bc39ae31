//! `kill -9` under load: every message that any member received is in the database, once, in the order in which it was
//! received.

use std::collections::HashMap;

use crate::support::ledger::Ledger;
use crate::support::{Server, Socket};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const ROOMS: usize = 10;
const MEMBERS: usize = 5;
/// Members of each room who write; the others only react.
const SENDERS: usize = 3;
/// Unechoed messages of a sender.
const WINDOW: usize = 6;
/// The number of frames that all members have received when the server is killed: early, in full flow, later.
const KILLED_AFTER: [usize; 4] = [60, 2_500, 900, 6_001];

/// A durable frame that a member received.
struct Heard {
    room: usize,
    member: usize,
    frame: Value,
}

/// The parts of a durable event that frames and the log share: kind, message, user, detail.
type Event = (String, String, String, Option<String>);

fn event(frame: &Value) -> Option<Event> {
    let text = |value: &Value| value.as_str().unwrap().replace('-', "");
    let message = &frame["message"];
    Some(match frame["type"].as_str().unwrap() {
        "chat_message" => ("sent".into(), text(&message["id"]), text(&message["sender"]["id"]), None),
        "message_edited" => ("edited".into(), text(&message["id"]), text(&message["sender"]["id"]), None),
        "message_reaction" => {
            let kind = if frame["added"] == true { "reacted" } else { "unreacted" };
            let detail = frame["reaction_type"].as_str().map(str::to_owned);
            (kind.into(), text(&frame["message_id"]), text(&frame["user_id"]), detail)
        }
        "user_status" => return None,
        _ => panic!("{frame}"),
    })
}

/// One member until the end: senders keep a window of messages under way and edit some; everybody reacts to some.
async fn take_part(mut socket: Socket, label: String, user: String, is_sender: bool, heard: impl Fn(Value)) {
    let mut number = 0;
    let mut next = || {
        number += 1;
        json!({"type": "chat_message", "content": format!("{label} {number}")})
    };
    for _ in 0..if is_sender { WINDOW } else { 0 } {
        if !socket.try_send(next()).await {
            return;
        }
    }
    let mut count = 0;
    while let Some(frame) = socket.try_next_json().await {
        let is_message = frame["type"] == "chat_message";
        let id = frame["message"]["id"].clone();
        let sender = frame["message"]["sender"]["id"].clone();
        let content = frame["message"]["content"].as_str().unwrap_or_default().to_owned();
        heard(frame);
        if !is_message {
            continue;
        }
        count += 1;
        let mut answers = Vec::new();
        if sender == user {
            answers.push(next());
            if count % 3 == 0 {
                let content = format!("{content} editado");
                answers.push(json!({"type": "edit_message", "message_id": id, "content": content}));
            }
        } else if count % 5 == 0 {
            answers.push(json!({"type": "react_message", "message_id": id, "reaction_type": "fire"}));
        }
        for answer in answers {
            if !socket.try_send(answer).await {
                return;
            }
        }
    }
}

/// Everybody takes part until the server is killed after `frames` frames. Returns what everybody received until the
/// end.
async fn run_until_killed(server: &mut Server, round: usize, enough: usize) -> Vec<Heard> {
    let mut sockets = Vec::new();
    for room in 0..ROOMS {
        for member in 0..MEMBERS {
            let user = server.fixture.rooms[room].members[member];
            sockets.push((room, member, server.join(room, user).await));
        }
    }
    let (tell, mut told) = mpsc::unbounded_channel();
    for (room, member, socket) in sockets {
        let user = server.fixture.users[server.fixture.rooms[room].members[member]].id.clone();
        let tell = tell.clone();
        let heard = move |frame| drop(tell.send(Heard { room, member, frame }));
        tokio::spawn(take_part(socket, format!("{round}/{member}"), user, member < SENDERS, heard));
    }
    drop(tell);
    let mut all = Vec::new();
    let mut is_killed = false;
    while let Some(heard) = told.recv().await {
        if event(&heard.frame).is_some() {
            all.push(heard);
        }
        if all.len() >= enough && !is_killed {
            server.kill();
            is_killed = true;
        }
    }
    assert!(is_killed, "it ended by itself after {} frames", all.len());
    all
}

fn log_of(ledger: &Ledger, room: &str) -> Vec<Event> {
    let mut query = ledger
        .0
        .prepare("SELECT kind, message_id, user_id, detail FROM pregon_events WHERE topic = 'room:' || ? ORDER BY epoch, seq")
        .unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    query.query_map([room.replace('-', "")], row).unwrap().map(Result::unwrap).collect()
}

/// The room's messages by REST, oldest first.
async fn history(server: &Server, room: usize) -> Vec<Value> {
    let path = format!("/api/messaging/chats/{}/messages/", server.fixture.rooms[room].id);
    let user = server.fixture.rooms[room].members[0];
    let mut all = Vec::new();
    for page in 1.. {
        let (status, body) = server.rest("GET", &format!("{path}?page={page}&page_size=50"), user, None).await;
        if page == 1 && body["count"] == 0 {
            break;
        }
        assert_eq!(status, 200, "{body}");
        all.extend(body["results"].as_array().unwrap().iter().cloned());
        if body["next"].is_null() {
            break;
        }
    }
    all.reverse();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_anybody_heard_survives_kill_9_once_and_in_its_order() {
    let mut server = Server::builder().seed(ROOMS * MEMBERS, ROOMS, MEMBERS).set("PREGON_SHARDS", 2).start().await;
    let mut begins = [0; ROOMS];
    let mut messages: HashMap<String, Value> = HashMap::new();
    let mut edited: HashMap<String, Value> = HashMap::new();
    for (round, enough) in KILLED_AFTER.into_iter().enumerate() {
        let heard = run_until_killed(&mut server, round, enough).await;
        server.restart();
        let ledger = Ledger::open(&server);
        ledger.assert_whole();
        for room in 0..ROOMS {
            let log = log_of(&ledger, &server.fixture.rooms[room].id);
            for member in 0..MEMBERS {
                let own = heard.iter().filter(|heard| (heard.room, heard.member) == (room, member));
                let events: Vec<Event> = own.filter_map(|heard| event(&heard.frame)).collect();
                // From this round's first event on, without a gap, for as long as this member could receive.
                assert!(log.len() >= begins[room] + events.len(), "events that were heard are lost");
                assert_eq!(events, log[begins[room]..][..events.len()], "round {round}, room {room}, member {member}");
            }
            begins[room] = log.len();
        }
        for Heard { frame, .. } in heard {
            let message = frame["message"].clone();
            let id = message["id"].as_str().unwrap_or_default().to_owned();
            match frame["type"].as_str().unwrap() {
                "chat_message" => assert!(messages.insert(id, message.clone()).is_none_or(|before| before == message)),
                "message_edited" => drop(edited.insert(id, message["content"].clone())),
                _ => {}
            }
        }
    }
    let ledger = Ledger::open(&server);
    for room in 0..ROOMS {
        let stored = history(&server, room).await;
        let ids = stored.iter().map(|message| message["id"].as_str().unwrap().replace('-', ""));
        let log = log_of(&ledger, &server.fixture.rooms[room].id).into_iter();
        let sent: Vec<String> = log.filter(|event| event.0 == "sent").map(|event| event.1).collect();
        assert_eq!(ids.collect::<Vec<_>>(), sent, "history's order is the order of the frames");
        for message in stored {
            let id = message["id"].as_str().unwrap();
            let Some(echoed) = messages.remove(id) else { continue };
            let fixed = |of: &Value| (of["created_at"].clone(), of["sender"]["id"].clone(), of["message_type"].clone());
            assert_eq!(fixed(&message), fixed(&echoed));
            let content = message["content"].as_str().unwrap();
            let was_edited = message["is_edited"] == true;
            let original = echoed["content"].as_str().unwrap();
            assert_eq!(content, if was_edited { format!("{original} editado") } else { original.to_owned() });
            assert!(edited.remove(id).is_none_or(|text| text == content), "an edit that was heard is lost");
        }
    }
    assert!(messages.is_empty() && edited.is_empty(), "{} messages that were heard are lost", messages.len());
    let mut ana = server.join(0, server.fixture.rooms[0].members[0]).await;
    ana.send(json!({"type": "chat_message", "content": "sigue"})).await;
    ana.expect("chat_message").await;
}

/// A long deletion that is cut off between two of its writes leaves fewer replies, correct counters and nothing
/// dangling. A repeated request finishes it.
#[tokio::test]
async fn a_deletion_that_is_cut_off_leaves_what_adds_up() {
    let mut server = Server::builder().seed(2, 0, 0).start().await;
    let post = server.publish(0, "hola").await;
    let path = format!("/api/posts/{}/comments/", post["id"].as_str().unwrap());
    let root = server.done("POST", &path, 0, Some(json!({"content": "raíz"}))).await;
    let [post_hex, root_hex] = [&post, &root].map(|one| one["id"].as_str().unwrap().replace('-', ""));
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.busy_timeout(crate::support::PATIENCE).unwrap();
    let user = server.fixture.users[1].id.replace('-', "");
    let answers = 20_000;
    // Half of them answer the comment, the other half answer one another in chains of five.
    let row = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) INSERT INTO comments \
        (id, content, image, likes_count, replies_count, is_edited, created_at, updated_at, parent_id, user_id, post_id) \
        SELECT printf('%032x', n), 'x', NULL, 0, 0, 0, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', \
        CASE WHEN n % 5 < 3 THEN ?2 ELSE printf('%032x', n - 1) END, ?3, ?4 FROM n";
    assert_eq!(database.execute(row, rusqlite::params![answers, root_hex, user, post_hex]).unwrap(), answers);
    database
        .execute_batch(&format!(
            "UPDATE comments SET replies_count = (SELECT count(*) FROM comments AS below WHERE below.parent_id = comments.id); \
             UPDATE posts SET comments_count = {answers} + 1"
        ))
        .unwrap();
    let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let client = reqwest::Client::new();
    let token = server.fixture.users[0].token.clone();
    let url = server.http(&format!("/api/posts/comments/{}/", root["id"].as_str().unwrap()));
    let asked = tokio::spawn(client.delete(url).bearer_auth(token).send());
    while number("SELECT comments_count FROM posts") > answers as i64 - 1000 {
        tokio::task::yield_now().await;
    }
    server.kill();
    assert!(asked.await.unwrap().is_err(), "it was not done yet");
    let left = number("SELECT count(*) FROM comments");
    assert!((1..answers as i64).contains(&left), "{left}");
    let wrong = "SELECT count(*) FROM comments AS one WHERE replies_count <> \
        (SELECT count(*) FROM comments WHERE parent_id = one.id)";
    assert_eq!((number("SELECT comments_count FROM posts"), number(wrong)), (left, 0));
    assert_eq!(number("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    server.restart();
    server.done("DELETE", &format!("/api/posts/comments/{}/", root["id"].as_str().unwrap()), 0, None).await;
    assert_eq!((number("SELECT count(*) FROM comments"), number("SELECT comments_count FROM posts")), (0, 0));
}
