//! Holds the habits of this codebase: first lines, sizes, the direction of imports, no unsafe outside its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Who may import whom. `ids`, `limits` and `clock` may be imported by all.
const IMPORTS: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("limits", &[]),
    ("clock", &[]),
    ("net", &[]),
    ("ws", &[]),
    ("chat", &[]),
    ("feed", &["chat"]),
    ("durable", &["chat", "feed"]),
    ("auth", &[]),
    ("page", &[]),
    ("metrics", &[]),
    ("wire", &["chat", "feed", "durable", "ws"]),
    ("room", &["chat"]),
    ("session", &["wire", "chat", "feed", "room", "ws"]),
    ("store", &["chat", "feed", "durable"]),
    ("shard", &["net", "ws", "wire", "session", "room", "chat", "feed", "durable"]),
    ("django", &["chat", "feed", "durable", "store", "fanout"]),
    ("fanout", &["wire", "chat", "feed", "durable", "session", "shard"]),
    ("http", &["wire", "chat", "feed", "durable", "auth", "store", "fanout", "shard", "page"]),
    ("config", &["auth", "django", "fanout", "http", "net", "store"]),
    ("server", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// No async, threads, clock, randomness or I/O: what makes seeded simulation possible.
const PURE: &[&str] = &["chat", "feed", "durable", "ws", "wire", "room", "session"];
/// The same of modules that are not pure as a whole.
const PURE_FILES: &[&str] =
    &["django/bells.rs", "django/channels.rs", "django/groups.rs", "django/known.rs", "django/told.rs"];
const IMPURE_WORDS: &[&str] =
    &["tokio::", "std::thread", "Instant::now", "SystemTime::now", "Timestamp::now", "std::fs", "std::net", "rand::"];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ["rs", "js", "css", "html"].iter().any(|of| ending == *of))
            {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

fn all_sources() -> Vec<(PathBuf, String)> {
    ["src", "tests", "loadtest", "benches"].into_iter().flat_map(sources).collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "rs")
}

/// The module below `src` that a file belongs to.
fn module(path: &Path) -> String {
    let name = path.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
    name.trim_end_matches(".rs").to_owned()
}

/// The code without its unit tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

#[test]
fn every_file_says_its_job_first() {
    for (path, text) in all_sources().into_iter().filter(|(path, _)| is_rust(path)) {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 12,
            "{}: the first line says the file's job",
            path.display()
        );
    }
}

#[test]
fn files_and_functions_stay_small() {
    let mut too_long = Vec::new();
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            too_long.push(format!("{}: {lines} lines", path.display()));
        }
        if is_rust(&path) {
            too_long.extend(long_functions(&text).into_iter().map(|name| format!("{}: {name}", path.display())));
        }
    }
    assert!(too_long.is_empty(), "split them:\n{}", too_long.join("\n"));
}

/// Functions whose body is longer than the limit: rustfmt puts a body's last brace under its first line's indentation.
fn long_functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let head = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
        let head = head.trim_start_matches("async ").trim_start_matches("const ").trim_start_matches("unsafe ");
        if !head.starts_with("fn ") {
            continue;
        }
        let is_signature =
            lines[start..].iter().find(|line| line.ends_with(['{', ';'])).is_some_and(|line| line.ends_with(';'));
        if is_signature {
            continue;
        }
        let end = lines[start..].iter().position(|line| *line == format!("{}}}", " ".repeat(indent)));
        if let Some(length) = end.filter(|length| *length > FUNCTION_LINES_MAX) {
            found.push(format!("{head} {length} lines"));
        }
    }
    found
}

#[test]
fn imports_point_one_way() {
    let rules: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| is_rust(path)) {
        let from = module(&path);
        let allowed = rules.get(from.as_str()).unwrap_or_else(|| panic!("{}: add the module's rule", path.display()));
        if allowed.contains(&"*") {
            continue;
        }
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for part in line.split("crate::").skip(1) {
                let to: String = part.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
                let is_fine =
                    to == from || ["ids", "limits", "clock"].contains(&to.as_str()) || allowed.contains(&to.as_str());
                if !is_fine {
                    wrong.push(format!("{}:{}: {from} must not import {to}", path.display(), number + 1));
                }
                if to == "shard" && from != "shard" && !part.starts_with("shard::port") {
                    wrong.push(format!("{}:{}: only shard::port is seen from outside", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_pure_half_is_pure() {
    for (path, text) in sources("src").into_iter().filter(|(path, _)| is_rust(path)) {
        let is_pure = PURE.contains(&module(&path).as_str()) || PURE_FILES.iter().any(|file| path.ends_with(file));
        if path.ends_with("tests.rs") || !is_pure {
            continue;
        }
        for word in IMPURE_WORDS {
            assert!(!code(&text).contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_in_net_alone() {
    for (path, text) in all_sources().into_iter().filter(|(path, _)| is_rust(path) && !path.ends_with("tidy.rs")) {
        let has_unsafe = text.lines().any(|line| line.contains("unsafe {") || line.contains("allow(unsafe_code)"));
        let is_allowed =
            module(&path) == "net" || path.ends_with("ws/mask.rs") || path.ends_with("loadtest/peers/uring.rs");
        assert!(!has_unsafe || is_allowed, "{}: unsafe", path.display());
    }
}

#[test]
fn what_peers_send_is_never_unwrapped() {
    for (path, text) in sources("src").into_iter().filter(|(path, _)| is_rust(path) && !path.ends_with("tests.rs")) {
        for (number, line) in code(&text).lines().enumerate() {
            let is_bad = [".unwrap()", "todo!(", "unimplemented!("].iter().any(|word| line.contains(word));
            assert!(!is_bad || line.trim_start().starts_with("//"), "{}:{}: {line}", path.display(), number + 1);
        }
    }
}
