//! Private keys: made, read from PEM, signing digests.

use super::{KeyError, Kind, LoadError, VerifyingKey, damaged, kind, other_curve, pem, read};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use ed25519_dalek::Signer;
use ed25519_dalek::pkcs8::KeypairBytes;
use otaru_crypto::Scheme;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use sec1::EcPrivateKey;
use std::path::Path;

/// A private key that signs images.
#[derive(Debug)]
pub struct SigningKey {
    secret: Secret,
    public: VerifyingKey,
}

#[derive(Debug)]
enum Secret {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// A fresh key from the operating system's random numbers.
    ///
    /// # Errors
    /// [`KeyError::Random`], or a scheme that no key can be made for.
    pub fn generate(scheme: Scheme) -> Result<Self, KeyError> {
        match scheme {
            Scheme::EcdsaP256 => loop {
                // A random number is a key except in one of 2^32 cases.
                if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&random()?) {
                    return Self::new(Secret::P256(key));
                }
            },
            Scheme::Ed25519 => Self::new(Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&random()?))),
            Scheme::Rsa2048 => RsaKeyPair::generate(KeySize::Rsa2048)
                .map_err(|error| KeyError::Random { reason: error.to_string() })
                .and_then(|key| Self::new(Secret::Rsa(key))),
            other => Err(KeyError::Unsupported { what: format!("a key for {other}") }),
        }
    }

    /// Reads a PEM file with a private key: PKCS#8, or the older forms that OpenSSL writes for EC and RSA.
    ///
    /// # Errors
    /// A file that cannot be read or holds no such key.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::from_pem(&String::from_utf8_lossy(&read(path)?))
            .map_err(|error| LoadError::Key { path: path.into(), error })
    }

    /// The same, from the file's text.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        from_sections(pem::sections(text)?)
    }

    /// PKCS#8 in PEM, not encrypted: to be written to a file that only its owner can read.
    ///
    /// # Errors
    /// [`KeyError::Inconsistent`] if the library that holds the key cannot encode it.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let inconsistent = |reason: String| KeyError::Inconsistent { scheme: self.scheme(), reason };
        let der = match &self.secret {
            Secret::P256(key) => {
                key.to_pkcs8_der().map_err(|error| inconsistent(error.to_string()))?.as_bytes().to_vec()
            }
            // Without the public half: some readers do not know the second version of PKCS#8.
            Secret::Ed25519(key) => KeypairBytes { secret_key: key.to_bytes(), public_key: None }
                .to_pkcs8_der()
                .map_err(|error| inconsistent(error.to_string()))?
                .as_bytes()
                .to_vec(),
            Secret::Rsa(key) => key.as_der().map_err(|error| inconsistent(error.to_string()))?.as_ref().to_vec(),
        };
        Ok(pem::encode("PRIVATE KEY", &der))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Its scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self.secret {
            Secret::P256(_) => Scheme::EcdsaP256,
            Secret::Ed25519(_) => Scheme::Ed25519,
            Secret::Rsa(_) => Scheme::Rsa2048,
        }
    }

    /// The signature over the image whose SHA-256 is `digest`, as its TLV holds it.
    ///
    /// The same for the same input, except for RSA, whose salt is random.
    ///
    /// # Errors
    /// [`KeyError::Inconsistent`] if the library that holds the key refuses to sign with it.
    pub fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        let inconsistent = |reason: String| KeyError::Inconsistent { scheme: self.scheme(), reason };
        match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(digest).map_err(|error| inconsistent(error.to_string()))?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::Ed25519(key) => Ok(key.sign(digest).to_bytes().to_vec()),
            Secret::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                aws_lc_rs::digest::Digest::import_less_safe(digest, &aws_lc_rs::digest::SHA256)
                    .and_then(|digest| key.sign_digest(&RSA_PSS_SHA256, &digest, &mut signature))
                    .map_err(|error| inconsistent(error.to_string()))?;
                Ok(signature)
            }
        }
    }

    fn new(secret: Secret) -> Result<Self, KeyError> {
        let public = match &secret {
            Secret::P256(key) => {
                let encoded = key.verifying_key().to_public_key_der();
                let encoded = encoded
                    .map_err(|error| KeyError::Inconsistent { scheme: Scheme::EcdsaP256, reason: error.to_string() })?;
                VerifyingKey::from_der(encoded.as_bytes())?
            }
            Secret::Ed25519(key) => VerifyingKey::from_der(&spki_of_ed25519(key.verifying_key().as_bytes()))?,
            Secret::Rsa(key) if key.public_modulus_len() != 256 => {
                let bits = key.public_modulus_len() * 8;
                return Err(KeyError::Unsupported { what: format!("an RSA key of {bits} bits") });
            }
            Secret::Rsa(key) => VerifyingKey::from_der(key.public_key().as_ref())?,
        };
        Ok(Self { secret, public })
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|error| damaged(der, &error))?;
        match kind(&info.algorithm) {
            Kind::P256 => sec1(info.private_key.as_bytes()),
            Kind::Ed25519 => ed25519_dalek::SigningKey::try_from(info)
                .map_err(|error| KeyError::Inconsistent { scheme: Scheme::Ed25519, reason: error.to_string() })
                .and_then(|key| Self::new(Secret::Ed25519(key))),
            Kind::Rsa => rsa(RsaKeyPair::from_pkcs8(der)),
            Kind::Other(what) => Err(KeyError::Unsupported { what }),
        }
    }
}

