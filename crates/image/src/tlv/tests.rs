use super::*;
use crate::{Flags, OutOfRange, Version};
use std::string::{String, ToString};
use std::vec::Vec;

const PAYLOAD: u32 = 8;
const START: u32 = 32 + PAYLOAD;

fn header(protected_size: u16) -> Header {
    Header {
        load_address: 0,
        header_size: 32,
        protected_size,
        image_size: PAYLOAD,
        flags: Flags::NONE,
        version: Version::default(),
    }
}

fn area(protected: bool, entries: &[(TlvType, &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = entries
        .iter()
        .flat_map(|(kind, value)| {
            let mut entry = emit_entry(*kind, value.len().try_into().unwrap()).to_vec();
            entry.extend_from_slice(value);
            entry
        })
        .collect();
    let mut area = emit_info(protected, body.len()).unwrap().to_vec();
    area.extend(body);
    area
}

fn image(protected: &[(TlvType, &[u8])], unprotected: &[(TlvType, &[u8])]) -> (Header, Vec<u8>) {
    let mut areas = if protected.is_empty() { Vec::new() } else { area(true, protected) };
    let header = header(areas.len().try_into().unwrap());
    areas.extend(area(false, unprotected));
    let mut image = header.emit().to_vec();
    image.extend([0xa5; PAYLOAD as usize]);
    image.extend(areas);
    (header, image)
}

fn entries(header: &Header, bytes: &[u8]) -> Result<Vec<Entry>, TlvError<OutOfRange>> {
    let mut walk = Walk::new(bytes, header, bytes.len().try_into().unwrap())?;
    let mut found = Vec::new();
    while let Some(entry) = walk.next_entry()? {
        found.push(entry);
    }
    Ok(found)
}

fn both_areas() -> (Header, Vec<u8>) {
    image(
        &[(TlvType::SEC_CNT, &[7, 0, 0, 0]), (TlvType(0xa0), &[])],
        &[(TlvType::SHA256, &[1; 32]), (TlvType::KEYHASH, &[2; 32])],
    )
}

#[test]
fn protected_entries_come_first_and_values_are_read() {
    let (header, bytes) = both_areas();
    let found = entries(&header, &bytes).unwrap();
    let seen: Vec<_> = found.iter().map(|entry| (entry.kind, entry.offset, entry.len, entry.protected)).collect();
    assert_eq!(
        seen,
        [
            (TlvType::SEC_CNT, START + 8, 4, true),
            (TlvType(0xa0), START + 16, 0, true),
            (TlvType::SHA256, START + 24, 32, false),
            (TlvType::KEYHASH, START + 60, 32, false),
        ]
    );
    let mut walk = Walk::new(&bytes[..], &header, u32::MAX).unwrap();
    let mut out = [0; 16];
    assert_eq!(walk.value(&found[0], &mut out), Ok(Some(&[7, 0, 0, 0][..])));
    assert_eq!(walk.value(&found[2], &mut out), Ok(None), "longer than the buffer");
    assert_eq!(walk.end() as usize, bytes.len());
}

#[test]
fn areas_without_entries_are_legal() {
    let (header, bytes) = image(&[], &[]);
    assert_eq!(entries(&header, &bytes), Ok(Vec::new()));
    assert_eq!(image_extent(&bytes[..], &header, START + 4), Ok(START + 4));
    let mut empty_protected = header.emit().to_vec();
    empty_protected.extend([0; PAYLOAD as usize]);
    empty_protected.extend(area(true, &[]));
    empty_protected.extend(area(false, &[(TlvType::SIG_PURE, &[1])]));
    let header = self::header(4);
    assert_eq!(entries(&header, &empty_protected).unwrap().len(), 1);
}

#[test]
fn every_prefix_is_refused() {
    let (header, bytes) = both_areas();
    for len in 0..bytes.len() {
        assert!(entries(&header, &bytes[..len]).is_err(), "{len} bytes of {}", bytes.len());
    }
}

#[test]
fn any_two_bytes_changed_end_the_walk_in_bounds() {
    let (header, bytes) = both_areas();
    let start = START as usize;
    for at in start..bytes.len() - 1 {
        for value in [0u16, 1, 3, 4, 5, 0x6907, 0x6908, 0x7fff, 0xffff] {
            let mut changed = bytes.clone();
            changed[at..at + 2].copy_from_slice(&value.to_le_bytes());
            let Ok(found) = entries(&header, &changed) else { continue };
            assert!(found.iter().all(|entry| entry.offset as usize + usize::from(entry.len) <= changed.len()));
        }
    }
}

#[test]
fn an_entry_across_the_protected_end_is_refused() {
    let (header, mut bytes) = both_areas();
    let second_len = START as usize + 14;
    bytes[second_len] = 8;
    insta::assert_snapshot!(
        entries(&header, &bytes).unwrap_err().to_string(),
        @"TLV 0x00a0 at 0x38 says it is 8 bytes long, but its area ends at 0x38"
    );
}

#[test]
fn what_contradicts_itself_is_refused_in_words() {
    let refused = |header: &Header, bytes: &[u8]| -> String { entries(header, bytes).unwrap_err().to_string() };
    let (header, bytes) = both_areas();
    let changed = |at: u32, value: u16| {
        let mut bytes = bytes.clone();
        bytes[at as usize..][..2].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    insta::assert_snapshot!(refused(&header, &bytes[..START as usize]), @"the image ends at 0x2c or later, but there are only 0x28 bytes");
    insta::assert_snapshot!(refused(&header, &bytes[..bytes.len() - 1]), @"the image ends at 0x84 or later, but there are only 0x83 bytes");
    insta::assert_snapshot!(refused(&header, &changed(START, 0xffff)), @"the header promises 16 bytes of protected TLVs, but at 0x28 the magic is 0xffff, not 0x6908");
    insta::assert_snapshot!(refused(&header, &changed(START + 2, 15)), @"the header says 16 bytes of protected TLVs, the area itself says 15");
    insta::assert_snapshot!(refused(&self::header(0), &bytes), @"the header says 0 bytes of protected TLVs, the area itself says 16");
    insta::assert_snapshot!(refused(&header, &changed(START + 16, 0x6908)), @"at 0x38 begins no TLV area: its magic is 0x6908, not 0x6907");
    insta::assert_snapshot!(refused(&header, &changed(START + 18, 3)), @"the TLV area at 0x38 says it is 3 bytes long, the least is 4");
    insta::assert_snapshot!(refused(&header, &changed(START + 18, 7)), @"the TLV at 0x3c does not fit its area, which ends at 0x3f");
    insta::assert_snapshot!(TlvError::Read(OutOfRange { offset: 0, len: 1, size: 0 }), @"reading the TLVs failed");
    let far = Header { image_size: u32::MAX - 33, ..header };
    insta::assert_snapshot!(refused(&far, &bytes), @"the image ends at 0xfffffffe or later, but there are only 0x84 bytes");
}

#[test]
fn an_area_too_long_for_its_length_field_is_not_emitted() {
    assert_eq!(emit_info(false, 0xffff - 4), Some([0x07, 0x69, 0xff, 0xff]));
    assert_eq!(emit_info(true, 0), Some([0x08, 0x69, 4, 0]));
    assert_eq!(emit_info(true, 0xffff - 3), None);
    assert_eq!(emit_info(true, usize::MAX), None);
}

#[test]
fn known_types_have_names_and_unknown_ones_their_number() {
    insta::assert_snapshot!(TlvType::ECDSA_SIG, @"ECDSASIG");
    insta::assert_snapshot!(TlvType(0x1a0), @"TLV 0x01a0");
}
