use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::string::ToString;

use super::*;
use crate::testing::{Board, Keys, V1, V2, image};
use crate::{Options, verify};
use otaru_flash::Blocking;
use otaru_nor_sim::{Cut, NorError, Partial};

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("blocking flash is always ready"),
    }
}

impl Board {
    fn status(&mut self) -> Status {
        status(&mut self.flash, &self.layout).unwrap()
    }

    /// Asks for the secondary image. How many operations that took.
    fn ask(&mut self, how: Pending) -> Result<usize, RequestError<NorError>> {
        let image = verify(&mut self.flash, &self.layout, Slot::Secondary, &Keys, &Options::default()).unwrap();
        self.flash.power_on();
        now(set_pending(&mut Blocking(&mut self.flash), &self.layout, &image, how))?;
        Ok(self.flash.recorded().len())
    }

    fn confirm(&mut self) -> usize {
        self.flash.power_on();
        now(confirm(&mut Blocking(&mut self.flash), &self.layout)).unwrap();
        self.flash.recorded().len()
    }
}

#[test]
fn the_status_says_what_smp_shows() {
    let shown = |primary, secondary| {
        let status = Board::uploaded().trailer(Slot::Primary, primary).trailer(Slot::Secondary, secondary).status();
        (status.confirmed(), status.pending(), status.permanent(), status.on_trial())
    };
    assert_eq!(shown("", ""), (true, false, false, false));
    assert_eq!(shown("", "m"), (true, true, false, false));
    assert_eq!(shown("", "mi"), (true, true, true, false));
    assert_eq!(shown("mc", ""), (false, false, false, true));
    assert_eq!(shown("mic", ""), (true, false, false, false));
    assert_eq!(shown("mC", ""), (false, false, false, true));
}

#[test]
fn what_is_asked_for_is_done_at_the_next_boot() {
    for (how, primary, fields) in [(Pending::Test, "mct", "mt"), (Pending::Permanent, "micp", "mip")] {
        for (write_unit, max_align) in [(1, 8), (4, 8), (8, 16), (16, 16), (32, 32)] {
            let mut board = Board::with(write_unit, max_align).holding(&image(V1, 100), &image(V2, 200));
            board.ask(how).unwrap();
            assert_eq!(board.fields(Slot::Secondary), fields, "write unit {write_unit}");
            assert_eq!(board.ask(how), Ok(0), "asking again writes nothing");
            assert_eq!(board.boots().0, V2);
            assert_eq!(board.fields(Slot::Primary), primary);
        }
    }
}

#[test]
fn another_request_and_leftovers_are_replaced() {
    for left in ["m", "mi", "b", "mI", "i", "t", "c", "bic"] {
        for how in [Pending::Test, Pending::Permanent] {
            let mut board = Board::uploaded().trailer(Slot::Secondary, left);
            board.ask(how).unwrap();
            assert_eq!(board.status().next, how.swap_type(), "{how:?} after {left}");
        }
    }
}

#[test]
fn what_would_lose_the_way_back_is_refused() {
    let mut board = Board::uploaded().trailer(Slot::Primary, "mct");
    let refused = board.ask(Pending::Test).unwrap_err();
    insta::assert_snapshot!(refused.to_string(), @"the running image is on trial, and the secondary slot holds the one to go back to: confirm it first");
    assert_eq!(now(erase(&mut Blocking(&mut board.flash), &board.layout)), Err(RequestError::OnTrial));
    assert!(board.flash.recorded().is_empty());
    assert_eq!(board.confirm(), 1);
    assert_eq!(board.ask(Pending::Test), Ok(5), "swap_info, and the magic of four write units");
}

#[test]
fn the_running_image_cannot_be_asked_for() {
    let mut board = Board::uploaded();
    let running = verify(&mut board.flash, &board.layout, Slot::Primary, &Keys, &Options::default()).unwrap();
    let refused = now(set_pending(&mut Blocking(&mut board.flash), &board.layout, &running, Pending::Test));
    insta::assert_snapshot!(refused.unwrap_err().to_string(), @"the image is in the primary slot and runs already");
}

#[test]
fn confirming_ends_a_trial_and_is_otherwise_nothing() {
    for (primary, ops, after) in
        [("mc", 1, "mic"), ("m", 1, "mi"), ("mic", 0, "mic"), ("mIc", 0, "mIc"), ("", 0, ""), ("b", 0, "b")]
    {
        let mut board = Board::uploaded().trailer(Slot::Primary, primary);
        assert_eq!(board.confirm(), ops, "{primary}");
        assert_eq!(board.fields(Slot::Primary), after);
    }
}

#[test]
fn a_request_can_be_taken_back() {
    for left in ["mt", "mip", "b", "i"] {
        let mut board = Board::uploaded().trailer(Slot::Secondary, left);
        let cancelled = now(cancel(&mut Blocking(&mut board.flash), &board.layout));
        assert_eq!((cancelled, board.flash.recorded().len()), (Ok(()), 1), "{left}");
        assert_eq!(board.fields(Slot::Secondary), "");
        assert!(board.holds(Slot::Secondary, &image(V2, 2500)));
        let again = now(cancel(&mut Blocking(&mut board.flash), &board.layout));
        assert_eq!((again, board.flash.recorded().len()), (Ok(()), 1));
    }
}

#[test]
fn a_pending_slot_can_be_erased_from_its_end() {
    let mut board = Board::uploaded().trailer(Slot::Secondary, "mip");
    now(erase(&mut Blocking(&mut board.flash), &board.layout)).unwrap();
    assert!(board.erased(Slot::Secondary));
    assert!(board.flash.recorded().is_sorted_by_key(|op| core::cmp::Reverse(op.at.offset)));
    assert_eq!(board.boots(), (V1, 0));
}

/// A request cut anywhere is made or not made, and can be made again.
#[test]
fn a_cut_request_is_whole_or_none() {
    for left in ["", "b", "mi"] {
        for leaves in Partial::EVERY {
            for op in 1..20 {
                let mut board = Board::uploaded().trailer(Slot::Secondary, left);
                let before = board.status().next;
                let image =
                    verify(&mut board.flash, &board.layout, Slot::Secondary, &Keys, &Options::default()).unwrap();
                board.flash.cut_power(Cut { op, leaves });
                let done = now(set_pending(&mut Blocking(&mut board.flash), &board.layout, &image, Pending::Test));
                board.flash.power_on();
                let after = board.status().next;
                assert!(
                    matches!(after, SwapType::None | SwapType::Test) || after == before,
                    "{left}, operation {op} {leaves}: {after}"
                );
                board.ask(Pending::Test).unwrap();
                assert_eq!(board.status().next, SwapType::Test);
                if done.is_ok() {
                    break;
                }
            }
        }
    }
}
