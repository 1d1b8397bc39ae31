//! Checks the habits of this codebase: first lines, sizes, the direction of imports, no unsafe code outside its place.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/limits.rs"]
mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const SRC_ENTRIES_MAX: usize = 18;
/// Longer functions fail; those above [`FUNCTION_LINES_WISHED`] are listed.
const FUNCTION_LINES_MAX: usize = 100;
const FUNCTION_LINES_WISHED: usize = 70;

/// Modules that all may import.
const COMMON: &[&str] = &["ids", "limits", "clock", "telemetry"];

/// Modules without async, threads, clock, randomness or I/O, which makes seeded simulation possible.
const PURE: &[&str] = &["domain", "protocol", "engine/topics", "engine/presence", "engine/session"];
/// Pure files of modules that are not pure as a whole.
const PURE_FILES: &[&str] = &["doorbell_queue.rs", "channels.rs", "groups.rs", "row_cache.rs", "told_window.rs"];
const IMPURE_WORDS: &[&str] =
    &["tokio::", "std::thread", "Instant::now", "SystemTime::now", "Timestamp::now", "std::fs", "std::net", "rand::"];

/// Names that are not metrics: tables whose names stand alone in a text.
const TABLES: &[&str] = &["migrations", "client_ids", "revoked", "ended_logins", "push_key", "push_subscriptions"];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ["rs", "js", "css", "html", "ts", "tsx"].iter().any(|of| ending == *of))
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
    let client = ["client/src", "client/test", "client/demo"];
    ["src", "ws", "web", "tests", "loadtest", "benches", "fuzz/targets", "fuzz/fuzz_targets"]
        .into_iter()
        .chain(client)
        .flat_map(sources)
        .collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "rs")
}

/// The rows of ARCHITECTURE.md's map: a folder below `src`, and the folders it may import; `None` means all.
fn map() -> BTreeMap<String, Option<Vec<String>>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| folder | job | may import |")).skip(2);
    let mut map = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [folders, _, imports] = cells[..] else { panic!("three columns: {row}") };
        let imports = match imports {
            "all" => None,
            "nothing" => Some(Vec::new()),
            list => Some(list.split(", ").map(str::to_owned).collect()),
        };
        for folder in folders.split('`').filter(|name| !name.trim().is_empty() && !name.ends_with('/')) {
            map.insert(folder.to_owned(), imports.clone());
        }
    }
    assert!(map.len() > 15, "the map is read: {map:?}");
    map
}

/// The row of a path below `src`, such as `engine/net/send.rs` or `engine/net/send`: the longest that fits.
fn folder<'a>(map: &'a BTreeMap<String, Option<Vec<String>>>, path: &str) -> Option<&'a str> {
    let path = path.trim_end_matches(".rs");
    let is_in = |folder: &&String| is_below(path, folder);
    map.keys().filter(is_in).max_by_key(|folder| folder.len()).map(String::as_str)
}

/// Is it this folder or module, or in it?
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A file's path below `src`.
fn below_src(path: &Path) -> String {
    path.strip_prefix("src").unwrap_or(path).to_string_lossy().into_owned()
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
            for (name, length) in long_functions(&text) {
                if length > FUNCTION_LINES_MAX {
                    too_long.push(format!("{}: {name} {length} lines", path.display()));
                } else {
                    eprintln!("long: {}: {name} {length} lines", path.display());
                }
            }
        }
    }
    assert!(too_long.is_empty(), "split them:\n{}", too_long.join("\n"));
}

/// Functions whose body is longer than wished, with its lines. rustfmt puts a body's last brace under its first line's
/// indentation.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let head = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
        let head = head.trim_start_matches("async ").trim_start_matches("const ").trim_start_matches("unsafe ");
        if !head.starts_with("fn ") {
            continue;
        }
        // A signature alone, or all of it in one line.
        let opens = lines[start..].iter().find(|line| line.ends_with(['{', ';', '}']));
        if !opens.is_some_and(|line| line.ends_with('{')) {
            continue;
        }
        let end = lines[start..].iter().position(|line| *line == format!("{}}}", " ".repeat(indent)));
        if let Some(length) = end.filter(|length| *length > FUNCTION_LINES_WISHED) {
            found.push((head.to_owned(), length));
        }
    }
    found
}

/// Whoever opens `src` sees the parts at a glance.
#[test]
fn the_landing_of_src_has_few_doors() {
    let doors = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().count();
    assert!(doors <= SRC_ENTRIES_MAX, "{doors} entries in src: put what is new into one of the folders");
}

