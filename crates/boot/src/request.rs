//! What an application asks of the loader, and what it may know.
//!
//! An application reads and writes trailers only; images come into the secondary slot some other way (for example by
//! an SMP upload). It holds its flash as [`AsyncFlash`], so that a radio can go on while a sector is erased.
//!
//! ```
//! # use otaru_boot::request;
//! # use otaru_flash::{Blocking, DeviceId, Geometry, WriteUnit};
//! # use otaru_layout::{Area, Layout, Mode, Spec};
//! # let devices = [Geometry::uniform(4096, 32, WriteUnit::new(4).unwrap(), 0xff)];
//! # let layout = Layout::new(&Spec {
//! #     primary: Area { device: DeviceId(0), offset: 0, len: 0x10000 },
//! #     secondary: Area { device: DeviceId(0), offset: 0x10000, len: 0x10000 },
//! #     ..Spec::new(Mode::SwapMove, &devices)
//! # })
//! # .unwrap();
//! # let mut flash = Blocking(otaru_nor_sim::NorFlash::erased(&devices));
//! let status = request::status(&mut flash, &layout).unwrap();
//! assert!(status.confirmed() && !status.pending());
//! ```

use otaru_flash::{AsyncFlash, ReadFlash};
use otaru_image::trailer::{Cell, Flag, Magic, SwapInfo, SwapType, swap_type};
use otaru_layout::{Layout, Slot};

use crate::trailer::{self, Patch};
use crate::{Access, FlashError, VerifiedImage};

/// What the next boot would do, from which everything that SMP shows of an image follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The swap that the next boot does if nothing more happens.
    pub next: SwapType,
}

impl Status {
    /// Whether the running image is there to stay: it is not on trial. SMP: `confirmed` of the active slot.
    #[must_use]
    pub const fn confirmed(self) -> bool {
        !self.on_trial()
    }

    /// Whether the running image is on trial: the next boot swaps back unless it is confirmed. The secondary slot
    /// then holds the image to go back to. SMP: `confirmed` of the secondary slot.
    #[must_use]
    pub const fn on_trial(self) -> bool {
        matches!(self.next, SwapType::Revert)
    }

    /// Whether the next boot swaps the secondary image in. SMP: `pending` of the secondary slot.
    #[must_use]
    pub const fn pending(self) -> bool {
        matches!(self.next, SwapType::Test | SwapType::Permanent)
    }

    /// Whether it does so for good. SMP: `permanent` of the secondary slot.
    #[must_use]
    pub const fn permanent(self) -> bool {
        matches!(self.next, SwapType::Permanent)
    }
}

/// How an image is to be swapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// On trial: it stays only if it is confirmed.
    Test,
    /// For good.
    Permanent,
}

impl Pending {
    const fn swap_type(self) -> SwapType {
        match self {
            Self::Test => SwapType::Test,
            Self::Permanent => SwapType::Permanent,
        }
    }
}

/// Why something asked for was not done. Nothing was changed, except where flash failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError<E: core::fmt::Debug> {
    /// Flash failed.
    #[error(transparent)]
    Flash(#[from] FlashError<E>),
    /// The secondary slot holds the image that an unconfirmed one would be swapped back to.
    #[error("the running image is on trial, and the secondary slot holds the one to go back to: confirm it first")]
    OnTrial,
    /// An image of the primary slot, which runs already.
    #[error("the image is in the primary slot and runs already")]
    Running,
}

/// Says what the next boot would do.
///
/// # Errors
/// Flash that cannot be read.
pub fn status<F: ReadFlash>(flash: &mut F, layout: &Layout) -> Result<Status, FlashError<F::Error>> {
    let primary = trailer::read(flash, layout, Slot::Primary)?;
    let secondary = trailer::read(flash, layout, Slot::Secondary)?;
    Ok(Status { next: swap_type(&primary.state, &secondary.state) })
}

