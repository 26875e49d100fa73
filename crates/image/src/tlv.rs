//! The TLV areas after an image's payload. MCUboot image format, `struct image_tlv_info` and `struct image_tlv`.
//!
//! ```text
//!   header.tlv_offset() ─▶ 08 69 total  entries…   protected: covered by the image hash; absent where its size is 0
//!                          07 69 total  entries…   unprotected: hash, key hash, signature
//!   entry: type u16, length u16, value              total counts the 4 bytes of its own info header
//! ```

use crate::{Header, ReadAt};
use core::convert::Infallible;
use core::fmt;

/// Bytes of an area's info header.
pub const INFO_LEN: u16 = 4;
/// Bytes of an entry's header.
pub const ENTRY_LEN: u16 = 4;

/// Magic of the unprotected area.
pub const UNPROTECTED: u16 = 0x6907;
/// Magic of the protected area.
pub const PROTECTED: u16 = 0x6908;

/// What an entry is. Unknown types are values like any other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlvType(pub u16);

impl TlvType {
    /// Hash of the public key that the next signature is by.
    pub const KEYHASH: Self = Self(0x01);
    /// The whole public key.
    pub const PUBKEY: Self = Self(0x02);
    /// SHA-256 of header, payload and protected area.
    pub const SHA256: Self = Self(0x10);
    /// SHA-384 of the same.
    pub const SHA384: Self = Self(0x11);
    /// SHA-512 of the same.
    pub const SHA512: Self = Self(0x12);
    /// RSA-2048 PSS signature.
    pub const RSA2048_PSS: Self = Self(0x20);
    /// Retired.
    pub const ECDSA224: Self = Self(0x21);
    /// ECDSA signature, DER; the key says which curve.
    pub const ECDSA_SIG: Self = Self(0x22);
    /// RSA-3072 PSS signature.
    pub const RSA3072_PSS: Self = Self(0x23);
    /// Ed25519 signature.
    pub const ED25519: Self = Self(0x24);
    /// The signature is over the image, not over its digest.
    pub const SIG_PURE: Self = Self(0x25);
    /// Image key, RSA-OAEP.
    pub const ENC_RSA2048: Self = Self(0x30);
    /// Image key, AES key wrap.
    pub const ENC_KW: Self = Self(0x31);
    /// Image key, ECIES over P-256.
    pub const ENC_EC256: Self = Self(0x32);
    /// Image key, ECIES over X25519.
    pub const ENC_X25519: Self = Self(0x33);
    /// Image key, ECIES over X25519 with SHA-512.
    pub const ENC_X25519_SHA512: Self = Self(0x34);
    /// Another image and the least version it must have.
    pub const DEPENDENCY: Self = Self(0x40);
    /// Security counter.
    pub const SEC_CNT: Self = Self(0x50);
    /// Measured-boot record.
    pub const BOOT_RECORD: Self = Self(0x60);
    /// Payload size once decompressed.
    pub const DECOMP_SIZE: Self = Self(0x70);
    /// Hash of the uncompressed image.
    pub const DECOMP_SHA: Self = Self(0x71);
    /// Signature of the uncompressed image.
    pub const DECOMP_SIGNATURE: Self = Self(0x72);
    /// Compressed size before padding for encryption.
    pub const COMP_DEC_SIZE: Self = Self(0x73);
    /// Vendor UUID.
    pub const UUID_VID: Self = Self(0x74);
    /// Class UUID.
    pub const UUID_CID: Self = Self(0x75);

    /// The name of a known type, as imgtool prints it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::KEYHASH => "KEYHASH",
            Self::PUBKEY => "PUBKEY",
            Self::SHA256 => "SHA256",
            Self::SHA384 => "SHA384",
            Self::SHA512 => "SHA512",
            Self::RSA2048_PSS => "RSA2048",
            Self::ECDSA224 => "ECDSA224",
            Self::ECDSA_SIG => "ECDSASIG",
            Self::RSA3072_PSS => "RSA3072",
            Self::ED25519 => "ED25519",
            Self::SIG_PURE => "SIG_PURE",
            Self::ENC_RSA2048 => "ENCRSA2048",
            Self::ENC_KW => "ENCKW",
            Self::ENC_EC256 => "ENCEC256",
            Self::ENC_X25519 => "ENCX25519",
            Self::ENC_X25519_SHA512 => "ENCX25519_SHA512",
            Self::DEPENDENCY => "DEPENDENCY",
            Self::SEC_CNT => "SEC_CNT",
            Self::BOOT_RECORD => "BOOT_RECORD",
            Self::DECOMP_SIZE => "DECOMP_SIZE",
            Self::DECOMP_SHA => "DECOMP_SHA",
            Self::DECOMP_SIGNATURE => "DECOMP_SIGNATURE",
            Self::COMP_DEC_SIZE => "COMP_DEC_SIZE",
            Self::UUID_VID => "UUID_VID",
            Self::UUID_CID => "UUID_CID",
            _ => return None,
        })
    }
}

