//! Slots and sector maps of a device, and how large an image may be in them.
//!
//! ```text
//!   otaru.toml, vectors ──▶ Spec ──▶ Layout::new ──▶ Layout ──▶ sign    max_image_size()
//!   firmware constants  ──▶      (every rule checked)       ──▶ server  max_image_size(), slots
//!                                                           ──▶ boot    sectors, trailer cells, records
//! ```
//!
//! A [`Layout`] is a small copyable value that was checked once: whoever holds one need not ask again whether slots
//! overlap, fit their device or leave room for a trailer. It is the one place that answers how large an image may be,
//! so that what is signed, what is accepted for upload and what can be swapped are the same.
//!
//! ```
//! use otaru_flash::{DeviceId, Geometry, WriteUnit};
//! use otaru_layout::{Area, Layout, Mode, Slot, Spec};
//!
//! let flash = Geometry::uniform(4096, 256, WriteUnit::new(4).unwrap(), 0xff);
//! let layout = Layout::new(&Spec {
//!     primary: Area { device: DeviceId(0), offset: 0xc000, len: 0x76000 },
//!     secondary: Area { device: DeviceId(0), offset: 0x82000, len: 0x76000 },
//!     ..Spec::new(Mode::SwapMove, &[flash])
//! })
//! .unwrap();
//! // One sector for the trailer, and one to move up into.
//! assert_eq!(layout.max_image_size(), 0x74000);
//! assert_eq!(layout.sector(Slot::Secondary, 1).unwrap().offset, 0x83000);
//! ```
//!
//! What it is not: it reads no flash and knows no image. Modes other than swap-move are not there yet.
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

mod error;
mod layout;
mod spec;

pub use error::{LayoutError, UnknownMode};
pub use layout::{Layout, MAX_DEVICES};
pub use spec::{Area, DEFAULT_MAX_ALIGN, DEFAULT_MAX_SECTORS, Mode, Slot, Spec};
