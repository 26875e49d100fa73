//! Reading one body.

use core::fmt;
use minicbor::Decoder;

/// How deeply a value that is skipped may be nested.
const MAX_DEPTH: usize = 8;

/// Why a body cannot be read. `at` counts bytes from the start of the body. A server answers all of these with rc 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body ends where an item, or the rest of one, was due.
    #[error("the body ends at byte {at}, before its CBOR does")]
    Truncated {
        /// Where the incomplete item starts.
        at: usize,
    },
    /// A value has another type than its key demands.
    #[error("at byte {at} of the body: expected {expected}, found a CBOR item starting with {found:#04x}")]
    WrongType {
        /// Where the item starts.
        at: usize,
        /// What should be there.
        expected: Expected,
        /// The item's first byte.
        found: u8,
    },
    /// A number is larger than its key allows.
    #[error("at byte {at} of the body: {found} is out of range, at most {max} is allowed")]
    OutOfRange {
        /// Where the number starts.
        at: usize,
        /// The number.
        found: u64,
        /// The largest number allowed.
        max: u64,
    },
    /// A key that must be there once is there again.
    #[error("the key of the value at byte {at} of the body is there twice")]
    Duplicate {
        /// Where the second value starts.
        at: usize,
    },
    /// A text is not UTF-8.
    #[error("the text at byte {at} of the body is not UTF-8")]
    NotUtf8 {
        /// Where the text starts.
        at: usize,
    },
    /// A value that is to be skipped is nested too deeply.
    #[error("the value at byte {at} of the body is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where the innermost value starts.
        at: usize,
    },
    /// Something that CBOR does not allow: a reserved length, a break outside of anything that could end.
    #[error("at byte {at} of the body: {found:#04x} is no CBOR item")]
    Malformed {
        /// Where it stands.
        at: usize,
        /// The byte.
        found: u8,
    },
    /// A key without which the message means nothing is absent.
    #[error("the key \"{key}\" is missing from the body")]
    Missing {
        /// The key.
        key: &'static str,
    },
}

/// What kind of item a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// A map.
    Map,
    /// A list.
    List,
    /// A text in one piece.
    Text,
    /// A byte string in one piece.
    Bytes,
    /// A number that is not negative.
    Unsigned,
    /// A number.
    Integer,
    /// True or false.
    Bool,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "a map",
            Self::List => "a list",
            Self::Text => "a text",
            Self::Bytes => "a byte string",
            Self::Unsigned => "a number that is not negative",
            Self::Integer => "a whole number",
            Self::Bool => "true or false",
        })
    }
}

/// Keeps `value` read for a key in `slot`, or says that the key was there before.
pub(crate) fn once<'b, T>(
    slot: &mut Option<T>,
    reader: &mut Reader<'b>,
    read: impl FnOnce(&mut Reader<'b>) -> Result<T, DecodeError>,
) -> Result<(), DecodeError> {
    let at = reader.at();
    if slot.is_some() {
        return Err(DecodeError::Duplicate { at });
    }
    *slot = Some(read(reader)?);
    Ok(())
}

/// A cursor over a body. After an error it must not be used any more.
pub(crate) struct Reader<'b> {
    decoder: Decoder<'b>,
}

/// Major types of CBOR: the three high bits of an item's first byte.
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const NEGATIVE: u8 = 1;
    pub(super) const BYTES: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const LIST: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
}

const BREAK: u8 = 0xff;
const INDEFINITE: u8 = 0x1f;

impl<'b> Reader<'b> {
    pub(crate) fn new(body: &'b [u8]) -> Self {
        Self { decoder: Decoder::new(body) }
    }

    /// Where the next item starts.
    pub(crate) fn at(&self) -> usize {
        self.decoder.position()
    }

