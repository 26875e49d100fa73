//! Intel HEX: read into one run of bytes, written from several.

use ihex::{ReaderError, Record};

/// The longest run of bytes that a file may describe: more than any flash that images go to.
pub const MAX_SPAN: u32 = 64 * 1024 * 1024;

/// Bytes in a data record when writing.
const ROW: usize = 16;

/// What a HEX file describes, with its gaps filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Address of the first byte.
    pub base: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why a text is no Intel HEX file. Lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// A damaged record.
    #[error("line {line}: {reason}")]
    Record {
        /// Its line.
        line: usize,
        /// What is wrong with it.
        reason: RecordFault,
    },
    /// Records without an end record.
    #[error("after line {line} there is no end record (:00000001FF): the file is truncated")]
    NoEnd {
        /// The last line.
        line: usize,
    },
    /// Something after the end record.
    #[error("line {line}: there is something after the end record of line {end}")]
    AfterEnd {
        /// Its line.
        line: usize,
        /// Line of the end record.
        end: usize,
    },
    /// No data record.
    #[error("the file describes no bytes")]
    Empty,
    /// A record whose bytes go past the 32-bit address space.
    #[error("line {line}: {len} bytes from {address:#010x} go past the end of the address space")]
    PastTheEnd {
        /// Its line.
        line: usize,
        /// Its first address.
        address: u32,
        /// Its bytes.
        len: usize,
    },
    /// Bytes to be written that go past the 32-bit address space.
    #[error("{len} bytes at {address:#010x} go past the end of the address space")]
    Address {
        /// Address of the first.
        address: u32,
        /// How many.
        len: usize,
    },
    /// The same address described twice.
    #[error("line {line}: the byte at {address:#010x} is described for the second time")]
    Overlap {
        /// Line of the record that comes second.
        line: usize,
        /// The first such address.
        address: u32,
    },
    /// Bytes too far apart to be one image.
    #[error("the file describes bytes from {first:#010x} to {last:#010x}, more than {} MiB apart: no single image", MAX_SPAN >> 20)]
    Span {
        /// First address.
        first: u32,
        /// Last address.
        last: u32,
    },
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// It does not begin with a colon.
    #[error("a record begins with a colon")]
    Start,
    /// Characters are missing or too many.
    #[error("the record is not as long as it says")]
    Length,
    /// Something else than hexadecimal digits.
    #[error("the record holds something else than hexadecimal digits")]
    Digit,
    /// The checksum does not match.
    #[error("the checksum is {found:#04x}, the record adds up to {expected:#04x}")]
    Checksum {
        /// What the record says.
        found: u8,
        /// What it should say.
        expected: u8,
    },
    /// An unknown type.
    #[error("records of type {0:#04x} are unknown")]
    Type(u8),
}

impl From<ReaderError> for RecordFault {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::MissingStartCode => Self::Start,
            ReaderError::ContainsInvalidCharacters => Self::Digit,
            // The crate names the sum it computed first.
            ReaderError::ChecksumMismatch(expected, found) => Self::Checksum { found, expected },
            ReaderError::UnsupportedRecordType(kind) => Self::Type(kind),
            _ => Self::Length,
        }
    }
}

/// Reads a HEX file; addresses without a byte get `fill`.
///
/// # Errors
/// [`HexError`].
pub fn read(text: &str, fill: u8) -> Result<Memory, HexError> {
    let rows = rows(text)?;
    let base = rows.iter().map(|row| row.address).min().ok_or(HexError::Empty)?;
    let last = rows.iter().map(Row::last).max().unwrap_or(base);
    if last - base >= MAX_SPAN {
        return Err(HexError::Span { first: base, last });
    }
    let mut in_order: Vec<&Row> = rows.iter().collect();
    in_order.sort_by_key(|row| row.address);
    for pair in in_order.windows(2) {
        if pair[1].address <= pair[0].last() {
            return Err(HexError::Overlap { line: pair[0].line.max(pair[1].line), address: pair[1].address });
        }
    }
    let mut bytes = vec![fill; (last - base) as usize + 1];
    for row in in_order {
        bytes[(row.address - base) as usize..][..row.value.len()].copy_from_slice(&row.value);
    }
    Ok(Memory { base, bytes })
}

/// A data record with its whole address; never empty, never past the end of the address space.
struct Row {
    line: usize,
    address: u32,
    value: Vec<u8>,
}

impl Row {
    fn last(&self) -> u32 {
        // A record holds 1 to 255 bytes.
        self.address + (self.value.len() - 1) as u32
    }
}

fn rows(text: &str) -> Result<Vec<Row>, HexError> {
    let (mut rows, mut upper, mut end, mut last_line) = (Vec::new(), 0_u32, None, 0);
    for (line, text) in (1..).zip(text.lines().map(str::trim)).filter(|(_, text)| !text.is_empty()) {
        if let Some(end) = end {
            return Err(HexError::AfterEnd { line, end });
        }
        last_line = line;
        let record =
            Record::from_record_string(text).map_err(|error| HexError::Record { line, reason: error.into() })?;
        match record {
            Record::Data { value, .. } if value.is_empty() => {}
            Record::Data { offset, value } => {
                let len = value.len();
                let address = upper.saturating_add(u32::from(offset));
                if address.checked_add((len - 1) as u32).is_none() {
                    return Err(HexError::PastTheEnd { line, address, len });
                }
                rows.push(Row { line, address, value });
            }
            Record::ExtendedLinearAddress(high) => upper = u32::from(high) << 16,
            Record::ExtendedSegmentAddress(segment) => upper = u32::from(segment) << 4,
            Record::EndOfFile => end = Some(line),
            Record::StartSegmentAddress { .. } | Record::StartLinearAddress(_) => {}
        }
    }
    if end.is_none() && last_line > 0 {
        return Err(HexError::NoEnd { line: last_line });
    }
    Ok(rows)
}

