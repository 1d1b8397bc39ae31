//! What browsers are told not to do with answers: to guess types, to keep what is private, to run what was uploaded.

use reqwest::header::HeaderMap;

use crate::support::Server;

async fn headers(server: &Server, path: &str, token: Option<&str>) -> (u16, HeaderMap) {
    let mut request = reqwest::Client::new().get(server.http(path));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.headers().clone())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn private_answers_are_kept_by_nobody_and_shown_in_no_frame() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let token = Some(server.fixture.users[0].token.as_str());
    for (path, token, status) in [
        ("/api/auth/profile/", token, 200),
        ("/api/messaging/chats/", token, 200),
        ("/api/notifications/", token, 200),
        ("/api/auth/profile/", None, 401),
        ("/api/nothing/", None, 404),
        ("/metrics", None, 200),
        ("/healthz", None, 200),
        ("/nothing", None, 404),
        ("/media/nothing.png", None, 404),
    ] {
        let (found, headers) = headers(&server, path, token).await;
        assert_eq!(found, status, "{path}");
        assert_eq!(text(&headers, "cache-control"), "no-store", "{path}");
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(text(&headers, "referrer-policy"), "no-referrer", "{path}");
        let policy = text(&headers, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        let others = if path.starts_with("/media/") { "cross-origin" } else { "same-origin" };
        assert_eq!(text(&headers, "cross-origin-resource-policy"), others, "{path}");
    }
}

#[tokio::test]
async fn the_page_runs_no_inline_script_and_loads_from_its_own_host_alone() {
    let server = Server::start().await;
    let (status, headers) = headers(&server, "/", None).await;
    let policy = text(&headers, "content-security-policy");
    assert_eq!(status, 200);
    let directives: Vec<(&str, Vec<&str>)> = policy
        .split(';')
        .filter_map(|directive| directive.trim().split_once(' '))
        .map(|(name, sources)| (name, sources.split(' ').collect()))
        .collect();
    let of = |name: &str| directives.iter().find(|(known, _)| *known == name).map(|(_, sources)| sources.as_slice());
    assert_eq!(of("default-src"), Some(&["'self'"][..]), "{policy}");
    for (name, sources) in &directives {
        for source in sources {
            let is_fine = match *source {
                "'self'" | "'none'" => true,
                // Pictures and voice messages before they are sent.
                "blob:" => ["img-src", "media-src"].contains(name),
                "data:" => *name == "img-src",
                _ => false,
            };
            assert!(is_fine, "{name} {source}");
        }
    }
    for name in ["script-src", "style-src", "connect-src"] {
        assert_eq!(of(name), None, "{name} is that of default-src");
    }
    for name in ["object-src", "base-uri", "frame-ancestors"] {
        assert_eq!(of(name), Some(&["'none'"][..]), "{name}");
    }
    assert_eq!(text(&headers, "referrer-policy"), "no-referrer");
    assert_eq!(text(&headers, "cross-origin-opener-policy"), "same-origin");
    assert_eq!(text(&headers, "cache-control"), "no-cache", "it is asked for anew, and not kept when it changed");
}

/// Another program may have put anything into the folder, under any name.
#[tokio::test]
async fn nothing_below_media_runs_as_a_script_or_a_document() {
    let server = Server::start().await;
    let script = "<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>";
    for (name, kind, is_saved) in [
        ("a.html", "application/octet-stream", true),
        ("a.HTM", "application/octet-stream", true),
        ("a.xhtml", "application/octet-stream", true),
        ("a.xml", "application/octet-stream", true),
        ("a.js", "application/octet-stream", true),
        ("a.mjs", "application/octet-stream", true),
        ("a.wasm", "application/octet-stream", true),
        ("a.css", "application/octet-stream", true),
        ("a.pdf", "application/octet-stream", true),
        ("a.swf", "application/octet-stream", true),
        ("a.txt", "application/octet-stream", true),
        ("a", "application/octet-stream", true),
        ("a.html.unknown", "application/octet-stream", true),
        ("a.svg", "image/svg+xml", true),
        ("a.png", "image/png", false),
        ("a.jpg", "image/jpeg", false),
        ("a.gif", "image/gif", false),
        ("a.webp", "image/webp", false),
        ("a.mp4", "video/mp4", false),
        ("a.webm", "video/webm", false),
        ("a.mp3", "audio/mpeg", false),
        ("a.ogg", "audio/ogg", false),
    ] {
        std::fs::write(server.media().join(name), script).unwrap();
        for range in [None, Some("bytes=0-3")] {
            let mut request = reqwest::Client::new().get(server.http(&format!("/media/{name}")));
            if let Some(range) = range {
                request = request.header("range", range);
            }
            let response = request.send().await.unwrap();
            let headers = response.headers();
            assert!(response.status().is_success(), "{name}");
            assert_eq!(text(headers, "content-type"), kind, "{name}");
            assert_eq!(text(headers, "content-disposition") == "attachment", is_saved, "{name}");
            assert_eq!(text(headers, "x-content-type-options"), "nosniff", "{name}");
            let policy = text(headers, "content-security-policy");
            let sandboxed = policy.split("; ").any(|directive| directive == "sandbox");
            assert!(sandboxed && policy.starts_with("default-src 'none'; "), "{name}: {policy}");
        }
    }
}
