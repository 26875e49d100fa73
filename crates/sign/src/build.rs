//! Making a signed image out of firmware.

use crate::key::{KeyError, SigningKey};
use otaru_crypto::{Digest, Scheme, Sha256};
use otaru_image::tlv::{ENTRY_LEN, INFO_LEN, TlvType, emit_entry, emit_info};
use otaru_image::trailer::{Cell, FLAG_SET, MAGIC_LEN, Magic};
use otaru_image::{Flags, HEADER_LEN, Header, MAGIC, Version};
use otaru_layout::{Layout, Mode, Slot};
use std::borrow::Cow;

/// Erased value where no layout says another one.
const ERASED: u8 = 0xff;

/// More bytes than a hash, a key's hash and a signature take.
const ROOM_FOR_TLVS: usize = 1024;

/// Header size of images where nothing says another one: room for a vector table of 128 words behind it.
pub const DEFAULT_HEADER_SIZE: u16 = 0x200;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The version to write into the header.
    pub version: Version,
    /// Bytes from the start of the image to its payload.
    pub header_size: u16,
    /// Put room for the header in front of the firmware. Otherwise the firmware must begin with as many zeros.
    pub pad_header: bool,
    /// The device it is for: limits the size, places the trailer.
    pub layout: Option<&'a Layout>,
    /// What the loader is told besides.
    pub request: Request,
}

/// What a trailer behind the image asks of the loader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Request {
    /// No trailer: the image alone.
    #[default]
    None,
    /// A trailer for the secondary slot: test this image at the next boot.
    Test,
    /// A trailer for the primary slot, confirmed: a factory image. In a secondary slot of the same size it asks for a
    /// permanent update.
    Confirmed,
}

/// A signed image and the trailer that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedImage {
    header: Header,
    image: Vec<u8>,
    digest: [u8; 32],
    trailer: Option<Trailer>,
}

/// Runs of bytes near the end of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trailer {
    slot: Slot,
    slot_len: u32,
    erased: u8,
    /// Offset in the slot and what goes there.
    cells: Vec<(u32, Vec<u8>)>,
}

/// Signs firmware.
///
/// The unprotected area holds SHA256, KEYHASH and the signature, in this order, as imgtool has them. Same input, same
/// bytes, except for RSA's random salt.
///
/// # Errors
/// [`SignError`].
pub fn sign(firmware: &[u8], key: &SigningKey, plan: &Plan<'_>) -> Result<SignedImage, SignError> {
    sign_in_place(firmware.to_vec(), key, plan)
}

/// Like [`sign`], for firmware that is needed no more: it becomes the image without a second copy in memory.
///
/// # Errors
/// [`SignError`].
pub fn sign_in_place(firmware: Vec<u8>, key: &SigningKey, plan: &Plan<'_>) -> Result<SignedImage, SignError> {
    let (header, mut image) = unsigned(firmware, plan)?;
    let digest = digest_of(&image);
    let signature = key.sign(&digest)?;
    let entries: [(TlvType, &[u8]); 3] = [
        (TlvType::SHA256, &digest),
        (TlvType::KEYHASH, &key.public().hash()),
        (signature_type(key.scheme()), &signature),
    ];
    let area = entries.iter().map(|(_, value)| usize::from(ENTRY_LEN) + value.len()).sum();
    image.extend(emit_info(false, area).expect("three short entries"));
    for (kind, value) in entries {
        image.extend(emit_entry(kind, u16::try_from(value.len()).expect("a digest or a signature")));
        image.extend_from_slice(value);
    }
    if let Some(layout) = plan.layout {
        check_size(image.len(), layout)?;
    }
    Ok(SignedImage { header, image, digest, trailer: trailer(plan)? })
}

/// The TLV that holds a signature of this scheme.
#[must_use]
pub fn signature_type(scheme: Scheme) -> TlvType {
    match scheme {
        Scheme::Rsa2048 => TlvType::RSA2048_PSS,
        Scheme::Ed25519 => TlvType::ED25519,
        _ => TlvType::ECDSA_SIG,
    }
}

impl SignedImage {
    /// Its header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The image from its header to the end of its TLVs: what is uploaded.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// The image hash, which names the image in SMP.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The slot that its trailer is for, if it has one.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.trailer.as_ref().map(|trailer| trailer.slot)
    }

    /// Contents of a binary file: the image, or with a trailer the whole slot.
    #[must_use]
    pub fn to_bin(&self) -> Cow<'_, [u8]> {
        let Some(trailer) = &self.trailer else { return Cow::Borrowed(&self.image) };
        let mut bytes = self.image.clone();
        bytes.resize(trailer.slot_len as usize, trailer.erased);
        for (offset, cell) in &trailer.cells {
            bytes[*offset as usize..][..cell.len()].copy_from_slice(cell);
        }
        Cow::Owned(bytes)
    }

    /// Contents of an Intel HEX file for a slot that begins at `base`: the image and the trailer's fields, with
    /// nothing described between them, so that programming it leaves the rest erased.
    ///
    /// # Errors
    /// An image that goes past the end of the address space.
    pub fn to_hex(&self, base: u32) -> Result<String, crate::hex::HexError> {
        let mut runs = vec![(base, self.image.as_slice())];
        for (offset, cell) in self.trailer.iter().flat_map(|trailer| &trailer.cells) {
            let past = crate::hex::HexError::Address { address: base, len: *offset as usize };
            runs.push((base.checked_add(*offset).ok_or(past)?, cell));
        }
        crate::hex::write(&runs)
    }
}

