use core::fmt;
use core::str::FromStr;

use otaru_flash::{DeviceId, Geometry};

use crate::UnknownMode;

/// How an image comes from the secondary slot into the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Swap by first moving the primary image up by one sector (`MCUBOOT_SWAP_USING_MOVE`).
    SwapMove,
}

impl Mode {
    /// Its name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SwapMove => "swap-move",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        if name == Self::SwapMove.name() { Ok(Self::SwapMove) } else { Err(UnknownMode) }
    }
}

/// One of the two places an image may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Where images run.
    Primary,
    /// Where updates are put, and where the old image waits during a trial.
    Secondary,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// A range of one flash device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The device.
    pub device: DeviceId,
    /// First byte.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

impl Area {
    /// The area without bytes at the start of device 0.
    pub const NONE: Self = Self { device: DeviceId(0), offset: 0, len: 0 };

    /// The offset just past the area; `None` past the end of the 32-bit space.
    #[must_use]
    pub const fn end(&self) -> Option<u32> {
        self.offset.checked_add(self.len)
    }
}

/// Cells of a trailer, unless a layout says otherwise: 8 bytes.
pub const DEFAULT_MAX_ALIGN: u32 = 8;

/// Sectors that a trailer can keep the status of, unless a layout says otherwise.
pub const DEFAULT_MAX_SECTORS: u32 = 128;

/// What somebody wrote down about a device, unchecked.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// How updates are installed.
    pub mode: Mode,
    /// The flash devices; the first is device 0.
    pub devices: &'a [Geometry],
    /// The primary slot.
    pub primary: Area,
    /// The secondary slot.
    pub secondary: Area,
    /// Bytes of a trailer cell (`BOOT_MAX_ALIGN`): 8, 16 or 32, and no less than any write unit.
    pub max_align: u32,
    /// Sectors that a trailer can keep the status of (`BOOT_MAX_IMG_SECTORS`).
    pub max_sectors: u32,
}

impl<'a> Spec<'a> {
    /// A specification without slots and with MCUboot's defaults: a base for struct update syntax.
    #[must_use]
    pub const fn new(mode: Mode, devices: &'a [Geometry]) -> Self {
        Self {
            mode,
            devices,
            primary: Area::NONE,
            secondary: Area::NONE,
            max_align: DEFAULT_MAX_ALIGN,
            max_sectors: DEFAULT_MAX_SECTORS,
        }
    }
}
