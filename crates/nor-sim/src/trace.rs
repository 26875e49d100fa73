use core::fmt;

use otaru_flash::FlashAddr;

/// What happened to a range of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// One write unit was programmed.
    Write,
    /// One sector was erased.
    Erase,
}

/// One operation: what a power cut can fall into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Write or erase.
    pub kind: OpKind,
    /// Where the unit or sector starts.
    pub at: FlashAddr,
    /// Its length in bytes.
    pub len: u32,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.kind {
            OpKind::Write => "write",
            OpKind::Erase => "erase",
        };
        write!(f, "{word} {}+{}", self.at, self.len)
    }
}

/// The operations of one run in order, and the bytes of its writes one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) ops: Vec<Op>,
    pub(crate) data: Vec<u8>,
}

impl Trace {
    pub(crate) fn clear(&mut self) {
        self.ops.clear();
        self.data.clear();
    }
}
