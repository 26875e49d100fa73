//! What an application needs of the device it runs on, besides flash and radio.

use otaru_image::Version;
use otaru_smp::DateTime;
use otaru_smp::os::Task;
use otaru_smp_server::Info;

/// The device's own part. Shared by the whole application, so it changes through cells.
pub trait Board {
    /// The clock, or `None` if nobody has set it yet.
    ///
    /// # Errors
    /// [`ClockError`] if there is a clock and it does not answer.
    fn date_time(&self) -> Result<Option<DateTime>, ClockError>;

    /// Sets the clock.
    ///
    /// # Errors
    /// [`ClockError`] if it cannot be set.
    fn set_date_time(&self, date_time: DateTime) -> Result<(), ClockError>;

    /// What runs here, as clients are told.
    fn info(&self) -> Info<'_>;

    /// The tasks that run, as clients are told.
    fn tasks(&self) -> &[Task<'_>];

    /// Something worth a line in a log happened.
    fn event(&self, event: Event) {
        let _ = event;
    }
}

/// The clock does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock does not answer")]
pub struct ClockError;

/// What a peer brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An upload into the secondary slot began.
    UploadBegan {
        /// Version in the image's header.
        version: Version,
        /// Bytes of the file.
        len: u32,
    },
    /// The image in the secondary slot was verified, and boots next.
    Pending {
        /// For good, not on trial.
        permanent: bool,
    },
    /// The image in the secondary slot would not be booted: nothing was marked.
    Rejected(otaru_boot::Rejection),
    /// The running image is permanent now.
    Confirmed,
    /// The secondary slot was erased.
    Erased,
    /// A restart was asked for and agreed to.
    Restarting,
}
