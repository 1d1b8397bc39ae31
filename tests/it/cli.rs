//! The commands other than `serve`: what they create, what they print, and how they fail.

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

/// The single sentence of a failure.
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
    assert!(complaint(&run(here, &["token", "--user", "nadie"], &[])).contains("is not a user of"));

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
    assert!(complaint(&run(here, &plan, &[])).contains("already holds users"));
    assert_eq!(std::fs::read(here.join("fixture.json")).unwrap(), before);
    // A longer old file leaves no rest, and a file that everybody could read becomes private.
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
    let done = said(&run(here, &["migrate"], &[]));
    assert!(done.contains("applied") && !done.contains("to do"), "{done}");
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

/// The server serves even if nobody reads its ready message.
#[test]
fn a_server_that_cannot_say_that_it_is_ready_serves() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for stdout in [std::process::Stdio::from(full), closed.into()] {
        let mut serve = pregon(&[], folder.path());
        let mut server = serve.arg("serve").stdout(stdout).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        let serving = lines.find(|line| line.contains("serving")).expect("it says where it serves");
        let address = serving.split("http://").nth(1).unwrap().split(['/', ' ']).next().unwrap().to_owned();
        assert!(std::net::TcpStream::connect(address).is_ok());
        let terminated = std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap();
        assert!(terminated.success());
        assert!(lines.any(|line| line.contains("stopped")));
        assert_eq!(server.wait().unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn a_database_file_is_served_once_and_again_right_after_a_kill() {
    let mut server = Server::start().await;
    let folder = server.folder().to_owned();
    let link = folder.join("other name.db");
    std::os::unix::fs::symlink(server.database(), &link).unwrap();
    let other_name = format!("sqlite://{}", link.display());
    for settings in [&[][..], &[("PREGON_DATABASE_URL", other_name.as_str())]] {
        let sentence = complaint(&run(&folder, &["serve"], settings));
        assert!(
            sentence.contains("served by another pregon") && sentence.contains("PREGON_DATABASE_URL"),
            "{sentence}"
        );
    }
    for _ in 0..3 {
        server.kill();
        server.restart_in_place();
    }
    assert_eq!(server.status("/readyz").await, 200);
}

#[tokio::test]
async fn what_a_server_makes_is_for_its_owner_alone() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    said(&run(server.folder(), &["backup", "copy.db"], &[]));
    let mut folders = vec![server.folder().to_owned()];
    let mut files = 0;
    let mut others = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "server.log")
        {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            files += 1;
            if mode & 0o077 != 0 {
                others.push((entry.path(), format!("{mode:o}")));
            }
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(files > 8 && others.is_empty(), "{files}: {others:?}");
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for arguments in
        [&["token", "--user", "ana", "--hours", "0"][..], &["seed", "--token-hours", "0", "--out", "x.json"]]
    {
        let output = run(here, arguments, &[]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains("invalid value '0'"), "{text}");
    }
    for (name, value) in [("PREGON_LOG_LEVEL", "loud"), ("PREGON_LOG_LEVEL", "info,loud"), ("PREGON_SHARD", "4")] {
        assert!(complaint(&run(here, &["check"], &[(name, value)])).contains(name), "{name}={value}");
    }
    std::fs::write(here.join("file"), "").unwrap();
    let inside = [("PREGON_MEDIA_DIR", here.join("file").join("media"))];
    let inside = inside.map(|(name, path)| (name, path.to_str().unwrap().to_owned()));
    let inside = [(inside[0].0, inside[0].1.as_str())];
    assert!(complaint(&run(here, &["serve"], &inside)).lines().last().unwrap().contains("PREGON_MEDIA_DIR"));
    std::fs::write(here.join("bad.toml"), "shards = 1\nnode = \"a\"\njwt_secret = \"hunter2\n").unwrap();
    let sentence = complaint(&run(here, &["check"], &[("PREGON_CONFIG", "bad.toml")]));
    assert!(sentence.contains("line 3") && !sentence.contains("hunter2"), "{sentence}");
}

/// A few users are enough for the examples in the manual, and Kubernetes may name a service after the server.
#[test]
fn what_makes_sense_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let text = said(&run(folder.path(), &["seed", "--users", "10", "--out", "few.json"], &[]));
    assert!(text.starts_with("10 users"), "{text}");
    let of_kubernetes = [
        ("PREGON_SERVICE_HOST", "10.0.0.1"),
        ("PREGON_SERVICE_PORT_HTTP", "8000"),
        ("PREGON_PORT", "tcp://10.0.0.1:8000"),
        ("PREGON_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("PREGON_CHAT_SERVICE_PORT", "8000"),
        ("PREGON_CHAT_PORT", "tcp://10.0.0.1:8000"),
        ("PREGON_LOG_LEVEL", "warn,pregon=debug,hyper=off"),
    ];
    said(&run(folder.path(), &["check"], &of_kubernetes));
}
