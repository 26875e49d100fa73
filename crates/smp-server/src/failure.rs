//! How a command refuses.

use core::fmt::Display;
use otaru_smp::{Code, DecodeError, EncodeError, Header, Rc, Text, Version};

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

    /// Writes the refusal of `request` as a body, without its words if they do not fit or would not be understood.
    pub(crate) fn encode(&self, request: &Header, out: &mut [u8]) -> Result<usize, EncodeError> {
        let version = request.version.min(Version::V2);
        let beside_err = version == Version::V2 && matches!(self.code, Code::Group(_));
        let understood = !beside_err || request.flags & Header::WANTS_REASON != 0;
        let reason = Some(self.reason.as_str()).filter(|reason| understood && !reason.is_empty());
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

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_smp::{Group, ImageError, Op};

    #[test]
    fn words_stand_beside_err_only_for_a_request_that_wants_them() {
        let request = |version, flags| Header {
            version,
            op: Op::WRITE,
            flags,
            length: 0,
            group: Group::IMAGE,
            sequence: 0,
            command: 0,
        };
        let words = |failure: Failure, request| {
            let mut out = [0; 64];
            let len = failure.encode(&request, &mut out).unwrap();
            otaru_smp::Failure::find(&out[..len]).unwrap().unwrap().reason.is_some()
        };
        let group = Failure::new(ImageError::NO_FREE_SLOT).because("why");
        assert!(!words(group, request(Version::V2, 0)));
        assert!(words(group, request(Version::V2, Header::WANTS_REASON)));
        // Beside `rc` everybody knows them.
        assert!(words(group, request(Version::V1, 0)));
        assert!(words(Failure::new(Rc::BUSY).because("why"), request(Version::V2, 0)));
    }
}
