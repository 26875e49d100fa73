//! Boards small enough to cut their power everywhere: one image, two slots, a few sectors.
//!
//! Trailers are read and written here from the format's own words, not with the crates under test.

use otaru_flash::{DeviceId, FlashAddr, Geometry, ReadFlash, WriteUnit};
use otaru_nor_sim::NorFlash;

/// A board with its two slots one after the other on one device, or each on a device of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Board {
    pub(super) name: &'static str,
    /// Bytes of every sector.
    pub(super) sector: u32,
    /// Sectors of each slot.
    pub(super) sectors: u32,
    pub(super) write_unit: u32,
    pub(super) max_align: u32,
    pub(super) max_sectors: u32,
    pub(super) erased: u8,
    /// The secondary slot lies on a device of its own, with this write unit.
    pub(super) second_device: Option<u32>,
    /// Payload bytes of the image that runs first, and of the one it is updated to.
    pub(super) payloads: [usize; 2],
}

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Primary,
    Secondary,
}

/// What one field of a trailer says. A field torn or half erased is [`Self::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Unset,
    Set,
    Other,
}

/// The fields of a trailer that decide what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) magic: Field,
    pub(super) image_ok: Field,
    pub(super) copy_done: Field,
}

impl Board {
    pub(super) fn flash(&self) -> NorFlash {
        NorFlash::erased(&self.geometries())
    }

    pub(super) fn geometries(&self) -> Vec<Geometry> {
        let device = |unit, sectors| {
            let unit = WriteUnit::new(unit).expect("boards have write units that exist");
            Geometry::uniform(self.sector, sectors, unit, self.erased)
        };
        match self.second_device {
            Some(unit) => vec![device(self.write_unit, self.sectors), device(unit, self.sectors)],
            None => vec![device(self.write_unit, 2 * self.sectors)],
        }
    }

    pub(super) fn slot_size(&self) -> u32 {
        self.sector * self.sectors
    }

    pub(super) fn slot(&self, slot: Slot) -> FlashAddr {
        match slot {
            Slot::Primary => FlashAddr::new(DeviceId(0), 0),
            Slot::Secondary if self.second_device.is_some() => FlashAddr::new(DeviceId(1), 0),
            Slot::Secondary => FlashAddr::new(DeviceId(0), self.slot_size()),
        }
    }

