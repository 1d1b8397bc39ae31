//! Plays the inputs that fuzzers found: those of `fuzz/corpus` reach every branch that was reached, those of `fuzz/crashes` ended
//! the server once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz_targets::ALL;

/// The inputs of one target in one of the folders, in order.
fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_input_that_is_kept_is_survived() {
    for (name, run) in ALL {
        let kept = [inputs("corpus", name), inputs("crashes", name)].concat();
        assert!(kept.len() >= 3, "{name} has no inputs in fuzz/corpus/{name}");
        for path in kept {
            // The name is shown if it panics.
            eprintln!("{}", path.display());
            run(&fs::read(&path).unwrap());
        }
        run(&[]);
    }
}

/// Each has a program for the fuzzer, which has a name in `fuzz/Cargo.toml` and in the Makefile's list.
#[test]
fn every_target_has_its_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let makefile = fs::read_to_string(root.join("../Makefile")).unwrap();
    let list = makefile.lines().find_map(|line| line.strip_prefix("FUZZ_TARGETS = ")).expect("the Makefile's list");
    let listed: BTreeSet<&str> = list.split_whitespace().collect();
    assert_eq!(listed, ALL.iter().map(|(name, _)| *name).collect());
    for (name, _) in ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is no program of fuzz/Cargo.toml");
        let program = fs::read_to_string(root.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("fuzz_targets::{name}(data)")), "{name}.rs runs another");
    }
    // Folders of targets that are no more would be played by nobody.
    for folder in ["corpus", "crashes"] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(listed.contains(name.as_str()) || name == "README.md", "{folder}/{name} belongs to no target");
        }
    }
}
