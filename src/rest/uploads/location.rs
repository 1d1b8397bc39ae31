//! Removes the place where a picture was taken, in place: the file keeps its length, orientation and colours.
//!
//! The metadata that cameras write is found by the picture's structure and blanked: the GPS part of EXIF, the maker's
//! notes, XMP, IPTC, and everything after the picture's end (a second picture with its own EXIF, a film). A damaged
//! picture is left unchanged from the damage on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A larger block of metadata is blanked as a whole, so that it is never read into memory.
const BLOCK_BYTES_MAX: u64 = 256 * 1024;
/// The number of bytes searched at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Removes the place from a picture with this extension.
///
/// # Errors
/// The disk failed.
pub fn strip(file: &File, extension: &str) -> io::Result<()> {
    let picture = Picture { file, length: file.metadata()?.len() };
    let done = match extension {
        "jpg" => picture.jpeg(),
        "png" => picture.png(),
        "webp" => picture.webp(),
        _ => Ok(()),
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        done => done,
    }
}

struct Picture<'a> {
    file: &'a File,
    length: u64,
}

impl Picture<'_> {
    fn read<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Blanks `length` bytes, or as many as the file has.
    fn fill(&self, mut at: u64, length: u64, byte: u8) -> io::Result<()> {
        let end = at.saturating_add(length).min(self.length);
        let blank = [byte; 4096];
        while at < end {
            let some = usize::try_from(end - at).unwrap_or(usize::MAX).min(blank.len());
            self.file.write_all_at(&blank[..some], at)?;
            at += some as u64;
        }
        Ok(())
    }

    /// Blanks everything after the picture's end.
    fn end_at(&self, end: u64) -> io::Result<()> {
        self.fill(end, self.length.saturating_sub(end), 0)
    }

    /// EXIF, which is a TIFF file: removes GPS, maker's notes, XMP and IPTC.
    fn exif(&self, at: u64, length: u64) -> io::Result<()> {
        if length > BLOCK_BYTES_MAX {
            return self.fill(at, length, 0);
        }
        let mut block = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut block, at)?;
        if !Tiff::blank_places(&mut block) {
            block.fill(0);
        }
        self.file.write_all_at(&block, at)
    }

    /// ITU-T T.81 §B.1: segments, each with its length, and scans, which end with the next marker.
    fn jpeg(&self) -> io::Result<()> {
        let mut at = 2;
        loop {
            let [first, marker] = self.read(at)?;
            match (first, marker) {
                (0xff, 0xff) => at += 1,
                (0xff, 0xd9) => return self.end_at(at + 2),
                (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
                (0xff, _) => {
                    let length = u64::from(u16::from_be_bytes(self.read(at + 2)?));
                    self.segment(marker, at + 4, length.saturating_sub(2))?;
                    at += 2 + length.max(2);
                    if marker == 0xda {
                        at = self.scan_end(at)?;
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn segment(&self, marker: u8, at: u64, length: u64) -> io::Result<()> {
        let mut name = [0; 12];
        let named = usize::try_from(length).unwrap_or(name.len()).min(name.len());
        self.file.read_exact_at(&mut name[..named], at)?;
        match marker {
            0xe1 if name.starts_with(b"Exif\0\0") => self.exif(at + 6, length - 6),
            // A colour profile, Adobe's marker for the coding of colours, and JFIF.
            0xe2 if name.starts_with(b"ICC_PROFILE") => Ok(()),
            0xe0 | 0xee => Ok(()),
            // XMP, IPTC, lists of further pictures, and other data of applications.
            0xe1..=0xef => self.fill(at, length, 0),
            _ => Ok(()),
        }
    }

    /// The first marker after a scan's data. Inside the data, `ff 00` and restarts are not markers.
    fn scan_end(&self, mut at: u64) -> io::Result<u64> {
        let mut piece = vec![0; PIECE_BYTES];
        let mut was_ff = false;
        loop {
            let read = self.file.read_at(&mut piece, at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for (index, byte) in piece[..read].iter().enumerate() {
                if was_ff && !matches!(byte, 0x00 | 0xd0..=0xd7 | 0xff) {
                    return Ok(at + index as u64 - 1);
                }
                was_ff = *byte == 0xff;
            }
            at += read as u64;
        }
    }

    /// RFC 2083: chunks of length, type, data and checksum.
    fn png(&self) -> io::Result<()> {
        let mut at = 8;
        loop {
            let length = u64::from(u32::from_be_bytes(self.read(at)?));
            let kind: [u8; 4] = self.read(at + 4)?;
            let data = at + 8;
            let end = at + 12 + length;
            match &kind {
                b"eXIf" => {
                    self.exif(data, length)?;
                    self.checksum(at + 4, length + 4)?;
                }
                b"tEXt" | b"zTXt" | b"iTXt" if self.is_about_places(data, length)? => {
                    // Turns it into an empty chunk of an unknown type.
                    self.file.write_all_at(b"noNe", at + 4)?;
                    self.fill(data, length, 0)?;
                    self.checksum(at + 4, length + 4)?;
                }
                b"IEND" => return self.end_at(end),
                _ => {}
            }
            at = end;
        }
    }

    /// Whether the keyword of a text chunk announces XMP, EXIF, IPTC or a place.
    fn is_about_places(&self, at: u64, length: u64) -> io::Result<bool> {
        let mut head = vec![0; usize::try_from(length.min(80)).unwrap_or(0)];
        self.file.read_exact_at(&mut head, at)?;
        let keyword = head.split(|byte| *byte == 0).next().unwrap_or_default();
        let keyword = String::from_utf8_lossy(keyword).to_ascii_lowercase();
        Ok(["xmp", "raw profile", "exif", "iptc", "gps", "location", "latitude"]
            .iter()
            .any(|word| keyword.contains(word)))
    }

    fn checksum(&self, at: u64, length: u64) -> io::Result<()> {
        let mut hasher = crc32fast::Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut left = length;
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            self.file.read_exact_at(&mut piece[..some], at + length - left)?;
            hasher.update(&piece[..some]);
            left -= some as u64;
        }
        self.file.write_all_at(&hasher.finalize().to_be_bytes(), at + length)
    }

    /// RIFF: chunks of type, length and data, each at an even offset.
    fn webp(&self) -> io::Result<()> {
        let whole = 8 + u64::from(u32::from_le_bytes(self.read(4)?));
        let mut at = 12;
        while at < whole {
            let kind: [u8; 4] = self.read(at)?;
            let length = u64::from(u32::from_le_bytes(self.read(at + 4)?));
            let data = at + 8;
            match &kind {
                b"EXIF" if length >= 6 && &self.read::<6>(data)? == b"Exif\0\0" => self.exif(data + 6, length - 6)?,
                b"EXIF" => self.exif(data, length)?,
                b"XMP " => self.fill(data, length, b' ')?,
                _ => {}
            }
            at = data + length + length % 2;
        }
        self.end_at(whole)
    }
}

/// A TIFF 6.0 §2 file in memory.
struct Tiff<'a> {
    block: &'a mut [u8],
    is_little: bool,
}

/// A field of a directory.
struct Entry {
    tag: u16,
    /// The offset of its value.
    value: usize,
    bytes: usize,
}

impl Tiff<'_> {
    const EXIF: u16 = 0x8769;
    const GPS: u16 = 0x8825;
    /// XMP, IPTC, Photoshop's blocks and maker's notes.
    const BLANKED: [u16; 4] = [0x02bc, 0x83bb, 0x8649, 0x927c];

    /// Returns false if the block is not a TIFF and may hold anything.
    fn blank_places(block: &mut [u8]) -> bool {
        let is_little = match block.get(..4) {
            Some(b"II*\0") => true,
            Some(b"MM\0*") => false,
            _ => return false,
        };
        let mut tiff = Tiff { block, is_little };
        // The picture's directory, then that of its thumbnail.
        let mut next = tiff.number(4);
        for _ in 0..2 {
            let Some(directory) = next.filter(|at| *at > 0) else { break };
            next = tiff.blank_in(directory, 0);
        }
        true
    }

    /// Blanks the places in a directory, and returns the offset of the next directory.
    fn blank_in(&mut self, directory: usize, depth: u32) -> Option<usize> {
        let entries = self.entries(directory)?;
        let next = self.number(directory + 2 + entries.len() * 12);
        for entry in entries {
            match entry.tag {
                Self::GPS => {
                    if let Some(gps) = self.number(entry.value) {
                        self.blank_all(gps);
                    }
                }
                Self::EXIF if depth == 0 => {
                    if let Some(exif) = self.number(entry.value) {
                        self.blank_in(exif, 1);
                    }
                }
                tag if Self::BLANKED.contains(&tag) => self.blank(entry.value, entry.bytes),
                _ => {}
            }
        }
        next
    }

    /// Removes all fields of a directory.
    fn blank_all(&mut self, directory: usize) {
        let Some(entries) = self.entries(directory) else { return };
        let fields = entries.len() * 12;
        for entry in entries {
            self.blank(entry.value, entry.bytes);
        }
        self.blank(directory, 2 + fields);
    }

    fn blank(&mut self, at: usize, bytes: usize) {
        let end = at.saturating_add(bytes).min(self.block.len());
        if let Some(place) = self.block.get_mut(at..end) {
            place.fill(0);
        }
    }

    fn entries(&self, directory: usize) -> Option<Vec<Entry>> {
        /// The size in bytes of a value of each type.
        const SIZES: [usize; 13] = [1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];
        let count = usize::from(self.short(directory)?);
        let mut entries = Vec::new();
        for at in (0..count).map(|index| directory + 2 + index * 12) {
            let (Some(tag), Some(kind), Some(values)) = (self.short(at), self.short(at + 2), self.number(at + 4))
            else {
                break;
            };
            let bytes = values.saturating_mul(SIZES.get(usize::from(kind)).copied().unwrap_or(1));
            let is_inside = bytes <= 4 || matches!(tag, Self::GPS | Self::EXIF);
            let value = if is_inside { at + 8 } else { self.number(at + 8)? };
            entries.push(Entry { tag, value, bytes });
        }
        Some(entries)
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = self.block.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn number(&self, at: usize) -> Option<usize> {
        let bytes = self.block.get(at..at.checked_add(4)?)?.try_into().ok()?;
        let number = if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        usize::try_from(number).ok()
    }
}

#[cfg(test)]
mod tests;
