//! What a loader asks of cryptography.

use core::fmt;

/// SHA-256 as a running computation.
pub trait Digest {
    /// A digest of nothing yet.
    fn new() -> Self;
    /// Takes in the next bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The digest of everything taken in.
    fn finish(self) -> [u8; 32];
}

/// How an image is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// ECDSA on P-256 over SHA-256, DER signature.
    EcdsaP256,
    /// Ed25519 over the 32-byte SHA-256 digest as message.
    Ed25519,
    /// RSA-2048 PSS, SHA-256, MGF1-SHA-256, salt 32.
    Rsa2048,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
            Self::Rsa2048 => "RSA-2048",
        })
    }
}

/// Which of a loader's keys: an index into its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIndex(pub u8);

/// The signature does not verify, or is not one of this scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// The keys a loader trusts and the algorithms it carries.
pub trait TrustedKeys {
    /// The digest that image hashes and key hashes are made with.
    type Digest: Digest;
    /// The key whose hash is exactly `key_hash` (a KEYHASH TLV), if it is trusted.
    fn find(&self, key_hash: &[u8]) -> Option<KeyIndex>;
    /// The scheme of that key.
    fn scheme(&self, key: KeyIndex) -> Option<Scheme>;
    /// Checks `signature` over the image whose digest is `digest`.
    ///
    /// # Errors
    /// [`BadSignature`] for anything but a valid signature by that key.
    fn verify(&self, key: KeyIndex, digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature>;
}
