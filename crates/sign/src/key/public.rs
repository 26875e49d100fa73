//! Public keys: read from PEM or DER, written for the places that embed them.

use super::{KeyError, Kind, LoadError, damaged, kind, pem, read};
use otaru_crypto::{PublicKey, Scheme};
use pkcs8::der::Decode;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use std::fmt::Write;
use std::path::Path;

/// SubjectPublicKeyInfo of an RSA-2048 key up to its PKCS#1 form (RFC 3279 §2.3.1).
const RSA2048_SPKI_PREFIX: [u8; 24] = [
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    0x03, 0x82, 0x01, 0x0f, 0x00,
];

/// A public key that owns its bytes. The form is the one a loader embeds; see [`PublicKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    der: Vec<u8>,
}

impl VerifyingKey {
    /// Reads a key file: PEM (public, or private and then its public half) or the DER that a loader embeds.
    ///
    /// # Errors
    /// A file that cannot be read or holds no such key.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::from_file(&read(path)?).map_err(|error| LoadError::Key { path: path.into(), error })
    }

    /// The same, from the file's bytes.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.first() == Some(&0x30) {
            return Self::from_der(bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        let sections = pem::sections(&text)?;
        match sections.iter().find(|section| section.label == "PUBLIC KEY" || section.label == "RSA PUBLIC KEY") {
            Some(section) => Self::from_der(&section.der),
            None => super::secret::from_sections(sections).map(|key| key.public().clone()),
        }
    }

    /// Reads SubjectPublicKeyInfo, or PKCS#1 `RSAPublicKey`, whatever the scheme.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let embedded = der.strip_prefix(&RSA2048_SPKI_PREFIX).unwrap_or(der);
        match PublicKey::from_der(embedded) {
            Ok(key) => Ok(Self { der: key.der().to_vec() }),
            Err(otaru_crypto::KeyError::NotAKey { scheme }) => {
                Err(KeyError::Inconsistent { scheme, reason: "its numbers cannot be a public key".into() })
            }
            Err(_) => Err(why_not(der)),
        }
    }

    /// As the verifying code takes it.
    #[must_use]
    pub fn as_public_key(&self) -> PublicKey<'_> {
        PublicKey::from_der(&self.der).expect("was checked when it was made")
    }

    /// Its scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.as_public_key().scheme()
    }

    /// What a KEYHASH TLV for this key holds.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.as_public_key().hash()
    }

    /// The bytes that a loader embeds: SubjectPublicKeyInfo for P-256 and Ed25519, PKCS#1 for RSA.
    #[must_use]
    pub fn to_der(&self) -> &[u8] {
        &self.der
    }

    /// SubjectPublicKeyInfo in PEM, whatever the scheme.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let prefix: &[u8] = if self.scheme() == Scheme::Rsa2048 { &RSA2048_SPKI_PREFIX } else { &[] };
        pem::encode("PUBLIC KEY", &[prefix, &self.der].concat())
    }

    /// A C array and its length under the names that MCUboot's sources use.
    #[must_use]
    pub fn to_c(&self) -> String {
        let name = self.short_name();
        let mut text = format!("/* {} public key, written by otaru. */\n", self.scheme());
        let _ = writeln!(text, "const unsigned char {name}_pub_key[] = {{");
        self.rows(&mut text);
        let _ = write!(text, "}};\nconst unsigned int {name}_pub_key_len = {};\n", self.der.len());
        text
    }

    /// A Rust static.
    #[must_use]
    pub fn to_rust(&self) -> String {
        let name = self.short_name().to_uppercase();
        let mut text = format!("/// {} public key, written by otaru.\n", self.scheme());
        let _ = writeln!(text, "pub static {name}_PUB_KEY: [u8; {}] = [", self.der.len());
        self.rows(&mut text);
        text.push_str("];\n");
        text
    }

    fn short_name(&self) -> &'static str {
        match self.scheme() {
            Scheme::EcdsaP256 => "ecdsa",
            Scheme::Ed25519 => "ed25519",
            _ => "rsa",
        }
    }

    fn rows(&self, text: &mut String) {
        for row in self.der.chunks(8) {
            let row: Vec<_> = row.iter().map(|byte| format!("{byte:#04x}")).collect();
            let _ = writeln!(text, "    {},", row.join(", "));
        }
    }
}

/// Why DER that is none of the three shapes is not: another kind of key, or damage.
fn why_not(der: &[u8]) -> KeyError {
    match SubjectPublicKeyInfoRef::from_der(der) {
        Ok(info) => KeyError::Unsupported {
            what: match kind(&info.algorithm) {
                Kind::Other(what) => what,
                Kind::P256 => "an ECDSA P-256 key with a compressed point".into(),
                Kind::Rsa => "an RSA key of another size than 2048 bits, or with another exponent than 65537,".into(),
                Kind::Ed25519 => "an Ed25519 key of another length than 32 bytes".into(),
            },
        },
        Err(error) => damaged(der, &error),
    }
}
