//! The 8-byte SMP header, and the messages of a datagram.

use core::fmt;

/// Bytes of an SMP header.
pub const HEADER_SIZE: usize = 8;

/// The version bits of a header. Only [`Version::V1`] and [`Version::V2`] are spoken; 2 and 3 are reserved on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u8);

impl Version {
    /// Wire value 0, the legacy protocol: errors are `{"rc"}` from one table for all groups.
    pub const V1: Self = Self(0);
    /// Wire value 1: errors of a group are `{"err": {"group", "rc"}}`.
    pub const V2: Self = Self(1);

    /// The version with this wire value, of which only the low two bits count.
    #[must_use]
    pub const fn from_wire(bits: u8) -> Self {
        Self(bits & 0b11)
    }

    /// The wire value, 0 to 3.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        self.0
    }

    /// Whether this is a version that anybody speaks.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 <= Self::V2.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SMP version {}", self.0.saturating_add(1))
    }
}

/// What a message does: three bits on the wire, of which the values 4 to 7 mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Op(u8);

impl Op {
    /// A read request.
    pub const READ: Self = Self(0);
    /// The answer to a read request.
    pub const READ_RESPONSE: Self = Self(1);
    /// A write request.
    pub const WRITE: Self = Self(2);
    /// The answer to a write request, and to every request that is not a read.
    pub const WRITE_RESPONSE: Self = Self(3);

    /// The operation with this wire value, of which only the low three bits count.
    #[must_use]
    pub const fn from_wire(bits: u8) -> Self {
        Self(bits & 0b111)
    }

    /// The wire value, 0 to 7.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        self.0
    }

    /// The operation that answers this one.
    #[must_use]
    pub const fn answer(self) -> Self {
        if self.0 == Self::READ.0 { Self::READ_RESPONSE } else { Self::WRITE_RESPONSE }
    }
}

/// A group of commands. Groups from 64 up belong to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub u16);

impl Group {
    /// Operating system: echo, reset, parameters.
    pub const OS: Self = Self(0);
    /// Images: state, upload, erase.
    pub const IMAGE: Self = Self(1);
    /// Statistics.
    pub const STAT: Self = Self(2);
    /// Settings.
    pub const SETTINGS: Self = Self(3);
    /// Files.
    pub const FS: Self = Self(8);
    /// Shell.
    pub const SHELL: Self = Self(9);
    /// Enumeration of groups.
    pub const ENUM: Self = Self(10);
    /// Zephyr basic commands.
    pub const BASIC: Self = Self(63);

    /// The group's name, where it has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::OS => "OS",
            Self::IMAGE => "image",
            Self::STAT => "statistics",
            Self::SETTINGS => "settings",
            Self::FS => "file",
            Self::SHELL => "shell",
            Self::ENUM => "enumeration",
            Self::BASIC => "basic",
            _ => return None,
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} group"),
            None => write!(f, "group {}", self.0),
        }
    }
}

/// A command's number within its group: the `command` field of a [`Header`].
pub mod command {
    /// Commands of the OS group.
    pub mod os {
        /// Gives back a text.
        pub const ECHO: u8 = 0;
        /// Lists tasks.
        pub const TASK_STATS: u8 = 2;
        /// Reads and sets the clock.
        pub const DATE_TIME: u8 = 4;
        /// Restarts the device.
        pub const RESET: u8 = 5;
        /// Tells buffer size and count.
        pub const PARAMS: u8 = 6;
        /// Tells what runs, in the manner of `uname`.
        pub const INFO: u8 = 7;
        /// Tells about the bootloader.
        pub const BOOTLOADER: u8 = 8;
    }

    /// Commands of the image group.
    pub mod image {
        /// Lists images; asks for a test or a confirmation.
        pub const STATE: u8 = 0;
        /// Sends a piece of an image.
        pub const UPLOAD: u8 = 1;
        /// Erases a slot.
        pub const ERASE: u8 = 5;
        /// Tells the sizes of the slots.
        pub const SLOT_INFO: u8 = 6;
    }
}

