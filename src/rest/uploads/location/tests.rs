//! Tests pictures as cameras write them, before and after.

use std::io::{Read, Seek, Write};

use super::*;

/// Must not be found afterwards: a maker's name for the place, and the three numbers of a latitude.
const PLACE: &[u8] = b"Plaza Mayor";

/// EXIF with orientation, GPS and maker's notes, in either byte order.
fn exif(is_little: bool) -> Vec<u8> {
    let short = |number: u16| if is_little { number.to_le_bytes() } else { number.to_be_bytes() };
    let long = |number: u32| if is_little { number.to_le_bytes() } else { number.to_be_bytes() };
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| -> Vec<u8> {
        [&short(tag)[..], &short(kind), &long(count), &value].concat()
    };
    let orientation = [short(6), [0, 0]].concat().try_into().unwrap();
    let mut block = if is_little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
    block.extend(long(8));
    // At 8: orientation, EXIF at 50, GPS at 68.
    block.extend(short(3));
    block.extend(entry(0x0112, 3, 1, orientation));
    block.extend(entry(0x8769, 4, 1, long(50)));
    block.extend(entry(0x8825, 4, 1, long(68)));
    block.extend(long(0));
    assert_eq!(block.len(), 50);
    block.extend(short(1));
    block.extend(entry(0x927c, 7, 11, long(122)));
    block.extend(long(0));
    assert_eq!(block.len(), 68);
    block.extend(short(2));
    block.extend(entry(0x0001, 2, 2, *b"N\0\0\0"));
    block.extend(entry(0x0002, 5, 3, long(98)));
    block.extend(long(0));
    assert_eq!(block.len(), 98);
    for number in [40, 1, 24, 1, 0x1234_5678, 1] {
        block.extend(long(number));
    }
    block.extend(PLACE);
    block
}

fn stripped(bytes: &[u8], extension: &str) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    strip(&file, extension).unwrap();
    file.rewind().unwrap();
    let mut after = Vec::new();
    file.read_to_end(&mut after).unwrap();
    after
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Asserts that nothing of the place is left, but the orientation is.
fn check(after: &[u8]) {
    for part in [PLACE, &0x1234_5678_u32.to_le_bytes(), &0x1234_5678_u32.to_be_bytes(), b"exif:GPS"] {
        assert!(!contains(after, part), "{part:?}");
    }
    let little = contains(after, &[0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0]);
    assert!(little || contains(after, &[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6]), "the orientation stays");
}

fn jpeg_segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, body].concat()
}

#[test]
fn a_jpeg_loses_its_place_and_keeps_its_picture() {
    for is_little in [true, false] {
        let picture = [
            jpeg_segment(0xe2, b"ICC_PROFILE\0\x01\x01colours"),
            jpeg_segment(0xdb, b"tables"),
            jpeg_segment(0xda, b"scan"),
            b"data \xff\x00 and \xff\xd0 more".to_vec(),
            jpeg_segment(0xc4, b"tables"),
            jpeg_segment(0xda, b"scan"),
            b"data\xff\xd9".to_vec(),
        ];
        let before = [
            b"\xff\xd8".to_vec(),
            jpeg_segment(0xe0, b"JFIF\0"),
            jpeg_segment(0xe1, &[b"Exif\0\0", &exif(is_little)[..]].concat()),
            jpeg_segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x exif:GPSLatitude='40,24N'/>"),
            jpeg_segment(0xed, b"Photoshop 3.0\0Plaza Mayor"),
            picture.concat(),
            b"a film from Plaza Mayor behind it".to_vec(),
        ]
        .concat();
        let after = stripped(&before, "jpg");
        check(&after);
        assert!(contains(&after, &picture.concat()), "the picture is as it was");
        assert_eq!(after.len(), before.len());
        assert!(contains(&after, b"JFIF"));
        assert_eq!(stripped(&after, "jpg"), after, "once is enough");
    }
}

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [kind, data].concat();
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
}

#[test]
fn a_png_loses_its_place_and_all_its_chunks_are_right() {
    let before = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk(b"IHDR", b"0123456789abc"),
        png_chunk(b"iCCP", b"colours"),
        png_chunk(b"eXIf", &exif(false)),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x exif:GPSLatitude='40,24N'/>"),
        png_chunk(b"tEXt", b"Raw profile type exif\0Plaza Mayor"),
        png_chunk(b"tEXt", b"Title\0Vacaciones"),
        png_chunk(b"IDAT", b"picture"),
        png_chunk(b"IEND", b""),
        b"Plaza Mayor".to_vec(),
    ]
    .concat();
    let after = stripped(&before, "png");
    check(&after);
    let mut kinds: Vec<String> = Vec::new();
    let mut rest = &after[8..];
    while kinds.last().is_none_or(|kind| kind != "IEND") {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (chunk, more) = rest.split_at(12 + length);
        assert_eq!(png_chunk(chunk[4..8].try_into().unwrap(), &chunk[8..8 + length]), chunk);
        kinds.push(String::from_utf8(chunk[4..8].to_vec()).unwrap());
        rest = more;
    }
    assert_eq!(kinds, ["IHDR", "iCCP", "eXIf", "noNe", "noNe", "tEXt", "IDAT", "IEND"]);
    assert!(contains(&after, b"Vacaciones"));
}

#[test]
fn a_webp_loses_its_place() {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&kind[..], &length, data, &[0; 1][..data.len() % 2]].concat()
    };
    for head in [&b""[..], b"Exif\0\0"] {
        let chunks = [
            chunk(b"VP8X", &[0x2c; 10]),
            chunk(b"ICCP", b"colours"),
            chunk(b"VP8 ", b"picture"),
            chunk(b"EXIF", &[head, &exif(true)].concat()),
            chunk(b"XMP ", b"<x exif:GPSLatitude='40,24N'/>"),
        ]
        .concat();
        let length = u32::try_from(chunks.len() + 4).unwrap().to_le_bytes();
        let before = [b"RIFF", &length[..], b"WEBP", &chunks, b"Plaza Mayor"].concat();
        let after = stripped(&before, "webp");
        check(&after);
        assert_eq!(after.len(), before.len());
        assert!(contains(&after, b"picture") && contains(&after, b"colours"));
    }
}

#[test]
fn what_is_broken_is_left_and_harms_nobody() {
    let whole = [b"\xff\xd8".to_vec(), jpeg_segment(0xe1, &[b"Exif\0\0", &exif(true)[..]].concat())].concat();
    for length in 0..whole.len() {
        stripped(&whole[..length], "jpg");
        stripped(&whole[..length], "png");
        stripped(&whole[..length], "webp");
    }
    // Each byte of the EXIF in turn is made wrong: directories that lead anywhere, counts without an end.
    for place in 12..whole.len() {
        let mut wrong = whole.clone();
        wrong[place] = 0xff;
        stripped(&wrong, "jpg");
    }
    let no_tiff = [b"\xff\xd8".to_vec(), jpeg_segment(0xe1, b"Exif\0\0Plaza Mayor")].concat();
    assert!(!contains(&stripped(&no_tiff, "jpg"), PLACE));
    // Gifs are not changed.
    assert_eq!(stripped(b"GIF89a Plaza Mayor", "gif"), b"GIF89a Plaza Mayor");
}
