//! Makes one file of the page's modules, so that a browser on a slow network asks once and not once a module.
//!
//! Each module becomes a function that returns what the module exports, in the order in which a browser would run them.
//! Of the language's imports and exports it knows the forms that `web/` uses, and ends the build at any other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Files;

/// What is wrong with a module, for whoever builds.
type Fault = Box<dyn std::error::Error>;

const HEAD: &str =
    "// The modules of the page in one file, as the build puts them together. PREGON_WEB_DIR serves them one by one.\n";

/// The module `first` and all that it imports.
///
/// # Errors
/// A module is missing, imports itself by way of others, or is written in a form that is not known here.
pub fn modules(first: &str, files: &Files) -> Result<String, Fault> {
    let mut bundle = Bundle { files, done: BTreeMap::new(), under_way: Vec::new(), text: HEAD.to_owned() };
    bundle.add(first)?;
    Ok(bundle.text)
}

/// The style sheets in one, in the order in which the page names them.
pub fn sheets<'n>(names: impl IntoIterator<Item = &'n str>, files: &Files) -> Result<String, Fault> {
    names.into_iter().map(|name| text(name, files)).collect::<Result<Vec<_>, _>>().map(|all| all.join("\n"))
}

struct Bundle<'f> {
    files: &'f Files,
    /// What the modules so far export.
    done: BTreeMap<String, Vec<Binding>>,
    under_way: Vec<String>,
    text: String,
}

/// A value by its name in the module and its name outside.
#[derive(Clone, PartialEq)]
struct Binding {
    inside: String,
    outside: String,
}

impl Bundle<'_> {
    fn add(&mut self, name: &str) -> Result<(), Fault> {
        if self.done.contains_key(name) {
            return Ok(());
        }
        self.under_way.push(name.to_owned());
        if self.under_way.iter().filter(|one| *one == name).count() > 1 {
            return Err(format!("these modules import each other: {}", self.under_way.join(" → ")).into());
        }
        let mut body = String::new();
        let mut exports = Vec::new();
        let mut lines = text(name, self.files)?.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("import ") {
                let mut statement = line.to_owned();
                while !statement.ends_with(';') {
                    statement += lines.next().ok_or_else(|| format!("{name}: an import without a semicolon"))?;
                }
                body += &self.import(name, &statement)?;
            } else if let Some(declaration) = line.strip_prefix("export ").filter(|rest| !rest.starts_with('{')) {
                let own = declared(declaration).ok_or_else(|| unknown(name, line))?;
                exports.push(Binding { inside: own.to_owned(), outside: own.to_owned() });
                body += declaration;
            } else if let Some((before, list)) = export_list(line) {
                exports.extend(bindings(list).ok_or_else(|| unknown(name, "export {…}"))?);
                body += before;
            } else {
                body += line;
            }
            body.push('\n');
        }
        if body.contains("import(") {
            return Err(unknown(name, "import()"));
        }
        let list: Vec<String> =
            exports.iter().map(|Binding { inside, outside }| format!("{outside}: {inside}")).collect();
        writeln!(self.text, "\nconst {} = (() => {{\n{body}return {{ {} }};\n}})();", variable(name), list.join(", "))?;
        self.done.insert(name.to_owned(), exports);
        self.under_way.pop();
        Ok(())
    }

    /// What stands for `import { a, b as c } from './x.js';` or `import * as x from './x.js';`.
    fn import(&mut self, importer: &str, statement: &str) -> Result<String, Fault> {
        let fault = || unknown(importer, statement);
        let (what, from) =
            statement.strip_prefix("import ").and_then(|rest| rest.split_once(" from './")).ok_or_else(fault)?;
        let name = from.strip_suffix("';").ok_or_else(fault)?;
        self.add(name)?;
        if let Some(namespace) = what.strip_prefix("* as ") {
            return Ok(format!("const {namespace} = {};", variable(name)));
        }
        let wanted =
            what.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).and_then(bindings).ok_or_else(fault)?;
        for Binding { inside, .. } in &wanted {
            if !self.done[name].iter().any(|export| export.outside == *inside) {
                return Err(format!("{importer} imports {inside}, which {name} does not export").into());
            }
        }
        let list: Vec<String> =
            wanted.iter().map(|Binding { inside, outside }| format!("{inside}: {outside}")).collect();
        Ok(format!("const {{ {} }} = {};", list.join(", "), variable(name)))
    }
}

fn text<'f>(name: &str, files: &'f Files) -> Result<&'f str, Fault> {
    let (_, body) = files.iter().find(|(known, _)| known == name).ok_or_else(|| format!("web/{name} is missing"))?;
    Ok(std::str::from_utf8(body)?)
}

/// The variable that holds a module's exports. No module uses names with this sign.
fn variable(module: &str) -> String {
    format!("${}", module.trim_end_matches(".js"))
}

/// The name in `const name = …`, `function name(…`, `async function name(…` or `class Name …`.
fn declared(declaration: &str) -> Option<&str> {
    let rest =
        ["const ", "function ", "async function ", "class "].iter().find_map(|word| declaration.strip_prefix(word))?;
    rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().filter(|name| !name.is_empty())
}

/// Splits a line that ends with a list of exports, as bundlers write it, into what comes before and the list.
fn export_list(line: &str) -> Option<(&str, &str)> {
    let (before, list) = line.rsplit_once("export{").or_else(|| line.rsplit_once("export {"))?;
    let list = list.strip_suffix("};")?;
    (before.is_empty() || before.ends_with(';')).then_some((before, list))
}

/// `a, b as c`.
fn bindings(list: &str) -> Option<Vec<Binding>> {
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            let (inside, outside) = item.split_once(" as ").unwrap_or((item, item));
            let is_name =
                |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$');
            (is_name(inside) && is_name(outside))
                .then(|| Binding { inside: inside.to_owned(), outside: outside.to_owned() })
        })
        .collect()
}

fn unknown(module: &str, form: &str) -> Fault {
    format!("web/{module}: build/bundle.rs does not know this form; write it as other modules do: {form}").into()
}
