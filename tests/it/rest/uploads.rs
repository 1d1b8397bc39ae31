//! Uploads for posts and comments over real HTTP: stored, refused, abandoned, too slow, and removed with the rows that
//! name them.

use std::sync::Arc;
use std::time::Instant;

use crate::support::{PATIENCE, Server};
use pregon::domain::event::Committed;
use pregon::domain::write::Outcome;
use pregon::ids::SessionKey;
use pregon::limits::USER_UPLOADS_MAX;
use pregon::rest::uploads::orphans;
use pregon::rest::uploads::upload::MediaDir;
use pregon::store::sqlite::{SqliteOptions, SqliteStore};
use pregon::store::{LanePort, Store, Told};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// The smallest picture: one black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";
/// The beginning of a film.
const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08free";

const ANA: usize = 0;
const BETO: usize = 1;

async fn server() -> Server {
    Server::builder().seed(4, 0, 0).start().await
}

fn forbidden() -> (u16, Value) {
    (403, json!({"detail": "Usted no tiene permiso para realizar esta acción."}))
}

async fn publish(server: &Server, user: usize, body: Value) -> Value {
    let (status, post) = server.rest("POST", "/api/posts/", user, Some(body)).await;
    assert_eq!(status, 201, "{post}");
    post
}

/// A path below a post or comment.
fn at(object: &Value, rest: &str) -> String {
    format!("/api/posts/{}/{rest}", object["id"].as_str().unwrap())
}

fn at_comment(comment: &Value, rest: &str) -> String {
    format!("/api/posts/comments/{}/{rest}", comment["id"].as_str().unwrap())
}

async fn upload(server: &Server, method: &str, path: &str, user: usize, form: Form) -> (u16, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = reqwest::Client::new().request(method, server.http(path)).multipart(form);
    let response = request.bearer_auth(&server.fixture.users[user].token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn file(bytes: impl Into<Vec<u8>>) -> Part {
    Part::bytes(bytes.into()).file_name("../../etc/foto.svg").mime_str("image/svg+xml").unwrap()
}

fn files(server: &Server) -> usize {
    let folders = [".incoming", "posts/images", "posts/videos", "posts/thumbnails", "comments/images"];
    folders.iter().map(|folder| std::fs::read_dir(server.media().join(folder)).unwrap().count()).sum()
}

async fn fetched(address: &Value) -> (u16, String, Vec<u8>) {
    let response = reqwest::get(address.as_str().unwrap()).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status().as_u16(), kind, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn uploads_are_stored_and_served_as_what_they_are() {
    let server = server().await;
    let form = Form::new().text("content", "mira").text("images", r#"["https://example.com/a.png"]"#);
    let form = form.part("image", file(PNG)).part("video", file(MP4)).part("thumbnail", file(PNG));
    let (status, post) = upload(&server, "POST", "/api/posts/", ANA, form).await;
    assert_eq!(
        (status, &post["content"], &post["images"][0]),
        (201, &json!("mira"), &json!("https://example.com/a.png"))
    );
    let image = &post["images"][1];
    let video = &post["video"];
    let thumbnail = &post["thumbnail"];
    for (address, folder, kind, bytes) in [
        (image, "posts/images/", "image/png", PNG),
        (video, "posts/videos/", "video/mp4", MP4),
        (thumbnail, "posts/thumbnails/", "image/png", PNG),
    ] {
        assert!(address.as_str().unwrap().starts_with(&server.http(&format!("/media/{folder}"))), "{address}");
        assert_eq!(fetched(address).await, (200, kind.to_owned(), bytes.to_vec()));
    }
    let form = Form::new().part("image", file(PNG)).text("is_public", "false");
    let (status, edited) = upload(&server, "PATCH", &at(&post, ""), ANA, form).await;
    assert_eq!((status, edited["images"].as_array().unwrap().len(), &edited["video"]), (200, 3, video));
    assert_eq!(edited["is_public"], false);
    let form = Form::new().text("content", "foto").part("image", file(PNG));
    let (status, comment) = upload(&server, "POST", &at(&post, "comments/"), ANA, form).await;
    assert_eq!((status, fetched(&comment["image"]).await.2), (201, PNG.to_vec()));
    assert_eq!(files(&server), 5);
}

#[tokio::test]
async fn uploads_that_lie_are_refused_and_leave_nothing() {
    let server = server().await;
    let closed = publish(&server, ANA, json!({"allow_comments": false})).await;
    let wrong = "Cargue una imagen válida. El archivo que ha cargado o no es una imagen o está dañado.";
    for bad in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"<!doctype html><script>", b"", MP4] {
        for field in ["image", "thumbnail"] {
            let form = Form::new().part("video", file(MP4)).part(field, file(bad));
            let mut expected = json!({});
            expected[field] = json!([wrong]);
            assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await, (400, expected));
        }
    }
    let form = Form::new().part("video", file(PNG));
    let expected = json!({"video": ["El archivo no es un video válido."]});
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await, (400, expected));
    let form = Form::new().part("image", file(PNG)).text("post_type", "podcast");
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await.0, 400);
    // Completely stored, and then refused in the write.
    let form = Form::new().part("image", file(PNG)).text("content", "x");
    assert_eq!(upload(&server, "POST", &at(&closed, "comments/"), BETO, form).await.0, 403);
    let form = Form::new().part("image", file(PNG));
    assert_eq!(upload(&server, "PATCH", &at(&closed, ""), BETO, form).await, forbidden());
    assert_eq!(files(&server), 0);
    assert_eq!(server.rest("GET", "/api/posts/?friends_only=false", ANA, None).await.1["count"], 1);
}

