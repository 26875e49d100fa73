//! The image group's store: the two slots of a [`Layout`] in flash.

use crate::{Board, Event};
use core::fmt::Debug;
use embassy_futures::yield_now;
use otaru_boot::request::{Pending, RequestError, Status};
use otaru_boot::{FlashError, Options, Rejection, VerifiedImage, VerifyError, request, verify};
use otaru_crypto::{Digest, TrustedKeys};
use otaru_flash::{AsyncFlash, FlashAddr, ReadFlash};
use otaru_image::tlv::{TlvType, Walk};
use otaru_image::trailer;
use otaru_image::{Flags, HEADER_LEN, Header, HeaderError, MAGIC, ReadAt, Version};
use otaru_layout::{Layout, Slot};
use otaru_smp::ImageError;
use otaru_smp_server::{Candidate, Failure, ImageStore, SlotImage, SwapType};

/// The slots, and the keys of those who may make what runs from them.
pub(crate) struct Slots<'a, F, K, B> {
    flash: F,
    layout: Layout,
    keys: K,
    options: Options,
    board: &'a B,
    /// The image in the secondary slot, since it was verified and as long as nothing there changes.
    verified: Option<VerifiedImage>,
    /// The image that was admitted last, until its upload begins.
    admitted: Option<Admitted>,
}

/// What is known of an image before it is there.
#[derive(Clone, Copy)]
struct Admitted {
    version: Version,
    /// Bytes of the file.
    len: u32,
    /// Where its TLVs will be: header, payload and protected TLVs end there.
    tlvs: u32,
}

/// Bytes read at a time where a sector or slot is gone through.
const CHUNK: usize = 256;

impl<'a, F: AsyncFlash, K: TrustedKeys, B: Board> Slots<'a, F, K, B> {
    pub(crate) const fn new(flash: F, layout: Layout, keys: K, options: Options, board: &'a B) -> Self {
        Self { flash, layout, keys, options, board, verified: None, admitted: None }
    }

    /// What the trailers ask the loader for.
    pub(crate) fn status(&mut self) -> Result<Status, FlashError<F::Error>> {
        request::status(&mut self.flash, &self.layout)
    }

    /// Makes the running image permanent.
    ///
    /// # Interruption
    /// As [`request::confirm`].
    pub(crate) async fn confirm(&mut self) -> Result<(), FlashError<F::Error>> {
        request::confirm(&mut self.flash, &self.layout).await?;
        self.board.event(Event::Confirmed);
        Ok(())
    }

