use std::string::{String, ToString};

use super::*;
use crate::testing::{Board, SECTOR, V1, image};

fn planned(board: &mut Board) -> Plan {
    let layout = board.layout;
    let mut slots = Slots { flash: &mut board.flash, layout: &layout };
    let primary = slots.trailer(Slot::Primary).unwrap();
    let secondary = slots.trailer(Slot::Secondary).unwrap();
    plan(&mut slots, &primary, &secondary).unwrap()
}

/// A board in the middle of a test swap of three sectors, after so many records, with images at the starts of these
/// sectors: 0 and 1 of the primary slot, 0 of the secondary.
fn swapping(records: u32, headers: [bool; 3]) -> Board {
    let mut board = Board::new().trailer(Slot::Primary, "mt").swap_size(2 * SECTOR + 1);
    // The records of an image of three sectors in a trailer for six.
    let written = (0..3).chain(6..12).take(records as usize);
    for record in written {
        board.flash.load(board.layout.record(Slot::Primary, record), &[1]).unwrap();
    }
    for ((slot, offset), there) in
        [(Slot::Primary, 0), (Slot::Primary, SECTOR), (Slot::Secondary, 0)].into_iter().zip(headers)
    {
        if there {
            board.put(slot, offset, &image(V1, 10));
        }
    }
    board
}

fn step(records: u32, headers: [bool; 3]) -> Result<Step, String> {
    match planned(&mut swapping(records, headers)) {
        Plan::Resume(swap, step) => {
            assert_eq!((swap.sectors, swap.swap_type), (3, SwapType::Test));
            Ok(step)
        }
        Plan::Stay(inconsistency) => Err(inconsistency.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_say_where_to_go_on() {
    let all = [true; 3];
    let expected = [
        Step::Move { index: 2 },
        Step::Move { index: 3 },
        Step::Install { index: 1 },
        Step::PutAway { index: 1 },
        Step::Install { index: 2 },
        Step::PutAway { index: 2 },
        Step::Install { index: 3 },
        Step::PutAway { index: 3 },
        Step::Install { index: 4 },
    ];
    for (records, expected) in (1..).zip(expected) {
        assert_eq!(step(records, all), Ok(expected));
    }
}

#[test]
fn headers_must_be_where_the_swap_has_brought_them() {
    // What a sector that is not asked about holds does not matter: it may be erased.
    assert!(step(2, [true, false, true]).is_ok());
    assert!(step(3, [false, true, true]).is_ok());
    assert!(step(4, [true, true, false]).is_ok());
    assert!(step(5, [true, false, true]).is_ok());
    insta::assert_snapshot!(step(2, [false, true, true]).unwrap_err(), @"it has come to move 3, but sector 0 of the primary slot does not begin with an image");
    insta::assert_snapshot!(step(3, [true, false, true]).unwrap_err(), @"it has come to swap 1, first half, but sector 1 of the primary slot does not begin with an image");
    insta::assert_snapshot!(step(4, [false, true, true]).unwrap_err(), @"it has come to swap 1, second half, but sector 0 of the primary slot does not begin with an image");
    insta::assert_snapshot!(step(9, [true, true, false]).unwrap_err(), @"it has come to swap 4, first half, but sector 0 of the secondary slot does not begin with an image");
}

#[test]
fn records_and_sizes_that_cannot_be_are_not_acted_on() {
    let said = |mut board: Board| match planned(&mut board) {
        Plan::Stay(inconsistency) => inconsistency.to_string(),
        other => panic!("{other:?}"),
    };
    insta::assert_snapshot!(said(swapping(1, [true; 3]).swap_size(0)), @"it says that 0 bytes are being swapped, and 4096 is the most");
    insta::assert_snapshot!(said(swapping(1, [true; 3]).swap_size(u32::MAX)), @"it says that 4294967295 bytes are being swapped, and 4096 is the most");
    insta::assert_snapshot!(said(swapping(1, [true; 3]).swap_size(4 * SECTOR + 1)), @"it says that 4097 bytes are being swapped, and 4096 is the most");
    insta::assert_snapshot!(said(swapping(3, [true; 3]).swap_size(SECTOR)), @"its last status record is number 3, past the last step of a swap of 1 sectors");
    insta::assert_snapshot!(said(swapping(9, [true; 3]).swap_size(SECTOR)), @"its last status record is number 12, past the last step of a swap of 1 sectors");
}

#[test]
fn a_request_in_the_secondary_slot_means_that_nothing_has_moved() {
    // What a half-erased primary trailer holds is of no account then.
    let mut board = swapping(4, [true; 3]).trailer(Slot::Secondary, "mi");
    assert_eq!(planned(&mut board), Plan::Begin(SwapType::Permanent));
}

#[test]
fn a_trailer_without_records_has_begun_if_it_is_complete() {
    let begun = |fields: &str, size| planned(&mut Board::uploaded().trailer(Slot::Primary, fields).swap_size(size));
    for (fields, swap_type) in [("mt", SwapType::Test), ("mip", SwapType::Permanent), ("mir", SwapType::Revert)] {
        assert!(matches!(begun(fields, 2500), Plan::BeginAgain(swap) if swap.swap_type == swap_type), "{fields}");
    }
    assert_eq!(begun("mt", u32::MAX), Plan::Nothing);
    assert_eq!(begun("mi", 2500), Plan::Nothing, "a factory image");
    assert_eq!(begun("bt", 2500), Plan::Nothing);
    assert_eq!(begun("mict", 2500), Plan::Nothing);
    assert_eq!(begun("mct", 2500), Plan::Begin(SwapType::Revert));
}
