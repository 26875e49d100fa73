//! How a command ends when it does not end well: a code for scripts, a sentence for people, the next step for both.

use std::fmt;

/// Exit status of the process, as published in `docs/json.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The job ended otherwise than asked (reverted, refused after trying).
    Otherwise = 1,
    /// Usage, or a bad input file.
    Usage = 2,
    /// The device refused.
    Refused = 3,
    /// No link, or link lost for good.
    Link = 4,
    /// Verification failed.
    Verification = 5,
    /// Timed out.
    TimedOut = 6,
    /// A defect of ours.
    Defect = 70,
}

/// Why a command failed and what its user can do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Exit status.
    pub(crate) exit: Exit,
    /// Stable name for scripts, dotted: `link.refused`.
    pub(crate) code: &'static str,
    /// What was wrong and where; lowercase start, no full stop.
    pub(crate) message: String,
    /// What to do next; empty only where nothing can be done.
    pub(crate) next: String,
}

impl Failure {
    /// A failure with everything a user needs.
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), next: next.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.next.is_empty() {
            write!(f, "\n next: {}", self.next)?;
        }
        write!(f, "\n code: {} (exit status {})", self.code, self.exit as u8)
    }
}
