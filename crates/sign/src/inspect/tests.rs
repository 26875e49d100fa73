use super::*;
use crate::build::{Plan, Request, sign};
use crate::key::SigningKey;
use crate::test_support::{SCHEMES, ed25519, layout, plan};
use otaru_image::tlv::{emit_entry, emit_info};

/// An image with these TLVs in its unprotected area.
fn with_tlvs(entries: &[(TlvType, &[u8])]) -> Vec<u8> {
    let signed = sign(b"firmware", &ed25519(), &plan(&layout(4, 8, 0xff))).unwrap();
    let mut image = signed.image()[..signed.header().tlv_offset().unwrap() as usize].to_vec();
    let area: Vec<u8> = entries
        .iter()
        .flat_map(|(kind, value)| [&emit_entry(*kind, value.len().try_into().unwrap()), *value].concat())
        .collect();
    image.extend(emit_info(false, area.len()).unwrap());
    image.extend(area);
    image
}

fn refused(bytes: &[u8], keys: &[VerifyingKey]) -> String {
    Image::parse(bytes).unwrap().verify(keys).unwrap_err().to_string()
}

#[test]
fn any_changed_byte_of_an_image_is_noticed() {
    for scheme in SCHEMES {
        let key = SigningKey::generate(scheme).unwrap();
        let signed = sign(b"firmware", &key, &plan(&layout(4, 8, 0xff))).unwrap();
        let keys = [key.public().clone()];
        for at in 0..signed.image().len() {
            let mut changed = signed.image().to_vec();
            changed[at] ^= 0x10;
            let accepted = Image::parse(&changed).is_ok_and(|image| image.verify(&keys).is_ok());
            assert!(!accepted, "{scheme}: byte {at}");
        }
    }
}

#[test]
fn every_prefix_of_an_image_is_refused() {
    let signed = sign(b"firmware", &ed25519(), &plan(&layout(4, 8, 0xff))).unwrap();
    for len in 0..signed.image().len() {
        assert!(Image::parse(&signed.image()[..len]).is_err(), "{len} bytes");
    }
    insta::assert_snapshot!(Image::parse(&signed.image()[..31]).unwrap_err(), @"an image header has 32 bytes, here are 31");
    insta::assert_snapshot!(Image::parse(&signed.image()[..100]).unwrap_err(), @"the image ends at 0xb8 or later, but there are only 0x64 bytes");
}

