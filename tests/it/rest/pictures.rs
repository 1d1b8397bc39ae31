//! Pictures as phones take them: without the place where they were taken, in formats that browsers show, at addresses
//! that the page can reach.

use crate::support::{Server, Socket};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const ANA: usize = 0;

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [kind, data].concat();
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
}

/// One black pixel with a place in its XMP and in its EXIF.
fn picture() -> Vec<u8> {
    // A GPS directory at offset 26 with one field, whose value is at 44.
    let exif = b"MM\0*\0\0\0\x08\0\x01\x88\x25\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0\0\x01\0\x02\0\x05\0\0\0\x03\0\0\0\x2c\0\0\0\0PLAZA-MAYOR-40N-----------";
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk(b"IHDR", b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0"),
        png_chunk(b"eXIf", exif),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0PLAZA-MAYOR-40N"),
        png_chunk(b"IDAT", b"x\xdac`\0\0\0\x02\0\x01"),
        png_chunk(b"IEND", b""),
    ]
    .concat()
}

async fn post(server: &Server, bytes: Vec<u8>, host: Option<&str>) -> (u16, Value) {
    let form = Form::new().part("image", Part::bytes(bytes).file_name("foto.png"));
    let mut request = reqwest::Client::new().post(server.http("/api/posts/")).multipart(form);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let response = request.bearer_auth(&server.fixture.users[ANA].token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn fetched(address: &Value) -> Vec<u8> {
    let response = reqwest::get(address.as_str().unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_picture_does_not_say_where_it_was_taken_unless_the_operator_says_so() {
    for (keeps, setting) in [(false, "off"), (true, "on")] {
        let server = Server::builder().seed(1, 0, 0).set("PREGON_KEEP_LOCATION", setting).start().await;
        let (status, stored) = post(&server, picture(), None).await;
        assert_eq!(status, 201, "{stored}");
        let served = fetched(&stored["images"][0]).await;
        assert_eq!(served.len(), picture().len());
        let has_place = served.windows(11).any(|window| window == b"PLAZA-MAYOR");
        assert_eq!(has_place, keeps);
    }
}

#[tokio::test]
async fn a_picture_that_browsers_do_not_show_is_refused_with_what_to_do() {
    let server = Server::builder().seed(1, 0, 0).start().await;
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat".to_vec();
    let (status, answer) = post(&server, heic, None).await;
    assert_eq!(status, 400);
    let said = answer["image"][0].as_str().unwrap();
    assert!(said.contains("HEIC") && said.contains("JPEG"), "{said}");
}

#[tokio::test]
async fn addresses_of_a_server_without_a_public_one_are_those_of_the_request() {
    let server =
        Server::builder().seed(1, 0, 0).set("PREGON_LISTEN", "0.0.0.0:0").set("PREGON_RATE_LIMITS", "on").start().await;
    server.wait_for_log("PREGON_PUBLIC_URL is not set").await;
    let port = server.address().rsplit(':').next().unwrap();
    let mut feed = Socket::open(&server, &server.socket_path("feed", ANA)).await;
    feed.next_json().await;
    let (_, stored) = post(&server, picture(), None).await;
    let address = stored["images"][0].as_str().unwrap();
    assert!(address.starts_with(&format!("http://{}/media/posts/images/", server.address())), "{address}");
    fetched(&stored["images"][0]).await;
    let host = format!("127.0.0.1:{port}");
    let (_, other) = post(&server, picture(), Some(&host)).await;
    assert!(other["images"][0].as_str().unwrap().starts_with(&format!("http://{host}/media/")), "{other}");
    // All recipients get the same frame; the page resolves the path.
    let heard = feed.expect("new_post").await;
    let path = heard["post"]["images"][0].as_str().unwrap();
    assert!(path.starts_with("/media/posts/images/") && address.ends_with(path), "{path}");
    // Each answer gives the picture's address on the host of that request, whatever host the upload used.
    let list = server.done("GET", "/api/posts/?friends_only=false", ANA, None).await;
    assert_eq!(list["results"][1]["images"][0], json!(address));
}

#[tokio::test]
async fn a_host_that_may_not_call_names_no_address() {
    let server = Server::builder()
        .seed(1, 0, 0)
        .set("PREGON_LISTEN", "0.0.0.0:0")
        .set("PREGON_RATE_LIMITS", "on")
        .set("PREGON_ALLOWED_ORIGINS", "chat.example.com")
        .start()
        .await;
    for (host, start) in [("evil.example.org", "/media/"), ("chat.example.com", "http://chat.example.com/media/")] {
        let (_, stored) = post(&server, picture(), Some(host)).await;
        assert!(stored["images"][0].as_str().unwrap().starts_with(start), "{host}: {stored}");
    }
}
