//! The SMP GATT service, its client side, pairing and bonds over trouble-host.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

// Time driver and critical section for tests.
#[cfg(test)]
use otaru_sim_rt as _;

mod address;
mod backoff;
mod bond;
pub mod central;
mod gatt;
mod guard;
mod link_layer;
pub mod peripheral;
pub mod pool;
mod security;
mod steady;

pub use address::{Address, AddressKind, NotAnAddress, parse_address};
pub use bond::{BONDS, BondRecord, BondStore, NotABond, RamBonds};
pub use gatt::{CHARACTERISTIC, SERVICE};
pub use link_layer::{HciController, Tuning};
pub use security::{Access, PairingError, Passkey, Security};
#[doc(hidden)]
pub use trouble_host;
