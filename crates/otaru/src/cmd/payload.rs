//! `otaru payload`: firmware for the virtual device.

use super::host::{number, shown};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use otaru_ble::Access;
use otaru_device_sim::payload::{Record, SelfTest};
use otaru_sign::file::{Access as FileAccess, Existing, write};
use serde_json::json;
use std::path::PathBuf;

/// Make firmware for the virtual device: what runs there does what this says.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  otaru payload app.raw --name \"lock 2\"\n  otaru payload bad.raw --name \"lock 3\" --self-test fail\n  \
    otaru sign app.raw app.bin --version 2.0.0 --pad-header"
)]
pub(crate) struct Payload {
    /// The firmware; replaced if it is there.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What it calls itself: up to 32 bytes.
    #[arg(long, value_name = "N", default_value = "")]
    name: String,
    /// What its self-test does when it runs on trial.
    #[arg(long, value_enum, default_value_t = Test::Pass)]
    self_test: Test,
    /// What it asks of Bluetooth links before they may do anything.
    #[arg(long, value_enum, default_value_t = Level::Authenticated)]
    access: Level,
    /// Confirm itself once its self-test has passed.
    #[arg(long)]
    confirm_self: bool,
    /// Its size in bytes; the rest is filled with a fixed pattern.
    #[arg(long, value_name = "BYTES", default_value = "16384", value_parser = number)]
    size: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Test {
    /// Ends well.
    Pass,
    /// Finds a fault: the application restarts itself unconfirmed, and the old image comes back.
    Fail,
    /// Never ends: the watchdog restarts the device.
    Hang,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// Nothing.
    Open,
    /// Any pairing.
    Encrypted,
    /// A pairing by passkey.
    Authenticated,
}

/// Runs `otaru payload`.
pub(crate) fn run(payload: &Payload, output: &Output) -> Result<(), Failure> {
    let usage = |message: String, next: &str| Failure::new(Exit::Usage, "usage", message, next);
    let record = Record::named(&payload.name).map_err(|error| usage(error.to_string(), "give it a shorter --name"))?;
    let record = Record {
        self_test: match payload.self_test {
            Test::Pass => SelfTest::Pass,
            Test::Fail => SelfTest::Fail,
            Test::Hang => SelfTest::Hang,
        },
        access: match payload.access {
            Level::Open => Access::Open,
            Level::Encrypted => Access::Encrypted,
            Level::Authenticated => Access::Authenticated,
        },
        confirms_itself: payload.confirm_self,
        ..record
    };
    let size = usize::try_from(payload.size).unwrap_or(usize::MAX);
    if size < Record::LEN || payload.size > LARGEST {
        let message = format!("--size {size} is not within {} to {LARGEST}", Record::LEN);
        return Err(usage(message, "leave --size away for 16 KiB"));
    }
    write(&payload.output, &record.payload(size), FileAccess::Default, Existing::Replace)?;
    let file = shown(&payload.output);
    output.note(format!("wrote {file}: {size} bytes"));
    output.note(format!("Sign it: otaru sign {file} app.bin --version 1.0.0 --pad-header"));
    output.event("done", json!({ "file": file, "size": size }));
    Ok(())
}

/// More than any layout takes.
const LARGEST: u32 = 16 << 20;
