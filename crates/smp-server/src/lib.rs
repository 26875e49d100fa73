//! An SMP server core: bytes in, at most one answer out.
//!
//! ```text
//!   UDP, serial, BLE                 whoever moves bytes, and knows the link
//!        │ request, Link      ▲ answer
//!        ▼                    │
//!   Server::handle_next ── Policy::decide for every request
//!        │
//!        ├─ OsGroup         echo, tasks, clock, reset, params, info, bootloader    ◀── the application
//!        └─ ImageGroup ◀── Images: the rules of state, upload and erase
//!                              └─ ImageStore: slots, flash, verification           ◀── the application
//! ```
//!
//! The application says what it can by implementing traits, of which every method answers 'not supported' until it is
//! written. The server never parses an image and never reads a clock. It answers as Zephyr's MCUmgr server does; where
//! that is a defect it does not, and `DIFFERENCES.md` names each case.
//!
//! ```
//! use otaru_policy::{Access, Link, Policy, Transport};
//! use otaru_smp_server::{ImageGroup, OsGroup, Server};
//!
//! struct Nothing;
//! impl OsGroup for Nothing {}
//! impl ImageGroup for Nothing {}
//!
//! # fn ready<T>(future: impl Future<Output = T>) -> T {
//! #     let mut future = std::pin::pin!(future);
//! #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! #     match future.as_mut().poll(&mut context) {
//! #         std::task::Poll::Ready(value) => value,
//! #         std::task::Poll::Pending => unreachable!(),
//! #     }
//! # }
//! let mut server = Server::new(Policy::deny_all().with(Transport::Udp, Access::open()), Nothing, Nothing);
//! let mut answer = [0; 128];
//! let echo = b"\x0a\x00\x00\x09\x00\x00\x07\x00\xa1\x61d\x65hello";
//! let n = ready(server.handle(&Link::udp(), echo, &mut answer)).unwrap();
//! assert_eq!(answer[..n], *b"\x0b\x00\x00\x09\x00\x00\x07\x00\xa1\x61r\x65hello");
//! ```
//!
//! What it is not: a transport. Whoever calls it cuts frames into messages ([`Server::handle_next`] walks those of a
//! datagram), sends the answer, and only then does what [`Server::take_reset`] says.
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

mod failure;
#[cfg(test)]
mod fake;
mod gate;
mod image;
mod os;
mod server;

pub use failure::Failure;
pub use gate::Gate;
pub use image::{Candidate, ImageGroup, ImageStore, Images, SlotImage, SwapType};
pub use os::{Bootloader, Info, OsGroup};
pub use server::{MIN_ANSWER_SIZE, Server};

#[cfg(test)]
mod replay;
