//! Documents in messages over real sockets and HTTP: said, heard and saved; refused by kind, content and size; and names
//! that mean harm.

use crate::support::v1::Client;
use crate::support::{Server, schema};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

const PDF: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n%%EOF";
const ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const REFUSED: &str = "Este tipo de archivo no se puede enviar, o su contenido no corresponde a su nombre. Ponlo en un \
                       archivo ZIP y envía ese.";

async fn server() -> Server {
    Server::builder().seed(4, 1, 2).start().await
}

fn send_path(server: &Server) -> String {
    format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[0].id)
}

/// Members of the room, and somebody else.
fn people(server: &Server) -> [usize; 3] {
    let members = &server.fixture.rooms[0].members;
    let outsider = (0..4).find(|user| !members.contains(user)).unwrap();
    [members[0], members[1], outsider]
}

/// A form as it is written: each part's parameters and content.
async fn send_parts(server: &Server, user: usize, parts: &[(&[u8], &[u8])]) -> (u16, Value) {
    let mut body = Vec::new();
    for (parameters, content) in parts {
        let before = [&b"--b-b\r\nContent-Disposition: form-data; "[..], parameters, b"\r\n\r\n"].concat();
        body.extend([&before[..], content, b"\r\n"].concat());
    }
    body.extend_from_slice(b"--b-b--\r\n");
    let request = server.client().post(server.http(&send_path(server)));
    let request = request.header("content-type", "multipart/form-data; boundary=b-b").body(body);
    let response = request.bearer_auth(&server.fixture.users[user].token).send().await.unwrap();
    let status = response.status().as_u16();
    let answer = response.json().await.unwrap();
    schema::check("POST", &send_path(server), status, &answer);
    (status, answer)
}

async fn send(server: &Server, user: usize, name: &str, content: &[u8]) -> (u16, Value) {
    let parameters = format!("name=\"file\"; filename=\"{name}\"");
    send_parts(server, user, &[(parameters.as_bytes(), content)]).await
}

async fn saved(server: &Server, message: &Value) -> (u16, HeaderMap, Vec<u8>) {
    let response = server.client().get(message["file_url"].as_str().unwrap()).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.unwrap().to_vec())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn files(server: &Server) -> usize {
    [".incoming", "messages/files"].iter().map(|of| std::fs::read_dir(server.media().join(of)).unwrap().count()).sum()
}

