//! The opening handshake of RFC 6455 §4.2: judges an upgrade request's headers and answers it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest, Sha1};

/// The supported protocol version, RFC 6455 §4.1.
pub const VERSION: &str = "13";

/// The parts of a request that decide on an upgrade. Header values are as received. A header may come in several lines,
/// so lists are iterators over lines.
#[derive(Debug)]
pub struct UpgradeRequest<'a, C, U> {
    /// The request's method, upper case.
    pub method: &'a str,
    /// Whether the request came by HTTP/1.1.
    pub http_1_1: bool,
    /// All `Connection` lines.
    pub connection: C,
    /// All `Upgrade` lines.
    pub upgrade: U,
    /// `Sec-WebSocket-Version`.
    pub version: Option<&'a str>,
    /// `Sec-WebSocket-Key`.
    pub key: Option<&'a str>,
}

/// Why a request is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a GET.
    Method,
    /// Not HTTP/1.1: HTTP/1.0 has no upgrade, and HTTP/2 upgrades differently (RFC 8441).
    HttpVersion,
    /// An ordinary request: `Connection` or `Upgrade` do not ask for a WebSocket.
    NoUpgrade,
    /// Not version 13 of the protocol.
    ProtocolVersion,
    /// The key is missing or is not base64 of 16 bytes.
    Key,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::HttpVersion | Self::Key => 400,
            Self::NoUpgrade | Self::ProtocolVersion => 426,
        }
    }

    /// The headers that the status requires: RFC 9110 §15.5.6 and §15.5.22, RFC 6455 §4.4.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("allow", "GET")],
            Self::HttpVersion | Self::Key => &[],
            Self::NoUpgrade | Self::ProtocolVersion => {
                &[("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", VERSION)]
            }
        }
    }

    /// The answer's body: one sentence of plain text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Method => "A WebSocket is opened with GET.",
            Self::HttpVersion => "A WebSocket is opened over HTTP/1.1.",
            Self::NoUpgrade => "This address speaks WebSocket: open it with a WebSocket client.",
            Self::ProtocolVersion => "Only WebSocket version 13 is spoken here.",
            Self::Key => "Sec-WebSocket-Key must be 16 bytes in base64.",
        }
    }
}

/// Judges an upgrade request, RFC 6455 §4.2.1, and returns the value of `Sec-WebSocket-Accept`.
///
/// # Errors
///
/// The first of [`Refusal`]'s reasons that applies, in their order.
pub fn accept<'a, C, U>(request: UpgradeRequest<'a, C, U>) -> Result<String, Refusal>
where
    C: IntoIterator<Item = &'a str>,
    U: IntoIterator<Item = &'a str>,
{
    if request.method != "GET" {
        return Err(Refusal::Method);
    }
    if !request.http_1_1 {
        return Err(Refusal::HttpVersion);
    }
    if !has_token(request.connection, "upgrade") || !has_token(request.upgrade, "websocket") {
        return Err(Refusal::NoUpgrade);
    }
    if request.version.map(str::trim) != Some(VERSION) {
        return Err(Refusal::ProtocolVersion);
    }
    match request.key.map(str::trim) {
        Some(key) if is_key(key) => Ok(accept_key(key)),
        _ => Err(Refusal::Key),
    }
}

/// The proof that the server read the key, 28 characters: RFC 6455 §4.2.2, step 5.4. `key` is the header's value
/// without surrounding blanks.
pub fn accept_key(key: &str) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let hash = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
    STANDARD.encode(hash)
}

/// The subprotocols that a client offers, in its order of preference, from all `Sec-WebSocket-Protocol` lines (RFC 6455
/// §4.1, item 10). Names are case-sensitive.
pub fn protocols<'a>(lines: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    lines.into_iter().flat_map(|line| line.split(',')).map(trim_blanks).filter(|t| !t.is_empty())
}

/// Whether one of a list's elements is `token`, ignoring case.
fn has_token<'a>(lines: impl IntoIterator<Item = &'a str>, token: &str) -> bool {
    protocols(lines).any(|element| element.eq_ignore_ascii_case(token))
}

pub(crate) fn trim_blanks(element: &str) -> &str {
    element.trim_matches([' ', '\t'])
}

