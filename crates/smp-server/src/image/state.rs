//! Listing images, and asking for a test or a confirmation.

use super::images::other;
use super::store::{ImageStore, SlotImage, SwapType};
use crate::{Failure, Gate};
use otaru_policy::Action;
use otaru_smp::image::{SetStateRequest, SlotState, StateResponse, version_text};
use otaru_smp::{Body, ImageError, List};

/// Encodes the list of images.
pub(super) async fn list<S: ImageStore>(store: &mut S, out: &mut [u8]) -> Result<usize, Failure> {
    let active = store.active_slot();
    let swap = store.swap_type().await?;
    let images = [store.image(0).await?, store.image(1).await?];
    let versions = images.each_ref().map(|image| {
        image
            .as_ref()
            .map(|image| version_text(image.major, image.minor, image.revision, image.build))
            .unwrap_or_default()
    });
    let mut slots = [SlotState::default(); 2];
    let mut used: usize = 0;
    for ((slot, image), version) in (0..).zip(&images).zip(&versions) {
        if let (Some(image), Some(state)) = (image, slots.get_mut(used)) {
            *state = flags(slot, slot == active, swap, image, version.as_str());
            used = used.saturating_add(1);
        }
    }
    let images = List::new(slots.get(..used).unwrap_or_default());
    Ok(StateResponse { images, split_status: Some(0) }.encode(out)?)
}

/// What the list says of an image. The flags follow from what the next boot will do.
fn flags<'a>(slot: u8, active: bool, swap: SwapType, image: &'a SlotImage, version: &'a str) -> SlotState<'a> {
    SlotState {
        image: None,
        slot: slot.into(),
        version,
        hash: Some(&image.hash),
        bootable: image.bootable,
        pending: !active && matches!(swap, SwapType::Test | SwapType::Permanent),
        confirmed: active == (swap != SwapType::Revert),
        active,
        permanent: !active && swap == SwapType::Permanent,
    }
}

/// Marks an image for test or confirms one.
///
/// | next boot | test other | test running | confirm other | confirm running |
/// |---|---|---|---|---|
/// | as now | marks it | 33 | 32, or marks it for good | is so |
/// | test | is so | 33 | 28 | 28 |
/// | for good | 28 | 33 | is so | 28 |
/// | revert | 28 | 33 | is so | confirms it |
///
/// 28: another image is pending or on trial. 32: the policy does not allow confirming what never ran. 33: what runs
/// cannot be tested.
pub(super) async fn set<S: ImageStore>(
    store: &mut S,
    gate: Gate<'_>,
    request: &SetStateRequest<'_>,
) -> Result<(), Failure> {
    let active = store.active_slot();
    let slot = find(store, active, request).await?;
    let running = slot == active;
    if running && !request.confirm {
        return Err(Failure::new(ImageError::IMAGE_SETTING_TEST_TO_ACTIVE_DENIED));
    }
    let pending = Failure::new(ImageError::IMAGE_ALREADY_PENDING);
    match (store.swap_type().await?, running, request.confirm) {
        (SwapType::None, true, _)
        | (SwapType::Test, false, false)
        | (SwapType::Permanent, false, true)
        | (SwapType::Revert, false, true) => Ok(()),
        (SwapType::None, false, permanent) => {
            if permanent {
                let denied = Failure::new(ImageError::IMAGE_CONFIRMATION_DENIED);
                gate.decide(Action::ConfirmUntested).map_err(|refusal| denied.because(refusal))?;
            }
            store.verify(slot).await?;
            store.set_pending(permanent).await
        }
        (SwapType::Revert, true, _) => store.confirm().await,
        (SwapType::Revert, false, false) => {
            Err(pending.because(format_args!("the image in slot {active} is on trial: confirm it or reset first")))
        }
        (SwapType::Test | SwapType::Permanent, _, _) => {
            let slot = other(active);
            Err(pending
                .because(format_args!("the image in slot {slot} is pending: reset to run it, or erase slot {slot}")))
        }
    }
}

/// The slot that a request means.
async fn find<S: ImageStore>(store: &mut S, active: u8, request: &SetStateRequest<'_>) -> Result<u8, Failure> {
    let hash = request.hash.unwrap_or_default();
    if hash.is_empty() && request.confirm {
        return Ok(active);
    }
    if hash.len() != 32 {
        let reason = format_args!("a hash of 32 bytes is needed, {} were given", hash.len());
        return Err(Failure::new(ImageError::INVALID_HASH).because(reason));
    }
    for slot in 0..2 {
        if store.image(slot).await?.is_some_and(|image| image.hash == hash) {
            return Ok(slot);
        }
    }
    Err(Failure::new(ImageError::HASH_NOT_FOUND))
}
