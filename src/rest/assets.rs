//! The page: plain HTML, style and ES modules, built into the binary.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What the page is allowed to load, and from where: itself, and sockets to its own host.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; \
    img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// One file of the page, ready to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The file itself.
    pub body: &'static [u8],
    /// The `ETag` header, quotes included; it changes with the body.
    pub etag: &'static str,
}

/// The file served at `path`: `/`, or one below `/page/`.
pub fn asset(path: &str) -> Option<Asset> {
    let (file, etag) = FILES.get(path)?;
    Some(Asset { content_type: file.content_type, body: file.body, etag })
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! file {
    ($name:literal, $content_type:ident) => {
        file!(concat!("/page/", $name), $name, $content_type)
    };
    ($path:expr, $name:literal, $content_type:ident) => {
        File {
            path: $path,
            content_type: $content_type,
            body: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $name)),
        }
    };
}

const EMBEDDED: [File; 40] = [
    file!("/", "index.html", HTML),
    file!("style.css", CSS),
    file!("chat.css", CSS),
    file!("feed.css", CSS),
    file!("logo.svg", SVG),
    file!("api.js", SCRIPT),
    file!("app.js", SCRIPT),
    file!("auth_view.js", SCRIPT),
    file!("bell.js", SCRIPT),
    file!("chat.js", SCRIPT),
    file!("chat_view.js", SCRIPT),
    file!("composer.js", SCRIPT),
    file!("connection.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("feed.js", SCRIPT),
    file!("feed_api.js", SCRIPT),
    file!("feed_texts.js", SCRIPT),
    file!("feed_view.js", SCRIPT),
    file!("first_steps.js", SCRIPT),
    file!("group_dialog.js", SCRIPT),
    file!("i18n.js", SCRIPT),
    file!("icons.js", SCRIPT),
    file!("media.js", SCRIPT),
    file!("message_menu.js", SCRIPT),
    file!("message_view.js", SCRIPT),
    file!("outbox.js", SCRIPT),
    file!("people_view.js", SCRIPT),
    file!("post.js", SCRIPT),
    file!("post_card.js", SCRIPT),
    file!("post_composer.js", SCRIPT),
    file!("post_view.js", SCRIPT),
    file!("reactions.js", SCRIPT),
    file!("rooms_view.js", SCRIPT),
    file!("server_texts.js", SCRIPT),
    file!("session.js", SCRIPT),
    file!("shell.js", SCRIPT),
    file!("socket.js", SCRIPT),
    file!("time.js", SCRIPT),
    file!("timeline.js", SCRIPT),
    file!("upload.js", SCRIPT),
];

static FILES: LazyLock<HashMap<&'static str, (File, String)>> = LazyLock::new(|| {
    EMBEDDED
        .into_iter()
        .map(|file| {
            let etag = etag(file.body);
            (file.path, (file, etag))
        })
        .collect()
});

/// FNV-1a, 64 bits: it names a version of a file and protects nothing.
fn etag(body: &[u8]) -> String {
    let hash = body
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("\"{hash:016x}\"")
}

#[cfg(test)]
mod tests {
    use super::{EMBEDDED, File, SCRIPT, asset};
    use crate::limits;

    fn text(file: &File) -> &'static str {
        std::str::from_utf8(file.body).expect("the page is UTF-8")
    }

    /// The parts of `text` that stand between `before` and the next quote.
    fn quoted<'t>(text: &'t str, before: &str, quote: char) -> Vec<&'t str> {
        text.split(before).skip(1).filter_map(|rest| rest.split(quote).next()).collect()
    }

    #[test]
    fn every_module_and_style_sheet_that_the_page_asks_for_is_embedded() {
        for file in &EMBEDDED {
            for name in quoted(text(file), "from './", '\'') {
                assert!(asset(&format!("/page/{name}")).is_some(), "{} imports {name}", file.path);
            }
            for path in quoted(text(file), "\"/page/", '"') {
                assert!(asset(&format!("/page/{path}")).is_some(), "{} needs {path}", file.path);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let name = entry.expect("it is readable").file_name().into_string().expect("an ASCII name");
            let path = if name == "index.html" { "/".to_owned() } else { format!("/page/{name}") };
            assert!(name.ends_with(".rs") || asset(&path).is_some(), "{name} is not embedded");
        }
    }

    #[test]
    fn each_module_says_first_what_it_is_for() {
        for file in EMBEDDED.iter().filter(|file| file.content_type == SCRIPT) {
            assert!(text(file).starts_with("// "), "{} has no opening sentence", file.path);
        }
    }

    #[test]
    fn nothing_is_parsed_as_markup_and_nothing_comes_from_outside() {
        for file in &EMBEDDED {
            for unwanted in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text(file).contains(unwanted), "{} uses {unwanted}", file.path);
            }
            for unwanted in ["src=\"http", "href=\"http", "@import", "url(http", "style=\"", " onclick=\""] {
                assert!(!text(file).contains(unwanted), "{} has {unwanted}", file.path);
            }
        }
    }

    #[test]
    fn the_page_knows_the_limits_of_uploads() {
        let script = text(EMBEDDED.iter().find(|file| file.path == "/page/upload.js").expect("it is embedded"));
        let megabytes = limits::UPLOAD_BYTES_MAX / (1024 * 1024);
        assert!(script.contains(&format!("UPLOAD_BYTES_MAX = {megabytes} * MEGABYTE;")), "bytes a file");
        assert!(script.contains(&format!("PHOTOS_MAX = {};", limits::POST_IMAGES_MAX)), "pictures a post");
    }

    #[test]
    fn files_differ_by_etag_and_unknown_paths_are_none() {
        let page = asset("/").expect("the page itself");
        assert!(page.etag.starts_with('"') && page.etag.ends_with('"'));
        assert_ne!(page.etag, asset("/page/app.js").expect("the first module").etag);
        assert!(asset("/page/").is_none());
        assert!(asset("/page/mod.rs").is_none());
    }
}
