use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::testing::{Board, Builder, Keys, V1, V2, image};
use otaru_image::Flags;

type Entries = Vec<(TlvType, Vec<u8>)>;

fn check(image: &[u8], options: &Options) -> Result<VerifiedImage, Rejection> {
    let mut board = Board::new();
    board.put(Slot::Secondary, 0, image);
    match verify(&mut board.flash, &board.layout, Slot::Secondary, &Keys, options) {
        Ok(image) => Ok(image),
        Err(VerifyError::Rejected(rejection)) => Err(rejection),
        Err(VerifyError::Flash(error)) => panic!("{error}"),
    }
}

fn refused(image: &[u8]) -> String {
    check(image, &Options::default()).unwrap_err().to_string()
}

/// What is said about an image whose hash, key hash and signature entries were changed.
fn changed(change: fn(&mut Entries)) -> String {
    refused(&Builder { change, ..Builder::default() }.build())
}

#[test]
fn a_whole_image_is_verified_by_the_key_that_it_names() {
    for key in 0..3 {
        let bytes = Builder { version: V2, payload: 777, key, ..Builder::default() }.build();
        let image = check(&bytes, &Options::default()).unwrap();
        assert_eq!((image.slot(), image.version(), image.key()), (Slot::Secondary, V2, KeyIndex(key)));
        assert_eq!(image.size(), bytes.len() as u32);
        assert_eq!(image.header().image_size, 777);
        let offset = image.header().tlv_offset().unwrap() as usize + 8;
        assert_eq!(image.hash()[..], bytes[offset..offset + 32]);
    }
}

#[test]
fn any_bit_that_is_signed_matters() {
    let good = Builder { protected: std::vec![(TlvType::DEPENDENCY, std::vec![7; 12])], ..Builder::default() }.build();
    assert!(check(&good, &Options::default()).is_ok());
    let signed = Header::parse(&good).unwrap().signed_size().unwrap() as usize;
    for bit in 0..signed * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&bad, &Options::default()).is_err(), "bit {bit}");
    }
}

#[test]
fn every_cut_off_image_is_refused() {
    let good = image(V1, 40);
    for len in 0..good.len() {
        assert!(check(&good[..len], &Options::default()).is_err(), "{len} bytes");
    }
}

#[test]
fn headers_are_checked_first() {
    insta::assert_snapshot!(refused(&[]), @"the slot is empty");
    insta::assert_snapshot!(refused(&[0x3c, 0xb8, 0xf3, 0x96]), @"an image of the obsolete first format (magic 0x96f3b83c)");
    insta::assert_snapshot!(refused(&[0; 40]), @"not an image: the magic is 0x00000000, an image has 0x96f3b83d");
    let flagged = |flags| refused(&Builder { flags, ..Builder::default() }.build());
    insta::assert_snapshot!(flagged(Flags::NON_BOOTABLE), @"the image is flagged as not bootable");
    insta::assert_snapshot!(flagged(Flags::ENCRYPTED_AES128), @"the image is ENCRYPTED_AES128, which this loader does not support");
    insta::assert_snapshot!(flagged(Flags::COMPRESSED_LZMA2.with(Flags::COMPRESSED_ARM_THUMB)), @"the image is COMPRESSED_LZMA2 | COMPRESSED_ARM_THUMB, which this loader does not support");
}

#[test]
fn an_image_must_fit_what_can_be_swapped() {
    let tlvs = image(V1, 0).len() - HEADER_LEN;
    let max = 4096 - HEADER_LEN - tlvs;
    assert!(check(&image(V1, max), &Options::default()).is_ok());
    insta::assert_snapshot!(refused(&image(V1, max + 1)), @"the image takes 4097 bytes, and 4096 is the most that can be swapped in this layout");
    insta::assert_snapshot!(refused(&image(V1, 4096)), @"the image takes 4128 bytes, and 4096 is the most that can be swapped in this layout");
    let mut huge = image(V1, 100);
    huge[12..16].copy_from_slice(&0xffff_0000u32.to_le_bytes());
    insta::assert_snapshot!(refused(&huge), @"the image takes 4294901792 bytes, and 4096 is the most that can be swapped in this layout");
    huge[12..16].copy_from_slice(&0xffff_ffffu32.to_le_bytes());
    insta::assert_snapshot!(refused(&huge), @"a payload of 0xffffffff bytes does not fit a 32-bit address space with its header and TLVs");
}

#[test]
fn tlv_areas_are_what_they_say() {
    let mut short = image(V1, 100);
    short[132..134].copy_from_slice(&[0, 0]);
    insta::assert_snapshot!(refused(&short), @"at 0x84 begins no TLV area: its magic is 0x0000, not 0x6907");
    insta::assert_snapshot!(changed(|entries| entries[0].1.truncate(31)), @"SHA256 is 31 bytes long, not 32");
    insta::assert_snapshot!(changed(|entries| entries[1].1.truncate(31)), @"KEYHASH is 31 bytes long, not 32");
    insta::assert_snapshot!(changed(|entries| entries[1].1.clear()), @"KEYHASH is 0 bytes long, not 32");
    insta::assert_snapshot!(changed(|entries| entries[1].1.push(0)), @"KEYHASH is 33 bytes long, not 32");
}

