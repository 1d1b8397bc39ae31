//! HTTP/1.1 bytes for the load's own requests: builds requests, reads answers.

use std::net::SocketAddr;

/// The most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16_384;
const HEADERS_MAX: usize = 64;

/// One whole answer, borrowed from the receive buffer.
#[derive(Debug, PartialEq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// A POST of JSON with a token. The connection stays open for the next one.
pub fn post(server: SocketAddr, path: &str, token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The answer at the start of `bytes`, and the number of its bytes; `None` while it is incomplete.
///
/// # Errors
/// The answer is invalid, or has a form that this tester does not read.
pub fn parse_answer(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let start = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("an endless head of an answer".to_owned()),
        Err(error) => return Err(format!("no answer of HTTP/1.1: {error}")),
    };
    let status = head.code.ok_or("an answer without a status")?;
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = match length.map(|header| String::from_utf8_lossy(header.value)) {
        Some(text) => text.trim().parse().map_err(|_| format!("a content-length of `{text}`"))?,
        None if status == 204 => 0,
        None => return Err(format!("an answer ({status}) without content-length, which this tester does not read")),
    };
    let body = start.checked_add(length).and_then(|end| bytes.get(start..end));
    Ok(body.map(|body| (Answer { status, body }, start + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_after_the_other_and_only_when_whole() {
        let two = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nx: y\r\n\r\n{}HTTP/1.1 204 No Content\r\n\r\n";
        let (first, used) = parse_answer(two).expect("right").expect("whole");
        assert_eq!(first, Answer { status: 201, body: b"{}" });
        let (second, rest) = parse_answer(&two[used..]).expect("right").expect("whole");
        assert_eq!((second.status, used + rest), (204, two.len()));
        for cut in 0..used {
            assert_eq!(parse_answer(&two[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for wrong in ["SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"] {
            assert!(parse_answer(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parse_answer(&[b'x'; HEAD_BYTES_MAX]).is_err());
    }
}
