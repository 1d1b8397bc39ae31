//! HTTP/1.1 bytes, as much as requests of the load itself need: building requests, reading answers.

use std::net::SocketAddr;

/// Bytes that the head of an answer may have.
const HEAD_BYTES_MAX: usize = 16_384;

/// One whole answer, borrowed from the receive buffer.
#[derive(Debug, PartialEq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// A POST of JSON as somebody; the connection stays open for the next.
pub fn post(server: SocketAddr, path: &str, token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The answer at the start of `bytes` and how many of them it took; `None` while it is incomplete.
///
/// # Errors
/// What no server may send, or what this tester does not read.
pub fn parse_answer(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() < HEAD_BYTES_MAX { Ok(None) } else { Err("an endless head of an answer".to_owned()) };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let status: u16 = status.ok_or_else(|| format!("`{first}` is no answer of HTTP/1.1"))?;
    let length =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some((_, value)) => value.trim().parse().map_err(|_| format!("a content-length of `{value}`"))?,
        None if status == 204 => 0_usize,
        None => return Err(format!("an answer ({status}) without content-length, which this tester does not read")),
    };
    let start = end + 4;
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
