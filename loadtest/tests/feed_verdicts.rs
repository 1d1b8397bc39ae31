//! Tests `feed` and `reactions` end to end: a right server passes, each kind of fault is named and exits with 1.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

const USERS: usize = 6;
const FOLLOWERS: usize = 3;
const KINDS: [&str; 3] = ["like", "celebration", "golazo"];
const POST: &str = "fb349c61-b203-43fa-a906-000000000000";

/// The server's fault, from the fifth post or reaction on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// User 1 does not receive it.
    Miss,
    /// A user who does not follow receives it.
    Stranger,
    /// User 1 receives it after the next one.
    Swap,
    /// User 1 receives it twice.
    Double,
    /// User 1 receives another content.
    Content,
    /// The author is told another id.
    OtherId,
    /// The author's request fails.
    Error,
    /// The server refuses it as too busy.
    Busy,
    /// Frames show one like too many.
    Counts,
    /// The post's stored counters are wrong.
    Table,
    /// Frames do not show the last reactions.
    Stale,
}

/// One server's state.
struct State {
    fault: Fault,
    follows: BTreeSet<usize>,
    feeds: Vec<(usize, TcpStream)>,
    watchers: Vec<TcpStream>,
    posts: usize,
    held: Vec<u8>,
    reactions: usize,
    stands: BTreeMap<usize, usize>,
}

fn id_of(user: usize) -> String {
    format!("c29e1460-2438-4c40-a229-{user:012}")
}

/// `{"exp":9999999999}`, and who it is.
fn token_of(user: usize) -> String {
    format!("x.eyJleHAiOjk5OTk5OTk5OTl9.{user}")
}

