//! The loader and the application's requests, on a board of this module.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use otaru_boot::request::{self, Pending};
use otaru_boot::{Options, Report};
use otaru_flash::{Blocking, Flash, FlashAddr};
use otaru_layout::{Area, Layout, Mode, Spec};
use otaru_nor_sim::NorError;

use super::board::{Board, Slot};
use super::toy::Keys;

/// Boots. Returns where the image starts that was verified.
pub(super) fn boot(board: &Board, flash: &mut impl Flash<Error = NorError>) -> Result<FlashAddr, Failed> {
    let booted = otaru_boot::boot(flash, &layout(board), &Keys, &Options::default(), &mut Report::default());
    booted.map(|image| image.address()).map_err(|error| Failed(error.to_string()))
}

/// Asks for the image in the secondary slot, as an application does: it verifies the image first.
pub(super) fn set_pending(board: &Board, flash: &mut impl Flash<Error = NorError>, how: Pending) -> Result<(), Failed> {
    let layout = layout(board);
    let image = otaru_boot::verify(flash, &layout, otaru_layout::Slot::Secondary, &Keys, &Options::default());
    let image = image.map_err(|error| Failed(error.to_string()))?;
    finish(request::set_pending(&mut Blocking(flash), &layout, &image, how)).map_err(|error| Failed(error.to_string()))
}

/// Confirms the running image.
pub(super) fn confirm(board: &Board, flash: &mut impl Flash<Error = NorError>) -> Result<(), Failed> {
    let done = finish(request::confirm(&mut Blocking(flash), &layout(board)));
    done.map_err(|error| Failed(error.to_string()))
}

/// What failed, in words. Where power was cut nobody reads them.
#[derive(Debug)]
pub(super) struct Failed(pub(super) String);

/// Lets a future over blocking flash run to its end: it never waits.
fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("blocking flash is always ready"),
    }
}

/// The layout of a board, as the crates under test see it.
pub(super) fn layout(board: &Board) -> Layout {
    let geometries = board.geometries();
    let area = |slot| {
        let at = board.slot(slot);
        Area { device: at.device, offset: at.offset, len: board.slot_size() }
    };
    Layout::new(&Spec {
        mode: Mode::SwapMove,
        devices: &geometries,
        primary: area(Slot::Primary),
        secondary: area(Slot::Secondary),
        max_align: board.max_align,
        max_sectors: board.max_sectors,
    })
    .expect("boards are layouts")
}