    /// All bytes from the next item on.
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.decoder.input().get(self.at()..).unwrap_or_default()
    }

    pub(crate) fn text(&mut self) -> Result<&'b str, DecodeError> {
        let at = self.expect(Expected::Text, |first| first >> 5 == major::TEXT && first & 0x1f != INDEFINITE)?;
        self.decoder.str().map_err(|error| match error {
            error if error.is_end_of_input() => DecodeError::Truncated { at },
            error if error.is_type_mismatch() => self.malformed(at),
            _ => DecodeError::NotUtf8 { at },
        })
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], DecodeError> {
        let at = self.expect(Expected::Bytes, |first| first >> 5 == major::BYTES && first & 0x1f != INDEFINITE)?;
        self.decoder.bytes().map_err(|error| self.refused(at, &error))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        let at = self.expect(Expected::Bool, |first| matches!(first, 0xf4 | 0xf5))?;
        self.decoder.bool().map_err(|error| self.refused(at, &error))
    }

    /// A number from 0 to `max`.
    pub(crate) fn unsigned(&mut self, max: u64) -> Result<u64, DecodeError> {
        let at = self.expect(Expected::Unsigned, |first| first >> 5 == major::UNSIGNED)?;
        let found = self.decoder.u64().map_err(|error| self.refused(at, &error))?;
        if found > max { Err(DecodeError::OutOfRange { at, found, max }) } else { Ok(found) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.unsigned(u8::MAX.into()).map(|n| u8::try_from(n).unwrap_or(u8::MAX))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.unsigned(u16::MAX.into()).map(|n| u16::try_from(n).unwrap_or(u16::MAX))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.unsigned(u32::MAX.into()).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.unsigned(u64::MAX)
    }

    /// A number that may be negative.
    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        let at = self.expect(Expected::Integer, |first| matches!(first >> 5, major::UNSIGNED | major::NEGATIVE))?;
        let (_, info, argument, _) = self.head(at)?;
        if info == INDEFINITE {
            return Err(self.malformed(at));
        }
        let max = u64::from(i32::MAX.unsigned_abs());
        if argument > max {
            return Err(DecodeError::OutOfRange { at, found: argument, max });
        }
        self.decoder.i32().map_err(|error| self.refused(at, &error))
    }

    /// Walks the map that is next: `each` gets a key and must read or skip its value.
    pub(crate) fn map(
        &mut self,
        mut each: impl FnMut(&'b str, &mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut left = self.open(Expected::Map)?;
        while self.more(&mut left)? {
            let key = self.text()?;
            each(key, self)?;
        }
        Ok(())
    }

    /// Steps into a container: how many entries it announces, `None` for 'until break'.
    pub(crate) fn open(&mut self, container: Expected) -> Result<Option<u64>, DecodeError> {
        let major = if container == Expected::Map { major::MAP } else { major::LIST };
        let at = self.expect(container, |first| first >> 5 == major)?;
        let opened = if container == Expected::Map { self.decoder.map() } else { self.decoder.array() };
        opened.map_err(|error| self.refused(at, &error))
    }

    /// Whether a container has one more entry; takes the break of an indefinite one.
    pub(crate) fn more(&mut self, left: &mut Option<u64>) -> Result<bool, DecodeError> {
        match left {
            Some(0) => Ok(false),
            Some(n) => {
                *n = n.saturating_sub(1);
                Ok(true)
            }
            None if self.peek()? == BREAK => {
                self.decoder.set_position(self.at().saturating_add(1));
                *left = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Steps over one item of any kind, without recursion.
    pub(crate) fn skip(&mut self) -> Result<(), DecodeError> {
        let mut open = Nesting::new();
        loop {
            let at = self.at();
            let end = if self.peek()? == BREAK {
                open.end(at)?;
                at.saturating_add(1)
            } else {
                let (major, info, argument, payload) = self.head(at)?;
                if !open.admits(major, info) {
                    return Err(self.malformed(at));
                }
                let container = match (major, info) {
                    (major::BYTES | major::TEXT, INDEFINITE) => Some(Open::Chunks(major)),
                    (major::LIST | major::MAP, INDEFINITE) => {
                        Some(Open::Until { odd: false, map: major == major::MAP })
                    }
                    (major::LIST, _) => Some(Open::Items(argument)),
                    // A map with more entries than numbers can count ends in 'truncated' all the same.
                    (major::MAP, _) => Some(Open::Items(argument.saturating_mul(2))),
                    (major::TAG, _) => Some(Open::Items(1)),
                    _ => None,
                };
                let string = matches!(major, major::BYTES | major::TEXT) && container.is_none();
                match container {
                    Some(container) => open.push(container, at)?,
                    None => open.item_done(),
                }
                if string { self.past(at, payload, argument)? } else { payload }
            };
            self.decoder.set_position(end);
            if open.close_full() {
                return Ok(());
            }
        }
    }

    /// The first byte of the next item.
    fn peek(&self) -> Result<u8, DecodeError> {
        self.decoder.input().get(self.at()).copied().ok_or(DecodeError::Truncated { at: self.at() })
    }

    /// Checks the next item's first byte and tells where it stands.
    fn expect(&self, expected: Expected, fits: impl FnOnce(u8) -> bool) -> Result<usize, DecodeError> {
        let at = self.at();
        let found = self.peek()?;
        if fits(found) { Ok(at) } else { Err(DecodeError::WrongType { at, expected, found }) }
    }

    /// An item's head: major type, additional information, argument, and where its payload starts.
    fn head(&self, at: usize) -> Result<(u8, u8, u64, usize), DecodeError> {
        let bytes = self.decoder.input().get(at..).unwrap_or_default();
        let (&first, bytes) = bytes.split_first().ok_or(DecodeError::Truncated { at })?;
        let (major, info) = (first >> 5, first & 0x1f);
        let size: usize = match info {
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            28..=30 => return Err(self.malformed(at)),
            INDEFINITE if matches!(major, major::UNSIGNED | major::NEGATIVE | major::TAG) => {
                return Err(self.malformed(at));
            }
            _ => 0,
        };
        let argument = bytes.get(..size).ok_or(DecodeError::Truncated { at })?;
        let value = argument.iter().fold(0, |n: u64, byte| (n << 8) | u64::from(*byte));
        let value = if size == 0 { u64::from(info) } else { value };
        Ok((major, info, value, at.saturating_add(1).saturating_add(size)))
    }

    /// Where a string that starts at `payload` and is `len` bytes long ends.
    fn past(&self, at: usize, payload: usize, len: u64) -> Result<usize, DecodeError> {
        let end = usize::try_from(len).ok().and_then(|len| payload.checked_add(len));
        end.filter(|end| *end <= self.decoder.input().len()).ok_or(DecodeError::Truncated { at })
    }

    fn malformed(&self, at: usize) -> DecodeError {
        let found = self.decoder.input().get(at).copied().unwrap_or_default();
        DecodeError::Malformed { at, found }
    }

    /// What the decoder's refusal of an item of the right type means.
    fn refused(&self, at: usize, error: &minicbor::decode::Error) -> DecodeError {
        if error.is_type_mismatch() { self.malformed(at) } else { DecodeError::Truncated { at } }
    }
}

/// A container that is being skipped.
#[derive(Clone, Copy)]
enum Open {
    /// So many items are still to come.
    Items(u64),
    /// Items up to a break; in a map an even number of them.
    Until { odd: bool, map: bool },
    /// Definite strings of this major type up to a break.
    Chunks(u8),
}

/// The containers that are open while a value is skipped.
struct Nesting {
    open: [Open; MAX_DEPTH],
    depth: usize,
}

impl Nesting {
    const fn new() -> Self {
        Self { open: [Open::Items(0); MAX_DEPTH], depth: 0 }
    }

    fn top(&mut self) -> Option<&mut Open> {
        self.open.get_mut(self.depth.checked_sub(1)?)
    }

    fn push(&mut self, container: Open, at: usize) -> Result<(), DecodeError> {
        *self.open.get_mut(self.depth).ok_or(DecodeError::TooDeep { at })? = container;
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    /// Whether an item of this kind may stand here.
    fn admits(&mut self, major: u8, info: u8) -> bool {
        match self.top() {
            Some(Open::Chunks(chunk)) => *chunk == major && info != INDEFINITE,
            _ => true,
        }
    }

    /// Counts one whole item in the innermost container.
    fn item_done(&mut self) {
        match self.top() {
            Some(Open::Items(left)) => *left = left.saturating_sub(1),
            Some(Open::Until { odd, .. }) => *odd = !*odd,
            Some(Open::Chunks(_)) | None => {}
        }
    }

    /// Takes a break.
    fn end(&mut self, at: usize) -> Result<(), DecodeError> {
        match self.top() {
            Some(Open::Until { odd: true, map: true } | Open::Items(_)) | None => {
                Err(DecodeError::Malformed { at, found: BREAK })
            }
            Some(container) => {
                *container = Open::Items(0);
                Ok(())
            }
        }
    }

    /// Closes containers that have all their items; whether nothing is open any more.
    fn close_full(&mut self) -> bool {
        while let Some(Open::Items(0)) = self.top() {
            self.depth = self.depth.saturating_sub(1);
            self.item_done();
        }
        self.depth == 0
    }
}