fn text_frame(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

impl State {
    fn counts(&self) -> Value {
        let count = |kind| self.stands.values().filter(|stands| **stands == kind).count();
        json!({"likes_count": count(0), "celebrations_count": count(1), "golazos_count": count(2)})
    }

    fn publish(&mut self, content: &str) -> (u16, Value) {
        let is_fifth = self.posts == 5;
        let fault = if is_fifth { self.fault } else { Fault::None };
        self.posts += 1;
        match fault {
            Fault::Error => return (500, json!({"error": "no"})),
            Fault::Busy => return (503, json!({"error": "later"})),
            _ => {}
        }
        let id = format!("fb349c61-b203-43fa-a906-{:012}", self.posts - 1);
        let post = json!({"id": id, "user": {"id": id_of(0)}, "content": content, "user_reaction": null, "is_bookmarked": false});
        let frame = text_frame(&json!({"type": "new_post", "post": post}));
        for (user, socket) in &mut self.feeds {
            let mut out = frame.clone();
            if *user == 1 {
                match fault {
                    Fault::Miss => out.clear(),
                    Fault::Swap => self.held = std::mem::take(&mut out),
                    Fault::Double => out.extend_from_slice(&frame),
                    Fault::Content => {
                        let mut post = post.clone();
                        post["content"] = json!("otra cosa");
                        out = text_frame(&json!({"type": "new_post", "post": post}));
                    }
                    _ => out.append(&mut self.held),
                }
            }
            let hears = *user == 0 || self.follows.contains(user) || fault == Fault::Stranger;
            if hears {
                // This fails when the tester hangs up at its end.
                let _ = socket.write_all(&out);
            }
        }
        let mut answer = post;
        if fault == Fault::OtherId {
            answer["id"] = json!(POST.replace('f', "e"));
        }
        (201, answer)
    }

    fn react(&mut self, user: usize, kind: &str) -> (u16, Value) {
        let kind = KINDS.iter().position(|known| *known == kind).expect("a kind");
        let is_same = self.stands.get(&user) == Some(&kind);
        if is_same {
            self.stands.remove(&user);
        } else {
            self.stands.insert(user, kind);
        }
        self.reactions += 1;
        let is_late = self.reactions > 4;
        let mut data = self.counts();
        if is_late && self.fault == Fault::Counts {
            data["likes_count"] = json!(data["likes_count"].as_i64().expect("a count") + 1);
        }
        data["post_id"] = json!(POST);
        data["user_reaction"] = json!({"user_id": id_of(user), "reaction_type": (!is_same).then(|| KINDS[kind])});
        if !(is_late && self.fault == Fault::Stale) {
            let on_post = text_frame(&json!({"type": "post_reaction", "reaction_data": data}));
            let on_feeds = text_frame(&json!({"type": "post_reaction", "post_id": POST, "reaction_data": data}));
            self.watchers.iter_mut().for_each(|socket| _ = socket.write_all(&on_post));
            self.feeds.iter_mut().for_each(|(_, socket)| _ = socket.write_all(&on_feeds));
        }
        (if is_same { 200 } else { 201 }, json!({"message": "", "counts": self.counts()}))
    }

    fn stored(&self) -> Value {
        let mut post = self.counts();
        if self.fault == Fault::Table {
            post["golazos_count"] = json!(99);
        }
        post["reactions"] = self.stands.values().map(|kind| json!({"reaction_type": KINDS[*kind]})).collect();
        post
    }

    fn request(&mut self, line: &str, user: usize, body: &Value) -> (u16, Value) {
        let path = line.split(' ').nth(1).expect("a path");
        match (line.split(' ').next().expect("a method"), path) {
            ("POST", "/api/posts/") => self.publish(body["content"].as_str().expect("content")),
            ("POST", path) if path.ends_with("/react/") => {
                self.react(user, body["reaction_type"].as_str().expect("a kind"))
            }
            ("POST", "/api/users/follow/u0/") => {
                self.follows.insert(user);
                (201, json!({"message": ""}))
            }
            ("DELETE", "/api/users/unfollow/u0/") => {
                self.follows.remove(&user);
                (400, json!({"error": ""}))
            }
            ("GET", _) => (200, self.stored()),
            _ => panic!("{line}"),
        }
    }
}

/// One connection: requests one after the other, or a socket after its upgrade.
fn serve(mut socket: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(socket.try_clone().expect("a second handle"));
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or_default() == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let header = |name: &str| {
            let found = lines.iter().find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
            found.unwrap_or_default()
        };
        let user = |text: &str| text.rsplit('.').next().and_then(|user| user.trim().parse().ok());
        let line = &lines[0];
        if !header("upgrade:").is_empty() {
            let path = line.split(' ').nth(1).expect("a path");
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            let mut state = state.lock().expect("a lock");
            socket.write_all(answer.as_bytes()).expect("an answer");
            if path.starts_with("/ws/feed/") {
                socket.write_all(&text_frame(&json!({"type": "connection_established"}))).expect("a greeting");
                state.feeds.push((user(path).expect("a user"), socket.try_clone().expect("a third handle")));
            } else {
                assert!(path.starts_with(&format!("/ws/post/{POST}/")), "{path}");
                state.watchers.push(socket.try_clone().expect("a third handle"));
            }
            drop(state);
            // The tester only sends its goodbye here.
            let _ = reader.read_to_end(&mut Vec::new());
            return;
        }
        let mut body = vec![0; header("content-length:").trim().parse().unwrap_or_default()];
        reader.read_exact(&mut body).expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let who = user(&header("authorization:")).expect("a user");
        let (status, answer) = state.lock().expect("a lock").request(line, who, &body);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let _ = socket.write_all((head + &answer).as_bytes());
    }
}

