//! Masking of client payloads, RFC 6455 §5.3: XOR with a key of four bytes.

/// XORs `payload` in place with `key`. `offset` is the number of earlier payload bytes of the same frame; only its
/// remainder by four matters. Masks and unmasks alike.
#[inline]
pub fn unmask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let key: [u8; 4] = std::array::from_fn(|i| key[(offset + i) & 3]);
    let key16 = u128::from_ne_bytes(std::array::from_fn(|i| key[i & 3]));
    // Words of 16 bytes let the compiler use vector registers, several words per step.
    let (words, tail) = payload.as_chunks_mut::<16>();
    for word in words {
        *word = (u128::from_ne_bytes(*word) ^ key16).to_ne_bytes();
    }
    // 16 is a multiple of 4, so the tail starts at the key's first byte again.
    unmask_plain(tail, key, 0);
}

/// The definition in RFC 6455 §5.3, byte by byte: [`unmask`] must equal it.
#[inline]
pub fn unmask_plain(payload: &mut [u8], key: [u8; 4], offset: usize) {
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[(offset + i) & 3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_hello_is_read() {
        // RFC 6455 §5.7, second example.
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn fast_equals_plain_for_each_length_offset_and_alignment() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let bytes: Vec<u8> = (0..256).map(|i| (i * 37 % 251) as u8).collect();
        for length in 0..200 {
            for alignment in 0..17 {
                for offset in 0..9 {
                    let mut fast = bytes.clone();
                    let mut plain = bytes.clone();
                    unmask(&mut fast[alignment..alignment + length], key, offset);
                    unmask_plain(&mut plain[alignment..alignment + length], key, offset);
                    assert_eq!(fast, plain, "length {length}, at {alignment}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn a_payload_may_be_unmasked_in_pieces() {
        let key = [1, 2, 3, 4];
        let mut whole = [0x55; 64];
        unmask_plain(&mut whole, key, 0);
        for cut in 0..=64 {
            let mut pieces = [0x55; 64];
            let (head, tail) = pieces.split_at_mut(cut);
            unmask(head, key, 0);
            unmask(tail, key, cut);
            assert_eq!(pieces, whole, "cut at {cut}");
        }
    }
}