/// Whether `key` is base64 of 16 bytes.
fn is_key(key: &str) -> bool {
    // The bits after the sixteenth byte may have any value: in RFC 6455's own example (§4.1, "…EC==") they are not
    // zero, and clients have copied it.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
    );
    // The decoder needs space for whole groups: 24 characters are six groups of three bytes. A longer key does not fit
    // and fails.
    let mut decoded = [0; 18];
    LENIENT.decode_slice(key, &mut decoded) == Ok(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lists = UpgradeRequest<'static, Vec<&'static str>, Vec<&'static str>>;
    type Spoil = fn(&mut Lists);

    /// The request of RFC 6455 §1.3.
    fn request() -> Lists {
        UpgradeRequest {
            method: "GET",
            http_1_1: true,
            connection: vec!["Upgrade"],
            upgrade: vec!["websocket"],
            version: Some("13"),
            key: Some("dGhlIHNhbXBsZSBub25jZQ=="),
        }
    }

    #[test]
    fn the_example_of_rfc_6455_1_3_is_accepted() {
        assert_eq!(accept(request()).as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn lists_cases_and_blanks_are_read_as_http_says() {
        let connections = [vec!["keep-alive, Upgrade"], vec!["keep-alive", "uPGRADE"], vec![",\tupgrade ,,close"]];
        for connection in connections {
            assert!(accept(UpgradeRequest { connection, ..request() }).is_ok());
        }
        assert!(accept(UpgradeRequest { upgrade: vec!["h2c, WebSocket"], ..request() }).is_ok());
        assert!(accept(UpgradeRequest { version: Some(" 13 "), ..request() }).is_ok());
    }

    #[test]
    fn each_fault_has_its_refusal() {
        let cases: [(Spoil, Refusal); 12] = [
            (|r| r.method = "POST", Refusal::Method),
            (|r| r.method = "get", Refusal::Method),
            (|r| r.http_1_1 = false, Refusal::HttpVersion),
            (|r| r.connection = vec![], Refusal::NoUpgrade),
            (|r| r.connection = vec!["keep-alive"], Refusal::NoUpgrade),
            (|r| r.connection = vec!["upgraded"], Refusal::NoUpgrade),
            (|r| r.upgrade = vec![], Refusal::NoUpgrade),
            (|r| r.upgrade = vec!["h2c"], Refusal::NoUpgrade),
            (|r| r.version = None, Refusal::ProtocolVersion),
            (|r| r.version = Some("8"), Refusal::ProtocolVersion),
            (|r| r.version = Some("130"), Refusal::ProtocolVersion),
            (|r| r.key = None, Refusal::Key),
        ];
        for (n, (spoil, refusal)) in cases.into_iter().enumerate() {
            let mut request = request();
            spoil(&mut request);
            assert_eq!(accept(request), Err(refusal), "case {n}");
        }
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        let key = |key| accept(UpgradeRequest { key: Some(key), ..request() });
        assert!(key("AQIDBAUGBwgJCgsMDQ4PEC==").is_ok(), "the example in RFC 6455 §4.1");
        assert!(key("AQIDBAUGBwgJCgsMDQ4PEA==").is_ok());
        assert!(key("++++////++++////++++/w==").is_ok());
        for bad in [
            "",
            "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw==",
            "AQIDBAUGBwgJCgsMDQ4P",     // 15 bytes
            "AQIDBAUGBwgJCgsMDQ4PEBE=", // 17 bytes
            "AQIDBAUGBwgJCgsMDQ4PEBES", // 18 bytes
            "AQIDBAUGBwgJCgsMDQ4PEA",   // no padding
            "AQIDBAUGBwgJCgsMDQ4PE===",
            "AQIDBAUGBwgJ CgsMDQ4PA==",
            "AQIDBAUGBwgJ-_sMDQ4PEA==", // the alphabet of URLs
        ] {
            assert_eq!(key(bad), Err(Refusal::Key), "{bad:?}");
        }
    }

    #[test]
    fn refusals_say_what_to_do_instead() {
        assert_eq!(Refusal::Method.status(), 405);
        assert_eq!(Refusal::Method.headers(), [("allow", "GET")]);
        assert_eq!(Refusal::HttpVersion.status(), 400);
        assert_eq!(Refusal::Key.status(), 400);
        for refusal in [Refusal::NoUpgrade, Refusal::ProtocolVersion] {
            assert_eq!(refusal.status(), 426);
            assert!(refusal.headers().contains(&("sec-websocket-version", "13")));
            assert!(refusal.headers().contains(&("upgrade", "websocket")));
        }
    }

    #[test]
    fn offered_protocols_come_in_the_clients_order() {
        let offered: Vec<&str> = protocols(["pregon.v1, chat", " ,\tsuperchat ,"]).collect();
        assert_eq!(offered, ["pregon.v1", "chat", "superchat"]);
        assert_eq!(protocols([]).next(), None);
    }
}