/// Header and payload, checked.
fn unsigned(firmware: Vec<u8>, plan: &Plan<'_>) -> Result<(Header, Vec<u8>), SignError> {
    let header_size = usize::from(plan.header_size);
    if header_size < HEADER_LEN {
        return Err(SignError::HeaderSize { found: plan.header_size });
    }
    if firmware.starts_with(&MAGIC.to_le_bytes()) {
        return Err(SignError::AlreadyAnImage);
    }
    let payload = if plan.pad_header { &firmware } else { after_zeros(&firmware, plan.header_size)? };
    if payload.is_empty() {
        return Err(SignError::Empty);
    }
    let total = header_size + payload.len();
    // Room for the TLVs as well: a signed image ends within 32 bits.
    let image_size = u32::try_from(payload.len()).ok().filter(|_| u32::try_from(total + 0x1_0000).is_ok());
    let image_size = image_size.ok_or(SignError::TooLong { len: payload.len() })?;
    let header = Header {
        load_address: 0,
        header_size: plan.header_size,
        protected_size: 0,
        image_size,
        flags: Flags::NONE,
        version: plan.version,
    };
    let mut image = firmware;
    image.reserve_exact(total + usize::from(INFO_LEN) + ROOM_FOR_TLVS - image.len());
    if plan.pad_header {
        let erased = plan.layout.map_or(ERASED, |layout| layout.erased(Slot::Primary));
        image.splice(..0, std::iter::repeat_n(erased, header_size));
    }
    image[..HEADER_LEN].copy_from_slice(&header.emit());
    Ok((header, image))
}

/// The firmware behind the zeros that it left for the header.
fn after_zeros(firmware: &[u8], header_size: u16) -> Result<&[u8], SignError> {
    let Some((room, payload)) = firmware.split_at_checked(usize::from(header_size)) else {
        return Err(SignError::ShorterThanHeader { len: firmware.len(), header_size });
    };
    match room.iter().position(|byte| *byte != 0) {
        Some(offset) => Err(SignError::NoRoomForHeader { offset, found: room[offset], header_size }),
        None => Ok(payload),
    }
}

fn digest_of(image: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(image);
    digest.finish()
}

fn check_size(size: usize, layout: &Layout) -> Result<(), SignError> {
    let max = layout.max_image_size();
    if size <= max as usize {
        return Ok(());
    }
    let slots = (layout.area(Slot::Primary).len, layout.area(Slot::Secondary).len);
    Err(SignError::TooLarge { size, max, mode: layout.mode(), slot: slots.0.min(slots.1) })
}

fn trailer(plan: &Plan<'_>) -> Result<Option<Trailer>, SignError> {
    let slot = match plan.request {
        Request::None => return Ok(None),
        Request::Test => Slot::Secondary,
        Request::Confirmed => Slot::Primary,
    };
    let layout = plan.layout.ok_or(SignError::TrailerWithoutLayout)?;
    let (shape, slot_len, erased) = (layout.trailer(), layout.area(slot).len, layout.erased(slot));
    let unit = layout.write_unit(slot).bytes() as usize;
    let mut cells = Vec::new();
    if plan.request == Request::Confirmed {
        let mut flag = vec![erased; unit];
        flag[0] = FLAG_SET;
        cells.push((slot_len - shape.before_end(Cell::ImageOk), flag));
    }
    let cell = shape.before_end(Cell::Magic);
    let mut magic = vec![erased; cell as usize - MAGIC_LEN];
    magic.extend(Magic::bytes(shape.max_align));
    cells.push((slot_len - cell, magic));
    Ok(Some(Trailer { slot, slot_len, erased, cells }))
}

/// Why firmware cannot be signed. Sizes and offsets in bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A header too small for its fields.
    #[error("a header of {found} bytes is too small: it needs at least {HEADER_LEN}")]
    HeaderSize {
        /// What was asked for.
        found: u16,
    },
    /// The input is an image already.
    #[error("this is an image already: it begins with an image's magic; sign the firmware it was made from")]
    AlreadyAnImage,
    /// No firmware behind the header.
    #[error("there is no firmware: the input ends where the payload should begin")]
    Empty,
    /// Firmware shorter than the room for its header.
    #[error("the firmware has {len} bytes and should begin with {header_size} zeros for the header")]
    ShorterThanHeader {
        /// Bytes of the input.
        len: usize,
        /// Bytes of the header.
        header_size: u16,
    },
    /// Firmware that does not leave room for the header.
    #[error("the firmware should begin with {header_size} zeros for the header, but byte {offset} is {found:#04x}")]
    NoRoomForHeader {
        /// The first byte that is not zero.
        offset: usize,
        /// Its value.
        found: u8,
        /// Bytes of the header.
        header_size: u16,
    },
    /// Firmware that no 32-bit device can hold.
    #[error("firmware of {len} bytes fits no 32-bit address space")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// An image that the loader of this layout could not swap.
    #[error("the image has {size} bytes with header and signature, {over} more than the {max} that {mode} can swap in slots of {slot} bytes", over = size - *max as usize)]
    TooLarge {
        /// Bytes from the header to the end of the TLVs.
        size: usize,
        /// What the layout allows.
        max: u32,
        /// The layout's mode.
        mode: Mode,
        /// Bytes of the smaller slot.
        slot: u32,
    },
    /// A trailer is asked for, but where slots end is not known.
    #[error("a trailer lies at the end of a slot, so it needs a layout")]
    TrailerWithoutLayout,
    /// The key refused.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[cfg(test)]
mod tests;
