//! Golden frames: each scenario beside this file is played against the real server, and everybody must receive what the
//! file says.
//!
//! `PREGON_GOLDEN=record` plays them and records what is received; the changes then show in the files' diff.

mod names;
mod stage;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stage::{Ends, Stage};

/// A scenario's file, one value per line: a client's action, followed by its effects.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/sockets/golden/{name}.jsonl"))
}

fn lines(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}")))
        .collect()
}

async fn plays(name: &str) {
    let is_recording = std::env::var("PREGON_GOLDEN").is_ok_and(|value| value == "record");
    let lines = lines(name);
    let mut stage = Stage::new().await;
    let mut recorded = Vec::new();
    let mut steps = lines.chunk_by(|_, next| next.get("does").is_none()).peekable();
    assert!(steps.peek().is_some(), "{name} is empty");
    while let Some([does, expected @ ..]) = steps.next() {
        let ends = if is_recording { Ends::WhenQuiet } else { Ends::After(expected) };
        let heard = stage.step(does, &ends).await;
        if !is_recording {
            assert_eq!(json!(heard), json!(expected), "{name}, after {does}");
        }
        recorded.push(does.clone());
        recorded.extend(heard);
    }
    if is_recording {
        let text: String = recorded.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(file(name), text).unwrap();
    }
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            plays(stringify!($name)).await;
        })*

        #[test]
        fn no_scenario_is_left_out() {
            let folder = file("any");
            let files = std::fs::read_dir(folder.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
            let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
            let mut found: Vec<_> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            found.sort_unstable();
            assert_eq!(found, [$(stringify!($name)),*]);
        }
    };
}

scenarios! {
    chat_connect_ok
    chat_disconnect_status
    chat_edit_own
    chat_message_text
    chat_no_token
    chat_non_participant
    chat_react_toggle
    chat_read_message
    chat_reply_to
    chat_typing
    feed_connect_ok
    feed_post_created
    feed_post_reactions
    notif_connect
    post_comment_created
    post_connect
}
