//! Codecs for MCUboot-compatible images: header, versions, TLV areas and the trailer.
//!
//! ```text
//!   slot or file   ┌────────┬─────────┬───────────────┬─────────────────┬ ─ ─ ─ ┬─────────┐
//!                  │ header │ payload │ protected TLVs│ unprotected TLVs│       │ trailer │
//!                  └────────┴─────────┴───────────────┴─────────────────┴ ─ ─ ─ ┴─────────┘
//!                   Header               tlv::Walk ───────────────────▶           trailer
//!                  ◀──────── what the hash covers ────▶
//!                  ◀──────── image_extent ─────────────────────────────▶
//! ```
//!
//! Everything here is a codec: bytes in, small values out, and back. Parsers are total: they never panic, never loop
//! for ever, and take every bound from the area they were given, not from what the image says about itself.
//!
//! What it is not: it knows no cryptography (a hash is 32 bytes to it), reads no flash (it asks a [`ReadAt`]), and
//! decides nothing except what MCUboot's trailers decide by themselves.
//!
//! ```
//! use otaru_image::{Flags, Header, Version};
//!
//! let header = Header {
//!     load_address: 0,
//!     header_size: 0x200,
//!     protected_size: 0,
//!     image_size: 0x1000,
//!     flags: Flags::NONE,
//!     version: "1.2.3+4".parse().unwrap(),
//! };
//! let bytes = header.emit();
//! assert_eq!(bytes[..4], [0x3d, 0xb8, 0xf3, 0x96]);
//! assert_eq!(Header::parse(&bytes).unwrap(), header);
//! assert_eq!(header.tlv_offset(), Some(0x1200));
//! assert!(Version::new(1, 2, 4, 0) > header.version);
//! ```
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

mod header;
mod read;
pub mod tlv;
pub mod trailer;
mod version;

pub use header::{Flags, HEADER_LEN, Header, HeaderError, MAGIC};
pub use read::{OutOfRange, ReadAt};
pub use tlv::image_extent;
pub use version::{Version, VersionError};
