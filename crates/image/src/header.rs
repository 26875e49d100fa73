//! The image header: 32 bytes, little-endian. MCUboot image format, `struct image_header`.

use crate::Version;
use core::fmt;

/// The first four bytes of every image, as a little-endian number.
pub const MAGIC: u32 = 0x96f3_b83d;

/// Bytes of the header that carry fields. [`Header::header_size`] may be larger; the rest is padding, and hashed.
pub const HEADER_LEN: usize = 32;

/// Magic of the obsolete first format.
const MAGIC_V1: u32 = 0x96f3_b83c;

/// What an image header says. All sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// RAM address with [`Flags::RAM_LOAD`], flash address with [`Flags::ROM_FIXED`], otherwise 0.
    pub load_address: u32,
    /// From the start of the image to its payload; at least [`HEADER_LEN`].
    pub header_size: u16,
    /// The protected TLV area with its info header; 0 where there is none.
    pub protected_size: u16,
    /// The payload alone.
    pub image_size: u32,
    /// Flags.
    pub flags: Flags,
    /// Version.
    pub version: Version,
}

impl Header {
    /// Reads a header from the start of an image.
    ///
    /// The last four bytes are padding and are not looked at, as in MCUboot.
    ///
    /// # Errors
    /// What contradicts itself within these 32 bytes. Whether the image fits its slot is the caller's to say.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (magic, header) = fields(bytes).ok_or(HeaderError::Truncated { len: bytes.len() })?;
        match magic {
            MAGIC => {}
            MAGIC_V1 => return Err(HeaderError::ObsoleteFormat),
            found => return Err(HeaderError::Magic { found }),
        }
        if usize::from(header.header_size) < HEADER_LEN {
            return Err(HeaderError::HeaderSize { found: header.header_size });
        }
        if header.flags.contains(Flags::ENCRYPTED_AES128.with(Flags::ENCRYPTED_AES256))
            || header.flags.contains(Flags::COMPRESSED_LZMA1.with(Flags::COMPRESSED_LZMA2))
        {
            return Err(HeaderError::ConflictingFlags { found: header.flags });
        }
        if header.signed_size().is_none() {
            return Err(HeaderError::TooLarge { image_size: header.image_size });
        }
        Ok(header)
    }

    /// The header's bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&self.load_address.to_le_bytes());
        out[8..10].copy_from_slice(&self.header_size.to_le_bytes());
        out[10..12].copy_from_slice(&self.protected_size.to_le_bytes());
        out[12..16].copy_from_slice(&self.image_size.to_le_bytes());
        out[16..20].copy_from_slice(&self.flags.0.to_le_bytes());
        out[20] = self.version.major;
        out[21] = self.version.minor;
        out[22..24].copy_from_slice(&self.version.revision.to_le_bytes());
        out[24..28].copy_from_slice(&self.version.build.to_le_bytes());
        out
    }

    /// Where the TLV areas begin, in bytes from the start of the image. `None` past the end of the 32-bit space,
    /// which [`Header::parse`] refuses.
    #[must_use]
    pub fn tlv_offset(&self) -> Option<u32> {
        u32::from(self.header_size).checked_add(self.image_size)
    }

    /// How many bytes the image hash covers: header, payload and protected TLVs. `None` as for
    /// [`Header::tlv_offset`].
    #[must_use]
    pub fn signed_size(&self) -> Option<u32> {
        self.tlv_offset()?.checked_add(u32::from(self.protected_size))
    }
}

