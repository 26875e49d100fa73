//! Messages of the image group, number 1.

use crate::cbor::{DecodeError, EncodeError, Item, List, Reader, Writer, head_size, once};
use crate::header::command::image as command;
use crate::text::Text;
use crate::{Body, Group, HEADER_SIZE, Op, Request};

/// Bytes of an image header: an upload's first piece must hold that many.
pub const IMAGE_HEADER_SIZE: usize = 32;

/// Asks for the list of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateRequest;

/// Asks for an image to be tested or confirmed. Answered with a [`StateResponse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetStateRequest<'a> {
    /// The image's hash, as the list shows it; absent for the running image.
    pub hash: Option<&'a [u8]>,
    /// Whether to confirm it, rather than to test it at the next boot.
    pub confirm: bool,
}

/// The list of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateResponse<'a> {
    /// The slots that hold an image.
    pub images: List<'a, SlotState<'a>>,
    /// Always 0; a relic that some clients read (`splitStatus`).
    pub split_status: Option<u32>,
}

/// A slot that holds an image. What a server leaves out is false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotState<'a> {
    /// The image's number; left out by devices with a single image.
    pub image: Option<u32>,
    /// The slot within the image: 0 primary, 1 secondary.
    pub slot: u32,
    /// The version, `1.2.3` or `1.2.3.4` with a build number.
    pub version: &'a str,
    /// The hash from the image's TLV area, which is not the hash of the file. Old loaders leave it out.
    pub hash: Option<&'a [u8]>,
    /// Whether it can be booted.
    pub bootable: bool,
    /// Whether it will be booted next.
    pub pending: bool,
    /// Whether it stays, or is what a revert brings back.
    pub confirmed: bool,
    /// Whether it is running.
    pub active: bool,
    /// Whether, being pending, it will stay.
    pub permanent: bool,
}

/// A piece of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadRequest<'a> {
    /// Where the piece starts in the file, in bytes. Required; `None` only when a request without it was received.
    pub offset: Option<u32>,
    /// The piece.
    pub data: &'a [u8],
    /// Bytes of the whole file (`len`); with offset 0 only.
    pub len: Option<u32>,
    /// SHA-256 of the whole file (`sha`), or the start of it; with offset 0 only. What an upload is resumed by.
    pub sha: Option<&'a [u8]>,
    /// The image's number; with offset 0 only, 0 if absent.
    pub image: Option<u32>,
    /// Whether to refuse an image that is not newer than the one that runs; with offset 0 only.
    pub upgrade: bool,
}

/// How far the upload has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadResponse {
    /// The offset the server wants next: bytes it has so far (`off`).
    pub offset: u32,
    /// On the last answer: whether the slot's content has the SHA-256 that was announced (`match`).
    pub matches: Option<bool>,
}

/// Asks for a slot to be erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EraseRequest {
    /// The slot, counted through all images: 2·image + slot. Absent for the slot beside the running one.
    pub slot: Option<u32>,
}

/// The slot is erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EraseResponse;

/// Asks for the sizes of the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotInfoRequest;

/// The sizes of the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotInfoResponse<'a> {
    /// Per image number, its slots.
    pub images: List<'a, ImageSlots<'a>>,
}

/// The slots of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageSlots<'a> {
    /// The image's number.
    pub image: u32,
    /// Its slots.
    pub slots: List<'a, SlotInfo>,
    /// Bytes of the largest image that fits, header and TLVs included.
    pub max_image_size: Option<u32>,
}

/// One slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotInfo {
    /// The slot within the image: 0 primary, 1 secondary.
    pub slot: u32,
    /// Its size in bytes.
    pub size: Option<u32>,
    /// What an upload must give as image number to reach this slot, where that is possible.
    pub upload_image_id: Option<u32>,
    /// Why the device cannot tell.
    pub rc: Option<u16>,
}

