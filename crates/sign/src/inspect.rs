//! Taking an image apart, and telling whether it holds what it says.

use crate::build::signature_type;
use crate::key::VerifyingKey;
use otaru_crypto::{Scheme, Sha256};
use otaru_image::tlv::{Entry, TlvError, TlvType, Walk};
use otaru_image::trailer::{Cell, MAGIC_LEN, Magic, Shape};
use otaru_image::{Header, HeaderError, OutOfRange};

/// An image that was parsed whole: header and TLV areas. Nothing is verified yet.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    header: Header,
    extent: usize,
    entries: Vec<Entry>,
}

/// What lies in the trailer of a padded image, byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerFields {
    /// The magic.
    pub magic: [u8; MAGIC_LEN],
    /// What follows from the magic; `None` where it is not a trailer's.
    pub cells: Option<TrailerCells>,
}

/// The cells before the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerCells {
    /// 1: confirmed, or to be permanent.
    pub image_ok: u8,
    /// 1: the swap is complete.
    pub copy_done: u8,
    /// Kind of swap and image number.
    pub swap_info: u8,
    /// Bytes being swapped.
    pub swap_size: u32,
}

impl<'a> Image<'a> {
    /// Parses the image that `bytes` begin with.
    ///
    /// # Errors
    /// The first thing that contradicts itself.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let header = Header::parse(bytes)?;
        // An image ends within 32 bits; what a longer file holds behind them is not looked at.
        let limit = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut walk = Walk::new(bytes, &header, limit)?;
        let extent = walk.end() as usize;
        let mut entries = Vec::new();
        while let Some(entry) = walk.next_entry()? {
            entries.push(entry);
        }
        Ok(Self { bytes, header, extent, entries })
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The image alone, from its header to the end of its TLVs: what is uploaded.
    #[must_use]
    pub fn image(&self) -> &'a [u8] {
        &self.bytes[..self.extent]
    }

    /// Its TLVs in order, protected ones first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The value of one of its TLVs.
    #[must_use]
    pub fn value(&self, entry: &Entry) -> &'a [u8] {
        &self.bytes[entry.offset as usize..][..usize::from(entry.len)]
    }

    /// The SHA-256 that its hash TLV should hold.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let size = self.header.signed_size().expect("the header was parsed") as usize;
        Sha256::of(&self.bytes[..size])
    }

    /// The value of its SHA256 TLV, which names the image in SMP; `None` where there is none.
    #[must_use]
    pub fn hash(&self) -> Option<[u8; 32]> {
        self.find(TlvType::SHA256).and_then(|value| value.try_into().ok())
    }

    /// What lies behind the image, at the end of a padded file; `None` where nothing does.
    #[must_use]
    pub fn trailer(&self) -> Option<TrailerFields> {
        let behind = &self.bytes[self.extent..];
        let magic = *behind.last_chunk::<MAGIC_LEN>()?;
        let max_align = [8, 16, 32].into_iter().find(|max_align| Magic::bytes(*max_align) == magic);
        let cells = max_align.and_then(|max_align| {
            // Neither of the other two numbers has to do with where the cells lie.
            let shape = Shape { max_align, write_unit: 1, max_sectors: 0 };
            let cell = |cell| behind.len().checked_sub(shape.before_end(cell) as usize).map(|at| &behind[at..]);
            Some(TrailerCells {
                image_ok: cell(Cell::ImageOk)?[0],
                copy_done: cell(Cell::CopyDone)?[0],
                swap_info: cell(Cell::SwapInfo)?[0],
                swap_size: u32::from_le_bytes(*cell(Cell::SwapSize)?.first_chunk()?),
            })
        });
        Some(TrailerFields { magic, cells })
    }

    /// Checks the image hash.
    ///
    /// # Errors
    /// A hash that is missing, of another kind, or does not match.
    pub fn check_hash(&self) -> Result<[u8; 32], VerifyError> {
        if self.header.flags.encrypted() {
            return Err(VerifyError::Encrypted);
        }
        let Some(stored) = self.find(TlvType::SHA256) else {
            let other = [TlvType::SHA384, TlvType::SHA512].into_iter().find(|kind| self.find(*kind).is_some());
            return Err(other.map_or(VerifyError::NoHash, |kind| VerifyError::OtherHash { kind }));
        };
        let stored = stored.try_into().map_err(|_| VerifyError::HashLength { found: stored.len() })?;
        let computed = self.digest();
        if computed == stored { Ok(computed) } else { Err(VerifyError::Hash { stored, computed }) }
    }

    /// Checks the image hash and that one of `keys` signed it; answers which.
    ///
    /// As loaders do it: a key TLV selects the key for the signature that follows it.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify<'k>(&self, keys: &'k [VerifyingKey]) -> Result<&'k VerifyingKey, VerifyError> {
        let digest = self.check_hash()?;
        let (mut selected, mut failed, mut strangers, mut signatures) = (None, None, Vec::new(), 0);
        for entry in &self.entries {
            let value = self.value(entry);
            match entry.kind {
                TlvType::KEYHASH | TlvType::PUBKEY => {
                    let hash = if entry.kind == TlvType::PUBKEY { Sha256::of(value).to_vec() } else { value.to_vec() };
                    selected = keys.iter().find(|key| key.hash()[..] == hash);
                    if selected.is_none() {
                        strangers.push(hex::encode(hash));
                    }
                }
                kind if is_signature(kind) => {
                    signatures += 1;
                    let Some(key) = selected.take() else { continue };
                    let scheme = key.scheme();
                    if kind != signature_type(scheme) {
                        failed = Some(VerifyError::SignatureKind { scheme, found: kind });
                    } else if key.as_public_key().verify(&digest, value).is_ok() {
                        return Ok(key);
                    } else {
                        failed = Some(VerifyError::Signature { scheme });
                    }
                }
                _ => {}
            }
        }
        Err(failed.unwrap_or(if signatures == 0 {
            VerifyError::NotSigned
        } else {
            let trusted = keys.iter().map(|key| hex::encode(key.hash())).collect();
            VerifyError::Stranger { found: strangers, trusted }
        }))
    }

    fn find(&self, kind: TlvType) -> Option<&'a [u8]> {
        self.entries.iter().find(|entry| entry.kind == kind).map(|entry| self.value(entry))
    }
}

