//! Whole-road scenarios: the real `otaru` command in real processes, alone and against published tools.
//!
//! This library is the harness: where the command is, which published tools there are, and our commands as child
//! processes. The scenarios are in `tests/`.

pub mod bench;
mod device;
pub mod kill;
mod process;
mod tools;

pub use device::{DeviceProcess, event};
pub use process::JsonProcess;
pub use tools::{Tool, otaru, otaru_bin, run, run_ok};
