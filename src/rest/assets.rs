//! The page's files: plain HTML, style and ES modules, built into the binary by `build.rs` or read from a folder during
//! development.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::rest::encoding::Encoding;

/// The sources that the page may load from: itself, and sockets to its own host (CSP 3 §6.7.2.8: an address of `ws` or `wss`
/// matches `'self'`).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// One file of `web/`, as it was built in.
struct Embedded {
    name: &'static str,
    /// A hash of the content.
    hash: &'static str,
    plain: &'static [u8],
    brotli: &'static [u8],
    gzip: &'static [u8],
}

/// One file of the page, ready to be sent.
#[derive(Clone, Debug)]
pub struct Asset {
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The body in the requested encoding.
    pub body: Cow<'static, [u8]>,
    /// The body's encoding.
    pub encoding: Encoding,
    /// The `ETag` header, with quotes; `None` for a file that may change at any time.
    pub etag: Option<String>,
    /// Whether the path contains the content's version, so that clients may cache it for ever.
    pub is_immutable: bool,
}

/// Where the page's files are read from.
#[derive(Clone, Debug)]
pub enum Assets {
    /// The files in the binary.
    Embedded,
    /// A folder, read at each request.
    Folder(PathBuf),
}

impl Assets {
    /// The file at `path`: `/`, or a file below `/page/`, with or without a version in between.
    pub async fn asset(&self, path: &str, encoding: Encoding) -> Option<Asset> {
        let (version, name) = split(path)?;
        let content_type = content_type(name)?;
        match self {
            Self::Embedded => embedded(version, name, content_type, encoding),
            Self::Folder(folder) => {
                let body = Cow::Owned(tokio::fs::read(folder.join(name)).await.ok()?);
                Some(Asset { content_type, body, encoding: Encoding::Identity, etag: None, is_immutable: false })
            }
        }
    }
}

/// Splits a path into the file's version, if it has one, and name. A name holds no slash, so it cannot lead out of the
/// folder.
fn split(path: &str) -> Option<(Option<&str>, &str)> {
    if path == "/" {
        return Some((None, "index.html"));
    }
    // A service worker is for what lies below its own address.
    if path == "/sw.js" {
        return Some((None, "sw.js"));
    }
    let rest = path.strip_prefix("/page/")?;
    let (version, name) = rest.split_once('/').map_or((None, rest), |(version, name)| (Some(version), name));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    (is_plain(name) && !name.starts_with('.') && name != "index.html").then_some((version, name))
}

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

/// An unknown version belongs to another release, behind the same proxy or in an old tab. It gets the current file
/// without a long cache time.
fn embedded(version: Option<&str>, name: &str, content_type: &'static str, encoding: Encoding) -> Option<Asset> {
    let file = EMBEDDED.iter().find(|file| file.name == name)?;
    let body = match encoding {
        Encoding::Identity => file.plain,
        Encoding::Brotli => file.brotli,
        Encoding::Gzip => file.gzip,
    };
    let etag = Some(encoding.tag(file.hash));
    Some(Asset { content_type, body: Cow::Borrowed(body), encoding, etag, is_immutable: version == Some(VERSION) })
}

#[cfg(test)]
mod tests {
    use super::{Asset, Assets, EMBEDDED, Embedded, VERSION, split};
    use crate::limits;
    use crate::rest::encoding::Encoding;