#[tokio::test]
async fn too_large_an_upload_is_refused_and_leaves_nothing() {
    let server = server().await;
    let mut bytes = PNG.to_vec();
    bytes.resize(25 * 1024 * 1024 + 1, 0);
    let form = Form::new().part("thumbnail", file(PNG)).part("image", file(bytes));
    let answer = upload(&server, "POST", "/api/posts/", ANA, form).await;
    assert_eq!(answer, (413, json!({"error": "El archivo supera el máximo de 25 MB."})));
    assert_eq!(files(&server), 0);
}

/// An upload that stops: the connection, after the picture's beginning was sent.
async fn half_an_upload(server: &Server, user: usize) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /api/posts/ HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 1000000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n",
        server.address(),
        server.fixture.users[user].token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[PNG, &[0; 100_000]].concat()).await.unwrap();
    stream
}

async fn wait_for_files(server: &Server, count: usize) {
    let began = Instant::now();
    while files(server) != count {
        assert!(began.elapsed() < PATIENCE, "{} files", files(server));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_that_stops_half_way_leaves_nothing() {
    let server = server().await;
    let stream = half_an_upload(&server, ANA).await;
    wait_for_files(&server, 1).await;
    drop(stream);
    wait_for_files(&server, 0).await;
    assert_eq!(server.rest("GET", "/api/posts/?friends_only=false", ANA, None).await.1["count"], 0);
}

#[tokio::test]
async fn one_user_cannot_hold_up_everybodys_uploads() {
    let server = server().await;
    let mut streams = Vec::new();
    for _ in 0..USER_UPLOADS_MAX {
        streams.push(half_an_upload(&server, ANA).await);
    }
    wait_for_files(&server, USER_UPLOADS_MAX).await;
    let path = server.http("/api/posts/");
    let request = reqwest::Client::new().post(path).multipart(Form::new().part("image", file(PNG)));
    let response = request.bearer_auth(&server.fixture.users[ANA].token).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let picture = || Form::new().part("image", file(PNG));
    assert_eq!(upload(&server, "POST", "/api/posts/", BETO, picture()).await.0, 201);
    assert_eq!(server.rest("POST", "/api/posts/", ANA, Some(json!({"content": "x"}))).await.0, 201, "no file, no turn");
    drop(streams);
    wait_for_files(&server, 1).await;
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, picture()).await.0, 201);
}

