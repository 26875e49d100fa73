//! What servers answer when they refuse: the common `rc` table, the codes of each group, and what they mean to people
//!.

mod image;
mod os;
mod rc;

pub use image::ImageError;
pub use os::OsError;
pub use rc::Rc;

use crate::Group;
use core::fmt;

/// What a code means to somebody who sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The code's name in the protocol.
    pub name: &'static str,
    /// What was wrong, as a clause: lowercase start, no full stop.
    pub sentence: &'static str,
    /// What to do next, as a clause.
    pub next: &'static str,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.sentence, self.next)
    }
}

/// A group's own error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupError {
    /// The group that refused.
    pub group: Group,
    /// Its code; 0 would be success and is never sent as an error.
    pub rc: u16,
}

impl GroupError {
    /// What the code means, where the group is one of ours and knows it.
    #[must_use]
    pub const fn explain(self) -> Option<Explanation> {
        match self.group {
            Group::OS => OsError(self.rc).explain(),
            Group::IMAGE => ImageError(self.rc).explain(),
            _ => None,
        }
    }

    /// The code of the common table that stands for this one under version 1, which knows no other. Lossy.
    #[must_use]
    pub const fn to_v1(self) -> Rc {
        match self.group {
            Group::OS => OsError(self.rc).to_v1(),
            Group::IMAGE => ImageError(self.rc).to_v1(),
            _ => Rc::UNKNOWN,
        }
    }
}

impl From<ImageError> for GroupError {
    fn from(error: ImageError) -> Self {
        Self { group: Group::IMAGE, rc: error.0 }
    }
}

impl From<OsError> for GroupError {
    fn from(error: OsError) -> Self {
        Self { group: Group::OS, rc: error.0 }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} error {}", self.group, self.rc)?;
        match self.explain() {
            Some(Explanation { name, sentence, .. }) => write!(f, " ({name}): {sentence}"),
            None => Ok(()),
        }
    }
}

/// Either kind of error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// From the common table, in both versions.
    Smp(Rc),
    /// A group's own, in version 2 only.
    Group(GroupError),
}

impl Code {
    /// What the code means, where it is a known one.
    #[must_use]
    pub const fn explain(self) -> Option<Explanation> {
        match self {
            Self::Smp(rc) => rc.explain(),
            Self::Group(error) => error.explain(),
        }
    }
}

impl From<Rc> for Code {
    fn from(rc: Rc) -> Self {
        Self::Smp(rc)
    }
}

impl From<GroupError> for Code {
    fn from(error: GroupError) -> Self {
        Self::Group(error)
    }
}

impl From<ImageError> for Code {
    fn from(error: ImageError) -> Self {
        Self::Group(error.into())
    }
}

impl From<OsError> for Code {
    fn from(error: OsError) -> Self {
        Self::Group(error.into())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smp(rc) => rc.fmt(f),
            Self::Group(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