/// Writes runs of bytes, each at its address, as a HEX file. What lies between them is not described.
///
/// # Errors
/// [`HexError::Address`] for a run that does not fit the address space.
pub fn write(runs: &[(u32, &[u8])]) -> Result<String, HexError> {
    let mut text = String::with_capacity(runs.iter().map(|(_, bytes)| bytes.len() * 3).sum::<usize>() + 64);
    let mut upper = None;
    for (base, bytes) in runs {
        let mut address = *base;
        let mut rest = *bytes;
        while !rest.is_empty() {
            let high = (address >> 16) as u16;
            if upper != Some(high) {
                push(&mut text, 4, 0, &high.to_be_bytes());
                upper = Some(high);
            }
            let low = (address & 0xffff) as u16;
            // A row ends where the next one begins at a multiple of its length, so also at every 64 KiB.
            let len = (ROW - usize::from(low) % ROW).min(rest.len());
            let (row, after) = rest.split_at(len);
            push(&mut text, 0, low, row);
            rest = after;
            match address.checked_add(len as u32) {
                Some(next) => address = next,
                None if rest.is_empty() => {}
                None => return Err(HexError::Address { address: *base, len: bytes.len() }),
            }
        }
    }
    push(&mut text, 1, 0, &[]);
    Ok(text)
}

fn push(text: &mut String, kind: u8, address: u16, data: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let [high, low] = address.to_be_bytes();
    let head = [data.len() as u8, high, low, kind];
    let sum = head.iter().chain(data).fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    text.push(':');
    for byte in head.iter().chain(data).chain(&[sum.wrapping_neg()]) {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|byte| (byte * 7) as u8).collect()
    }

    #[test]
    fn what_is_written_is_read_again_at_any_address_and_length() {
        for base in [0, 5, 0xfff8, 0xffff, 0x1_0000, 0x0800_c000, u32::MAX - 40] {
            for len in [1, 15, 16, 17, 40] {
                let text = write(&[(base, &bytes(len))]).unwrap();
                assert_eq!(read(&text, 0xff).unwrap(), Memory { base, bytes: bytes(len) }, "{len} bytes at {base:#x}");
            }
        }
        let large = bytes(200_000);
        assert_eq!(read(&write(&[(0xc000, &large)]).unwrap(), 0xff).unwrap().bytes, large);
    }

    #[test]
    fn a_written_file_is_as_others_write_it() {
        insta::assert_snapshot!(write(&[(0x1fff8, &[0; 12]), (0x2_0100, &[1, 2])]).unwrap(), @r"
        :020000040001F9
        :08FFF800000000000000000001
        :020000040002F8
        :0400000000000000FC
        :020100000102FA
        :00000001FF
        ");
    }

    #[test]
    fn gaps_are_filled_and_order_does_not_matter() {
        let text = ":0100040055A6\n:0100000011EE\n:04000005000000CD2A\n:00000001FF\n";
        assert_eq!(read(text, 0xff).unwrap(), Memory { base: 0, bytes: vec![0x11, 0xff, 0xff, 0xff, 0x55] });
        let segments = ":020000021000EC\r\n:0100040055A6\r\n:00000001FF\r\n";
        assert_eq!(read(segments, 0).unwrap().base, 0x1_0004);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let refused = |text: &str| read(text, 0xff).unwrap_err().to_string();
        insta::assert_snapshot!(refused(""), @"the file describes no bytes");
        insta::assert_snapshot!(refused(":00000001FF\n"), @"the file describes no bytes");
        insta::assert_snapshot!(refused("3db8f396\n"), @"line 1: a record begins with a colon");
        insta::assert_snapshot!(refused(":0100000011EE\n:0100010011EE\n"), @"line 2: the checksum is 0xee, the record adds up to 0xed");
        insta::assert_snapshot!(refused(":0100000011\n"), @"line 1: the checksum is 0x11, the record adds up to 0xff");
        insta::assert_snapshot!(refused(":01000000zzEE\n"), @"line 1: the record holds something else than hexadecimal digits");
        insta::assert_snapshot!(refused(":0100000911E5\n"), @"line 1: records of type 0x09 are unknown");
        insta::assert_snapshot!(refused(":0100000011EE\n"), @"after line 1 there is no end record (:00000001FF): the file is truncated");
        insta::assert_snapshot!(refused(":0100000011EE\n:00000001FF\n\n:0100000011EE\n"), @"line 4: there is something after the end record of line 2");
        insta::assert_snapshot!(refused(":0100000011EE\n:0100000022DD\n:00000001FF\n"), @"line 2: the byte at 0x00000000 is described for the second time");
        insta::assert_snapshot!(refused(":0100000011EE\n:020000041000EA\n:0100000022DD\n:00000001FF\n"), @"the file describes bytes from 0x00000000 to 0x10000000, more than 64 MiB apart: no single image");
        insta::assert_snapshot!(refused(":02000004FFFFFC\n:02FFFF001122CD\n:00000001FF\n"), @"line 2: 2 bytes from 0xffffffff go past the end of the address space");
        insta::assert_snapshot!(write(&[(u32::MAX, &[1, 2])]).unwrap_err(), @"2 bytes at 0xffffffff go past the end of the address space");
    }
}
