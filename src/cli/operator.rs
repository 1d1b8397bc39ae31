//! `pregon sessions` and `pregon rebalance`: what operators ask of running servers, by the listener of `PREGON_ADMIN_ADDRESS`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::arguments::{Pace, SessionsVerb, Whose};
use crate::cli::output::say;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::domain::operator::{Answer, Outcome, Row};

/// How long the server may take: its own patience with other nodes is a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lists, tells or cuts sessions, and prints what came of it. Fails if a node did not do its part.
pub fn sessions(settings: &Settings, verb: &SessionsVerb) -> Result<ExitCode> {
    let (outcome, is_json) = match verb {
        SessionsVerb::List(list) => {
            let fields = [("user", &list.user), ("room", &list.room), ("node", &list.node), ("from", &list.from)];
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
            let outcome = ask(settings, Method::GET, &format!("/sessions?{}", query.finish()), None)?;
            if !list.json {
                table(&outcome)?.iter().try_for_each(|line| say(line))?;
            }
            (outcome, list.json)
        }
        SessionsVerb::Tell { whose, text, json } => {
            let mut body = fields(whose);
            body["text"] = json!(text);
            (ask(settings, Method::POST, "/sessions/tell", Some(&body))?, *json)
        }
        SessionsVerb::Cut { whose, stay_away, json } => {
            let mut body = fields(whose);
            body["stay_away"] = json!(stay_away);
            (ask(settings, Method::POST, "/sessions/cut", Some(&body))?, *json)
        }
    };
    let done = match verb {
        SessionsVerb::List(_) => "found",
        SessionsVerb::Tell { .. } => "told",
        SessionsVerb::Cut { .. } => "cut",
    };
    end(&outcome, done, is_json)
}

/// Has nodes with more sessions than the mean give some to the others.
pub fn rebalance(settings: &Settings, pace: &Pace) -> Result<ExitCode> {
    let body = json!({"over_seconds": pace.over, "percent_per_minute": pace.percent});
    let outcome = ask(settings, Method::POST, "/rebalance", Some(&body))?;
    end(&outcome, "told to move", pace.json)
}

fn fields(whose: &Whose) -> Value {
    match (&whose.user, &whose.room) {
        (Some(user), _) => json!({"user": user}),
        (_, room) => json!({"room": room}),
    }
}

/// Prints what each node did, and what was not done.
fn end(outcome: &Outcome, done: &str, is_json: bool) -> Result<ExitCode> {
    let missing = missing(outcome);
    if is_json {
        say(&serde_json::to_string(outcome)?)?;
    } else {
        let counts = outcome.nodes.iter().map(|node| format!("{} of {} on {}", node.count, node.sessions, node.node));
        let all: u64 = outcome.nodes.iter().map(|node| node.count).sum();
        let sessions = if all == 1 { "session" } else { "sessions" };
        say(&format!("{all} {sessions} {done}: {}", counts.collect::<Vec<_>>().join(", ")))?;
    }
    missing.iter().for_each(|line| drop(writeln!(std::io::stderr(), "{line}")));
    Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was not done, and what to do.
fn missing(outcome: &Outcome) -> Vec<String> {
    let silent = outcome.silent.iter().map(|node| {
        format!("{node} did not answer: if it runs, ask again; one that has died is forgotten 15 seconds later")
    });
    let problems = outcome.nodes.iter().filter_map(|node| Some(format!("{}: {}", node.node, node.problem.as_ref()?)));
    let away = outcome.is_bus_down.then(|| {
        "Redis is away, so other nodes may not have been asked: ask again when /readyz answers ready, or ask each node".to_owned()
    });
    silent.chain(problems).chain(away).collect()
}

/// The lines of a list.
fn table(outcome: &Outcome) -> Result<Vec<String>> {
    let mut rows =
        vec![["NODE", "PLACE", "USER", "ID", "LISTENS TO", "SINCE", "IDLE", "OWED", "ADDRESS"].map(str::to_owned)];
    for node in &outcome.nodes {
        rows.extend(node.rows.iter().map(|row| cells(node, row)));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = if rows.len() > 1 { rows.iter().map(line).collect() } else { Vec::new() };
    for node in &outcome.nodes {
        if let Some(next) = node.next {
            let listed = node.rows.len();
            lines.push(format!(
                "{}: {listed} are listed; the list goes on with --node {} --from {next}",
                node.node, node.node
            ));
        }
    }
    Ok(lines)
}

fn cells(node: &Answer, row: &Row) -> [String; 9] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let topic = match (row.topics, row.topic) {
        (Some(topics), _) => format!("pregon.v1, topics: {topics}"),
        (None, Some(topic)) => topic.to_string(),
        (None, None) => row.kind.to_string(),
    };
    [
        node.node.to_string(),
        row.place.to_string(),
        or_dash(row.username.as_ref().map(|name| name.to_string())),
        or_dash(row.user.map(|user| user.to_string())),
        topic,
        Timestamp(row.since.saturating_mul(1_000_000)).database_text()[..19].replace(' ', "T") + "Z",
        format!("{} s", row.idle_seconds),
        row.owed_bytes.to_string(),
        or_dash(row.address.as_ref().map(|address| address.to_string())),
    ]
}

fn ask(settings: &Settings, method: Method, path: &str, body: Option<&Value>) -> Result<Outcome> {
    let Some(key) = &settings.admin_key else {
        bail!(
            "PREGON_ADMIN_KEY is not set: set it to the key of the server, or PREGON_ADMIN_KEY_FILE to a file with it. A server \
             without a key hears no operators."
        );
    };
    let address = reachable(settings.admin_address);
    let mut authorization = header::HeaderValue::from_bytes(&[b"Bearer ", key.bytes()].concat())
        .context("PREGON_ADMIN_KEY has characters that no header can carry: choose another, for example PREGON_ADMIN_KEY=$(openssl rand -hex 32)")?;
    authorization.set_sensitive(true);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    let (status, answer) = runtime.block_on(async {
        let sent = timeout(PATIENCE, send(address, request)).await;
        sent.unwrap_or_else(|_| bail!("{address} does not answer: look at the server's log"))
    })?;
    if status == StatusCode::OK {
        return serde_json::from_slice(&answer)
            .with_context(|| format!("what {address} answers is not understood: is it a pregon of this version?"));
    }
    let error = serde_json::from_slice::<Value>(&answer).unwrap_or_default();
    match error["error"].as_str() {
        Some(error) => bail!("{error}"),
        None => bail!("{address} answers {status}: is it the PREGON_ADMIN_ADDRESS of a pregon?"),
    }
}

async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
    let nobody = || {
        format!(
            "nobody listens for operators on {address}: start the server with PREGON_ADMIN_KEY, or set PREGON_ADMIN_ADDRESS to \
             where it listens"
        )
    };
    let socket = TcpStream::connect(address).await.with_context(nobody)?;
    let broken = || format!("the connection to {address} broke: is it the PREGON_ADMIN_ADDRESS of a pregon?");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.with_context(broken)?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.with_context(broken)?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.with_context(broken)?.to_bytes();
    connection.abort();
    Ok((parts.status, body))
}

