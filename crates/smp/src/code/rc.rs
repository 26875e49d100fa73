//! The common table.

use super::Explanation;
use core::fmt;

/// A code of the table that all groups share (`"rc"` on the wire); 256 and up belong to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rc(pub u16);

impl Rc {
    /// Success. Seen as a code only from old servers and bootloaders.
    pub const OK: Self = Self(0);
    /// No better code.
    pub const UNKNOWN: Self = Self(1);
    /// No buffer.
    pub const NO_MEMORY: Self = Self(2);
    /// The body does not hold what the command needs.
    pub const INVALID: Self = Self(3);
    /// Timed out.
    pub const TIMEOUT: Self = Self(4);
    /// No such thing.
    pub const NO_ENTRY: Self = Self(5);
    /// Not in this state.
    pub const BAD_STATE: Self = Self(6);
    /// The answer does not fit.
    pub const MESSAGE_SIZE: Self = Self(7);
    /// No such group, command or operation.
    pub const NOT_SUPPORTED: Self = Self(8);
    /// The message is damaged.
    pub const CORRUPT: Self = Self(9);
    /// Busy.
    pub const BUSY: Self = Self(10);
    /// The link may not do this.
    pub const ACCESS_DENIED: Self = Self(11);
    /// The request's version is too old.
    pub const TOO_OLD: Self = Self(12);
    /// The request's version is too new.
    pub const TOO_NEW: Self = Self(13);

    /// What the code means, where it is one of the table.
    #[must_use]
    pub const fn explain(self) -> Option<Explanation> {
        let (name, sentence, next) = match self {
            Self::OK => ("OK", "nothing was wrong", "go on"),
            Self::UNKNOWN => ("UNKNOWN", "the device gives no reason", "ask again with version 2, which names reasons"),
            Self::NO_MEMORY => (
                "NO_MEMORY",
                "the device had no free buffer and did not carry out the request",
                "have fewer requests under way, then repeat it",
            ),
            Self::INVALID => {
                ("INVALID", "the device could not make sense of the request", "check the values that were given")
            }
            Self::TIMEOUT => ("TIMEOUT", "the device timed out while it worked on the request", "repeat it"),
            Self::NO_ENTRY => ("NO_ENTRY", "the device has no such thing", "list what there is first"),
            Self::BAD_STATE => (
                "BAD_STATE",
                "the device is in a state that does not allow this",
                "list the images: one that is pending or on trial must be settled by a reset or a confirm",
            ),
            Self::MESSAGE_SIZE => {
                ("MESSAGE_SIZE", "the answer does not fit into the device's buffer", "ask for less at a time")
            }
            Self::NOT_SUPPORTED => {
                ("NOT_SUPPORTED", "the device does not have this command", "use a firmware that has it built in")
            }
            Self::CORRUPT => ("CORRUPT", "the request arrived damaged", "repeat it; use smaller frames if it stays so"),
            Self::BUSY => ("BUSY", "the device is busy with something else", "wait a little and repeat the request"),
            Self::ACCESS_DENIED => (
                "ACCESS_DENIED",
                "the device does not allow this over this link",
                "pair with the device, or use a link that it trusts",
            ),
            Self::TOO_OLD => {
                ("TOO_OLD", "the device does not speak this old a version of the protocol", "use version 2")
            }
            Self::TOO_NEW => {
                ("TOO_NEW", "the device does not speak this new a version of the protocol", "use version 1 or 2")
            }
            _ => return None,
        };
        Some(Explanation { name, sentence, next })
    }
}

impl fmt::Display for Rc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rc {}", self.0)?;
        match self.explain() {
            Some(Explanation { name, sentence, .. }) => write!(f, " ({name}): {sentence}"),
            None => Ok(()),
        }
    }
}
