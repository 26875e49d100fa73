//! Messages from the pieces that a Bluetooth link cuts them into.

use crate::{HEADER_SIZE, Header};

/// Puts the messages of one connection together from its fragments, in a buffer of `N` bytes.
///
/// One per connection, so that one peer can never swallow another's requests, and to be [`reset`](Self::reset) when the
/// connection ends or its peer unsubscribes. The first fragment of a message must hold the whole header. A fragment
/// that fails drops its message alone: what the header announced of it is skipped, and the next message starts clean.
///
/// ```
/// let mut reassembler = otaru_smp::Reassembler::<64>::new();
/// assert_eq!(reassembler.push(&[0x0a, 0, 0, 3, 0, 0, 1, 0, 0xa1]), Ok(None));
/// let message = reassembler.push(&[0x61, 0x64]).unwrap().unwrap();
/// assert_eq!(message.len(), 11);
/// ```
#[derive(Debug)]
pub struct Reassembler<const N: usize> {
    buffer: [u8; N],
    /// Bytes of the message so far.
    have: usize,
    /// Bytes of the whole message; 0 between messages.
    whole: usize,
    /// Bytes of a message that did not fit and are still to come.
    skip: usize,
}

/// Why a fragment was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReassemblyError {
    /// A first fragment without a whole header.
    #[error("a first fragment of {found} bytes is too short for an SMP header of {HEADER_SIZE}")]
    NoHeader {
        /// Bytes it has.
        found: usize,
    },
    /// A message that does not fit. A server can answer to its header with rc 7.
    #[error("a message of {announced} bytes does not fit into the reassembly buffer of {capacity}")]
    TooLong {
        /// The message's header.
        header: Header,
        /// Bytes it would have, header included.
        announced: usize,
        /// Bytes of the buffer.
        capacity: usize,
    },
    /// A fragment that runs beyond the end of its message.
    #[error("the fragments hold {found} bytes of a message that announced {announced}")]
    Overrun {
        /// Bytes the message should have, header included.
        announced: usize,
        /// Bytes there were.
        found: usize,
    },
}

impl<const N: usize> Reassembler<N> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: [0; N], have: 0, whole: 0, skip: 0 }
    }

    /// Forgets a message begun.
    pub const fn reset(&mut self) {
        self.have = 0;
        self.whole = 0;
        self.skip = 0;
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.whole != 0 || self.skip != 0
    }

    /// Takes a fragment; gives the whole message if this was its last.
    ///
    /// # Errors
    /// [`ReassemblyError`]; the fragment's message is dropped.
    pub fn push(&mut self, fragment: &[u8]) -> Result<Option<&[u8]>, ReassemblyError> {
        if self.skip > 0 {
            self.skip = self.skip.saturating_sub(fragment.len());
            return Ok(None);
        }
        if self.whole == 0 {
            self.begin(fragment)?;
        }
        let end = self.have.saturating_add(fragment.len());
        let (announced, start) = (self.whole, self.have);
        let Some(room) = self.buffer.get_mut(start..end).filter(|_| end <= announced) else {
            self.reset();
            return Err(ReassemblyError::Overrun { announced, found: end });
        };
        room.copy_from_slice(fragment);
        self.have = end;
        if end < announced {
            return Ok(None);
        }
        self.reset();
        Ok(self.buffer.get(..announced))
    }

    /// Reads a first fragment's header.
    fn begin(&mut self, fragment: &[u8]) -> Result<(), ReassemblyError> {
        let header = Header::parse(fragment).ok_or(ReassemblyError::NoHeader { found: fragment.len() })?;
        let announced = HEADER_SIZE.saturating_add(usize::from(header.length));
        if announced > N {
            self.skip = announced.saturating_sub(fragment.len());
            return Err(ReassemblyError::TooLong { header, announced, capacity: N });
        }
        self.whole = announced;
        Ok(())
    }
}

impl<const N: usize> Default for Reassembler<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
