//! "SMP over console": messages as lines of base64 among other text.
//!
//! ```text
//!   length (2, big-endian) │ message │ CRC-16 (2, big-endian)      cut into pieces of at most 93 bytes
//!   06 09 base64 \n   first line          04 14 base64 \n   every other          at most 127 bytes each
//! ```

use base64ct::{Base64, Encoding};
use crc::{CRC_16_XMODEM, Crc, NoTable};

/// Bytes of the longest line, its two marker bytes and its newline included.
pub const LINE_SIZE: usize = 127;

/// Bytes that are not message: length and CRC. A receiver's buffer of this many bytes more than a message holds it.
pub const CONSOLE_OVERHEAD: usize = 4;

const FIRST: [u8; 2] = [0x06, 0x09];
const NEXT: [u8; 2] = [0x04, 0x14];
/// Bytes in a line: 124 characters of base64.
const PIECE_SIZE: usize = 93;
const CRC_SIZE: usize = 2;
const CRC: Crc<u16, NoTable> = Crc::<u16, NoTable>::new(&CRC_16_XMODEM);

/// Cuts a message into console lines.
#[derive(Clone, Debug)]
pub struct ConsoleEncoder<'a> {
    message: &'a [u8],
    length: [u8; 2],
    crc: [u8; CRC_SIZE],
    /// Bytes of length, message and CRC that were sent.
    sent: usize,
}

impl<'a> ConsoleEncoder<'a> {
    /// The lines of `message`, or `None` if it is longer than a length of 16 bits can say.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Option<Self> {
        let length = u16::try_from(message.len().checked_add(CRC_SIZE)?).ok()?.to_be_bytes();
        Some(Self { message, length, crc: CRC.checksum(message).to_be_bytes(), sent: 0 })
    }

    /// Writes the next line to `line`, newline included, and gives it; `None` when all were given.
    pub fn next_line<'l>(&mut self, line: &'l mut [u8; LINE_SIZE]) -> Option<&'l [u8]> {
        let total = self.message.len().checked_add(CONSOLE_OVERHEAD)?;
        let left = total.checked_sub(self.sent).filter(|left| *left > 0)?;
        let mut take = left.min(PIECE_SIZE);
        // The two bytes of the CRC stay together: some receivers look for them in one line.
        if left.saturating_sub(take) == 1 {
            take = take.saturating_sub(1);
        }
        let mut piece = [0; PIECE_SIZE];
        let piece = piece.get_mut(..take)?;
        let stream = self.length.iter().chain(self.message).chain(&self.crc);
        for (to, from) in piece.iter_mut().zip(stream.skip(self.sent)) {
            *to = *from;
        }
        let marker = if self.sent == 0 { FIRST } else { NEXT };
        self.sent = self.sent.saturating_add(take);

        let (head, rest) = line.split_first_chunk_mut::<2>()?;
        *head = marker;
        let encoded = Base64::encode(piece, rest).ok()?.len();
        *rest.get_mut(encoded)? = b'\n';
        line.get(..encoded.checked_add(3)?)
    }
}

/// Finds messages in the bytes of a console, in a buffer of `N` bytes: length, message and CRC must fit.
///
/// A line that does not start with a marker is other people's text; a marker after a prompt starts a line of its own. A line or message that is damaged is dropped and
/// counted, and the next first line starts clean: its sender notices by the missing answer.
///
/// ```
/// use otaru_smp::{ConsoleDecoder, ConsoleEncoder, LINE_SIZE};
///
/// let mut decoder = ConsoleDecoder::<256>::new();
/// let mut lines = ConsoleEncoder::new(b"a message").unwrap();
/// let mut line = [0; LINE_SIZE];
/// let mut bytes = lines.next_line(&mut line).unwrap();
/// assert_eq!(decoder.feed(&mut bytes), Some(&b"a message"[..]));
/// ```
#[derive(Debug)]
pub struct ConsoleDecoder<const N: usize> {
    line: [u8; LINE_SIZE],
    /// Bytes of the line so far, of which `line` holds as many as it can.
    line_len: usize,
    /// The last two bytes.
    last: [u8; 2],
    message: [u8; N],
    /// Bytes of length, message and CRC so far.
    have: usize,
    /// Whether a first line was taken and its message is not complete.
    open: bool,
    counts: LineCounts,
}

/// Why a line or the message it belongs to was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than any line of a message.
    #[error("a line of a message is longer than {LINE_SIZE} bytes")]
    TooLong,
    /// Not base64.
    #[error("a line of a message is not base64")]
    Base64,
    /// A continuation without a first line before it.
    #[error("a line continues a message that never began")]
    Stray,
    /// A message longer than the buffer, or of impossible length.
    #[error("a message of {announced} bytes with its CRC does not fit a buffer of {capacity}")]
    Length {
        /// Bytes it announced: message and CRC.
        announced: usize,
        /// Bytes of the buffer for them.
        capacity: usize,
    },
    /// More bytes than announced.
    #[error("a message of {announced} bytes with its CRC came with {found}")]
    Overrun {
        /// Bytes it announced: message and CRC.
        announced: usize,
        /// Bytes there were.
        found: usize,
    },
    /// A wrong CRC.
    #[error("a message's CRC is {found:#06x}, its bytes give {expected:#06x}")]
    Crc {
        /// What the bytes give.
        expected: u16,
        /// What came with them.
        found: u16,
    },
    /// A new message began before the last was complete.
    #[error("a message began before the one before it was complete: {have} bytes of that are lost")]
    Unfinished {
        /// Bytes of the message lost.
        have: usize,
    },
}

