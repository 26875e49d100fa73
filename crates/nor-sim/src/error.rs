use std::io;

use otaru_flash::FlashAddr;

/// Why simulated flash refused a call. All but [`Self::PowerLost`] and [`Self::File`] are mistakes of the caller, and
/// leave the flash as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NorError {
    /// An address names a device that this board does not have.
    #[error("there is no flash device {device}: this board has {count}")]
    NoDevice {
        /// The device that was named.
        device: u8,
        /// How many there are.
        count: usize,
    },
    /// A range does not lie inside its device.
    #[error("{len} bytes at {at} do not lie inside that device, which has {size:#x} bytes")]
    OutOfBounds {
        /// Start of the range.
        at: FlashAddr,
        /// Its length in bytes.
        len: usize,
        /// Size of the device in bytes.
        size: u32,
    },
    /// A write does not consist of whole write units.
    #[error("a write of {len} bytes at {at} does not consist of whole write units of {unit} bytes")]
    Misaligned {
        /// Start of the write.
        at: FlashAddr,
        /// Its length in bytes.
        len: usize,
        /// The device's write unit in bytes.
        unit: usize,
    },
    /// An erase does not name exactly one sector.
    #[error("an erase of {len} bytes at {at} does not name one whole sector")]
    NotASector {
        /// Start of the erase.
        at: FlashAddr,
        /// Its length in bytes.
        len: u32,
    },
    /// A write goes to a unit that has been programmed as often as the device allows between two erases.
    #[error("the write unit at {at} may be programmed {allowed}x between two erases, and was {times}x already")]
    Programmed {
        /// Start of the unit.
        at: FlashAddr,
        /// How often it was programmed.
        times: u8,
        /// How often it may be.
        allowed: u8,
    },
    /// Power was cut during this call or before it. [`crate::NorFlash::power_on`] brings it back.
    #[error("power is off")]
    PowerLost,
    /// The file behind the flash could not be written.
    #[error("the flash file could not be written: {kind}")]
    File {
        /// What the operating system said.
        kind: io::ErrorKind,
    },
}

/// Why a flash file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused.
    #[error("the flash file cannot be opened")]
    File(#[from] io::Error),
    /// Another process has it open.
    #[error("the flash file is in use by another process")]
    InUse,
    /// It is a file of another layout, or was cut short.
    #[error("the flash file has {found} bytes, and the devices of this layout have {expected}")]
    Length {
        /// Bytes in the file.
        found: u64,
        /// Bytes of all devices together.
        expected: u64,
    },
}
