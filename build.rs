//! Packs the page into the binary: every file of `web/`, compressed once, under a path that changes with the content. Its
//! modules become one file, and so do its style sheets.

#[path = "build/bundle.rs"]
mod bundle;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

/// The page consists mostly of files of a few kilobytes, so that the best compression takes a fraction of a second for
/// all.
const BROTLI_QUALITY: u32 = 11;
const BROTLI_WINDOW_BITS: u32 = 22;
const BROTLI_BUFFER_BYTES: usize = 4096;

const PAGE: &str = "index.html";
const SCRIPT: &str = "app.js";
const SHEET: &str = "style.css";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut say = std::io::stdout();
    writeln!(say, "cargo::rerun-if-changed=web\ncargo::rerun-if-changed=build.rs\ncargo::rerun-if-changed=build")?;

    let files = bundled(read(&root.join("web"))?)?;
    let version = hash(files.iter().flat_map(|(name, body)| [name.as_bytes(), body]));
    let mut list = format!("const VERSION: &str = {version:?};\nconst EMBEDDED: &[Embedded] = &[\n");
    for (name, body) in &files {
        let body = if name == PAGE { index(body, &version)?.into_bytes() } else { body.clone() };
        let plain = write(&out, name, "plain", &body)?;
        let brotli = write(&out, name, "br", &brotli(&body)?)?;
        let gzip = write(&out, name, "gz", &gzip(&body)?)?;
        let hash = hash([body.as_slice()]);
        writeln!(
            list,
            "    Embedded {{ name: {name:?}, hash: {hash:?}, plain: include_bytes!({plain:?}), brotli: \
             include_bytes!({brotli:?}), gzip: include_bytes!({gzip:?}) }},"
        )?;
    }
    list.push_str("];\n");
    fs::write(out.join("page.rs"), list)?;
    Ok(())
}

/// Names and contents, in the order of the names.
type Files = Vec<(String, Vec<u8>)>;

/// The folder's files.
fn read(folder: &Path) -> Result<Files, Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file of web/ has no plain name")?;
        files.push((name.to_owned(), fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

/// The page's first module and first style sheet with all others in them. The others are still there by themselves: a page of another
/// release behind the same proxy may ask for them.
fn bundled(mut files: Files) -> Result<Files, Box<dyn std::error::Error>> {
    let script = bundle::modules(SCRIPT, &files)?;
    let page = files.iter().find(|(name, _)| name == PAGE).ok_or("web/index.html is missing")?;
    let page = String::from_utf8(page.1.clone())?;
    let names: Vec<&str> = page.lines().filter_map(sheet).collect();
    if names.first() != Some(&SHEET) {
        return Err(format!("{PAGE} has to name {SHEET} as its first style sheet").into());
    }
    let style = bundle::sheets(names, &files)?;
    let is_further = |line: &str| sheet(line).is_some_and(|name| name != SHEET);
    let page: String = page.lines().filter(|line| !is_further(line)).flat_map(|line| [line, "\n"]).collect();
    for (name, body) in &mut files {
        match name.as_str() {
            SCRIPT => *body = script.clone().into_bytes(),
            SHEET => *body = style.clone().into_bytes(),
            PAGE => *body = page.clone().into_bytes(),
            _ => {}
        }
    }
    Ok(files)
}

/// The style sheet that a line of the page names.
fn sheet(line: &str) -> Option<&str> {
    line.trim().strip_prefix("<link rel=\"stylesheet\" href=\"/page/")?.strip_suffix("\">")
}

/// The page itself: the paths of its files contain the version.
fn index(body: &[u8], version: &str) -> Result<String, std::str::Utf8Error> {
    Ok(std::str::from_utf8(body)?.replace("\"/page/", &format!("\"/page/{version}/")))
}

fn brotli(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW_BITS);
    writer.write_all(body)?;
    Ok(writer.into_inner())
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(body)?;
    writer.finish()
}

fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn write(out: &Path, name: &str, form: &str, body: &[u8]) -> std::io::Result<PathBuf> {
    let path = out.join(format!("{name}.{form}"));
    fs::write(&path, body)?;
    Ok(path)
}