#[tokio::test]
async fn a_body_without_files_is_no_longer_than_elsewhere() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let long = Some(json!({"content": "x".repeat(256 * 1024)}));
    let too_long = (413, json!({"error": "La solicitud es demasiado grande."}));
    for (method, path) in [("POST", "/api/posts/"), ("PATCH", &at(&post, "")), ("POST", &at(&post, "comments/"))] {
        assert_eq!(server.rest(method, path, ANA, long.clone()).await, too_long, "{method} {path}");
    }
    let client = reqwest::Client::new().post(server.http("/api/posts/"));
    let form = client.header("content-type", "application/x-www-form-urlencoded").body("x".repeat(256 * 1024 + 1));
    let answer = form.bearer_auth(&server.fixture.users[ANA].token).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let fits = json!({"content": "hola", "unknown": "x".repeat(255 * 1024)});
    publish(&server, ANA, fits).await;
}

#[tokio::test]
async fn uploaded_pictures_count_as_the_lists_do() {
    let server = server().await;
    let list = |count: usize| serde_json::to_string(&vec!["/a.png"; count]).unwrap();
    let with = |count: usize| Form::new().text("images", list(count)).part("image", file(PNG));
    let full = (400, json!({"images": ["Asegúrese de que este campo no tenga más de 20 elementos."]}));
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, with(20)).await, full);
    assert_eq!(files(&server), 0);
    let (status, post) = upload(&server, "POST", "/api/posts/", ANA, with(18)).await;
    assert_eq!((status, post["images"].as_array().unwrap().len()), (201, 19));
    let path = at(&post, "");
    let one_more = || Form::new().part("image", file(PNG));
    let (status, edited) = upload(&server, "PATCH", &path, ANA, one_more()).await;
    assert_eq!((status, edited["images"].as_array().unwrap().len(), files(&server)), (200, 20, 2));
    for form in [one_more(), with(20)] {
        assert_eq!(upload(&server, "PATCH", &path, ANA, form).await, full);
    }
    assert_eq!(files(&server), 2);
    assert_eq!(server.rest("GET", &path, ANA, None).await.1["images"], edited["images"]);
    let (status, fewer) = upload(&server, "PATCH", &path, ANA, with(1)).await;
    assert_eq!((status, fewer["images"].as_array().unwrap().len()), (200, 2));
}

/// Sends `piece` again and again, slowly, until the server answers. Returns the answer's first line.
async fn trickle(mut stream: tokio::net::TcpStream, piece: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 64];
    let slowly = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        while writer.write_all(piece).await.is_ok() {
            ticks.tick().await;
        }
        std::future::pending::<()>().await;
    };
    let read = tokio::select! {
        read = tokio::time::timeout(PATIENCE, reader.read(&mut answer)) => read.unwrap().unwrap(),
        () = slowly => unreachable!(),
    };
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn uploads_and_forms_that_trickle_have_a_deadline() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_UPLOAD_GRACE_SECONDS", 1).start().await;
    let stream = half_an_upload(&server, ANA).await;
    assert_eq!(trickle(stream, b"x").await, "HTTP/1.1 408 Request Timeout", "a file");
    wait_for_files(&server, 0).await;
    for head in ["--b\r\ncontent-disposition: form-data; name=\"content\"\r\n\r\n", "", "--b\r\nx-filler: "] {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let request = format!(
            "POST /api/posts/ HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 100000\r\n\
             content-type: multipart/form-data; boundary=b\r\n\r\n{head}",
            server.address(),
            server.fixture.users[ANA].token
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        assert_eq!(trickle(stream, b"x").await, "HTTP/1.1 408 Request Timeout", "a text behind {head:?}");
    }
    let form = Form::new().text("content", "a tiempo").part("image", file(PNG));
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await.0, 201);
}

