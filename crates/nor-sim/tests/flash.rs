//! What the simulated flash accepts, refuses, counts and keeps.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use otaru_flash::{DeviceId, Flash, FlashAddr, Geometry, ReadFlash, WriteUnit};
use otaru_nor_sim::{Counters, Cut, NorError, NorFlash, OpenError, Partial, Policy, Timing};

fn at(offset: u32) -> FlashAddr {
    FlashAddr::new(DeviceId(0), offset)
}

fn unit(bytes: u32) -> WriteUnit {
    WriteUnit::new(bytes).unwrap()
}

fn flash(write_unit: u32, erased: u8) -> NorFlash {
    NorFlash::erased(&[Geometry::uniform(64, 4, unit(write_unit), erased)])
}

fn dump(flash: &NorFlash, offset: usize, len: usize) -> Vec<u8> {
    flash.bytes(DeviceId(0)).unwrap()[offset..offset + len].to_vec()
}

#[test]
fn what_was_written_is_read_until_it_is_erased() {
    for erased in [0xff, 0x00] {
        for write_unit in [1, 2, 4, 8, 16, 32] {
            let mut flash = flash(write_unit, erased);
            flash.write(at(64), &[0x5a; 32]).unwrap();
            let mut out = [0; 40];
            flash.read(at(64), &mut out).unwrap();
            assert_eq!(out[..32], [0x5a; 32]);
            assert_eq!(out[32..], [erased; 8]);
            flash.erase(at(64), 64).unwrap();
            assert_eq!(flash.bytes(DeviceId(0)).unwrap(), [erased; 256]);
        }
    }
}

#[test]
fn calls_that_break_a_rule_are_refused_and_change_nothing() {
    let mut flash = flash(4, 0xff);
    flash.write(at(8), &[1; 4]).unwrap();
    let before = flash.contents().clone();
    let refused = [
        flash.write(at(2), &[0; 4]),
        flash.write(at(0), &[0; 6]),
        flash.write(at(252), &[0; 8]),
        flash.write(FlashAddr::new(DeviceId(1), 0), &[0; 4]),
        // The first two units are erased, the third is not: none may change.
        flash.write(at(0), &[0; 12]),
        flash.erase(at(0), 32),
        flash.erase(at(32), 64),
        flash.erase(at(0), 128),
        flash.erase(at(256), 64),
        flash.read(at(250), &mut [0; 7]),
    ];
    let texts: Vec<_> = refused.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    a write of 4 bytes at 0:0x00000002 does not consist of whole write units of 4 bytes
    a write of 6 bytes at 0:0x00000000 does not consist of whole write units of 4 bytes
    8 bytes at 0:0x000000fc do not lie inside that device, which has 0x100 bytes
    there is no flash device 1: this board has 1
    the write unit at 0:0x00000008 may be programmed 1x between two erases, and was 1x already
    an erase of 32 bytes at 0:0x00000000 does not name one whole sector
    an erase of 64 bytes at 0:0x00000020 does not name one whole sector
    an erase of 128 bytes at 0:0x00000000 does not name one whole sector
    64 bytes at 0:0x00000100 do not lie inside that device, which has 0x100 bytes
    7 bytes at 0:0x000000fa do not lie inside that device, which has 0x100 bytes
    "#);
    assert_eq!(flash.contents(), &before);
    assert_eq!(flash.op(), 1);
}

#[test]
fn a_unit_programmed_with_erased_bytes_is_programmed_all_the_same() {
    let mut flash = flash(4, 0xff);
    flash.write(at(0), &[0xff; 4]).unwrap();
    let refused = flash.write(at(0), &[1; 4]);
    assert_eq!(refused, Err(NorError::Programmed { at: at(0), times: 1, allowed: 1 }));
}

#[test]
fn where_a_unit_may_be_programmed_again_bits_add_up() {
    let mut twice = flash(4, 0xff).with_policy(Policy::Twice);
    twice.write(at(0), &[0xf0; 4]).unwrap();
    twice.write(at(0), &[0x3c; 4]).unwrap();
    assert_eq!(dump(&twice, 0, 4), [0x30; 4]);
    assert_eq!(twice.write(at(0), &[0; 4]), Err(NorError::Programmed { at: at(0), times: 2, allowed: 2 }));

    let mut inverted = flash(4, 0x00).with_policy(Policy::Always);
    inverted.write(at(0), &[0xf0; 4]).unwrap();
    inverted.write(at(0), &[0x03; 4]).unwrap();
    assert_eq!(dump(&inverted, 0, 4), [0xf3; 4]);
}

