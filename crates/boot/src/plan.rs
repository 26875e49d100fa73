//! What the trailers ask for: the first thing a boot finds out.

use otaru_flash::Flash;
use otaru_image::MAGIC;
use otaru_image::trailer::{Magic, Step, SwapType, swap_type};
use otaru_layout::{Layout, Slot};

use crate::slots::Slots;
use crate::trailer::{self, Trailer};
use crate::{FlashError, swap::Swap};

/// What is to be done before the primary image may boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing.
    Nothing,
    /// Begin a swap: it is asked for, and nothing of it is done.
    Begin(SwapType),
    /// Begin again a swap whose trailer in the primary slot is complete, and of which no sector has moved.
    BeginAgain(Swap),
    /// Go on with a swap.
    Resume(Swap, Step),
    /// Nothing: a trailer that looks like that of an unfinished swap cannot be one.
    Stay(Inconsistency),
}

/// Why a trailer that looks like that of an unfinished swap cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Inconsistency {
    /// A size that cannot be swapped.
    #[error("it says that {size} bytes are being swapped, and {max} is the most")]
    SwapSize {
        /// The `swap_size` field.
        size: u32,
        /// The most there may be.
        max: u32,
    },
    /// Records of more steps than the swap has.
    #[error("its last status record is number {records}, past the last step of a swap of {sectors} sectors")]
    Records {
        /// Up to the last one that is written.
        records: u32,
        /// Sectors being swapped.
        sectors: u32,
    },
    /// No image header where the swap has brought one by now.
    #[error("it has come to {step}, but sector {sector} of the {slot} slot does not begin with an image")]
    NoHeader {
        /// The next step by the status records.
        step: Step,
        /// Where an image must begin.
        slot: Slot,
        /// The sector, counted from 0.
        sector: u32,
    },
}

/// Finds out what to do.
///
/// The order matters. While the primary trailer is being written the secondary one still asks for the swap, so a good
/// magic there means that nothing has moved yet, whatever the primary slot holds. The one exception is a primary
/// trailer that is complete and has no record: then the secondary one may be half erased, and only the primary one
/// can be trusted to know what kind of swap it was.
pub(crate) fn plan<F: Flash>(
    slots: &mut Slots<'_, F>,
    primary: &Trailer,
    secondary: &Trailer,
) -> Result<Plan, FlashError<F::Error>> {
    if primary.state.unfinished() {
        let records = trailer::count_records(slots.flash, slots.layout, Slot::Primary)?;
        let swap = Swap::recorded(slots.layout, primary);
        if records == 0 {
            if let Some(swap) = swap.filter(|swap| swap.swap_type != SwapType::None) {
                return Ok(Plan::BeginAgain(swap));
            }
        } else if secondary.state.magic != Magic::Good {
            let Some(swap) = swap else {
                let (size, max) = (primary.swap_size, slots.layout.max_image_size());
                return Ok(Plan::Stay(Inconsistency::SwapSize { size, max }));
            };
            return resume(slots, swap, records);
        }
    }
    Ok(match swap_type(&primary.state, &secondary.state) {
        SwapType::None => Plan::Nothing,
        asked => Plan::Begin(asked),
    })
}

/// Goes on after so many records, if both images are where they must be by then.
fn resume<F: Flash>(slots: &mut Slots<'_, F>, swap: Swap, records: u32) -> Result<Plan, FlashError<F::Error>> {
    let sectors = swap.sectors;
    let step = match Step::after(records, &slots.layout.trailer()) {
        Step::Move { index } if index == sectors.saturating_add(1) => Step::Install { index: 1 },
        step => step,
    };
    let possible = match step {
        Step::Move { index } | Step::PutAway { index } => index <= sectors,
        Step::Install { index } => index <= sectors.saturating_add(1),
    };
    if !possible {
        return Ok(Plan::Stay(Inconsistency::Records { records, sectors }));
    }
    // The old image begins at sector 1 between the last move and the first put-away; the new one is in both slots
    // while the old one is put away.
    let headers = match step {
        Step::Install { index: 1 } => [(Slot::Primary, 1), (Slot::Secondary, 0)],
        Step::PutAway { index: 1 } => [(Slot::Primary, 1), (Slot::Primary, 0)],
        _ => [(Slot::Primary, 0), (Slot::Secondary, 0)],
    };
    for (slot, sector) in headers {
        if !has_header(slots, slot, sector)? {
            return Ok(Plan::Stay(Inconsistency::NoHeader { step, slot, sector }));
        }
    }
    Ok(Plan::Resume(swap, step))
}

/// Whether a sector begins with the magic of an image.
pub(crate) fn has_header<F: Flash>(
    slots: &mut Slots<'_, F>,
    slot: Slot,
    sector: u32,
) -> Result<bool, FlashError<F::Error>> {
    let Some(at) = slots.layout.sector(slot, sector) else { return Ok(false) };
    let mut magic = [0; 4];
    slots.read(at, &mut magic)?;
    Ok(u32::from_le_bytes(magic) == MAGIC)
}

impl Swap {
    /// The swap that a trailer in the primary slot is the record of, if such a one is possible in this layout.
    fn recorded(layout: &Layout, trailer: &Trailer) -> Option<Self> {
        Self::new(layout, trailer.info.swap_type, trailer.swap_size)
    }
}

#[cfg(test)]
mod tests;
