//! What a device needs of cryptography, and nothing more: one hash and three ways to verify a signature.
//!
//! ```text
//!   boot ──▶ Digest, TrustedKeys        traits: what a loader asks for
//!                ▲
//!            Sha256, KeySet             adapters over sha2, p256, ed25519-dalek and crypto-bigint
//! ```
//!
//! A loader is generic over [`TrustedKeys`], so a board with a hash engine or a key store brings its own; others
//! embed public keys and use [`KeySet`]. Each signature scheme is a cargo feature (`p256`, `ed25519`, `rsa`; all by
//! default): a key whose scheme was left out is refused when it is read, not when an update arrives. Without any of
//! them only the traits and [`Sha256`] are left.
//!
//! ```
//! use otaru_crypto::{Digest, KeySet, PublicKey, Sha256, TrustedKeys};
//!
//! // SubjectPublicKeyInfo of an Ed25519 key, as `otaru key pub -e der` writes it.
//! let der = [
//!     &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..],
//!     &[0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66],
//!     &[0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66],
//! ]
//! .concat();
//! let keys = [PublicKey::from_der(&der).unwrap()];
//! let keys = KeySet::new(&keys);
//! let key = keys.find(&Sha256::of(&der)).unwrap();
//! assert!(keys.verify(key, &Sha256::of(b"image"), &[0; 64]).is_err());
//! ```
//!
//! What it is not: it makes no signatures and no keys (that is `otaru-sign`, on a host), and it does not know what an
//! image is. No allocation, no unsafe code of its own, no secrets: everything it handles is public.
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

#[cfg(feature = "p256")]
mod ecdsa;
#[cfg(feature = "ed25519")]
mod eddsa;
#[cfg(any(feature = "p256", feature = "ed25519", feature = "rsa"))]
mod key;
#[cfg(feature = "rsa")]
mod rsa;
mod sha;
mod traits;

#[cfg(any(feature = "p256", feature = "ed25519", feature = "rsa"))]
pub use key::{KeyError, KeySet, PublicKey};
pub use sha::Sha256;
pub use traits::{BadSignature, Digest, KeyIndex, Scheme, TrustedKeys};