impl fmt::Display for TlvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "TLV {:#06x}", self.0),
        }
    }
}

impl fmt::Debug for TlvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One entry: what it is and where its value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its type.
    pub kind: TlvType,
    /// Where its value begins, in bytes from the start of the image.
    pub offset: u32,
    /// Bytes of its value.
    pub len: u16,
    /// Whether it lies in the protected area and so under the hash.
    pub protected: bool,
}

/// The info header of an area whose entries take `entries` bytes with their headers.
/// `None` where the area would be longer than its 16-bit length can say.
#[must_use]
pub fn emit_info(protected: bool, entries: usize) -> Option<[u8; 4]> {
    let total = u16::try_from(entries).ok()?.checked_add(INFO_LEN)?;
    Some(pair(if protected { PROTECTED } else { UNPROTECTED }, total))
}

/// The header of an entry with a value of `len` bytes.
#[must_use]
pub fn emit_entry(kind: TlvType, len: u16) -> [u8; 4] {
    pair(kind.0, len)
}

fn pair(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
    [a, b, c, d]
}

/// Where the image ends: header, payload and both TLV areas, in bytes.
///
/// Reads the info headers only; entries are not looked at.
///
/// # Errors
/// As [`Walk::new`].
pub fn image_extent<R: ReadAt>(reader: R, header: &Header, limit: u32) -> Result<u32, TlvError<R::Error>> {
    Walk::new(reader, header, limit).map(|walk| walk.end())
}

/// A walk over the entries of an image, protected ones first.
///
/// Stricter than MCUboot's in one point: an entry must lie within its own area, not merely before the end of both.
#[derive(Debug)]
pub struct Walk<R> {
    reader: R,
    /// The next entry header.
    at: u32,
    /// End of the protected area, which is where the unprotected info header lies.
    protected_end: u32,
    end: u32,
}

impl<R: ReadAt> Walk<R> {
    /// Starts at the TLV areas of the image with this `header`, of which `limit` bytes from its start may be read:
    /// the size of its slot or file.
    ///
    /// # Errors
    /// Areas that are missing, contradict the header or go past `limit`.
    pub fn new(mut reader: R, header: &Header, limit: u32) -> Result<Self, TlvError<R::Error>> {
        let too_long = |end: Option<u32>| match end {
            Some(end) if end <= limit => Ok(end),
            end => Err(TlvError::TooLong { end: end.unwrap_or(u32::MAX), limit }),
        };
        let start = too_long(header.tlv_offset())?;
        let mut info = |at: u32| -> Result<(u16, u16), TlvError<R::Error>> {
            too_long(at.checked_add(u32::from(INFO_LEN)))?;
            read_pair(&mut reader, at)
        };
        let (magic, total) = info(start)?;
        let mut protected_end = start;
        let mut unprotected = (magic, total);
        if magic == PROTECTED {
            if total != header.protected_size || total < INFO_LEN {
                return Err(TlvError::ProtectedSize { header: header.protected_size, area: total });
            }
            protected_end = too_long(start.checked_add(u32::from(total)))?;
            unprotected = info(protected_end)?;
        } else if header.protected_size != 0 {
            return Err(TlvError::NoProtectedArea { offset: start, header: header.protected_size, found: magic });
        }
        let (magic, total) = unprotected;
        if magic != UNPROTECTED {
            return Err(TlvError::NoArea { offset: protected_end, found: magic });
        }
        if total < INFO_LEN {
            return Err(TlvError::AreaTooShort { offset: protected_end, total });
        }
        let end = too_long(protected_end.checked_add(u32::from(total)))?;
        // Both info headers were read, so the first entry lies behind the first of them.
        let at = start.checked_add(u32::from(INFO_LEN)).unwrap_or(end);
        Ok(Self { reader, at, protected_end, end })
    }

