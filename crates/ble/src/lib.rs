//! The SMP GATT service, its client's side, pairing and bonds over trouble-host, for any HCI controller.
//!
//! ```text
//!   device-app                                     smp-client
//!       │ FrameHandler, BondStore, Event               │ Frames, PasskeySource, BondStore, Event
//!   peripheral::run                                central::run
//!       │                                              │
//!   trouble-host (GATT, security manager, L2CAP)   trouble-host
//!       │                                              │
//!     guard ── what trouble-host cannot digest ──    guard
//!       │                                              │
//!   HCI controller ~~~~~~~~~~~~~~~ air ~~~~~~~~~~~ HCI controller
//! ```
//!
//! A frame is one SMP message. Requests are writes without response, answers are notifications, both cut to what the
//! ATT_MTU holds and put together by the length in the SMP header. Access is by passkey over LE Secure Connections unless
//! configured otherwise; legacy pairing is not built in.
//!
//! ```
//! # use bt_hci::controller::ExternalController;
//! # use embassy_futures::select::{Either3, select, select3};
//! # use otaru_ble::pool::{CentralHeapPool, PeripheralHeapPool};
//! # use otaru_radio_sim::{Air, AirConfig, ControllerConfig};
//! # use otaru_sim_rt::{ClockMode, run};
//! # use std::cell::Cell;
//! use otaru_ble::{Address, RamBonds, central, peripheral};
//!
//! /// A device that answers each request with the request.
//! struct Echo;
//! impl peripheral::FrameHandler for Echo {
//!     async fn handle(&self, _link: &peripheral::Link, request: &[u8], answer: &mut [u8]) -> Option<usize> {
//!         answer[..request.len()].copy_from_slice(request);
//!         Some(request.len())
//!     }
//! }
//!
//! # let air = Air::new(AirConfig::default());
//! # let attach = || ExternalController::<_, 10>::new(air.attach(ControllerConfig::default()));
//! # let (radio, other_radio) = (attach(), attach());
//! let display = Cell::new(None);
//! let on_device = |event| {
//!     println!("device: {event}");
//!     if let peripheral::Event::Passkey { passkey, .. } = event {
//!         display.set(Some(passkey));
//!     }
//! };
//! let config = peripheral::Config::new("lock")?;
//! let mut memory = Box::new(peripheral::Resources::<PeripheralHeapPool, 512, 3>::new());
//! let bonds = RamBonds::new();
//! let device = peripheral::run(&radio, &mut memory, &config, &Echo, &bonds, &on_device);
//!
//! /// Somebody who reads the display.
//! struct User<'a>(&'a Cell<Option<otaru_ble::Passkey>>);
//! impl central::PasskeySource for User<'_> {
//!     async fn passkey(&mut self, _device: &Address) -> Option<otaru_ble::Passkey> {
//!         self.0.get()
//!     }
//! }
//!
//! let own = Address::random_static([0xce, 0, 0, 0, 0, 1]);
//! let config = central::Config::new(central::Target::Name("lock"), own);
//! let mut memory = Box::new(central::Resources::<CentralHeapPool, 512>::new());
//! let (bonds, frames, mut user) = (RamBonds::new(), central::Frames::new(), User(&display));
//! let on_client = |event| println!("client: {event}");
//! let session = central::run(&other_radio, &mut memory, &config, &bonds, &mut user, &frames, &on_client);
//!
//! let work = async {
//!     # embassy_time::Timer::after_micros(1).await;
//!     let request = [0x0a, 0, 0, 1, 0, 0, 7, 0, 0xa0];
//!     frames.send(&request).await.unwrap();
//!     let mut answer = [0; 512];
//!     let length = frames.receive(&mut answer).await;
//!     assert_eq!(answer[..length], request);
//!     frames.close();
//!     core::future::pending::<()>().await
//! };
//! # let result = run(ClockMode::Virtual, async {
//! #     match select3(air.drive(), device, select(session, work)).await {
//! #         Either3::Third(embassy_futures::select::Either::First(result)) => result,
//! #         _ => unreachable!(),
//! #     }
//! # });
//! # assert_eq!(result, Ok(()));
//! # Ok::<(), peripheral::ConfigError>(())
//! ```
//!
//! # Sizes
//!
//! Two things bound what may arrive in one burst before a GATT loop runs again: packets ([`pool`], a type parameter) and
//! trouble-host's queue per link (the feature `l2cap-rx-queue-size-64`, or `TROUBLE_HOST_L2CAP_RX_QUEUE_SIZE` when
//! building). A window of `FRAMES` frames of `FRAME` bytes is `FRAMES · ⌈FRAME / (ATT_MTU − 3)⌉` packets: 20 for 4 frames of
//! 2475 in ATT_MTU 498, 56 in 185. Beyond either bound trouble-host drops packets without a word to the peer;
//! [`peripheral::Event::PacketsDropped`] tells. The handler may take any time: what waits for it is whole frames in buffers
//! of their own, and a request for which there is none is answered `rc` 2.
//!
//! Futures of both roles are large (12 and 34 KB): pin them in a static or a box. Unoptimised builds take about 1 MB of
//! stack for a client.
//!
//! # What stops here
//!
//! Of trouble-host 0.8.0 and bt-hci 0.10.1:
//!
//! | trap | what is done |
//! |---|---|
//! | a malformed ATT request panics the host, before any pairing | such PDUs do not reach it |
//! | a refused Write Command is answered with an Error Response | not from our device, and not to our client |
//! | each link gets all of the controller's buffers as credits | the guard counts for all links together |
//! | before the controller is set up, waiting for it burns a core | nothing waits that way |
//! | a second command with an opcode under way may be forgotten | commands go one by one |
//! | wakers that differ from their clones make a task wake itself for ever | one clone for everything |
//! | any peer can pair without a passkey and take a bond's place | the bonds in force are kept apart and restored |
//! | pairing may be tried as often as one likes | failed pairings make the next one wait, 1 s to 10 min |
//! | a pairing that times out, and a disconnection with a full event queue, are not told | both are looked for |
//! | out-of-band data claimed by a peer blocks pairing for all for 30 s | its link is closed |
//! | the attribute macro and the default pool exist once per process | a table by hand, a pool type per role |
//! | a fixed passkey is told to an attacker bit by bit | random unless configured, and then said loudly |
//!
//! What is left: one pairing at a time in the whole device, so that a peer that begins one and stalls keeps others from
//! pairing for 30 s; one transmit queue for all links, so that a peer out of range holds up others' answers until its
//! supervision timeout, 4 s where this crate chooses it; and LE_Rand of the controller is what keys are made from.
//!
//! # What it is not
//!
//! It knows no SMP command and no policy: it moves frames, and says who sent them over what kind of link. It prints
//! nothing, keeps nothing on flash, and drives no adapter of an operating system.
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
