//! [`Images`]: the image group over an [`ImageStore`].

use super::store::{Candidate, ImageStore, SwapType};
use super::upload::{File, Sha, Upload, overrun};
use super::{ImageGroup, state};
use crate::{Failure, Gate};
use otaru_smp::image::{
    EraseRequest, IMAGE_HEADER_SIZE, ImageSlots, SetStateRequest, SlotInfo, SlotInfoResponse, UploadRequest,
    UploadResponse,
};
use otaru_smp::{Body, ImageError, List};

/// The image group of a device with one image in two slots.
///
/// # Who owns an upload
/// There is one upload at a time. The connection that began it owns it while it lasts: chunks and erasures from other
/// connections are answered `BUSY`. A first chunk with the same `sha` and length goes on with it from any connection
/// and then owns it: that is the same client, back before its old connection was found dead. When the owner's
/// connection ends, and always where the transport has no connections (UDP, serial), anybody may go on with the upload
/// or replace it, because nothing tells whether its client is still there.
#[derive(Debug)]
pub struct Images<S> {
    store: S,
    upload: Upload,
}

impl<S: ImageStore> Images<S> {
    /// The image group over `store`.
    pub const fn new(store: S) -> Self {
        Self { store, upload: Upload::new() }
    }

    /// The store.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Checks the first piece of an upload, in the order that clients know, and takes it.
    async fn first_piece(
        &mut self,
        connection: Option<u32>,
        request: &UploadRequest<'_>,
    ) -> Result<UploadResponse, Failure> {
        let data = request.data;
        let header = data.first_chunk::<IMAGE_HEADER_SIZE>().ok_or_else(|| {
            let reason = format_args!("the first piece has {} bytes, an image header {IMAGE_HEADER_SIZE}", data.len());
            Failure::new(ImageError::INVALID_IMAGE_HEADER).because(reason)
        })?;
        let len = request.len.ok_or(Failure::new(ImageError::INVALID_LENGTH))?;
        if !self.store.is_image(header) {
            return Err(Failure::new(ImageError::INVALID_IMAGE_HEADER_MAGIC));
        }
        let sha = Sha::new(request.sha.unwrap_or_default())?;
        if let Some(answer) = self.upload.resume(len, sha, connection) {
            return Ok(answer);
        }
        let slot = self.free_slot(request.image.unwrap_or_default()).await?;
        let max = self.store.max_image_size();
        if len > max {
            let reason = format_args!("the image has {len} bytes, slot {slot} takes {max}");
            return Err(Failure::new(ImageError::INVALID_IMAGE_TOO_LARGE).because(reason));
        }
        if u32::try_from(data.len()).is_ok_and(|have| have > len) {
            return Err(overrun(len, 0, data));
        }
        if let Some(answer) = self.upload.finished(len, sha) {
            return Ok(answer);
        }
        self.store.admit(&Candidate { header, len, upgrade: request.upgrade }).await?;
        let file = File { slot, len, sha };
        if self.is_there(&file, header).await? {
            return Ok(self.upload.found(file));
        }
        self.upload.begin(&mut self.store, file, connection, data).await
    }

    /// Whether the slot holds the whole file already. Reads all of it only if it starts with the same header.
    async fn is_there(&mut self, file: &File, header: &[u8; IMAGE_HEADER_SIZE]) -> Result<bool, Failure> {
        let Some(sha) = file.sha.whole() else { return Ok(false) };
        let mut found = [0; IMAGE_HEADER_SIZE];
        self.store.read(file.slot, 0, &mut found).await?;
        Ok(found == *header && self.store.holds(file.slot, file.len, sha).await?)
    }

    /// Which slot of `image` may be overwritten now.
    ///
    /// # Errors
    /// `NO_FREE_SLOT` with words, if none may.
    async fn free_slot(&mut self, image: u32) -> Result<u8, Failure> {
        let slot = other(self.store.active_slot());
        let in_use = Failure::new(ImageError::NO_FREE_SLOT);
        if image != 0 {
            return Err(in_use.because(format_args!("there is no image {image} here, only image 0")));
        }
        match self.store.swap_type().await? {
            SwapType::None => Ok(slot),
            SwapType::Test | SwapType::Permanent => Err(in_use
                .because(format_args!("the image in slot {slot} is pending: reset to run it, or erase slot {slot}"))),
            SwapType::Revert => Err(in_use.because(revert_copy(slot))),
        }
    }
}

/// The slot beside this one.
pub(super) const fn other(slot: u8) -> u8 {
    if slot == 0 { 1 } else { 0 }
}

/// Why the slot with the image to go back to is not to be touched.
fn revert_copy(slot: u8) -> impl core::fmt::Display {
    core::fmt::from_fn(move |f| {
        write!(f, "slot {slot} holds the image to go back to while the running one is on trial: confirm or reset first")
    })
}

impl<S: ImageStore> ImageGroup for Images<S> {
    async fn state(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        state::list(&mut self.store, out).await
    }

    async fn set_state(
        &mut self,
        gate: Gate<'_>,
        request: &SetStateRequest<'_>,
        out: &mut [u8],
    ) -> Result<usize, Failure> {
        state::set(&mut self.store, gate, request).await?;
        state::list(&mut self.store, out).await
    }

    async fn upload(&mut self, gate: Gate<'_>, request: &UploadRequest<'_>) -> Result<UploadResponse, Failure> {
        let (connection, first) = (gate.connection(), request.offset == Some(0));
        let owner = self.upload.check_owner(connection);
        if let Err(busy) = owner
            && !(first && self.upload.is_of(request))
        {
            return Err(busy);
        }
        let result = match request.offset {
            Some(0) => self.first_piece(connection, request).await,
            Some(offset) => self.upload.next(&mut self.store, offset, request.data).await,
            None => Err(Failure::new(ImageError::INVALID_OFFSET)),
        };
        if result.is_err() && owner.is_ok() {
            self.upload.forget();
        }
        result
    }

    async fn erase(&mut self, gate: Gate<'_>, request: &EraseRequest) -> Result<(), Failure> {
        let active = self.store.active_slot();
        let slot = match request.slot {
            None => other(active),
            Some(slot) => u8::try_from(slot).ok().filter(|slot| *slot < 2).ok_or_else(|| {
                Failure::new(ImageError::INVALID_SLOT).because(format_args!("there is no slot {slot}, only 0 and 1"))
            })?,
        };
        let in_use = Failure::new(ImageError::NO_FREE_SLOT);
        if slot == active {
            return Err(in_use.because(format_args!("slot {slot} is running")));
        }
        if self.store.swap_type().await? == SwapType::Revert {
            return Err(in_use.because(revert_copy(slot)));
        }
        self.upload.check_owner(gate.connection())?;
        self.upload.forget();
        self.store.erase(slot).await
    }

    async fn slot_info(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        let slot =
            |slot: u8| SlotInfo { slot: slot.into(), size: Some(self.store.slot_size(slot)), ..SlotInfo::default() };
        let slots = [slot(0), slot(1)];
        let max_image_size = Some(self.store.max_image_size());
        let images = [ImageSlots { image: 0, slots: List::new(&slots), max_image_size }];
        Ok(SlotInfoResponse { images: List::new(&images) }.encode(out)?)
    }

    async fn idle(&mut self) {
        self.upload.erase_ahead(&mut self.store).await;
    }

    fn connection_closed(&mut self, connection: u32) {
        self.upload.connection_closed(connection);
    }
}
