//! Bytes of a frame in short: as a number that tells them apart, and as text to show.

/// The beginning, as text.
pub fn excerpt(text: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&text[..text.len().min(200)]);
    format!("{shown} ({} bytes)", text.len())
}

/// 64 bits of an id, enough to tell messages apart; never 0.
pub fn digest(id: &[u8]) -> u64 {
    let mut digest = 0x9e37_79b9_7f4a_7c15_u64;
    for chunk in id.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        digest = (digest ^ u64::from_le_bytes(word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        digest ^= digest >> 32;
    }
    digest | 1
}
