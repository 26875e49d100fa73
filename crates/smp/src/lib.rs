//! SMP (MCUmgr) headers, commands, CBOR bodies, error codes and framings.
//!
//! The wire, and nothing else: bytes become borrowed values and values become bytes.
//!
//! ```text
//!   smp-server, smp-session        who asks, who answers, when
//!   ────────────────────────────────────────────────────────────────
//!   os, image                      one struct per request and response   ┐
//!   Rc, OsError, ImageError        codes and what they mean to people    │ this crate
//!   Header, Message, messages      8 bytes and the body they announce    │
//!   Reassembler, Console…          fragments and lines                   ┘
//!   ────────────────────────────────────────────────────────────────
//!   BLE, UDP, serial               whoever moves bytes
//! ```
//!
//! Client and server share the messages: each is read and written by the same type.
//!
//! ```
//! use otaru_smp::{Message, Request, Version, os, read_answer};
//!
//! let mut frame = [0; 64];
//! let n = os::EchoRequest { text: "hello" }.message(Version::V2, 7, &mut frame)?;
//! assert_eq!(frame[..n], *b"\x0a\x01\x00\x09\x00\x00\x07\x00\xa1\x61d\x65hello");
//!
//! let answer = b"\x0b\x00\x00\x0a\x00\x00\x07\x00\xbf\x61r\x65hello\xff";
//! let (answer, _) = Message::split(answer).unwrap();
//! let echo: os::EchoResponse<'_> = read_answer(answer.body).unwrap();
//! assert_eq!(echo.text, "hello");
//! # Ok::<(), otaru_smp::EncodeError>(())
//! ```
//!
//! What it is not: it has no state beyond a half-received frame, never retries, reads no clock, allocates nothing, and
//! knows nothing of images beyond the numbers that travel about them.
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

mod body;
mod cbor;
mod code;
mod console;
mod datetime;
mod header;
pub mod image;
pub mod os;
mod reassembly;
mod text;

pub use body::{AnswerError, Body, Failure, Request, read_answer, write_message};
pub use cbor::{DecodeError, EncodeError, Expected, List, ListIter};
pub use code::{Code, Explanation, GroupError, ImageError, OsError, Rc};
pub use console::{CONSOLE_OVERHEAD, ConsoleDecoder, ConsoleEncoder, LINE_SIZE, LineCounts, LineError};
pub use datetime::{DateTime, DateTimeError};
pub use header::{Group, HEADER_SIZE, Header, Message, MessageError, Messages, Op, Version, command, messages};
pub use reassembly::{Reassembler, ReassemblyError};
pub use text::Text;

#[cfg(test)]
mod tests;