#[tokio::test]
async fn files_go_when_nothing_names_them_any_more() {
    let server = server().await;
    let form = || Form::new().part("image", file(PNG)).part("video", file(MP4)).part("thumbnail", file(PNG));
    let (_, post) = upload(&server, "POST", "/api/posts/", ANA, form()).await;
    let image = Form::new().text("content", "foto").part("image", file(PNG));
    let (_, comment) = upload(&server, "POST", &at(&post, "comments/"), BETO, image).await;
    let reply = Form::new().text("content", "foto").text("parent", comment["id"].as_str().unwrap().to_owned());
    upload(&server, "POST", &at(&post, "comments/"), ANA, reply.part("image", file(PNG))).await;
    assert_eq!(files(&server), 5);
    // A replaced file is removed. One that is taken out of the list stays while another post names it.
    let (_, edited) = upload(&server, "PATCH", &at(&post, ""), ANA, Form::new().part("video", file(MP4))).await;
    wait_for_files(&server, 5).await;
    assert_ne!(edited["video"], post["video"]);
    assert_eq!(fetched(&edited["video"]).await.0, 200);
    assert_eq!(reqwest::get(post["video"].as_str().unwrap()).await.unwrap().status(), 404);
    let shared = publish(&server, BETO, json!({"images": post["images"]})).await;
    server.done("PATCH", &at(&post, ""), ANA, Some(json!({"images": []}))).await;
    server.done("DELETE", &at_comment(&comment, ""), BETO, None).await;
    wait_for_files(&server, 3).await;
    assert_eq!(fetched(&shared["images"][0]).await.0, 200, "another post names it");
    // A refused deletion keeps everything.
    assert_eq!(server.rest("DELETE", &at(&post, ""), BETO, None).await, forbidden());
    server.done("DELETE", &at(&post, ""), ANA, None).await;
    wait_for_files(&server, 1).await;
    assert_eq!(fetched(&shared["images"][0]).await.0, 200);
    server.done("DELETE", &at(&shared, ""), BETO, None).await;
    wait_for_files(&server, 0).await;
}

/// Anybody may say the address of any file in a message of their own. A file goes with the message that brought it, and with no
/// other.
#[tokio::test]
async fn a_document_goes_with_its_own_message_alone() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let room = format!("/api/messaging/chats/{}/", server.fixture.rooms[0].id);
    let send = format!("{room}send_message/");
    let part = Part::bytes(&b"%PDF-1.7"[..]).file_name("acta.pdf");
    let (status, message) = upload(&server, "POST", &send, ANA, Form::new().part("file", part)).await;
    assert_eq!(status, 201, "{message}");
    let picture = || Form::new().part("image", file(PNG));
    let (_, hers) = upload(&server, "POST", &send, ANA, picture()).await;
    let count = |folder: &str| std::fs::read_dir(server.media().join(folder)).unwrap().count();
    let wait = async |folder: &str, files: usize| {
        let began = Instant::now();
        while count(folder) != files {
            assert!(began.elapsed() < PATIENCE, "{folder} has {} files", count(folder));
            tokio::task::yield_now().await;
        }
    };
    let delete = async |message: &Value, user: usize| {
        let path = format!("{room}messages/{}/", message["id"].as_str().unwrap());
        server.done("DELETE", &path, user, None).await;
    };
    for address in [&message["file_url"], &hers["image"]] {
        let copy = json!({"message_type": "file", "file_url": address, "file_name": "acta.pdf"});
        delete(&server.done("POST", &send, BETO, Some(copy)).await, BETO).await;
    }
    // Deletions are worked off one batch after the other: the copies were before the second of these.
    for _ in 0..2 {
        let (_, beside) = upload(&server, "POST", &send, BETO, picture()).await;
        delete(&beside, BETO).await;
        wait("messages/images", 1).await;
    }
    assert_eq!((fetched(&hers["image"]).await.0, fetched(&message["file_url"]).await.0), (200, 200));
    assert_eq!(count("messages/files"), 2, "the document and its label");
    delete(&message, ANA).await;
    wait("messages/files", 0).await;
    assert_eq!(reqwest::get(message["file_url"].as_str().unwrap()).await.unwrap().status(), 404);
}

/// The first of two edits reads its picture while the second removes a picture and adds another.
#[tokio::test]
async fn parallel_edits_neither_lose_a_picture_nor_bring_one_back() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server().await;
    let picture = || Form::new().part("image", file(PNG));
    let (_, post) = upload(&server, "POST", "/api/posts/", ANA, picture()).await;
    let removed = post["images"][0].as_str().unwrap();
    let body = b"--b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n";
    let body = [body, PNG].concat();
    let end = b"\r\n--b--\r\n";
    let head = format!(
        "PATCH {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nconnection: close\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n",
        at(&post, ""),
        server.address(),
        server.fixture.users[ANA].token,
        body.len() + end.len()
    );
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    wait_for_files(&server, 2).await;
    server.done("PATCH", &at(&post, ""), ANA, Some(json!({"images": []}))).await;
    let (_, second) = upload(&server, "PATCH", &at(&post, ""), ANA, picture()).await;
    stream.write_all(end).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let (_, shown) = server.rest("GET", &at(&post, ""), ANA, None).await;
    let images = shown["images"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]), (2, &second["images"][0]), "without {removed}");
    wait_for_files(&server, 2).await;
    let path = at(&post, "");
    let edits = futures_util::future::join_all((0..6).map(|_| upload(&server, "PATCH", &path, ANA, picture()))).await;
    assert!(edits.iter().all(|(status, _)| *status == 200), "{edits:?}");
    let (_, shown) = server.rest("GET", &path, ANA, None).await;
    assert_eq!((shown["images"].as_array().unwrap().len(), files(&server)), (8, 8), "each edit's picture is there");
}