    /// Where the image ends, in bytes from its start.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.end
    }

    /// The next entry, or `None` at the end of both areas.
    ///
    /// # Errors
    /// An entry that does not lie within its area. The walk cannot go on after it.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TlvError<R::Error>> {
        if self.at == self.protected_end {
            self.at = self.protected_end.saturating_add(u32::from(INFO_LEN));
        }
        if self.at >= self.end {
            return Ok(None);
        }
        let protected = self.at < self.protected_end;
        let area_end = if protected { self.protected_end } else { self.end };
        let outside = |at: u32| TlvError::EntryOutside { offset: at, area_end };
        let at = self.at;
        let offset =
            at.checked_add(u32::from(ENTRY_LEN)).filter(|offset| *offset <= area_end).ok_or_else(|| outside(at))?;
        let (kind, len) = read_pair(&mut self.reader, at)?;
        let next = offset
            .checked_add(u32::from(len))
            .filter(|next| *next <= area_end)
            .ok_or(TlvError::ValueOutside { kind: TlvType(kind), offset, len, area_end })?;
        self.at = next;
        Ok(Some(Entry { kind: TlvType(kind), offset, len, protected }))
    }

    /// Reads an entry's value into the front of `out`; `None` where it is longer than `out`.
    ///
    /// # Errors
    /// The reader's own.
    pub fn value<'o>(&mut self, entry: &Entry, out: &'o mut [u8]) -> Result<Option<&'o [u8]>, R::Error> {
        match out.get_mut(..usize::from(entry.len)) {
            Some(value) => {
                self.reader.read_at(entry.offset, value)?;
                Ok(Some(value))
            }
            None => Ok(None),
        }
    }
}

fn read_pair<R: ReadAt>(reader: &mut R, at: u32) -> Result<(u16, u16), TlvError<R::Error>> {
    let mut raw = [0; 4];
    reader.read_at(at, &mut raw).map_err(TlvError::Read)?;
    let [a, b, c, d] = raw;
    Ok((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
}

/// Why the TLV areas of an image cannot be trusted to be what they say. Offsets in bytes from the image's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlvError<E> {
    /// The source of the bytes failed.
    #[error("reading the TLVs failed")]
    Read(E),
    /// The image goes past the end of its slot or file.
    #[error("the image ends at {end:#x} or later, but there are only {limit:#x} bytes")]
    TooLong {
        /// Where the part looked at ends; `u32::MAX` where it does not fit 32 bits.
        end: u32,
        /// Bytes there are.
        limit: u32,
    },
    /// No TLV area where the payload ends.
    #[error("at {offset:#x} begins no TLV area: its magic is {found:#06x}, not {UNPROTECTED:#06x}")]
    NoArea {
        /// Where it was looked for.
        offset: u32,
        /// What is there.
        found: u16,
    },
    /// The header promises a protected area that is not there.
    #[error(
        "the header promises {header} bytes of protected TLVs, but at {offset:#x} the magic is {found:#06x}, not {PROTECTED:#06x}"
    )]
    NoProtectedArea {
        /// Where it was looked for.
        offset: u32,
        /// The `protect_tlv_size` field.
        header: u16,
        /// What is there.
        found: u16,
    },
    /// Header and protected area disagree about its size.
    #[error("the header says {header} bytes of protected TLVs, the area itself says {area}")]
    ProtectedSize {
        /// The `protect_tlv_size` field.
        header: u16,
        /// The area's own total.
        area: u16,
    },
    /// An area shorter than its own info header.
    #[error("the TLV area at {offset:#x} says it is {total} bytes long, the least is {INFO_LEN}")]
    AreaTooShort {
        /// Where it begins.
        offset: u32,
        /// What it says.
        total: u16,
    },
    /// An entry header that does not fit its area.
    #[error("the TLV at {offset:#x} does not fit its area, which ends at {area_end:#x}")]
    EntryOutside {
        /// Where it begins.
        offset: u32,
        /// Where its area ends.
        area_end: u32,
    },
    /// A value that does not fit its area.
    #[error("{kind} at {offset:#x} says it is {len} bytes long, but its area ends at {area_end:#x}")]
    ValueOutside {
        /// Its type.
        kind: TlvType,
        /// Where its value begins.
        offset: u32,
        /// What it says.
        len: u16,
        /// Where its area ends.
        area_end: u32,
    },
}

impl<E> TlvError<E> {
    /// Tells a fault of the image from a failure of what it is read from.
    ///
    /// # Errors
    /// The reader's own error, if that is what it was.
    pub fn fault(self) -> Result<TlvError<Infallible>, E> {
        Ok(match self {
            Self::Read(error) => return Err(error),
            Self::TooLong { end, limit } => TlvError::TooLong { end, limit },
            Self::NoArea { offset, found } => TlvError::NoArea { offset, found },
            Self::NoProtectedArea { offset, header, found } => TlvError::NoProtectedArea { offset, header, found },
            Self::ProtectedSize { header, area } => TlvError::ProtectedSize { header, area },
            Self::AreaTooShort { offset, total } => TlvError::AreaTooShort { offset, total },
            Self::EntryOutside { offset, area_end } => TlvError::EntryOutside { offset, area_end },
            Self::ValueOutside { kind, offset, len, area_end } => {
                TlvError::ValueOutside { kind, offset, len, area_end }
            }
        })
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "offsets of this test's own making")]
mod tests;
