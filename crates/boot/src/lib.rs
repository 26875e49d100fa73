//! An MCUboot-compatible bootloader core.
//!
//! ```text
//!   loader, device-sim ──▶ boot() ────────────▶ VerifiedImage: the only thing to jump into
//!                            │  plan: what the two trailers ask for, or what was interrupted
//!                            │  verify(): the one check of an image
//!                            ▼  swap: sectors, records and flags, in MCUboot's order
//!                          Report: what was found and decided, for the board to print
//!
//!   application ─────────▶ request::{status, set_pending, confirm, cancel, erase}, verify()
//! ```
//!
//! There are no statics, no allocator, no clock and no log: each boot rebuilds everything from flash, and says what
//! it did in a [`Report`]. Flash, keys and digest are the caller's ([`otaru_flash::Flash`],
//! [`otaru_crypto::TrustedKeys`]).
//!
//! ```
//! use otaru_boot::{BootError, Options, Rejection, Report, boot};
//! use otaru_crypto::KeySet;
//! use otaru_flash::{DeviceId, Geometry, WriteUnit};
//! use otaru_layout::{Area, Layout, Mode, Spec};
//! use otaru_nor_sim::NorFlash;
//!
//! let devices = [Geometry::uniform(4096, 32, WriteUnit::new(4).unwrap(), 0xff)];
//! let layout = Layout::new(&Spec {
//!     primary: Area { device: DeviceId(0), offset: 0, len: 0x10000 },
//!     secondary: Area { device: DeviceId(0), offset: 0x10000, len: 0x10000 },
//!     ..Spec::new(Mode::SwapMove, &devices)
//! })
//! .unwrap();
//! let mut flash = NorFlash::erased(&devices);
//! let mut report = Report::default();
//! let refused = boot(&mut flash, &layout, &KeySet::new(&[]), &Options::default(), &mut report);
//! assert_eq!(refused, Err(BootError::NoImage(Rejection::Empty)));
//! println!("{report}");
//! ```
//!
//! # Power
//! Power may fail at any moment of [`boot`], also inside a write or an erase, and as often as it likes: the next call
//! goes on from what is on flash. `docs/swap.md` has the tables: which states there are, what a torn write or a half
//! erase may leave of each, and who repairs it.
//!
//! What it is not: it does not jump, and it has no encryption, no security counters and no downgrade prevention yet.
//! It always verifies the primary image: there is no way to get a [`VerifiedImage`] otherwise.
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
mod load;
mod options;
mod plan;
mod report;
pub mod request;
mod slots;
mod swap;
mod trailer;
mod verify;

#[cfg(test)]
mod testing;

pub use error::{Access, BootError, FlashError, HashStart, Rejection, VerifyError};
pub use load::boot;
pub use options::Options;
pub use plan::Inconsistency;
pub use report::{Booting, Contents, Decision, Found, Report, Trouble};
pub use verify::{VerifiedImage, verify};