/// A test's own folder, removed when dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run_against(fault: Fault, scenario: &str) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let state = Arc::new(Mutex::new(State {
        fault,
        follows: BTreeSet::new(),
        feeds: Vec::new(),
        watchers: Vec::new(),
        posts: 0,
        held: Vec::new(),
        reactions: 0,
        stands: BTreeMap::new(),
    }));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.expect("a client");
            let state = Arc::clone(&state);
            std::thread::spawn(move || serve(socket, &state));
        }
    });
    let folder = std::env::temp_dir().join(format!("loadtest-feed-{}-{}", std::process::id(), address.port()));
    let folder = Folder(folder);
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let users: Vec<Value> = (0..USERS)
        .map(|user| json!({"id": id_of(user), "username": format!("u{user}"), "token": token_of(user)}))
        .collect();
    let fixture = folder.0.join("users.json");
    std::fs::write(&fixture, json!({"users": users, "rooms": []}).to_string()).expect("a fixture");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(scenario.split_whitespace()).args(["--url", &format!("ws://{address}"), "--json", "-"]);
    command.args(["--warmup", "0", "--drain", "0.3", "--fixture"]).arg(&fixture).output().expect("loadtest runs")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn each_fault_of_a_feed_is_named() {
    let cases = [
        (Fault::None, None),
        (Fault::Miss, Some("lost")),
        (Fault::Stranger, Some("misdirected")),
        (Fault::Swap, Some("reordered")),
        (Fault::Double, Some("duplicated")),
        (Fault::Content, Some("damaged")),
        (Fault::OtherId, Some("damaged")),
    ];
    for (fault, counter) in cases {
        let output = run_against(fault, &format!("feed --followers {FOLLOWERS} --outsiders 2 --rate 40 --seconds 0.5"));
        let report = report(&output);
        let traffic = &report["traffic"];
        let Some(counter) = counter else {
            assert_eq!(output.status.code(), Some(0), "{report}");
            let posts = report["posts"].as_u64().expect("a number");
            assert!((10..=21).contains(&posts), "{report}");
            // The first one is sent before the round begins; the author's own feed receives them, too.
            assert_eq!(traffic["checked"], (posts + 1) * (FOLLOWERS as u64 + 1), "{report}");
            assert!(report["last_after_request"]["p50"].as_f64() > Some(0.0), "{report}");
            continue;
        };
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {report}");
        assert!(traffic["violations"][counter].as_u64() >= Some(1), "{fault:?}: {}", traffic["violations"]);
    }
}

#[test]
fn a_post_that_fails_ends_the_run_and_one_that_is_refused_is_counted() {
    let scenario = format!("feed --followers {FOLLOWERS} --outsiders 1 --closed --seconds 0.3");
    let output = run_against(Fault::Error, &scenario);
    let failed = report(&output);
    assert_eq!(output.status.code(), Some(1), "{failed}");
    assert!(failed["failed"].to_string().contains("answered with 500"), "{failed}");
    assert_eq!(failed["traffic"]["violations"]["lost"], 0, "nobody waits for it: {failed}");
    let output = run_against(Fault::Busy, &scenario);
    let refused = report(&output);
    assert_eq!(output.status.code(), Some(0), "{refused}");
    assert_eq!(refused["traffic"]["refused"]["total"], 1, "{refused}");
    assert!(refused["posts"].as_u64() > Some(10), "the closed loop goes on: {refused}");
}

#[test]
fn each_fault_of_reactions_is_named() {
    let slowly = "reactions --reactors 4 --viewers 2 --followers 2 --rate 15 --connections 2 --seconds 0.7";
    let cases = [
        (Fault::None, None),
        (Fault::Counts, Some("counts that no reaction left behind")),
        (Fault::Table, Some("the post's counters are")),
        (Fault::Stale, Some("viewers whose last frame has other counts than the table")),
    ];
    for (fault, what) in cases {
        let output = run_against(fault, slowly);
        let report = report(&output);
        let violations = report["violations"].to_string();
        match what {
            None => {
                assert_eq!(output.status.code(), Some(0), "{report}");
                assert!(report["checked"].as_u64() >= Some(4 * 8), "{report}");
            }
            Some(what) => {
                assert_eq!(output.status.code(), Some(1), "{fault:?}: {report}");
                assert!(violations.contains(what), "{fault:?}: {violations}");
            }
        }
    }
    let output = run_against(Fault::None, &slowly.replace("--rate 15", "--rate 200"));
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "a frame for each is too many: {report}");
    let violations = report["violations"].as_object().expect("an object");
    assert_eq!(violations["viewers that got more than 10 frames a second"], 4, "{report}");
    assert_eq!(violations.len(), 1, "{report}");
}

#[test]
fn a_fixture_with_too_few_users_is_named() {
    let output = run_against(Fault::None, "feed --followers 50");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("6 users and 56 are needed") && said.contains("pregon seed --users 56"), "{said}");
}
