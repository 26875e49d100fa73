//! Public keys as they are embedded in a loader.

use crate::{BadSignature, KeyIndex, Scheme, Sha256, TrustedKeys};

/// SubjectPublicKeyInfo of a P-256 key up to its uncompressed point (RFC 5480). Hybrid and compressed points are not
/// what MCUboot embeds.
const P256_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// PKCS#1 `RSAPublicKey` up to its 2048-bit modulus (RFC 8017 A.1.1).
const RSA2048_PREFIX: [u8; 9] = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
/// What follows the modulus: the exponent 65537.
const RSA2048_SUFFIX: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

/// A public key in the form MCUboot embeds: SubjectPublicKeyInfo for P-256 and Ed25519, PKCS#1 `RSAPublicKey` for RSA.
///
/// A KEYHASH TLV holds the SHA-256 of exactly these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    der: &'a [u8],
    material: Material<'a>,
}

/// The part of a key that computations need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Material<'a> {
    /// The coordinates x and y, big-endian.
    P256(&'a [u8; 64]),
    /// The compressed point.
    Ed25519(&'a [u8; 32]),
    /// The modulus, big-endian; the exponent is 65537.
    Rsa2048(&'a [u8; 256]),
}

impl<'a> PublicKey<'a> {
    /// Recognises a key from its DER bytes: exactly one key, nothing after it.
    ///
    /// # Errors
    /// [`KeyError`]: bytes of another shape, numbers that are no key, a scheme that is not built in.
    pub fn from_der(der: &'a [u8]) -> Result<Self, KeyError> {
        let material = if let Some(point) = between(der, &P256_PREFIX, &[]) {
            Material::P256(point)
        } else if let Some(point) = between(der, &ED25519_PREFIX, &[]) {
            Material::Ed25519(point)
        } else if let Some(modulus) = between(der, &RSA2048_PREFIX, &RSA2048_SUFFIX) {
            Material::Rsa2048(modulus)
        } else {
            return Err(KeyError::Unrecognised { len: der.len() });
        };
        let key = Self { der, material };
        key.check()?;
        Ok(key)
    }

    /// The bytes it was made from.
    #[must_use]
    pub const fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Its scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self.material {
            Material::P256(_) => Scheme::EcdsaP256,
            Material::Ed25519(_) => Scheme::Ed25519,
            Material::Rsa2048(_) => Scheme::Rsa2048,
        }
    }

    /// What a KEYHASH TLV for this key holds.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::of(self.der)
    }

    /// Checks `signature` over the image whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// [`BadSignature`] for anything but a valid signature by this key.
    pub fn verify(&self, digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
        match self.material {
            #[cfg(feature = "p256")]
            Material::P256(point) => crate::ecdsa::verify(point, digest, signature),
            #[cfg(feature = "ed25519")]
            Material::Ed25519(point) => crate::eddsa::verify(point, digest, signature),
            #[cfg(feature = "rsa")]
            Material::Rsa2048(modulus) => crate::rsa::verify(modulus, digest, signature),
            #[cfg(not(all(feature = "p256", feature = "ed25519", feature = "rsa")))]
            _ => Err(BadSignature),
        }
    }

    fn check(&self) -> Result<(), KeyError> {
        let scheme = self.scheme();
        let valid = match self.material {
            #[cfg(feature = "p256")]
            Material::P256(point) => crate::ecdsa::is_key(point),
            #[cfg(feature = "ed25519")]
            Material::Ed25519(point) => crate::eddsa::is_key(point),
            #[cfg(feature = "rsa")]
            Material::Rsa2048(modulus) => crate::rsa::is_key(modulus),
            #[cfg(not(all(feature = "p256", feature = "ed25519", feature = "rsa")))]
            _ => return Err(KeyError::NotBuiltIn { scheme }),
        };
        if valid { Ok(()) } else { Err(KeyError::NotAKey { scheme }) }
    }
}

/// The `N` bytes between a prefix and a suffix, if that is all there is.
fn between<'a, const N: usize>(der: &'a [u8], prefix: &[u8], suffix: &[u8]) -> Option<&'a [u8; N]> {
    der.strip_prefix(prefix)?.strip_suffix(suffix)?.try_into().ok()
}

/// Why bytes are no public key that images can be verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not one of the three shapes.
    #[error(
        "these {len} bytes are no public key in DER: neither P-256 (91 bytes) nor Ed25519 (44) nor RSA-2048 (270, PKCS#1, exponent 65537)"
    )]
    Unrecognised {
        /// Bytes given.
        len: usize,
    },
    /// The right shape, but numbers that are not a key: a point off the curve, an even modulus.
    #[error("the {scheme} key holds numbers that cannot be a public key")]
    NotAKey {
        /// Its scheme.
        scheme: Scheme,
    },
    /// A key of a scheme this build cannot verify.
    #[error("this build cannot verify {scheme} signatures: its cargo feature is off")]
    NotBuiltIn {
        /// Its scheme.
        scheme: Scheme,
    },
}

/// Public keys embedded in a loader: any of them may sign.
#[derive(Clone, Copy, Debug)]
pub struct KeySet<'a> {
    keys: &'a [PublicKey<'a>],
}

impl<'a> KeySet<'a> {
    /// A set of keys. Only the first 256 can be found.
    #[must_use]
    pub const fn new(keys: &'a [PublicKey<'a>]) -> Self {
        Self { keys }
    }

    fn get(&self, key: KeyIndex) -> Option<&PublicKey<'a>> {
        self.keys.get(usize::from(key.0))
    }
}

impl TrustedKeys for KeySet<'_> {
    type Digest = Sha256;

    /// Compares whole hashes. MCUboot compares as many bytes as the image says, down to none (spec §21.11).
    fn find(&self, key_hash: &[u8]) -> Option<KeyIndex> {
        let at = self.keys.iter().position(|key| key.hash() == *key_hash)?;
        u8::try_from(at).ok().map(KeyIndex)
    }

    fn scheme(&self, key: KeyIndex) -> Option<Scheme> {
        self.get(key).map(PublicKey::scheme)
    }

    fn verify(&self, key: KeyIndex, digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
        self.get(key).ok_or(BadSignature)?.verify(digest, signature)
    }
}

#[cfg(test)]
#[cfg(all(feature = "p256", feature = "ed25519", feature = "rsa"))]
mod tests;
