//! Finds circles between files: files that import one another, directly or by way of others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// A module's path in its crate, such as `["store", "sql"]`.
type Module = Vec<String>;

/// A name that a `use` brings into a file.
struct Import {
    path: Vec<String>,
    name: String,
    is_public: bool,
}

/// What a file names of others.
#[derive(Default)]
struct Names {
    children: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths and words outside of `use`.
    paths: Vec<Vec<String>>,
    words: BTreeSet<String>,
}

/// The circles among the files of one crate, each a sorted list. `sources` are paths below the crate's root, such as
/// `store/mod.rs`, with the files' texts.
///
/// A file imports another if it names something that is defined there. A re-export (`pub use`) only passes a name on:
/// it is no import by itself, and whoever uses the name imports the file that defines it.
pub fn circles(sources: &[(String, String)]) -> Vec<Vec<String>> {
    let files: BTreeMap<Module, (&str, Names)> =
        sources.iter().map(|(path, text)| (module_of(path), (path.as_str(), names(text)))).collect();
    let imports: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|(module, (path, _))| (*path, imports_of(&files, module))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|path| (*path, reached(&imports, path))).collect();
    let mut found = BTreeSet::new();
    for (path, others) in &reached {
        let circle: Vec<String> =
            others.iter().filter(|other| reached[*other].contains(path)).map(|other| (*other).to_owned()).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn module_of(path: &str) -> Module {
    let path = Path::new(path).with_extension("");
    let mut module: Module = path
        .components()
        .filter_map(|part| if let Component::Normal(part) = part { part.to_str().map(str::to_owned) } else { None })
        .collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] || module == ["main"] {
        module.pop();
    }
    module
}

/// Every file that can be reached from `start` by imports, itself included only if one leads back.
fn reached<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&str> = vec![start];
    while let Some(path) = left.pop() {
        left.extend(imports[path].iter().filter(|next| found.insert(**next)));
    }
    found
}

fn imports_of<'a>(files: &BTreeMap<Module, (&'a str, Names)>, module: &Module) -> BTreeSet<&'a str> {
    let (own, names) = &files[module];
    let used = names.imports.iter().filter(|import| !import.is_public || names.words.contains(&import.name));
    let paths = used.map(|import| &import.path).chain(&names.paths);
    let targets = paths.filter_map(|path| target(files, module, path));
    targets.filter(|path| path != own).collect()
}

/// The file that defines what a path in `module` names; `None` for other crates and for the module's own items.
fn target<'a>(files: &BTreeMap<Module, (&'a str, Names)>, module: &Module, path: &[String]) -> Option<&'a str> {
    let mut path = absolute(files, module, path)?;
    // Each round follows one re-export.
    for _ in 0..8 {
        let at = (0..=path.len()).rev().find(|length| files.contains_key(&path[..*length]))?;
        let (file, names) = &files[&path[..at]];
        let passed_on = path.get(at).and_then(|name| {
            names.imports.iter().find(|import| import.is_public && import.name == *name && path[..at] != module[..])
        });
        let Some(import) = passed_on else { return Some(file) };
        let mut next = absolute(files, &path[..at].to_vec(), &import.path)?;
        next.extend_from_slice(&path[at + 1..]);
        path = next;
    }
    None
}

fn absolute(files: &BTreeMap<Module, (&str, Names)>, module: &Module, path: &[String]) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            Some([&module[..module.len().checked_sub(up)?], &path[up..]].concat())
        }
        name if files[module].1.children.contains(name) => Some([module, path].concat()),
        _ => None,
    }
}

