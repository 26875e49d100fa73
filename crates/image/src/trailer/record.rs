use core::fmt;

use super::Shape;

/// The next step of a swap that moves sectors up. Sectors are counted from 1, as MCUboot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The `index`-th sector move: of `n`, the first moves sector `n - 1` of the primary slot to sector `n`.
    Move {
        /// From 1; one more than there are sectors once all have moved.
        index: u32,
    },
    /// Sector `index - 1` of the secondary slot goes to the primary.
    Install {
        /// From 1; one more than there are sectors once the swap is complete.
        index: u32,
    },
    /// Sector `index` of the primary slot, moved up earlier, goes to sector `index - 1` of the secondary.
    PutAway {
        /// From 1.
        index: u32,
    },
}

impl Step {
    /// The first step of every swap.
    pub const FIRST: Self = Self::Move { index: 1 };

    /// The step that follows when `records` status records, counted up to the last that is not erased, are written.
    #[must_use]
    pub const fn after(records: u32, shape: &Shape) -> Self {
        if records < shape.max_sectors {
            return Self::Move { index: records.saturating_add(1) };
        }
        let swapped = records.saturating_sub(shape.max_sectors);
        let index = (swapped >> 1).saturating_add(1);
        if swapped & 1 == 0 { Self::Install { index } } else { Self::PutAway { index } }
    }

    /// Which record is written once the step is done, counted from 0, and what its first byte holds.
    #[must_use]
    pub const fn record(self, shape: &Shape) -> (u32, u8) {
        match self {
            Self::Move { index } => (index.saturating_sub(1), 1),
            Self::Install { index } => (shape.max_sectors.saturating_add(index.saturating_sub(1) << 1), 1),
            Self::PutAway { index } => {
                let install = shape.max_sectors.saturating_add(index.saturating_sub(1) << 1);
                (install.saturating_add(1), 2)
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Move { index } => write!(f, "move {index}"),
            Self::Install { index } => write!(f, "swap {index}, first half"),
            Self::PutAway { index } => write!(f, "swap {index}, second half"),
        }
    }
}
