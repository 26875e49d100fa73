//! What [`Images`](super::Images) needs of an application: slots, flash, verification.

use crate::Failure;
use otaru_smp::image::IMAGE_HEADER_SIZE;

/// What the bootloader will do at the next boot, from the trailers as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapType {
    /// Boot the running image again.
    None,
    /// Boot the other slot's image, on trial.
    Test,
    /// Boot the other slot's image, for good.
    Permanent,
    /// Go back to the other slot's image: the one that runs is on trial and not confirmed.
    Revert,
}

/// An image found in a slot: one whose header and hash can be read. Not a word on whether it is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotImage {
    /// Version: major.
    pub major: u8,
    /// Version: minor.
    pub minor: u8,
    /// Version: revision.
    pub revision: u16,
    /// Version: build number.
    pub build: u32,
    /// The SHA-256 from its TLV area.
    pub hash: [u8; 32],
    /// Whether its header lets it be booted.
    pub bootable: bool,
}

/// What the first piece of an upload says of the image that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The image's header.
    pub header: &'a [u8; IMAGE_HEADER_SIZE],
    /// Bytes of the whole file.
    pub len: u32,
    /// Whether the peer wants it refused unless it is newer than what runs.
    pub upgrade: bool,
}

/// The slots of a device with one image, slot 0 primary and slot 1 secondary.
///
/// Offsets and lengths are in bytes, from the start of a slot. The words of a [`Failure`] reach the peer's user.
///
/// # Interruption
/// Dropping one of the futures before it is ready, like a power cut, leaves the operation half done. The rules above it
/// take such an upload for lost, and bootloaders take such a slot for empty or corrupt.
#[expect(async_fn_in_trait, reason = "device executors are single-threaded: no Send bound is wanted")]
pub trait ImageStore {
    /// The slot that runs: 0 or 1.
    fn active_slot(&self) -> u8;

    /// A slot's size.
    fn slot_size(&self, slot: u8) -> u32;

    /// The largest file that a slot of this layout takes, header and TLVs included.
    fn max_image_size(&self) -> u32;

    /// Writes start at a multiple of this and are a multiple of it long; at most 32.
    fn write_unit(&self) -> usize;

    /// What flash reads where it is erased: the last write of an image is filled up with it.
    fn erased_value(&self) -> u8;

    /// What the next boot will do.
    ///
    /// # Errors
    /// If flash cannot be read.
    async fn swap_type(&mut self) -> Result<SwapType, Failure>;

    /// The image in `slot`, or `None` where there is none that could be listed.
    ///
    /// # Errors
    /// If flash cannot be read.
    async fn image(&mut self, slot: u8) -> Result<Option<SlotImage>, Failure>;

    /// Whether these bytes start as an image's header does (its magic number).
    fn is_image(&self, header: &[u8; IMAGE_HEADER_SIZE]) -> bool;

    /// Looks at an image that is to be uploaded: its sizes against its length and the layout, its version against what
    /// runs if `candidate.upgrade` is set. The server has checked `candidate.len` against
    /// [`max_image_size`](Self::max_image_size).
    ///
    /// # Errors
    /// [`otaru_smp::ImageError::INVALID_IMAGE_TOO_LARGE`], [`otaru_smp::ImageError::CURRENT_VERSION_IS_NEWER`] or
    /// whatever else speaks against it.
    async fn admit(&mut self, candidate: &Candidate<'_>) -> Result<(), Failure>;

    /// Makes `slot` ready for an upload from its start: its trailer is erased, so that nothing is pending and no later
    /// request meets what an earlier image left. Sectors that are blank need no erasing.
    ///
    /// # Interruption
    /// The slot's image may be gone. Nothing is pending any more, or what was pending is still whole.
    ///
    /// # Errors
    /// If flash cannot be erased.
    async fn prepare(&mut self, slot: u8) -> Result<(), Failure>;

    /// Erases the sector of `slot` that `offset` lies in and tells where it ends. A sector that is blank needs no
    /// erasing.
    ///
    /// # Interruption
    /// The sector may hold anything.
    ///
    /// # Errors
    /// If flash cannot be erased.
    async fn erase_sector_at(&mut self, slot: u8, offset: u32) -> Result<u32, Failure>;

    /// Writes to erased flash. Offset and length keep to [`write_unit`](Self::write_unit), but `data` may lie anywhere
    /// in memory.
    ///
    /// # Interruption
    /// The bytes written may hold anything.
    ///
    /// # Errors
    /// If flash cannot be written.
    async fn write(&mut self, slot: u8, offset: u32, data: &[u8]) -> Result<(), Failure>;

    /// Reads.
    ///
    /// # Errors
    /// If flash cannot be read.
    async fn read(&mut self, slot: u8, offset: u32, out: &mut [u8]) -> Result<(), Failure>;

    /// Whether the first `len` bytes of `slot` have this SHA-256.
    ///
    /// # Errors
    /// If flash cannot be read.
    async fn holds(&mut self, slot: u8, len: u32, sha: &[u8; 32]) -> Result<bool, Failure>;

    /// Erases a whole slot, trailer included.
    ///
    /// # Interruption
    /// Part of the slot may be left. The trailer goes first: nothing is pending any more, or what was pending is still
    /// whole.
    ///
    /// # Errors
    /// If flash cannot be erased.
    async fn erase(&mut self, slot: u8) -> Result<(), Failure>;

    /// Verifies the image in `slot` as the bootloader will: structure, hash, signature.
    ///
    /// # Errors
    /// What the bootloader would reject it for, as a code of the image group, in words.
    async fn verify(&mut self, slot: u8) -> Result<(), Failure>;

    /// Has the bootloader run the image in the slot that does not run: for good if `permanent`, else on trial.
    ///
    /// # Interruption
    /// Asked for wholly or not at all.
    ///
    /// # Errors
    /// If flash cannot be written.
    async fn set_pending(&mut self, permanent: bool) -> Result<(), Failure>;

    /// Makes the running image, which is on trial, permanent.
    ///
    /// # Interruption
    /// Confirmed wholly or not at all.
    ///
    /// # Errors
    /// If flash cannot be written.
    async fn confirm(&mut self) -> Result<(), Failure>;
}
