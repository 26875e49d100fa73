//! Flash as a bootloader sees it: devices, addresses, sectors and write units.
//!
//! This crate holds the vocabulary and three traits, no logic that knows about images:
//!
//! ```text
//!   boot, device-app ──▶ ReadFlash, Flash, AsyncFlash ◀── board code on a chip, nor-sim on a host
//!                        Geometry (sectors, write unit, erased value)
//! ```
//!
//! One object that implements [`Flash`] stands for *all* flash devices of a board; an address names the device it
//! lies in. So a primary slot in internal flash and a secondary slot in external flash need no special case.
//!
//! ```
//! use otaru_flash::{DeviceId, FlashAddr, Geometry, SectorRun, WriteUnit};
//!
//! let nrf52840 = Geometry::uniform(4096, 256, WriteUnit::new(4).unwrap(), 0xff);
//! assert_eq!(nrf52840.size(), 1024 * 1024);
//! let sector = nrf52840.sector_at(0x5123).unwrap();
//! assert_eq!((sector.offset, sector.size), (0x5000, 4096));
//! let at = FlashAddr::new(DeviceId(0), sector.offset);
//! assert_eq!(at.plus(0x10).unwrap().offset, 0x5010);
//! # let _ = SectorRun { size: 4096, count: 1 };
//! ```
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod geometry;

pub use geometry::{Geometry, MAX_SECTOR_RUNS, Sector, SectorRun, WriteUnit};

/// Which flash device an address lies in: 0 is the internal flash by convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u8);

/// A byte address: a device and an offset in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlashAddr {
    /// The device.
    pub device: DeviceId,
    /// Bytes from the start of the device.
    pub offset: u32,
}

impl FlashAddr {
    /// The address `offset` bytes into `device`.
    #[must_use]
    pub const fn new(device: DeviceId, offset: u32) -> Self {
        Self { device, offset }
    }

    /// This address moved up by `bytes`, or `None` past the end of the 32-bit space.
    #[must_use]
    pub const fn plus(self, bytes: u32) -> Option<Self> {
        match self.offset.checked_add(bytes) {
            Some(offset) => Some(Self { device: self.device, offset }),
            None => None,
        }
    }
}

impl core::fmt::Display for FlashAddr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{:#010x}", self.device.0, self.offset)
    }
}

/// Reading, which never waits: flash is memory-mapped or close to it.
pub trait ReadFlash {
    /// Why the device refused. Never collapsed by callers: it travels up in their own errors.
    type Error: core::fmt::Debug;

    /// Fills `out` from the bytes at `at`.
    ///
    /// # Errors
    /// The device's own, or a range outside it.
    fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), Self::Error>;
}

/// All flash devices of a board, blocking: what a bootloader has.
///
/// What an implementation may assume of its callers, and they keep:
/// writes start at a multiple of the write unit and are a multiple of it long; they go only to erased units;
/// erases name one whole sector. An implementation may answer anything else with an error and must then leave the
/// flash as it was.
///
/// # Interruption
/// Power may fail inside any call. Then the bytes a `write` covers hold, unit by unit, the old value, the new one or
/// any mixture; a sector being erased holds anything. No other byte changes.
pub trait Flash: ReadFlash {
    /// Programs `data` at `at`.
    ///
    /// # Errors
    /// The device's own, or a range outside it or not aligned to the write unit.
    fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), Self::Error>;

    /// Erases the one sector that starts at `at` and is `len` bytes long.
    ///
    /// # Errors
    /// The device's own, or a range that is not one sector.
    fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), Self::Error>;
}

/// All flash devices of a board, for an application that must keep its radio running: same rules as [`Flash`], but
/// changing flash may wait for a time slot between radio events.
///
/// # Interruption
/// As [`Flash`]. Dropping a future before it is ready counts as an interruption.
#[expect(async_fn_in_trait, reason = "device executors are single-threaded: no Send bound is wanted")]
pub trait AsyncFlash: ReadFlash {
    /// Programs `data` at `at`.
    ///
    /// # Errors
    /// As [`Flash::write`].
    async fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), Self::Error>;

    /// Erases the one sector that starts at `at` and is `len` bytes long.
    ///
    /// # Errors
    /// As [`Flash::erase`].
    async fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), Self::Error>;
}

impl<F: ReadFlash> ReadFlash for &mut F {
    type Error = F::Error;

    fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(at, out)
    }
}

impl<F: Flash> Flash for &mut F {
    fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), Self::Error> {
        (**self).write(at, data)
    }

    fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), Self::Error> {
        (**self).erase(at, len)
    }
}

impl<F: AsyncFlash> AsyncFlash for &mut F {
    async fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), Self::Error> {
        (**self).write(at, data).await
    }

    async fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), Self::Error> {
        (**self).erase(at, len).await
    }
}

/// A blocking flash where an asynchronous one is asked for: every call is ready at once.
#[derive(Debug)]
pub struct Blocking<F>(pub F);

impl<F: ReadFlash> ReadFlash for Blocking<F> {
    type Error = F::Error;

    fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(at, out)
    }
}

impl<F: Flash> AsyncFlash for Blocking<F> {
    async fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), Self::Error> {
        self.0.write(at, data)
    }

    async fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), Self::Error> {
        self.0.erase(at, len)
    }
}
