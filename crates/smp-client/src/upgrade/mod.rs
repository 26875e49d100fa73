//! From a signed file to the confirmed image: list, upload, mark, reset, wait until the device is seen, verify, confirm.

mod decide;

use crate::client::{Client, ClientError};
use crate::link::{Link, LinkError};
use crate::upload::{UploadEvent, Uploaded};
use crate::{Params, SlotState};
use decide::{History, Step, decide};
use embassy_time::{Duration, Instant, Timer};
use otaru_smp::{Code, Group, ImageError};

/// The facts of a signed image file. Whoever makes this has checked the file: header, TLV bounds, and that the hash TLV
/// is what the image hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// SHA-256 of the whole file.
    pub file_sha: [u8; 32],
    /// The image hash: what its SHA-256 TLV holds, and what devices list.
    pub hash: [u8; 32],
    /// Its version, for people.
    pub version: &'a str,
    /// Image number on the device.
    pub image: u32,
}

/// How far an upgrade goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Test, and confirm once the new image is seen running.
    #[default]
    TestAndConfirm,
    /// Mark as permanent before the reset: no way back by itself.
    Confirm,
    /// Leave it on trial: the next reset reverts unless somebody confirms.
    Test,
    /// Upload only.
    Upload,
}

/// How an upgrade is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How far it goes.
    pub mode: Mode,
    /// Let the device refuse what is not newer than what runs.
    pub only_newer: bool,
    /// How long a device may take to come back after a reset: a swap of large slots takes a minute.
    pub restart: Duration,
    /// How long a link that was lost otherwise may stay away.
    pub absence: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let (restart, absence) = (Duration::from_secs(180), Duration::from_secs(30));
        Self { mode: Mode::default(), only_newer: false, restart, absence }
    }
}

/// What an upgrade tells while it runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The device was reached.
    Connected {
        /// Its buffers, if it tells.
        params: Option<Params>,
    },
    /// What the device holds.
    Listed {
        /// Its slots.
        images: Vec<SlotState>,
    },
    /// Another image that waited in the slot was erased to make room.
    Erased {
        /// The slot.
        slot: u32,
    },
    /// The upload moves.
    Upload(UploadEvent),
    /// The device has the whole file.
    Uploaded(Uploaded),
    /// The device will swap the new image in at its next reset.
    Marked {
        /// Without a way back.
        permanent: bool,
    },
    /// The device refused to swap in what it lists under the new image's hash: it is uploaded, once.
    Refused {
        /// What it said.
        why: String,
    },
    /// The device was asked to restart.
    Reset {
        /// Whether it said that it will. A lost answer is no failure: what counts is how it comes back.
        answered: bool,
    },
    /// The device is not there yet, or has not restarted yet.
    Waiting {
        /// Milliseconds since the reset, or since it went away.
        ms: u64,
    },
    /// The device is there again.
    Seen {
        /// Milliseconds after the reset, or after it went away.
        ms: u64,
    },
    /// The new image runs.
    Running {
        /// Its version, as the device tells it.
        version: String,
        /// Whether it is confirmed.
        confirmed: bool,
    },
    /// The link broke; it is made anew.
    LinkLost {
        /// What was seen.
        why: String,
    },
    /// The device is busy (a self-test, say) and asked to try later.
    Busy,
}

/// How an upgrade ended, as the device lists it: nothing here is believed without having been listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The new image runs and is confirmed.
    Confirmed {
        /// It was so before.
        already: bool,
    },
    /// The new image runs and is on trial, as asked.
    OnTrial,
    /// The new image is on the device, as asked.
    Uploaded,
    /// The old image runs (again).
    Reverted {
        /// Version that runs.
        running: String,
        /// Whether the new image was seen running before.
        ran: bool,
    },
}

/// Why an upgrade cannot go on although the device answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// No slot of the image is active.
    #[error("the device lists no running image number {image}")]
    NothingRuns {
        /// Image number.
        image: u32,
    },
    /// Another image is on trial.
    #[error("the device has version {version} on trial, neither confirmed nor reverted")]
    OtherOnTrial {
        /// Version on trial.
        version: String,
    },
    /// Another image waits to be swapped in and cannot be erased.
    #[error("version {version} is pending on the device, which does not erase it")]
    OtherPending {
        /// Version that waits.
        version: String,
    },
    /// The image waits to run for good, a trial was asked for, and the request cannot be taken back.
    #[error("version {version} is pending for good on the device, which does not erase it: there would be no trial")]
    PendingForGood {
        /// Its version.
        version: String,
    },
    /// All bytes were taken, and the image is not listed.
    #[error("the device took the whole upload, but lists no such image number {image}")]
    NotListed {
        /// Image number.
        image: u32,
    },
    /// It said it would swap, and does not list the image as pending.
    #[error("the device was asked {attempts} times to test the image and does not list it as pending")]
    NotMarked {
        /// How often.
        attempts: u32,
    },
    /// It does not restart.
    #[error("the device was asked {resets} times to reset and has not restarted after {ms} ms")]
    NotRestarted {
        /// How often.
        resets: u32,
        /// Milliseconds since the first.
        ms: u64,
    },
    /// It said it would confirm, and does not list the image as confirmed.
    #[error("the device was asked {attempts} times to confirm the image and does not list it as confirmed")]
    NotConfirmed {
        /// How often.
        attempts: u32,
    },
}

