//! Why a connection ends: the codes of a Close frame and the violations that lead to one.

use std::fmt;

/// A close status code, RFC 6455 §7.4. It may hold any number; [`may_be_received`](Self::may_be_received) judges what a
/// peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away (a page is left, a server stops).
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer violated the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a type of data that the endpoint does not accept (binary where only text is allowed).
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: a Close frame came without a code. It never stands in one.
    pub const NONE: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. It never stands in one.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that do not match their type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a rule of the application was broken.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server hit an unexpected condition.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the service restarts; the client may come back (IANA registry).
    pub const RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; the client should come back later (IANA registry).
    pub const OVERLOAD: Self = Self(1013);

    /// Whether the code may stand in a Close frame, in either direction.
    ///
    /// RFC 6455 §7.4 and the IANA registry: 1000–1014 without 1004 (reserved), 1005 and 1006
    /// (which describe the absence of a frame); 3000–4999 belong to libraries and applications.
    pub fn may_be_received(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A violation by the peer: the connection must be failed (RFC 6455 §7.1.7) with this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The code for the Close frame that the server sends.
    pub code: CloseCode,
    /// One short sentence without the peer's data. It fits into a Close frame.
    pub reason: &'static str,
}

impl Violation {
    pub(crate) const fn protocol(reason: &'static str) -> Self {
        Self { code: CloseCode::PROTOCOL_ERROR, reason }
    }

    pub(crate) const fn payload(reason: &'static str) -> Self {
        Self { code: CloseCode::INVALID_PAYLOAD, reason }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

impl std::error::Error for Violation {}

/// Reads the payload of a Close frame: nothing at all, or a code and a reason (RFC 6455 §5.5.1).
///
/// # Errors
///
/// 1002 for one lone byte or a code that may not be sent, 1007 for a reason that is not UTF-8.
pub(crate) fn parse_close(payload: &[u8]) -> Result<(Option<CloseCode>, &str), Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok((None, "")),
            _ => Err(Violation::protocol("a Close payload of one byte")),
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.may_be_received() {
        return Err(Violation::protocol("a close code that may not be sent"));
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok((Some(code), reason)),
        Err(_) => Err(Violation::payload("a close reason that is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_the_registry_and_of_applications_are_accepted() {
        // The lists of Autobahn's cases 7.7.* and 7.9.*, and the ends of each range.
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert!(CloseCode(code).may_be_received(), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!CloseCode(code).may_be_received(), "{code}");
        }
    }

    #[test]
    fn close_payloads_are_read_or_refused_with_their_code() {
        assert_eq!(parse_close(b""), Ok((None, "")));
        assert_eq!(parse_close(b"\x03\xe8"), Ok((Some(CloseCode::NORMAL), "")));
        let grown = "\u{fb}\u{fc}";
        let payload = [b"\x0f\xa8".as_slice(), grown.as_bytes()].concat();
        assert_eq!(parse_close(&payload), Ok((Some(CloseCode(4008)), grown)));

        let code = |payload| parse_close(payload).map_err(|violation| violation.code);
        assert_eq!(code(b"\x03".as_slice()), Err(CloseCode::PROTOCOL_ERROR));
        assert_eq!(code(b"\x03\xed"), Err(CloseCode::PROTOCOL_ERROR));
        assert_eq!(code(b"\x03\xe8\xc3"), Err(CloseCode::INVALID_PAYLOAD));
        assert_eq!(code(b"\x03\xe8\xff"), Err(CloseCode::INVALID_PAYLOAD));
    }
}