fn names(text: &str) -> Names {
    let words = words(text);
    let mut names = Names::default();
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        // `use <…>` behind a type says what it captures.
        if word == "use" && words.get(at + 1).is_some_and(|next| next != "<") {
            let is_public = at > 0 && ["pub", ")"].contains(&words[at - 1].as_str());
            at = imports(&words, at + 1, &[], is_public, &mut names.imports);
        } else if word == "mod" && words.get(at + 2).is_some_and(|end| end == ";") {
            names.children.insert(words[at + 1].clone());
            at += 3;
        } else if is_name(word) {
            let mut path = vec![word.to_owned()];
            while words.get(at + 1).is_some_and(|next| next == "::")
                && words.get(at + 2).is_some_and(|next| is_name(next))
            {
                path.push(words[at + 2].clone());
                at += 2;
            }
            names.words.insert(path[0].clone());
            if path.len() > 1 {
                names.paths.push(path);
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    names
}

/// Reads one branch of a `use`, from `at` on. Returns where it ends.
fn imports(words: &[String], mut at: usize, before: &[String], is_public: bool, found: &mut Vec<Import>) -> usize {
    let mut path = before.to_vec();
    let mut name = None;
    loop {
        let Some(word) = words.get(at) else { return at };
        at += 1;
        match word.as_str() {
            "::" => {}
            "as" => {
                name = words.get(at).cloned();
                at += 1;
            }
            "{" => {
                while words.get(at).is_some_and(|word| word != "}") {
                    at = imports(words, at, &path, is_public, found);
                    at += usize::from(words.get(at).is_some_and(|word| word == ","));
                }
                return at + 1;
            }
            "," | "}" | ";" => {
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
                found.push(Import { path, name, is_public });
                return at - 1;
            }
            part => path.push(part.to_owned()),
        }
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// The names and marks of a file, without comments, texts and unit tests.
fn words(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let letters: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let next = letters.get(at + 1).copied().unwrap_or(' ');
        at = match letter {
            '/' if next == '/' => skip(&letters, at, |rest| rest[0] == '\n'),
            'r' if ['"', '#'].contains(&next) && raw_text(&letters, at).is_some() => {
                raw_text(&letters, at).unwrap_or(at)
            }
            '"' => text_end(&letters, at + 1, '"'),
            '\'' if next == '\\' || letters.get(at + 2) == Some(&'\'') => text_end(&letters, at + 1, '\''),
            ':' if next == ':' => {
                words.push("::".to_owned());
                at + 2
            }
            _ if letter.is_alphanumeric() || letter == '_' => {
                let end = skip(&letters, at, |rest| !(rest[0].is_alphanumeric() || rest[0] == '_'));
                words.push(letters[at..end].iter().collect());
                end
            }
            _ => {
                if !letter.is_whitespace() {
                    words.push(letter.to_string());
                }
                at + 1
            }
        };
    }
    words
}

/// The first place from `at` on at which `is_end` holds.
fn skip(letters: &[char], at: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (at..letters.len()).find(|place| is_end(&letters[*place..])).unwrap_or(letters.len())
}

/// Behind the quote that ends a text; a backslash escapes the letter after it.
fn text_end(letters: &[char], mut at: usize, quote: char) -> usize {
    while let Some(letter) = letters.get(at) {
        match letter {
            '\\' => at += 2,
            _ if *letter == quote => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Behind the raw text that begins at `at`, if one does.
fn raw_text(letters: &[char], at: usize) -> Option<usize> {
    let hashes = letters[at + 1..].iter().take_while(|letter| **letter == '#').count();
    let start = at + 1 + hashes;
    (letters.get(start) == Some(&'"')).then(|| {
        let is_end =
            |rest: &[char]| rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|l| *l == '#');
        skip(letters, start + 1, is_end) + hashes + 1
    })
}

#[test]
fn circles_are_found_and_re_exports_are_followed() {
    let of = |files: &[(&str, &str)]| {
        circles(&files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect::<Vec<_>>())
    };
    let lib = ("lib.rs", "mod a;\nmod b;");
    assert_eq!(of(&[lib, ("a.rs", "use crate::b::B;"), ("b.rs", "fn b() -> super::a::A {}")]), [["a.rs", "b.rs"]]);
    assert!(
        of(&[lib, ("a.rs", "use crate::b::B;"), ("b.rs", "// crate::a\nconst B: &str = \"crate::a\";")]).is_empty()
    );
    let layer = ("a/mod.rs", "mod c;\nmod d;\npub use self::{c::C, d::D as E};");
    assert!(of(&[layer, ("a/c.rs", "use super::E;"), ("a/d.rs", "pub struct D;")]).is_empty(), "it passes names on");
    let mutual = [layer, ("a/c.rs", "use crate::a::E;"), ("a/d.rs", "use crate::a::{C, x::{self}};")];
    assert_eq!(of(&mutual), [["a/c.rs", "a/d.rs"]]);
    let captures = ("a.rs", "fn a() -> impl B + use<> {\n    b();\n}");
    assert!(of(&[lib, captures, ("b.rs", "")]).is_empty());
    let parent = [("a/mod.rs", "mod c;\npub struct X;\nfn f() { c::run() }"), ("a/c.rs", "use super::X;")];
    assert_eq!(of(&parent), [["a/c.rs", "a/mod.rs"]]);
}
