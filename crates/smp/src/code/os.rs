//! Codes of the OS group.

use super::{Explanation, Rc};
use core::fmt;

/// A code of the OS group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OsError(pub u16);

impl OsError {
    /// No better code.
    pub const UNKNOWN: Self = Self(1);
    /// `info` was asked for an unknown letter.
    pub const INVALID_FORMAT: Self = Self(2);
    /// `bootloader` was asked something that has no answer.
    pub const QUERY_YIELDS_NO_ANSWER: Self = Self(3);
    /// The clock was never set.
    pub const RTC_NOT_SET: Self = Self(4);
    /// The clock failed.
    pub const RTC_COMMAND_FAILED: Self = Self(5);
    /// The answer to a query would be no valid value.
    pub const QUERY_RESPONSE_VALUE_NOT_VALID: Self = Self(6);
    /// Heap statistics could not be had.
    pub const HEAP_STATS_FETCH_FAILED: Self = Self(7);

    /// What the code means, where it is a known one.
    #[must_use]
    pub const fn explain(self) -> Option<Explanation> {
        let (name, sentence, next) = match self {
            Self::UNKNOWN => ("UNKNOWN", "the device gives no reason", "repeat the request"),
            Self::INVALID_FORMAT => {
                ("INVALID_FORMAT", "the format holds a letter that info does not know", "use letters of snrvbmpioa")
            }
            Self::QUERY_YIELDS_NO_ANSWER => {
                ("QUERY_YIELDS_NO_ANSWER", "the bootloader has no answer to this query", "ask for \"mode\" or nothing")
            }
            Self::RTC_NOT_SET => ("RTC_NOT_SET", "the device's clock was never set", "set it first"),
            Self::RTC_COMMAND_FAILED => {
                ("RTC_COMMAND_FAILED", "the device's clock did not carry out the command", "check its power and driver")
            }
            Self::QUERY_RESPONSE_VALUE_NOT_VALID => (
                "QUERY_RESPONSE_VALUE_NOT_VALID",
                "the bootloader's answer to the query makes no sense",
                "check that bootloader and application were built to match",
            ),
            Self::HEAP_STATS_FETCH_FAILED => {
                ("HEAP_STATS_FETCH_FAILED", "the device could not read its heap statistics", "repeat the request")
            }
            _ => return None,
        };
        Some(Explanation { name, sentence, next })
    }

    /// The code of the common table that stands for this one under version 1.
    #[must_use]
    pub const fn to_v1(self) -> Rc {
        match self {
            Self::INVALID_FORMAT => Rc::INVALID,
            Self::QUERY_YIELDS_NO_ANSWER | Self::RTC_NOT_SET => Rc::NO_ENTRY,
            _ => Rc::UNKNOWN,
        }
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::GroupError::from(*self).fmt(f)
    }
}
