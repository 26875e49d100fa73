//! Sector maps and write units.

/// The smallest number of bytes a device programs at once, called *align* in the field: 1, 2, 4, 8, 16 or 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteUnit(u8);

impl WriteUnit {
    /// The largest unit any supported device has; buffers for one unit are this long.
    pub const MAX: usize = 32;

    /// `bytes` as a write unit, or `None` if no device has such a one.
    #[must_use]
    pub const fn new(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self(1)),
            2 => Some(Self(2)),
            4 => Some(Self(4)),
            8 => Some(Self(8)),
            16 => Some(Self(16)),
            32 => Some(Self(32)),
            _ => None,
        }
    }

    /// The unit in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0 as u32
    }

    /// `n` rounded up to a whole number of units, or `None` past the end of the 32-bit space.
    #[must_use]
    pub const fn round_up(self, n: u32) -> Option<u32> {
        n.checked_next_multiple_of(self.bytes())
    }
}

/// Neighbouring sectors of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectorRun {
    /// Size of one sector, in bytes.
    pub size: u32,
    /// How many of them.
    pub count: u32,
}

/// One erase unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sector {
    /// Bytes from the start of the device.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

impl Sector {
    /// The offset just past this sector.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.offset.saturating_add(self.size)
    }
}

/// How many runs of equal sectors one device may have.
pub const MAX_SECTOR_RUNS: usize = 8;

/// One flash device: its sectors from offset 0 up, its write unit and the value of an erased byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    runs: [SectorRun; MAX_SECTOR_RUNS],
    size: u32,
    write_unit: WriteUnit,
    erased: u8,
}

impl Geometry {
    /// A device with `count` sectors of `size` bytes each. Sizes past the 32-bit space are cut to it.
    #[must_use]
    pub const fn uniform(size: u32, count: u32, write_unit: WriteUnit, erased: u8) -> Self {
        const NONE: SectorRun = SectorRun { size: 0, count: 0 };
        let run = SectorRun { size, count };
        let runs = [run, NONE, NONE, NONE, NONE, NONE, NONE, NONE];
        Self { runs, size: size.saturating_mul(count), write_unit, erased }
    }

    /// A device with these runs of sectors, from offset 0 up.
    ///
    /// `None` if there are more than [`MAX_SECTOR_RUNS`], a sector is empty or no multiple of the write unit, or the
    /// whole does not fit 32 bits.
    #[must_use]
    pub fn from_runs(runs: &[SectorRun], write_unit: WriteUnit, erased: u8) -> Option<Self> {
        let mut own = [SectorRun { size: 0, count: 0 }; MAX_SECTOR_RUNS];
        own.get_mut(..runs.len())?.copy_from_slice(runs);
        let mut size = 0u32;
        for run in runs {
            if run.size == 0 || !run.size.is_multiple_of(write_unit.bytes()) {
                return None;
            }
            size = size.checked_add(run.size.checked_mul(run.count)?)?;
        }
        Some(Self { runs: own, size, write_unit, erased })
    }

    /// Size of the device in bytes.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The smallest number of bytes that is programmed at once.
    #[must_use]
    pub const fn write_unit(&self) -> WriteUnit {
        self.write_unit
    }

    /// What an erased byte reads as: 0xff on nearly every device, 0x00 on some.
    #[must_use]
    pub const fn erased(&self) -> u8 {
        self.erased
    }

    /// The runs of equal sectors, from offset 0 up.
    pub fn runs(&self) -> impl Iterator<Item = SectorRun> + '_ {
        self.runs.iter().copied().filter(|run| run.count > 0)
    }

    /// The sector that holds `offset`, or `None` past the end.
    #[must_use]
    pub fn sector_at(&self, offset: u32) -> Option<Sector> {
        let mut start = 0u32;
        for run in self.runs() {
            let end = start.checked_add(run.size.checked_mul(run.count)?)?;
            if offset < end {
                let into = offset.checked_sub(start)?;
                let index = into.checked_div(run.size)?;
                return Some(Sector { offset: start.checked_add(index.checked_mul(run.size)?)?, size: run.size });
            }
            start = end;
        }
        None
    }

    /// The sectors from the one that holds `from` up to the one that holds the byte before `to`.
    pub fn sectors(&self, from: u32, to: u32) -> impl Iterator<Item = Sector> + '_ {
        let mut at = from;
        core::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let sector = self.sector_at(at)?;
            at = sector.end();
            Some(sector)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Geometry {
        let runs =
            [SectorRun { size: 16, count: 2 }, SectorRun { size: 64, count: 1 }, SectorRun { size: 128, count: 2 }];
        Geometry::from_runs(&runs, WriteUnit::new(8).unwrap(), 0xff).unwrap()
    }

    #[test]
    fn mixed_sectors_are_found_by_offset() {
        let geometry = mixed();
        assert_eq!(geometry.size(), 352);
        for (offset, start, size) in
            [(0, 0, 16), (31, 16, 16), (32, 32, 64), (95, 32, 64), (96, 96, 128), (351, 224, 128)]
        {
            assert_eq!(geometry.sector_at(offset), Some(Sector { offset: start, size }), "offset {offset}");
        }
        assert_eq!(geometry.sector_at(352), None);
    }

    #[test]
    fn a_range_yields_each_sector_it_touches_once() {
        let geometry = mixed();
        assert!(geometry.sectors(20, 97).map(|s| s.offset).eq([16, 32, 96]));
        assert_eq!(geometry.sectors(20, 20).count(), 0);
        assert_eq!(geometry.sectors(300, 9999).count(), 1);
    }

    #[test]
    fn impossible_geometries_are_refused() {
        let unit = WriteUnit::new(4).unwrap();
        assert_eq!(Geometry::from_runs(&[SectorRun { size: 6, count: 1 }], unit, 0xff), None);
        assert_eq!(Geometry::from_runs(&[SectorRun { size: 0, count: 1 }], unit, 0xff), None);
        assert_eq!(Geometry::from_runs(&[SectorRun { size: 1 << 31, count: 2 }], unit, 0xff), None);
        assert_eq!(Geometry::from_runs(&[SectorRun { size: 4, count: 1 }; 9], unit, 0xff), None);
        assert_eq!(WriteUnit::new(3), None);
        assert_eq!(WriteUnit::new(64), None);
    }
}