#[test]
fn a_cut_write_leaves_earlier_units_new_later_ones_old_and_its_own_torn() {
    let torn = |leaves| {
        let mut flash = flash(4, 0xff);
        flash.cut_power(Cut { op: 2, leaves });
        assert_eq!(flash.write(at(0), &[0x21; 12]), Err(NorError::PowerLost));
        assert_eq!(dump(&flash, 0, 4), [0x21; 4]);
        assert_eq!(dump(&flash, 8, 4), [0xff; 4]);
        assert!(flash.power_lost());
        dump(&flash, 4, 4)
    };
    assert_eq!(torn(Partial::Nothing), [0xff; 4]);
    assert_eq!(torn(Partial::FirstHalf), [0x21, 0x21, 0xff, 0xff]);
    assert_eq!(torn(Partial::SecondHalf), [0xff, 0xff, 0x21, 0x21]);
    assert_eq!(torn(Partial::EvenBits), [0xab; 4]);
    assert_eq!(torn(Partial::OddBits), [0x75; 4]);
    assert_eq!(torn(Partial::EvenCells), [0x21, 0xff, 0x21, 0xff]);
    assert_eq!(torn(Partial::OddCells), [0xff, 0x21, 0xff, 0x21]);
    assert_eq!(torn(Partial::KeepTail), [0x21, 0x21, 0x21, 0xff]);
    for leaves in [Partial::Programmed, Partial::All] {
        assert_eq!(torn(leaves), [0x21; 4]);
    }
}

#[test]
fn no_cut_write_leaves_a_bit_that_is_neither_old_nor_new() {
    for leaves in Partial::EVERY {
        for (erased, data) in [(0xff, 0x21), (0x00, 0xde)] {
            for write_unit in [1, 2, 4, 8, 16, 32] {
                let mut flash = flash(write_unit, erased);
                flash.cut_power(Cut { op: 1, leaves });
                assert_eq!(flash.write(at(0), &[data; 32]), Err(NorError::PowerLost));
                for byte in dump(&flash, 0, 64) {
                    // The data has no bit at its erased value that the cell does not have there too.
                    assert_eq!((byte ^ erased) & !(data ^ erased), 0, "{leaves}: {byte:#04x}");
                }
            }
        }
    }
}

#[test]
fn a_cut_erase_leaves_its_own_sector_alone_in_doubt() {
    let left = |leaves| {
        let mut flash = flash(8, 0xff);
        flash.load(at(0), &[0x21; 192]).unwrap();
        flash.cut_power(Cut { op: 1, leaves });
        assert_eq!(flash.erase(at(64), 64), Err(NorError::PowerLost));
        assert_eq!(dump(&flash, 0, 64), [0x21; 64]);
        assert_eq!(dump(&flash, 128, 64), [0x21; 64]);
        dump(&flash, 64, 64)
    };
    assert_eq!(left(Partial::Nothing), [0x21; 64]);
    assert_eq!(left(Partial::FirstHalf), [[0xff; 32], [0x21; 32]].concat());
    assert_eq!(left(Partial::SecondHalf), [[0x21; 32], [0xff; 32]].concat());
    assert_eq!(left(Partial::EvenBits), [0x75; 64]);
    assert_eq!(left(Partial::EvenCells), [[0xff; 8], [0x21; 8]].concat().repeat(4));
    assert_eq!(left(Partial::OddCells), [[0x21; 8], [0xff; 8]].concat().repeat(4));
    assert_eq!(left(Partial::KeepTail), [vec![0xff; 48], vec![0x21; 16]].concat());
    assert_eq!(left(Partial::Programmed), [0; 64]);
    assert_eq!(left(Partial::All), [0xff; 64]);
    let noise = left(Partial::Noise);
    assert!(noise.iter().filter(|&&byte| byte == 0xff || byte == 0x21).count() < 8, "{noise:x?}");
}

