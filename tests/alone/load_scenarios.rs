//! The load tester's scenarios against the real server, each for a moment: they must end with a clean verdict and true
//! figures.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::support::{SECRET, Server};
use crate::turn;
use serde_json::{Value, json};

/// The load tester of this build; built first if it does not exist.
pub fn loadtest() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_pregon")).parent().unwrap();
        let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        build.args(["build", "--quiet", "--workspace", "--bin", "loadtest", "--target-dir"]);
        build.arg(folder.parent().unwrap());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the load tester does not build");
        folder.join("loadtest")
    })
}

pub fn ws(server: &Server) -> String {
    format!("ws://{}", server.address())
}

pub fn run(server: &Server, arguments: &str) -> Output {
    let mut command = Command::new(loadtest());
    command.current_dir(server.folder()).env_remove("PREGON_JWT_SECRET").args(arguments.split_whitespace());
    command.args(["--url", &ws(server)]).output().unwrap()
}

/// The report of a run, which must be clean.
pub fn report(server: &Server, arguments: &str) -> Value {
    let output = run(server, &format!("{arguments} --json - --server-pid {}", server.pid()));
    assert_eq!(output.status.code(), Some(0), "{arguments}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

pub async fn seeded() -> Server {
    let server = Server::builder().seed(12, 4, 4).start().await;
    let fixture = json!({
        "users": server.fixture.users.iter().map(|user| json!({"id": user.id, "username": user.username, "token": user.token})).collect::<Vec<_>>(),
        "rooms": server.fixture.rooms.iter().map(|room| json!({"id": room.id, "members": room.members})).collect::<Vec<_>>(),
    });
    std::fs::write(server.folder().join("rooms.json"), fixture.to_string()).unwrap();
    server
}

pub const SHORT: &str = "--seconds 1 --warmup 0.2";

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_chat_is_clean_and_every_kind_is_delivered() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let mix = "messages=20,replies=10,typing=20,reads=20,reactions=20,edits=5,deletes=5";
    let report =
        report(&server, &format!("chat --fixture rooms.json --rooms 4 --members 4 --rate 400 --mix {mix} {SHORT}"));
    let kinds = report["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    for kind in kinds {
        assert!(kind["deliveries"].as_u64() > Some(0), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_alone_are_the_durable_benchmark() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let closed = "chat --fixture rooms.json --rooms 4 --members 4 --closed --mix messages=100";
    let report = report(&server, &format!("{closed} {SHORT} --html page.html"));
    assert_eq!(report["pacing"], json!({"each": {"window": 1, "release": "sender"}}));
    assert!(report["median"]["messages_per_second"].as_f64() > Some(10.0), "{report}");
    let page = std::fs::read_to_string(server.folder().join("page.html")).unwrap();
    assert!(page.contains("<polyline") && !page.contains("<script") && !page.contains("http"), "self-contained");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_makes_its_own_users_and_rooms_and_can_use_them_again() {
    let _turn = turn::mine().await;
    let server = Server::start().await;
    let made = report(&server, &format!("room --members 3 --rate 50 --save-fixture kept.json {SHORT}"));
    assert!(made["checked"].as_u64() > Some(50), "{made}");
    let path = server.folder().join("kept.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for user in kept["users"].as_array_mut().unwrap() {
        // {"exp":1000}
        user["token"] = json!("x.eyJleHAiOjEwMDB9.y");
    }
    std::fs::write(&path, kept.to_string()).unwrap();
    let again = format!("room --members 3 --rate 50 --fixture kept.json {SHORT}");
    report(&server, &format!("{again} --save-fixture again.json"));
    let with_password = std::fs::read_to_string(server.folder().join("again.json")).unwrap();
    assert!(!with_password.contains("MDB9.y"), "all were logged in again");
    kept.as_object_mut().unwrap().remove("password");
    std::fs::write(&path, kept.to_string()).unwrap();
    let output = run(&server, &again);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--secret"), "{output:?}");
    let mut minted = Command::new(loadtest());
    minted.current_dir(server.folder()).env("PREGON_JWT_SECRET", SECRET).args(again.split_whitespace());
    let output = minted.args(["--url", &ws(&server)]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "tokens signed with the server's secret: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn churn_and_storm_end_with_everybody_answered() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let churn =
        report(&server, &format!("churn --fixture rooms.json --rooms 4 --members 4 --rate 50 --stay 0.3 {SHORT}"));
    assert!(churn["left"].as_u64() > Some(20), "{churn}");
    let storm =
        report(&server, "storm --fixture rooms.json --rooms 4 --members 4 --back-off none --settle 0.1 --rounds 2");
    for round in storm["rounds"].as_array().unwrap() {
        assert!(round["all_live_seconds"].as_f64() > Some(0.0) && round["attempts"].as_u64() >= Some(16), "{round}");
    }
    assert!(storm["checked"].as_u64() > Some(16), "the rooms work afterwards: {storm}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_reader_is_told_from_a_fault() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let slow = format!(
        "slow --fixture rooms.json --members 4 --stalled 0.25 --bytes 1900 --window 64 --release-when all {SHORT}"
    );
    let slow = report(&server, &slow);
    assert_eq!(slow["stalled"], 1, "{slow}");
    let endings: u64 = slow["endings"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(endings, 1, "one stalled once: {slow}");
    assert!(slow["with"]["p99"].as_f64() > Some(0.0) && slow["without"]["p99"].as_f64() > Some(0.0), "{slow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attackers_are_told_from_members() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let abuse = format!(
        "abuse --fixture rooms.json --rooms 2 --members 3 --rate 50 --slow-handshakes 3 --flooders 2 --bombs 1 --stalled 2 {SHORT}"
    );
    let abuse = report(&server, &abuse);
    let of = |kind: &str, what: &str| abuse["attackers"][kind][what].as_u64().unwrap_or(0);
    assert_eq!((of("slow handshakes", "begun"), of("stalled readers", "stalled")), (3, 2), "{abuse}");
    assert!(of("flooders", "frames sent") > 100 && of("compressed bombs", "closed with 1009") > 0, "{abuse}");
    assert!(abuse["during"]["p99"].as_f64() > Some(0.0) && abuse["before"]["p99"].as_f64() > Some(0.0), "{abuse}");
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_may_sit_on_another_address() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let cluster = "cluster --fixture rooms.json --rooms 4 --members 4 --rate 100 --receiver-url";
    report(&server, &format!("{cluster} {} --durable {SHORT}", ws(&server)));
}

#[tokio::test(flavor = "multi_thread")]
async fn find_max_names_the_rate_at_which_an_objective_breaks() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let search = "find-max --objective max<=0.05ms,loss=0 --start 64 --precision 1.0 chat --mix messages=100";
    let found =
        report(&server, &format!("{search} --fixture rooms.json --rooms 2 --members 4 --seconds 0.3 --warmup 0"));
    assert!(found["best"].is_null(), "no message is stored within 50 µs: {found}");
    assert!(found["first_broken"]["broken_by"].as_str().is_some_and(|why| why.contains("max is")), "{found}");
    let search = "find-max --objective p99<=20000ms,loss=0 --start 10000 --precision 100000 room";
    let found = run(&server, &format!("{search} --members 4 --rate 5"));
    assert_eq!(found.status.code(), Some(2), "it says which fixture it wants: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_follower_hears_each_post_and_nobody_else_does() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    for pacing in ["--rate 20", "--closed"] {
        let feed = format!("feed --fixture rooms.json --followers 6 --outsiders 3 {pacing} {SHORT}");
        let feed = report(&server, &format!("{feed} --html feed.html"));
        let posts = feed["posts"].as_u64().unwrap();
        assert!(posts >= 15, "{feed}");
        assert!(feed["traffic"]["checked"].as_u64().unwrap() >= posts * 7, "six followers and the author: {feed}");
        assert!(feed["last_after_request"]["p99"].as_f64() > Some(0.0), "{feed}");
        assert!(std::fs::read_to_string(server.folder().join("feed.html")).unwrap().contains("<polyline"));
    }
    // User 3 has followed since the first run; as an outsider it must stop following.
    report(&server, &format!("feed --fixture rooms.json --followers 2 --outsiders 3 --rate 20 {SHORT}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_are_thinned_out_and_the_last_counts_are_those_of_the_table() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let watched = "--reactors 10 --viewers 4 --followers 4 --connections 4";
    let hot = report(&server, &format!("reactions --fixture rooms.json {watched} --rate 200 {SHORT}"));
    let reacted = hot["reacted"].as_u64().unwrap();
    let removed = hot["removed"].as_u64().unwrap();
    assert!(reacted + removed > 100 && removed > 0, "{hot}");
    let frames = hot["frames_of_one_max"].as_u64().unwrap();
    assert!((5..=10 + 11 + 10 * hot["seconds"].as_f64().unwrap() as u64).contains(&frames), "{hot}");
    assert_eq!(hot["notes"], json!([]), "ten reactions are listed whole, and were counted: {hot}");
}
