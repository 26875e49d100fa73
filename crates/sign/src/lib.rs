//! A host's half of the trust between a signer and a loader: keys, signed images, and the project that names both.
//!
//! ```text
//!   otaru ──▶ project   otaru.toml: which key, which board
//!             key       made, read from PEM, signing          known: keys that everybody has
//!             build     firmware ──▶ signed image, with a trailer where asked for
//!             inspect   image ──▶ what it says, and whether that holds
//!             file      binary, Intel HEX (hex), dfu_application.zip (package); written whole or not at all
//!                 │
//!                 ▼
//!             otaru-image (codecs)   otaru-layout (how large, where)   otaru-crypto (verification)
//! ```
//!
//! ```
//! use otaru_crypto::Scheme;
//! use otaru_sign::build::{Plan, Request, sign};
//! use otaru_sign::inspect::Image;
//! use otaru_sign::key::SigningKey;
//! use otaru_sign::project::built_in;
//!
//! let key = SigningKey::generate(Scheme::Ed25519).unwrap();
//! let board = built_in("nrf52840dk").unwrap();
//! let plan = Plan {
//!     version: "1.2.3".parse().unwrap(),
//!     header_size: 0x200,
//!     pad_header: true,
//!     layout: Some(&board),
//!     request: Request::None,
//! };
//! let signed = sign(b"firmware", &key, &plan).unwrap();
//! let image = Image::parse(signed.image()).unwrap();
//! assert!(image.verify(&[key.public().clone()]).is_ok());
//! assert!(sign(&[0; 0x80000], &key, &plan).is_err(), "too large for the board's slots");
//! ```
//!
//! What it is not: it prints nothing, talks to no device, and does not decide what a loader does with an image; that
//! is `otaru-boot`, whose verification is its own and runs on the device.

pub mod build;
pub mod file;
pub mod hex;
pub mod inspect;
pub mod key;
pub mod known;
pub mod package;
pub mod project;

#[cfg(test)]
mod test_support;
