//! An inflater of its own for tests (RFC 1951), as plain as can be. It knows how far back a client may look.

/// The message that was compressed to this payload, whose tail was left out.
///
/// # Errors
/// What is wrong with it: also a look behind the window, and anything but a whole number of blocks.
pub fn inflate(payload: &[u8], window_bits: u32) -> Result<Vec<u8>, &'static str> {
    let bytes = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut bits = Bits { bytes: &bytes, at: 0 };
    let (mut out, mut behind) = (Vec::new(), Vec::new());
    while bits.at.div_ceil(8) < bytes.len() {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.stored(&mut out)?,
            1 => {
                let lengths: Vec<u8> = (0..288).map(fixed_length).collect();
                bits.coded(&Code::new(&lengths), &Code::new(&[5; 30]), &mut out, window_bits)?;
            }
            2 => {
                let (literals, distances) = bits.codes()?;
                bits.coded(&literals, &distances, &mut out, window_bits)?;
            }
            _ => return Err("a block of no kind"),
        }
        if is_last {
            // What follows is a stream of its own, and does not look back into this one.
            bits.at = bits.at.next_multiple_of(8);
            behind.append(&mut out);
        }
    }
    behind.append(&mut out);
    Ok(behind)
}

fn fixed_length(symbol: u16) -> u8 {
    match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Symbols by the lengths of their codes, shortest first.
struct Code {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[usize::from(*length)] += 1);
        let mut symbols: Vec<u16> = (0..).zip(lengths).filter(|(_, length)| **length > 0).map(|(of, _)| of).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        Self { counts, symbols }
    }

    /// The same if it is whole: each sequence of bits means something, and no more than one thing. A single code of one bit may stand
    /// alone (RFC 1951 §3.2.7), and so may none, if nothing is read by it.
    fn whole(lengths: &[u8], may_be_alone: bool) -> Result<Self, &'static str> {
        let code = Self::new(lengths);
        let (mut left, mut is_longer) = (1_i32, false);
        for (length, count) in code.counts.iter().enumerate().skip(1) {
            left = 2 * left - i32::from(*count);
            is_longer |= length > 1 && *count > 0;
            if left < 0 {
                return Err("codes that mean two things");
            }
        }
        let is_alone = code.symbols.is_empty() || (may_be_alone && !is_longer);
        if left > 0 && !is_alone { Err("codes that mean nothing") } else { Ok(code) }
    }
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Result<usize, &'static str> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or("it ends inside a block")?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    fn stored(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.at = self.at.next_multiple_of(8);
        let (length, check) = (self.take(16)?, self.take(16)?);
        if length ^ check != 0xffff {
            return Err("a length that is not its complement's");
        }
        let start = self.at / 8;
        out.extend_from_slice(self.bytes.get(start..start + length).ok_or("it ends inside a stored block")?);
        self.at += 8 * length;
        Ok(())
    }

    fn symbol(&mut self, code: &Code) -> Result<usize, &'static str> {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in &code.counts[1..] {
            let count = usize::from(*count);
            value |= self.take(1)?;
            if value < first + count {
                return Ok(usize::from(code.symbols[index + value - first]));
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        Err("a code of no symbol")
    }

    fn codes(&mut self) -> Result<(Code, Code), &'static str> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances, count) = (self.take(5)? + 257, self.take(5)? + 1, self.take(4)? + 4);
        let mut lengths = [0; 19];
        for place in &ORDER[..count] {
            lengths[*place] = self.take(3)? as u8;
        }
        if literals > 286 || distances > 30 {
            return Err("more symbols than there are");
        }
        let (code, mut lengths) = (Code::whole(&lengths, false)?, Vec::new());
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&code)? {
                16 => (*lengths.last().ok_or("nothing to repeat")?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                18 => (0, 11 + self.take(7)?),
                length => (length as u8, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        if lengths.len() != literals + distances || lengths[256] == 0 {
            return Err("lengths beyond the last symbol, or a block without an end");
        }
        Ok((Code::whole(&lengths[..literals], true)?, Code::whole(&lengths[literals..], true)?))
    }

    fn coded(
        &mut self,
        literals: &Code,
        distances: &Code,
        out: &mut Vec<u8>,
        window_bits: u32,
    ) -> Result<(), &'static str> {
        loop {
            let length = match self.symbol(literals)? {
                literal @ ..256 => {
                    out.push(literal as u8);
                    continue;
                }
                256 => return Ok(()),
                285 => 258,
                symbol @ 257..265 => symbol - 254,
                symbol @ 265..285 => {
                    let extra = (symbol - 261) / 4;
                    (((symbol - 265) % 4 + 4) << extra) + 3 + self.take(extra as u32)?
                }
                _ => return Err("a length of no meaning"),
            };
            let symbol = self.symbol(distances)?;
            let distance = if symbol < 4 {
                symbol + 1
            } else {
                let extra = symbol / 2 - 1;
                ((2 + symbol % 2) << extra) + 1 + self.take(extra as u32)?
            };
            if distance > 1 << window_bits {
                return Err("it looks behind the window");
            }
            let from = out.len().checked_sub(distance).ok_or("it looks before the message")?;
            (from..from + length).for_each(|place| out.push(out[place]));
        }
    }
}

#[test]
fn it_inflates_what_the_rfc_shows() {
    assert_eq!(inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 8), Ok(b"Hello".to_vec()));
    assert_eq!(inflate(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], 8), Ok(b"Hello".to_vec()));
    assert_eq!(inflate(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], 8), Ok(b"Hello".to_vec()));
    assert_eq!(inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], 15), Err("it looks before the message"));
    assert!(inflate(&[0xf2, 0x48, 0xcd], 8).is_err());
}
