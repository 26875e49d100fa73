//! How a command refuses.

use core::fmt::Display;
use otaru_smp::{Code, DecodeError, EncodeError, Rc, Text, Version};

/// A refusal: a code, and words for the peer's user (`rsn` on the wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    code: Code,
    reason: Text<112>,
}

impl Failure {
    /// A refusal without words.
    #[must_use]
    pub fn new(code: impl Into<Code>) -> Self {
        Self { code: code.into(), reason: Text::new() }
    }

    /// No such group, command or operation here.
    #[must_use]
    pub fn not_supported() -> Self {
        Self::new(Rc::NOT_SUPPORTED)
    }

    /// This refusal with words, of which 112 bytes are kept.
    #[must_use]
    pub fn because(self, reason: impl Display) -> Self {
        Self { reason: Text::of(reason), ..self }
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The words; empty if there are none.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.reason.as_str()
    }

    /// Writes the refusal as a body, without its words if they do not fit.
    pub(crate) fn encode(&self, version: Version, out: &mut [u8]) -> Result<usize, EncodeError> {
        let reason = Some(self.reason.as_str()).filter(|reason| !reason.is_empty());
        let whole = otaru_smp::Failure { code: self.code, reason };
        let bare = otaru_smp::Failure { code: self.code, reason: None };
        whole.encode(version, out).or_else(|_| bare.encode(version, out))
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::new(Rc::INVALID).because(error)
    }
}

/// An answer that does not fit into its buffer.
impl From<EncodeError> for Failure {
    fn from(_: EncodeError) -> Self {
        Self::new(Rc::MESSAGE_SIZE)
    }
}
