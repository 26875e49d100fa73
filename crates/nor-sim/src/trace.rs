use core::fmt;
use core::ops::Range;

use otaru_flash::FlashAddr;

use crate::cells::Device;
use crate::search::bit;

/// What happened to a range of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// One write unit was programmed.
    Write,
    /// One sector was erased.
    Erase,
}

/// One operation: what a power cut can fall into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Write or erase.
    pub kind: OpKind,
    /// Where the unit or sector starts.
    pub at: FlashAddr,
    /// Its length in bytes.
    pub len: u32,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.kind {
            OpKind::Write => "write",
            OpKind::Erase => "erase",
        };
        write!(f, "{word} {}+{}", self.at, self.len)
    }
}

/// The operations of one run in order, the bytes of its writes one after the other, and what it depended on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) ops: Vec<Op>,
    pub(crate) data: Vec<u8>,
    /// The sector of each write unit, all devices counted together.
    pub(crate) sectors: Vec<u16>,
    /// Sectors of which something was read or written while they held what they held at the start.
    seen: u64,
    /// Sectors that were erased before anything of them was seen.
    blind: u64,
}

impl Trace {
    pub(crate) fn new(devices: &[Device]) -> Self {
        Self { sectors: sectors_of_units(devices), ..Self::default() }
    }

    pub(crate) fn clear(&mut self) {
        self.ops.clear();
        self.data.clear();
        (self.seen, self.blind) = (0, 0);
    }

    /// What is in these units matters from now on.
    pub(crate) fn see(&mut self, units: Range<usize>) {
        if let (Some(&first), Some(&last)) = (self.sectors.get(units.start), self.sectors.get(units.end - 1)) {
            for sector in first..=last {
                self.seen |= bit(usize::from(sector)) & !self.blind;
            }
        }
    }

    /// What was in this unit's sector does not matter any more.
    pub(crate) fn forget(&mut self, unit: usize) {
        if let Some(&sector) = self.sectors.get(unit) {
            self.blind |= bit(usize::from(sector)) & !self.seen;
        }
    }

    /// The sectors that were erased before anything of them was seen, one bit each.
    pub(crate) fn blind(&self) -> u64 {
        self.blind
    }
}

/// The sector of each write unit, all devices counted together.
pub(crate) fn sectors_of_units(devices: &[Device]) -> Vec<u16> {
    let mut all = Vec::new();
    let mut index = 0u16;
    for device in devices {
        for sector in device.geometry.sectors(0, device.geometry.size()) {
            all.extend(core::iter::repeat_n(index, sector.size as usize / device.unit()));
            index = index.saturating_add(1);
        }
    }
    all
}