#[test]
fn imports_point_one_way() {
    let map = map();
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| is_rust(path)) {
        let below = below_src(&path);
        if below.matches('/').count() == 1 && below.ends_with("/mod.rs") && folder(&map, &below).is_none() {
            // A layer's own file only names its parts.
            continue;
        }
        let from = folder(&map, &below).unwrap_or_else(|| panic!("{below}: add its row to ARCHITECTURE.md's map"));
        let Some(allowed) = &map[from] else { continue };
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for part in line.split("crate::").skip(1) {
                let is_path = |letter: &char| letter.is_alphanumeric() || ['_', ':'].contains(letter);
                let import = part.chars().take_while(is_path).collect::<String>().replace("::", "/");
                let is_common = COMMON.iter().any(|common| is_below(&import, common));
                let to = folder(&map, &import);
                let is_fine =
                    is_common || to == Some(from) || to.is_some_and(|to| allowed.iter().any(|row| is_below(to, row)));
                if !is_fine {
                    wrong.push(format!("{}:{}: {from} must not import {import}", path.display(), number + 1));
                }
                let is_shard = import.starts_with("engine/shard") && from != "engine/shard";
                if is_shard && !import.starts_with("engine/shard/port") {
                    wrong.push(format!(
                        "{}:{}: only the shard's port is seen from outside",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_do_not_import_one_another_in_circles() {
    let mut found = Vec::new();
    for root in ["src", "ws/src", "loadtest/src"] {
        let files = sources(root)
            .into_iter()
            .filter(|(path, _)| is_rust(path) && !path.to_string_lossy().ends_with("tests.rs"));
        let files = files.filter(|(path, _)| *path != Path::new("src/main.rs"));
        let below = files.map(|(path, text)| (path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), text));
        let circles = circles::circles(&below.collect::<Vec<_>>());
        found.extend(
            circles
                .into_iter()
                .map(|circle| circle.into_iter().map(|path| format!("{root}/{path}")).collect::<Vec<_>>()),
        );
    }
    assert!(found.is_empty(), "files import one another in a circle: move what both need to a third file: {found:#?}");
}

#[test]
fn the_pure_half_is_pure() {
    for (path, text) in ["src", "ws/src"].into_iter().flat_map(sources).filter(|(path, _)| is_rust(path)) {
        let below = below_src(&path);
        let is_pure = PURE.iter().any(|pure| below == format!("{pure}.rs") || below.starts_with(&format!("{pure}/")))
            || path.starts_with("ws")
            || PURE_FILES.iter().any(|file| below == format!("django/{file}"));
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
        let is_allowed = path.starts_with("src/engine/net")
            || path.ends_with("ws/src/mask.rs")
            || path.ends_with("loadtest/peers/uring.rs");
        assert!(!has_unsafe || is_allowed, "{}: unsafe", path.display());
    }
}

/// A metric without documentation helps nobody, and one without a description is not found.
#[test]
fn every_metric_is_described_and_documented() {
    let described = fs::read_to_string("src/telemetry/mod.rs").unwrap();
    let documented = fs::read_to_string("docs/operations.md").unwrap();
    let mut names = BTreeSet::new();
    for (_, text) in sources("src").into_iter().filter(|(path, _)| is_rust(path)) {
        let literals = text.split("\"pregon_").skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name);
        let is_metric = |name: &&str| {
            !TABLES.contains(name) && name.chars().all(|letter| letter == '_' || letter.is_ascii_alphanumeric())
        };
        names.extend(literals.filter(is_metric).map(|name| format!("pregon_{name}")));
    }
    assert!(names.len() > 30, "metrics are found: {names:?}");
    for name in names {
        assert!(described.contains(&format!("\"{name}\"")), "describe {name} in src/telemetry/mod.rs");
        assert!(documented.contains(&format!("`{name}")), "say in docs/operations.md what {name} tells");
    }
}

/// A page that names tests is believed, so each of them has to exist, in the module that it says.
#[test]
fn every_test_that_a_page_names_exists() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let mut tests = BTreeSet::new();
    for (path, text) in all_sources().into_iter().filter(|(path, _)| is_rust(path)) {
        let module = path.with_extension("").to_string_lossy().replace('/', "::");
        let module = module.trim_end_matches("::mod").trim_end_matches("::tests");
        let marked = text.split("test]\n").skip(1).chain(text.split("test(flavor").skip(1));
        for name in marked.filter_map(|rest| rest.split_once("fn ").map(|(_, rest)| rest)) {
            let name = name.split('(').next().unwrap_or_default();
            tests.insert(format!("{module}::{name}"));
            tests.insert(format!("{module}::tests::{name}"));
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let (mut named, mut missing) = (0, Vec::new());
    for row in rows.filter(|row| !row.ends_with("| test |") && row.trim_matches('|').split('|').count() == 3) {
        let cell = row.trim_matches('|').rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = cell.split('`').filter(|part| part.contains("::")).collect();
        if names.is_empty() && !cell.trim_start().starts_with("not a test") {
            missing.push(format!("no test: {row}"));
        }
        for name in names {
            named += 1;
            if !tests.iter().any(|test| test == name || test.ends_with(&format!("::{name}"))) {
                missing.push(format!("{name} is no test"));
            }
        }
    }
    assert!(named > 80 && missing.is_empty(), "{named} tests are named\n{}", missing.join("\n"));
}

#[test]
fn what_peers_send_is_never_unwrapped() {
    // A module's tests are in `tests.rs`, and those of a large one in a folder of that name beside it.
    let is_test = |path: &Path| path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    for (path, text) in
        ["src", "ws/src"].into_iter().flat_map(sources).filter(|(path, _)| is_rust(path) && !is_test(path))
    {
        for (number, line) in code(&text).lines().enumerate() {
            let is_bad = [".unwrap()", "todo!(", "unimplemented!("].iter().any(|word| line.contains(word));
            assert!(!is_bad || line.trim_start().starts_with("//"), "{}:{}: {line}", path.display(), number + 1);
        }
    }
}
