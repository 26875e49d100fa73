//! The client's half of SMP as state machines without I/O: which answer belongs to which request, when to repeat,
//! how to keep an upload moving.
//!
//! ```text
//!   smp-client   links, timers, the upgrade          (std, async)
//!       │ frames and time in, packets and events out
//!   smp-session  Exchange (one request), Upload (a window of them)      ← this crate
//!       │
//!   smp          headers, CBOR, codes
//! ```
//!
//! [`Exchange`] carries one request to its answer. [`Upload`] carries an image: sized by the device's buffers, resumed
//! by the file's hash, steady under loss, duplication and reordering, and never turning in circles without progress.
//!
//! Both take time and bytes as arguments and answer with a drain, an iterator that says what to do: nothing here
//! sleeps, reads a clock or touches a socket, so the same code runs on a phone, a desk and a chip. While a drain lives,
//! the borrow checker allows no second input.
//!
//! ```
//! use otaru_smp_session::{Input, Millis, Output, Plan, Upload};
//!
//! let image = [0x5a; 100_000];
//! let plan = Plan { image: 0, len: 100_000, file_sha: [0; 32], image_hash: None, upgrade: false };
//! let mut upload: Upload = Upload::new(plan, 0);
//! let mut frame = [0; 1024];
//! let mut sent = 0;
//! for output in upload.handle(Millis(0), Input::Linked { frame: 1024, window: 3 }) {
//!     match output {
//!         Output::Transmit(packet) => {
//!             let data = &image[packet.data()];
//!             let len = packet.encode(data, &mut frame).unwrap();
//!             assert!(len <= 1024); // … and send frame[..len]
//!             sent += 1;
//!         }
//!         Output::Event(event) => println!("{event:?}"),
//!         Output::Deadline(at) => assert_eq!(at, Millis(2_500)),
//!         _ => {}
//!     }
//! }
//! assert_eq!(sent, 1); // the first packet goes alone
//! ```
//!
//! What it is not: it knows no links and no images. The caller gives the file's facts ([`Plan`]) and the bytes asked for.
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

mod event;
mod exchange;
mod flights;
mod packet;
mod rtt;
mod time;
mod upload;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

pub use event::{Event, Input, Proof, Refusal, Stall, Stats, UploadError};
pub use exchange::{Exchange, ExchangeDrain, ExchangeOutput, Patience};
pub use packet::{Packet, Plan};
pub use time::Millis;
pub use upload::{Drain, MAX_WINDOW, Output, Upload};
