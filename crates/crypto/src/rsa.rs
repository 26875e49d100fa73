//! RSA-2048 PSS verification (RFC 8017 §8.1.2, §9.1.2) without an allocator: SHA-256, MGF1 with SHA-256, a salt of
//! 32 bytes, exponent 65537. Why it is written here and not taken from a crate: docs/adr/0001-rsa-without-alloc.md.

use crate::{BadSignature, Digest, Sha256};
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U2048};

const MODULUS_LEN: usize = 256;
const HASH_LEN: usize = 32;
const SALT_LEN: usize = 32;
/// Data block: zeros, a one, the salt.
const DB_LEN: usize = MODULUS_LEN - HASH_LEN - 1;
const TRAILER: u8 = 0xbc;
/// The encoded message has one bit less than the modulus.
const TOP_BIT: u8 = 0x80;

/// Whether the number can be a 2048-bit modulus.
pub(crate) fn is_key(modulus: &[u8; MODULUS_LEN]) -> bool {
    let [first, .., last] = modulus;
    first & TOP_BIT != 0 && last & 1 == 1
}

pub(crate) fn verify(modulus: &[u8; MODULUS_LEN], digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
    let signature = signature.try_into().map_err(|_| BadSignature)?;
    let encoded = public_operation(modulus, signature).ok_or(BadSignature)?;
    if is_encoding_of(&encoded, digest) { Ok(()) } else { Err(BadSignature) }
}

/// RSAVP1: the signature to the power of 65537, or `None` where it is not below the modulus.
fn public_operation(modulus: &[u8; MODULUS_LEN], signature: &[u8; MODULUS_LEN]) -> Option<[u8; MODULUS_LEN]> {
    let modulus = Odd::new(U2048::from_be_slice(modulus)).into_option()?;
    let signature = U2048::from_be_slice(signature);
    if signature >= *modulus {
        return None;
    }
    let params = FixedMontyParams::new_vartime(modulus);
    let base = FixedMontyForm::new(&signature, &params);
    let mut power = base;
    for _ in 0..16 {
        power = power.square();
    }
    Some(power.mul(&base).retrieve().to_be_bytes().into())
}

/// EMSA-PSS-VERIFY.
fn is_encoding_of(encoded: &[u8; MODULUS_LEN], digest: &[u8; 32]) -> bool {
    let Some((masked, rest)) = encoded.split_first_chunk::<DB_LEN>() else { return false };
    let Some((hash, [TRAILER])) = rest.split_first_chunk::<HASH_LEN>() else { return false };
    let mut block = *masked;
    if block.first().is_none_or(|first| first & TOP_BIT != 0) {
        return false;
    }
    unmask(&mut block, hash);
    if let Some(first) = block.first_mut() {
        *first &= !TOP_BIT;
    }
    let Some((padding, salt)) = block.split_last_chunk::<SALT_LEN>() else { return false };
    let Some((1, zeros)) = padding.split_last() else { return false };
    if zeros.iter().any(|byte| *byte != 0) {
        return false;
    }
    let mut expected = Sha256::new();
    expected.update(&[0; 8]);
    expected.update(digest);
    expected.update(salt);
    expected.finish() == *hash
}

/// Takes the mask that MGF1 makes of `seed` off `block`.
fn unmask(block: &mut [u8; DB_LEN], seed: &[u8; HASH_LEN]) {
    for (counter, chunk) in (0u32..).zip(block.chunks_mut(HASH_LEN)) {
        let mut mask = Sha256::new();
        mask.update(seed);
        mask.update(&counter.to_be_bytes());
        for (byte, mask) in chunk.iter_mut().zip(mask.finish()) {
            *byte ^= mask;
        }
    }
}
