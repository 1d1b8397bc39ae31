//! What is compressed over real HTTP, for whom and how it is named; and what never is.

use std::io::Read as _;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

use crate::support::Server;

/// An answer as it came, still compressed.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        match self.header("content-encoding") {
            "br" => brotli::Decompressor::new(self.body.as_slice(), 4096).read_to_end(&mut plain).unwrap(),
            "gzip" => flate2::read::GzDecoder::new(self.body.as_slice()).read_to_end(&mut plain).unwrap(),
            "" => return self.body.clone(),
            other => panic!("{other}"),
        };
        plain
    }

    fn varies(&self) -> bool {
        self.headers.get_all("vary").iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"accept-encoding"))
    }
}

async fn ask(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = server.client().request(method, server.http(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

/// Whether `path` comes in each of the encodings, each with a tag of its own, and unchanged to whoever has it.
async fn comes_in(server: &Server, path: &str, encodings: &[&str]) {
    let plain = ask(server, Method::GET, path, &[]).await;
    assert_eq!((plain.status, plain.header("content-encoding")), (StatusCode::OK, ""), "{path}");
    assert!(plain.varies(), "{path}: a cache must not give to everybody what one takes");
    let mut tags = vec![plain.header("etag").to_owned()];
    for encoding in encodings {
        let accepted = ("accept-encoding", *encoding);
        let packed = ask(server, Method::GET, path, &[accepted]).await;
        assert_eq!((packed.status, packed.header("content-encoding")), (StatusCode::OK, *encoding), "{path}");
        assert_eq!(packed.header("content-type"), plain.header("content-type"), "{path}");
        assert_eq!(packed.header("content-length"), packed.body.len().to_string(), "{path}");
        assert!(packed.varies() && packed.body.len() < plain.body.len(), "{path} {encoding}");
        assert!(packed.plain() == plain.body, "{path} {encoding}: the same text");
        let tag = packed.header("etag");
        assert!(tag.starts_with('"') && !tags.iter().any(|other| other == tag), "{path} {encoding}: {tag}");

        let head = ask(server, Method::HEAD, path, &[accepted]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        for name in ["content-encoding", "content-length", "content-type", "etag", "cache-control"] {
            assert_eq!(head.header(name), packed.header(name), "{path} {encoding}: {name} of HEAD");
        }
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = ask(server, Method::GET, path, &[accepted, ("if-none-match", &known)]).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path} {known}");
            for name in ["etag", "cache-control"] {
                assert_eq!(again.header(name), packed.header(name), "{path} {encoding}: {name} of 304");
            }
            assert_eq!((again.header("content-encoding"), again.varies()), ("", true), "{path}");
        }
        // Whoever has another encoding, from a cache in between, gets what it can read.
        let other = ask(server, Method::GET, path, &[accepted, ("if-none-match", &tags[0])]).await;
        assert_eq!((other.status, other.header("content-encoding")), (StatusCode::OK, *encoding), "{path}");
        tags.push(tag.to_owned());
    }
    for refused in ["identity", "br;q=0, gzip;q=0", "*;q=0", "compress, zstd"] {
        let answer = ask(server, Method::GET, path, &[("accept-encoding", refused)]).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (StatusCode::OK, ""), "{path} {refused}");
        assert!(answer.body == plain.body && answer.header("etag") == tags[0], "{path} {refused}");
    }
}

#[tokio::test]
async fn each_file_of_the_page_comes_as_its_client_takes_it() {
    let server = Server::start().await;
    let html = String::from_utf8(ask(&server, Method::GET, "/", &[]).await.body).unwrap();
    let named: Vec<&str> = html.split('"').filter(|part| part.starts_with("/page/")).collect();
    assert_eq!(named.len(), 3, "a symbol, a style sheet, a script: {html}");
    for path in ["/", "/sw.js"].into_iter().chain(named.iter().copied()) {
        comes_in(&server, path, &["br", "gzip"]).await;
        let caching = if named.contains(&path) { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(ask(&server, Method::GET, path, &[]).await.header("cache-control"), caching, "{path}");
    }
    let script = named.iter().find(|path| path.ends_with("/app.js")).unwrap();
    for (accepts, encoding) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1, br;q=0.9", "gzip"),
        ("identity;q=0.5, *;q=0.1", ""),
        ("*", "br"),
    ] {
        let answer = ask(&server, Method::GET, script, &[("accept-encoding", accepts)]).await;
        assert_eq!(answer.header("content-encoding"), encoding, "{accepts}");
    }
    let other = ask(&server, Method::POST, script, &[("accept-encoding", "br")]).await;
    assert_eq!((other.status, other.header("content-encoding")), (StatusCode::METHOD_NOT_ALLOWED, ""));
    let gone = ask(&server, Method::GET, "/page/nothing.js", &[("accept-encoding", "br")]).await;
    assert_eq!((gone.status, gone.header("content-encoding")), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn the_description_of_the_api_is_compressed_as_it_is_the_same_for_everybody() {
    let server = Server::start().await;
    comes_in(&server, "/api/schema/", &["gzip"]).await;
}

/// Lengths of compressed answers tell of what is secret in them, if others can choose a part of it (BREACH).
#[tokio::test]
async fn nothing_private_or_sent_by_people_is_compressed() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let ana = server.fixture.users[0].token.clone();
    let chat = format!("/api/messaging/chats/{}/", server.fixture.rooms[0].id);
    server
        .done("POST", &format!("{chat}send_message/"), 0, Some(serde_json::json!({"content": "a".repeat(2000)})))
        .await;
    let document = send_document(&server, &chat, &ana, vec![b'a'; 8000]).await;
    let stored = document["file_url"].as_str().unwrap().strip_prefix(&server.http("")).unwrap().to_owned();
    let bearer = format!("Bearer {ana}");
    let messages = format!("{chat}messages/");
    for path in
        ["/api/auth/profile/", "/api/messaging/chats/", &messages, "/api/posts/", &stored, "/metrics", "/nothing"]
    {
        let asked = [("accept-encoding", "br, gzip, identity;q=0.1"), ("authorization", bearer.as_str())];
        let answer = ask(&server, Method::GET, path, &asked).await;
        assert_eq!(answer.header("content-encoding"), "", "{path}");
        assert!(!answer.body.is_empty(), "{path}");
    }
}

async fn send_document(server: &Server, chat: &str, token: &str, content: Vec<u8>) -> serde_json::Value {
    let part = reqwest::multipart::Part::bytes(content).file_name("a.txt");
    let form = reqwest::multipart::Form::new().part("file", part);
    let request = server.client().post(server.http(&format!("{chat}send_message/"))).bearer_auth(token);
    request.multipart(form).send().await.unwrap().json().await.unwrap()
}
