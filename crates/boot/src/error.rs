use core::convert::Infallible;
use core::fmt;

use otaru_crypto::{KeyIndex, Scheme};
use otaru_flash::FlashAddr;
use otaru_image::tlv::{TlvError, TlvType};
use otaru_image::{Flags, HeaderError};

/// What was being done to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Erasing a sector.
    Erase,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Erase => "erasing",
        })
    }
}

/// Flash refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{access} flash at {at} failed: {error:?}")]
pub struct FlashError<E: fmt::Debug> {
    /// What was being done.
    pub access: Access,
    /// Where.
    pub at: FlashAddr,
    /// What the device said.
    pub error: E,
}

/// Why nothing boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError<E: fmt::Debug> {
    /// Flash failed. What was begun goes on at the next boot.
    #[error(transparent)]
    Flash(#[from] FlashError<E>),
    /// The primary slot holds no image that may run.
    #[error("the primary slot holds nothing that may boot: {0}")]
    NoImage(Rejection),
}

/// Why a slot could not be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError<E: fmt::Debug> {
    /// Flash failed.
    #[error(transparent)]
    Flash(#[from] FlashError<E>),
    /// It holds no image that may run.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

/// The first check that an image fails. Offsets and sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The slot is erased where an image begins.
    #[error("the slot is empty")]
    Empty,
    /// The header contradicts itself, or is none.
    #[error(transparent)]
    Header(HeaderError),
    /// The image says so itself.
    #[error("the image is flagged as not bootable")]
    NotBootable,
    /// The image needs something that this loader does not have.
    #[error("the image is {flags}, which this loader does not support")]
    Unsupported {
        /// The flags of its header.
        flags: Flags,
    },
    /// The image does not fit this layout: see `Layout::max_image_size`.
    #[error("the image takes {size} bytes, and {max} is the most that can be swapped in this layout")]
    TooLarge {
        /// Its size as far as it is known: at least to the end of its protected TLVs.
        size: u32,
        /// The most there may be.
        max: u32,
    },
    /// The TLV areas are not what they say.
    #[error(transparent)]
    Tlv(TlvError<Infallible>),
    /// An unprotected TLV that is not needed to verify an image.
    #[error("{kind} at {offset:#x} is not covered by the signature and must not stand there")]
    Unprotected {
        /// Its type.
        kind: TlvType,
        /// Where its value begins.
        offset: u32,
    },
    /// A hash or key hash of another length.
    #[error("{kind} is {len} bytes long, not 32")]
    Length {
        /// Which TLV.
        kind: TlvType,
        /// Its length.
        len: u16,
    },
    /// No SHA256 TLV.
    #[error("the image carries no SHA-256 of itself")]
    NoHash,
    /// The image is not what its hash says.
    #[error("the image is damaged: its SHA-256 begins {computed}, its hash TLV says {stored}")]
    WrongHash {
        /// First bytes of the hash of what is there.
        computed: HashStart,
        /// First bytes of the hash in the TLV.
        stored: HashStart,
    },
    /// No signature, or none after a key hash.
    #[error("the image carries no signature that names its key")]
    NoSignature,
    /// No signature by a trusted key: none of the key hashes is one.
    #[error("the image is signed by a key that is not trusted: its hash begins {key_hash}")]
    UnknownKey {
        /// First bytes of the last key hash.
        key_hash: HashStart,
    },
    /// A signature that cannot be one of its scheme.
    #[error("a signature of {len} bytes cannot be {scheme}")]
    SignatureLength {
        /// The scheme of the key.
        scheme: Scheme,
        /// The length of the signature.
        len: u16,
    },
    /// A signature that does not verify.
    #[error("the {scheme} signature by trusted key {index} does not verify", index = .key.0)]
    BadSignature {
        /// The key that the image names.
        key: KeyIndex,
        /// Its scheme.
        scheme: Scheme,
    },
}

/// The first four bytes of a hash: enough to tell two apart by eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashStart(pub [u8; 4]);

impl HashStart {
    pub(crate) fn of(hash: &[u8]) -> Self {
        Self(hash.first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for HashStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}
