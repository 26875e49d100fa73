//! What a virtual device tells of itself.

use crate::payload::RecordError;
use otaru_boot::{Rejection, Report};
use otaru_device_app::Event as AppEvent;
use otaru_image::Version;
use std::fmt;
use std::time::Duration;

/// Something happened. `Display` says it in a line; the boot report takes several.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The bootloader is done.
    Boot {
        /// What it found and decided.
        report: Report,
        /// How long the flash was busy with it.
        busy: Duration,
    },
    /// Nothing in the primary slot may run: the device stays in its bootloader, which serves nothing.
    NoImage {
        /// What is wrong with the image there.
        rejection: Rejection,
    },
    /// Flash failed in the bootloader, for another reason than power.
    FlashFailed {
        /// What it said.
        error: String,
    },
    /// The image's payload has a broken record: it is run as one without.
    BadRecord(RecordError),
    /// An application runs.
    Running {
        /// Its name; empty for a payload without a record.
        name: String,
        /// Its version.
        version: Version,
        /// Whether it is on trial.
        on_trial: bool,
    },
    /// The self-test of an image on trial came to its end.
    SelfTest {
        /// How.
        passed: bool,
    },
    /// The application takes requests from here on.
    Serving,
    /// The application stopped doing anything, and the watchdog bit.
    Watchdog,
    /// The application did something.
    App(AppEvent),
    /// Something happened on Bluetooth.
    Ble(otaru_ble::peripheral::Event),
    /// The radio's controller failed; it is tried again.
    RadioFailed {
        /// What it said.
        error: String,
    },
    /// Power was cut.
    PowerLost,
    /// Power is back.
    PowerOn,
    /// The device restarts.
    Reset,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot { report, busy } if busy.is_zero() => write!(f, "{report}"),
            Self::Boot { report, busy } => write!(f, "{report} (flash was busy for {} ms)", busy.as_millis()),
            Self::NoImage { rejection } => {
                write!(f, "no image to run in the primary slot: {rejection}; staying in the bootloader")
            }
            Self::FlashFailed { error } => write!(f, "the bootloader stopped: {error}"),
            Self::BadRecord(error) => write!(f, "{error}: running it as a payload without a record"),
            Self::Running { name, version, on_trial } => {
                let name = if name.is_empty() { "an application without a record" } else { name };
                write!(f, "running {name} {version}{}", if *on_trial { ", on trial" } else { "" })
            }
            Self::SelfTest { passed: true } => f.write_str("self-test passed"),
            Self::SelfTest { passed: false } => f.write_str("self-test failed: restarting unconfirmed"),
            Self::Serving => f.write_str("taking requests"),
            Self::Watchdog => f.write_str("the application hangs: the watchdog resets the device"),
            Self::App(event) => app(event, f),
            Self::Ble(event) => event.fmt(f),
            Self::RadioFailed { error } => write!(f, "Bluetooth stopped: {error}; it starts again in a second"),
            Self::PowerLost => f.write_str("power lost"),
            Self::PowerOn => f.write_str("power on"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

fn app(event: &AppEvent, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match event {
        AppEvent::UploadBegan { version, len } => write!(f, "upload of {version} began, {len} bytes"),
        AppEvent::Pending { permanent: false } => {
            f.write_str("the secondary image is verified, and boots next on trial")
        }
        AppEvent::Pending { permanent: true } => {
            f.write_str("the secondary image is verified, and boots next for good")
        }
        AppEvent::Rejected(rejection) => write!(f, "refused to boot the secondary image: {rejection}"),
        AppEvent::Confirmed => f.write_str("the running image is confirmed"),
        AppEvent::Erased => f.write_str("the secondary slot is erased"),
        AppEvent::Restarting => f.write_str("a restart was asked for"),
        _ => write!(f, "{event:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_said_in_a_line_each() {
        let version = Version::new(1, 2, 3, 4);
        let running = |name: &str, on_trial| Event::Running { name: name.into(), version, on_trial };
        let events = [
            Event::NoImage { rejection: Rejection::NoSignature },
            Event::FlashFailed { error: "reading flash at 0:0x00000000 failed: File".into() },
            Event::BadRecord(RecordError::Truncated { found: 20 }),
            running("lock", false),
            running("", true),
            Event::SelfTest { passed: true },
            Event::SelfTest { passed: false },
            Event::Serving,
            Event::Watchdog,
            Event::App(AppEvent::UploadBegan { version, len: 20_000 }),
            Event::App(AppEvent::Pending { permanent: false }),
            Event::App(AppEvent::Pending { permanent: true }),
            Event::App(AppEvent::Rejected(Rejection::NoSignature)),
            Event::App(AppEvent::Confirmed),
            Event::App(AppEvent::Erased),
            Event::App(AppEvent::Restarting),
            Event::PowerLost,
            Event::PowerOn,
            Event::Reset,
        ];
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        insta::assert_snapshot!(lines, @r"
        no image to run in the primary slot: the image carries no signature that names its key; staying in the bootloader
        the bootloader stopped: reading flash at 0:0x00000000 failed: File
        payload record needs 48 bytes, the payload has 20: running it as a payload without a record
        running lock 1.2.3+4
        running an application without a record 1.2.3+4, on trial
        self-test passed
        self-test failed: restarting unconfirmed
        taking requests
        the application hangs: the watchdog resets the device
        upload of 1.2.3+4 began, 20000 bytes
        the secondary image is verified, and boots next on trial
        the secondary image is verified, and boots next for good
        refused to boot the secondary image: the image carries no signature that names its key
        the running image is confirmed
        the secondary slot is erased
        a restart was asked for
        power lost
        power on
        reset
        ");
    }
}
