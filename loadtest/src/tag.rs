//! The eight bytes that identify a message inside its payload: its sender and number.

/// 3 + 5 characters of 6 bits: 262,144 senders with 2³⁰ messages each. The send time is not included: sender and
/// receivers share a process, which remembers it.
pub const TAG_BYTES: usize = 8;
pub const SENDERS_MAX: u32 = 1 << 18;
pub const SEQ_MAX: u32 = 1 << 30;

const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
const VALUE: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut at = 0;
    while at < 64 {
        table[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    table
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    pub sender: u32,
    pub seq: u32,
}

impl Tag {
    pub fn encode(self) -> [u8; TAG_BYTES] {
        debug_assert!(self.sender < SENDERS_MAX && self.seq < SEQ_MAX);
        let bits = u64::from(self.sender) << 30 | u64::from(self.seq);
        std::array::from_fn(|at| ALPHABET[(bits >> (42 - 6 * at) & 63) as usize])
    }

    pub fn decode(bytes: &[u8; TAG_BYTES]) -> Option<Self> {
        let mut bits = 0_u64;
        let mut seen = 0_u8;
        for byte in bytes {
            let value = VALUE[usize::from(*byte)];
            seen |= value;
            bits = bits << 6 | u64::from(value & 63);
        }
        (seen & 0xc0 == 0).then_some(Self { sender: (bits >> 30) as u32, seq: (bits & u64::from(SEQ_MAX - 1)) as u32 })
    }
}

impl Tag {
    /// The message that a request is named after.
    pub fn named(name: &str) -> Option<Self> {
        Self::decode(name.as_bytes().try_into().ok()?)
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "message {} of sender {}", self.seq, self.sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_survive_the_way_there_and_back() {
        for (sender, seq) in [(0, 0), (1, 63), (SENDERS_MAX - 1, SEQ_MAX - 1), (4711, 77_777)] {
            let tag = Tag { sender, seq };
            assert_eq!(Tag::decode(&tag.encode()), Some(tag));
        }
    }

    #[test]
    fn a_foreign_character_is_no_tag() {
        assert_eq!(Tag::decode(b"0000\"000"), None);
        assert_eq!(Tag::decode(b"0000000\xff"), None);
    }
}
