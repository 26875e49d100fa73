//! Writing one body.

use minicbor::Encoder;
use minicbor::encode::write::{Cursor, EndOfSlice};

/// A message does not fit into the buffer given for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message does not fit into its buffer of {capacity} bytes")]
pub struct EncodeError {
    /// Bytes of the buffer.
    pub capacity: usize,
}

/// A cursor that writes a body.
pub(crate) struct Writer<'b> {
    encoder: Encoder<Cursor<&'b mut [u8]>>,
    capacity: usize,
}

type Written = Result<(), EncodeError>;

impl<'b> Writer<'b> {
    pub(crate) fn new(out: &'b mut [u8]) -> Self {
        let capacity = out.len();
        Self { encoder: Encoder::new(Cursor::new(out)), capacity }
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> usize {
        self.encoder.writer().position()
    }

    pub(crate) fn map(&mut self, entries: usize) -> Written {
        self.put(|e| e.map(widen(entries)).map(drop))
    }

    pub(crate) fn list(&mut self, items: usize) -> Written {
        self.put(|e| e.array(widen(items)).map(drop))
    }

    pub(crate) fn text(&mut self, text: &str) -> Written {
        self.put(|e| e.str(text).map(drop))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Written {
        self.put(|e| e.bytes(bytes).map(drop))
    }

    pub(crate) fn bool(&mut self, value: bool) -> Written {
        self.put(|e| e.bool(value).map(drop))
    }

    pub(crate) fn unsigned(&mut self, n: u64) -> Written {
        self.put(|e| e.u64(n).map(drop))
    }

    pub(crate) fn signed(&mut self, n: i64) -> Written {
        self.put(|e| e.i64(n).map(drop))
    }

    /// A key and its text.
    pub(crate) fn text_entry(&mut self, key: &str, text: &str) -> Written {
        self.text(key)?;
        self.text(text)
    }

    /// A key and its byte string.
    pub(crate) fn bytes_entry(&mut self, key: &str, bytes: &[u8]) -> Written {
        self.text(key)?;
        self.bytes(bytes)
    }

    /// A key and its truth value.
    pub(crate) fn bool_entry(&mut self, key: &str, value: bool) -> Written {
        self.text(key)?;
        self.bool(value)
    }

    /// A key and its number.
    pub(crate) fn unsigned_entry(&mut self, key: &str, n: impl Into<u64>) -> Written {
        self.text(key)?;
        self.unsigned(n.into())
    }

    /// A key and its number, where there is one.
    pub(crate) fn optional_entry(&mut self, key: &str, n: Option<impl Into<u64>>) -> Written {
        n.map_or(Ok(()), |n| self.unsigned_entry(key, n))
    }

    fn put(
        &mut self,
        write: impl FnOnce(&mut Encoder<Cursor<&'b mut [u8]>>) -> Result<(), minicbor::encode::Error<EndOfSlice>>,
    ) -> Written {
        write(&mut self.encoder).map_err(|_| EncodeError { capacity: self.capacity })
    }
}

/// A count as CBOR knows it. `usize` is never wider than 64 bits where this runs.
fn widen(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