/// Asks for the image in the secondary slot to be swapped in at the next boot.
///
/// It takes the proof that the image verifies, and so also fits: a request that the loader can only refuse is never
/// made. An earlier request is replaced, and so is what an interrupted one left (MCUboot would keep either). Asking
/// again for the same writes nothing.
///
/// # Errors
/// [`RequestError::OnTrial`] or [`RequestError::Running`], or flash that fails.
///
/// # Interruption
/// An earlier request is erased first, then the new one is written, its magic last. A cut in the erase may leave
/// the earlier one, a weaker one or none; a cut in the writes leaves none. Call again.
pub async fn set_pending<F: AsyncFlash>(
    flash: &mut F,
    layout: &Layout,
    image: &VerifiedImage,
    how: Pending,
) -> Result<(), RequestError<F::Error>> {
    if image.slot() == Slot::Primary {
        return Err(RequestError::Running);
    }
    let now = status(flash, layout)?;
    if now.on_trial() {
        return Err(RequestError::OnTrial);
    }
    if now.next == how.swap_type() {
        return Ok(());
    }
    if !trailer::is_blank(flash, layout, Slot::Secondary)? {
        erase_sectors(flash, layout, layout.first_trailer_sector(Slot::Secondary)).await?;
    }
    if how == Pending::Permanent {
        write(flash, &Patch::flag(layout, Slot::Secondary, Cell::ImageOk)).await?;
    }
    let info = SwapInfo { swap_type: how.swap_type(), image: 0 };
    write(flash, &Patch::swap_info(layout, Slot::Secondary, info)).await?;
    write(flash, &Patch::magic(layout, Slot::Secondary)).await?;
    Ok(())
}

/// Confirms the running image: the loader will not swap back. Does nothing if it is not on trial.
///
/// # Errors
/// Flash that fails.
///
/// # Interruption
/// A flag torn in the middle counts as set: the image is confirmed or still on trial, nothing else.
pub async fn confirm<F: AsyncFlash>(flash: &mut F, layout: &Layout) -> Result<(), FlashError<F::Error>> {
    let state = trailer::read(flash, layout, Slot::Primary)?.state;
    if state.magic == Magic::Good && state.image_ok == Flag::Unset {
        write(flash, &Patch::flag(layout, Slot::Primary, Cell::ImageOk)).await?;
    }
    Ok(())
}

/// Takes back what was asked for: the secondary image stays where it is. Does nothing if nothing is left of any
/// request.
///
/// Call it before the secondary slot is written to, so that no half-written image is ever asked for.
///
/// # Errors
/// Flash that fails.
///
/// # Interruption
/// As the erase in [`set_pending`]. Call again.
pub async fn cancel<F: AsyncFlash>(flash: &mut F, layout: &Layout) -> Result<(), FlashError<F::Error>> {
    if trailer::is_blank(flash, layout, Slot::Secondary)? {
        return Ok(());
    }
    erase_sectors(flash, layout, layout.first_trailer_sector(Slot::Secondary)).await
}

/// Erases the secondary slot, with whatever was asked for.
///
/// # Errors
/// [`RequestError::OnTrial`], or flash that fails.
///
/// # Interruption
/// From the last sector to the first. A cut in the first erase may leave what was asked for, or something weaker; later
/// ones leave no request, and the start of an image that does not verify. Call again.
pub async fn erase<F: AsyncFlash>(flash: &mut F, layout: &Layout) -> Result<(), RequestError<F::Error>> {
    if status(flash, layout)?.on_trial() {
        return Err(RequestError::OnTrial);
    }
    Ok(erase_sectors(flash, layout, 0).await?)
}

/// Erases the secondary slot from its last sector down to `first`.
async fn erase_sectors<F: AsyncFlash>(flash: &mut F, layout: &Layout, first: u32) -> Result<(), FlashError<F::Error>> {
    let len = layout.sector_size();
    for index in (first..layout.sectors(Slot::Secondary)).rev() {
        let Some(at) = layout.sector(Slot::Secondary, index) else { break };
        flash.erase(at, len).await.map_err(|error| FlashError { access: Access::Erase, at, error })?;
    }
    Ok(())
}

async fn write<F: AsyncFlash>(flash: &mut F, patch: &Patch) -> Result<(), FlashError<F::Error>> {
    let written = flash.write(patch.at, patch.bytes()).await;
    written.map_err(|error| FlashError { access: Access::Write, at: patch.at, error })
}

#[cfg(test)]
mod tests;