/// The magic and everything else, unjudged; `None` where there are less than 32 bytes.
fn fields(bytes: &[u8]) -> Option<(u32, Header)> {
    let mut rest = bytes.get(..HEADER_LEN)?;
    let magic = u32::from_le_bytes(take(&mut rest)?);
    let load_address = u32::from_le_bytes(take(&mut rest)?);
    let header_size = u16::from_le_bytes(take(&mut rest)?);
    let protected_size = u16::from_le_bytes(take(&mut rest)?);
    let image_size = u32::from_le_bytes(take(&mut rest)?);
    let flags = Flags(u32::from_le_bytes(take(&mut rest)?));
    let [major, minor] = take(&mut rest)?;
    let revision = u16::from_le_bytes(take(&mut rest)?);
    let build = u32::from_le_bytes(take(&mut rest)?);
    let version = Version { major, minor, revision, build };
    Some((magic, Header { load_address, header_size, protected_size, image_size, flags, version }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

/// The flag bits of a header. Bits without a name are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Position independent; nobody supports it.
    pub const PIC: Self = Self(0x1);
    /// Payload encrypted with AES-128-CTR.
    pub const ENCRYPTED_AES128: Self = Self(0x4);
    /// Payload encrypted with AES-256-CTR.
    pub const ENCRYPTED_AES256: Self = Self(0x8);
    /// Not to be booted by itself: data, or an image for another core.
    pub const NON_BOOTABLE: Self = Self(0x10);
    /// To be copied to RAM at the load address.
    pub const RAM_LOAD: Self = Self(0x20);
    /// Must run from the flash address in the load address.
    pub const ROM_FIXED: Self = Self(0x100);
    /// Payload compressed with LZMA1.
    pub const COMPRESSED_LZMA1: Self = Self(0x200);
    /// Payload compressed with LZMA2.
    pub const COMPRESSED_LZMA2: Self = Self(0x400);
    /// Payload ran through the ARM Thumb filter before it was compressed.
    pub const COMPRESSED_ARM_THUMB: Self = Self(0x800);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::PIC, "PIC"),
        (Self::ENCRYPTED_AES128, "ENCRYPTED_AES128"),
        (Self::ENCRYPTED_AES256, "ENCRYPTED_AES256"),
        (Self::NON_BOOTABLE, "NON_BOOTABLE"),
        (Self::RAM_LOAD, "RAM_LOAD"),
        (Self::ROM_FIXED, "ROM_FIXED"),
        (Self::COMPRESSED_LZMA1, "COMPRESSED_LZMA1"),
        (Self::COMPRESSED_LZMA2, "COMPRESSED_LZMA2"),
        (Self::COMPRESSED_ARM_THUMB, "COMPRESSED_ARM_THUMB"),
    ];

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the payload is encrypted, with either key length.
    #[must_use]
    pub const fn encrypted(self) -> bool {
        self.0 & (Self::ENCRYPTED_AES128.0 | Self::ENCRYPTED_AES256.0) != 0
    }

    /// Whether the payload is compressed.
    #[must_use]
    pub const fn compressed(self) -> bool {
        self.0 & (Self::COMPRESSED_LZMA1.0 | Self::COMPRESSED_LZMA2.0) != 0
    }

    /// The names of the bits that are set and have one, lowest bit first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| name)
    }

    /// The bits that are set and have no name.
    #[must_use]
    pub fn unnamed(self) -> Self {
        Self(Self::NAMES.into_iter().fold(self.0, |rest, (bit, _)| rest & !bit.0))
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for name in self.names() {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
        match self.unnamed() {
            Self(0) if separator.is_empty() => f.write_str("none"),
            Self(0) => Ok(()),
            Self(rest) => write!(f, "{separator}{rest:#x}"),
        }
    }
}

