//! Virtual Bluetooth LE controllers on a simulated air, with link-layer timing and encryption.
//!
//! Hosts (trouble-host, Bumble, BlueZ) speak HCI to a controller each; what they send takes its time on the air, gets
//! lost, is sent again, and is encrypted, as between radios:
//!
//! ```text
//!   host ── bt-hci ──▶ VirtualController ┐               ┌─ Medium (sans-IO) ──────────────────────────────┐
//!   host ── bt-hci ──▶ VirtualController ┼──▶ Air ──────▶│ commands ─▶ controllers                         │
//!   host ── TCP, H4 ─▶ H4Server ─────────┘   drive()     │ advertising, scanning, connecting               │
//!                                           (the clock)  │ links: two ends each, that meet at anchors,     │
//!                                                        │   exchange PDUs T_IFS apart, and know only      │
//!                                                        │   what they received                            │
//!                                                        └─────────────────────────────────────────────────┘
//! ```
//!
//! [`Medium`] is a state machine in microseconds: the same seed and the same packets give the same air. [`Air`] joins it
//! to [`embassy_time`], so it runs in virtual time in tests and in real time for hosts outside of the process.
//!
//! ```
//! use otaru_radio_sim::{Air, AirConfig, ControllerConfig};
//! use otaru_sim_rt::{ClockMode, run};
//! use std::future::poll_fn;
//!
//! let air = Air::new(AirConfig::default());
//! let controller = air.attach(ControllerConfig::default());
//! let host = async {
//!     // HCI_Reset, and its Command Complete.
//!     controller.write_packet(&[0x01, 0x03, 0x0c, 0x00]).unwrap();
//!     poll_fn(|cx| controller.poll_packet(cx)).await
//! };
//! assert_eq!(run(ClockMode::Virtual, host), [0x04, 0x0e, 0x04, 0x01, 0x03, 0x0c, 0x00]);
//! ```
//!
//! # What it is
//! Legacy advertising and scanning on three channels with windows; the filter accept list; resolving the private addresses
//! of peers; connecting and its cancellation; connection events with T_IFS, sequence numbers, MD and retransmission; ACL fragmentation; LE 1M and 2M;
//! the procedures for data length, PHY, connection parameters, features and version as PDUs on the air; encryption with
//! the session keys and AES-CCM of the specification, its pause and refresh; supervision; disconnection; several links
//! per controller, which share its radio.
//!
//! # What it is not
//! There is no distance, fading or collision: [`AirConfig::loss`] is a probability, a lost packet counts as not heard at
//! all and so ends its connection event, and advertising does not compete with links for the radio. There is no frequency
//! hopping, clock drift, sleeping peripheral (latency), directed or extended advertising, coded PHY, private address of a
//! controller's own, isochronous channel or BR/EDR. A central knows how much its peripheral is about to send when it
//! decides whether one more exchange fits. What a host asks for beyond this is refused with HCI's own errors.

mod air;
mod command;
mod connection_event;
mod controller;
mod crypt;
mod discovery;
mod h4;
mod hci;
mod link;
mod medium;
mod observe;
mod phy;
mod random;

pub use air::{Air, HciError, VirtualController};
pub use h4::H4Server;
pub use medium::{AirConfig, ControllerConfig, ControllerId, Entropy, Medium, NotAPacket};
pub use observe::{Channel, Sniffed, Stats};
pub use phy::{MIC, Phy, T_IFS, link_limit};
