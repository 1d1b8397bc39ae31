//! The commands beside `serve`: what they make, what they say, and how they fail.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::support::{Fixture, SECRET, Server, pregon};
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;

fn run(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    pregon(&settings, folder).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one sentence of a failure.
fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text
}

#[test]
fn seeded_users_have_tokens_that_count() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let plan = ["seed", "--users", "5", "--rooms", "2", "--members", "3", "--follows", "2", "--out", "fixture.json"];
    assert!(said(&run(here, &plan, &[])).starts_with("5 users (password \"pregon-demo\") and 2 rooms"));
    let file = here.join("fixture.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((fixture.users.len(), fixture.rooms.len(), fixture.rooms[0].members.len()), (5, 2, 3));
    let tokens = Tokens::new(SECRET.as_bytes());
    for user in &fixture.users {
        let access = tokens.verify_access(&user.token, Timestamp::now()).unwrap();
        assert_eq!(access.user.to_string(), user.id);
    }
    complaint(&run(here, &plan, &[]));
    said(&run(here, &[&plan[..], &["--allow-existing"]].concat(), &[]));

    let first = &fixture.users[0];
    for name in [first.username.to_uppercase(), first.id.clone(), first.id.replace('-', "")] {
        let token = said(&run(here, &["token", "--user", &name, "--hours", "1"], &[]));
        let access = tokens.verify_access(token.trim(), Timestamp::now()).unwrap();
        assert_eq!(access.user.to_string(), first.id);
    }
    assert!(complaint(&run(here, &["token", "--user", "nadie"], &[])).contains("is no user of"));

    said(&run(here, &["backup", "copy.db"], &[]));
    let copy = format!("sqlite://{}", here.join("copy.db").display());
    let token = run(here, &["--database-url", &copy, "token", "--user", &first.username], &[]);
    assert!(tokens.verify_access(said(&token).trim(), Timestamp::now()).is_ok());
    complaint(&run(here, &["backup", "copy.db"], &[]));
}

#[test]
fn a_refused_seed_leaves_the_tokens_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let plan = ["seed", "--users", "2", "--rooms", "1", "--members", "2", "--out", "fixture.json"];
    said(&run(here, &plan, &[]));
    let before = std::fs::read(here.join("fixture.json")).unwrap();
    assert!(complaint(&run(here, &plan, &[])).contains("holds users already"));
    assert_eq!(std::fs::read(here.join("fixture.json")).unwrap(), before);
    // What is longer than the new fixture leaves no rest, and what everybody could read no longer is.
    std::fs::write(here.join("old.json"), "x".repeat(100_000)).unwrap();
    std::fs::set_permissions(here.join("old.json"), std::fs::Permissions::from_mode(0o644)).unwrap();
    said(&run(here, &[&plan[..7], &["--out", "old.json", "--allow-existing"]].concat(), &[]));
    assert!(serde_json::from_slice::<Fixture>(&std::fs::read(here.join("old.json")).unwrap()).is_ok());
    assert_eq!(std::fs::metadata(here.join("old.json")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_server_takes_as_many_files_as_the_system_lets_it() {
    let server = Server::start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{files}");
}

#[test]
fn a_shard_that_does_not_start_ends_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("PREGON_SHARDS".to_owned(), "64".to_owned())];
    let serve = pregon(&settings, folder.path());
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 150 && exec timeout 20 \"$0\" serve"]).arg(serve.get_program());
    limited.current_dir(folder.path());
    limited.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ulimit -n"));
}

#[test]
fn a_migration_is_planned_and_done() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert!(said(&run(here, &["migrate", "--dry-run"], &[])).contains("to do"));
    assert!(!here.join("pregon.db").exists(), "a plan makes nothing");
    said(&run(here, &["migrate"], &[]));
    let after = said(&run(here, &["migrate", "--dry-run"], &[]));
    assert!(after.contains("applied") && !after.contains("to do"), "{after}");
}

#[test]
fn a_check_has_a_line_for_everything() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let text = said(&run(here, &["check"], &[]));
    for name in ["database", "redis", "secret", "media", "file limit", "clock"] {
        assert!(text.contains(&format!("ok    {name}: ")), "{text}");
    }
    std::fs::write(here.join("pregon.db"), "this is no database, whatever its name may say").unwrap();
    let output = run(here, &["check"], &[]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.contains("WRONG database: ") && output.status.code() == Some(1), "{text}");
}

#[test]
fn a_wrong_setting_stops_everything_with_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("PREGON_SHARDS", "0"),
        ("PREGON_DATABASE_URL", "mysql://root:hunter2@db"),
        ("PREGON_JWT_SECRET", "hunter2"),
        ("PREGON_LISTEN", "everywhere"),
        ("PREGON_CONFIG", "none.toml"),
    ] {
        for command in ["serve", "check", "migrate"] {
            let sentence = complaint(&run(folder.path(), &[command], &[(name, value)]));
            assert!(sentence.contains(name) && !sentence.contains("hunter2"), "{sentence}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}