/// Orphaned files are not removed by default, because a mistyped path or a restored copy may share the folder.
#[tokio::test]
async fn what_a_crash_left_behind_is_found_where_sweeps_are_wanted() {
    let mut server = Server::builder().seed(4, 0, 0).on_file().start().await;
    let (_, post) = upload(&server, "POST", "/api/posts/", ANA, Form::new().part("image", file(PNG))).await;
    let (stream, podcast) = [(); 2].map(|()| format!("{}.png", uuid::Uuid::new_v4())).into();
    let url = |file: &str| server.http(&format!("/media/posts/images/{file}"));
    publish(&server, BETO, json!({"streaming_url": url(&stream), "podcast_url": url(&podcast)})).await;
    server.kill();
    let images = server.media().join("posts/images");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 3600);
    let name = |name: &str| images.join(name);
    let orphan = name(&format!("{}.png", uuid::Uuid::new_v4()));
    let young = name(&format!("{}.gif", uuid::Uuid::new_v4()));
    for path in [&orphan, &name("backend.png"), &young, &name(&stream), &name(&podcast)] {
        std::fs::write(path, PNG).unwrap();
    }
    for entry in std::fs::read_dir(&images).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() == "png" {
            std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
    }
    let store: Arc<dyn Store> = SqliteStore::open(SqliteOptions::new(server.database()), Arc::new(Nobody)).unwrap();
    let media = Arc::new(MediaDir::open(server.media()).unwrap());
    let every = std::time::Duration::from_millis(20);
    let collector = tokio::spawn(orphans::collect(store.clone(), media, Some(every)));
    wait_for_files(&server, 5).await;
    collector.abort();
    store.close().await;
    assert!(!orphan.exists(), "old and nobody's; what is young, somebody's or not an upload stays");
    let image = post["images"][0].as_str().unwrap().rsplit('/').next().unwrap();
    assert!([image, &stream, &podcast].iter().all(|file| name(file).exists()));
}

/// A port that ignores everything.
struct Nobody;

impl LanePort for Nobody {
    fn committed(&self, _: Vec<Arc<Committed>>, _: Told) {}

    fn answered(&self, _: SessionKey, _: Option<&str>, _: &Outcome) {}
}

