//! One slot's trailer, on flash.

use otaru_flash::{FlashAddr, ReadFlash, WriteUnit};
use otaru_image::trailer::{Cell, FLAG_SET, Flag, MAGIC_LEN, Magic, SwapInfo, SwapState, SwapType};
use otaru_layout::{Layout, Slot};

use crate::{Access, FlashError};

/// What a trailer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) state: SwapState,
    pub(crate) info: SwapInfo,
    /// Bytes being swapped; means something only in a swap.
    pub(crate) swap_size: u32,
}

impl Trailer {
    /// A slot without one.
    pub(crate) const NONE: Self = Self {
        state: SwapState { magic: Magic::Unset, image_ok: Flag::Unset, copy_done: Flag::Unset },
        info: SwapInfo { swap_type: SwapType::None, image: 0 },
        swap_size: 0,
    };
}

/// Reads a slot's trailer.
pub(crate) fn read<F: ReadFlash>(flash: &mut F, layout: &Layout, slot: Slot) -> Result<Trailer, FlashError<F::Error>> {
    let erased = layout.erased(slot);
    let mut byte = |cell| {
        let mut byte = [0];
        read_at(flash, layout.cell(slot, cell), &mut byte)?;
        let [byte] = byte;
        Ok(byte)
    };
    let image_ok = Flag::read(byte(Cell::ImageOk)?, erased);
    let copy_done = Flag::read(byte(Cell::CopyDone)?, erased);
    let info = SwapInfo::read(byte(Cell::SwapInfo)?, erased);
    let mut magic = [0; MAGIC_LEN];
    read_at(flash, layout.magic(slot), &mut magic)?;
    let magic = Magic::read(&magic, layout.trailer().max_align, erased);
    let mut swap_size = [0; 4];
    read_at(flash, layout.cell(slot, Cell::SwapSize), &mut swap_size)?;
    let state = SwapState { magic, image_ok, copy_done };
    Ok(Trailer { state, info, swap_size: u32::from_le_bytes(swap_size) })
}

/// How many status records are written: up to the last one that is not erased, whatever it holds.
///
/// A record is written when its step is done. So one that a power cut left torn stands for a step that is done, and
/// one that it left erased for a step that is safe to do again.
pub(crate) fn count_records<F: ReadFlash>(
    flash: &mut F,
    layout: &Layout,
    slot: Slot,
) -> Result<u32, FlashError<F::Error>> {
    let shape = layout.trailer();
    let unit = usize::try_from(shape.write_unit).unwrap_or(WriteUnit::MAX).max(1);
    let mut buffer = [0; 8 * WriteUnit::MAX];
    let (mut next, mut found) = (0u32, 0u32);
    while next < shape.records() {
        let left = usize::try_from(shape.records().saturating_sub(next)).unwrap_or(usize::MAX);
        let len = buffer.len().min(left.saturating_mul(unit));
        let Some(chunk) = buffer.get_mut(..len) else { break };
        read_at(flash, layout.record(slot, next), chunk)?;
        for record in chunk.chunks(unit) {
            next = next.saturating_add(1);
            if record.first().is_some_and(|&byte| byte != layout.erased(slot)) {
                found = next;
            }
        }
    }
    Ok(found)
}

/// Whether every cell that asks for something is erased, to its last byte: so that it can be written.
pub(crate) fn is_blank<F: ReadFlash>(flash: &mut F, layout: &Layout, slot: Slot) -> Result<bool, FlashError<F::Error>> {
    // From swap_info to the end of the slot.
    let mut cells = [0; 4 * WriteUnit::MAX];
    let len = usize::try_from(layout.trailer().before_end(Cell::SwapInfo)).unwrap_or(usize::MAX);
    let Some(cells) = cells.get_mut(..len) else { return Ok(false) };
    read_at(flash, layout.cell(slot, Cell::SwapInfo), cells)?;
    Ok(cells.iter().all(|&byte| byte == layout.erased(slot)))
}

/// Bytes to be written to a trailer: whole write units, filled up with erased bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch {
    pub(crate) at: FlashAddr,
    bytes: [u8; WriteUnit::MAX],
    len: usize,
}

impl Patch {
    pub(crate) fn flag(layout: &Layout, slot: Slot, cell: Cell) -> Self {
        Self::new(layout, slot, layout.cell(slot, cell), &[FLAG_SET])
    }

    pub(crate) fn swap_info(layout: &Layout, slot: Slot, info: SwapInfo) -> Self {
        Self::new(layout, slot, layout.cell(slot, Cell::SwapInfo), &[info.byte()])
    }

    pub(crate) fn swap_size(layout: &Layout, slot: Slot, size: u32) -> Self {
        Self::new(layout, slot, layout.cell(slot, Cell::SwapSize), &size.to_le_bytes())
    }

    pub(crate) fn record(layout: &Layout, slot: Slot, record: u32, value: u8) -> Self {
        Self::new(layout, slot, layout.record(slot, record), &[value])
    }

    /// The magic, of 16 bytes at the end of the slot: where the write unit is larger, it comes last in its unit.
    pub(crate) fn magic(layout: &Layout, slot: Slot) -> Self {
        let magic = Magic::bytes(layout.trailer().max_align);
        if layout.write_unit(slot).bytes() > 16 {
            let mut unit = [layout.erased(slot); WriteUnit::MAX];
            if let Some((_, tail)) = unit.split_last_chunk_mut::<MAGIC_LEN>() {
                *tail = magic;
            }
            return Self::new(layout, slot, layout.cell(slot, Cell::Magic), &unit);
        }
        Self::new(layout, slot, layout.magic(slot), &magic)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn new(layout: &Layout, slot: Slot, at: FlashAddr, value: &[u8]) -> Self {
        let mut bytes = [layout.erased(slot); WriteUnit::MAX];
        for (byte, &value) in bytes.iter_mut().zip(value) {
            *byte = value;
        }
        let unit = usize::try_from(layout.write_unit(slot).bytes()).unwrap_or(WriteUnit::MAX);
        let len = value.len().checked_next_multiple_of(unit).unwrap_or(WriteUnit::MAX);
        Self { at, bytes, len }
    }
}

pub(crate) fn read_at<F: ReadFlash>(flash: &mut F, at: FlashAddr, out: &mut [u8]) -> Result<(), FlashError<F::Error>> {
    flash.read(at, out).map_err(|error| FlashError { access: Access::Read, at, error })
}

#[cfg(test)]
mod tests;
