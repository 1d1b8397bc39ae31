//! Chooses how an answer with a fixed text is compressed.
//!
//! Nothing else is: where what somebody else can choose is compressed beside what is secret, the length tells of the secret
//! (BREACH).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

/// A body's compression, named as in `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Uncompressed.
    Identity,
    /// Brotli.
    Brotli,
    /// Gzip.
    Gzip,
}

impl Encoding {
    /// The compressed ones, the smallest first.
    pub const COMPRESSED: &[Self] = &[Self::Brotli, Self::Gzip];

    /// The header's value; `None` for an uncompressed body.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }

    /// The `ETag` of a text with this hash, in this encoding: bodies that differ have tags that differ (RFC 9110 §8.8.3.3).
    pub fn tag(self, hash: &str) -> String {
        match self.name() {
            Some(suffix) => format!("\"{hash}-{suffix}\""),
            None => format!("\"{hash}\""),
        }
    }

    /// Says in an answer how its body is encoded, if it has one, and that another client may get another.
    pub fn describe(self, response: &mut Response) {
        let has_body = response.status() != StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(name) = self.name().filter(|_| has_body) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
    }

    /// The encoding that a client likes best among `offered`, by its `Accept-Encoding` (RFC 9110 §12.5.3); of those that it
    /// likes alike, the one that is offered first. Whoever takes none of them gets the body uncompressed, even if it refuses that.
    pub fn accepted(headers: &HeaderMap, offered: &[Self]) -> Self {
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        Self::chosen(&lines.collect::<Vec<_>>().join(","), offered)
    }

    fn chosen(header: &str, offered: &[Self]) -> Self {
        let mut best = (Self::Identity, Self::Identity.weight(header).unwrap_or(0));
        for encoding in offered.iter().rev() {
            match encoding.weight(header) {
                Some(weight) if weight > 0 && weight >= best.1 => best = (*encoding, weight),
                _ => {}
            }
        }
        best.0
    }

    /// What the header says of this encoding, in thousandths. It need not name an uncompressed body, which is taken then, but
    /// liked least.
    fn weight(self, header: &str) -> Option<u16> {
        let name = self.name().unwrap_or("identity");
        let mut any = None;
        for item in header.split(',') {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let coding = coding.trim();
            // RFC 9110 §8.4.1.3: the older name means the same.
            let coding = if coding.eq_ignore_ascii_case("x-gzip") { "gzip" } else { coding };
            if coding.eq_ignore_ascii_case(name) {
                return Some(thousandths(parameters));
            }
            if coding == "*" {
                any = Some(thousandths(parameters));
            }
        }
        any.filter(|_| self != Self::Identity)
    }
}

/// A weight, as in `q=0.5`: 1 if there is none, and 0 if it is none.
fn thousandths(parameters: &str) -> u16 {
    let text = parameters.trim();
    if text.is_empty() {
        return 1000;
    }
    let value = text.strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    match value.and_then(|value| value.trim().parse::<f32>().ok()) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1000")]
        Some(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    #[test]
    fn the_one_that_the_client_likes_best_is_chosen_and_else_the_smallest() {
        for (header, encoding) in [
            ("", Encoding::Identity),
            ("gzip, deflate, br, zstd", Encoding::Brotli),
            ("gzip;q=1.0, BR ; Q=1", Encoding::Brotli),
            ("gzip;q=1.0, br;q=0.5", Encoding::Gzip),
            ("br;q=0.001", Encoding::Brotli),
            ("gzip, br;q=0", Encoding::Gzip),
            ("gzip;q=0.0", Encoding::Identity),
            ("gzip;q=much, br;q=nan, *;q=2", Encoding::Identity),
            ("brotli, x-gzip", Encoding::Gzip),
            ("*", Encoding::Brotli),
            ("*, br;q=0", Encoding::Gzip),
            ("br;q=0, *;q=0.5", Encoding::Gzip),
            ("*;q=0", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("identity, br;q=0.5", Encoding::Identity),
            ("identity;q=0.5, gzip", Encoding::Gzip),
            ("identity;q=0, gzip;q=0.1", Encoding::Gzip),
        ] {
            assert_eq!(Encoding::chosen(header, Encoding::COMPRESSED), encoding, "{header:?}");
        }
        assert_eq!(Encoding::chosen("br, gzip;q=0.5", &[Encoding::Gzip]), Encoding::Gzip, "the one that there is");
        assert_eq!(Encoding::chosen("br, zstd", &[Encoding::Gzip]), Encoding::Identity);
    }
}