/// A body exactly as some program wrote it.
async fn upload_raw(server: &Server, path: &str, parts: &[(&[u8], &[u8])]) -> (u16, Value) {
    let mut body = Vec::new();
    for (disposition, content) in parts {
        body.extend_from_slice(b"--b\r\nContent-Disposition: form-data; ");
        body.extend_from_slice(disposition);
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    let request =
        reqwest::Client::new().post(server.http(path)).header("content-type", "multipart/form-data; boundary=b");
    let response = request.bearer_auth(&server.fixture.users[ANA].token).body(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_picture_is_found_however_its_part_is_written() {
    let server = server().await;
    let written: [&[u8]; 5] = [
        b"filename=\"my name.png\"; name=\"image\"",
        b"NAME=image; FILENAME=a.png",
        b"name=\"image\"; filename*=UTF-8''f.png",
        b"name=\"image\"; filename=\"ni\xf1o.png\"",
        b"filename=\"a; name=b.png\";name=\"image\"",
    ];
    for disposition in written {
        let (status, post) = upload_raw(&server, "/api/posts/", &[(disposition, PNG)]).await;
        assert_eq!((status, post["images"].as_array().map(Vec::len)), (201, Some(1)), "{post}");
    }
}

#[tokio::test]
async fn an_input_that_was_left_empty_is_as_if_it_were_not_there() {
    let server = server().await;
    let content: (&[u8], &[u8]) = (b"name=\"content\"", b"hola");
    for empty in [&b"name=\"image\"; filename=\"\""[..], b"name=\"other\"; filename=\"\""] {
        let (status, post) = upload_raw(&server, "/api/posts/", &[(empty, b""), content, (empty, b"")]).await;
        assert_eq!((status, &post["content"], &post["images"]), (201, &json!("hola"), &json!([])), "{post}");
        let comments = at(&post, "comments/");
        assert_eq!(upload_raw(&server, &comments, &[content, (empty, b"")]).await.0, 201);
    }
    let (status, refused) =
        upload_raw(&server, "/api/posts/", &[(b"name=\"image\"; filename=\"a.png\"", b""), content]).await;
    assert_eq!((status, refused["image"].is_array()), (400, true), "a file of no bytes: {refused}");
    assert_eq!(files(&server), 0);
}

#[tokio::test]
async fn a_file_that_would_be_dropped_is_refused() {
    let server = server().await;
    let image: (&[u8], &[u8]) = (b"name=\"image\"; filename=\"a.png\"", PNG);
    let (status, refused) = upload_raw(&server, "/api/posts/", &[image, image]).await;
    assert_eq!((status, refused), (400, json!({"image": ["Este campo admite un solo archivo."]})));
    let unknown: (&[u8], &[u8]) = (b"name=\"photo\"; filename=\"a.png\"", PNG);
    let refused = (400, json!({"photo": ["Este campo no admite archivos."]}));
    assert_eq!(upload_raw(&server, "/api/posts/", &[(b"name=\"content\"", b"hola"), unknown]).await, refused);
    assert_eq!(upload_raw(&server, "/api/messaging/chats/", &[unknown]).await, refused, "in a form without files, too");
    assert_eq!(files(&server), 0);
}

/// However much of a form arrives at once, only the headers of its parts are limited.
#[tokio::test]
async fn a_large_file_that_comes_all_at_once_is_taken() {
    let server = server().await;
    for size in [100_000, 3_000_000] {
        let mut picture = PNG.to_vec();
        picture.resize(size, 0);
        let parts: [(&[u8], &[u8]); 2] =
            [(b"name=\"image\"; filename=\"a.png\"", &picture), (b"name=\"content\"", b"hola")];
        let (status, post) = upload_raw(&server, "/api/posts/", &parts).await;
        assert_eq!((status, &post["content"]), (201, &json!("hola")), "{size}: {post}");
        assert_eq!(fetched(&post["images"][0]).await.2.len(), size);
    }
}

#[tokio::test]
async fn ranges_are_read_as_the_rfc_has_them() {
    let server = server().await;
    let (_, post) = upload(&server, "POST", "/api/posts/", ANA, Form::new().part("image", file(PNG))).await;
    let address = post["images"][0].as_str().unwrap().to_owned();
    let whole = PNG.len();
    let get = async |lines: &[(&str, &str)]| {
        let mut request = reqwest::Client::new().get(&address);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let changed = response.headers().get("last-modified").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), changed, response.bytes().await.unwrap())
    };
    let (_, changed, _) = get(&[]).await;
    let changed = changed.unwrap();
    for (lines, status, from) in [
        (&[("range", "bytes=-500")][..], 206, 0),
        (&[("range", "bytes=-99999999999999999999999")], 206, 0),
        (&[("range", "bytes=-5")], 206, whole - 5),
        (&[("range", "Bytes=10-")], 206, 10),
        (&[("range", "lines=1-2")], 200, 0),
        (&[("range", "bytes=a-b")], 200, 0),
        (&[("range", "bytes=10-"), ("if-range", changed.as_str())], 206, 10),
        (&[("range", "bytes=10-"), ("if-range", "\"another\"")], 200, 0),
        (&[("range", "bytes=900-"), ("if-range", "Thu, 01 Jan 1970 00:00:00 GMT")], 200, 0),
    ] {
        let (got, _, bytes) = get(lines).await;
        assert_eq!((got, &bytes[..]), (status, &PNG[from..]), "{lines:?}");
    }
    assert_eq!(get(&[("range", "bytes=900-")]).await.0, 416);
}
