//! A whole virtual device: flash, bootloader, application, and what it is plugged into.
//!
//! ```text
//!            Air (radio-sim)   DatagramPort   SerialPort          Power
//!                   │               │             │                 │ cut, restore
//!   Device ── run ──┴───────────────┴─────────────┴─────────────────┴── Events ──▶ whoever watches
//!     │
//!     ├─ power-on ─▶ otaru-boot on NorFlash ─▶ Report
//!     └─ VerifiedImage ─▶ Record in its payload ─▶ otaru-device-app ─▶ reset ─▶ power-on …
//! ```
//!
//! A [`Device`] is a future: run it under `otaru-sim-rt`, in virtual or real time, beside whoever talks to it. At each
//! reset everything is rebuilt from the bytes in flash; only flash, bonds and clock survive. Ports are in memory, a UDP
//! socket ([`udp`]), a pseudo terminal ([`pty`]) or a radio on a simulated air.
//!
//! What runs is what the image says: an update changes the device's behaviour through the [`payload`] record.
//!
//! ```
//! use otaru_device_sim::payload::{Record, SelfTest};
//!
//! let record = Record { self_test: SelfTest::Fail, ..Record::named("lock 2.0").unwrap() };
//! let payload = record.payload(4096);
//! assert_eq!(Record::parse(&payload), Ok(record));
//! ```
//!
//! What it is not: it has no image, SMP or access logic of its own. What runs here is what runs on silicon.

mod board;
mod bonds;
mod clock;
mod device;
mod event;
mod flash;
mod loader;
pub mod mailbox;
pub mod payload;
pub mod port;
mod power;
#[cfg(unix)]
pub mod pty;
mod serve;
pub mod udp;

pub use bonds::Bonds;
pub use device::{Config, Device, End, Pace};
pub use event::Event;
pub use otaru_device_app::Event as AppEvent;
pub use power::Power;
