use otaru_flash::{DeviceId, FlashAddr, Geometry, Sector, WriteUnit};
use otaru_image::trailer::{Cell, Shape};

use crate::{Area, LayoutError, Mode, Slot, Spec};

/// How many flash devices a layout holds.
pub const MAX_DEVICES: usize = 4;

/// The slots of a device, checked: whole sectors that fit their devices, do not overlap, go together in this mode and
/// have room for their trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    mode: Mode,
    devices: [Option<Geometry>; MAX_DEVICES],
    primary: Placed,
    secondary: Placed,
    sector_size: u32,
    trailer_sectors: u32,
    shape: Shape,
}

/// A slot and what is asked about it all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    area: Area,
    sectors: u32,
    write_unit: WriteUnit,
    erased: u8,
}

impl Layout {
    /// Checks what was written down about a device.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn new(spec: &Spec<'_>) -> Result<Self, LayoutError> {
        let mut devices = [None; MAX_DEVICES];
        if spec.devices.len() > MAX_DEVICES {
            return Err(LayoutError::TooManyDevices { found: spec.devices.len() });
        }
        for (own, &given) in devices.iter_mut().zip(spec.devices) {
            *own = Some(given);
        }
        let sector_size = first_sector(spec);
        let primary = place(spec, Slot::Primary, spec.primary, sector_size)?;
        let secondary = place(spec, Slot::Secondary, spec.secondary, sector_size)?;
        check_overlap(&spec.primary, &spec.secondary)?;
        let counts = (primary.sectors, secondary.sectors);
        if counts.0 != counts.1 && counts.0 != counts.1.saturating_add(1) {
            return Err(LayoutError::SectorCounts { mode: spec.mode, primary: counts.0, secondary: counts.1 });
        }
        if counts.0 > spec.max_sectors {
            return Err(LayoutError::TooManySectors { sectors: counts.0, max: spec.max_sectors });
        }
        let write_unit = primary.write_unit.max(secondary.write_unit).bytes();
        if !matches!(spec.max_align, 8 | 16 | 32) || write_unit > spec.max_align {
            return Err(LayoutError::MaxAlign { max_align: spec.max_align, write_unit });
        }
        let shape =
            Shape { max_align: spec.max_align, write_unit: primary.write_unit.bytes(), max_sectors: spec.max_sectors };
        let trailer_sectors = shape.size().div_ceil(sector_size.max(1));
        let layout = Self { mode: spec.mode, devices, primary, secondary, sector_size, trailer_sectors, shape };
        if layout.max_image_size() == 0 {
            let trailer = trailer_sectors.saturating_mul(sector_size);
            return Err(LayoutError::NoRoom { sectors: counts.0, sector: sector_size, trailer });
        }
        Ok(layout)
    }

    /// How updates are installed.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// A flash device.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&Geometry> {
        self.devices.get(usize::from(id.0))?.as_ref()
    }

    /// All flash devices; the first is device 0.
    pub fn devices(&self) -> impl Iterator<Item = Geometry> + '_ {
        self.devices.iter().flatten().copied()
    }

    /// Where a slot lies.
    #[must_use]
    pub const fn area(&self, slot: Slot) -> Area {
        self.placed(slot).area
    }

    /// The write unit of the device a slot lies in.
    #[must_use]
    pub const fn write_unit(&self, slot: Slot) -> WriteUnit {
        self.placed(slot).write_unit
    }

    /// What an erased byte of a slot reads as.
    #[must_use]
    pub const fn erased(&self, slot: Slot) -> u8 {
        self.placed(slot).erased
    }

    /// How many sectors a slot has.
    #[must_use]
    pub const fn sectors(&self, slot: Slot) -> u32 {
        self.placed(slot).sectors
    }

    /// Bytes of a sector, the same in both slots.
    #[must_use]
    pub const fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Where a sector of a slot begins; sectors count from 0. `None` past the end of the slot.
    #[must_use]
    pub fn sector(&self, slot: Slot, index: u32) -> Option<FlashAddr> {
        if index >= self.sectors(slot) {
            return None;
        }
        self.address(slot, index.checked_mul(self.sector_size)?)
    }

    /// The address `offset` bytes into a slot. `None` past the end of the slot.
    #[must_use]
    pub fn address(&self, slot: Slot, offset: u32) -> Option<FlashAddr> {
        let area = self.area(slot);
        if offset >= area.len {
            return None;
        }
        FlashAddr::new(area.device, area.offset).plus(offset)
    }

    /// How trailers are cut.
    #[must_use]
    pub const fn trailer(&self) -> Shape {
        self.shape
    }

    /// The first sector of a slot that its trailer reaches into: from there to the end of the slot no image may lie.
    #[must_use]
    pub const fn first_trailer_sector(&self, slot: Slot) -> u32 {
        self.sectors(slot).saturating_sub(self.trailer_sectors)
    }

    /// Where a field of a slot's trailer begins.
    #[must_use]
    pub fn cell(&self, slot: Slot, cell: Cell) -> FlashAddr {
        self.before_end(slot, self.shape.before_end(cell))
    }

    /// Where the 16 bytes of a slot's magic begin. (Its cell may begin earlier.)
    #[must_use]
    pub fn magic(&self, slot: Slot) -> FlashAddr {
        self.before_end(slot, 16)
    }

    /// Where a status record of a slot's trailer begins; records count from 0.
    #[must_use]
    pub fn record(&self, slot: Slot, record: u32) -> FlashAddr {
        self.before_end(slot, self.shape.record_before_end(record))
    }

    /// The largest image that can be swapped, from its header to the end of its TLVs, in bytes: the one answer for
    /// the tool that signs, the server that takes an upload and the loader.
    ///
    /// In swap-move the trailer takes whole sectors of both slots, and the primary slot has a further sector to move
    /// up into. MCUboot: `bootutil_max_image_size`.
    #[must_use]
    pub const fn max_image_size(&self) -> u32 {
        let primary = self.first_trailer_sector(Slot::Primary).saturating_sub(1);
        let secondary = self.first_trailer_sector(Slot::Secondary);
        let sectors = if primary < secondary { primary } else { secondary };
        sectors.saturating_mul(self.sector_size)
    }

    const fn placed(&self, slot: Slot) -> &Placed {
        match slot {
            Slot::Primary => &self.primary,
            Slot::Secondary => &self.secondary,
        }
    }

    /// The address `bytes` before the end of a slot. No trailer is longer than its slot: [`Self::new`] saw to that.
    fn before_end(&self, slot: Slot, bytes: u32) -> FlashAddr {
        let area = self.area(slot);
        FlashAddr::new(area.device, area.offset.saturating_add(area.len).saturating_sub(bytes))
    }
}

