//! Keys on a host: made, read from files, signing.

mod pem;
mod public;
mod secret;

pub use pem::PemError;
pub use public::VerifyingKey;
pub use secret::SigningKey;

use otaru_crypto::Scheme;
use pkcs8::ObjectIdentifier;
use pkcs8::spki::AlgorithmIdentifierRef;
use std::path::{Path, PathBuf};

/// The name of a scheme's keys where they are typed: in commands and project files.
#[must_use]
pub fn type_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::EcdsaP256 => "p256",
        Scheme::Ed25519 => "ed25519",
        Scheme::Rsa2048 => "rsa-2048",
        _ => "unknown",
    }
}

/// Why a file holds no key that can be used for what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not PEM, or damaged PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A key that is encrypted with a passphrase.
    #[error(
        "line {line}: the key is encrypted with a passphrase, which otaru cannot read yet; decrypt it first: openssl pkey -in FILE -out DECRYPTED"
    )]
    Encrypted {
        /// Line of its BEGIN.
        line: usize,
    },
    /// A public key where a private one is needed.
    #[error("line {line}: the file holds only a public key; signing needs the private key it belongs to")]
    PublicOnly {
        /// Line of its BEGIN.
        line: usize,
    },
    /// A PEM section that is no key.
    #[error("line {line}: this is a PEM section {label:?}, not a key")]
    NotAKey {
        /// What stands after BEGIN.
        label: String,
        /// Line of its BEGIN.
        line: usize,
    },
    /// A key of a kind that images are not signed with here.
    #[error("{what} cannot sign images here: use ECDSA P-256, Ed25519 or RSA-2048")]
    Unsupported {
        /// What it is.
        what: String,
    },
    /// Damage in the DER inside the PEM, or in a DER file.
    #[error("the key's DER is damaged at byte {offset} of {len}: {reason}")]
    Der {
        /// Byte at which reading stopped.
        offset: usize,
        /// Bytes there are.
        len: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Whole DER, but numbers that are no key.
    #[error("the {scheme} key is inconsistent: {reason}")]
    Inconsistent {
        /// Its scheme.
        scheme: Scheme,
        /// What is wrong.
        reason: String,
    },
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },
}

/// Why a key file could not be used, with its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the key {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The file was read but is no such key.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: KeyError,
    },
}

/// Reads a key file whole; no key is longer than this, so a wrong file is not read to its end.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    use std::io::Read;
    const MAX_LEN: u64 = 64 * 1024;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_LEN).read_to_end(&mut bytes))
        .map_err(|error| LoadError::Read { path: path.into(), error })?;
    Ok(bytes)
}

/// What kind of key an algorithm identifier means.
enum Kind {
    P256,
    Ed25519,
    Rsa,
    Other(String),
}

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// Others that users have come with, by object identifier of the algorithm or the curve.
const OTHERS: [(&str, &str); 8] = [
    ("1.3.132.0.33", "an ECDSA P-224 key"),
    ("1.3.132.0.34", "an ECDSA P-384 key"),
    ("1.3.132.0.35", "an ECDSA P-521 key"),
    ("1.3.132.0.10", "a secp256k1 key"),
    ("1.3.101.110", "an X25519 key (it encrypts images)"),
    ("1.3.101.113", "an Ed448 key"),
    ("1.2.840.113549.1.1.10", "an RSA key restricted to PSS"),
    ("1.2.840.10040.4.1", "a DSA key"),
];

fn kind(algorithm: &AlgorithmIdentifierRef<'_>) -> Kind {
    let named = match algorithm.oid {
        ED25519 => return Kind::Ed25519,
        RSA => return Kind::Rsa,
        EC => match algorithm.parameters_oid() {
            Ok(P256) => return Kind::P256,
            Ok(curve) => curve,
            Err(_) => return Kind::Other("an EC key without a named curve".into()),
        },
        other => other,
    };
    let oid = named.to_string();
    let name = OTHERS.iter().find(|(known, _)| *known == oid).map(|(_, name)| (*name).to_owned());
    Kind::Other(name.unwrap_or_else(|| format!("a key of algorithm {oid}")))
}

/// The kind of key whose object identifier occurs somewhere in `der`, if it is one of [`OTHERS`].
fn other_curve(der: &[u8]) -> Option<&'static str> {
    let occurs = |oid: &str| {
        let oid = ObjectIdentifier::new_unwrap(oid);
        der.windows(oid.as_bytes().len()).any(|window| window == oid.as_bytes())
    };
    OTHERS.iter().find(|(oid, _)| occurs(oid)).map(|(_, name)| *name)
}

/// Damage in `der`, at the place where the parser stopped.
fn damaged(der: &[u8], error: &pkcs8::der::Error) -> KeyError {
    let offset = error.position().and_then(|at| usize::try_from(at).ok()).unwrap_or(0).min(der.len());
    KeyError::Der { offset, len: der.len(), reason: error.kind().to_string() }
}

#[cfg(test)]
mod tests;