    fn reader(&mut self, slot: Slot) -> SlotReader<'_, F> {
        SlotReader { flash: &mut self.flash, layout: &self.layout, slot }
    }

    /// The header of the image in a slot, if there is one.
    fn header(&mut self, slot: Slot) -> Result<Option<Header>, Failure> {
        let mut raw = [0; HEADER_LEN];
        self.reader(slot).read_at(0, &mut raw).map_err(unreadable)?;
        Ok(Header::parse(&raw).ok())
    }

    /// The SHA-256 TLV of the image in a slot; `None` where its TLVs cannot be walked.
    fn hash(&mut self, slot: Slot, header: &Header) -> Result<Option<[u8; 32]>, Failure> {
        let limit = self.layout.area(slot).len;
        let Ok(mut walk) = Walk::new(self.reader(slot), header, limit) else { return Ok(None) };
        while let Ok(Some(entry)) = walk.next_entry() {
            if entry.kind == TlvType::SHA256 {
                let mut hash = [0; 32];
                let whole = walk.value(&entry, &mut hash).map_err(unreadable)?;
                return Ok(whole.and_then(|value| value.try_into().ok()));
            }
        }
        Ok(None)
    }

    fn is_blank(&mut self, at: FlashAddr, len: u32, erased: u8) -> Result<bool, Failure> {
        let mut buffer = [0; CHUNK];
        let mut done = 0;
        while let Some(chunk) = chunk(&mut buffer, len, done) {
            let from = at.plus(done).ok_or(Failure::new(ImageError::INVALID_OFFSET))?;
            self.flash
                .read(from, chunk)
                .map_err(|error| Failure::new(ImageError::FLASH_READ_FAILED).because(Words(error)))?;
            if chunk.iter().any(|byte| *byte != erased) {
                return Ok(false);
            }
            done = done.saturating_add(length(chunk));
        }
        Ok(true)
    }

    /// Erases the sector at `index` unless it is blank.
    async fn erase_sector(&mut self, slot: Slot, index: u32) -> Result<(), Failure> {
        let Some(at) = self.layout.sector(slot, index) else { return Ok(()) };
        let len = self.layout.sector_size();
        if self.is_blank(at, len, self.layout.erased(slot))? {
            return Ok(());
        }
        let erased = self.flash.erase(at, len).await;
        erased.map_err(|error| Failure::new(ImageError::FLASH_ERASE_FAILED).because(Words(error)))
    }

    /// What a candidate's header says against it.
    fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Admitted, Failure> {
        let invalid = Failure::new(ImageError::INVALID_IMAGE_HEADER);
        let header = Header::parse(candidate.header).map_err(|error| invalid.because(error))?;
        let flags = header.flags;
        if flags.encrypted() || flags.compressed() {
            return Err(invalid.because(format_args!("the image is {flags}, which this device cannot install")));
        }
        // Behind the signed part comes at least the info header of a TLV area.
        let tlvs = header.signed_size().unwrap_or(u32::MAX);
        let least = tlvs.saturating_add(otaru_image::tlv::INFO_LEN.into());
        if least > candidate.len {
            let len = candidate.len;
            let reason = format_args!("the image's header speaks of {least} bytes or more, the file has {len}");
            return Err(Failure::new(ImageError::INVALID_LENGTH).because(reason));
        }
        let version = header.version;
        if candidate.upgrade {
            let running = self.header(Slot::Primary)?.ok_or(Failure::new(ImageError::VERSION_GET_FAILED))?.version;
            if version.cmp_ignoring_build(&running).is_le() {
                let reason =
                    format_args!("{version} is not newer than {running}, which runs (build numbers do not count)");
                return Err(Failure::new(ImageError::CURRENT_VERSION_IS_NEWER).because(reason));
            }
        }
        Ok(Admitted { version, len: candidate.len, tlvs })
    }

    /// Erases the sector at `offset` of a slot unless it is blank; tells where it ends.
    async fn erase_sector_of(&mut self, slot: Slot, offset: u32) -> Result<u32, Failure> {
        let index = offset.checked_div(self.layout.sector_size()).unwrap_or(u32::MAX);
        if index >= self.layout.sectors(slot) {
            return Err(Failure::new(ImageError::INVALID_OFFSET));
        }
        self.erase_sector(slot, index).await?;
        Ok(index.saturating_add(1).saturating_mul(self.layout.sector_size()))
    }
}

