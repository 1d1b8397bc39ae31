//! Documents of messages: which may be sent, under which name they are shown, and the header under which they are saved.
//!
//! The extension decides what a receiver's system opens a file with, so it must be a known one, and the content must be
//! of its kind. No known one is shown by browsers as a page: no HTML, no SVG, no XML.

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest name that is kept, in characters, its extension included. The column holds 255.
pub const NAME_CHARS_MAX: usize = 150;
/// The longest extension of a name that counts as one, in bytes.
const EXTENSION_BYTES_MAX: usize = 8;
/// The name of a file whose own has nothing that can be shown.
const NAMELESS: &str = "documento";

/// What RFC 8187 §3.2.1 allows unencoded in `filename*`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What a file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Pdf,
    Rtf,
    /// The container of Word, Excel and PowerPoint until 2003, and of the later ones with a password.
    Ole,
    Zip,
    SevenZip,
    Rar,
    Gzip,
    Bzip2,
    Xz,
    Tar,
    Text,
}

use Content::{Bzip2, Gzip, Ole, Pdf, Rar, Rtf, SevenZip, Tar, Text, Xz, Zip};

/// The known extensions, each with what a file of that name may be.
const KNOWN: &[(&str, &[Content])] = &[
    ("pdf", &[Pdf]),
    ("txt", &[Text]),
    ("md", &[Text]),
    ("csv", &[Text]),
    ("tsv", &[Text]),
    ("log", &[Text]),
    ("json", &[Text]),
    ("ics", &[Text]),
    ("vcf", &[Text]),
    ("srt", &[Text]),
    ("rtf", &[Rtf]),
    ("doc", &[Ole, Rtf]),
    ("xls", &[Ole]),
    ("ppt", &[Ole]),
    ("docx", &[Zip, Ole]),
    ("xlsx", &[Zip, Ole]),
    ("pptx", &[Zip, Ole]),
    ("odt", &[Zip]),
    ("ods", &[Zip]),
    ("odp", &[Zip]),
    ("odg", &[Zip]),
    ("epub", &[Zip]),
    ("pages", &[Zip]),
    ("key", &[Zip]),
    ("zip", &[Zip]),
    ("7z", &[SevenZip]),
    ("rar", &[Rar]),
    ("gz", &[Gzip]),
    ("tgz", &[Gzip]),
    ("bz2", &[Bzip2]),
    ("xz", &[Xz]),
    ("tar", &[Tar]),
];

/// What begins with `head`.
fn content(head: &[u8]) -> Option<Content> {
    let begins: &[(&[u8], Content)] = &[
        (b"%PDF-", Pdf),
        (b"\xef\xbb\xbf%PDF-", Pdf),
        (b"{\\rtf", Rtf),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Ole),
        (b"PK\x03\x04", Zip),
        // A ZIP file without files.
        (b"PK\x05\x06", Zip),
        (b"7z\xbc\xaf\x27\x1c", SevenZip),
        (b"Rar!\x1a\x07", Rar),
        (b"\x1f\x8b\x08", Gzip),
        (b"BZh", Bzip2),
        (b"\xfd7zXZ\0", Xz),
    ];
    let known = begins.iter().find(|(start, _)| head.starts_with(start)).map(|(_, content)| *content);
    let tar = head.get(257..262).filter(|magic| *magic == b"ustar").map(|_| Tar);
    known.or(tar).or_else(|| is_text(head).then_some(Text))
}

/// Text in any encoding: it has no control characters but those of lines, pages and colours. UTF-16 has zeros, and a mark
/// at its start.
fn is_text(head: &[u8]) -> bool {
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c' | b'\x1b');
    let is_utf_16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    !head.is_empty() && (is_utf_16 || !head.iter().any(is_control))
}

/// The extension under which a document with this name and these first bytes is stored; `None` if it may not be sent.
/// Where the name has none, the content decides.
pub fn extension(name: &str, head: &[u8]) -> Option<&'static str> {
    let content = content(head)?;
    match of_name(name) {
        Some(own) => KNOWN.iter().find(|(known, of)| *known == own && of.contains(&content)).map(|(known, _)| *known),
        None => match content {
            // Installers are such containers, too.
            Ole => None,
            Pdf => Some("pdf"),
            Rtf => Some("rtf"),
            Zip => Some("zip"),
            SevenZip => Some("7z"),
            Rar => Some("rar"),
            Gzip => Some("gz"),
            Bzip2 => Some("bz2"),
            Xz => Some("xz"),
            Tar => Some("tar"),
            Text => Some("txt"),
        },
    }
}