/// Where a server on this machine is reached that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operator::Place;
    use crate::ids::{RoomId, Topic, UserId};

    fn row(name: Option<&str>) -> Row {
        Row {
            place: Place { shard: 1, slot: 7 },
            user: name.map(|_| UserId(uuid::Uuid::nil())),
            username: name.map(Into::into),
            kind: "chat".into(),
            topic: Some(Topic::Room(RoomId(uuid::Uuid::nil()))),
            topics: None,
            since: 1_769_941_800,
            idle_seconds: 3,
            owed_bytes: 0,
            address: Some("127.0.0.1:5000".into()),
        }
    }

    #[test]
    fn a_list_is_a_table_that_says_where_it_goes_on() {
        let rows = vec![row(Some("ana")), Row { topics: Some(12), ..row(None) }];
        let next = Some(Place { shard: 1, slot: 8 });
        let node = Answer { node: "chat-1".into(), sessions: 9, count: 2, rows, next, problem: None };
        let lines = table(&Outcome { nodes: vec![node], ..Outcome::default() }).unwrap();
        assert_eq!(lines.len(), 4, "{lines:#?}");
        let column = lines[0].find("SINCE").unwrap();
        assert!(lines[1][column..].starts_with("2026-02-01T10:30:00Z  3 s"), "{lines:#?}");
        assert!(lines[2].contains("pregon.v1, topics: 12") && lines[2].contains("  -  "), "{lines:#?}");
        assert!(lines[3].ends_with("--node chat-1 --from 1.8"), "{lines:#?}");
        assert_eq!(table(&Outcome::default()).unwrap(), [""; 0]);
    }

    #[test]
    fn whoever_did_not_answer_is_named_with_what_to_do() {
        let outcome = Outcome { silent: vec!["chat-2".into()], is_bus_down: true, ..Outcome::default() };
        let missing = missing(&outcome);
        assert!(missing[0].starts_with("chat-2 did not answer") && missing[1].contains("Redis is away"), "{missing:?}");
    }

    #[test]
    fn a_server_on_all_addresses_is_reached_on_this_machine() {
        let reached = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8010"), "127.0.0.1:8010");
        assert_eq!(reached("[::]:8010"), "[::1]:8010");
        assert_eq!(reached("10.0.0.5:8010"), "10.0.0.5:8010");
    }
}
