use super::*;
use crate::testing::Board;
use otaru_flash::Flash;

fn patch(board: &mut Board, patch: &Patch) {
    board.flash.write(patch.at, patch.bytes()).unwrap();
}

#[test]
fn patches_are_whole_write_units_and_read_back() {
    for (write_unit, max_align) in [(1, 8), (2, 8), (4, 8), (8, 8), (4, 16), (16, 16), (1, 32), (8, 32), (32, 32)] {
        let mut board = Board::with(write_unit, max_align);
        let layout = board.layout;
        let slot = Slot::Primary;
        let info = SwapInfo { swap_type: SwapType::Revert, image: 0 };
        patch(&mut board, &Patch::flag(&layout, slot, Cell::ImageOk));
        patch(&mut board, &Patch::flag(&layout, slot, Cell::CopyDone));
        patch(&mut board, &Patch::swap_info(&layout, slot, info));
        patch(&mut board, &Patch::swap_size(&layout, slot, 0x0102_0304));
        patch(&mut board, &Patch::magic(&layout, slot));
        let state = SwapState { magic: Magic::Good, image_ok: Flag::Set, copy_done: Flag::Set };
        let expected = Trailer { state, info, swap_size: 0x0102_0304 };
        assert_eq!(read(&mut board.flash, &layout, slot), Ok(expected), "unit {write_unit}, cells of {max_align}");
        assert_eq!(
            read(&mut board.flash, &layout, Slot::Secondary),
            Ok(Trailer { swap_size: u32::MAX, ..Trailer::NONE })
        );
        let flags = 3 * write_unit.max(1);
        assert_eq!(board.flash.counters().bytes_written, u64::from(flags + write_unit.max(4) + write_unit.max(16)));
    }
}

#[test]
fn records_count_up_to_the_last_that_is_not_erased() {
    for write_unit in [1, 4, 16] {
        let mut board = Board::with(write_unit, 16);
        let layout = board.layout;
        let count = |board: &mut Board| count_records(&mut board.flash, &layout, Slot::Primary).unwrap();
        assert_eq!(count(&mut board), 0);
        for (record, value) in [(0, 1), (1, 0x80), (7, 2), (17, 1)] {
            patch(&mut board, &Patch::record(&layout, Slot::Primary, record, value));
            assert_eq!(count(&mut board), record + 1, "unit {write_unit}");
        }
        // The cells after the last record do not count.
        patch(&mut board, &Patch::swap_size(&layout, Slot::Primary, 1));
        assert_eq!(count(&mut board), 18);
        assert_eq!(count_records(&mut board.flash, &layout, Slot::Secondary), Ok(0));
    }
}

#[test]
fn a_trailer_is_blank_only_if_every_byte_that_asks_is_erased() {
    for (write_unit, max_align, bytes) in [(1, 8, 40), (4, 16, 64), (32, 32, 128)] {
        for from_end in 1..=bytes {
            let mut board = Board::with(write_unit, max_align);
            let layout = board.layout;
            assert_eq!(is_blank(&mut board.flash, &layout, Slot::Secondary), Ok(true));
            board.put(Slot::Secondary, layout.area(Slot::Secondary).len - from_end, &[0]);
            assert_eq!(is_blank(&mut board.flash, &layout, Slot::Secondary), Ok(false), "{from_end} before the end");
        }
    }
}
