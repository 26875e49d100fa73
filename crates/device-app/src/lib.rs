//! The updatable application: what a device runs beside its own work so that it can be updated.
//!
//! ```text
//!   BLE (otaru-ble) ─┐                        ┌─ OsGroup      ◀── Board: clock, names, tasks
//!   UDP ─────────────┼─▶ App ─▶ smp-server ───┤
//!   serial ──────────┘    │                   └─ Images ─▶ Slots ─▶ AsyncFlash, Layout, TrustedKeys
//!                         │                                   └─▶ otaru-boot: verify, requests
//!                         └─▶ run(): erases ahead, and returns when the device is to restart
//! ```
//!
//! An [`App`] is the same on a chip and in `otaru-device-sim`: it is generic over flash, keys and [`Board`]. Transports
//! call [`App::handle_next`], send the answer, and then call [`App::answered`]; Bluetooth does so by itself, because an
//! App is an [`otaru_ble::peripheral::FrameHandler`]. The firmware's `main` joins them with [`App::run`] and resets the
//! chip when that returns.
//!
//! An image on trial proves itself with [`App::trial`]: a self-test that fails, or never ends, leaves the image
//! unconfirmed, and the loader goes back to the old one.
//!
//! ```
//! # use embassy_futures::block_on;
//! # use otaru_boot::Options;
//! # use otaru_crypto::KeySet;
//! # use otaru_device_app::{App, Board, ClockError, Info};
//! # use otaru_flash::{Blocking, DeviceId, Geometry, WriteUnit};
//! # use otaru_layout::{Area, Layout, Mode, Spec};
//! # use otaru_policy::{Access, Link, Policy, Transport};
//! # use otaru_smp::{DateTime, os::Task};
//! struct Lock;
//!
//! impl Board for Lock {
//!     // …
//! #   fn date_time(&self) -> Result<Option<DateTime>, ClockError> { Ok(None) }
//! #   fn set_date_time(&self, _: DateTime) -> Result<(), ClockError> { Ok(()) }
//! #   fn info(&self) -> Info<'_> { Info::default() }
//! #   fn tasks(&self) -> &[Task<'_>] { &[] }
//! }
//!
//! # let devices = [Geometry::uniform(4096, 32, WriteUnit::new(4).unwrap(), 0xff)];
//! # let area = |offset| Area { device: DeviceId(0), offset, len: 0x10000 };
//! # let spec = Spec { primary: area(0), secondary: area(0x10000), ..Spec::new(Mode::SwapMove, &devices) };
//! # let layout = Layout::new(&spec).unwrap();
//! # let flash = Blocking(otaru_nor_sim::NorFlash::erased(&devices));
//! let policy = Policy::deny_all().with(Transport::Ble, Access::authenticated()).with(Transport::Serial, Access::open());
//! let app = App::new(flash, layout, KeySet::new(&[]), Options::default(), policy, &Lock);
//!
//! let mut request = &b"\x0a\x00\x00\x05\x00\x00\x07\x00\xa1\x61d\x61x"[..];
//! let mut answer = [0; 64];
//! let len = block_on(app.handle_next(&Link::serial(), &mut request, &mut answer)).unwrap();
//! app.answered();
//! assert_eq!(answer[..len], *b"\x0b\x00\x00\x05\x00\x00\x07\x00\xa1\x61r\x61x");
//! ```
//!
//! What it is not: it has no transports, no executor and no driver. It does not decide who may do what (that is
//! `otaru-policy`) and holds no rule of the protocol (`otaru-smp-server`) or of the trailer (`otaru-boot`).
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[cfg(test)]
extern crate std;

// Time driver and critical section for tests.
#[cfg(test)]
use otaru_sim_rt as _;

mod app;
mod ble;
mod board;
mod os;
mod slots;

pub use app::{App, Restart, Trial};
pub use ble::ble_access;
pub use board::{Board, ClockError, Event};
pub use otaru_smp_server::Info;

/// Bytes of the largest request or answer, SMP header included: what clients are told as `buf_size`.
pub const FRAME: usize = otaru_ble::peripheral::FRAME;

/// Requests that may be under way at a time, plus one for the answer: what clients are told as `buf_count`.
pub const FRAMES: usize = 4;
