//! Counts the instructions of the hot paths under callgrind and compares them with the stored counts.
//!
//! `cargo run --profile counts -p counts` compares; with `-- --update` at the end it stores. Instruction counts do not
//! depend on the machine's other work, and hardly on the machine: valgrind shows the same processor on every x86-64
//! machine with AVX2, so that libraries which check the processor choose the same code.

#![allow(clippy::print_stdout, reason = "a command says what it found")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

mod hot_paths;
#[path = "../../support/mod.rs"]
mod support;

/// The command that stores the counts anew.
const UPDATE: &str = "cargo run --profile counts -p counts -- --update";
/// Two runs differ by up to 1 % (memory addresses and the seeds of hash maps are random).
const TOLERANCE_PERCENT: f64 = 3.0;
/// With another compiler, C library or valgrind the counts differ; a gross mistake is still seen.
const TOLERANCE_ELSEWHERE_PERCENT: f64 = 20.0;
/// Runs before the counting begins, in which buffers grow and processor features are looked up.
const RUNS_UNCOUNTED: u32 = 20;
const RUNS_COUNTED: u32 = 200;

/// `counts.json`.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The tools that the counts were made with.
    tools: BTreeMap<String, String>,
    /// Instructions of one run, by the path's name.
    instructions: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["--run", name] => run(name),
        ["--update"] => update(),
        [] => compare(),
        _ => Err(format!("Unknown arguments. To store the counts anew: {UPDATE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// callgrind starts counting when this function is entered, and stops when it returns.
#[inline(never)]
fn counted(path: &mut dyn FnMut()) {
    for _ in 0..RUNS_COUNTED {
        path();
    }
}

fn run(name: &str) -> Result<(), String> {
    let mut path = hot_paths::hot_path(name).ok_or_else(|| format!("There is no path {name:?}"))?;
    for _ in 0..RUNS_UNCOUNTED {
        path();
    }
    counted(&mut path);
    Ok(())
}

fn update() -> Result<(), String> {
    let stored = Stored { tools: tools()?, instructions: count_all()? };
    let json = serde_json::to_string_pretty(&stored).map_err(|error| error.to_string())?;
    std::fs::write(stored_path(), json + "\n").map_err(|error| format!("{}: {error}", stored_path().display()))?;
    println!("stored {} counts in {}", stored.instructions.len(), stored_path().display());
    Ok(())
}

fn compare() -> Result<(), String> {
    let json =
        std::fs::read_to_string(stored_path()).map_err(|error| format!("{}: {error}", stored_path().display()))?;
    let stored: Stored =
        serde_json::from_str(&json).map_err(|error| format!("{}: {error}", stored_path().display()))?;
    let tools = tools()?;
    let tolerance = if tools == stored.tools { TOLERANCE_PERCENT } else { TOLERANCE_ELSEWHERE_PERCENT };
    if tools != stored.tools {
        println!("counted with {tools:?}, stored with {:?}: {tolerance} % are allowed", stored.tools);
    }
    let mut counts = count_all()?;
    let mut wrong = Vec::new();
    for (name, stored) in &stored.instructions {
        let Some(count) = counts.remove(name) else {
            wrong.push(format!("{name}: is stored and no longer counted"));
            continue;
        };
        let percent = 100.0 * (count as f64 - *stored as f64) / *stored as f64;
        let line = format!("{name}: {count} instructions, {stored} are stored ({percent:+.1} %)");
        if percent > tolerance {
            wrong.push(line);
        } else if percent < -tolerance {
            println!("better: {line}. Store it, so that it stays: {UPDATE}");
        } else {
            println!("{line}");
        }
    }
    wrong.extend(counts.keys().map(|name| format!("{name}: is not stored yet")));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "\nMore instructions than stored (allowed: {tolerance} %):\n  {}\nFind out what costs them, or, if they are meant, store them: {UPDATE}",
        wrong.join("\n  ")
    ))
}

/// Counts every path in a process of its own, as many at once as there are processors.
fn count_all() -> Result<BTreeMap<String, u64>, String> {
    let waiting = Mutex::new(hot_paths::names());
    let counts = Mutex::new(Ok(BTreeMap::new()));
    let next = || waiting.lock().ok()?.pop();
    let work = || {
        while let Some(name) = next() {
            let count = count(&name);
            let Ok(mut counts) = counts.lock() else { return };
            match (counts.as_mut(), count) {
                (Ok(counts), Ok(count)) => drop(counts.insert(name, count)),
                (Ok(_), Err(text)) => *counts = Err(text),
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        (0..workers).for_each(|_| drop(scope.spawn(work)));
    });
    counts.into_inner().map_err(|error| error.to_string())?
}

/// Instructions of one run of a path.
fn count(name: &str) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=counts::counted*"])
        .arg(this)
        .args(["--run", name])
        .output()
        .map_err(|error| format!("valgrind: {error}. Install it (Debian: apt-get install valgrind)"))?;
    let told = String::from_utf8_lossy(&valgrind.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    match collected.filter(|collected| *collected > 0 && valgrind.status.success()) {
        Some(collected) => Ok(collected / u64::from(RUNS_COUNTED)),
        None => Err(format!("{name}: valgrind counted nothing ({}):\n{told}", valgrind.status)),
    }
}

/// The tools that the counts depend on.
fn tools() -> Result<BTreeMap<String, String>, String> {
    let commands = [("rustc", "--version"), ("valgrind", "--version"), ("getconf", "GNU_LIBC_VERSION")];
    let version = |(command, argument): (&str, &str)| {
        let output = Command::new(command).arg(argument).output();
        let output =
            output.map_err(|error| format!("{command}: {error}. It is needed to name what the counts depend on"))?;
        Ok((command.replace("getconf", "libc"), String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    };
    commands.into_iter().map(version).collect()
}

fn stored_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.json")
}
