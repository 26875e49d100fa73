//! `otaru upgrade`: from a signed file to the confirmed image on a device.

pub(crate) mod file;
pub(crate) mod telling;

use crate::cmd::to::To;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use embassy_time::Duration;
use file::ImageFile;
use otaru_smp_client::{Conflict, Mode, Options, Outcome, UpgradeError};
use serde_json::json;
use std::path::PathBuf;
use telling::Telling;

/// Brings a signed image onto a device and proves that it runs: list, upload, test, reset, wait until the device is
/// seen again, verify the running hash, confirm. Safe to repeat after any interruption.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  otaru upgrade app.signed.bin --to udp:192.0.2.7
  otaru upgrade dfu_application.zip --to serial:/dev/ttyACM0
  otaru upgrade app.signed.bin --to h4:127.0.0.1:9000/lock --passkey -")]
pub(crate) struct Upgrade {
    /// The image: signed .bin or .hex, or dfu_application.zip.
    file: PathBuf,
    #[command(flatten)]
    to: To,
    /// How far to go.
    #[arg(long, value_enum, default_value_t)]
    mode: ModeArg,
    /// Let the device refuse an image that is not newer than what runs.
    #[arg(long)]
    only_newer: bool,
    /// Image number on the device.
    #[arg(long, value_name = "N", default_value_t = 0)]
    image: u32,
    /// Seconds that the device may take to come back after a reset.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    restart: u32,
}

/// The modes as they are written on the command line.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum ModeArg {
    /// Test, and confirm once the new image is seen running.
    #[default]
    TestAndConfirm,
    /// Mark as permanent before the reset: the bootloader does not go back by itself.
    Confirm,
    /// Leave it on trial: the next reset reverts, unless the image is confirmed before.
    Test,
    /// Upload only.
    Upload,
}

/// Runs `otaru upgrade`.
pub(crate) fn run(upgrade: &Upgrade, output: &Output) -> Result<(), Failure> {
    let file = ImageFile::read(&upgrade.file, upgrade.image, output)?;
    let firmware = file.firmware();
    let options = Options {
        mode: upgrade.mode.into(),
        only_newer: upgrade.only_newer,
        restart: Duration::from_secs(upgrade.restart.into()),
        ..Options::default()
    };
    let outcome = upgrade.to.with(output, async |client| {
        let mut telling = Telling::new(output);
        let mut tell = |event| telling.upgrade(&event);
        otaru_smp_client::upgrade(client, &firmware, &options, &mut tell).await.map_err(Failure::from)
    })?;
    done(&outcome, firmware.version, output)
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::TestAndConfirm => Self::TestAndConfirm,
            ModeArg::Confirm => Self::Confirm,
            ModeArg::Test => Self::Test,
            ModeArg::Upload => Self::Upload,
        }
    }
}

/// Says how it ended; a revert is a failure.
fn done(outcome: &Outcome, version: &str, output: &Output) -> Result<(), Failure> {
    let (word, sentence) = match outcome {
        Outcome::Confirmed { already: true } => {
            ("already-confirmed", format!("version {version} runs and is confirmed already: nothing to do"))
        }
        Outcome::Confirmed { already: false } => ("confirmed", format!("version {version} runs and is confirmed")),
        Outcome::OnTrial => {
            ("on-trial", format!("version {version} runs on trial: the next reset reverts unless it is confirmed"))
        }
        Outcome::Uploaded => ("uploaded", format!("version {version} is on the device")),
        Outcome::Reverted { running, ran } => return Err(reverted(version, running, *ran)),
        other => {
            let message = format!("the upgrade ended in a way this command does not know: {other:?}");
            return Err(Failure::new(Exit::Defect, "upgrade.defect", message, ""));
        }
    };
    output.note(sentence);
    output.timed("done", json!({ "outcome": word, "version": version }));
    Ok(())
}

fn reverted(version: &str, running: &str, ran: bool) -> Failure {
    let why = if ran {
        "it ran, and the device restarted before it was confirmed: its self-test failed, or it crashed"
    } else {
        "its bootloader refused the image (is it signed with the device's key?), or its self-test failed at once"
    };
    Failure::new(
        Exit::Otherwise,
        "upgrade.reverted",
        format!("the device runs version {running} again, not {version}: {why}"),
        "read the device's boot report, and check the image with `otaru verify` and the device's key",
    )
}

impl From<UpgradeError> for Failure {
    fn from(error: UpgradeError) -> Self {
        let (exit, code) = match &error {
            UpgradeError::Client(error) => return error.clone().into(),
            UpgradeError::NotSeen { .. } => (Exit::TimedOut, "device.not-seen"),
            UpgradeError::Conflict(Conflict::NotRestarted { .. }) => (Exit::TimedOut, "device.not-restarted"),
            UpgradeError::Conflict(Conflict::NotListed { .. }) => (Exit::Verification, "upgrade.not-listed"),
            UpgradeError::Conflict(Conflict::OtherOnTrial { .. }) => (Exit::Refused, "upgrade.on-trial"),
            UpgradeError::Conflict(Conflict::OtherPending { .. }) => (Exit::Refused, "upgrade.pending"),
            UpgradeError::Conflict(Conflict::PendingForGood { .. }) => (Exit::Refused, "upgrade.pending-for-good"),
            UpgradeError::Conflict(Conflict::NotMarked { .. }) => (Exit::Refused, "upgrade.not-marked"),
            UpgradeError::Conflict(Conflict::NotConfirmed { .. }) => (Exit::Refused, "upgrade.not-confirmed"),
            UpgradeError::Conflict(Conflict::NothingRuns { .. }) => (Exit::Refused, "upgrade.nothing-runs"),
            _ => (Exit::Defect, "upgrade.defect"),
        };
        Self::new(exit, code, error.to_string(), error.next_step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revert_then_it_is_a_failure_that_says_what_runs() {
        let said = |ran| {
            let outcome = Outcome::Reverted { running: "1.0.0".into(), ran };
            let failure = done(&outcome, "2.0.0", &Output::new(true)).unwrap_err();
            assert_eq!(failure.exit, Exit::Otherwise);
            format!("{failure}")
        };
        insta::assert_snapshot!(said(true), @r"
        error: the device runs version 1.0.0 again, not 2.0.0: it ran, and the device restarted before it was confirmed: its self-test failed, or it crashed
         next: read the device's boot report, and check the image with `otaru verify` and the device's key
         code: upgrade.reverted (exit status 1)
        ");
        insta::assert_snapshot!(said(false), @r"
        error: the device runs version 1.0.0 again, not 2.0.0: its bootloader refused the image (is it signed with the device's key?), or its self-test failed at once
         next: read the device's boot report, and check the image with `otaru verify` and the device's key
         code: upgrade.reverted (exit status 1)
        ");
    }
}
