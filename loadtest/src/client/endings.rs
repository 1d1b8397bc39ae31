//! How connections end, and how upgrades are answered.

use rustix::io::Errno;

/// The answer to the key of RFC 6455's own example, which the tester sends.
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How a connection ended that the server closed.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The close code or, below 1000, the HTTP status of the answer to the upgrade.
    pub code: Option<u16>,
    pub text: String,
}

impl Ending {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { code: None, text: text.into() }
    }

    /// An end that the server told in a frame.
    pub fn told(text: String) -> Self {
        Self::new(text)
    }

    /// Whether the server said that it has reached a limit, which is an outcome and not a fault.
    pub fn is_limit(&self) -> bool {
        matches!(self.code, Some(429 | 503 | 1013 | 4029))
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.text)
    }
}

/// An error for people.
pub(super) fn in_words(error: Errno) -> String {
    match error {
        Errno::CONNREFUSED => "connection refused: nobody listens there".to_owned(),
        Errno::CONNRESET | Errno::PIPE => "connection reset by the server".to_owned(),
        other => other.to_string(),
    }
}

/// The length of a complete, successful answer; `None` while it is incomplete.
pub(super) fn upgrade_answer(bytes: &[u8]) -> Result<Option<usize>, Ending> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return match bytes.len() {
            0..16_384 => Ok(None),
            _ => Err(Ending::new("an endless answer to the upgrade")),
        };
    };
    let head = &bytes[..end];
    let first_line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let first_line = String::from_utf8_lossy(first_line);
    if !first_line.starts_with("HTTP/1.1 101") {
        let code = first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        return Err(Ending { code, text: format!("the upgrade was answered with `{first_line}`") });
    }
    if memchr::memmem::find(head, ACCEPT).is_none() {
        return Err(Ending::new("the upgrade's Sec-WebSocket-Accept is wrong"));
    }
    Ok(Some(end + 4))
}

/// What a close frame says.
pub(super) fn close_reason(payload: &[u8]) -> Ending {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => {
            let code = u16::from_be_bytes(*code);
            let reason = String::from_utf8_lossy(reason);
            Ending { code: Some(code), text: format!("closed by the server with {code} {reason}") }
        }
        None => Ending::new("closed by the server without a code"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_accepted_whole_and_only_when_right() {
        let good = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: \
                     s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00";
        assert!(matches!(upgrade_answer(good), Ok(Some(length)) if length == good.len() - 2));
        assert!(matches!(upgrade_answer(&good[..40]), Ok(None)));
        let refused = upgrade_answer(b"HTTP/1.1 403 Forbidden\r\n\r\n");
        assert!(refused.is_err_and(|ending| ending.code == Some(403) && !ending.is_limit()));
        let busy = upgrade_answer(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(busy.is_err_and(|ending| ending.is_limit()));
        assert!(upgrade_answer(b"HTTP/1.1 101 X\r\nA: b\r\n\r\n").is_err());
    }

    #[test]
    fn close_codes_are_shown() {
        let ending = close_reason(b"\x0f\xa8slow");
        assert_eq!((ending.code, ending.to_string().as_str()), (Some(4008), "closed by the server with 4008 slow"));
    }
}