#[tokio::test]
async fn a_document_is_said_heard_and_saved_under_its_name() {
    let server = server().await;
    let [ana, beto, _] = people(&server);
    let mut older = server.join(0, beto).await;
    let mut newer = Client::open(&server, beto).await;
    let topic = format!("room:{}", server.fixture.rooms[0].id.replace('-', ""));
    newer.subscribed(&topic, None).await;
    let file: (&[u8], &[u8]) = ("name=\"file\"; filename=\"Acta nº 1.PDF\"".as_bytes(), PDF);
    let text_part: (&[u8], &[u8]) = (b"name=\"content\"", b" la de ayer ");
    let (status, message) = send_parts(&server, ana, &[text_part, file]).await;
    assert_eq!(status, 201, "{message}");
    let said = [&message["message_type"], &message["content"], &message["file_name"], &message["file_size"]];
    assert_eq!(said, [&json!("file"), &json!("la de ayer"), &json!("Acta nº 1.PDF"), &json!(PDF.len())]);
    let address = message["file_url"].as_str().unwrap();
    let random =
        address.strip_prefix(&server.http("/media/messages/files/")).and_then(|name| name.strip_suffix(".pdf"));
    assert_eq!(random.map(str::len), Some(36), "{address}");
    assert!(address.len() <= 200, "it fits into Django's column");

    let heard = older.expect("chat_message").await;
    let event = &newer.event(&topic).await["event"];
    for key in ["file_url", "file_name", "file_size", "message_type", "content"] {
        assert_eq!((&heard["message"][key], &event[key]), (&message[key], &message[key]), "{key}");
    }
    let path = send_path(&server).replace("send_message/", "messages/");
    let read = server.done("GET", &path, beto, None).await;
    assert_eq!(read["results"][0]["file_url"], message["file_url"]);

    let (status, headers, bytes) = saved(&server, &message).await;
    assert_eq!((status, bytes.as_slice()), (200, PDF));
    let disposition = "attachment; filename=\"Acta n_ 1.PDF\"; filename*=UTF-8''Acta%20n%C2%BA%201.PDF";
    assert_eq!(text(&headers, "content-disposition"), disposition);
    assert_eq!(text(&headers, "content-type"), "application/octet-stream");
    assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
    let policy = text(&headers, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && policy.split("; ").any(|one| one == "sandbox"), "{policy}");
    let part = server.client().get(address).header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!((part.status().as_u16(), text(part.headers(), "content-disposition")), (206, disposition));
    // The label beside it is nobody's business.
    let label = address.replace("files/", "files/.") + ".label";
    assert_eq!(server.client().get(label).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn several_kinds_are_taken_and_the_type_may_be_named() {
    let server = server().await;
    let [ana, ..] = people(&server);
    for (name, content, ending) in [
        ("notas.txt", &b"hola"[..], ".txt"),
        ("datos.csv", b"a;b\r\n1;2", ".csv"),
        ("carta.docx", ZIP, ".docx"),
        ("todo.zip", ZIP, ".zip"),
        ("LEEME", b"hola", ".txt"),
    ] {
        let parameters = format!("name=\"file\"; filename=\"{name}\"");
        let kind: (&[u8], &[u8]) = (b"name=\"message_type\"", b"file");
        let (status, message) = send_parts(&server, ana, &[kind, (parameters.as_bytes(), content)]).await;
        assert_eq!((status, &message["message_type"]), (201, &json!("file")), "{name}: {message}");
        assert!(message["file_url"].as_str().unwrap().ends_with(ending), "{message}");
        let (_, headers, bytes) = saved(&server, &message).await;
        assert_eq!(bytes, content);
        assert!(text(&headers, "content-disposition").starts_with("attachment; filename=\""), "{name}");
    }
    // As before: a file that is stored elsewhere, by its address.
    let elsewhere = json!({"message_type": "file", "file_url": "https://example.com/a.pdf", "file_name": "a.pdf"});
    let message = server.done("POST", &send_path(&server), ana, Some(elsewhere)).await;
    assert_eq!(message["file_url"], "https://example.com/a.pdf");
    let (status, answer) = server.rest("POST", &send_path(&server), ana, Some(json!({"message_type": "file"}))).await;
    let missing = json!({"non_field_errors": ["Los mensajes de archivo requieren una URL."]});
    assert_eq!((status, answer), (400, missing));
}

#[tokio::test]
async fn what_could_run_is_refused_and_leaves_nothing() {
    let server = server().await;
    let [ana, _, outsider] = people(&server);
    for (name, content) in [
        ("a.html", &b"<script>alert(1)</script>"[..]),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("a.xml", b"<?xml version=\"1.0\"?><html xmlns='http://www.w3.org/1999/xhtml'/>"),
        ("a.js", b"alert(1)"),
        ("a.exe", b"MZ\x90\0\x03\0"),
        ("a.pdf.exe", PDF),
        ("a.pdf\u{202e}.exe", PDF),
        ("a.pdf", b"MZ\x90\0\x03\0"),
        ("a.pdf", b"<html>"),
        ("a.txt", b"\x7fELF\x02\x01\0"),
        ("a.txt", b""),
        ("a.docm", ZIP),
    ] {
        assert_eq!(send(&server, ana, name, content).await, (400, json!({"file": [REFUSED]})), "{name}");
    }
    let (status, answer) = send(&server, outsider, "a.pdf", PDF).await;
    assert_eq!((status, &answer["detail"]), (403, &json!("Usted no tiene permiso para realizar esta acción.")));
    // Stored, and then refused in the write.
    let reply = pregon::ids::MessageId::fresh().to_string();
    let file: (&[u8], &[u8]) = (b"name=\"file\"; filename=\"a.pdf\"", PDF);
    let (status, _) = send_parts(&server, ana, &[file, (b"name=\"reply_to\"", reply.as_bytes())]).await;
    assert_eq!(status, 400);
    assert_eq!(files(&server), 0);
}

#[tokio::test]
async fn too_large_a_document_is_refused_and_leaves_nothing() {
    let server = server().await;
    let [ana, ..] = people(&server);
    let mut bytes = PDF.to_vec();
    bytes.resize(25 * 1024 * 1024, b' ');
    assert_eq!(send(&server, ana, "a.pdf", &bytes).await.0, 201);
    bytes.push(b' ');
    let answer = send(&server, ana, "a.pdf", &bytes).await;
    assert_eq!(answer, (413, json!({"error": "El archivo supera el máximo de 25 MB."})));
    // The document and its label.
    assert_eq!(files(&server), 2);
}

#[tokio::test]
async fn documents_count_as_other_uploads_do() {
    let builder = Server::builder().seed(4, 1, 2).set("PREGON_RATE_LIMITS", "on");
    let server = builder.set("PREGON_UPLOADS_PER_HOUR", 2).start().await;
    let [ana, beto, _] = people(&server);
    for status in [201, 201, 429] {
        assert_eq!(send(&server, ana, "a.pdf", PDF).await.0, status);
    }
    assert_eq!(send(&server, beto, "a.pdf", PDF).await.0, 201);
}

/// Whatever a name holds, the header is one attachment, and the name is one line that shows what it is.
#[tokio::test]
async fn names_that_mean_harm_are_names() {
    let server = server().await;
    let [ana, ..] = people(&server);
    for (parameter, name, header) in [
        // As browsers write quotes and lines.
        (
            "filename=\"di%22jo%22; filename=x%0D%0ASet-Cookie: a.pdf\"",
            "di\"jo\"; filename=x Set-Cookie: a.pdf",
            "attachment; filename=\"di_jo_; filename=x Set-Cookie: a.pdf\"; filename*=UTF-8''di%22jo%22%3B%20filename%3Dx%20Set-Cookie%3A%20a.pdf",
        ),
        ("filename=\"di\\\"jo.pdf\"", "di\"jo.pdf", "attachment; filename=\"di_jo.pdf\"; filename*=UTF-8''di%22jo.pdf"),
        ("filename=\"../../../etc/cron.d/a.pdf\"", "a.pdf", "attachment; filename=\"a.pdf\""),
        ("filename*=UTF-8''..%2F..%5Ca%00.pdf", "a.pdf", "attachment; filename=\"a.pdf\""),
        ("filename*=UTF-8''a%0D%0Ab.pdf", "a b.pdf", "attachment; filename=\"a b.pdf\""),
        ("filename=\"factura\u{202e}fdp.pdf\"", "facturafdp.pdf", "attachment; filename=\"facturafdp.pdf\""),
        ("filename=\".htaccess\"", "htaccess.pdf", "attachment; filename=\"htaccess.pdf\""),
        ("filename=\"\u{202e}\"", "documento.pdf", "attachment; filename=\"documento.pdf\""),
        ("filename=\"...\"", "documento.pdf", "attachment; filename=\"documento.pdf\""),
    ] {
        let parameters = format!("name=\"file\"; {parameter}");
        let (status, message) = send_parts(&server, ana, &[(parameters.as_bytes(), PDF)]).await;
        assert_eq!((status, &message["file_name"]), (201, &json!(name)), "{parameter}: {message}");
        let (status, headers, bytes) = saved(&server, &message).await;
        assert_eq!((status, text(&headers, "content-disposition"), bytes.as_slice()), (200, header, PDF));
        assert!(headers.get("set-cookie").is_none());
    }
    let long = format!("{}.pdf", "\u{f1}".repeat(3000));
    let (_, message) = send(&server, ana, &long, PDF).await;
    let kept = message["file_name"].as_str().unwrap();
    assert!(kept.ends_with("\u{f1}.pdf") && (100..=150).contains(&kept.chars().count()), "{kept}");
    assert!(text(&saved(&server, &message).await.1, "content-disposition").len() < 2048);
}

#[tokio::test]
async fn a_server_without_a_public_address_names_documents_by_the_requests_host() {
    let server =
        Server::builder().seed(4, 1, 2).set("PREGON_LISTEN", "0.0.0.0:0").set("PREGON_RATE_LIMITS", "on").start().await;
    let [ana, beto, _] = people(&server);
    let mut socket = server.join(0, beto).await;
    let (_, message) = send(&server, ana, "a.pdf", PDF).await;
    assert!(message["file_url"].as_str().unwrap().starts_with(&server.http("/media/messages/files/")), "{message}");
    assert_eq!(saved(&server, &message).await.2, PDF);
    let heard = socket.expect("chat_message").await;
    assert!(heard["message"]["file_url"].as_str().unwrap().starts_with("/media/messages/files/"), "{heard}");
}