/// Whether a TLV holds a signature of any scheme.
#[must_use]
pub fn is_signature(kind: TlvType) -> bool {
    matches!(
        kind,
        TlvType::RSA2048_PSS | TlvType::ECDSA224 | TlvType::ECDSA_SIG | TlvType::RSA3072_PSS | TlvType::ED25519
    )
}

/// Why bytes are no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Its header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Its TLV areas.
    #[error(transparent)]
    Tlv(#[from] TlvError<OutOfRange>),
}

/// Why an image must not be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Its hash is over a payload that only the device can decrypt.
    #[error("the image is encrypted: its hash is over the payload that only the device can decrypt")]
    Encrypted,
    /// No hash TLV.
    #[error("the image has no hash TLV")]
    NoHash,
    /// A hash that loaders of this project do not compute.
    #[error("the image is hashed with {kind}; loaders here use SHA256")]
    OtherHash {
        /// The TLV it has instead.
        kind: TlvType,
    },
    /// A hash TLV of another length than a hash has.
    #[error("the image's SHA256 TLV has {found} bytes, a hash has 32")]
    HashLength {
        /// Its length in bytes.
        found: usize,
    },
    /// The image was changed after it was hashed.
    #[error("the image is damaged: its hash is {}, its TLV says {}", hex::encode(computed), hex::encode(stored))]
    Hash {
        /// What the TLV says.
        stored: [u8; 32],
        /// What the bytes add up to.
        computed: [u8; 32],
    },
    /// No signature at all.
    #[error("the image is not signed")]
    NotSigned,
    /// A signature by somebody else.
    #[error("the image is signed by {}, not by {}", list(found), list(trusted))]
    Stranger {
        /// KEYHASHes it carries.
        found: Vec<String>,
        /// KEYHASHes of the keys it was checked with.
        trusted: Vec<String>,
    },
    /// A signature TLV that does not belong to its key.
    #[error("the image names a key that signs with {scheme}, but carries {found}")]
    SignatureKind {
        /// Scheme of the key.
        scheme: Scheme,
        /// The signature's TLV.
        found: TlvType,
    },
    /// A signature that does not verify.
    #[error("the image's {scheme} signature does not verify: it was changed, or made with another key")]
    Signature {
        /// Scheme of the key.
        scheme: Scheme,
    },
}

fn list(hashes: &[String]) -> String {
    match hashes {
        [] => "a key it does not name".into(),
        [one] => format!("key {one}"),
        several => format!("any of keys {}", several.join(", ")),
    }
}

#[cfg(test)]
mod tests;
