use core::ops::Range;

use otaru_flash::{Geometry, WriteUnit};

use crate::{Op, OpKind, Partial};

/// Everything that a board's flash remembers without power: its bytes, and how often each write unit was programmed
/// since its last erase (which flash with an error-correcting code cannot hide: a unit programmed with erased bytes
/// looks erased and is not).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contents {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) programs: Box<[u8]>,
}

/// Where a device lies in [`Contents`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    pub(crate) geometry: Geometry,
    /// First byte in `Contents::bytes`, and in the file.
    pub(crate) base: usize,
    /// First unit in `Contents::programs`.
    pub(crate) units: usize,
}

impl Device {
    /// Lays devices out one after the other, all erased.
    pub(crate) fn lay_out(geometries: &[Geometry]) -> (Vec<Self>, Contents) {
        let (mut bytes, mut programs) = (Vec::new(), Vec::new());
        let place = |&geometry: &Geometry| {
            let device = Self { geometry, base: bytes.len(), units: programs.len() };
            let size = geometry.size() as usize;
            bytes.resize(bytes.len() + size, geometry.erased());
            programs.resize(programs.len() + size / device.unit(), 0);
            device
        };
        let devices = geometries.iter().map(place).collect();
        (devices, Contents { bytes: bytes.into(), programs: programs.into() })
    }

    pub(crate) fn unit(&self) -> usize {
        self.geometry.write_unit().bytes() as usize
    }

    /// Where `len` bytes at `offset` of this device lie in `Contents::bytes`.
    pub(crate) fn bytes(&self, offset: usize, len: usize) -> Range<usize> {
        self.base + offset..self.base + offset + len
    }

    /// The units that `len` bytes at `offset` touch, in `Contents::programs`.
    pub(crate) fn touched(&self, offset: usize, len: usize) -> Range<usize> {
        self.units + offset / self.unit()..self.units + (offset + len).div_ceil(self.unit())
    }

    /// What a unit that holds `old` holds after programming `data`, or as much of it as `leaves` says.
    pub(crate) fn programmed(&self, offset: usize, old: &[u8], data: &mut [u8], leaves: Partial) {
        for (new, old) in data.iter_mut().zip(old) {
            // Programming moves bits away from their erased value only.
            *new = if self.geometry.erased() == 0 { *new | old } else { *new & old };
        }
        leaves.tear_write(offset as u32, old, data);
    }

    /// How often a unit that now holds `bytes` counts as programmed, after a write that power failed in.
    pub(crate) fn torn_count(&self, before: u8, bytes: &[u8], leaves: Partial) -> u8 {
        match leaves {
            Partial::Nothing => before,
            Partial::All => before.saturating_add(1),
            _ if self.looks_erased(bytes) => 0,
            _ => before.saturating_add(1),
        }
    }

    /// What a sector that holds `old` holds after an erase, or as much of it as `leaves` says.
    pub(crate) fn erased(&self, offset: usize, old: &[u8], new: &mut [u8], leaves: Partial) {
        new.fill(self.geometry.erased());
        leaves.tear_erase(offset as u32, old, new, self.geometry.write_unit().bytes(), self.geometry.erased());
    }

    /// Does `op` (writing `data`) to `contents`, or as much of it as `leaves` says.
    pub(crate) fn apply(&self, contents: &mut Contents, op: &Op, data: &[u8], leaves: Partial) {
        if leaves == Partial::Nothing {
            return;
        }
        let (offset, len) = (op.at.offset as usize, op.len as usize);
        let bytes = &mut contents.bytes[self.bytes(offset, len)];
        match op.kind {
            OpKind::Write => {
                let mut unit = [0; WriteUnit::MAX];
                let unit = &mut unit[..len];
                unit.copy_from_slice(data);
                self.programmed(offset, bytes, unit, leaves);
                bytes.copy_from_slice(unit);
                let count = &mut contents.programs[self.units + offset / len];
                *count = self.torn_count(*count, unit, leaves);
            }
            OpKind::Erase => {
                let old = bytes.to_vec();
                self.erased(offset, &old, bytes, leaves);
                self.recount(contents, offset, len);
            }
        }
    }

    pub(crate) fn looks_erased(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| byte == self.geometry.erased())
    }

    /// Counts the units of `len` bytes at `offset` anew: programmed once if they do not look erased.
    pub(crate) fn recount(&self, contents: &mut Contents, offset: usize, len: usize) {
        for index in self.touched(offset, len) {
            let start = self.base + (index - self.units) * self.unit();
            contents.programs[index] = u8::from(!self.looks_erased(&contents.bytes[start..start + self.unit()]));
        }
    }
}
