//! Reads a form part's Content-Disposition, as different programs write it: its name, and whether it is a file.

use axum::http::{HeaderMap, header};

/// The two parameters that matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Disposition {
    /// The field's name.
    pub name: String,
    /// The file's name. A part that has one is a file. It is empty if a form's file input was left empty.
    pub file_name: Option<String>,
}

impl Disposition {
    /// Reads a part's headers. Parameters come in any order and case; `filename*` (RFC 8187) wins over `filename`.
    pub fn of(headers: &HeaderMap) -> Self {
        let bytes = headers.get(header::CONTENT_DISPOSITION).map(|value| value.as_bytes()).unwrap_or_default();
        let mut found = Self::default();
        let mut extended = None;
        let mut rest = bytes.iter().position(|byte| *byte == b';').map_or(&b""[..], |end| &bytes[end + 1..]);
        while !rest.is_empty() {
            let (name, value, left) = parameter(rest);
            rest = left;
            match name.as_str() {
                "name" if found.name.is_empty() => found.name = text(&value),
                "filename" if found.file_name.is_none() => found.file_name = Some(text(&value)),
                "filename*" => extended = extended.or_else(|| decoded(&value)),
                _ => {}
            }
        }
        found.file_name = extended.or(found.file_name);
        found
    }
}

/// The first parameter's name in lower case, its value without quotes, and the text after the next semicolon.
fn parameter(bytes: &[u8]) -> (String, Vec<u8>, &[u8]) {
    let end = bytes.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(bytes.len());
    let name = String::from_utf8_lossy(&bytes[..end]).trim().to_ascii_lowercase();
    let Some((b'=', mut rest)) = bytes[end..].split_first() else {
        return (name, Vec::new(), bytes.get(end + 1..).unwrap_or_default());
    };
    rest = rest.trim_ascii_start();
    let mut value = Vec::new();
    if let Some(mut quoted) = rest.strip_prefix(b"\"") {
        loop {
            match quoted {
                // Browsers escape only quotes; a backslash before anything else is part of a path.
                [b'\\', escaped @ (b'"' | b'\\'), left @ ..] => {
                    value.push(*escaped);
                    quoted = left;
                }
                [b'"', left @ ..] => {
                    rest = left;
                    break;
                }
                [byte, left @ ..] => {
                    value.push(*byte);
                    quoted = left;
                }
                [] => {
                    rest = quoted;
                    break;
                }
            }
        }
        rest = rest.iter().position(|byte| *byte == b';').map_or(&b""[..], |end| &rest[end + 1..]);
    } else {
        let end = rest.iter().position(|byte| *byte == b';').unwrap_or(rest.len());
        value.extend_from_slice(rest[..end].trim_ascii_end());
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    (name, value, rest)
}

/// Decodes UTF-8, or else Latin-1.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

/// Decodes `UTF-8''na%C3%AFve.png`.
fn decoded(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?;
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?;
    let _language = parts.next()?;
    let encoded = parts.next()?;
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
    (charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("iso-8859-1")).then(|| text(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &[u8]) -> (String, Option<String>) {
        let value = axum::http::HeaderValue::from_bytes(value).unwrap();
        let Disposition { name, file_name } =
            Disposition::of(&HeaderMap::from_iter([(header::CONTENT_DISPOSITION, value)]));
        (name, file_name)
    }

    #[test]
    fn parameters_come_in_any_order_case_and_spelling() {
        for (written, name, file) in [
            (&b"form-data; name=\"image\"; filename=\"a.png\""[..], "image", Some("a.png")),
            (b"form-data; filename=\"my name.png\"; name=\"image\"", "image", Some("my name.png")),
            (b"Form-Data;NAME=image;FileName=a.png", "image", Some("a.png")),
            (b"form-data ; name = \"image\" ; filename = \"a; name=b.png\"", "image", Some("a; name=b.png")),
            (b"form-data; name=\"image\"; filename*=UTF-8''f%20%C3%B1.png", "image", Some("f \u{f1}.png")),
            (
                b"form-data; name=\"image\"; filename=\"f.png\"; filename*=utf-8'es'%C3%B1.png",
                "image",
                Some("\u{f1}.png"),
            ),
            (b"form-data; name=\"image\"; filename=\"ni\xf1o.png\"", "image", Some("ni\u{f1}o.png")),
            (b"form-data; name=\"image\"; filename=\"ni\xc3\xb1o.png\"", "image", Some("ni\u{f1}o.png")),
            (b"form-data; name=\"a\\\"b\"; filename=\"C:\\dir\\f.png\"", "a\"b", Some("C:\\dir\\f.png")),
            (b"form-data; name=\"image\"; filename=\"\"", "image", Some("")),
            (b"form-data; name=image; filename=", "image", Some("")),
            (b"form-data; name=\"content\"", "content", None),
            (b"form-data; name=\"unfinished", "unfinished", None),
            (b"form-data; filename*=nonsense; name=x;;", "x", None),
            (b"form-data", "", None),
            (b"", "", None),
        ] {
            let shown = String::from_utf8_lossy(written);
            assert_eq!(of(written), (name.to_owned(), file.map(str::to_owned)), "{shown}");
        }
    }
}
