//! The bootloader of a virtual device, in either kind of time.

use crate::device::{Config, Pace};
use crate::flash::{SharedFlash, lock};
use crate::mailbox::mailbox;
use embassy_time::Timer;
use otaru_boot::{BootError, Options, Report, VerifiedImage, boot};
use otaru_crypto::{KeySet, PublicKey};
use otaru_nor_sim::{NorError, NorFlash};
use std::thread;
use std::time::Duration;

/// How a boot ended.
#[derive(Debug)]
pub(crate) struct Booted {
    pub(crate) report: Report,
    /// How long flash was busy.
    pub(crate) busy: Duration,
    pub(crate) result: Result<VerifiedImage, BootError<NorError>>,
}

/// Boots, and lets the time pass that it takes.
///
/// # Interruption
/// A power cut planned in the flash ends it there. Dropping the future is none: on a thread of its own the boot goes
/// on, and the next one waits for it.
pub(crate) async fn run(flash: &SharedFlash, config: &Config) -> Booted {
    match config.pace {
        Pace::Afterwards => {
            let booted = once(&mut lock(flash), config);
            if !booted.busy.is_zero() {
                Timer::after(booted.busy.try_into().unwrap_or(embassy_time::Duration::MAX)).await;
            }
            booted
        }
        Pace::Live => {
            let (done, result) = mailbox(1);
            let (flash, config) = (SharedFlash::clone(flash), config.clone());
            thread::spawn(move || {
                let mut flash = lock(&flash);
                flash.set_pace(thread::sleep);
                let booted = once(&mut flash, &config);
                flash.set_pace(|_| {});
                done.send(booted);
            });
            result.receive().await
        }
    }
}

/// What loader and application check images by.
pub(crate) fn options() -> Options {
    Options::default()
}

fn once(flash: &mut NorFlash, config: &Config) -> Booted {
    // Each was checked when the device was made.
    let keys: Vec<_> = config.keys.iter().filter_map(|der| PublicKey::from_der(der).ok()).collect();
    let before = flash.busy();
    let mut report = Report::default();
    let result = boot(flash, &config.layout, &KeySet::new(&keys), &options(), &mut report);
    Booted { report, busy: flash.busy() - before, result }
}
