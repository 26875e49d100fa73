//! A way to a device that carries whole SMP frames, and the kinds of it there are.

pub mod ble;
pub mod memory;
pub mod serial;
pub mod udp;

pub(crate) mod inbox;

/// A way to one device. It may fall apart at any time; [`Link::connect`] makes it anew.
///
/// Futures may be dropped at any point: a dropped [`Link::receive`] loses no frame.
#[expect(async_fn_in_trait, reason = "one device, one thread: nobody needs these futures to be Send")]
pub trait Link {
    /// What it is, which decides how much may be in flight.
    fn transport(&self) -> Transport;

    /// The largest SMP frame it carries, header included, in bytes. Known once connected.
    fn max_frame(&self) -> usize;

    /// The largest SMP frame for a device that does not tell its buffers.
    fn single_frame(&self) -> usize {
        self.max_frame()
    }

    /// Makes the link, or makes it anew: what was on its way is gone.
    ///
    /// # Errors
    /// Why there is none. Bounded in time by the link itself.
    async fn connect(&mut self) -> Result<(), LinkError>;

    /// Sends one frame.
    ///
    /// # Errors
    /// [`LinkError::Lost`] if the link is gone, [`LinkError::TooLong`] for a frame beyond [`Link::max_frame`].
    async fn send(&mut self, frame: &[u8]) -> Result<(), LinkError>;

    /// The next frame from the device; waits for ever if there is none.
    ///
    /// # Errors
    /// [`LinkError::Lost`] if the link is gone.
    async fn receive(&mut self) -> Result<&[u8], LinkError>;
}

/// The kinds of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// Datagrams: one frame each.
    Udp,
    /// Console framing on a serial line: no flow control, so one request at a time.
    Serial,
    /// Bluetooth LE GATT.
    Ble,
}

/// Why a link is not there, or not any longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nothing answers there at all.
    #[error("{to} is not there: {why}")]
    Absent {
        /// Which device, as its link is named.
        to: String,
        /// What was tried and what came of it.
        why: String,
    },
    /// It was there and went away.
    #[error("the link to {to} is lost: {why}")]
    Lost {
        /// Which device.
        to: String,
        /// What was seen.
        why: String,
    },
    /// The device wants a paired link, and there is no passkey to pair with.
    #[error("{to} wants a paired link: {why}")]
    Unpaired {
        /// Which device.
        to: String,
        /// What was refused.
        why: String,
    },
    /// Pairing was tried and failed.
    #[error("pairing with {to} failed: {why}")]
    PairingFailed {
        /// Which device.
        to: String,
        /// What was seen.
        why: String,
    },
    /// The device makes pairing wait: attempts failed before.
    #[error("{to} does not pair yet: {why}")]
    PairingDelayed {
        /// Which device.
        to: String,
        /// What was seen.
        why: String,
    },
    /// The device's link is protected less than is wanted.
    #[error("the link to {to} is not safe enough: {why}")]
    TooWeak {
        /// Which device.
        to: String,
        /// What it offers and what is wanted.
        why: String,
    },
    /// A frame that this link cannot carry.
    #[error("a frame of {len} bytes is too long for {to}, which carries {max}")]
    TooLong {
        /// Which device.
        to: String,
        /// Bytes of the frame.
        len: usize,
        /// Bytes it carries at most.
        max: usize,
    },
}

impl LinkError {
    /// What its user can do.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "check that the device runs and that the name given with --to is right",
            Self::Lost { .. } => "bring the device back and run the command again: an upload goes on from where it was",
            Self::Unpaired { .. } => {
                "give the passkey that the device shows with --passkey N, or run on a terminal to be asked for it"
            }
            Self::PairingFailed { .. } => {
                "compare the passkey with what the device shows; if it was bonded before, forget the bond on both sides"
            }
            Self::PairingDelayed { .. } => {
                "wait, then run the command again: after each failed attempt a device waits twice as long, up to 10 minutes"
            }
            Self::TooWeak { .. } => {
                "let the device show a passkey; to take the link as it is, add --allow-unauthenticated, and forget an \
                 earlier bond that was worth more"
            }
            Self::TooLong { .. } => "this is a defect of the client, which must not make such frames",
        }
    }
}
