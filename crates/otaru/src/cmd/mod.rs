//! The commands, one module each: its arguments and what it does.

mod demo;
mod device;
mod host;
mod image;
mod inspect;
mod key;
mod new;
mod os;
mod payload;
mod sign;
mod to;
mod upgrade;
mod verify;

use crate::failure::Failure;
use crate::output::Output;

/// What `otaru` can do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    New(new::New),
    Key(key::Key),
    Sign(sign::Sign),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Image(image::Image),
    Os(os::Os),
    Upgrade(upgrade::Upgrade),
    Device(device::DeviceArgs),
    Payload(payload::Payload),
    Demo(demo::Demo),
}

/// Runs one command to its end. On success each command has written its own `done` event.
pub(crate) fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::New(new) => new::run(&new, output),
        Command::Key(key) => key::run(&key, output),
        Command::Sign(sign) => sign::run(&sign, output),
        Command::Inspect(inspect) => inspect::run(&inspect, output),
        Command::Verify(verify) => verify::run(&verify, output),
        Command::Image(image) => image::run(&image, output),
        Command::Os(os) => os::run(&os, output),
        Command::Upgrade(upgrade) => upgrade::run(&upgrade, output),
        Command::Device(device) => device::run(&device, output),
        Command::Payload(payload) => payload::run(&payload, output),
        Command::Demo(demo) => demo.run(output),
    }
}
