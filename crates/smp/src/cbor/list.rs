//! Lists inside messages, without allocation: a slice to be sent, or the bytes that were received.

use super::{DecodeError, EncodeError, Expected, Reader, Writer};
use core::fmt;

/// One entry of a list: can be read and written.
pub(crate) trait Item<'a>: Copy {
    /// Whether the list is a CBOR map, each entry a key and a value, rather than a CBOR list.
    const IN_MAP: bool = false;

    /// Reads one whole entry.
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Writes one whole entry.
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

/// A list in a message: made from a slice to be sent, or found in a body that was received.
///
/// A received list was read through once when its message was, so walking it cannot fail. It holds the bytes, not the
/// entries: no bound on their number is needed.
#[derive(Clone, Copy)]
pub struct List<'a, T> {
    repr: Repr<'a, T>,
}

#[derive(Clone, Copy)]
enum Repr<'a, T> {
    Own(&'a [T]),
    /// `entries` starts with the first of `count` entries that have all been read before.
    Received {
        entries: &'a [u8],
        count: usize,
    },
}

impl<'a, T> List<'a, T> {
    /// A list to be sent.
    #[must_use]
    pub const fn new(entries: &'a [T]) -> Self {
        Self { repr: Repr::Own(entries) }
    }

    /// Entries in the list.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.repr {
            Repr::Own(entries) => entries.len(),
            Repr::Received { count, .. } => count,
        }
    }

    /// Whether the list has no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[expect(private_bounds, reason = "entries are read and written by this crate only")]
impl<'a, T: Item<'a>> List<'a, T> {
    /// The entries, in order.
    pub fn iter(&self) -> ListIter<'a, T> {
        let reader = match self.repr {
            Repr::Own(_) => Reader::new(&[]),
            Repr::Received { entries, .. } => Reader::new(entries),
        };
        ListIter { list: *self, next: 0, reader }
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let container = if T::IN_MAP { Expected::Map } else { Expected::List };
        let mut left = reader.open(container)?;
        let entries = reader.rest();
        let mut count: usize = 0;
        while reader.more(&mut left)? {
            T::read(reader)?;
            count = count.saturating_add(1);
        }
        Ok(Self { repr: Repr::Received { entries, count } })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if T::IN_MAP {
            writer.map(self.len())?;
        } else {
            writer.list(self.len())?;
        }
        self.iter().try_for_each(|entry| entry.write(writer))
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Item<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Item<'a> + Eq> Eq for List<'a, T> {}

impl<'a, T: Item<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;

    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

/// The entries of a [`List`].
pub struct ListIter<'a, T> {
    list: List<'a, T>,
    next: usize,
    reader: Reader<'a>,
}

impl<'a, T: Item<'a>> Iterator for ListIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let index = self.next;
        self.next = index.saturating_add(1);
        match self.list.repr {
            Repr::Own(entries) => entries.get(index).copied(),
            Repr::Received { count, .. } if index < count => T::read(&mut self.reader).ok(),
            Repr::Received { .. } => None,
        }
    }
}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for ListIter<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter()).finish()
    }
}
