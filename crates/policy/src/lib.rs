//! Who may do what over SMP: the one gate before the running image may change.
//!
//! ```text
//!   smp-server ──▶ Policy::decide(what, link) ──▶ Ok, or a Refusal that says in words what is missing
//!                    │
//!                    └─ per transport one Access: for each kind of command the least security level, or never
//! ```
//!
//! What no rule allows is denied: a transport without an [`Access`], a kind of command without a level.
//!
//! ```
//! use otaru_policy::{Access, Action, Link, Policy, SecurityLevel, Transport};
//!
//! let policy = Policy::deny_all().with(Transport::Ble, Access::authenticated());
//! let stranger = Link::ble(0, SecurityLevel::L1, false);
//! let refusal = policy.decide(Action::Upload, &stranger).unwrap_err();
//! assert_eq!(
//!     refusal.to_string(),
//!     "uploading needs security level 3, this link has 1: pair with the passkey of the device"
//! );
//! assert!(policy.decide(Action::Upload, &Link::ble(0, SecurityLevel::L4, true)).is_ok());
//! assert!(policy.decide(Action::Upload, &Link::udp()).is_err());
//! ```
//!
//! What it is not: it does not authenticate. The Bluetooth stack knows how a link was paired; UDP and serial links know
//! nothing of their peers and are always at level 1.
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

mod access;
mod link;

pub use access::{Access, Action, Policy, Refusal};
pub use link::{Link, SecurityLevel, Transport};