#[test]
fn without_power_every_call_fails_and_power_on_counts_from_one() {
    let mut flash = flash(4, 0xff);
    flash.record();
    flash.write(at(0), &[0; 8]).unwrap();
    flash.cut_power(Cut { op: 3, leaves: Partial::Nothing });
    assert_eq!(flash.erase(at(0), 64), Err(NorError::PowerLost));
    assert_eq!(flash.read(at(0), &mut [0]), Err(NorError::PowerLost));
    assert_eq!(flash.write(at(128), &[0; 4]), Err(NorError::PowerLost));
    assert_eq!(flash.erase(at(128), 64), Err(NorError::PowerLost));
    let ops: Vec<_> = flash.recorded().iter().map(ToString::to_string).collect();
    assert_eq!(ops, ["write 0:0x00000000+4", "write 0:0x00000004+4"]);
    flash.power_on();
    assert_eq!((flash.op(), flash.recorded().len(), flash.power_lost()), (0, 0, false));
    flash.erase(at(0), 64).unwrap();
    assert_eq!(flash.recorded()[0].to_string(), "erase 0:0x00000000+64");
}

#[test]
fn what_was_done_is_counted() {
    let mut flash = flash(4, 0xff).with_timing(Timing::Nrf52840);
    let waited = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&waited);
    flash.set_pace(move |time| log.lock().unwrap().push(time));
    flash.write(at(0), &[0; 12]).unwrap();
    flash.erase(at(0), 64).unwrap();
    flash.read(at(0), &mut [0; 5]).unwrap();
    let expected = Counters { writes: 1, bytes_written: 12, erases: 1, bytes_erased: 64, bytes_read: 5 };
    assert_eq!(flash.counters(), expected);
    assert_eq!(*waited.lock().unwrap(), [Duration::from_micros(123), Duration::from_millis(85)]);
    assert_eq!(flash.busy(), Duration::from_micros(85_123));
}

#[test]
fn a_file_holds_the_devices_one_after_the_other_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flash.bin");
    let devices = [Geometry::uniform(64, 2, unit(4), 0xff), Geometry::uniform(32, 1, unit(1), 0x00)];
    let mut flash = NorFlash::open(&path, &devices).unwrap();
    flash.write(at(64), &[1, 2, 3, 4]).unwrap();
    flash.write(FlashAddr::new(DeviceId(1), 31), &[9]).unwrap();
    // Nothing waits to be flushed: the file is read while the flash is still open.
    let mut expected = vec![0xff; 128];
    expected[64..68].copy_from_slice(&[1, 2, 3, 4]);
    expected.extend([0; 31]);
    expected.push(9);
    assert_eq!(std::fs::read(&path).unwrap(), expected);

    insta::assert_snapshot!(NorFlash::open(&path, &devices).unwrap_err(), @"the flash file is in use by another process");
    drop(flash);
    let mut again = NorFlash::open(&path, &devices).unwrap();
    let refused = again.write(at(64), &[0; 4]);
    assert_eq!(refused, Err(NorError::Programmed { at: at(64), times: 1, allowed: 1 }));
    again.cut_power(Cut { op: 1, leaves: Partial::FirstHalf });
    assert_eq!(again.erase(at(64), 64), Err(NorError::PowerLost));
    assert_eq!(
        std::fs::read(&path).unwrap(),
        again.bytes(DeviceId(0)).unwrap().iter().chain(again.bytes(DeviceId(1)).unwrap()).copied().collect::<Vec<_>>()
    );
    drop(again);

    let other = NorFlash::open(&path, &devices[..1]).unwrap_err();
    assert!(matches!(other, OpenError::Length { found: 160, expected: 128 }));
    insta::assert_snapshot!(other, @"the flash file has 160 bytes, and the devices of this layout have 128");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 160, "a file that is refused stays as it was");
}

#[test]
fn a_flash_file_in_a_folder_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = NorFlash::open(&dir.path().join("none/flash.bin"), &[]).unwrap_err();
    insta::assert_snapshot!(refused, @"the flash file cannot be opened");
    assert!(std::error::Error::source(&refused).is_some());
}

#[test]
fn errors_without_a_test_of_their_own_are_sentences() {
    insta::assert_snapshot!(NorError::PowerLost, @"power is off");
    insta::assert_snapshot!(NorError::File { kind: std::io::ErrorKind::StorageFull }, @"the flash file could not be written: no storage space");
}
