//! SHA-256 in software, with the processor's instructions for it where there are some.

use crate::Digest;
use sha2::Digest as _;

/// SHA-256 (FIPS 180-4).
#[derive(Clone, Debug, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }
}

impl Digest for Sha256 {
    fn new() -> Self {
        Self::default()
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 example: the digest of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_published_example_holds_whole_and_in_pieces() {
        assert_eq!(hex::encode(Sha256::of(b"abc")), ABC);
        let mut running = Sha256::new();
        running.update(b"a");
        running.update(b"");
        running.update(b"bc");
        assert_eq!(hex::encode(running.finish()), ABC);
    }
}