/// What stands before every message. Any 8 bytes are a header; whether it makes sense is for its reader to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The version its sender speaks.
    pub version: Version,
    /// Request or answer, read or write.
    pub op: Op,
    /// [`Self::WANTS_REASON`] or 0. Servers ignore what they do not know and answer 0.
    pub flags: u8,
    /// Bytes of the body.
    pub length: u16,
    /// The command's group.
    pub group: Group,
    /// Echoed in the answer; wraps at 255.
    pub sequence: u8,
    /// The command within the group, see [`command`].
    pub command: u8,
}

impl Header {
    /// Flag of a request whose sender reads `rsn` beside `err`. Our own: SMP defines no flags, and Zephyr ignores them
    /// (recorded). Without it a group's refusal under version 2 goes without words, as published clients take an
    /// answer with a key that they do not know for a broken one (smpclient 7.3.0).
    pub const WANTS_REASON: u8 = 0x01;

    /// The header in the first 8 of `bytes`, or `None` if there are fewer.
    ///
    /// The three reserved bits of byte 0 are ignored, as servers do.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, flags, length_hi, length_lo, group_hi, group_lo, sequence, command] =
            bytes.first_chunk::<HEADER_SIZE>()?;
        Some(Self {
            version: Version::from_wire(first >> 3),
            op: Op::from_wire(first),
            flags,
            length: u16::from_be_bytes([length_hi, length_lo]),
            group: Group(u16::from_be_bytes([group_hi, group_lo])),
            sequence,
            command,
        })
    }

    /// The header's 8 bytes.
    #[must_use]
    pub const fn emit(&self) -> [u8; HEADER_SIZE] {
        let [length_hi, length_lo] = self.length.to_be_bytes();
        let [group_hi, group_lo] = self.group.0.to_be_bytes();
        let first = (self.version.to_wire() << 3) | self.op.to_wire();
        [first, self.flags, length_hi, length_lo, group_hi, group_lo, self.sequence, self.command]
    }

    /// The header of the answer with a body of `length` bytes: same group, sequence number and command, and the
    /// request's version or the newest that anybody speaks.
    #[must_use]
    pub fn answer(&self, length: u16) -> Self {
        Self { version: self.version.min(Version::V2), op: self.op.answer(), flags: 0, length, ..*self }
    }
}

/// One message: a header and the body that it announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    /// As many bytes as `header.length` says.
    pub body: &'a [u8],
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Fewer bytes than a header has. A server drops these silently: there is nothing to answer to.
    #[error("{found} bytes are too few for an SMP header of {HEADER_SIZE}")]
    Header {
        /// Bytes there were.
        found: usize,
    },
    /// The header announces more than there is. A server answers rc 9.
    #[error("the SMP header announces a body of {announced} bytes, but {found} follow it")]
    Body {
        /// The header.
        header: Header,
        /// Bytes it announces.
        announced: u16,
        /// Bytes there were after it.
        found: usize,
    },
}

impl<'a> Message<'a> {
    /// The message at the start of `bytes`, and what follows it.
    ///
    /// # Errors
    /// [`MessageError`], if `bytes` do not hold a whole message.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), MessageError> {
        let too_short = MessageError::Header { found: bytes.len() };
        let header = Header::parse(bytes).ok_or(too_short)?;
        let rest = bytes.get(HEADER_SIZE..).ok_or(too_short)?;
        match rest.split_at_checked(usize::from(header.length)) {
            Some((body, rest)) => Ok((Self { header, body }, rest)),
            None => Err(MessageError::Body { header, announced: header.length, found: rest.len() }),
        }
    }
}

/// The messages of a datagram, in order; see [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// Walks the messages of a datagram. What is left of the datagram after an error is skipped; fewer than 8 bytes after
/// the last message are the one thing that ends the walk without an error, because servers drop them silently.
#[must_use]
pub const fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.rest);
        match Message::split(rest) {
            Ok((message, rest)) => {
                self.rest = rest;
                Some(Ok(message))
            }
            Err(MessageError::Header { .. }) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
