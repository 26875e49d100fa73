use super::*;
use otaru_flash::SectorRun;
use std::string::{String, ToString};

fn unit(bytes: u32) -> WriteUnit {
    WriteUnit::new(bytes).unwrap()
}

fn area(device: u8, offset: u32, len: u32) -> Area {
    Area { device: DeviceId(device), offset, len }
}

/// The layout of the vectors' `move-ecdsa.s2048n12a4l2`: 12 sectors of 2 KiB for each slot.
fn spec(devices: &[Geometry]) -> Spec<'_> {
    Spec { primary: area(0, 4096, 24576), secondary: area(0, 28672, 24576), ..Spec::new(Mode::SwapMove, devices) }
}

fn flash() -> [Geometry; 1] {
    [Geometry::uniform(2048, 26, unit(4), 0xff)]
}

#[test]
fn sizes_and_cells_are_those_of_the_reference() {
    let layout = Layout::new(&spec(&flash())).unwrap();
    assert_eq!(layout.max_image_size(), 20480, "as the vectors' max-fit case says");
    assert_eq!(layout.first_trailer_sector(Slot::Primary), 11);
    let at = |cell| layout.cell(Slot::Primary, cell).offset;
    let cells = [Cell::Magic, Cell::ImageOk, Cell::CopyDone, Cell::SwapInfo, Cell::SwapSize].map(at);
    assert_eq!(cells, [28656, 28648, 28640, 28632, 28624]);
    assert_eq!(layout.magic(Slot::Primary).offset, 28656);
    assert_eq!(layout.record(Slot::Primary, 0).offset, 27088);
    assert_eq!(layout.record(Slot::Secondary, 1).offset, 51668);
}

#[test]
fn a_long_trailer_takes_several_sectors() {
    let devices = [Geometry::uniform(4096, 17, unit(16), 0xff)];
    let spec = Spec {
        primary: area(0, 4096, 32768),
        secondary: area(0, 36864, 32768),
        max_align: 16,
        ..Spec::new(Mode::SwapMove, &devices)
    };
    let layout = Layout::new(&spec).unwrap();
    assert_eq!(layout.trailer().size(), 6224);
    assert_eq!(layout.first_trailer_sector(Slot::Secondary), 6);
    assert_eq!(layout.max_image_size(), 5 * 4096);
}

#[test]
fn a_primary_slot_with_a_sector_to_spare_loses_nothing_to_the_swap() {
    let devices = flash();
    let spec = Spec { secondary: area(0, 28672, 22528), ..spec(&devices) };
    assert_eq!(Layout::new(&spec).unwrap().max_image_size(), 20480);
}

#[test]
fn slots_may_lie_in_two_devices_with_different_write_units() {
    let devices = [Geometry::uniform(2048, 14, unit(8), 0xff), Geometry::uniform(2048, 12, unit(1), 0x00)];
    let layout = Layout::new(&Spec { secondary: area(1, 0, 24576), ..spec(&devices) }).unwrap();
    assert_eq!((layout.write_unit(Slot::Primary).bytes(), layout.write_unit(Slot::Secondary).bytes()), (8, 1));
    assert_eq!((layout.erased(Slot::Primary), layout.erased(Slot::Secondary)), (0xff, 0x00));
    assert_eq!(layout.trailer().write_unit, 8, "records lie in the primary slot");
    assert_eq!(layout.devices().count(), 2);
}

#[test]
fn sectors_and_addresses_end_with_the_slot() {
    let layout = Layout::new(&spec(&flash())).unwrap();
    assert_eq!(layout.sector(Slot::Primary, 11).unwrap().offset, 4096 + 11 * 2048);
    assert_eq!(layout.sector(Slot::Primary, 12), None);
    assert_eq!(layout.address(Slot::Secondary, 24575).unwrap().offset, 53247);
    assert_eq!(layout.address(Slot::Secondary, 24576), None);
    assert_eq!(layout.sector(Slot::Primary, u32::MAX), None);
}

#[test]
fn modes_have_names() {
    assert_eq!("swap-move".parse(), Ok(Mode::SwapMove));
    assert_eq!(Mode::SwapMove.to_string(), "swap-move");
    let unknown = "swap-scratch".parse::<Mode>().unwrap_err();
    insta::assert_snapshot!(unknown.to_string(), @"no such mode; the one there is so far is swap-move");
}