#[test]
fn what_must_not_be_trusted_is_said_in_words() {
    let key = ed25519();
    let keys = [key.public().clone()];
    let whole = with_tlvs(&[]);
    let digest = Image::parse(&whole).unwrap().digest();
    let hash = key.public().hash();
    let signature = key.sign(&digest).unwrap();
    let sha = (TlvType::SHA256, &digest[..]);
    let by_key = (TlvType::KEYHASH, &hash[..]);
    let signed = (TlvType::ED25519, &signature[..]);
    assert!(Image::parse(&with_tlvs(&[sha, by_key, signed])).unwrap().verify(&keys).is_ok());

    insta::assert_snapshot!(refused(&with_tlvs(&[by_key, signed]), &keys), @"the image has no hash TLV");
    insta::assert_snapshot!(refused(&with_tlvs(&[(TlvType::SHA512, &[0; 64]), by_key, signed]), &keys), @"the image is hashed with SHA512; loaders here use SHA256");
    insta::assert_snapshot!(refused(&with_tlvs(&[(TlvType::SHA256, &digest[..31]), by_key, signed]), &keys), @"the image's SHA256 TLV has 31 bytes, a hash has 32");
    insta::assert_snapshot!(refused(&with_tlvs(&[(TlvType::SHA256, &[0; 32]), by_key, signed]), &keys), @"the image is damaged: its hash is 0823fd8d778757115da11ff8bf34c5f54403a69dc260c8f82135712c90175984, its TLV says 0000000000000000000000000000000000000000000000000000000000000000");
    insta::assert_snapshot!(refused(&with_tlvs(&[sha]), &keys), @"the image is not signed");
    insta::assert_snapshot!(refused(&with_tlvs(&[sha, signed]), &keys), @"the image is signed by a key it does not name, not by key 9a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2ef4");
    insta::assert_snapshot!(refused(&with_tlvs(&[sha, (TlvType::KEYHASH, &[7; 32]), signed]), &keys), @"the image is signed by key 0707070707070707070707070707070707070707070707070707070707070707, not by key 9a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2ef4");
    insta::assert_snapshot!(refused(&with_tlvs(&[sha, signed, by_key]), &keys), @"the image is signed by a key it does not name, not by key 9a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2ef4");
    insta::assert_snapshot!(refused(&with_tlvs(&[sha, by_key, (TlvType::ECDSA_SIG, &signature)]), &keys), @"the image names a key that signs with Ed25519, but carries ECDSASIG");
    insta::assert_snapshot!(refused(&with_tlvs(&[sha, by_key, (TlvType::ED25519, &[0; 64])]), &keys), @"the image's Ed25519 signature does not verify: it was changed, or made with another key");
    insta::assert_snapshot!(refused(&with_tlvs(&[sha, (TlvType::KEYHASH, &hash[..31]), signed]), &keys), @"the image is signed by key 9a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2e, not by key 9a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2ef4");
    let mut encrypted = whole.clone();
    encrypted[16] |= 4;
    insta::assert_snapshot!(refused(&encrypted, &keys), @"the image is encrypted: its hash is over the payload that only the device can decrypt");
}

#[test]
fn one_of_several_signatures_by_a_trusted_key_is_enough() {
    let (key, stranger) = (ed25519(), SigningKey::generate(Scheme::EcdsaP256).unwrap());
    let digest = Image::parse(&with_tlvs(&[])).unwrap().digest();
    let (by_key, by_stranger) = (key.sign(&digest).unwrap(), stranger.sign(&digest).unwrap());
    let bytes = with_tlvs(&[
        (TlvType::SHA256, &digest),
        (TlvType::KEYHASH, &stranger.public().hash()),
        (TlvType::ECDSA_SIG, &by_stranger),
        (TlvType::PUBKEY, key.public().to_der()),
        (TlvType::ED25519, &by_key),
    ]);
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(image.verify(&[key.public().clone()]), Ok(key.public()));
    assert_eq!(image.verify(&[stranger.public().clone()]), Ok(stranger.public()));
    let third = SigningKey::generate(Scheme::Ed25519).unwrap().public().clone();
    assert!(matches!(image.verify(&[third]), Err(VerifyError::Stranger { found, .. }) if found.len() == 2));
    assert!(image.verify(&[]).is_err());
}

#[test]
fn the_trailer_of_a_padded_image_is_read() {
    for max_align in [8, 16, 32] {
        let layout = layout(4, max_align, 0xff);
        let confirmed = Plan { request: Request::Confirmed, ..plan(&layout) };
        let mut bytes = sign(b"firmware", &ed25519(), &confirmed).unwrap().to_bin().into_owned();
        let cells = TrailerCells { image_ok: 1, copy_done: 0xff, swap_info: 0xff, swap_size: u32::MAX };
        let trailer = TrailerFields { magic: Magic::bytes(max_align), cells: Some(cells) };
        assert_eq!(Image::parse(&bytes).unwrap().trailer(), Some(trailer));
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(Image::parse(&bytes).unwrap().trailer().unwrap().cells, None);
    }
    let signed = sign(b"firmware", &ed25519(), &plan(&layout(4, 8, 0xff))).unwrap();
    assert_eq!(Image::parse(signed.image()).unwrap().trailer(), None);
    let mut short = signed.image().to_vec();
    short.extend(Magic::bytes(8));
    assert_eq!(Image::parse(&short).unwrap().trailer().unwrap().cells, None, "a magic right behind the TLVs");
}