impl<F: AsyncFlash, K: TrustedKeys, B: Board> ImageStore for Slots<'_, F, K, B> {
    fn active_slot(&self) -> u8 {
        0
    }

    fn slot_size(&self, slot: u8) -> u32 {
        self.layout.area(numbered(slot)).len
    }

    fn max_image_size(&self) -> u32 {
        self.layout.max_image_size()
    }

    fn write_unit(&self) -> usize {
        usize::try_from(self.layout.write_unit(Slot::Secondary).bytes()).unwrap_or(usize::MAX)
    }

    fn erased_value(&self) -> u8 {
        self.layout.erased(Slot::Secondary)
    }

    async fn swap_type(&mut self) -> Result<SwapType, Failure> {
        Ok(match self.status().map_err(flash_failure)?.next {
            trailer::SwapType::None => SwapType::None,
            trailer::SwapType::Test => SwapType::Test,
            trailer::SwapType::Permanent => SwapType::Permanent,
            trailer::SwapType::Revert => SwapType::Revert,
        })
    }

    async fn image(&mut self, slot: u8) -> Result<Option<SlotImage>, Failure> {
        let slot = numbered(slot);
        let Some(header) = self.header(slot)? else { return Ok(None) };
        let Some(hash) = self.hash(slot, &header)? else { return Ok(None) };
        let Version { major, minor, revision, build } = header.version;
        let bootable = !header.flags.contains(Flags::NON_BOOTABLE);
        Ok(Some(SlotImage { major, minor, revision, build, hash, bootable }))
    }

    fn is_image(&self, header: &[u8; HEADER_LEN]) -> bool {
        header.starts_with(&MAGIC.to_le_bytes())
    }

    async fn admit(&mut self, candidate: &Candidate<'_>) -> Result<(), Failure> {
        self.admitted = Some(self.judge(candidate)?);
        Ok(())
    }

    async fn prepare(&mut self, slot: u8) -> Result<(), Failure> {
        self.verified = None;
        let slot = numbered(slot);
        if slot == Slot::Primary {
            return Err(Failure::new(ImageError::INVALID_SLOT));
        }
        let admitted = self.admitted.take();
        if let Some(Admitted { version, len, .. }) = admitted {
            self.board.event(Event::UploadBegan { version, len });
        }
        request::cancel(&mut self.flash, &self.layout).await.map_err(flash_failure)?;
        // The TLVs of an earlier image of the same size must not be found behind this one's header, should it stay half
        // uploaded: it would be listed, with the other's hash.
        if let Some(Admitted { tlvs, .. }) = admitted {
            self.erase_sector_of(slot, tlvs).await?;
        }
        Ok(())
    }

    async fn erase_sector_at(&mut self, slot: u8, offset: u32) -> Result<u32, Failure> {
        self.erase_sector_of(numbered(slot), offset).await
    }

    async fn write(&mut self, slot: u8, offset: u32, data: &[u8]) -> Result<(), Failure> {
        let at = self.layout.address(numbered(slot), offset).ok_or(Failure::new(ImageError::INVALID_OFFSET))?;
        let written = self.flash.write(at, data).await;
        written.map_err(|error| Failure::new(ImageError::FLASH_WRITE_FAILED).because(Words(error)))
    }

    async fn read(&mut self, slot: u8, offset: u32, out: &mut [u8]) -> Result<(), Failure> {
        self.reader(numbered(slot)).read_at(offset, out).map_err(unreadable)
    }

    async fn holds(&mut self, slot: u8, len: u32, sha: &[u8; 32]) -> Result<bool, Failure> {
        let mut digest = K::Digest::new();
        let mut buffer = [0; CHUNK];
        let mut done = 0;
        while let Some(chunk) = chunk(&mut buffer, len, done) {
            self.reader(numbered(slot)).read_at(done, chunk).map_err(unreadable)?;
            digest.update(chunk);
            done = done.saturating_add(length(chunk));
            // Hundreds of kilobytes to hash: the radio's tasks get their turns in between.
            yield_now().await;
        }
        Ok(digest.finish() == *sha)
    }

    async fn erase(&mut self, slot: u8) -> Result<(), Failure> {
        (self.verified, self.admitted) = (None, None);
        if numbered(slot) == Slot::Primary {
            return Err(Failure::new(ImageError::INVALID_SLOT));
        }
        request::erase(&mut self.flash, &self.layout).await.map_err(|error| match error {
            RequestError::Flash(error) => flash_failure(error),
            error => Failure::new(ImageError::NO_FREE_SLOT).because(error),
        })?;
        self.board.event(Event::Erased);
        Ok(())
    }

    /// Reads the whole slot in one go, while nothing else on this executor goes on: the check is the loader's own. It takes
    /// what the loader takes for it at each boot; radio controllers keep their links meanwhile, hosts answer late.
    async fn verify(&mut self, slot: u8) -> Result<(), Failure> {
        match verify(&mut self.flash, &self.layout, numbered(slot), &self.keys, &self.options) {
            Ok(image) => {
                self.verified = Some(image);
                Ok(())
            }
            Err(VerifyError::Flash(error)) => Err(flash_failure(error)),
            Err(VerifyError::Rejected(rejection)) => {
                self.board.event(Event::Rejected(rejection));
                Err(Failure::new(rejection_code(&rejection)).because(rejection))
            }
            Err(_) => Err(Failure::new(ImageError::UNKNOWN)),
        }
    }

    async fn set_pending(&mut self, permanent: bool) -> Result<(), Failure> {
        let Some(image) = self.verified else { return Err(Failure::new(ImageError::NO_IMAGE)) };
        let how = if permanent { Pending::Permanent } else { Pending::Test };
        request::set_pending(&mut self.flash, &self.layout, &image, how).await.map_err(|error| match error {
            RequestError::Flash(error) => flash_failure(error),
            RequestError::OnTrial => Failure::new(ImageError::IMAGE_ALREADY_PENDING).because(error),
            _ => Failure::new(ImageError::IMAGE_SETTING_TEST_TO_ACTIVE_DENIED).because(error),
        })?;
        self.board.event(Event::Pending { permanent });
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), Failure> {
        Self::confirm(self).await.map_err(flash_failure)
    }
}