/// What is said about a specification that differs from the good one in what `change` does.
fn refused(devices: &[Geometry], change: impl FnOnce(&mut Spec<'_>)) -> String {
    let mut spec = spec(devices);
    change(&mut spec);
    Layout::new(&spec).unwrap_err().to_string()
}

#[test]
fn slots_that_do_not_fit_their_devices_are_refused() {
    let devices = flash();
    insta::assert_snapshot!(refused(&[devices[0]; 5], |_| {}), @"5 flash devices are given, 4 is the most");
    insta::assert_snapshot!(refused(&devices, |spec| spec.secondary.device = DeviceId(1)), @"the secondary slot lies in flash device 1, but devices given: 1");
    insta::assert_snapshot!(refused(&devices, |spec| spec.secondary.offset += 2048), @"the secondary slot of 0x6000 bytes at 0x7800 does not fit its device, which has 0xd000 bytes");
    insta::assert_snapshot!(refused(&devices, |spec| spec.secondary.offset = 0xffff_f800), @"the secondary slot of 0x6000 bytes at 0xfffff800 does not fit its device, which has 0xd000 bytes");
    insta::assert_snapshot!(refused(&devices, |spec| spec.primary = Area::NONE), @"the primary slot of 0x0 bytes at 0x0 does not fit its device, which has 0xd000 bytes");
    insta::assert_snapshot!(refused(&devices, |spec| spec.primary.offset += 4), @"the primary slot does not begin and end with a sector: 0x1004 is inside one of 0x800 bytes");
    insta::assert_snapshot!(refused(&devices, |spec| spec.primary.len -= 4), @"the primary slot does not begin and end with a sector: 0x6ffc is inside one of 0x800 bytes");
    insta::assert_snapshot!(refused(&devices, |spec| spec.secondary.offset -= 2048), @"the slots overlap: primary 0x1000 and secondary 0x6800 on device 0");
}

#[test]
fn slots_that_cannot_be_swapped_are_refused() {
    let devices = flash();
    let mixed =
        Geometry::from_runs(&[SectorRun { size: 2048, count: 14 }, SectorRun { size: 4096, count: 6 }], unit(4), 0xff);
    insta::assert_snapshot!(refused(&[mixed.unwrap()], |_| {}), @"swap-move needs sectors of one size in both slots: the secondary slot has one of 0x1000 bytes at 0x7000, not 0x800");
    insta::assert_snapshot!(refused(&devices, |spec| spec.primary.len -= 2048), @"swap-move needs as many sectors in the primary slot as in the secondary, or one more: they have 11 and 12");
    insta::assert_snapshot!(refused(&devices, |spec| spec.secondary.len -= 2 * 2048), @"swap-move needs as many sectors in the primary slot as in the secondary, or one more: they have 12 and 10");
    insta::assert_snapshot!(refused(&devices, |spec| spec.max_sectors = 11), @"the primary slot has 12 sectors, but the trailer keeps the status of 11 only (max-sectors)");
    insta::assert_snapshot!(refused(&devices, |spec| spec.max_align = 64), @"trailer cells of 64 bytes: they must be of 8, 16 or 32, and no smaller than the write unit, which is 4");
    insta::assert_snapshot!(refused(&[Geometry::uniform(2048, 26, unit(16), 0xff)], |_| {}), @"trailer cells of 8 bytes: they must be of 8, 16 or 32, and no smaller than the write unit, which is 16");
    let tiny = |spec: &mut Spec<'_>| {
        (spec.primary.len, spec.secondary.len) = (4096, 4096);
    };
    insta::assert_snapshot!(refused(&devices, tiny), @"slots of 2 sectors of 0x800 bytes leave no room for an image: the trailer takes 0x800 bytes in whole sectors, the swap one more");
    insta::assert_snapshot!(refused(&devices, |spec| { tiny(spec); spec.max_sectors = u32::MAX }), @"slots of 2 sectors of 0x800 bytes leave no room for an image: the trailer takes 0xffffffff bytes in whole sectors, the swap one more");
}
