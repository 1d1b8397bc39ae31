//! Holds the table of limits in docs/operations.md: the settings, constants, metrics and tests that it names exist.

use std::fs;

use super::{all_sources, sources};

/// What stands between backticks.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Its rows, each with its cells.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string("docs/operations.md").unwrap();
    let (_, table) = text.split_once("<!-- limits: ").expect("docs/operations.md has the table of limits");
    let (table, _) = table.split_once("<!-- /limits -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_table_of_limits_names_what_there_is() {
    let sources_of = |folder| sources(folder).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    let (source, mut limits) = (sources_of("src"), sources_of("src/limits"));
    limits.extend(sources_of("ws/src"));
    let tests: Vec<String> = all_sources().into_iter().map(|(_, text)| text).collect();
    let settings = fs::read_to_string("src/config/setting.rs").unwrap();
    let described = fs::read_to_string("src/telemetry/mod.rs").unwrap();
    let has = |texts: &[String], what: &str| texts.iter().any(|text| text.contains(what));
    let (rows, mut wrong) = (rows(), Vec::new());
    assert!(rows.len() > 35, "{} rows", rows.len());
    for cells in rows {
        let [what, _, set_by, _, metrics, passed_by] = &cells[..] else { panic!("six cells: {cells:?}") };
        let mut missing = |kind: &str, name: &str, is_there: bool| {
            if !is_there {
                wrong.push(format!("{what}: no {kind} {name}"));
            }
        };
        for name in named(set_by) {
            let is_there = match name.strip_prefix("PREGON_") {
                Some(key) => settings.contains(&format!("\"{}\"", key.to_ascii_lowercase())),
                None => has(&limits, &format!("pub const {name}: ")) || has(&source, &format!("pub const {name}: ")),
            };
            missing("setting or constant", name, is_there);
        }
        for name in named(metrics) {
            let (metric, label) = name.split_once('{').unwrap_or((name, ""));
            match name.strip_prefix("limit=") {
                Some(limit) => missing("limit", limit, has(&source, limit)),
                None => missing("metric", metric, described.contains(&format!("\"{metric}\""))),
            }
            // Codes and statuses are written as numbers.
            let value = label.split('"').nth(1).filter(|value| value.parse::<u16>().is_err());
            missing("label", label, value.is_none_or(|value| has(&source, &format!("\"{value}\""))));
        }
        for name in named(passed_by) {
            missing("test", name, has(&tests, &format!("fn {name}(")));
        }
        for (kind, cell) in [("setting or constant", set_by), ("metric", metrics), ("test", passed_by)] {
            missing(kind, "at all", named(cell).next().is_some());
        }
    }
    assert!(wrong.is_empty(), "docs/operations.md, \"Limits\":\n{}", wrong.join("\n"));
}

/// And the other way round: no limit is hit of which the documentation says nothing.
#[test]
fn every_limit_that_can_be_hit_is_documented() {
    let documentation = fs::read_to_string("docs/operations.md").unwrap();
    let mut found = 0;
    for (path, text) in sources("src") {
        for call in text.split("limit_hit(\"").skip(1).chain(text.split("note_limit(index, \"").skip(1)) {
            let (limit, _) = call.split_once('"').unwrap();
            assert!(documentation.contains(limit), "{}: say in docs/operations.md what {limit:?} is", path.display());
            found += 1;
        }
    }
    assert!(found > 8, "limits are found: {found}");
}
