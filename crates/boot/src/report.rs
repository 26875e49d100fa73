//! What a boot found and decided: a value, for the board to print or to send.

use core::fmt;

use otaru_crypto::KeyIndex;
use otaru_flash::FlashAddr;
use otaru_image::Version;
use otaru_image::trailer::{Step, SwapState, SwapType};
use otaru_layout::Slot;

use crate::{Access, Inconsistency, Rejection};

/// What a boot found and decided. Its `Display` is a line for each slot, for the decision and for the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The primary slot, as it was when the boot began.
    pub primary: Found,
    /// The secondary slot, as it was when the boot began.
    pub secondary: Found,
    /// What was decided. `None` if flash failed before that.
    pub decision: Option<Decision>,
    /// The image that boots, or why none does. `None` if flash failed before that was known.
    pub outcome: Option<Result<Booting, Rejection>>,
    /// The first flash operation that failed without keeping the primary image from booting.
    pub trouble: Option<Trouble>,
}

/// A flash operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What was being done.
    pub access: Access,
    /// Where.
    pub at: FlashAddr,
}

/// What was found in a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What its trailer says; `None` if it could not be read.
    pub trailer: Option<SwapState>,
    /// What image is in it.
    pub contents: Contents,
}

/// What image is in a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contents {
    /// Nobody looked, or a swap was under way.
    #[default]
    Unknown,
    /// The slot could not be read.
    Unreadable,
    /// One with this version in its header. It was not verified.
    Unverified(Version),
    /// One that was verified.
    Verified(Version),
    /// None that may run.
    Rejected(Rejection),
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Nothing was asked for.
    Boot,
    /// A swap was asked for, and is done.
    Swap {
        /// What kind.
        swap_type: SwapType,
        /// Of how many sectors.
        sectors: u32,
    },
    /// A swap was interrupted. It went on, and is done.
    Resume {
        /// What kind.
        swap_type: SwapType,
        /// Of how many sectors.
        sectors: u32,
        /// Where it went on.
        step: Step,
    },
    /// A swap was asked for, but the primary slot has no image to swap with. Nothing was touched.
    NothingToSwapWith {
        /// What kind.
        swap_type: SwapType,
    },
    /// A swap was asked for, but the secondary slot cannot be read. Nothing was touched.
    Unreadable {
        /// What kind.
        swap_type: SwapType,
    },
    /// A swap was asked for of an image that may not run. The secondary slot was erased.
    Erase {
        /// What kind.
        swap_type: SwapType,
    },
    /// A swap was asked for, but the secondary slot has nothing to run. What asked for it was erased.
    Withdraw {
        /// What kind.
        swap_type: SwapType,
    },
    /// The primary trailer looks like that of an unfinished swap and cannot be one. Nothing was touched.
    Stay(Inconsistency),
}

impl Decision {
    /// What kind of swap the trailers asked for when the boot began; `None` where one was under way already.
    #[must_use]
    pub const fn swap_type(&self) -> Option<SwapType> {
        match *self {
            Self::Boot | Self::Stay(_) => Some(SwapType::None),
            Self::Resume { .. } => None,
            Self::Swap { swap_type, .. }
            | Self::NothingToSwapWith { swap_type }
            | Self::Unreadable { swap_type }
            | Self::Erase { swap_type }
            | Self::Withdraw { swap_type } => Some(swap_type),
        }
    }
}

/// The image that boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booting {
    /// Its version.
    pub version: Version,
    /// Where it begins.
    pub address: FlashAddr,
    /// The key that it is signed by.
    pub key: KeyIndex,
}

impl Report {
    /// What is known of a slot.
    #[must_use]
    pub const fn slot(&self, slot: Slot) -> &Found {
        match slot {
            Slot::Primary => &self.primary,
            Slot::Secondary => &self.secondary,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "primary: {}", self.primary)?;
        writeln!(f, "secondary: {}", self.secondary)?;
        match &self.decision {
            Some(decision) => writeln!(f, "decision: {decision}")?,
            None => writeln!(f, "decision: none, flash failed")?,
        }
        if let Some(Trouble { access, at }) = &self.trouble {
            writeln!(f, "trouble: {access} flash at {at} failed")?;
        }
        match &self.outcome {
            Some(Ok(booting)) => write!(f, "boot: {booting}"),
            Some(Err(rejection)) => write!(f, "boot: nothing, {rejection}"),
            None => write!(f, "boot: nothing, flash failed"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; ", self.contents)?;
        match &self.trailer {
            Some(trailer) => write!(f, "{trailer}"),
            None => f.write_str("trailer unreadable"),
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("in the middle of a swap"),
            Self::Unreadable => f.write_str("cannot be read"),
            Self::Unverified(version) => write!(f, "{version}, not verified"),
            Self::Verified(version) => write!(f, "{version}, verified"),
            Self::Rejected(rejection) => write!(f, "{rejection}"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot => f.write_str("boot the primary image, nothing else is asked for"),
            Self::Swap { swap_type, sectors } => write!(f, "{swap_type}: swap {sectors} sectors"),
            Self::Resume { swap_type, sectors, step: Step::Install { index } } if index > sectors => {
                write!(f, "{swap_type}: only the flags of the interrupted swap of {sectors} sectors are missing")
            }
            Self::Resume { swap_type, sectors, step } => {
                write!(f, "{swap_type}: go on with the interrupted swap of {sectors} sectors at {step}")
            }
            Self::NothingToSwapWith { swap_type } => {
                write!(f, "{swap_type}: not now, the primary slot has no image to swap with")
            }
            Self::Unreadable { swap_type } => write!(f, "{swap_type}: not now, the secondary slot cannot be read"),
            Self::Erase { swap_type } => write!(f, "{swap_type}: refused, the secondary slot is erased"),
            Self::Withdraw { swap_type } => write!(f, "{swap_type}: withdrawn, the secondary slot has nothing to run"),
            Self::Stay(inconsistency) => {
                write!(f, "touch nothing, the primary trailer is not that of an unfinished swap: {inconsistency}")
            }
        }
    }
}

impl fmt::Display for Booting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, signed by trusted key {}", self.version, self.address, self.key.0)
    }
}
