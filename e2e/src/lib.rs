//! Whole-road scenarios: the real `otaru` command in real processes, alone and against published tools.
//!
//! This library is the harness: where the command is, which published tools there are, and a virtual device as a child
//! process. The scenarios are in `tests/`.

mod device;
mod tools;

pub use device::{DeviceProcess, event};
pub use tools::{Tool, otaru, otaru_bin, run, run_ok};
