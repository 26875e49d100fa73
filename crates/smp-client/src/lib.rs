//! The client: links to devices, requests over them, and the upgrade that ends in a confirmed image.
//!
//! ```text
//!   otaru              commands, progress bars
//!       │ upgrade(), Client::…, Event
//!   smp-client         upgrade (what next?) ─ Client (one request) ─ upload (a window of them)     ← this crate
//!       │                    └── Link: UDP · serial console · memory · Bluetooth LE (otaru-ble)
//!   smp-session        the engines: time and frames in, packets and events out
//! ```
//!
//! Asynchronous without a runtime: timers are embassy-time's, threads that wait on the operating system wake the task.
//! Whoever links a time driver decides whether time is real or virtual, so the same upgrade runs against a board and,
//! in milliseconds, in a test.
//!
//! ```
//! use otaru_smp_client::link::memory::{Quality, pair};
//! use otaru_smp_client::Client;
//! # use otaru_smp::{Body, Header, Message, os, write_message};
//!
//! let (link, device) = pair(1024, Quality::IDEAL);
//! # let answers = async {
//! #     loop {
//! #         let frame = device.receive().await;
//! #         let (message, _) = Message::split(&frame).unwrap();
//! #         let mut out = [0; 64];
//! #         let n = write_message(message.header.answer(0), &mut out, |body| match message.header.command {
//! #             6 => os::ParamsResponse { buf_size: 1024, buf_count: 4 }.encode(body),
//! #             _ => os::EchoResponse { text: "hello" }.encode(body),
//! #         });
//! #         device.send(&out[..n.unwrap()]);
//! #     }
//! # };
//! let client = async {
//!     let mut client = Client::new(link);
//!     client.connect().await?;
//!     client.echo("hello").await
//! };
//! # let client = async { match embassy_futures::select::select(client, answers).await {
//! #     embassy_futures::select::Either::First(result) => result,
//! #     embassy_futures::select::Either::Second(never) => never,
//! # } };
//! let answer = otaru_sim_rt::run(otaru_sim_rt::ClockMode::Virtual, client);
//! assert_eq!(answer.unwrap(), "hello");
//! ```
//!
//! What it is not: it prints nothing, opens no files, parses no images (the caller gives a file's facts as
//! [`Firmware`]), and has no runtime of its own.

mod client;
pub mod h4;
pub mod link;
mod state;
mod upgrade;
mod upload;

pub use client::{Client, ClientError};
pub use link::{Link, LinkError, Transport};
pub use otaru_smp_session::{Proof, Refusal, Stall, Stats, UploadError};
pub use state::{Bootloader, ImageSlots, Params, SlotState, Task};
pub use upgrade::{Conflict, Event, Firmware, Mode, Options, Outcome, UpgradeError, upgrade};
pub use upload::{Progress, UploadEvent, Uploaded};

#[cfg(test)]
mod tests;
