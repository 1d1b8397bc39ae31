//! A buffer of sealed records, one behind the other.

/// Sealed records. Its memory grows and is written over, never cleared.
#[derive(Debug, Default)]
pub struct Sealed {
    bytes: Vec<u8>,
    length: usize,
}

/// Room for the header and the tag of a record, and for an answer that waited.
const OVERHEAD_BYTES: usize = 64;

impl Sealed {
    /// A buffer for bytes that become about so many records.
    pub fn make_room(&mut self, plain_bytes: usize) {
        self.grow_to(self.length + plain_bytes + OVERHEAD_BYTES);
    }

    /// Appends what `write` puts into the free part: it returns how much that is, or how much room it needs, or `None` if it has
    /// nothing to write. True if something was written.
    pub(super) fn append(&mut self, mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) -> bool {
        loop {
            match write(&mut self.bytes[self.length..]) {
                Ok(count) => {
                    self.length += count;
                    return true;
                }
                Err(Some(needed)) => self.grow_to(self.length + needed),
                Err(None) => return false,
            }
        }
    }

    /// Appends bytes that are sealed already, and takes no more memory than they need.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.reserve_exact((self.length + bytes.len()).saturating_sub(self.bytes.len()));
        self.grow_to(self.length + bytes.len());
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// All that was sealed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Forgets what was sealed, and gives memory back beyond `kept_bytes`.
    pub fn clear(&mut self, kept_bytes: usize) {
        self.length = 0;
        if self.bytes.len() > kept_bytes {
            self.bytes = Vec::new();
        }
    }

    /// Its memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn grow_to(&mut self, length: usize) {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
    }
}
