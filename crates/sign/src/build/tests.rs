use super::*;
use crate::inspect::Image;
use crate::test_support::{SCHEMES, ed25519, layout, plan};

#[test]
fn a_signed_image_is_header_payload_hash_key_hash_and_signature() {
    let layout = layout(4, 8, 0xff);
    let firmware: Vec<u8> = (0..100).collect();
    for scheme in SCHEMES {
        let key = SigningKey::generate(scheme).unwrap();
        let signed = sign(&firmware, &key, &plan(&layout)).unwrap();
        let image = Image::parse(signed.image()).unwrap();
        assert_eq!(image.header(), signed.header());
        assert_eq!(image.image().len(), signed.image().len(), "nothing behind the TLVs");
        assert_eq!(signed.image()[0x20..][..100], firmware);
        let kinds: Vec<_> = image.entries().iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [TlvType::SHA256, TlvType::KEYHASH, signature_type(scheme)]);
        assert_eq!(image.verify(&[key.public().clone()]).unwrap(), key.public());
        assert_eq!(image.hash(), Some(*signed.digest()));
        assert_eq!(signed.to_bin(), signed.image());
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let layout = layout(4, 8, 0xff);
    let signed = sign(b"firmware", &ed25519(), &plan(&layout)).unwrap();
    assert_eq!(sign(b"firmware", &ed25519(), &plan(&layout)).unwrap(), signed);
    // Bytes that must never change: header, payload, TLVs.
    insta::assert_snapshot!(hex::encode(signed.image()), @"3db8f396000000002000000008000000000000000102030004000000000000006669726d7761726507699000100020000823fd8d778757115da11ff8bf34c5f54403a69dc260c8f82135712c90175984010020009a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2ef42400400021b6cf6e0d2562e11e7d5eb3f684b6a0c6a197202a6ffffc61af6606e0cbb1ebd7cdc36b66b857361945fe51045728a55de5795cb36d2c2267fa2c9fc7db4206");
}

#[test]
fn room_for_the_header_is_made_or_must_be_there() {
    let layout = layout(4, 8, 0xff);
    let padded = sign(b"firmware", &ed25519(), &Plan { header_size: 0x40, ..plan(&layout) }).unwrap();
    assert_eq!(padded.image()[0x20..0x48], [&[0xff; 0x20][..], b"firmware"].concat());
    let with_room = [&[0; 0x40][..], b"firmware"].concat();
    let inside = Plan { header_size: 0x40, pad_header: false, ..plan(&layout) };
    let signed = sign(&with_room, &ed25519(), &inside).unwrap();
    assert_eq!(signed.image()[0x20..0x48], with_room[0x20..]);
    assert_eq!(signed.header().image_size, 8);
}

#[test]
fn what_cannot_be_signed_is_refused_in_words() {
    let layout = layout(4, 8, 0xff);
    let refused = |firmware: &[u8], plan: &Plan<'_>| sign(firmware, &ed25519(), plan).unwrap_err().to_string();
    let padded = plan(&layout);
    let inside = Plan { pad_header: false, ..padded };
    insta::assert_snapshot!(refused(b"firmware", &Plan { header_size: 31, ..padded }), @"a header of 31 bytes is too small: it needs at least 32");
    insta::assert_snapshot!(refused(b"", &padded), @"there is no firmware: the input ends where the payload should begin");
    insta::assert_snapshot!(refused(&[0; 0x20], &inside), @"there is no firmware: the input ends where the payload should begin");
    insta::assert_snapshot!(refused(&[0; 0x1f], &inside), @"the firmware has 31 bytes and should begin with 32 zeros for the header");
    insta::assert_snapshot!(refused(&[&[0; 0x1f][..], b"firmware"].concat(), &inside), @"the firmware should begin with 32 zeros for the header, but byte 31 is 0x66");
    let image = sign(b"firmware", &ed25519(), &padded).unwrap();
    insta::assert_snapshot!(refused(image.image(), &padded), @"this is an image already: it begins with an image's magic; sign the firmware it was made from");
    let bare = Plan { layout: None, ..padded };
    insta::assert_snapshot!(refused(b"firmware", &Plan { request: Request::Test, ..bare }), @"a trailer lies at the end of a slot, so it needs a layout");
    assert!(sign(&vec![0; 1 << 20], &ed25519(), &bare).is_ok(), "without a layout there is no limit");
}

#[test]
fn the_largest_image_fits_and_one_byte_more_does_not() {
    let layout = layout(4, 8, 0xff);
    let overhead = sign(b"f", &ed25519(), &plan(&layout)).unwrap().image().len() - 1;
    let largest = vec![0x55; layout.max_image_size() as usize - overhead];
    let signed = sign(&largest, &ed25519(), &plan(&layout)).unwrap();
    assert_eq!(signed.image().len(), layout.max_image_size() as usize);
    let error = sign(&[&largest[..], &[0]].concat(), &ed25519(), &plan(&layout)).unwrap_err();
    insta::assert_snapshot!(error, @"the image has 57345 bytes with header and signature, 1 more than the 57344 that swap-move can swap in slots of 65536 bytes");
}

#[test]
fn a_trailer_lies_where_the_loader_looks_and_hex_describes_nothing_else() {
    for (write_unit, max_align, erased) in [(1, 8, 0xff), (4, 8, 0xff), (8, 8, 0), (16, 16, 0xff), (32, 32, 0xff)] {
        let layout = layout(write_unit, max_align, erased);
        for request in [Request::Test, Request::Confirmed] {
            let signed = sign(b"firmware", &ed25519(), &Plan { request, ..plan(&layout) }).unwrap();
            let slot = signed.slot().unwrap();
            assert_eq!(slot, if request == Request::Test { Slot::Secondary } else { Slot::Primary });
            let bytes = signed.to_bin();
            let area = layout.area(slot);
            assert_eq!(bytes.len(), area.len as usize);
            let at = |address: otaru_flash::FlashAddr| (address.offset - area.offset) as usize;
            assert_eq!(bytes[at(layout.magic(slot))..], Magic::bytes(max_align));
            let image_ok = bytes[at(layout.cell(slot, Cell::ImageOk))];
            assert_eq!(image_ok, if request == Request::Test { erased } else { FLAG_SET });
            assert_eq!(bytes[at(layout.cell(slot, Cell::CopyDone))], erased);
            let set = bytes[signed.image().len()..].iter().filter(|byte| **byte != erased).count();
            assert!(set <= MAGIC_LEN + 1, "only the magic and the flag are written");

            let text = signed.to_hex(area.offset).unwrap();
            let memory = crate::hex::read(&text, erased).unwrap();
            assert_eq!((memory.base, &memory.bytes[..]), (area.offset, &bytes[..]), "the same bytes from both writers");
            let described = text.lines().filter(|line| &line[7..9] == "00").count();
            let records = signed.image().len().div_ceil(16) + 1 + 4;
            assert!(described <= records, "{described} data records, no filler");
        }
    }
}

#[test]
fn a_hex_file_that_goes_past_the_address_space_is_refused() {
    let layout = layout(4, 8, 0xff);
    let signed = sign(b"firmware", &ed25519(), &Plan { request: Request::Test, ..plan(&layout) }).unwrap();
    insta::assert_snapshot!(signed.to_hex(0xffff_8000).unwrap_err(), @"65520 bytes at 0xffff8000 go past the end of the address space");
}
