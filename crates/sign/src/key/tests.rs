use super::*;
use otaru_crypto::Sha256;
use std::io::Write;

const SCHEMES: [Scheme; 3] = [Scheme::EcdsaP256, Scheme::Ed25519, Scheme::Rsa2048];

/// The DER inside a PEM text.
fn der(text: &str) -> Vec<u8> {
    pem::sections(text).unwrap().remove(0).der
}

fn refused(text: &str) -> String {
    SigningKey::from_pem(text).unwrap_err().to_string()
}

#[test]
fn a_fresh_key_is_written_read_and_signs_what_its_public_half_verifies() {
    for scheme in SCHEMES {
        let key = SigningKey::generate(scheme).unwrap();
        let text = key.to_pem().unwrap();
        let again = SigningKey::from_pem(&text).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.to_pem().unwrap(), text);
        let digest = Sha256::of(b"image");
        let signature = again.sign(&digest).unwrap();
        let public = VerifyingKey::from_file(key.public().to_pem().as_bytes()).unwrap();
        assert_eq!((public.scheme(), public.hash()), (scheme, key.public().hash()));
        assert_eq!(public.as_public_key().verify(&digest, &signature), Ok(()));
        assert!(public.as_public_key().verify(&Sha256::of(b"other"), &signature).is_err());
        if scheme != Scheme::Rsa2048 {
            assert_eq!(signature, key.sign(&digest).unwrap(), "{scheme} must sign the same way twice");
        }
        assert_ne!(SigningKey::generate(scheme).unwrap().public(), key.public());
    }
}