    /// Bytes of a slot from `offset` on.
    pub(super) fn read<F: ReadFlash>(
        &self,
        flash: &mut F,
        slot: Slot,
        offset: u32,
        len: usize,
    ) -> Result<Vec<u8>, F::Error> {
        let mut bytes = vec![0; len];
        let at = self.slot(slot).plus(offset).expect("slots lie in the 32-bit space");
        flash.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Whether a slot begins with these bytes.
    pub(super) fn holds<F: ReadFlash>(&self, flash: &mut F, slot: Slot, bytes: &[u8]) -> Result<bool, F::Error> {
        Ok(self.read(flash, slot, 0, bytes.len())? == bytes)
    }

    pub(super) fn flags<F: ReadFlash>(&self, flash: &mut F, slot: Slot) -> Result<Flags, F::Error> {
        let mut flag = |below| {
            let byte = self.read(flash, slot, self.cell(below), 1)?;
            Ok(match byte[0] {
                1 => Field::Set,
                byte if byte == self.erased => Field::Unset,
                _ => Field::Other,
            })
        };
        let (image_ok, copy_done) = (flag(1)?, flag(2)?);
        let magic = self.read(flash, slot, self.slot_size() - 16, 16)?;
        let magic = match magic {
            found if found == self.magic() => Field::Set,
            found if found.iter().all(|&byte| byte == self.erased) => Field::Unset,
            _ => Field::Other,
        };
        Ok(Flags { magic, image_ok, copy_done })
    }

    /// Puts a trailer as a signing tool or an earlier update would have left it.
    pub(super) fn put_trailer(&self, flash: &mut NorFlash, slot: Slot, image_ok: bool, rest: Option<(u8, u32)>) {
        let put = |flash: &mut NorFlash, offset: u32, bytes: &[u8]| {
            let at = self.slot(slot).plus(offset).expect("slots lie in the 32-bit space");
            flash.load(at, bytes).expect("trailers lie in their slots");
        };
        put(flash, self.slot_size() - 16, &self.magic());
        if image_ok {
            put(flash, self.cell(1), &[1]);
        }
        if let Some((swap_info, swap_size)) = rest {
            put(flash, self.cell(2), &[1]);
            put(flash, self.cell(3), &[swap_info]);
            put(flash, self.cell(4), &swap_size.to_le_bytes());
        }
    }

    /// Where the cell so many below the magic starts: 1 image_ok, 2 copy_done, 3 swap_info, 4 swap_size.
    fn cell(&self, below: u32) -> u32 {
        (self.slot_size() - 16) / self.max_align * self.max_align - below * self.max_align
    }

    fn magic(&self) -> [u8; 16] {
        if self.max_align == 8 {
            return [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
        }
        let align = self.max_align.to_le_bytes();
        [align[0], align[1], 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a]
    }
}

impl Flags {
    /// Whether two trailers mean the same: any copy_done or image_ok that is not erased counts as set.
    pub(super) fn mean(self, other: Self) -> bool {
        let set = |flags: Self| (flags.magic, flags.image_ok != Field::Unset, flags.copy_done != Field::Unset);
        set(self) == set(other)
    }
}

impl core::fmt::Display for Flags {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let word = |field| match field {
            Field::Unset => "unset",
            Field::Set => "set",
            Field::Other => "torn",
        };
        write!(f, "magic {}, image_ok {}, copy_done {}", word(self.magic), word(self.image_ok), word(self.copy_done))
    }
}

const W1: Board = Board {
    name: "w1",
    sector: 64,
    sectors: 4,
    write_unit: 1,
    max_align: 8,
    max_sectors: 4,
    erased: 0xff,
    second_device: None,
    payloads: [8, 2],
};
const W4: Board = Board { name: "w4", sector: 128, write_unit: 4, payloads: [100, 6], ..W1 };
const W8: Board = Board { name: "w8", sectors: 5, write_unit: 8, max_sectors: 5, ..W4 };
const W16: Board =
    Board { name: "w16", sectors: 6, write_unit: 16, max_align: 16, max_sectors: 6, payloads: [6, 100], ..W8 };
const W32: Board = Board { name: "w32", sector: 256, write_unit: 32, max_align: 32, payloads: [200, 100], ..W16 };
/// A trailer in two small sectors.
const W4_SPLIT: Board = Board { name: "w4-split", sector: 64, sectors: 5, max_sectors: 5, payloads: [8, 2], ..W4 };
/// Three sectors of image instead of two.
const W4_LONG: Board = Board { name: "w4-long", sectors: 6, max_sectors: 6, payloads: [60, 8], ..W4_SPLIT };
/// Erased bytes read 0.
const W4_ZERO: Board = Board { name: "w4-zero", erased: 0x00, ..W4_SPLIT };
const W8_ZERO: Board = Board { name: "w8-zero", erased: 0x00, ..W8 };
/// Cells further apart than write units are long.
const W4_ALIGN16: Board = Board { name: "w4-align16", sectors: 6, max_sectors: 6, max_align: 16, ..W4_SPLIT };
/// The secondary slot on a device of its own, whose write units are longer.
const W4_W8: Board = Board { name: "w4-w8", second_device: Some(8), ..W4_SPLIT };
/// One sector of image, so that it ends soon.
const W8_SHORT: Board = Board { name: "w8-short", sectors: 4, max_sectors: 4, payloads: [8, 2], ..W8 };

/// The board for a look in passing.
pub(super) const LITTLE: [Board; 1] = [W8_SHORT];

/// The boards that CI explores.
pub(super) const CI: [Board; 8] = [W1, W4, W4_SPLIT, W8, W16, W32, W4_ZERO, W4_W8];

/// All boards.
pub(super) const ALL: [Board; 12] =
    [W8_SHORT, W1, W4, W4_SPLIT, W8, W16, W32, W4_LONG, W4_ZERO, W8_ZERO, W4_ALIGN16, W4_W8];
