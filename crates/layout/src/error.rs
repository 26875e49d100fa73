use crate::{MAX_DEVICES, Mode, Slot};

/// A name that is no mode's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such mode; the one there is so far is swap-move")]
pub struct UnknownMode;

/// Why slots and devices do not make a layout. Offsets and sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// More devices than a layout holds.
    #[error("{found} flash devices are given, {MAX_DEVICES} is the most")]
    TooManyDevices {
        /// How many.
        found: usize,
    },
    /// A slot in a device that is not given.
    #[error("the {slot} slot lies in flash device {device}, but devices given: {count}")]
    NoDevice {
        /// The slot.
        slot: Slot,
        /// Its device.
        device: u8,
        /// How many devices there are.
        count: usize,
    },
    /// A slot that goes past the end of its device.
    #[error("the {slot} slot of {len:#x} bytes at {offset:#x} does not fit its device, which has {size:#x} bytes")]
    OutsideDevice {
        /// The slot.
        slot: Slot,
        /// Where it begins.
        offset: u32,
        /// Its length.
        len: u32,
        /// Size of the device.
        size: u32,
    },
    /// A slot that does not consist of whole sectors.
    #[error("the {slot} slot does not begin and end with a sector: {at:#x} is inside one of {sector:#x} bytes")]
    NotOnSectors {
        /// The slot.
        slot: Slot,
        /// The offset that is wrong.
        at: u32,
        /// Size of the sector around it.
        sector: u32,
    },
    /// Slots that share flash.
    #[error("the slots overlap: primary {primary:#x} and secondary {secondary:#x} on device {device}")]
    Overlap {
        /// Start of the primary slot.
        primary: u32,
        /// Start of the secondary slot.
        secondary: u32,
        /// Their device.
        device: u8,
    },
    /// A slot whose sectors differ, or differ from the other slot's.
    #[error(
        "{mode} needs sectors of one size in both slots: the {slot} slot has one of {found:#x} bytes at {at:#x}, not {expected:#x}"
    )]
    SectorSize {
        /// The mode.
        mode: Mode,
        /// The slot.
        slot: Slot,
        /// Where the sector begins.
        at: u32,
        /// Its size.
        found: u32,
        /// The size of the primary slot's first sector.
        expected: u32,
    },
    /// Slots whose sizes do not go together.
    #[error(
        "{mode} needs as many sectors in the primary slot as in the secondary, or one more: they have {primary} and {secondary}"
    )]
    SectorCounts {
        /// The mode.
        mode: Mode,
        /// Sectors of the primary slot.
        primary: u32,
        /// Sectors of the secondary slot.
        secondary: u32,
    },
    /// More sectors than a trailer keeps the status of.
    #[error("the primary slot has {sectors} sectors, but the trailer keeps the status of {max} only (max-sectors)")]
    TooManySectors {
        /// Sectors of the primary slot.
        sectors: u32,
        /// What the trailer keeps.
        max: u32,
    },
    /// Trailer cells that no loader has, or that are smaller than a write unit.
    #[error(
        "trailer cells of {max_align} bytes: they must be of 8, 16 or 32, and no smaller than the write unit, which is {write_unit}"
    )]
    MaxAlign {
        /// What was given.
        max_align: u32,
        /// The larger of the slots' write units.
        write_unit: u32,
    },
    /// No room for an image between the start of a slot and its trailer.
    #[error(
        "slots of {sectors} sectors of {sector:#x} bytes leave no room for an image: the trailer takes {trailer:#x} bytes in whole sectors, the swap one more"
    )]
    NoRoom {
        /// Sectors of the primary slot.
        sectors: u32,
        /// Bytes of one.
        sector: u32,
        /// Bytes of the sectors that the trailer takes.
        trailer: u32,
    },
}
