//! What goes in and what is told.

use core::fmt;
use otaru_smp::{Code, Failure, Text};

/// An answer that refuses, kept: the code, and the beginning of the device's own words where it sent any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// The device's words (`rsn`).
    pub reason: Text<112>,
}

impl From<Failure<'_>> for Refusal {
    fn from(failure: Failure<'_>) -> Self {
        Self { code: failure.code, reason: failure.reason.map(Text::of).unwrap_or_default() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = Some(self.reason.as_str()).filter(|reason| !reason.is_empty());
        Failure { code: self.code, reason }.fmt(f)
    }
}

/// What happened, for [`Upload::handle`](crate::Upload::handle) and [`Exchange::handle`](crate::Exchange::handle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// There is a link (again).
    Linked {
        /// Largest SMP frame that may be sent, header included, in bytes.
        frame: u16,
        /// How many requests may be in flight: the device's buffers less one for its answers, at least 1.
        window: u8,
    },
    /// The link is gone; [`Input::Linked`] follows when there is one again.
    LinkLost,
    /// One whole SMP frame came in.
    Received(&'a [u8]),
    /// Only time passed.
    Tick,
}

/// What the user of an upload wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The device had the first `offset` bytes from an earlier attempt: going on from there.
    Resumed {
        /// Bytes it has.
        offset: u32,
    },
    /// The device has the first `offset` bytes.
    Progress {
        /// Bytes it has.
        offset: u32,
    },
    /// The device ran out of buffers: fewer requests in flight from now on.
    WindowReduced {
        /// How many.
        window: u8,
    },
    /// The device lost the upload, which begins again with the first packet.
    Restarted {
        /// Bytes it had before.
        offset: u32,
    },
    /// Nothing moves over this link: make a new one, then give [`Input::Linked`].
    Stalled(Stall),
    /// The device has the whole file.
    Done(Proof),
    /// The upload cannot go on.
    Failed(UploadError),
}

/// How it is known that the device has the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// The device hashed what it holds and found the file's SHA-256 (`match`).
    Hashed,
    /// The device counted all bytes; it did not compare them.
    Counted,
    /// The final answer was lost, but the device lists an image with the file's image hash.
    Listed,
}

/// Why nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stall {
    /// No answer at all.
    #[error("the device was silent for {ms} ms")]
    Silent {
        /// How long, in milliseconds.
        ms: u32,
    },
    /// Answers, or time-outs, but nothing new taken.
    #[error("the device took nothing beyond byte {offset} in {rewinds} attempts")]
    NoProgress {
        /// Bytes it has.
        offset: u32,
        /// How often it was tried.
        rewinds: u32,
    },
}

/// Why an upload ended without the device having the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The device refused a packet.
    #[error("{0}")]
    Refused(Refusal),
    /// All bytes were taken, and what the device holds has another SHA-256 than the file.
    #[error("the device holds {len} bytes whose SHA-256 is not the file's")]
    Mismatch {
        /// Bytes it holds.
        len: u32,
    },
    /// The device says it has more than there is.
    #[error("the device asks for byte {offset} of a file of {len} bytes")]
    Misbehaved {
        /// The offset it answered.
        offset: u32,
        /// Bytes of the file.
        len: u32,
    },
    /// The link's frames are too small for a first packet.
    #[error("frames of {frame} bytes cannot carry an upload, whose first packet takes at least {needed}")]
    FrameTooSmall {
        /// Largest frame, in bytes.
        frame: u16,
        /// Least frame that would do, in bytes.
        needed: u16,
    },
    /// The device loses the upload each time before it gets further than it ever was.
    #[error("the device lost the upload {restarts} times and never got beyond byte {offset}")]
    KeepsForgetting {
        /// The furthest it was.
        offset: u32,
        /// How often the upload began again.
        restarts: u32,
    },
    /// One link after another, and nothing new taken.
    #[error("the device took nothing beyond byte {offset} over {links} connections")]
    NoProgress {
        /// Bytes it has.
        offset: u32,
        /// Links tried.
        links: u32,
    },
}

/// What went otherwise than straight ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Upload packets sent.
    pub sent: u32,
    /// Times the upload went back to what the device has.
    pub rewinds: u32,
    /// Requests whose answer did not come in time.
    pub timeouts: u32,
    /// Answers nobody waited for any longer, and frames that are no answers.
    pub stale: u32,
    /// Requests the device had no buffer for.
    pub refusals: u32,
    /// Times the upload began again because the device had lost it.
    pub restarts: u32,
    /// Times the upload went on from an earlier attempt.
    pub resumes: u32,
}

impl Stats {
    pub(crate) const NONE: Self =
        Self { sent: 0, rewinds: 0, timeouts: 0, stale: 0, refusals: 0, restarts: 0, resumes: 0 };

    pub(crate) fn note_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    pub(crate) fn note_stale(&mut self) {
        self.stale = self.stale.saturating_add(1);
    }
}