#[test]
fn hash_and_signature_must_be_there_and_right() {
    insta::assert_snapshot!(changed(Vec::clear), @"the image carries no SHA-256 of itself");
    insta::assert_snapshot!(changed(|entries| { entries.remove(0); }), @"the image carries no SHA-256 of itself");
    insta::assert_snapshot!(changed(|entries| entries[0].1[0] ^= 1), @"the image is damaged: its SHA-256 begins ca7da8e5, its hash TLV says cb7da8e5");
    insta::assert_snapshot!(changed(|entries| entries[0].0 = TlvType::SHA512), @"the image carries no SHA-256 of itself");
    insta::assert_snapshot!(changed(|entries| { entries.pop(); }), @"the image carries no signature that names its key");
    insta::assert_snapshot!(changed(|entries| { entries.remove(1); }), @"the image carries no signature that names its key");
    insta::assert_snapshot!(changed(|entries| entries[1].1.fill(9)), @"the image is signed by a key that is not trusted: its hash begins 09090909");
    insta::assert_snapshot!(changed(|entries| entries.swap(1, 2)), @"the image carries no signature that names its key");
    insta::assert_snapshot!(changed(|entries| entries[2].1[9] ^= 1), @"the ECDSA P-256 signature by trusted key 0 does not verify");
    insta::assert_snapshot!(changed(|entries| entries[2].1.resize(129, 0)), @"a signature of 129 bytes cannot be ECDSA P-256");
    insta::assert_snapshot!(changed(|entries| entries[2].0 = TlvType::ED25519), @"the image carries no signature that names its key");
    let short = |key| {
        refused(
            &Builder {
                key,
                change: |entries| {
                    entries[2].1.pop();
                },
                ..Builder::default()
            }
            .build(),
        )
    };
    insta::assert_snapshot!(short(1), @"a signature of 63 bytes cannot be Ed25519");
    insta::assert_snapshot!(short(2), @"a signature of 255 bytes cannot be RSA-2048");
}

#[test]
fn a_second_hash_must_agree_with_the_first() {
    let twice = |entries: &mut Entries| entries.insert(0, entries[0].clone());
    assert!(check(&Builder { change: twice, ..Builder::default() }.build(), &Options::default()).is_ok());
    insta::assert_snapshot!(changed(|entries| entries.insert(0, (TlvType::SHA256, std::vec![0xab; 32]))), @"the image is damaged: its SHA-256 begins ca7da8e5, its hash TLV says abababab");
    insta::assert_snapshot!(changed(|entries| entries.push((TlvType::SHA256, std::vec![0xab; 32]))), @"the image is damaged: its SHA-256 begins ca7da8e5, its hash TLV says abababab");
}

#[test]
fn a_signature_by_a_stranger_may_come_first() {
    let stranger = std::vec![(TlvType::KEYHASH, std::vec![9; 32]), (TlvType::ED25519, std::vec![1; 3])];
    let bytes = Builder { first: stranger, ..Builder::default() }.build();
    assert_eq!(check(&bytes, &Options::default()).unwrap().key(), KeyIndex(0));
}

#[test]
fn the_last_signature_counts_and_uses_up_its_key() {
    let bad_first = |entries: &mut Entries| {
        let (key_hash, mut signature) = (entries[1].clone(), entries[2].clone());
        signature.1[5] ^= 1;
        entries.splice(1..1, [key_hash, signature]);
    };
    assert!(check(&Builder { change: bad_first, ..Builder::default() }.build(), &Options::default()).is_ok());
    let bad_last = |entries: &mut Entries| {
        let (key_hash, mut signature) = (entries[1].clone(), entries[2].clone());
        signature.1[5] ^= 1;
        entries.extend([key_hash, signature]);
    };
    insta::assert_snapshot!(changed(bad_last), @"the ECDSA P-256 signature by trusted key 0 does not verify");
    let unnamed_last = |entries: &mut Entries| entries.push((TlvType::ECDSA_SIG, std::vec![0; 3]));
    assert!(check(&Builder { change: unnamed_last, ..Builder::default() }.build(), &Options::default()).is_ok());
}

#[test]
fn what_nobody_signed_must_not_be_there_unless_allowed() {
    let vendor = TlvType(0x12a0);
    let unprotected = Builder { first: std::vec![(vendor, std::vec![1; 4])], ..Builder::default() }.build();
    insta::assert_snapshot!(refused(&unprotected), @"TLV 0x12a0 at 0x8c is not covered by the signature and must not stand there");
    assert!(check(&unprotected, &Options { tlv_allow_list: false }).is_ok());
    let protected = Builder { protected: std::vec![(vendor, std::vec![1; 4])], ..Builder::default() }.build();
    assert!(check(&protected, &Options::default()).is_ok());
}

#[test]
fn flash_that_cannot_be_read_is_no_verdict_on_the_image() {
    let mut board = Board::uploaded();
    board.flash.cut_power(otaru_nor_sim::Cut { op: 1, leaves: otaru_nor_sim::Partial::Nothing });
    let _ = otaru_flash::Flash::write(&mut board.flash, board.layout.magic(Slot::Secondary), &[0; 4]);
    let error = verify(&mut board.flash, &board.layout, Slot::Primary, &Keys, &Options::default()).unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"reading flash at 0:0x00000000 failed: PowerLost");
}
