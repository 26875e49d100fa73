//! The trailer at the end of a slot: what was asked for, what was done, and how far a swap has come.
//!
//! ```text
//!   slot ─▶ … │ status records │ swap_size │ swap_info │ copy_done │ image_ok │ magic │ ◀─ end of slot
//!             │ max_sectors × 3│  u32      │ 1 byte    │ 1 byte    │ 1 byte   │ 16    │
//! ```
//!
//! Each field has a cell of the loader's largest alignment ([`Shape::max_align`]); a status record is one write unit.
//! Whatever may be torn by a power cut has three readings, not two: erased, as written, or neither.
//!
//! These are codecs and the two tables that follow from the trailers alone. Where the cells of a given slot lie in
//! flash is for `otaru-layout` to say; what is done about them is for `otaru-boot`.

mod decision;
mod record;
mod shape;

pub use decision::{SwapType, swap_type};
pub use record::Step;
pub use shape::{Cell, Shape};

use core::fmt;

/// Bytes of the magic.
pub const MAGIC_LEN: usize = 16;

const MAGIC_8: [u8; MAGIC_LEN] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
/// What follows the alignment, as a 16-bit number, in the magic of trailers with cells of more than 8 bytes.
const MAGIC_TAIL: [u8; 14] = [0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a];

/// The byte that a set flag holds.
pub const FLAG_SET: u8 = 1;

/// How the magic of a trailer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Magic {
    /// Erased.
    #[default]
    Unset,
    /// The magic.
    Good,
    /// Anything else: torn, or not a trailer.
    Bad,
}

impl Magic {
    /// Reads the magic of a trailer with cells of `max_align` bytes, on a device whose erased bytes are `erased`.
    #[must_use]
    pub fn read(bytes: &[u8; MAGIC_LEN], max_align: u32, erased: u8) -> Self {
        if *bytes == Self::bytes(max_align) {
            Self::Good
        } else if bytes.iter().all(|&byte| byte == erased) {
            Self::Unset
        } else {
            Self::Bad
        }
    }

    /// The magic of a trailer with cells of `max_align` bytes.
    #[must_use]
    pub fn bytes(max_align: u32) -> [u8; MAGIC_LEN] {
        if max_align == 8 {
            return MAGIC_8;
        }
        let [low, high, ..] = max_align.to_le_bytes();
        let mut magic = [0; MAGIC_LEN];
        let (head, tail) = magic.split_at_mut(2);
        head.copy_from_slice(&[low, high]);
        tail.copy_from_slice(&MAGIC_TAIL);
        magic
    }
}

impl fmt::Display for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "unset",
            Self::Good => "good",
            Self::Bad => "bad",
        })
    }
}

/// How a flag byte (`image_ok`, `copy_done`) reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flag {
    /// Erased.
    #[default]
    Unset,
    /// 1.
    Set,
    /// Anything else: torn.
    Bad,
}

impl Flag {
    /// Reads a flag byte, on a device whose erased bytes are `erased`.
    #[must_use]
    pub const fn read(byte: u8, erased: u8) -> Self {
        if byte == erased {
            Self::Unset
        } else if byte == FLAG_SET {
            Self::Set
        } else {
            Self::Bad
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "unset",
            Self::Set => "set",
            Self::Bad => "bad",
        })
    }
}

/// The three fields that decide what happens next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SwapState {
    /// Whether there is a trailer at all.
    pub magic: Magic,
    /// In the primary slot: the image was confirmed. In the secondary: it is to stay once it is swapped in.
    pub image_ok: Flag,
    /// The swap that brought this image here is complete.
    pub copy_done: Flag,
}

impl SwapState {
    /// Whether the trailer is that of a swap that has begun and is not complete, if the other slot's does not speak
    /// against it.
    #[must_use]
    pub fn unfinished(&self) -> bool {
        self.magic == Magic::Good && self.copy_done == Flag::Unset
    }
}

impl fmt::Display for SwapState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("no trailer");
        }
        write!(f, "magic {}, image_ok {}, copy_done {}", self.magic, self.image_ok, self.copy_done)
    }
}

/// The `swap_info` byte: what kind of swap, of which image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SwapInfo {
    /// Kind of swap.
    pub swap_type: SwapType,
    /// Image number, 0 to 15.
    pub image: u8,
}

impl SwapInfo {
    /// Reads the byte; erased bytes and kinds that are none of the four read as no swap of image 0.
    #[must_use]
    pub fn read(byte: u8, erased: u8) -> Self {
        let nothing = Self { swap_type: SwapType::None, image: 0 };
        if byte == erased {
            return nothing;
        }
        match SwapType::from_number(byte & 0x0f) {
            Some(swap_type) => Self { swap_type, image: byte >> 4 },
            None => nothing,
        }
    }

    /// The byte. Of the image number only the low four bits fit.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.image << 4 | self.swap_type.number()
    }
}

#[cfg(test)]
mod tests;