/// A version as the image list writes it: `1.2.3`, with a fourth number where there is a build number.
#[must_use]
pub fn version_text(major: u8, minor: u8, revision: u16, build: u32) -> Text<24> {
    if build == 0 {
        Text::of(format_args!("{major}.{minor}.{revision}"))
    } else {
        Text::of(format_args!("{major}.{minor}.{revision}.{build}"))
    }
}

impl<'a> UploadRequest<'a> {
    /// The first piece of an upload.
    #[must_use]
    pub const fn first(data: &'a [u8], len: u32, sha: Option<&'a [u8]>) -> Self {
        Self { offset: Some(0), data, len: Some(len), sha, image: None, upgrade: false }
    }

    /// A later piece.
    #[must_use]
    pub const fn next(offset: u32, data: &'a [u8]) -> Self {
        Self { offset: Some(offset), data, len: None, sha: None, image: None, upgrade: false }
    }

    /// Bytes that this request takes beside a piece of `data_len` bytes: SMP header, CBOR map, all keys and values, and
    /// the head of the data. Exact; `self.data` does not count.
    #[must_use]
    pub const fn overhead(&self, data_len: usize) -> usize {
        let mut size = HEADER_SIZE.saturating_add(1);
        size = size.saturating_add(number_entry_size("off", self.offset));
        size = size.saturating_add(number_entry_size("len", self.len));
        if let Some(sha) = self.sha {
            size = size.saturating_add(entry_size("sha", head_size(sha.len()))).saturating_add(sha.len());
        }
        size = size.saturating_add(number_entry_size("image", self.image));
        if self.upgrade {
            size = size.saturating_add(entry_size("upgrade", 1));
        }
        size.saturating_add(entry_size("data", head_size(data_len)))
    }

    /// The most bytes of data that this request can carry in a message of `frame` bytes, or `None` if it does not fit
    /// even without any.
    #[must_use]
    pub fn capacity(&self, frame: usize) -> Option<usize> {
        // What is left for the data and its head: a head of 1, 2, 3 or 5 bytes announces so many bytes of data at most.
        let left = frame.checked_sub(self.overhead(0).saturating_sub(1))?;
        let heads = [(1, 0x17), (2, 0xff), (3, 0xffff), (5, 0xffff_ffff)];
        heads.into_iter().filter_map(|(head, most)| Some(left.checked_sub(head)?.min(most))).max()
    }

    /// How many entries the body has.
    fn entries(&self) -> usize {
        [self.offset.is_some(), self.len.is_some(), self.sha.is_some(), self.image.is_some(), self.upgrade]
            .into_iter()
            .filter(|is| *is)
            .count()
            .saturating_add(1)
    }
}

/// Bytes of a short key and a value of `value` bytes.
const fn entry_size(key: &str, value: usize) -> usize {
    key.len().saturating_add(1).saturating_add(value)
}

/// Bytes of a short key and its number, or none.
const fn number_entry_size(key: &str, n: Option<u32>) -> usize {
    #[expect(clippy::as_conversions, reason = "widening in a const fn; usize has at least 32 bits where this runs")]
    match n {
        Some(n) => entry_size(key, head_size(n as usize)),
        None => 0,
    }
}

impl<'a> Body<'a> for SetStateRequest<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(1_usize.saturating_add(usize::from(self.hash.is_some())))?;
        if let Some(hash) = self.hash {
            writer.bytes_entry("hash", hash)?;
        }
        writer.bool_entry("confirm", self.confirm)?;
        Ok(writer.written())
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut hash, mut confirm) = (None, None);
        Reader::new(body).map(|key, value| match key {
            "hash" => once(&mut hash, value, Reader::bytes),
            "confirm" => once(&mut confirm, value, Reader::bool),
            _ => value.skip(),
        })?;
        Ok(Self { hash, confirm: confirm.unwrap_or(false) })
    }
}