/// Bytes of the sector that the primary slot begins with, or 0.
fn first_sector(spec: &Spec<'_>) -> u32 {
    let device = spec.devices.get(usize::from(spec.primary.device.0));
    device.and_then(|device| device.sector_at(spec.primary.offset)).map_or(0, |sector| sector.size)
}

fn place(spec: &Spec<'_>, slot: Slot, area: Area, sector_size: u32) -> Result<Placed, LayoutError> {
    let count = spec.devices.len();
    let Area { device, offset, len } = area;
    let geometry =
        spec.devices.get(usize::from(device.0)).ok_or(LayoutError::NoDevice { slot, device: device.0, count })?;
    let outside = LayoutError::OutsideDevice { slot, offset, len, size: geometry.size() };
    let end = area.end().filter(|&end| end <= geometry.size() && len > 0).ok_or(outside)?;
    let inside = |at: u32, sector: Sector| LayoutError::NotOnSectors { slot, at, sector: sector.size };
    if let Some(sector) = geometry.sector_at(offset).filter(|sector| sector.offset != offset) {
        return Err(inside(offset, sector));
    }
    if let Some(sector) = geometry.sector_at(end).filter(|sector| sector.offset != end) {
        return Err(inside(end, sector));
    }
    let mut sectors = 0u32;
    for sector in geometry.sectors(offset, end) {
        if sector.size != sector_size {
            let (at, found) = (sector.offset, sector.size);
            return Err(LayoutError::SectorSize { mode: spec.mode, slot, at, found, expected: sector_size });
        }
        sectors = sectors.saturating_add(1);
    }
    Ok(Placed { area, sectors, write_unit: geometry.write_unit(), erased: geometry.erased() })
}

fn check_overlap(primary: &Area, secondary: &Area) -> Result<(), LayoutError> {
    let apart = primary.device != secondary.device
        || primary.end().is_some_and(|end| end <= secondary.offset)
        || secondary.end().is_some_and(|end| end <= primary.offset);
    if apart {
        return Ok(());
    }
    let device = primary.device.0;
    Err(LayoutError::Overlap { primary: primary.offset, secondary: secondary.offset, device })
}

#[cfg(test)]
#[path = "tests.rs"]
#[expect(clippy::arithmetic_side_effects, reason = "offsets of this test's own making")]
mod tests;