/// The private key of a PEM file.
pub(super) fn from_sections(sections: Vec<pem::Section>) -> Result<SigningKey, KeyError> {
    // OpenSSL puts the name of the curve before an EC key.
    let section = sections.into_iter().find(|section| section.label != "EC PARAMETERS");
    let Some(section) = section else {
        return Err(KeyError::NotAKey { label: "EC PARAMETERS".into(), line: 1 });
    };
    let line = section.line;
    match section.label.as_str() {
        "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted { line }),
        _ if section.encrypted => Err(KeyError::Encrypted { line }),
        "PRIVATE KEY" => SigningKey::from_pkcs8(&section.der),
        "RSA PRIVATE KEY" => rsa(RsaKeyPair::from_der(&section.der)),
        "EC PRIVATE KEY" => sec1(&section.der),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(KeyError::PublicOnly { line }),
        _ => Err(KeyError::NotAKey { label: section.label, line }),
    }
}

fn rsa(key: Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>) -> Result<SigningKey, KeyError> {
    let key = key.map_err(|error| KeyError::Inconsistent { scheme: Scheme::Rsa2048, reason: error.to_string() })?;
    SigningKey::new(Secret::Rsa(key))
}

/// The form of EC keys before PKCS#8, and inside it; it may name its curve and hold the public half.
fn sec1(der: &[u8]) -> Result<SigningKey, KeyError> {
    let inconsistent = |reason: String| KeyError::Inconsistent { scheme: Scheme::EcdsaP256, reason };
    let other = |otherwise| match other_curve(der) {
        Some(what) => KeyError::Unsupported { what: what.into() },
        None => otherwise,
    };
    let parts = EcPrivateKey::from_der(der).map_err(|error| other(damaged(der, &error)))?;
    let key = p256::ecdsa::SigningKey::from_slice(parts.private_key)
        .map_err(|_| other(inconsistent("its private half is not a number of this curve".into())))?;
    // The public half is computed, at the price of a signature; one that comes along must only be the same.
    let point = key.verifying_key().to_sec1_point(false);
    let compressed = key.verifying_key().to_sec1_point(true);
    match parts.public_key {
        Some(public) if public != point.as_bytes() && public != compressed.as_bytes() => {
            Err(inconsistent("its public half does not belong to its private half".into()))
        }
        _ => SigningKey::new(Secret::P256(key)),
    }
}

fn spki_of_ed25519(point: &[u8; 32]) -> Vec<u8> {
    [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], point].concat()
}

fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| KeyError::Random { reason: error.to_string() })?;
    Ok(bytes)
}