impl<'a> Body<'a> for StateResponse<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(1_usize.saturating_add(usize::from(self.split_status.is_some())))?;
        writer.text("images")?;
        self.images.write(&mut writer)?;
        writer.optional_entry("splitStatus", self.split_status)?;
        Ok(writer.written())
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut images, mut split_status) = (None, None);
        Reader::new(body).map(|key, value| match key {
            "images" => once(&mut images, value, List::read),
            "splitStatus" => once(&mut split_status, value, Reader::u32),
            _ => value.skip(),
        })?;
        Ok(Self { images: images.ok_or(DecodeError::Missing { key: "images" })?, split_status })
    }
}

impl<'a> Item<'a> for SlotState<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (mut image, mut slot, mut version, mut hash) = (None, None, None, None);
        let (mut bootable, mut pending, mut confirmed, mut active, mut permanent) = (None, None, None, None, None);
        reader.map(|key, value| match key {
            "image" => once(&mut image, value, Reader::u32),
            "slot" => once(&mut slot, value, Reader::u32),
            "version" => once(&mut version, value, Reader::text),
            "hash" => once(&mut hash, value, Reader::bytes),
            "bootable" => once(&mut bootable, value, Reader::bool),
            "pending" => once(&mut pending, value, Reader::bool),
            "confirmed" => once(&mut confirmed, value, Reader::bool),
            "active" => once(&mut active, value, Reader::bool),
            "permanent" => once(&mut permanent, value, Reader::bool),
            _ => value.skip(),
        })?;
        Ok(Self {
            image,
            slot: slot.ok_or(DecodeError::Missing { key: "slot" })?,
            version: version.ok_or(DecodeError::Missing { key: "version" })?,
            hash,
            bootable: bootable.unwrap_or(false),
            pending: pending.unwrap_or(false),
            confirmed: confirmed.unwrap_or(false),
            active: active.unwrap_or(false),
            permanent: permanent.unwrap_or(false),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let optional = usize::from(self.image.is_some()).saturating_add(usize::from(self.hash.is_some()));
        writer.map(optional.saturating_add(7))?;
        writer.optional_entry("image", self.image)?;
        writer.unsigned_entry("slot", self.slot)?;
        writer.text_entry("version", self.version)?;
        if let Some(hash) = self.hash {
            writer.bytes_entry("hash", hash)?;
        }
        writer.bool_entry("bootable", self.bootable)?;
        writer.bool_entry("pending", self.pending)?;
        writer.bool_entry("confirmed", self.confirmed)?;
        writer.bool_entry("active", self.active)?;
        writer.bool_entry("permanent", self.permanent)
    }
}

impl<'a> Body<'a> for UploadRequest<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(self.entries())?;
        writer.optional_entry("off", self.offset)?;
        writer.optional_entry("len", self.len)?;
        if let Some(sha) = self.sha {
            writer.bytes_entry("sha", sha)?;
        }
        writer.optional_entry("image", self.image)?;
        if self.upgrade {
            writer.bool_entry("upgrade", true)?;
        }
        writer.bytes_entry("data", self.data)?;
        Ok(writer.written())
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut offset, mut data, mut len, mut sha, mut image, mut upgrade) = (None, None, None, None, None, None);
        Reader::new(body).map(|key, value| match key {
            "off" => once(&mut offset, value, Reader::u32),
            "data" => once(&mut data, value, Reader::bytes),
            "len" => once(&mut len, value, Reader::u32),
            "sha" => once(&mut sha, value, Reader::bytes),
            "image" => once(&mut image, value, Reader::u32),
            "upgrade" => once(&mut upgrade, value, Reader::bool),
            _ => value.skip(),
        })?;
        Ok(Self { offset, data: data.unwrap_or_default(), len, sha, image, upgrade: upgrade.unwrap_or(false) })
    }
}