/// Why bytes are no image header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Less bytes than a header has.
    #[error("an image header has {HEADER_LEN} bytes, here are {len}")]
    Truncated {
        /// Bytes there are.
        len: usize,
    },
    /// Another magic: not an image, or an erased slot.
    #[error("not an image: the magic is {found:#010x}, an image has {MAGIC:#010x}")]
    Magic {
        /// The first four bytes.
        found: u32,
    },
    /// The magic of the format before MCUboot 1.0.
    #[error("an image of the obsolete first format (magic {MAGIC_V1:#010x})")]
    ObsoleteFormat,
    /// The header would overlap the payload.
    #[error("the header says it is {found} bytes long, the least is {HEADER_LEN}")]
    HeaderSize {
        /// The `hdr_size` field.
        found: u16,
    },
    /// Two flags that exclude each other.
    #[error("flags that exclude each other: {found}")]
    ConflictingFlags {
        /// All flags.
        found: Flags,
    },
    /// Sizes that add up to more than 32 bits.
    #[error("a payload of {image_size:#x} bytes does not fit a 32-bit address space with its header and TLVs")]
    TooLarge {
        /// The `img_size` field.
        image_size: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const HEADER: Header = Header {
        load_address: 0x2000_1000,
        header_size: 0x0200,
        protected_size: 0x000c,
        image_size: 0x0001_2344,
        flags: Flags(0x0000_0030),
        version: Version::new(1, 2, 0x0304, 0x0506_0708),
    };

    /// Do not edit these bytes when the test fails: they are the format.
    #[rustfmt::skip]
    const BYTES: [u8; HEADER_LEN] = [
        0x3d, 0xb8, 0xf3, 0x96, // magic
        0x00, 0x10, 0x00, 0x20, // load address
        0x00, 0x02,             // header size
        0x0c, 0x00,             // protected TLV size
        0x44, 0x23, 0x01, 0x00, // image size
        0x30, 0x00, 0x00, 0x00, // flags: NON_BOOTABLE, RAM_LOAD
        0x01, 0x02, 0x04, 0x03, // major, minor, revision
        0x08, 0x07, 0x06, 0x05, // build
        0x00, 0x00, 0x00, 0x00, // padding
    ];

    fn with(at: usize, bytes: &[u8]) -> [u8; HEADER_LEN] {
        let mut raw = BYTES;
        raw[at..][..bytes.len()].copy_from_slice(bytes);
        raw
    }

    #[test]
    fn the_bytes_are_the_format() {
        assert_eq!(Header::parse(&BYTES), Ok(HEADER));
        assert_eq!(HEADER.emit(), BYTES);
        assert_eq!(HEADER.tlv_offset(), Some(0x0001_2544));
        assert_eq!(HEADER.signed_size(), Some(0x0001_2550));
    }

    #[test]
    fn padding_is_ignored_and_every_prefix_refused() {
        assert_eq!(Header::parse(&with(28, &[0xff; 4])), Ok(HEADER));
        for len in 0..HEADER_LEN {
            assert_eq!(Header::parse(&BYTES[..len]), Err(HeaderError::Truncated { len }));
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_in_words() {
        let refused = |raw: &[u8]| Header::parse(raw).unwrap_err().to_string();
        insta::assert_snapshot!(refused(&BYTES[..31]), @"an image header has 32 bytes, here are 31");
        insta::assert_snapshot!(refused(&[0xff; 32]), @"not an image: the magic is 0xffffffff, an image has 0x96f3b83d");
        insta::assert_snapshot!(refused(&with(0, &[0x3c])), @"an image of the obsolete first format (magic 0x96f3b83c)");
        insta::assert_snapshot!(refused(&with(8, &[31, 0])), @"the header says it is 31 bytes long, the least is 32");
        insta::assert_snapshot!(refused(&with(16, &[0x0c, 0])), @"flags that exclude each other: ENCRYPTED_AES128 | ENCRYPTED_AES256");
        insta::assert_snapshot!(refused(&with(16, &[0, 6])), @"flags that exclude each other: COMPRESSED_LZMA1 | COMPRESSED_LZMA2");
        insta::assert_snapshot!(refused(&with(12, &[0xff; 4])), @"a payload of 0xffffffff bytes does not fit a 32-bit address space with its header and TLVs");
    }

    #[test]
    fn flags_are_named_and_unknown_bits_kept() {
        insta::assert_snapshot!(Flags::NONE, @"none");
        insta::assert_snapshot!(Flags(0x30), @"NON_BOOTABLE | RAM_LOAD");
        insta::assert_snapshot!(Flags(0x8000_0101), @"PIC | ROM_FIXED | 0x80000000");
        insta::assert_snapshot!(Flags(0x2), @"0x2");
        assert!(Flags(0x4).encrypted() && Flags(0x8).encrypted() && !Flags(0x30).encrypted());
        assert!(Flags(0x200).compressed() && Flags(0x400).compressed() && !Flags(0x800).compressed());
    }
}