/// A slot as a source of image bytes.
struct SlotReader<'a, F> {
    flash: &'a mut F,
    layout: &'a Layout,
    slot: Slot,
}

impl<F: ReadFlash> ReadAt for SlotReader<'_, F> {
    type Error = Words<F::Error>;

    fn read_at(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Self::Error> {
        let area = self.layout.area(self.slot);
        let at = FlashAddr::new(area.device, area.offset.saturating_add(offset));
        self.flash.read(at, out).map_err(Words)
    }
}

/// A flash device's error, as it describes itself.
struct Words<E>(E);

impl<E: Debug> core::fmt::Display for Words<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "flash: {:?}", self.0)
    }
}

fn unreadable<E: Debug>(error: Words<E>) -> Failure {
    Failure::new(ImageError::FLASH_READ_FAILED).because(error)
}

fn flash_failure<E: Debug>(error: FlashError<E>) -> Failure {
    let code = match error.access {
        otaru_boot::Access::Read => ImageError::FLASH_READ_FAILED,
        otaru_boot::Access::Write => ImageError::FLASH_WRITE_FAILED,
        otaru_boot::Access::Erase => ImageError::FLASH_ERASE_FAILED,
    };
    Failure::new(code).because(error)
}

/// The image group's code that says best why the loader would not boot an image. It has none for signatures and for
/// damage, whose words stand with [`ImageError::INVALID_TLV`]; its [`ImageError::INVALID_HASH`] is about requests.
fn rejection_code(rejection: &Rejection) -> ImageError {
    match rejection {
        Rejection::Empty => ImageError::NO_IMAGE,
        Rejection::Header(HeaderError::Magic { .. }) => ImageError::INVALID_IMAGE_HEADER_MAGIC,
        Rejection::Header(_) | Rejection::NotBootable | Rejection::Unsupported { .. } => {
            ImageError::INVALID_IMAGE_HEADER
        }
        Rejection::TooLarge { .. } => ImageError::INVALID_IMAGE_TOO_LARGE,
        Rejection::NoHash => ImageError::NO_TLVS,
        Rejection::Length { .. } => ImageError::TLV_INVALID_SIZE,
        _ => ImageError::INVALID_TLV,
    }
}

/// Clients number slots, [`Layout`] names them.
const fn numbered(slot: u8) -> Slot {
    if slot == 0 { Slot::Primary } else { Slot::Secondary }
}

/// The front of `buffer` for what is left of `len` bytes after `done`; `None` when nothing is.
fn chunk(buffer: &mut [u8], len: u32, done: u32) -> Option<&mut [u8]> {
    let left = usize::try_from(len.checked_sub(done)?).ok().filter(|left| *left > 0)?;
    let take = left.min(buffer.len());
    buffer.get_mut(..take)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
