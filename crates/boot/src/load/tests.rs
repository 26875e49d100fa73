use std::string::ToString;
use std::vec::Vec;

use super::*;
use crate::Access;
use crate::testing::{Board, Builder, SECTORS, V1, V2, image};
use otaru_image::Flags;
use otaru_nor_sim::{Cut, NorError, Partial};

const OLD: usize = 1500;
const NEW: usize = 2500;

#[test]
fn a_quiet_boot_changes_nothing() {
    let mut board = Board::uploaded();
    assert_eq!(board.boots(), (V1, 0));
    insta::assert_snapshot!(board.report, @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: 1.1.0+0, not verified; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    ");
    let mut alone = Board::new();
    alone.put(Slot::Primary, 0, &image(V1, OLD));
    assert_eq!(alone.boots(), (V1, 0));
    insta::assert_snapshot!(alone.report, @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: the slot is empty; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    ");
    let mut confirmed = Board::uploaded().trailer(Slot::Primary, "mic");
    assert_eq!(confirmed.boots(), (V1, 0));
    let mut factory = Board::uploaded().trailer(Slot::Primary, "mi");
    assert_eq!(factory.boots(), (V1, 0));
}

#[test]
fn a_test_swaps_reverts_and_rests() {
    let mut board = Board::uploaded().trailer(Slot::Secondary, "mt");
    let (old, new) = (image(V1, OLD), image(V2, NEW));
    assert_eq!(board.boots().0, V2);
    insta::assert_snapshot!(board.report, @r"
    primary: 1.0.0+0, not verified; no trailer
    secondary: 1.1.0+0, verified; magic good, image_ok unset, copy_done unset
    decision: test: swap 3 sectors
    boot: 1.1.0+0 at 0:0x00000000, signed by trusted key 0
    ");
    assert!(board.holds(Slot::Primary, &new) && board.holds(Slot::Secondary, &old));
    assert_eq!((board.fields(Slot::Primary), board.fields(Slot::Secondary)), ("mct".into(), "".into()));
    assert_eq!(board.boots().0, V1);
    insta::assert_snapshot!(board.report, @r"
    primary: 1.1.0+0, not verified; magic good, image_ok unset, copy_done set
    secondary: 1.0.0+0, verified; no trailer
    decision: revert: swap 3 sectors
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    ");
    assert!(board.holds(Slot::Primary, &old) && board.holds(Slot::Secondary, &new));
    assert_eq!((board.fields(Slot::Primary), board.fields(Slot::Secondary)), ("micr".into(), "".into()));
    assert_eq!(board.boots(), (V1, 0));
}

#[test]
fn a_confirmed_test_stays_and_the_next_update_begins_from_it() {
    let mut board = Board::uploaded().trailer(Slot::Secondary, "mt");
    board.boots();
    let mut board = board.trailer(Slot::Primary, "i");
    assert_eq!(board.boots(), (V2, 0));
    let mut board = board.trailer(Slot::Secondary, "mi");
    assert_eq!(board.boots().0, V1, "the old image is swapped in again, for good");
    assert_eq!(board.fields(Slot::Primary), "micp");
    assert_eq!(board.boots(), (V1, 0));
}

#[test]
fn a_padded_and_confirmed_factory_image_does_not_confuse_a_swap() {
    // mcuboot#829: its trailer looks like that of a swap without a size.
    let mut board = Board::uploaded().trailer(Slot::Primary, "mi").trailer(Slot::Secondary, "mt");
    assert_eq!(board.boots().0, V2);
    assert_eq!(board.fields(Slot::Primary), "mct", "image_ok of the old image is gone");
}

#[test]
fn a_torn_copy_done_still_leads_to_a_revert() {
    let mut board = Board::uploaded().trailer(Slot::Primary, "mCt");
    assert_eq!(board.boots().0, V2);
    assert_eq!(board.fields(Slot::Primary), "micr");
}

#[test]
fn a_torn_request_before_a_revert_does_not_prevent_it() {
    // mcuboot#1966: the fix-up before a revert was cut in its magic.
    let mut board = Board::uploaded().trailer(Slot::Primary, "mct").trailer(Slot::Secondary, "bi");
    assert_eq!(board.boots().0, V2);
    assert_eq!((board.fields(Slot::Primary), board.fields(Slot::Secondary)), ("micr".into(), "".into()));
}

#[test]
fn a_swap_that_has_begun_knows_its_kind_better_than_a_half_erased_request() {
    // A revert, whose request is half erased: what is left looks like a test of the old image.
    let mut board = Board::uploaded().trailer(Slot::Primary, "mir").swap_size(2500).trailer(Slot::Secondary, "m");
    assert_eq!(board.boots().0, V2);
    assert_eq!(board.fields(Slot::Primary), "micr");
    // A test, whose request reads as neither test nor permanent.
    let mut board = Board::uploaded().trailer(Slot::Primary, "mt").swap_size(2500).trailer(Slot::Secondary, "mI");
    assert_eq!(board.boots().0, V2);
    assert_eq!(board.fields(Slot::Primary), "mct");
}

#[test]
fn a_swap_that_has_begun_keeps_both_images_whole_whatever_size_it_says() {
    let mut board = Board::uploaded().trailer(Slot::Primary, "mt").swap_size(100);
    assert_eq!(board.boots().0, V2);
    assert!(board.holds(Slot::Secondary, &image(V1, OLD)));
}

#[test]
fn a_bad_image_is_erased_and_the_old_one_boots() {
    let mut bad = image(V2, NEW);
    bad[700] ^= 1;
    let mut board = Board::new().holding(&image(V1, OLD), &bad).trailer(Slot::Secondary, "mt");
    assert_eq!(board.boots(), (V1, SECTORS as usize));
    insta::assert_snapshot!(board.report, @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: the image is damaged: its SHA-256 begins 7743330e, its hash TLV says 616b7c06; magic good, image_ok unset, copy_done unset
    decision: test: refused, the secondary slot is erased
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    ");
    assert!(board.erased(Slot::Secondary));
    assert_eq!(board.boots(), (V1, 0));
}

#[test]
fn a_request_without_an_image_is_withdrawn() {
    let mut empty = Board::new().trailer(Slot::Secondary, "mt");
    empty.put(Slot::Primary, 0, &image(V1, OLD));
    assert_eq!(empty.boots(), (V1, 1));
    insta::assert_snapshot!(empty.report, @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: the slot is empty; magic good, image_ok unset, copy_done unset
    decision: test: withdrawn, the secondary slot has nothing to run
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    ");
    assert!(empty.erased(Slot::Secondary));
    let data = Builder { flags: Flags::NON_BOOTABLE, ..Builder::default() }.build();
    let mut board = Board::new().holding(&image(V1, OLD), &data).trailer(Slot::Secondary, "mt");
    assert_eq!(board.boots(), (V1, 1));
    assert!(board.holds(Slot::Secondary, &data));
    assert_eq!(board.boots(), (V1, 0));
}

#[test]
fn a_revert_to_nothing_is_given_up() {
    let mut board = Board::new().trailer(Slot::Primary, "mct");
    board.put(Slot::Primary, 0, &image(V2, NEW));
    assert_eq!(board.boots().0, V2);
    assert_eq!(board.fields(Slot::Primary), "");
    assert_eq!(board.boots(), (V2, 0));
}

#[test]
fn a_swap_that_has_begun_and_cannot_go_on_is_closed() {
    let mut bad = image(V2, NEW);
    bad[700] ^= 1;
    let mut board = Board::new().holding(&image(V1, OLD), &bad).trailer(Slot::Primary, "mt").swap_size(2500);
    assert_eq!(board.boots().0, V1);
    assert_eq!(board.fields(Slot::Primary), "mict", "the next image must not be taken for this one");
    board.put(Slot::Secondary, 0, &image(V2, NEW));
    assert_eq!(board.boots(), (V1, 0));
}

#[test]
fn a_damaged_primary_image_does_not_boot_but_can_be_replaced() {
    let mut bad = image(V1, OLD);
    bad[100] ^= 1;
    let mut board = Board::new().holding(&bad, &image(V2, NEW));
    insta::assert_snapshot!(board.boot().unwrap_err().to_string(), @"the primary slot holds nothing that may boot: the image is damaged: its SHA-256 begins 20ff19dc, its hash TLV says 6927ca34");
    assert!(board.flash.recorded().is_empty());
    insta::assert_snapshot!(board.report, @r"
    primary: the image is damaged: its SHA-256 begins 20ff19dc, its hash TLV says 6927ca34; no trailer
    secondary: 1.1.0+0, not verified; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: nothing, the image is damaged: its SHA-256 begins 20ff19dc, its hash TLV says 6927ca34
    ");
    let mut board = board.trailer(Slot::Secondary, "mt");
    assert_eq!(board.boots().0, V2);
}

#[test]
fn a_primary_image_too_large_to_be_swapped_does_not_hold_up_an_update() {
    // mcuboot#1592: pending for ever.
    let mut board = Board::new().holding(&image(V1, 4500), &image(V2, NEW)).trailer(Slot::Secondary, "mt");
    assert_eq!(board.boots().0, V2);
    insta::assert_snapshot!(board.report, @r"
    primary: 1.0.0+0, not verified; no trailer
    secondary: 1.1.0+0, verified; magic good, image_ok unset, copy_done unset
    decision: test: swap 3 sectors
    boot: 1.1.0+0 at 0:0x00000000, signed by trusted key 0
    ");
}

#[test]
fn an_empty_primary_slot_is_not_filled() {
    let mut board = Board::new().trailer(Slot::Secondary, "mt");
    board.put(Slot::Secondary, 0, &image(V2, NEW));
    assert_eq!(board.boot().unwrap_err(), BootError::NoImage(Rejection::Empty));
    assert!(board.flash.recorded().is_empty());
    insta::assert_snapshot!(board.report, @r"
    primary: the slot is empty; no trailer
    secondary: 1.1.0+0, not verified; magic good, image_ok unset, copy_done unset
    decision: test: not now, the primary slot has no image to swap with
    boot: nothing, the slot is empty
    ");
}

/// Cuts power in each operation of a test swap, boots, and looks at the report and what runs.
#[test]
fn a_swap_cut_anywhere_goes_on_where_it_was() {
    let (old, new) = (image(V1, OLD), image(V2, NEW));
    let mut whole = Board::uploaded().trailer(Slot::Secondary, "mt");
    let ops = whole.boots().1 as u64;
    let mut steps = Vec::new();
    for op in 1..=ops {
        let mut board = Board::uploaded().trailer(Slot::Secondary, "mt");
        board.flash.power_on();
        board.flash.cut_power(Cut { op, leaves: Partial::Nothing });
        let layout = board.layout;
        let (keys, options) = (crate::testing::Keys, Options::default());
        let cut = boot(&mut board.flash, &layout, &keys, &options, &mut board.report).unwrap_err();
        assert!(matches!(cut, BootError::Flash(FlashError { error: NorError::PowerLost, .. })), "{cut}");
        assert_eq!(board.boots().0, V2, "cut in operation {op}");
        assert!(board.holds(Slot::Primary, &new) && board.holds(Slot::Secondary, &old), "cut in operation {op}");
        assert_eq!(board.fields(Slot::Primary), "mct", "cut in operation {op}");
        let decision = board.report.decision.unwrap().to_string();
        if steps.last() != Some(&decision) {
            steps.push(decision);
        }
    }
    insta::assert_snapshot!(steps.join("\n"), @r"
    test: swap 3 sectors
    test: go on with the interrupted swap of 3 sectors at move 2
    test: go on with the interrupted swap of 3 sectors at move 3
    test: go on with the interrupted swap of 3 sectors at swap 1, first half
    test: go on with the interrupted swap of 3 sectors at swap 1, second half
    test: go on with the interrupted swap of 3 sectors at swap 2, first half
    test: go on with the interrupted swap of 3 sectors at swap 2, second half
    test: go on with the interrupted swap of 3 sectors at swap 3, first half
    test: go on with the interrupted swap of 3 sectors at swap 3, second half
    test: only the flags of the interrupted swap of 3 sectors are missing
    ");
}

/// The order of MCUboot, one line for each operation. `A` is the primary slot, `B` the secondary.
#[test]
fn operations_come_in_mcuboots_order() {
    let ops = |board: &Board| -> Vec<_> {
        let name = |op: &otaru_nor_sim::Op| {
            let (slot, offset) = if op.at.offset < 6144 { ("A", op.at.offset) } else { ("B", op.at.offset - 6144) };
            (op.kind, slot, offset)
        };
        let mut lines: Vec<std::string::String> = Vec::new();
        for op in board.flash.recorded() {
            let (kind, slot, offset) = name(op);
            let line = match kind {
                otaru_nor_sim::OpKind::Erase => std::format!("erase {slot}{}", offset / 1024),
                otaru_nor_sim::OpKind::Write if offset < 5120 => std::format!("copy to {slot}{}", offset / 1024),
                otaru_nor_sim::OpKind::Write => std::format!("write {slot}-{}", 6144 - offset),
            };
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines
    };
    let mut board = Board::new().holding(&image(V1, 800), &image(V2, 1000)).trailer(Slot::Secondary, "mt");
    board.boots();
    insta::assert_snapshot!(ops(&board).join(", "), @"erase A5, write A-40, write A-48, write A-16, write A-12, write A-8, write A-4, erase B5, erase A2, write A-120, erase A1, copy to A1, write A-116, erase A0, copy to A0, write A-96, erase B0, copy to B0, write A-92, erase A1, copy to A1, write A-88, erase B1, write A-84, write A-32");
    board.boots();
    insta::assert_snapshot!(ops(&board).join(", "), @"erase B5, write B-24, write B-48, write B-16, write B-12, write B-8, write B-4, erase A5, write A-40, write A-24, write A-48, write A-16, write A-12, write A-8, write A-4, erase B5, erase A2, copy to A2, write A-120, erase A1, copy to A1, write A-116, erase A0, copy to A0, write A-96, erase B0, copy to B0, write A-92, erase A1, write A-88, erase B1, copy to B1, write A-84, write A-32");
}

#[test]
fn erased_bytes_are_not_programmed() {
    let mut board = Board::new().holding(&image(V1, 100), &image(V2, 1800)).trailer(Slot::Secondary, "mt");
    board.boots();
    // Of two sectors each: the old image moves up, the new one is installed, the old one is put away. The old one's
    // second sector is empty. Six records, swap_info, swap_size, magic and copy_done.
    assert_eq!(board.flash.counters().bytes_written, 4 * 1024 + 6 * 4 + 4 + 4 + 16 + 4);
}

/// Two devices, of which the second fails in some way.
struct Failing {
    flash: otaru_nor_sim::NorFlash,
    fails: Access,
}

impl Failing {
    fn check(&self, access: Access, at: otaru_flash::FlashAddr) -> Result<(), NorError> {
        if access == self.fails && at.device.0 == 1 { Err(NorError::PowerLost) } else { Ok(()) }
    }
}

impl otaru_flash::ReadFlash for Failing {
    type Error = NorError;

    fn read(&mut self, at: otaru_flash::FlashAddr, out: &mut [u8]) -> Result<(), NorError> {
        self.check(Access::Read, at)?;
        self.flash.read(at, out)
    }
}

impl Flash for Failing {
    fn write(&mut self, at: otaru_flash::FlashAddr, data: &[u8]) -> Result<(), NorError> {
        self.check(Access::Write, at)?;
        self.flash.write(at, data)
    }

    fn erase(&mut self, at: otaru_flash::FlashAddr, len: u32) -> Result<(), NorError> {
        self.check(Access::Erase, at)?;
        self.flash.erase(at, len)
    }
}

/// Boots 1.0.0 with `secondary` asked for on a second device that fails so. Returns the report and the error, if any.
fn boot_with_failing_device(secondary: &[u8], fails: Access) -> (Report, Option<BootError<NorError>>) {
    let (flash, layout) = Board::two_devices(&image(V1, OLD), secondary);
    let mut flash = Failing { flash, fails };
    let mut report = Report::default();
    let booted = boot(&mut flash, &layout, &crate::testing::Keys, &Options::default(), &mut report);
    if let Ok(image) = &booted {
        assert_eq!(image.version(), V1);
    }
    (report, booted.err())
}

#[test]
fn a_secondary_device_that_fails_does_not_keep_the_old_image_from_booting() {
    let (report, error) = boot_with_failing_device(&image(V2, NEW), Access::Read);
    assert_eq!(error, None);
    insta::assert_snapshot!(report, @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: cannot be read; trailer unreadable
    decision: boot the primary image, nothing else is asked for
    trouble: reading flash at 1:0x000017e8 failed
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    ");
    let (report, error) = boot_with_failing_device(&image(V2, NEW)[..1000], Access::Erase);
    assert_eq!(error, None);
    insta::assert_snapshot!(report, @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: at 0x9e4 begins no TLV area: its magic is 0xffff, not 0x6907; magic good, image_ok unset, copy_done unset
    decision: test: refused, the secondary slot is erased
    trouble: erasing flash at 1:0x00000000 failed
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    ");
}

#[test]
fn a_swap_on_a_device_that_fails_is_not_booted_past() {
    let (report, error) = boot_with_failing_device(&image(V2, NEW), Access::Erase);
    insta::assert_snapshot!(error.unwrap(), @"erasing flash at 1:0x00001400 failed: PowerLost");
    insta::assert_snapshot!(report, @r"
    primary: 1.0.0+0, not verified; no trailer
    secondary: 1.1.0+0, verified; magic good, image_ok unset, copy_done unset
    decision: test: swap 3 sectors
    boot: nothing, flash failed
    ");
    let (_, error) = boot_with_failing_device(&image(V2, NEW), Access::Write);
    insta::assert_snapshot!(error.unwrap(), @"writing flash at 1:0x00000000 failed: PowerLost");
}
