use super::*;
use std::string::ToString;
use std::vec::Vec;

fn shape(max_align: u32, write_unit: u32) -> Shape {
    Shape { max_align, write_unit, max_sectors: 128 }
}

#[test]
fn trailers_are_as_long_as_mcuboot_says() {
    let sizes = |max_align, units: &[u32]| -> Vec<u32> { units.iter().map(|&u| shape(max_align, u).size()).collect() };
    assert_eq!(sizes(8, &[1, 2, 4, 8]), [432, 816, 1584, 3120]);
    assert_eq!(sizes(16, &[1, 2, 4, 8, 16]), [464, 848, 1616, 3152, 6224]);
    assert_eq!(sizes(32, &[1, 2, 4, 8, 16, 32]), [544, 928, 1696, 3232, 6304, 12448]);
}

#[test]
fn cells_lie_where_mcuboot_puts_them() {
    let cells = [Cell::Magic, Cell::ImageOk, Cell::CopyDone, Cell::SwapInfo, Cell::SwapSize];
    for (max_align, expected) in [(8, [16, 24, 32, 40, 48]), (16, [16, 32, 48, 64, 80]), (32, [32, 64, 96, 128, 160])] {
        assert_eq!(cells.map(|cell| shape(max_align, 4).before_end(cell)), expected, "cells of {max_align}");
    }
}

#[test]
fn magic_differs_by_alignment_and_reads_three_ways() {
    assert_eq!(Magic::bytes(8)[..4], [0x77, 0xc2, 0x95, 0xf3]);
    assert_eq!(Magic::bytes(16)[..4], [0x10, 0x00, 0x2d, 0xe1]);
    assert_eq!(Magic::bytes(32)[..4], [0x20, 0x00, 0x2d, 0xe1]);
    for erased in [0xff, 0x00] {
        let mut bytes = Magic::bytes(16);
        assert_eq!(Magic::read(&bytes, 16, erased), Magic::Good);
        assert_eq!(Magic::read(&bytes, 8, erased), Magic::Bad);
        bytes[15] = erased;
        assert_eq!(Magic::read(&bytes, 16, erased), Magic::Bad);
        assert_eq!(Magic::read(&[erased; 16], 16, erased), Magic::Unset);
    }
}

#[test]
fn a_flag_that_is_neither_erased_nor_one_is_bad() {
    let read = |erased| [0xff, 0x01, 0x00, 0x81].map(|byte| Flag::read(byte, erased));
    assert_eq!(read(0xff), [Flag::Unset, Flag::Set, Flag::Bad, Flag::Bad]);
    assert_eq!(read(0x00), [Flag::Bad, Flag::Set, Flag::Unset, Flag::Bad]);
}

#[test]
fn swap_info_holds_kind_and_image() {
    for swap_type in [SwapType::None, SwapType::Test, SwapType::Permanent, SwapType::Revert] {
        let info = SwapInfo { swap_type, image: 3 };
        assert_eq!(SwapInfo::read(info.byte(), 0xff), info);
    }
    assert_eq!(SwapInfo { swap_type: SwapType::Permanent, image: 1 }.byte(), 0x13);
    let nothing = SwapInfo { swap_type: SwapType::None, image: 0 };
    for byte in [0xff, 0x05, 0x40] {
        assert_eq!(SwapInfo::read(byte, 0xff), nothing, "{byte:#x}");
    }
    assert_eq!(SwapInfo::read(0x00, 0x00), nothing);
}

/// Every pair of trailers: in the primary `state`, in the secondary `state`, nine fields of three values each.
fn every_state() -> impl Iterator<Item = SwapState> {
    let magics = [Magic::Unset, Magic::Good, Magic::Bad];
    let flags = [Flag::Unset, Flag::Set, Flag::Bad];
    magics.into_iter().flat_map(move |magic| {
        flags
            .into_iter()
            .flat_map(move |image_ok| flags.into_iter().map(move |copy_done| SwapState { magic, image_ok, copy_done }))
    })
}

#[test]
fn the_decision_is_mcuboots_but_for_a_torn_copy_done() {
    let mut kinds = [0; 4];
    for primary in every_state() {
        for secondary in every_state() {
            let asked = secondary.magic == Magic::Good && secondary.image_ok != Flag::Bad;
            let trial = primary.magic == Magic::Good && primary.image_ok == Flag::Unset;
            let expected = match (asked, secondary.image_ok, trial && primary.copy_done != Flag::Unset) {
                (true, Flag::Set, _) => SwapType::Permanent,
                (true, _, _) => SwapType::Test,
                (false, _, true) => SwapType::Revert,
                (false, _, false) => SwapType::None,
            };
            assert_eq!(swap_type(&primary, &secondary), expected, "{primary} / {secondary}");
            kinds[usize::from(expected.number()) - 1] += 1;
        }
    }
    assert_eq!(kinds, [525, 81, 81, 42]);
}

#[test]
fn the_record_of_a_step_leads_to_the_next_one() {
    let shape = Shape { max_align: 8, write_unit: 4, max_sectors: 5 };
    assert_eq!(Step::after(0, &shape), Step::FIRST);
    let (record, value) = Step::Move { index: 5 }.record(&shape);
    assert_eq!((record, value), (4, 1));
    assert_eq!(Step::after(record + 1, &shape), Step::Install { index: 1 }, "as many sectors as there are records");
    for index in 1..=5 {
        let (record, value) = Step::Install { index }.record(&shape);
        assert_eq!((record, value), (5 + (index - 1) * 2, 1));
        assert_eq!(Step::after(record + 1, &shape), Step::PutAway { index });
        let (record, value) = Step::PutAway { index }.record(&shape);
        assert_eq!((record, value), (6 + (index - 1) * 2, 2));
        assert_eq!(Step::after(record + 1, &shape), Step::Install { index: index + 1 });
    }
    for index in 1..5 {
        let (record, _) = Step::Move { index }.record(&shape);
        assert_eq!(Step::after(record + 1, &shape), Step::Move { index: index + 1 });
    }
    assert_eq!(shape.records(), 15);
    assert_eq!(shape.record_before_end(0), shape.size());
    assert_eq!(shape.record_before_end(14) - 4, shape.before_end(Cell::SwapSize));
}

#[test]
fn states_and_steps_are_said_in_words() {
    let state = SwapState { magic: Magic::Good, image_ok: Flag::Bad, copy_done: Flag::Set };
    insta::assert_snapshot!(state.to_string(), @"magic good, image_ok bad, copy_done set");
    insta::assert_snapshot!(SwapState::default().to_string(), @"no trailer");
    let steps = [Step::Move { index: 3 }, Step::Install { index: 1 }, Step::PutAway { index: 2 }];
    insta::assert_snapshot!(steps.map(|s| s.to_string()).join("; "), @"move 3; swap 1, first half; swap 2, second half");
    let kinds = [SwapType::None, SwapType::Test, SwapType::Permanent, SwapType::Revert];
    insta::assert_snapshot!(kinds.map(|k| k.to_string()).join(" "), @"none test perm revert");
}