/// Why an upgrade ended without an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The device is in another state than an upgrade can start from or end in.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The device went away and did not come back.
    #[error("the device was not seen again within {ms} ms: {last}")]
    NotSeen {
        /// Milliseconds waited.
        ms: u64,
        /// What the last attempt met.
        last: Box<ClientError>,
    },
}

impl Conflict {
    /// What its user can do.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::NothingRuns { .. } => "list the images and give the number of one that runs",
            Self::OtherOnTrial { .. } => {
                "keep it with `otaru image confirm`, or go back with `otaru os reset`, then run this command again"
            }
            Self::OtherPending { .. } => "reset the device so that the swap takes place, then run this command again",
            Self::PendingForGood { .. } => {
                "erase the slot by hand, or reset the device to run the image without a trial"
            }
            Self::NotListed { .. } => "check with `otaru inspect` that the file is an image signed for this device",
            Self::NotMarked { .. } | Self::NotConfirmed { .. } => "look at the device's own log for the reason",
            Self::NotRestarted { .. } => "restart the device by hand, then run this command again",
        }
    }
}

impl UpgradeError {
    /// What its user can do.
    pub fn next_step(&self) -> String {
        match self {
            Self::Client(error) => error.next_step(),
            Self::Conflict(conflict) => conflict.next_step().into(),
            Self::NotSeen { .. } => {
                "look at the device; once it answers again, run this command again: it goes on from where it was".into()
            }
        }
    }
}

/// Brings `firmware` onto the device and, as far as `options.mode` says, to run there confirmed.
///
/// Safe to repeat at any time, after any interruption: what is done already is not done again. Every wait is bounded.
///
/// # Errors
/// [`UpgradeError`], which says what the user can do next. A revert is an [`Outcome`].
pub async fn upgrade<L: Link>(
    client: &mut Client<L>,
    firmware: &Firmware<'_>,
    options: &Options,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, UpgradeError> {
    client.connect().await?;
    tell(Event::Connected { params: client.params() });
    let run = Run { client, firmware, options, tell, done: History::default(), away: None, reset_at: None };
    run.drive().await
}

struct Run<'a, L> {
    client: &'a mut Client<L>,
    firmware: &'a Firmware<'a>,
    options: &'a Options,
    tell: &'a mut dyn FnMut(Event),
    done: History,
    /// Since when the device is away, and since when that was last told.
    away: Option<(Instant, Instant)>,
    /// When it was last asked to reset, and first, until it is seen to have restarted.
    reset_at: Option<(Instant, Instant)>,
}