    fn text(file: &Embedded) -> &'static str {
        std::str::from_utf8(file.plain).expect("the page is UTF-8")
    }

    async fn asset(path: &str) -> Option<Asset> {
        Assets::Embedded.asset(path, Encoding::Identity).await
    }

    /// The parts of `text` between `before` and the next quote.
    fn quoted<'t>(text: &'t str, before: &str, quote: char) -> Vec<&'t str> {
        text.split(before).skip(1).filter_map(|rest| rest.split(quote).next()).collect()
    }

    #[tokio::test]
    async fn every_module_and_style_sheet_that_the_page_asks_for_is_embedded() {
        let mut asked = 0;
        for file in EMBEDDED {
            let modules = quoted(text(file), "from './", '\'').into_iter().map(|name| format!("/page/{name}"));
            let named = quoted(text(file), "\"/page/", '"').into_iter().map(|path| format!("/page/{path}"));
            for path in modules.chain(named) {
                asked += 1;
                assert!(asset(&path).await.is_some(), "{} asks for {path}", file.name);
            }
            assert!(!text(file).contains("'/page/"), "{} names a path without its version", file.name);
        }
        assert!(asked > EMBEDDED.len(), "the page asks for each of its files");
    }

    /// So that a phone asks once and not once a module.
    #[test]
    fn the_first_module_and_the_first_sheet_hold_all_others() {
        let first = |name: &str| text(EMBEDDED.iter().find(|file| file.name == name).expect("it is embedded"));
        let (script, sheet) = (first("app.js"), first("style.css"));
        for form in ["\nimport ", "\nexport ", "export{", "import("] {
            assert!(!script.contains(form), "something of a module is left: {form}");
        }
        let longest = |file: &Embedded| {
            text(file)
                .lines()
                .filter(|line| !line.starts_with("import "))
                .max_by_key(|line| line.len().min(200))
                .unwrap_or_default()
        };
        let mut held = 0;
        for file in EMBEDDED.iter().filter(|file| !["app.js", "sw.js", "style.css"].contains(&file.name)) {
            // The bundled client is one line, whose end is a list of exports.
            let line = longest(file).split("export{").next().unwrap_or_default().trim_start_matches("export ");
            match file.name.rsplit_once('.').map(|(_, kind)| kind) {
                Some("js") => assert!(script.contains(line), "{}: {line}", file.name),
                Some("css") => assert!(sheet.contains(line), "{}: {line}", file.name),
                _ => continue,
            }
            held += 1;
        }
        assert!(held > 50, "{held} files");
    }

    #[tokio::test]
    async fn the_page_asks_for_files_by_paths_that_never_change_their_content() {
        let page = asset("/").await.expect("the page itself");
        assert!(!page.is_immutable);
        let html = String::from_utf8(page.body.into_owned()).expect("UTF-8");
        let paths = quoted(&html, "\"/page/", '"');
        let names: Vec<_> = paths.iter().filter_map(|path| path.rsplit('/').next()).collect();
        assert_eq!(names, ["logo.svg", "style.css", "app.js"], "the fewest requests: {html}");
        for path in paths {
            assert!(asset(&format!("/page/{path}")).await.expect("it is embedded").is_immutable, "{path}");
        }
        let name = EMBEDDED[0].name;
        for other in [format!("/page/{name}"), format!("/page/0123456789abcdef/{name}")] {
            assert!(!asset(&other).await.expect("it is served").is_immutable, "{other} may get another content");
        }
        assert!(html.contains(&format!("/page/{VERSION}/app.js")));
    }

    #[test]
    fn compressed_forms_hold_the_same() {
        use std::io::Read as _;
        for file in EMBEDDED {
            let mut brotli = Vec::new();
            brotli::Decompressor::new(file.brotli, 4096).read_to_end(&mut brotli).expect("it is brotli");
            let mut gzip = Vec::new();
            flate2::read::GzDecoder::new(file.gzip).read_to_end(&mut gzip).expect("it is gzip");
            assert!(brotli == file.plain && gzip == file.plain, "{}", file.name);
        }
    }

    #[test]
    fn each_module_says_first_what_it_is_for() {
        for file in EMBEDDED.iter().filter(|file| file.name.ends_with(".js")) {
            assert!(text(file).starts_with("// "), "{} has no opening sentence", file.name);
        }
    }

    #[test]
    fn nothing_is_parsed_as_markup_and_nothing_comes_from_outside() {
        for file in EMBEDDED {
            for unwanted in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text(file).contains(unwanted), "{} uses {unwanted}", file.name);
            }
            for unwanted in ["src=\"http", "href=\"http", "@import", "url(http", "style=\"", " onclick=\""] {
                assert!(!text(file).contains(unwanted), "{} has {unwanted}", file.name);
            }
        }
    }

    #[test]
    fn the_page_knows_the_limits_of_uploads() {
        let script = text(EMBEDDED.iter().find(|file| file.name == "upload.js").expect("it is embedded"));
        let megabytes = limits::UPLOAD_BYTES_MAX / (1024 * 1024);
        assert!(script.contains(&format!("UPLOAD_BYTES_MAX = {megabytes} * MEGABYTE;")), "bytes a file");
        assert!(script.contains(&format!("PHOTOS_MAX = {};", limits::POST_IMAGES_MAX)), "pictures a post");
    }

    #[tokio::test]
    async fn files_differ_by_etag_and_unknown_paths_are_none() {
        let page = asset("/").await.expect("the page itself").etag.expect("it has one");
        assert!(page.starts_with('"') && page.ends_with('"'));
        assert_ne!(Some(&page), asset("/page/app.js").await.expect("the first module").etag.as_ref());
        let packed = Assets::Embedded.asset("/", Encoding::Brotli).await.expect("the page itself");
        assert_ne!(Some(page), packed.etag, "another body has another name");
        for path in ["/page/", "/page/mod.rs", "/page/index.html", "/page/x/y/app.js", "/page/%2e%2e/app.js/"] {
            assert!(asset(path).await.is_none(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_folder_is_read_anew_at_each_request_and_nothing_beside_it() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("web");
        std::fs::create_dir(&folder).expect("a folder in it");
        std::fs::write(root.path().join("secret.js"), "secret").expect("a file beside it");
        let assets = Assets::Folder(folder.clone());
        for content in ["one", "two"] {
            std::fs::write(folder.join("app.js"), content).expect("a file in it");
            let asset = assets.asset("/page/app.js", Encoding::Brotli).await.expect("it is there");
            assert_eq!((&*asset.body, asset.encoding, asset.etag), (content.as_bytes(), Encoding::Identity, None));
        }
        for path in ["/page/../secret.js", "/page/x/../secret.js", "/page/..%2fsecret.js"] {
            assert!(assets.asset(path, Encoding::Identity).await.is_none(), "{path}");
        }
        assert_eq!(split("/page/v/../../secret.js"), None);
    }
}
