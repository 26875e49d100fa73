//! A boot, from power-on to the image that may run.

use otaru_crypto::TrustedKeys;
use otaru_flash::Flash;
use otaru_image::trailer::{Cell, Flag, Magic, SwapType};
use otaru_image::{image_extent, trailer::Step};
use otaru_layout::{Layout, Slot};

use crate::plan::{Plan, has_header, plan};
use crate::report::{Booting, Trouble};
use crate::slots::Slots;
use crate::swap::Swap;
use crate::trailer::Trailer;
use crate::verify::{SlotReader, read_header};
use crate::{
    BootError, Contents, Decision, FlashError, Options, Rejection, Report, VerifiedImage, VerifyError, verify,
};

/// Finishes what was interrupted, does what was asked for, and verifies the image that is to boot.
///
/// Where nothing is asked for and nothing was interrupted, no flash is written or erased. `report` is made anew and
/// filled as things become known, also when this fails.
///
/// # Errors
/// [`BootError::NoImage`] if the primary slot holds no image that verifies: stay in the loader.
/// [`BootError::Flash`] if flash fails; nothing is lost, and the next boot tries again.
///
/// # Interruption
/// At any operation, torn or not: the next call goes on from what is on flash, and at its end the primary slot holds
/// the old image or the new one, whole and verified. A test swap that was cut while its very last byte was written is
/// reverted at the next boot without a trial, as nobody can tell whether it had one.
pub fn boot<F: Flash, K: TrustedKeys>(
    flash: &mut F,
    layout: &Layout,
    keys: &K,
    options: &Options,
    report: &mut Report,
) -> Result<VerifiedImage, BootError<F::Error>> {
    *report = Report::default();
    let mut loader = Loader { slots: Slots { flash, layout }, keys, options, report };
    loader.install()?;
    loader.launch()
}

struct Loader<'a, F, K> {
    slots: Slots<'a, F>,
    keys: &'a K,
    options: &'a Options,
    report: &'a mut Report,
}

