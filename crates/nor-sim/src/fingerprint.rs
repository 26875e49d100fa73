use otaru_flash::WriteUnit;

use crate::cells::Device;
use crate::search::bit;
use crate::trace::sectors_of_units;
use crate::{Contents, Op, OpKind, Partial};

/// 64 bits that stand for flash contents: the exclusive or of a hash per byte and per write unit, so that what an
/// operation does to it costs as much as the operation, not as the whole flash.
pub(crate) struct Fingerprint {
    devices: Vec<Device>,
    /// The sector of each write unit, all devices counted together.
    sectors: Vec<u16>,
}

impl Fingerprint {
    pub(crate) fn new(devices: &[Device]) -> Self {
        Self { devices: devices.to_vec(), sectors: sectors_of_units(devices) }
    }

    pub(crate) fn of(&self, contents: &Contents) -> u64 {
        bytes(0, &contents.bytes) ^ counts(0, &contents.programs)
    }

    /// Which sector an operation falls into, all devices counted together.
    pub(crate) fn sector(&self, op: &Op) -> usize {
        let device = self.devices.get(usize::from(op.at.device.0));
        let unit = device.map(|device| device.touched(op.at.offset as usize, 1).start);
        unit.and_then(|unit| self.sectors.get(unit)).copied().map_or(usize::MAX, usize::from)
    }

    /// The part of each sector: together they are the whole.
    pub(crate) fn each_sector(&self, contents: &Contents) -> Vec<u64> {
        let mut all = vec![0; self.sectors.last().map_or(0, |&last| usize::from(last) + 1)];
        for device in &self.devices {
            let units = contents.bytes[device.bytes(0, device.geometry.size() as usize)].chunks(device.unit());
            for (index, unit) in units.enumerate() {
                let (start, number) = (device.base + index * device.unit(), device.units + index);
                all[usize::from(self.sectors[number])] ^=
                    bytes(start, unit) ^ counts(number, &contents.programs[number..=number]);
            }
        }
        all
    }

    /// The part of these sectors, one bit each.
    pub(crate) fn of_sectors(&self, contents: &Contents, sectors: u64) -> u64 {
        let each = self.each_sector(contents);
        each.iter().enumerate().filter(|(index, _)| sectors & bit(*index) != 0).fold(0, |all, (_, part)| all ^ part)
    }

    /// The fingerprint after `op` (writing `data`) has left over `contents`, whose fingerprint is `before`, what
    /// `leaves` says.
    pub(crate) fn after(&self, contents: &Contents, before: u64, op: &Op, data: &[u8], leaves: Partial) -> u64 {
        if leaves == Partial::Nothing {
            return before;
        }
        let Some(device) = self.devices.get(usize::from(op.at.device.0)) else { return before };
        let (offset, len) = (op.at.offset as usize, op.len as usize);
        let range = device.bytes(offset, len);
        let touched = device.touched(offset, len);
        let (old, old_counts) = (&contents.bytes[range.clone()], &contents.programs[touched.clone()]);
        let unchanged = before ^ bytes(range.start, old) ^ counts(touched.start, old_counts);
        match op.kind {
            OpKind::Write => {
                let mut unit = [0; WriteUnit::MAX];
                let unit = &mut unit[..len];
                unit.copy_from_slice(data);
                device.programmed(offset, old, unit, leaves);
                let count = device.torn_count(old_counts[0], unit, leaves);
                unchanged ^ bytes(range.start, unit) ^ counts(touched.start, &[count])
            }
            OpKind::Erase => {
                let mut sector = vec![0; len];
                device.erased(offset, old, &mut sector, leaves);
                let fresh = |unit: &[u8]| u8::from(!device.looks_erased(unit));
                let fresh: Vec<u8> = sector.chunks(device.unit()).map(fresh).collect();
                unchanged ^ bytes(range.start, &sector) ^ counts(touched.start, &fresh)
            }
        }
    }
}

fn bytes(from: usize, bytes: &[u8]) -> u64 {
    (from as u64..).zip(bytes).fold(0, |all, (at, &byte)| all ^ mix(at << 8 | u64::from(byte)))
}

fn counts(from: usize, counts: &[u8]) -> u64 {
    let programmed = (from as u64..).zip(counts).filter(|(_, count)| **count > 0);
    programmed.fold(0, |all, (at, &count)| all ^ mix(1 << 63 | at << 8 | u64::from(count)))
}

/// The finalizer of splitmix64: every bit of the input reaches every bit of the output.
pub(crate) fn mix(value: u64) -> u64 {
    let mut x = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
