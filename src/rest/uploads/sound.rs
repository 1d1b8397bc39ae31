//! Recognises sound files by their first bytes, in forms of phones and encoders that the `infer` library does not know.

/// The extension under which browsers play such a file.
pub fn extension(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'O', b'g', b'g', b'S', ..] if head.get(28..36) == Some(b"OpusHead") => Some("ogg"),
        [b'#', b'!', b'A', b'M', b'R', b'-', b'W', b'B', ..] => Some("amr"),
        [0xFF, second, third, ..] if is_layer_3(*second, *third) => Some("mp3"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] if is_mp4(head) => Some("m4a"),
        _ => None,
    }
}

/// Whether it is a frame's sync word of MPEG 1, 2 or 2.5 with a valid bit rate and sampling rate (ISO 11172-3
/// §2.4.2.3).
fn is_layer_3(second: u8, third: u8) -> bool {
    let version = (second >> 3) & 3;
    let layer = (second >> 1) & 3;
    second >= 0xE0 && version != 1 && layer == 1 && third >> 4 != 15 && (third >> 2) & 3 != 3
}

/// Whether the major brand or a compatible brand is MP4 (ISO 14496-12 §4.3). Pictures use this container, too.
fn is_mp4(head: &[u8]) -> bool {
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let brands = head.get(8..length.clamp(16, head.len().max(16)).min(head.len())).unwrap_or_default();
    let (major, rest) = brands.split_at(brands.len().min(4));
    let is_picture =
        |brand: &[u8]| matches!(brand, b"heic" | b"heix" | b"hevc" | b"heim" | b"mif1" | b"msf1" | b"avif" | b"avis");
    let is_sound = |brand: &[u8]| {
        matches!(brand, b"mp41" | b"mp42" | b"dash" | b"M4A " | b"M4B " | b"M4V " | b"MSNV" | b"qt  ")
            || brand.starts_with(b"iso")
            || brand.starts_with(b"3gp")
            || brand.starts_with(b"3g2")
            || brand.starts_with(b"F4")
    };
    // A version stands between the major brand and the compatible brands.
    let compatible = rest.get(4..).unwrap_or_default();
    !is_picture(major) && (is_sound(major) || compatible.chunks_exact(4).any(is_sound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ftyp(brands: &[&[u8; 4]]) -> Vec<u8> {
        let mut head = u32::try_from(12 + brands.len() * 4).unwrap().to_be_bytes().to_vec();
        head.extend_from_slice(b"ftyp");
        head.extend_from_slice(brands[0]);
        head.extend_from_slice(&[0; 4]);
        brands[1..].iter().for_each(|brand| head.extend_from_slice(*brand));
        head.extend_from_slice(b"\0\0\0\x08free");
        head
    }

    #[test]
    fn what_phones_and_encoders_write_is_sound() {
        // Sampling rates of 44.1, 24 and 11.025 kHz, with and without a checksum.
        for second in [0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2] {
            assert_eq!(extension(&[0xFF, second, 0x90, 0x64]), Some("mp3"), "{second:x}");
        }
        let mut opus = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x13".to_vec();
        opus.extend_from_slice(b"OpusHead\x01\x01");
        assert_eq!(extension(&opus), Some("ogg"));
        assert_eq!(extension(b"#!AMR-WB\n\x04"), Some("amr"));
        for brands in
            [&[b"3gp4"][..], &[b"3gp6", b"isom"], &[b"isom", b"mp41"], &[b"XXXX", b"M4A "], &[b"qt  "], &[b"dash"]]
        {
            assert_eq!(extension(&ftyp(brands)), Some("m4a"), "{brands:?}");
        }
    }

    #[test]
    fn what_is_no_sound_is_not_taken_for_it() {
        let pictures = [ftyp(&[b"heic", b"mif1", b"isom"]), ftyp(&[b"avif", b"isom"]), ftyp(&[b"XXXX", b"YYYY"])];
        let reserved: [&[u8]; 5] = [
            &[0xFF, 0xF1, 0x50, 0],
            &[0xFF, 0xEB, 0x90, 0],
            &[0xFF, 0xFB, 0xF0, 0],
            &[0xFF, 0xFB, 0x9C, 0],
            &[0xFF, 0xD8, 0xFF],
        ];
        let heads = pictures.iter().map(Vec::as_slice).chain(reserved);
        for head in
            heads.chain([&b""[..], b"\0\0\0\x10ftyp", b"\xff\xff\xff\xffftyp", b"\0\0\0\0ftypab", b"OggS", b"<svg>"])
        {
            assert_eq!(extension(head), None, "{head:x?}");
        }
    }
}
