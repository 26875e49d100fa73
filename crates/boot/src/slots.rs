//! The two slots, on blocking flash.

use otaru_flash::{Flash, FlashAddr};
use otaru_image::trailer::{Cell, SwapInfo};
use otaru_layout::{Layout, Slot};

use crate::trailer::{self, Patch, Trailer};
use crate::{Access, FlashError};

/// Bytes that are copied at once.
const COPY: usize = 1024;

pub(crate) struct Slots<'a, F> {
    pub(crate) flash: &'a mut F,
    pub(crate) layout: &'a Layout,
}

impl<F: Flash> Slots<'_, F> {
    pub(crate) fn trailer(&mut self, slot: Slot) -> Result<Trailer, FlashError<F::Error>> {
        trailer::read(self.flash, self.layout, slot)
    }

    pub(crate) fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), FlashError<F::Error>> {
        trailer::read_at(self.flash, at, out)
    }

    pub(crate) fn set_flag(&mut self, slot: Slot, cell: Cell) -> Result<(), FlashError<F::Error>> {
        self.patch(&Patch::flag(self.layout, slot, cell))
    }

    pub(crate) fn write_swap_info(&mut self, slot: Slot, info: SwapInfo) -> Result<(), FlashError<F::Error>> {
        self.patch(&Patch::swap_info(self.layout, slot, info))
    }

    pub(crate) fn write_swap_size(&mut self, slot: Slot, size: u32) -> Result<(), FlashError<F::Error>> {
        self.patch(&Patch::swap_size(self.layout, slot, size))
    }

    pub(crate) fn write_magic(&mut self, slot: Slot) -> Result<(), FlashError<F::Error>> {
        self.patch(&Patch::magic(self.layout, slot))
    }

    pub(crate) fn write_record(&mut self, slot: Slot, record: u32, value: u8) -> Result<(), FlashError<F::Error>> {
        self.patch(&Patch::record(self.layout, slot, record, value))
    }

    /// Erases the sectors that a slot's trailer lies in, the last one first.
    ///
    /// # Interruption
    /// The magic goes first: what is left of the lower sectors no longer counts. A half-erased last sector may hold
    /// anything.
    pub(crate) fn erase_trailer(&mut self, slot: Slot) -> Result<(), FlashError<F::Error>> {
        let first = self.layout.first_trailer_sector(slot);
        (first..self.layout.sectors(slot)).rev().try_for_each(|index| self.erase_sector(slot, index))
    }

    /// Erases a whole slot, from its first sector.
    ///
    /// # Interruption
    /// The image's header goes first, the trailer last. Until then the slot asks for what it asked for, and holds no
    /// valid image: the next boot erases it again, or only its trailer once the header is gone.
    pub(crate) fn erase_slot(&mut self, slot: Slot) -> Result<(), FlashError<F::Error>> {
        (0..self.layout.sectors(slot)).try_for_each(|index| self.erase_sector(slot, index))
    }

    pub(crate) fn erase_sector(&mut self, slot: Slot, index: u32) -> Result<(), FlashError<F::Error>> {
        let Some(at) = self.layout.sector(slot, index) else { return Ok(()) };
        let len = self.layout.sector_size();
        self.flash.erase(at, len).map_err(|error| FlashError { access: Access::Erase, at, error })
    }

    /// Copies a sector to an erased one. What is erased in the source is not programmed in the destination.
    pub(crate) fn copy_sector(&mut self, from: (Slot, u32), to: (Slot, u32)) -> Result<(), FlashError<F::Error>> {
        let (Some(mut source), Some(mut target)) = (self.layout.sector(from.0, from.1), self.layout.sector(to.0, to.1))
        else {
            return Ok(());
        };
        let erased = self.layout.erased(to.0);
        let mut buffer = [0; COPY];
        let mut left = usize::try_from(self.layout.sector_size()).unwrap_or(usize::MAX);
        while left > 0 {
            let Some(chunk) = buffer.get_mut(..left.min(COPY)) else { break };
            trailer::read_at(self.flash, source, chunk)?;
            if chunk.iter().any(|&byte| byte != erased) {
                let written = self.flash.write(target, chunk);
                written.map_err(|error| FlashError { access: Access::Write, at: target, error })?;
            }
            left = left.saturating_sub(chunk.len());
            let step = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            // Past the last chunk of the address space there is nothing left to copy.
            let (Some(next_source), Some(next_target)) = (source.plus(step), target.plus(step)) else { break };
            (source, target) = (next_source, next_target);
        }
        Ok(())
    }

    fn patch(&mut self, patch: &Patch) -> Result<(), FlashError<F::Error>> {
        let written = self.flash.write(patch.at, patch.bytes());
        written.map_err(|error| FlashError { access: Access::Write, at: patch.at, error })
    }
}