impl<L: Link> Run<'_, L> {
    async fn drive(mut self) -> Result<Outcome, UpgradeError> {
        loop {
            let images = self.list().await?;
            let new = |slot: &&SlotState| slot.active && slot.hash == self.firmware.hash;
            let running = images.iter().filter(|slot| slot.image == self.firmware.image).find(new);
            self.done.seen_running |= running.is_some();
            let step = decide(&images, self.firmware, self.options.mode, &self.done);
            if step != Step::Await
                && let Some((last, _)) = self.reset_at.take()
            {
                (self.tell)(Event::Seen { ms: last.elapsed().as_millis() });
            }
            if let Some(slot) = running {
                (self.tell)(Event::Running { version: slot.version.clone(), confirmed: slot.confirmed });
            }
            match step {
                Step::End(outcome) => return Ok(outcome),
                Step::GiveUp(conflict) => return Err(conflict.into()),
                Step::Erase { slot } => self.erase(slot).await?,
                Step::Upload => self.upload().await?,
                Step::Mark { permanent } => self.mark(permanent).await?,
                Step::Reset => self.reset().await?,
                Step::Await => self.await_restart().await?,
                Step::Confirm => self.confirm().await?,
            }
        }
    }

    /// What the device holds, once it answers: makes the link anew as often as there is time for.
    async fn list(&mut self) -> Result<Vec<SlotState>, UpgradeError> {
        let mut anew = false;
        loop {
            let error = match self.try_list(anew).await {
                Ok(images) => {
                    if let Some((since, _)) = self.away.take()
                        && self.reset_at.is_none()
                    {
                        (self.tell)(Event::Seen { ms: since.elapsed().as_millis() });
                    }
                    (self.tell)(Event::Listed { images: images.clone() });
                    return Ok(images);
                }
                Err(error) if error.is_link() => error,
                Err(error) => return Err(error.into()),
            };
            if let Some(ms) = self.away_too_long(&error) {
                return Err(UpgradeError::NotSeen { ms, last: Box::new(error) });
            }
            Timer::after(BETWEEN_ATTEMPTS).await;
            anew = true;
        }
    }

    async fn try_list(&mut self, anew: bool) -> Result<Vec<SlotState>, ClientError> {
        if anew {
            self.client.relink().await?;
        }
        self.client.list_quickly().await
    }

    /// The device does not answer: that may be, for a while. How long it was, in milliseconds, if that is too long.
    fn away_too_long(&mut self, error: &ClientError) -> Option<u64> {
        let now = Instant::now();
        let restarting = self.reset_at.map(|(last, _)| last);
        let limit = if self.done.resets > 0 { self.options.restart } else { self.options.absence };
        let (since, told) = *self.away.get_or_insert_with(|| {
            if restarting.is_none() {
                (self.tell)(Event::LinkLost { why: error.to_string() });
            }
            (restarting.unwrap_or(now), now)
        });
        let ms = (now - since).as_millis();
        if now - since < limit && now - told >= TELL_EVERY {
            self.away = Some((since, now));
            (self.tell)(Event::Waiting { ms });
        }
        (now - since >= limit).then_some(ms)
    }

    async fn erase(&mut self, slot: u32) -> Result<(), UpgradeError> {
        self.done.erases += 1;
        match self.client.erase(Some(slot + 2 * self.firmware.image)).await {
            Ok(()) => (self.tell)(Event::Erased { slot }),
            // Refused: the next listing shows it still pending, and that is what will be said.
            Err(error) if error.is_link() || error.refusal().is_some() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn upload(&mut self) -> Result<(), UpgradeError> {
        let tell = &mut *self.tell;
        let limit = self.options.absence;
        let upgrade = self.options.only_newer;
        let uploaded =
            self.client.upload(self.firmware, upgrade, limit, &mut |event| tell(Event::Upload(event))).await?;
        self.done.uploads += 1;
        (self.tell)(Event::Uploaded(uploaded));
        Ok(())
    }

    async fn mark(&mut self, permanent: bool) -> Result<(), UpgradeError> {
        self.done.marks += 1;
        match self.client.set_state(Some(&self.firmware.hash), permanent).await {
            Ok(_) => (self.tell)(Event::Marked { permanent }),
            Err(error) if error.is_link() => {}
            Err(error) if self.done.uploads == 0 && speaks_of_the_image(&error) => {
                self.done.refused = true;
                (self.tell)(Event::Refused { why: error.to_string() });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), UpgradeError> {
        self.done.resets += 1;
        let now = Instant::now();
        let first = self.reset_at.map_or(now, |(_, first)| first);
        let answered = match self.client.reset(false).await {
            Ok(()) => true,
            Err(error) if error.is_link() => false,
            Err(error) => return Err(error.into()),
        };
        self.reset_at = Some((Instant::now(), first));
        (self.tell)(Event::Reset { answered });
        Ok(())
    }

    /// The device answers and has not restarted: its answer to the reset comes a moment before the reset.
    async fn await_restart(&mut self) -> Result<(), UpgradeError> {
        let (last, first) = *self.reset_at.get_or_insert_with(|| (Instant::now(), Instant::now()));
        if last.elapsed() >= RESET_AGAIN {
            if self.done.resets >= MAX_RESETS {
                let ms = first.elapsed().as_millis();
                return Err(Conflict::NotRestarted { resets: self.done.resets, ms }.into());
            }
            return self.reset().await;
        }
        Timer::after(BETWEEN_ATTEMPTS).await;
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), UpgradeError> {
        let began = Instant::now();
        loop {
            match self.client.set_state(Some(&self.firmware.hash), true).await {
                Ok(_) => break,
                Err(error) if error.is_link() => break,
                // Still testing itself: what it finds is worth waiting for.
                Err(error) if error.is_busy() && began.elapsed() < self.options.absence => {
                    (self.tell)(Event::Busy);
                    Timer::after(TELL_EVERY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.done.confirms += 1;
        Ok(())
    }
}

impl From<LinkError> for UpgradeError {
    fn from(error: LinkError) -> Self {
        Self::Client(error.into())
    }
}

/// Whether a refusal may be about the image in the slot, not about what the device may do now.
fn speaks_of_the_image(error: &ClientError) -> bool {
    let Some(Code::Group(code)) = error.refusal().map(|refusal| refusal.code) else { return false };
    let others = [
        ImageError::NO_FREE_SLOT,
        ImageError::HASH_NOT_FOUND,
        ImageError::IMAGE_ALREADY_PENDING,
        ImageError::IMAGE_CONFIRMATION_DENIED,
        ImageError::IMAGE_SETTING_TEST_TO_ACTIVE_DENIED,
    ];
    code.group == Group::IMAGE && others.iter().all(|other| other.0 != code.rc)
}

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A device that still runs the old image this long after a reset did not hear of it.
const RESET_AGAIN: Duration = Duration::from_secs(10);
const MAX_RESETS: u32 = 3;
