//! The commands on a MySQL database: what they create, what they leave alone, and what they refuse.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::private::MariaDb;
use crate::support::{Fixture, SECRET, Server, pregon};
use mysql_async::Row;
use mysql_async::prelude::Queryable;
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use serde_json::{Value, json};

async fn new_database() -> (String, String) {
    let name = MariaDb::shared().new_database().await;
    (MariaDb::shared().url(&name), name)
}

fn run(folder: &Path, url: &str, arguments: &[&str]) -> Output {
    let settings = [("PREGON_DATABASE_URL".to_owned(), url.to_owned())];
    pregon(&settings, folder).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The single sentence of a failure.
fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text
}

/// Every column, index and foreign key of the tables that are not pregon's own.
async fn schema(name: &str) -> Vec<String> {
    let mut connection = MariaDb::shared().connect(name).await;
    let queries = [
        "SELECT table_name, column_name, column_type, is_nullable, column_default, ordinal_position \
         FROM information_schema.columns",
        "SELECT table_name, index_name, seq_in_index, column_name, non_unique, collation \
         FROM information_schema.statistics",
        "SELECT table_name, constraint_name, constraint_type FROM information_schema.table_constraints",
    ];
    let mut lines = Vec::new();
    for query in queries {
        let sql = format!("{query} WHERE table_schema = database() AND table_name NOT LIKE 'pregon%'");
        let rows: Vec<Row> = connection.query(sql).await.unwrap();
        let texts = |row: Row| row.unwrap().into_iter().map(mysql_async::from_value::<Option<String>>);
        lines.extend(rows.into_iter().map(|row| format!("{:?}", texts(row).collect::<Vec<_>>())));
    }
    lines.sort_unstable();
    connection.disconnect().await.unwrap();
    lines
}

async fn statements(name: &str, statements: &[&str]) {
    let mut connection = MariaDb::shared().connect(name).await;
    for statement in statements {
        connection.query_drop(*statement).await.unwrap();
    }
    connection.disconnect().await.unwrap();
}

/// The number of migrations.
const STEPS: usize = 11;