#[test]
fn p256_signatures_follow_rfc_6979() {
    // RFC 6979 A.2.5: the key and its signature of "sample" with SHA-256.
    let secret = hex::decode("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721").unwrap();
    let key = p256::SecretKey::from_slice(&secret).unwrap();
    let text = pem::encode("EC PRIVATE KEY", &key.to_sec1_der().unwrap());
    let signature = SigningKey::from_pem(&text).unwrap().sign(&Sha256::of(b"sample")).unwrap();
    assert_eq!(
        hex::encode(signature),
        "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
}

#[test]
fn the_older_forms_of_openssl_are_read() {
    let rsa = SigningKey::generate(Scheme::Rsa2048).unwrap();
    // PKCS#8 wraps PKCS#1 in 26 bytes.
    let pkcs1 = pem::encode("RSA PRIVATE KEY", &der(&rsa.to_pem().unwrap())[26..]);
    assert_eq!(SigningKey::from_pem(&pkcs1).unwrap().public(), rsa.public());
    let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    let sec1 = pem::encode("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7])
        + &pem::encode("EC PRIVATE KEY", &secret.to_sec1_der().unwrap());
    assert_eq!(SigningKey::from_pem(&sec1).unwrap().scheme(), Scheme::EcdsaP256);
    let pkcs1_public = pem::encode("RSA PUBLIC KEY", rsa.public().to_der());
    assert_eq!(VerifyingKey::from_file(pkcs1_public.as_bytes()).unwrap(), *rsa.public());
}

#[test]
fn a_public_key_is_read_from_any_file_that_holds_it() {
    for scheme in SCHEMES {
        let key = SigningKey::generate(scheme).unwrap();
        for file in
            [key.to_pem().unwrap().into_bytes(), key.public().to_pem().into_bytes(), key.public().to_der().into()]
        {
            assert_eq!(VerifyingKey::from_file(&file).unwrap(), *key.public(), "{scheme}");
        }
        assert_eq!(VerifyingKey::from_file(&der(&key.public().to_pem())).unwrap(), *key.public());
    }
}

#[test]
fn files_without_a_usable_private_key_are_refused_in_words() {
    let key = SigningKey::generate(Scheme::Ed25519).unwrap();
    insta::assert_snapshot!(refused(""), @"the file is empty");
    insta::assert_snapshot!(refused(&key.public().to_pem()), @"line 1: the file holds only a public key; signing needs the private key it belongs to");
    insta::assert_snapshot!(refused(&pem::encode("ENCRYPTED PRIVATE KEY", &[0x30])), @"line 1: the key is encrypted with a passphrase, which otaru cannot read yet; decrypt it first: openssl pkey -in FILE -out DECRYPTED");
    insta::assert_snapshot!(refused("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), @"line 1: the key is encrypted with a passphrase, which otaru cannot read yet; decrypt it first: openssl pkey -in FILE -out DECRYPTED");
    insta::assert_snapshot!(refused(&pem::encode("CERTIFICATE", &[0x30])), @r#"line 1: this is a PEM section "CERTIFICATE", not a key"#);
    insta::assert_snapshot!(refused(&pem::encode("EC PARAMETERS", &[6])), @r#"line 1: this is a PEM section "EC PARAMETERS", not a key"#);
}

#[test]
fn keys_of_other_kinds_are_named() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};

    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", p384.as_ref())), @"an ECDSA P-384 key cannot sign images here: use ECDSA P-256, Ed25519 or RSA-2048");
    let sec1 = hex::decode("3012020101040401020304a00706052b81040022").unwrap();
    insta::assert_snapshot!(refused(&pem::encode("EC PRIVATE KEY", &sec1)), @"an ECDSA P-384 key cannot sign images here: use ECDSA P-256, Ed25519 or RSA-2048");
    insta::assert_snapshot!(refused(&pem::encode("EC PRIVATE KEY", &sec1[..8])), @"the key's DER is damaged at byte 8 of 8: ASN.1 DER message is incomplete: expected 9, actual 8");
    let x25519 = hex::decode("302e020100300506032b656e04220420".to_owned() + &"11".repeat(32)).unwrap();
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", &x25519)), @"an X25519 key (it encrypts images) cannot sign images here: use ECDSA P-256, Ed25519 or RSA-2048");
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).unwrap();
    let rsa = aws_lc_rs::encoding::AsDer::as_der(&rsa).unwrap();
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", rsa.as_ref())), @"an RSA key of 3072 bits cannot sign images here: use ECDSA P-256, Ed25519 or RSA-2048");
    let unknown = hex::decode("302c020100300306012904220420".to_owned() + &"11".repeat(32)).unwrap();
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", &unknown)), @"a key of algorithm 1.1 cannot sign images here: use ECDSA P-256, Ed25519 or RSA-2048");
}

#[test]
fn the_halves_of_an_ec_key_belong_together() {
    let [one, other] = [1, 2].map(|_| der(&SigningKey::generate(Scheme::EcdsaP256).unwrap().to_pem().unwrap()));
    // PKCS#8 ends with the public half: 64 bytes behind the private one.
    let mixed = [&one[..one.len() - 64], &other[other.len() - 64..]].concat();
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", &mixed)), @"the ECDSA P-256 key is inconsistent: its public half does not belong to its private half");
    let mut zero = one.clone();
    let private = one.windows(4).position(|bytes| bytes == [1, 1, 4, 32]).unwrap() + 4;
    zero[private..private + 32].fill(0);
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", &zero)), @"the ECDSA P-256 key is inconsistent: its private half is not a number of this curve");
}

#[test]
fn damaged_keys_are_refused_with_the_place() {
    let key = SigningKey::from_pem(&pem::encode("PRIVATE KEY", &ed25519_der())).unwrap();
    assert_eq!(key.scheme(), Scheme::Ed25519);
    let whole = ed25519_der();
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", &whole[..40])), @"the key's DER is damaged at byte 40 of 40: ASN.1 DER message is incomplete: expected 41, actual 40");
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", &[&whole[..], &[0]].concat())), @"the key's DER is damaged at byte 48 of 49: trailing data at end of DER message: decoded 48 bytes, 1 bytes remaining");
    let mut short = whole.clone();
    short[15] = 0x1f;
    insta::assert_snapshot!(refused(&pem::encode("PRIVATE KEY", &short)), @"the Ed25519 key is inconsistent: PKCS#8 key malformed: key invalid");
    for scheme in SCHEMES {
        let whole = der(&SigningKey::generate(scheme).unwrap().to_pem().unwrap());
        for len in (1..whole.len()).step_by(whole.len() / 40) {
            assert!(SigningKey::from_pem(&pem::encode("PRIVATE KEY", &whole[..len])).is_err(), "{scheme}: {len} bytes");
        }
    }
    let zero = pem::encode("PRIVATE KEY", &[&whole[..12], &[4, 0x22, 4, 0x20], &[0; 32]].concat());
    assert!(SigningKey::from_pem(&zero).is_ok(), "any 32 bytes are an Ed25519 seed");
    let off = VerifyingKey::from_der(&[0x30, 3, 1, 2]).unwrap_err().to_string();
    insta::assert_snapshot!(off, @"the key's DER is damaged at byte 4 of 4: ASN.1 DER message is incomplete: expected 5, actual 4");
}

fn ed25519_der() -> Vec<u8> {
    hex::decode("302e020100300506032b657004220420".to_owned() + &"42".repeat(32)).unwrap()
}

#[test]
fn a_file_is_named_with_what_is_wrong_in_it() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"not a key\n").unwrap();
    let error = SigningKey::load(file.path()).unwrap_err().to_string();
    let expected =
        format!("{}: no line says -----BEGIN …-----, so this is no PEM file (1 lines)", file.path().display());
    assert_eq!(error, expected);
    let missing = SigningKey::load(Path::new("no/such.pem")).unwrap_err().to_string();
    insta::assert_snapshot!(missing, @"cannot read the key no/such.pem: No such file or directory (os error 2)");
}

#[test]
fn sources_hold_the_bytes_that_a_loader_embeds() {
    let key = SigningKey::from_pem(&pem::encode("PRIVATE KEY", &ed25519_der())).unwrap();
    insta::assert_snapshot!(key.public().to_c(), @r"
        /* Ed25519 public key, written by otaru. */
        const unsigned char ed25519_pub_key[] = {
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65,
            0x70, 0x03, 0x21, 0x00, 0x21, 0x52, 0xf8, 0xd1,
            0x9b, 0x79, 0x1d, 0x24, 0x45, 0x32, 0x42, 0xe1,
            0x5f, 0x2e, 0xab, 0x6c, 0xb7, 0xcf, 0xfa, 0x7b,
            0x6a, 0x5e, 0xd3, 0x00, 0x97, 0x96, 0x0e, 0x06,
            0x98, 0x81, 0xdb, 0x12,
        };
        const unsigned int ed25519_pub_key_len = 44;
        ");
    insta::assert_snapshot!(key.public().to_rust(), @r"
        /// Ed25519 public key, written by otaru.
        pub static ED25519_PUB_KEY: [u8; 44] = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65,
            0x70, 0x03, 0x21, 0x00, 0x21, 0x52, 0xf8, 0xd1,
            0x9b, 0x79, 0x1d, 0x24, 0x45, 0x32, 0x42, 0xe1,
            0x5f, 0x2e, 0xab, 0x6c, 0xb7, 0xcf, 0xfa, 0x7b,
            0x6a, 0x5e, 0xd3, 0x00, 0x97, 0x96, 0x0e, 0x06,
            0x98, 0x81, 0xdb, 0x12,
        ];
        ");
    insta::assert_snapshot!(key.public().to_pem(), @r"
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEAIVL40Zt5HSRFMkLhXy6rbLfP+ntqXtMAl5YOBpiB2xI=
        -----END PUBLIC KEY-----
        ");
}
