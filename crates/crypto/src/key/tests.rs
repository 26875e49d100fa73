use super::*;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

/// Made by vectors/make.py with Python's cryptography.
const VECTORS: &str = include_str!("../../vectors/signatures.txt");

/// The public keys of the vectors.
fn vector_keys() -> BTreeMap<&'static str, Vec<u8>> {
    VECTORS
        .lines()
        .filter_map(|line| line.strip_prefix("key "))
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, der)| (name, hex::decode(der).unwrap()))
        .collect()
}

#[test]
fn recorded_signatures_get_the_verdict_they_must() {
    let keys = vector_keys();
    let mut counts = BTreeMap::new();
    for line in VECTORS.lines().filter(|line| !line.starts_with("key ")) {
        let [verdict, key, digest, signature, what] = line.splitn(5, ' ').collect::<Vec<_>>().try_into().unwrap();
        let key = PublicKey::from_der(&keys[key]).unwrap();
        let digest = hex::decode(digest).unwrap().try_into().unwrap();
        let result = key.verify(&digest, &hex::decode(signature).unwrap());
        assert_eq!(result.is_ok(), verdict == "accept", "{}: {what}", key.scheme());
        *counts.entry((key.scheme().to_string(), verdict)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6, "each scheme both ways: {counts:?}");
}

#[test]
fn signatures_by_another_library_verify_and_any_flipped_bit_does_not() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};

    let signer = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = PublicKey::from_der(signer.public_key().as_ref()).unwrap();
    let mut signature = [0; 256];
    signer.sign(&RSA_PSS_SHA256, &SystemRandom::new(), b"image", &mut signature).unwrap();
    let digest = Sha256::of(b"image");
    assert_eq!(key.verify(&digest, &signature), Ok(()));
    for bit in (0..2048).step_by(101) {
        let mut flipped = signature;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(&digest, &flipped), Err(BadSignature), "bit {bit}");
    }
}

#[test]
fn keys_are_recognised_by_their_exact_bytes() {
    for (name, der) in vector_keys() {
        let key = PublicKey::from_der(&der).unwrap();
        assert_eq!(key.der(), der);
        assert_eq!(key.hash(), Sha256::of(&der), "{name}");
        for len in 0..der.len() {
            assert!(PublicKey::from_der(&der[..len]).is_err(), "{name}: {len} bytes");
        }
        let longer = [&der[..], &[0]].concat();
        assert!(PublicKey::from_der(&longer).is_err(), "{name}: a byte more");
    }
}

#[test]
fn what_is_no_key_is_refused_in_words() {
    let keys = vector_keys();
    let refused = |der: &[u8]| -> String { PublicKey::from_der(der).unwrap_err().to_string() };
    insta::assert_snapshot!(refused(b"-----BEGIN PUBLIC KEY-----"), @"these 26 bytes are no public key in DER: neither P-256 (91 bytes) nor Ed25519 (44) nor RSA-2048 (270, PKCS#1, exponent 65537)");
    let mut off_curve = keys["p256"].clone();
    *off_curve.last_mut().unwrap() ^= 1;
    insta::assert_snapshot!(refused(&off_curve), @"the ECDSA P-256 key holds numbers that cannot be a public key");
    let mut even = keys["rsa"].clone();
    even[264] &= !1;
    insta::assert_snapshot!(refused(&even), @"the RSA-2048 key holds numbers that cannot be a public key");
    let mut short = keys["rsa"].clone();
    short[9] &= 0x7f;
    assert!(PublicKey::from_der(&short).is_err(), "a modulus of 2047 bits");
    let mut weak = keys["ed25519"].clone();
    weak[12..].fill(0);
    insta::assert_snapshot!(refused(&weak), @"the Ed25519 key holds numbers that cannot be a public key");
    insta::assert_snapshot!(KeyError::NotBuiltIn { scheme: Scheme::Rsa2048 }, @"this build cannot verify RSA-2048 signatures: its cargo feature is off");
    insta::assert_snapshot!(BadSignature, @"signature does not verify");
}

#[test]
fn a_key_is_found_by_its_whole_hash_only() {
    let ders = vector_keys();
    let keys: Vec<_> = ders.values().map(|der| PublicKey::from_der(der).unwrap()).collect();
    let set = KeySet::new(&keys);
    for (index, key) in (0..).map(KeyIndex).zip(&keys) {
        let hash = key.hash();
        assert_eq!(set.find(&hash), Some(index));
        assert_eq!(set.scheme(index), Some(key.scheme()));
        assert_eq!(set.find(&hash[..31]), None, "a prefix, which MCUboot would take");
        assert_eq!(set.find(&[&hash[..], &[0]].concat()), None);
    }
    assert_eq!(set.find(&[]), None, "no bytes, which MCUboot would take");
    let beyond = KeyIndex(u8::try_from(keys.len()).unwrap());
    assert_eq!(set.scheme(beyond), None);
    assert_eq!(set.verify(beyond, &[0; 32], &[]), Err(BadSignature));
}