#[tokio::test]
async fn a_migration_shows_its_plan_and_serving_waits_for_it() {
    let (folder, (url, name)) = (tempfile::tempdir().unwrap(), new_database().await);
    let here = folder.path();
    let refused = complaint(&run(here, &url, &["serve"]));
    assert!(refused.contains("0001_people_and_chat") && refused.contains("pregon migrate"), "{refused}");
    assert!(!refused.contains("pregon:pregon"), "a password: {refused}");

    let plan = said(&run(here, &url, &["migrate", "--dry-run"]));
    assert_eq!(plan.matches("to do").count(), STEPS, "{plan}");
    assert!(schema(&name).await.is_empty(), "a dry run makes nothing");
    let checked = run(here, &url, &["check"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("WRONG database: "), "{checked:?}");

    let done = said(&run(here, &url, &["migrate"]));
    assert_eq!((done.matches("applied").count(), done.matches("to do").count()), (STEPS, 0), "{done}");
    let made = schema(&name).await;
    for index in ["messages_chat_ro_134f80_idx", "users_is_acti_af9e1a_idx", "notificatio_recipie_583549_idx"] {
        assert!(made.iter().any(|line| line.contains(index)), "{index}");
    }
    let done = said(&run(here, &url, &["migrate"]));
    assert_eq!(done.matches("applied").count(), STEPS, "{done}");
    assert_eq!(schema(&name).await, made);
    let checked = String::from_utf8(run(here, &url, &["check"]).stdout).unwrap();
    assert!(checked.contains("is up to date"), "{checked}");
}

#[tokio::test]
async fn an_interrupted_migration_goes_on() {
    let (folder, (url, name)) = (tempfile::tempdir().unwrap(), new_database().await);
    said(&run(folder.path(), &url, &["migrate"]));
    let whole = schema(&name).await;
    // As if the power had failed after some tables of the third migration.
    statements(
        &name,
        &[
            "DROP TABLE notifications, post_bookmarks, post_shares",
            "UPDATE pregon_migrations SET applied_at = NULL WHERE number = 3",
        ],
    )
    .await;
    assert!(complaint(&run(folder.path(), &url, &["serve"])).contains("0003_feed"));
    said(&run(folder.path(), &url, &["migrate"]));
    assert_eq!(schema(&name).await, whole);
}

#[tokio::test]
async fn another_programs_tables_are_left_as_they_are() {
    let (folder, (url, name)) = (tempfile::tempdir().unwrap(), new_database().await);
    let here = folder.path();
    said(&run(here, &url, &["migrate"]));
    // The remaining tables are those that another program would have made, with a column, an index and a table of its
    // own.
    let own = [
        "DROP TABLE pregon_migrations, pregon_topics, pregon_events, pregon_client_ids, pregon_revoked, pregon_adopted, \
         pregon_ended_logins, pregon_left_rooms, pregon_words, pregon_named, pregon_nodes, pregon_blocks, \
         pregon_push_subscriptions, pregon_push_key",
        "DROP TABLE friend_requests, stories",
        "ALTER TABLE users ADD COLUMN theme varchar(20) NULL, ADD INDEX theirs (theme)",
        "CREATE TABLE django_migrations (id int)",
    ];
    statements(&name, &own).await;
    let before = schema(&name).await;
    let plan = said(&run(here, &url, &["migrate", "--dry-run"]));
    assert_eq!((plan.matches("left alone").count(), plan.matches("to do").count()), (2, STEPS - 2), "{plan}");
    said(&run(here, &url, &["migrate"]));
    assert_eq!(schema(&name).await, before, "nothing of theirs has changed");
    said(&run(here, &url, &["seed", "--users", "2", "--rooms", "1", "--members", "2", "--out", "fixture.json"]));

    // The zone of the other program's times is not guessed.
    let zone = "set it to Django's TIME_ZONE, for example PREGON_DB_ZONE=America/Bogota";
    assert!(complaint(&run(here, &url, &["serve"])).contains(zone));
    assert!(plan.contains(zone), "{plan}");
    let checked = run(here, &url, &["check"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains(zone), "{checked:?}");
    let settings = [("PREGON_DATABASE_URL".to_owned(), url.clone()), ("PREGON_DB_ZONE".to_owned(), "UTC".to_owned())];
    let checked = pregon(&settings, here).arg("check").output().unwrap();
    assert!(String::from_utf8_lossy(&checked.stdout).contains("is up to date"), "{checked:?}");

    let columns = ["ALTER TABLE posts DROP COLUMN views_count, ADD COLUMN mood varchar(9) NOT NULL, ADD COLUMN n int"];
    statements(&name, &columns).await;
    let refused = complaint(&run(here, &url, &["migrate"]));
    assert!(refused.contains("lacks posts.views_count and has posts.mood (NOT NULL"), "{refused}");
    statements(&name, &["DROP TABLE message_reads"]).await;
    assert!(complaint(&run(here, &url, &["migrate"])).contains("lacks message_reads"));
}

#[tokio::test]
async fn seeds_and_tokens_are_made_and_backups_are_others_work() {
    let (folder, (url, _)) = (tempfile::tempdir().unwrap(), new_database().await);
    let here = folder.path();
    let plan = ["seed", "--users", "5", "--rooms", "2", "--members", "3", "--follows", "2", "--out", "fixture.json"];
    assert!(complaint(&run(here, &url, &plan)).contains("run pregon migrate"));
    said(&run(here, &url, &["migrate"]));
    assert!(said(&run(here, &url, &plan)).starts_with("5 users (password \"pregon-demo\") and 2 rooms"));
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(here.join("fixture.json")).unwrap()).unwrap();
    let first = &fixture.users[0];
    for name in [first.username.to_uppercase(), first.id.clone(), first.id.replace('-', "")] {
        let token = said(&run(here, &url, &["token", "--user", &name]));
        let access = Tokens::new(SECRET.as_bytes()).verify_access(token.trim(), Timestamp::now()).unwrap();
        assert_eq!(access.user.to_string(), first.id);
    }
    assert!(complaint(&run(here, &url, &["token", "--user", "nadie"])).contains("is not a user of"));
    assert!(complaint(&run(here, &url, &["backup", "copy.db"])).contains("mariadb-dump"));
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_one_sentence_without_a_password() {
    let (folder, (url, name)) = (tempfile::tempdir().unwrap(), new_database().await);
    let wrong = [
        (url.replace("pregon:pregon", "pregon:hunter2"), "refuses the user or its password"),
        (url.replace(&format!("/{name}"), "/nowhere"), "CREATE DATABASE"),
        ("mysql://pregon:hunter2@127.0.0.1:1/x".to_owned(), "start it, or correct PREGON_DATABASE_URL"),
    ];
    for (url, part) in wrong {
        let sentence = complaint(&run(folder.path(), &url, &["migrate"]));
        assert!(sentence.contains(part) && !sentence.contains("hunter2"), "{sentence}");
    }
    // If several programs check the same tokens, no secret may be invented.
    let settings = [("PREGON_DATABASE_URL".to_owned(), url), ("PREGON_JWT_SECRET".to_owned(), String::new())];
    let output = pregon(&settings, folder.path()).arg("serve").output().unwrap();
    assert!(complaint(&output).contains("PREGON_JWT_SECRET is not set"));
}

/// A second server on the database, until it is dropped.
struct Second(Child);

impl Second {
    fn start(server: &Server) -> Self {
        let mut child = server.command().arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("ready"), "{ready}");
        Self(child)
    }

    /// All that it has logged, after its end.
    fn stop(&mut self) -> String {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.0.wait().unwrap().success(), "{log}");
        log
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_second_server_on_the_database_is_told_of_and_counted() {
    const WARNING: &str = "another pregon serves this database";
    let (folder, (url, name)) = (tempfile::tempdir().unwrap(), new_database().await);
    said(&run(folder.path(), &url, &["migrate"]));
    let checked = |runs: &str| {
        let output = String::from_utf8(run(folder.path(), &url, &["check"]).stdout).unwrap();
        assert!(output.contains(runs), "{output}");
    };
    checked("ok    servers: none runs");
    let mut server = Server::builder().on_file().set("PREGON_DATABASE_URL", &url).start().await;
    assert_eq!(server.metric("pregon_nodes_seen").await, 1.0);
    checked("ok    servers: one runs already, ");
    let mut second = Second::start(&server);
    checked("WRONG servers: 2 run on this database");
    // The first one hears of it, too.
    server.wait_for_log(WARNING).await;
    assert_eq!(server.metric("pregon_nodes_seen").await, 2.0);
    let log = second.stop();
    assert!(log.contains(WARNING) && log.contains(&format!("process {}", server.pid())), "{log}");
    server.wait_for_log("another server on this database has gone").await;
    assert_eq!(server.metric("pregon_nodes_seen").await, 1.0);

    // What `kill -9` leaves is no server.
    server.kill();
    server.restart();
    assert_eq!(server.metric("pregon_nodes_seen").await, 1.0);
    assert_eq!(server.log().matches(WARNING).count(), 1, "{}", server.log());
    statements(&name, &["DELETE FROM pregon_nodes", "RENAME TABLE pregon_nodes TO nodes_away"]).await;
    server.wait_for_log("another server on this database would not be noticed").await;
    assert_eq!(server.status("/readyz").await, 200, "it serves all the same");
    checked("ok    servers: whether one runs cannot be told");
    statements(&name, &["RENAME TABLE nodes_away TO pregon_nodes"]).await;
    server.wait_for_log("other servers on this database are seen again").await;
    assert_eq!(server.terminate(), Some(0));
    checked("ok    servers: none runs");
}

/// The keys of all objects in `value` that hold times.
fn times(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key.ends_with("_at") || key == "last_active" || key == "timestamp" => {
                        found.push(text.clone());
                    }
                    other => times(other, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| times(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn naive_times_are_shown_everywhere_where_they_are_asked_for() {
    let zone = "America/Bogota";
    let server = Server::builder().seed(2, 1, 2).set("PREGON_TIME_STYLE", "naive").set("PREGON_DB_ZONE", zone);
    let server = server.start().await;
    let user = &server.fixture.users[0];
    let room = &server.fixture.rooms[0].id;
    let client = reqwest::Client::new();
    let messages = server.http(&format!("/api/messaging/chats/{room}/messages/"));
    let body = json!({"content": "hola"});
    let before = Timestamp::now();
    let send = server.http(&format!("/api/messaging/chats/{room}/send_message/"));
    let sent = client.post(&send).bearer_auth(&user.token).json(&body).send().await.unwrap();
    let sent: Value = sent.json().await.unwrap();
    let list: Value = client.get(&messages).bearer_auth(&user.token).send().await.unwrap().json().await.unwrap();
    let mut shown = Vec::new();
    times(&sent, &mut shown);
    times(&list, &mut shown);
    assert!(shown.len() >= 6, "{list}");
    assert!(shown.iter().all(|text| !text.ends_with('Z') && (text.len() == 26 || text.len() == 19)), "{shown:?}");
    let text = sent["created_at"].as_str().unwrap_or_else(|| panic!("{sent}"));
    let wall = Timestamp::from_database_text(text).unwrap();
    // Five hours behind UTC all year round.
    let moment = wall.plus_seconds(5 * 3600);
    assert!(before <= moment && moment <= Timestamp::now(), "{text}");
    // A time that a client sends back in the same form means the same moment.
    let since = format!("{messages}?since={text}");
    let newer: Value = client.get(&since).bearer_auth(&user.token).send().await.unwrap().json().await.unwrap();
    assert_eq!(newer["count"], 0, "{newer}");
}

/// Also those that make no table: they were passed over, and nodes looked at the log without an index.
#[tokio::test]
async fn every_statement_of_a_migration_is_run() {
    let (folder, (url, name)) = (tempfile::tempdir().unwrap(), new_database().await);
    assert!(run(folder.path(), &url, &["migrate"]).status.success());
    let mut connection = MariaDb::shared().connect(&name).await;
    let index: Option<u64> = connection
        .query_first(
            "SELECT count(*) FROM information_schema.statistics WHERE table_schema = database() \
             AND index_name = 'pregon_events_created_idx'",
        )
        .await
        .unwrap();
    let columns: Option<u64> = connection
        .query_first(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = database() \
             AND table_name = 'pregon_client_ids' AND column_name IN ('epoch', 'seq')",
        )
        .await
        .unwrap();
    connection.disconnect().await.unwrap();
    assert_eq!((index, columns), (Some(1), Some(2)));
}