/// A name's extension in lower case. What has no letter is none: `acta 12.05.2026`.
fn of_name(name: &str) -> Option<String> {
    let (_, extension) = name.rsplit_once('.')?;
    extension.contains(char::is_alphabetic).then(|| extension.to_lowercase())
}

/// The name as it is kept and shown: no folders, nothing that hides or turns around what follows, on one line, not too
/// long, without dots and blanks at its ends. It may be empty.
pub fn clean(name: &str) -> String {
    // Browsers write these three so (HTML, "multipart form data").
    let name = name.replace("%22", "\"").replace("%0D", " ").replace("%0A", " ");
    let visible: String = name
        .chars()
        .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
        .filter(|letter| !is_hidden(*letter))
        .collect();
    let is_trimmed = |letter: char| letter == '.' || letter == ' ';
    let parts = visible.rsplit(['/', '\\']).map(|part| part.trim_matches(is_trimmed));
    let last = parts.into_iter().find(|part| !part.is_empty()).unwrap_or_default();
    shortened(&last.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// Characters that nobody sees, and that may change how others are shown: controls, marks of direction, and the like. The
/// joiners of Persian and of emoji stay.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The name with as much before its extension as fits.
fn shortened(name: &str) -> String {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let extension = extension.filter(|extension| extension.len() <= EXTENSION_BYTES_MAX);
    let Some(extension) = extension else { return name.chars().take(NAME_CHARS_MAX).collect() };
    let stem = &name[..name.len() - extension.len() - 1];
    let fits = NAME_CHARS_MAX - EXTENSION_BYTES_MAX - 1;
    let stem: String = stem.chars().take(fits).collect();
    format!("{}.{extension}", stem.trim_end())
}

/// A clean name with the extension under which the file is stored.
pub fn named(clean: String, extension: &str) -> String {
    match clean.as_str() {
        "" => format!("{NAMELESS}.{extension}"),
        name if of_name(name).as_deref() == Some(extension) => clean,
        name => shortened(&format!("{name}.{extension}")),
    }
}

/// A `Content-Disposition` that has browsers save the file under this name (RFC 6266): once in ASCII, and whole in
/// `filename*` if that is not all (RFC 8187).
pub fn disposition(name: &str) -> HeaderValue {
    let is_plain = |letter: char| (letter == ' ' || letter.is_ascii_graphic()) && !matches!(letter, '"' | '\\' | '%');
    let plain: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(name, ENCODED));
    }
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0";
    const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0";

    #[test]
    fn name_and_content_must_agree() {
        let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
        for (name, head, stored) in [
            ("a.pdf", &b"%PDF-1.7\n%\xe2\xe3\0"[..], "pdf"),
            ("A.PDF", b"%PDF-1.7", "pdf"),
            ("a.txt", b"hola\r\n\tni\xc3\xb1o", "txt"),
            ("a.csv", b"ni\xf1o;1", "csv"),
            ("a.txt", b"\xff\xfeh\0", "txt"),
            ("a.md", b"<h1 align=center>", "md"),
            ("a.docx", ZIP, "docx"),
            ("a.xlsx", OLE, "xlsx"),
            ("a.doc", OLE, "doc"),
            ("a.doc", b"{\\rtf1", "doc"),
            ("a.odt", ZIP, "odt"),
            ("a.zip", b"PK\x05\x06\0\0", "zip"),
            ("a.tar.gz", b"\x1f\x8b\x08\0", "gz"),
            ("a.tar", &tar, "tar"),
            ("informe", b"%PDF-1.4", "pdf"),
            ("acta 12.05.2026", b"%PDF-1.4", "pdf"),
            ("LICENSE", b"Copyright", "txt"),
            ("", ZIP, "zip"),
        ] {
            assert_eq!(extension(name, head), Some(stored), "{name}");
        }
        for (name, head) in [
            ("a.pdf", &b"<html>"[..]),
            ("a.pdf", ZIP),
            ("a.txt", b"MZ\x90\0\x03"),
            ("a.txt", b""),
            ("a.docx", b"%PDF-1.7"),
            ("a.exe", b"MZ\x90\0\x03"),
            ("a.exe", b"hola"),
            ("a.pdf.exe", b"%PDF-1.7"),
            ("a.html", b"<html>"),
            ("a.htm", b"hola"),
            ("a.xhtml", b"hola"),
            ("a.svg", b"<svg>"),
            ("a.xml", b"<?xml version=\"1.0\"?>"),
            ("a.js", b"alert(1)"),
            ("a.docm", ZIP),
            ("a.jar", ZIP),
            ("a.apk", ZIP),
            ("a.bat", b"del"),
            ("instalador", OLE),
            ("programa", b"\x7fELF\x02\x01\x01\0"),
        ] {
            assert_eq!(extension(name, head), None, "{name}");
        }
    }

    /// The page says before the transfer what the server would refuse after it.
    #[test]
    fn the_page_offers_what_is_taken() {
        let page = include_str!("../../../web/files.js");
        let list = page.split_once("DOCUMENTS = new Set((").unwrap().1.split_once(").split").unwrap().0;
        let offered: Vec<&str> =
            list.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|one| !one.is_empty()).collect();
        let taken: Vec<&str> = KNOWN.iter().map(|(extension, _)| *extension).collect();
        assert_eq!(offered, taken);
    }

    #[test]
    fn a_name_is_one_line_without_folders_and_what_turns_it_around() {
        for (sent, kept) in [
            ("informe.pdf", "informe.pdf"),
            ("../../etc/passwd.txt", "passwd.txt"),
            ("C:\\Users\\ana\\acta.pdf", "acta.pdf"),
            ("/", ""),
            ("..", ""),
            (" ..oculto.txt . ", "oculto.txt"),
            ("dos\r\nl\u{ed}neas\t\u{2028}.txt", "dos l\u{ed}neas.txt"),
            ("a%0D%0ASet-Cookie: x.txt", "a Set-Cookie: x.txt"),
            ("di%22jo%22.txt", "di\"jo\".txt"),
            ("factura\u{202e}fdp.exe", "facturafdp.exe"),
            ("a\u{0}b\u{7f}c\u{200b}\u{feff}\u{2066}.pdf", "abc.pdf"),
            (
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}.pdf",
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}.pdf",
            ),
            ("\u{202e}\u{200f}", ""),
        ] {
            assert_eq!(clean(sent), kept, "{sent:?}");
        }
        let long = clean(&format!("{}.docx", "\u{f1}".repeat(500)));
        assert!(long.ends_with("\u{f1}.docx") && long.chars().count() <= NAME_CHARS_MAX, "{long}");
        assert_eq!(clean(&"x".repeat(500)).len(), NAME_CHARS_MAX);
        assert_eq!(clean(&format!("a.{}", "x".repeat(500))).len(), NAME_CHARS_MAX);
        for (clean, extension, whole) in [
            ("", "pdf", "documento.pdf"),
            ("acta", "pdf", "acta.pdf"),
            ("A.PDF", "pdf", "A.PDF"),
            ("v 1.5", "txt", "v 1.5.txt"),
        ] {
            assert_eq!(named(clean.to_owned(), extension), whole);
        }
        assert!(named("x".repeat(NAME_CHARS_MAX), "pdf").ends_with("x.pdf"));
        assert!(named("x".repeat(NAME_CHARS_MAX), "pdf").len() <= NAME_CHARS_MAX);
    }

    #[test]
    fn whatever_the_name_the_header_is_one_attachment() {
        for (name, header) in [
            ("acta 1.pdf", "attachment; filename=\"acta 1.pdf\""),
            (
                "a\"; filename=b.exe",
                "attachment; filename=\"a_; filename=b.exe\"; filename*=UTF-8''a%22%3B%20filename%3Db.exe",
            ),
            ("ni\u{f1}o.pdf", "attachment; filename=\"ni_o.pdf\"; filename*=UTF-8''ni%C3%B1o.pdf"),
            ("100%25.txt", "attachment; filename=\"100_25.txt\"; filename*=UTF-8''100%2525.txt"),
            ("a\r\nb\0", "attachment; filename=\"a__b_\"; filename*=UTF-8''a%0D%0Ab%00"),
        ] {
            assert_eq!(disposition(name).to_str().unwrap(), header);
        }
    }
}
