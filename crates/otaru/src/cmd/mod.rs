//! The commands, one module each: its arguments and what it does.

use crate::failure::Failure;
use crate::output::Output;

/// What `otaru` can do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {}

/// Runs one command to its end. On success each command has written its own `done` event.
pub fn run(command: Command, _output: &Output) -> Result<(), Failure> {
    match command {}
}
