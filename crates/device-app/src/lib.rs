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
