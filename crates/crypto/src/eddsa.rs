//! Ed25519 (RFC 8032), the message being the image's SHA-256 digest.
//!
//! Verification is dalek's strict one: it refuses non-canonical encodings and points of small order on top of what
//! MCUboot refuses. No honest signer makes a signature that only one of the two accepts.

use crate::BadSignature;
use ed25519_dalek::{Signature, VerifyingKey};

pub(crate) fn is_key(point: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(point).is_ok_and(|key| !key.is_weak())
}

pub(crate) fn verify(point: &[u8; 32], digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(point).map_err(|_| BadSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
    key.verify_strict(digest, &signature).map_err(|_| BadSignature)
}
