//! ECDSA on P-256 over a SHA-256 digest (FIPS 186-5), signatures in DER (RFC 3279 §2.2.3).

use crate::BadSignature;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};

/// The longest DER of two 256-bit integers, which is also what `imgtool --pad-sig` fills up to with zeros.
const MAX_LEN: usize = 72;

pub(crate) fn is_key(point: &[u8; 64]) -> bool {
    key(point).is_some()
}

pub(crate) fn verify(point: &[u8; 64], digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
    let key = key(point).ok_or(BadSignature)?;
    let (r, s) = from_der(signature).ok_or(BadSignature)?;
    let signature = Signature::from_scalars(r, s).map_err(|_| BadSignature)?;
    key.verify_prehash(digest, &signature).map_err(|_| BadSignature)
}

fn key(point: &[u8; 64]) -> Option<VerifyingKey> {
    let mut sec1 = [4; 65];
    sec1.split_first_mut()?.1.copy_from_slice(point);
    VerifyingKey::from_sec1_bytes(&sec1).ok()
}

/// The two integers of a DER signature. Nothing may follow them but the zeros of `--pad-sig`.
fn from_der(signature: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    if signature.len() > MAX_LEN {
        return None;
    }
    let (mut body, padding) = element(0x30, signature)?;
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    let (r, rest) = integer(body)?;
    body = rest;
    let (s, rest) = integer(body)?;
    rest.is_empty().then_some((r, s))
}

/// The content of the element with this tag at the front of `der`, and what follows it. Short lengths only: nothing
/// in a signature is longer than 127 bytes.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, len], rest) = der.split_first_chunk()?;
    if found != tag || len >= 0x80 {
        return None;
    }
    rest.split_at_checked(usize::from(len))
}

/// A non-negative integer in its shortest form, left-padded to 32 bytes.
fn integer(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (content, rest) = element(0x02, der)?;
    let magnitude = match content {
        [] | [0x80..=0xff, ..] => return None,
        [0] => content,
        [0, 0..0x80, ..] => return None,
        [0, magnitude @ ..] => magnitude,
        magnitude => magnitude,
    };
    let mut out = [0; 32];
    let start = out.len().checked_sub(magnitude.len())?;
    out.get_mut(start..)?.copy_from_slice(magnitude);
    Some((out, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let len = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let body = [&[2, len(r)], r, &[2, len(s)], s].concat();
        [&[0x30, len(&body)][..], &body].concat()
    }

    fn number(value: u8) -> [u8; 32] {
        let mut out = [0; 32];
        out[31] = value;
        out
    }

    #[test]
    fn shortest_integers_are_read_and_others_refused() {
        let mut large = [0xff; 33];
        large[0] = 0;
        assert_eq!(from_der(&der(&[1], &large)), Some((number(1), [0xff; 32])));
        assert_eq!(from_der(&der(&[0x7f], &[0, 0x80])), Some((number(0x7f), number(0x80))));
        assert_eq!(from_der(&der(&[0], &[1])), Some((number(0), number(1))), "range is the curve's to check");
        for (what, r) in [
            ("empty", &[][..]),
            ("negative", &[0x80]),
            ("needless zero", &[0, 1]),
            ("two zeros", &[0, 0]),
            ("33 bytes", &[1; 33]),
        ] {
            assert_eq!(from_der(&der(r, &[1])), None, "{what}");
            assert_eq!(from_der(&der(&[1], r)), None, "{what}");
        }
    }

    #[test]
    fn only_zeros_up_to_the_padded_length_may_follow() {
        let mut signature = der(&[1], &[2]);
        signature.resize(MAX_LEN, 0);
        assert_eq!(from_der(&signature), Some((number(1), number(2))));
        signature.push(0);
        assert_eq!(from_der(&signature), None, "longer than any signature");
        signature.truncate(MAX_LEN);
        signature[MAX_LEN - 1] = 1;
        assert_eq!(from_der(&signature), None, "something after the signature");
    }

    #[test]
    fn prefixes_and_wrong_inner_lengths_are_refused() {
        let signature = der(&[1; 32], &[2; 32]);
        for len in 0..signature.len() {
            assert_eq!(from_der(&signature[..len]), None, "{len} bytes");
        }
        for at in [0, 1, 2, 3, 36, 37] {
            let mut changed = signature.clone();
            changed[at] -= 1;
            assert_eq!(from_der(&changed), None, "byte {at} lowered");
            changed[at] += 2;
            assert_eq!(from_der(&changed), None, "byte {at} raised");
        }
        assert_eq!(from_der(&[0x30, 0x81, 6, 2, 1, 1, 2, 1, 2]), None, "long form of a short length");
        assert_eq!(from_der(&[0x30, 0x80, 2, 1, 1, 2, 1, 2, 0, 0]), None, "indefinite length");
        assert_eq!(from_der(&[0x30, 9, 2, 1, 1, 2, 1, 2, 2, 1, 3]), None, "a third integer");
    }
}