/// What became of the lines seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Messages found.
    pub messages: u32,
    /// Lines of other text.
    pub text: u32,
    /// Lines and messages dropped.
    pub dropped: u32,
    /// Why the last of them was dropped.
    pub last: Option<LineError>,
}

impl<const N: usize> ConsoleDecoder<N> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        let counts = LineCounts { messages: 0, text: 0, dropped: 0, last: None };
        Self { line: [0; LINE_SIZE], line_len: 0, last: [0; 2], message: [0; N], have: 0, open: false, counts }
    }

    /// What became of the lines so far.
    #[must_use]
    pub const fn counts(&self) -> &LineCounts {
        &self.counts
    }

    /// Takes bytes off the front of `input` up to the end of the next message and gives it; `None` when `input` is
    /// empty and no message is complete. Call it again until it gives `None`.
    pub fn feed(&mut self, input: &mut &[u8]) -> Option<&[u8]> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            let Some(len) = self.push(byte) else { continue };
            let line = self.line;
            self.line_len = 0;
            if byte != b'\n' {
                self.line_len = self.last.len();
                self.line.iter_mut().zip(self.last).for_each(|(to, from)| *to = from);
            }
            match self.take_line(line.get(..len), line.first_chunk::<2>().filter(|_| len >= 2)) {
                Ok(Some(end)) => {
                    self.counts.messages = self.counts.messages.saturating_add(1);
                    return self.message.get(2..end);
                }
                Ok(None) => {}
                Err(error) => {
                    self.open = false;
                    self.drop_line(error);
                }
            }
        }
        None
    }

    /// Takes one byte. If it ends a line, tells how long that was: a newline does, and so does a marker, because what
    /// stands before it is a prompt or a line that lost its newline.
    fn push(&mut self, byte: u8) -> Option<usize> {
        if byte == b'\n' {
            self.last = [0; 2];
            return Some(self.line_len);
        }
        if let Some(slot) = self.line.get_mut(self.line_len) {
            *slot = byte;
        }
        self.line_len = self.line_len.saturating_add(1);
        let [_, before] = self.last;
        self.last = [before, byte];
        let len = self.line_len.checked_sub(2).filter(|len| *len > 0)?;
        (self.last == FIRST || self.last == NEXT).then_some(len)
    }

    /// Takes one line without its newline, `None` if it was too long; tells where a complete message ends.
    fn take_line(&mut self, line: Option<&[u8]>, marker: Option<&[u8; 2]>) -> Result<Option<usize>, LineError> {
        let Some(&marker) = marker.filter(|marker| **marker == FIRST || **marker == NEXT) else {
            self.counts.text = self.counts.text.saturating_add(1);
            return Ok(None);
        };
        let encoded = line.and_then(|line| line.get(2..)).ok_or(LineError::TooLong)?;
        let encoded = encoded.strip_suffix(b"\r").unwrap_or(encoded);
        if marker == FIRST {
            if self.open {
                self.drop_line(LineError::Unfinished { have: self.have });
            }
            self.open = true;
            self.have = 0;
        } else if !self.open {
            return Err(LineError::Stray);
        }
        let mut piece = [0; LINE_SIZE];
        let piece = Base64::decode(encoded, &mut piece).map_err(|_| LineError::Base64)?;
        self.append(piece)
    }

    /// Adds a line's bytes to the message; tells where it ends once it is complete.
    fn append(&mut self, piece: &[u8]) -> Result<Option<usize>, LineError> {
        let found = self.have.saturating_add(piece.len());
        let Some(room) = self.message.get_mut(self.have..found) else {
            return Err(self.too_long(piece));
        };
        room.copy_from_slice(piece);
        self.have = found;
        let Some(&length) = self.message.first_chunk::<2>().filter(|_| found >= 2) else { return Ok(None) };
        let announced = usize::from(u16::from_be_bytes(length));
        let whole = announced.saturating_add(2);
        if announced < CRC_SIZE || whole > N {
            return Err(LineError::Length { announced, capacity: N.saturating_sub(2) });
        }
        if found < whole {
            return Ok(None);
        }
        if found > whole {
            return Err(LineError::Overrun { announced, found: found.saturating_sub(2) });
        }
        self.open = false;
        let end = whole.saturating_sub(CRC_SIZE);
        let message = self.message.get(2..end).unwrap_or_default();
        let crc = self.message.get(end..whole).and_then(|bytes| bytes.first_chunk::<2>()).copied().unwrap_or_default();
        let (expected, found) = (CRC.checksum(message), u16::from_be_bytes(crc));
        if expected == found { Ok(Some(end)) } else { Err(LineError::Crc { expected, found }) }
    }

    /// Which error it is that the bytes of a line do not fit the buffer.
    fn too_long(&self, piece: &[u8]) -> LineError {
        let start = self.message.get(..self.have).unwrap_or_default();
        let mut length = start.iter().chain(piece).copied();
        let announced = usize::from(u16::from_be_bytes([length.next().unwrap_or(0), length.next().unwrap_or(0)]));
        let capacity = N.saturating_sub(2);
        if announced > capacity {
            LineError::Length { announced, capacity }
        } else {
            LineError::Overrun { announced, found: self.have.saturating_add(piece.len()).saturating_sub(2) }
        }
    }

    fn drop_line(&mut self, error: LineError) {
        self.counts.dropped = self.counts.dropped.saturating_add(1);
        self.counts.last = Some(error);
    }
}

impl<const N: usize> Default for ConsoleDecoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