impl<F: Flash, K: TrustedKeys> Loader<'_, F, K> {
    /// Does what the trailers ask for.
    fn install(&mut self) -> Result<(), FlashError<F::Error>> {
        let primary = self.slots.trailer(Slot::Primary)?;
        self.report.primary.trailer = Some(primary.state);
        let secondary = self.slots.trailer(Slot::Secondary);
        let secondary = self.tolerate(secondary);
        self.report.secondary.trailer = secondary.map(|trailer| trailer.state);
        let secondary = secondary.unwrap_or(Trailer::NONE);
        match plan(&mut self.slots, &primary, &secondary)? {
            Plan::Nothing => self.look_around(Decision::Boot),
            Plan::Stay(inconsistency) => self.look_around(Decision::Stay(inconsistency)),
            Plan::Resume(swap, step) => self.resume(swap, step),
            Plan::Begin(swap_type) => self.begin(swap_type, &secondary),
            Plan::BeginAgain(swap) => self.begin_again(swap),
        }
    }

    /// Verifies the primary image.
    fn launch(&mut self) -> Result<VerifiedImage, BootError<F::Error>> {
        let verified = self.verify(Slot::Primary);
        let unmoved = !matches!(self.report.decision, Some(Decision::Swap { .. } | Decision::Resume { .. }));
        if unmoved {
            self.report.primary.contents = contents(&verified);
        }
        match verified {
            Ok(image) => {
                let (version, address, key) = (image.version(), image.address(), image.key());
                self.report.outcome = Some(Ok(Booting { version, address, key }));
                Ok(image)
            }
            Err(VerifyError::Rejected(rejection)) => {
                self.report.outcome = Some(Err(rejection));
                Err(BootError::NoImage(rejection))
            }
            Err(VerifyError::Flash(error)) => Err(error.into()),
        }
    }

    /// Nothing is to be done: only says what is in the secondary slot.
    fn look_around(&mut self, decision: Decision) -> Result<(), FlashError<F::Error>> {
        self.report.decision = Some(decision);
        self.report.secondary.contents = self.unverified(Slot::Secondary);
        Ok(())
    }

    fn resume(&mut self, swap: Swap, step: Step) -> Result<(), FlashError<F::Error>> {
        let Swap { swap_type, sectors, .. } = swap;
        self.report.decision = Some(Decision::Resume { swap_type, sectors, step });
        swap.resume(&mut self.slots, step)
    }

    fn begin(&mut self, swap_type: SwapType, secondary: &Trailer) -> Result<(), FlashError<F::Error>> {
        let Some(image) = self.accept(swap_type)? else {
            let withdrawn = matches!(self.report.decision, Some(Decision::Withdraw { .. }));
            // There is nothing to go back to: without this every boot would try again.
            if withdrawn && swap_type == SwapType::Revert && secondary.state.magic == Magic::Unset {
                self.slots.erase_trailer(Slot::Primary)?;
            }
            return Ok(());
        };
        // Neither image is larger than what can be swapped, so there is always a swap.
        let Some(swap) = self.needed(swap_type, &image)? else { return Ok(()) };
        self.report.decision = Some(Decision::Swap { swap_type, sectors: swap.sectors });
        swap.begin(&mut self.slots)
    }

    fn begin_again(&mut self, recorded: Swap) -> Result<(), FlashError<F::Error>> {
        let swap_type = recorded.swap_type;
        if let Some(image) = self.accept(swap_type)? {
            // The images are those that the swap began with, unless somebody wrote to a slot behind our back.
            let needed = self.needed(swap_type, &image)?.filter(|needed| needed.sectors > recorded.sectors);
            let sectors = needed.unwrap_or(recorded).sectors;
            self.report.decision = Some(Decision::Swap { swap_type, sectors });
            return match needed {
                Some(larger) => larger.begin(&mut self.slots),
                None => recorded.begin_again(&mut self.slots),
            };
        }
        if matches!(self.report.decision, Some(Decision::Erase { .. } | Decision::Withdraw { .. })) {
            // The primary trailer still says that this swap has begun. It must not be taken up with the next image
            // that is put into the secondary slot: complete it, as if there had been a swap back.
            if self.slots.trailer(Slot::Primary)?.state.image_ok == Flag::Unset {
                self.slots.set_flag(Slot::Primary, Cell::ImageOk)?;
            }
            self.slots.set_flag(Slot::Primary, Cell::CopyDone)?;
        }
        Ok(())
    }

    /// The swap that keeps both images whole. A running image that cannot be swapped back is not kept.
    fn needed(&mut self, swap_type: SwapType, image: &VerifiedImage) -> Result<Option<Swap>, FlashError<F::Error>> {
        let size = image.size().max(self.running_size()?);
        Ok(Swap::new(self.slots.layout, swap_type, size))
    }

    /// Checks that a swap may be done. If not, says so in the report, and erases what asked for it if it never can.
    fn accept(&mut self, swap_type: SwapType) -> Result<Option<VerifiedImage>, FlashError<F::Error>> {
        if !has_header(&mut self.slots, Slot::Primary, 0)? {
            self.look_around(Decision::NothingToSwapWith { swap_type })?;
            return Ok(None);
        }
        self.report.primary.contents = self.unverified(Slot::Primary);
        let verified = self.verify(Slot::Secondary);
        self.report.secondary.contents = contents(&verified);
        match verified {
            Ok(image) => return Ok(Some(image)),
            Err(VerifyError::Flash(error)) => {
                self.report.decision = Some(Decision::Unreadable { swap_type });
                self.tolerate::<()>(Err(error));
            }
            Err(VerifyError::Rejected(Rejection::Empty | Rejection::NotBootable)) => {
                self.report.decision = Some(Decision::Withdraw { swap_type });
                let erased = self.slots.erase_trailer(Slot::Secondary);
                self.tolerate(erased);
            }
            Err(VerifyError::Rejected(_)) => {
                self.report.decision = Some(Decision::Erase { swap_type });
                let erased = self.slots.erase_slot(Slot::Secondary);
                self.tolerate(erased);
            }
        }
        Ok(None)
    }

    /// Takes note of a failure that is no reason not to boot: the secondary slot may lie in a device of its own.
    fn tolerate<T>(&mut self, result: Result<T, FlashError<F::Error>>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.report.trouble.get_or_insert(Trouble { access: error.access, at: error.at });
        None
    }

    fn verify(&mut self, slot: Slot) -> Result<VerifiedImage, VerifyError<F::Error>> {
        verify(self.slots.flash, self.slots.layout, slot, self.keys, self.options)
    }

    /// How many bytes of the primary slot are to be kept: none, if what is there is no image that can be swapped back.
    fn running_size(&mut self) -> Result<u32, FlashError<F::Error>> {
        let layout = self.slots.layout;
        let mut reader = SlotReader { flash: &mut *self.slots.flash, layout, slot: Slot::Primary };
        let header = match read_header(&mut reader) {
            Ok(header) => header,
            Err(VerifyError::Rejected(_)) => return Ok(0),
            Err(VerifyError::Flash(error)) => return Err(error),
        };
        match image_extent(&mut reader, &header, layout.max_image_size()) {
            Ok(size) => Ok(size),
            Err(error) => match error.fault() {
                Ok(_) => Ok(0),
                Err(error) => Err(error),
            },
        }
    }

    /// What the header of a slot says.
    fn unverified(&mut self, slot: Slot) -> Contents {
        let mut reader = SlotReader { flash: &mut *self.slots.flash, layout: self.slots.layout, slot };
        match read_header(&mut reader) {
            Ok(header) => Contents::Unverified(header.version),
            Err(VerifyError::Rejected(rejection)) => Contents::Rejected(rejection),
            Err(VerifyError::Flash(_)) => Contents::Unreadable,
        }
    }
}

fn contents<E: core::fmt::Debug>(verified: &Result<VerifiedImage, VerifyError<E>>) -> Contents {
    match verified {
        Ok(image) => Contents::Verified(image.version()),
        Err(VerifyError::Rejected(rejection)) => Contents::Rejected(*rejection),
        Err(VerifyError::Flash(_)) => Contents::Unreadable,
    }
}

#[cfg(test)]
mod tests;
