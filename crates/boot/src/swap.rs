//! Swap using move: MCUboot's `swap_move.c`, step by step.
//!
//! ```text
//!   primary    A0 A1 A2 ·  T        ·  A0 A1 A2 T        B0 ·  A1 A2 T        B0 B1 B2 ·  T
//!   secondary  B0 B1 B2 ·  T  ─▶    B0 B1 B2 ·  T  ─▶    A0 B1 B2 ·  T  ─▶    A0 A1 A2 ·  T
//!                                   all moved up         swap 1 of 3           complete
//! ```
//!
//! Before each sector is erased, what it holds is elsewhere, and the record that says so is written. So every step
//! can be done again from its start.

use otaru_flash::Flash;
use otaru_image::trailer::{Cell, Flag, Step, SwapInfo, SwapType};
use otaru_layout::{Layout, Slot};

use crate::FlashError;
use crate::slots::Slots;

/// The single image of this version.
const IMAGE: u8 = 0;

/// One swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Swap {
    pub(crate) swap_type: SwapType,
    /// Bytes of the larger image.
    size: u32,
    /// Sectors that they take.
    pub(crate) sectors: u32,
}

impl Swap {
    /// A swap of so many bytes; `None` if there is nothing to swap, or no room to do it.
    pub(crate) fn new(layout: &Layout, swap_type: SwapType, size: u32) -> Option<Self> {
        if size == 0 || size > layout.max_image_size() {
            return None;
        }
        let sectors = size.div_ceil(layout.sector_size().max(1));
        Some(Self { swap_type, size, sectors })
    }

    /// Writes the trailers that make this swap the one that later boots go on with, and does all its steps.
    ///
    /// # Interruption
    /// Until the magic in the primary slot is complete the secondary trailer is untouched and asks for this swap (a
    /// revert is made to be asked for as a permanent swap first). Then the primary trailer is the one that counts,
    /// whatever a half erase leaves of the other.
    pub(crate) fn begin<F: Flash>(self, slots: &mut Slots<'_, F>) -> Result<(), FlashError<F::Error>> {
        if self.swap_type == SwapType::Revert {
            slots.erase_trailer(Slot::Secondary)?;
            slots.set_flag(Slot::Secondary, Cell::ImageOk)?;
            slots.write_swap_size(Slot::Secondary, self.size)?;
            slots.write_magic(Slot::Secondary)?;
        }
        slots.erase_trailer(Slot::Primary)?;
        slots.write_swap_info(Slot::Primary, SwapInfo { swap_type: self.swap_type, image: IMAGE })?;
        if self.confirms() {
            slots.set_flag(Slot::Primary, Cell::ImageOk)?;
        }
        slots.write_swap_size(Slot::Primary, self.size)?;
        slots.write_magic(Slot::Primary)?;
        self.begin_again(slots)
    }

    /// As [`Self::begin`], where the primary trailer is complete already.
    ///
    /// # Interruption
    /// The primary trailer is the one that counts. No record is written before the secondary trailer is gone.
    pub(crate) fn begin_again<F: Flash>(self, slots: &mut Slots<'_, F>) -> Result<(), FlashError<F::Error>> {
        slots.erase_trailer(Slot::Secondary)?;
        self.resume(slots, Step::FIRST)
    }

    /// Does all steps from `step` on, and sets the flags that complete the swap.
    ///
    /// # Interruption
    /// The records say which step is next. After the last one only the flags are missing, and are set by the next
    /// boot; `image_ok` first, so that a permanent swap or a revert is never taken for a trial.
    pub(crate) fn resume<F: Flash>(self, slots: &mut Slots<'_, F>, step: Step) -> Result<(), FlashError<F::Error>> {
        let mut next = Some(step);
        while let Some(step) = next {
            next = self.perform(slots, step)?;
        }
        if self.confirms() && slots.trailer(Slot::Primary)?.state.image_ok == Flag::Unset {
            slots.set_flag(Slot::Primary, Cell::ImageOk)?;
        }
        slots.set_flag(Slot::Primary, Cell::CopyDone)
    }

    /// Whether the image that this swap brings is there to stay.
    fn confirms(self) -> bool {
        matches!(self.swap_type, SwapType::Permanent | SwapType::Revert)
    }

    /// Does one step and records it. Says which is next, if any.
    fn perform<F: Flash>(self, slots: &mut Slots<'_, F>, step: Step) -> Result<Option<Step>, FlashError<F::Error>> {
        let (from, to, next) = match step {
            Step::Move { index } if index > self.sectors => return Ok(Some(Step::Install { index: 1 })),
            Step::Install { index } if index > self.sectors => return Ok(None),
            Step::Move { index } => {
                let sector = self.sectors.saturating_sub(index);
                let up = sector.saturating_add(1);
                ((Slot::Primary, sector), (Slot::Primary, up), Step::Move { index: index.saturating_add(1) })
            }
            Step::Install { index } => {
                let sector = index.saturating_sub(1);
                ((Slot::Secondary, sector), (Slot::Primary, sector), Step::PutAway { index })
            }
            Step::PutAway { index } => {
                let sector = index.saturating_sub(1);
                ((Slot::Primary, index), (Slot::Secondary, sector), Step::Install { index: index.saturating_add(1) })
            }
        };
        slots.erase_sector(to.0, to.1)?;
        slots.copy_sector(from, to)?;
        let (record, value) = step.record(&slots.layout.trailer());
        slots.write_record(Slot::Primary, record, value)?;
        Ok(Some(next))
    }
}