impl Body<'_> for UploadResponse {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(1_usize.saturating_add(usize::from(self.matches.is_some())))?;
        writer.unsigned_entry("off", self.offset)?;
        if let Some(matches) = self.matches {
            writer.bool_entry("match", matches)?;
        }
        Ok(writer.written())
    }

    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (mut offset, mut matches) = (None, None);
        Reader::new(body).map(|key, value| match key {
            "off" => once(&mut offset, value, Reader::u32),
            "match" => once(&mut matches, value, Reader::bool),
            _ => value.skip(),
        })?;
        Ok(Self { offset: offset.ok_or(DecodeError::Missing { key: "off" })?, matches })
    }
}

impl Body<'_> for EraseRequest {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(usize::from(self.slot.is_some()))?;
        writer.optional_entry("slot", self.slot)?;
        Ok(writer.written())
    }

    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut slot = None;
        Reader::new(body).map(|key, value| match key {
            "slot" => once(&mut slot, value, Reader::u32),
            _ => value.skip(),
        })?;
        Ok(Self { slot })
    }
}

impl<'a> Body<'a> for SlotInfoResponse<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(1)?;
        writer.text("images")?;
        self.images.write(&mut writer)?;
        Ok(writer.written())
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut images = None;
        Reader::new(body).map(|key, value| match key {
            "images" => once(&mut images, value, List::read),
            _ => value.skip(),
        })?;
        Ok(Self { images: images.ok_or(DecodeError::Missing { key: "images" })? })
    }
}

impl<'a> Item<'a> for ImageSlots<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (mut image, mut slots, mut max_image_size) = (None, None, None);
        reader.map(|key, value| match key {
            "image" => once(&mut image, value, Reader::u32),
            "slots" => once(&mut slots, value, List::read),
            "max_image_size" => once(&mut max_image_size, value, Reader::u32),
            _ => value.skip(),
        })?;
        Ok(Self {
            image: image.ok_or(DecodeError::Missing { key: "image" })?,
            slots: slots.ok_or(DecodeError::Missing { key: "slots" })?,
            max_image_size,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.map(2_usize.saturating_add(usize::from(self.max_image_size.is_some())))?;
        writer.unsigned_entry("image", self.image)?;
        writer.text("slots")?;
        self.slots.write(writer)?;
        writer.optional_entry("max_image_size", self.max_image_size)
    }
}

impl<'a> Item<'a> for SlotInfo {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (mut slot, mut size, mut upload_image_id, mut rc) = (None, None, None, None);
        reader.map(|key, value| match key {
            "slot" => once(&mut slot, value, Reader::u32),
            "size" => once(&mut size, value, Reader::u32),
            "upload_image_id" => once(&mut upload_image_id, value, Reader::u32),
            "rc" => once(&mut rc, value, Reader::u16),
            _ => value.skip(),
        })?;
        Ok(Self { slot: slot.ok_or(DecodeError::Missing { key: "slot" })?, size, upload_image_id, rc })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let optional = [self.size.is_some(), self.upload_image_id.is_some(), self.rc.is_some()];
        writer.map(optional.into_iter().filter(|is| *is).count().saturating_add(1))?;
        writer.unsigned_entry("slot", self.slot)?;
        writer.optional_entry("size", self.size)?;
        writer.optional_entry("upload_image_id", self.upload_image_id)?;
        writer.optional_entry("rc", self.rc)
    }
}

crate::body::empty_bodies!(StateRequest, EraseResponse, SlotInfoRequest);

crate::body::requests! {
    StateRequest, READ, IMAGE, command::STATE => StateResponse<'r>;
    SetStateRequest<'a>, WRITE, IMAGE, command::STATE => StateResponse<'r>;
    UploadRequest<'a>, WRITE, IMAGE, command::UPLOAD => UploadResponse;
    EraseRequest, WRITE, IMAGE, command::ERASE => EraseResponse;
    SlotInfoRequest, READ, IMAGE, command::SLOT_INFO => SlotInfoResponse<'r>;
}
