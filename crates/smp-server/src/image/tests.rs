//! Uploads, state and erasure, one behaviour each.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use super::*;
use crate::fake::{Done, IMAGE_LEN, SECTOR, Store, image, poll_once_and_drop, ready, sha};
use otaru_policy::{Access, Action, Link, Policy, SecurityLevel, Transport};
use otaru_smp::image::{SlotState, StateResponse};
use otaru_smp::{Code, ImageError, Rc};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

const NEW: [u8; 8] = [2, 0, 0, 0, 0, 0, 0, 0];
const HASH: [u8; 32] = [0xd5; 32];

fn new_image() -> Vec<u8> {
    image(NEW, HASH)
}

/// The image group and the peers that talk to it.
struct Bench {
    images: Images<Store>,
    policy: Policy,
}

type Answer = Result<UploadResponse, Failure>;

impl Bench {
    fn new(store: Store) -> Self {
        let access = Access::authenticated();
        let policy = Policy::deny_all().with(Transport::Udp, Access::open()).with(Transport::Ble, access);
        Self { images: Images::new(store), policy }
    }

    fn store(&mut self) -> &mut Store {
        self.images.store_mut()
    }

    fn from(&mut self, connection: Option<u32>, request: &UploadRequest<'_>) -> Answer {
        let link = connection.map_or(Link::udp(), |number| Link::ble(number, SecurityLevel::L4, true));
        ready(self.images.upload(Gate::new(&self.policy, &link), request))
    }

    fn upload(&mut self, request: &UploadRequest<'_>) -> Answer {
        self.from(None, request)
    }

    /// Goes on from `offset` with pieces of `size` bytes to the end; the last answer.
    fn rest(&mut self, file: &[u8], offset: usize, size: usize) -> UploadResponse {
        let mut offset = offset;
        loop {
            let piece = &file[offset..file.len().min(offset + size)];
            let answer = self.upload(&UploadRequest::next(offset as u32, piece)).unwrap();
            offset += piece.len();
            assert_eq!(answer.offset as usize, offset);
            if offset == file.len() {
                return answer;
            }
            assert_eq!(answer.matches, None);
        }
    }

    fn set(&mut self, hash: Option<&[u8]>, confirm: bool) -> Result<Vec<String>, Failure> {
        let link = Link::udp();
        let mut out = [0; 512];
        let request = SetStateRequest { hash, confirm };
        let n = ready(self.images.set_state(Gate::new(&self.policy, &link), &request, &mut out))?;
        Ok(list(&out[..n]))
    }

    fn list(&mut self) -> Vec<String> {
        let mut out = [0; 512];
        let n = ready(self.images.state(&mut out)).unwrap();
        list(&out[..n])
    }

    fn erase(&mut self, connection: Option<u32>, slot: Option<u32>) -> Result<(), Failure> {
        let link = connection.map_or(Link::udp(), |number| Link::ble(number, SecurityLevel::L4, true));
        ready(self.images.erase(Gate::new(&self.policy, &link), &EraseRequest { slot }))
    }
}

/// A list of images in short: slot, version, and the flags that are set.
fn list(body: &[u8]) -> Vec<String> {
    let state = StateResponse::decode(body).unwrap();
    let line = |slot: SlotState<'_>| {
        let flags = [
            ("pending", slot.pending),
            ("permanent", slot.permanent),
            ("confirmed", slot.confirmed),
            ("active", slot.active),
        ];
        let set: Vec<_> = flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        format!("{} {} {}", slot.slot, slot.version, set.join(" "))
    };
    state.images.iter().map(line).collect()
}

fn off(offset: u32) -> Answer {
    Ok(UploadResponse { offset, matches: None })
}

fn end(matches: bool) -> Answer {
    Ok(UploadResponse { offset: IMAGE_LEN, matches: Some(matches) })
}

fn code(result: Result<impl core::fmt::Debug, Failure>) -> Code {
    result.unwrap_err().code()
}

/// A bench on which the first `so_far` bytes of the new image were uploaded.
fn begun(so_far: usize) -> (Bench, Vec<u8>, [u8; 32]) {
    let (file, mut bench) = (new_image(), Bench::new(Store::new()));
    let sha = sha(&file);
    assert_eq!(bench.upload(&UploadRequest::first(&file[..so_far], IMAGE_LEN, Some(&sha))), off(so_far as u32));
    (bench, file, sha)
}

#[test]
fn an_image_arrives_whole_whatever_the_write_unit_and_the_pieces() {
    let file = new_image();
    let sha = sha(&file);
    for unit in [1, 2, 4, 8, 16, 32] {
        for size in [1, 31, 333, 4096, 2432, 60_000] {
            if size == 1 && unit != 32 {
                continue;
            }
            let mut bench = Bench::new(Store { unit, ..Store::new() });
            assert_eq!(bench.upload(&UploadRequest::first(&file[..100], IMAGE_LEN, Some(&sha))), off(100));
            assert_eq!(Ok(bench.rest(&file, 100, size)), end(true), "units of {unit}, pieces of {size}");
            assert_eq!(bench.store().slots[1][..file.len()], file);
            assert_eq!(bench.list(), ["0 1.1.0.1 confirmed active", "1 2.0.0 "]);
        }
    }
}

#[test]
fn flash_is_erased_as_the_image_comes_and_one_sector_ahead_while_idle() {
    let (mut bench, file, _) = begun(512);
    assert_eq!(bench.store().log, [Done::Prepare, Done::EraseSector(0), Done::Write { offset: 0, len: 512 }]);
    bench.store().log.clear();
    for _ in 0..3 {
        ready(bench.images.idle());
    }
    assert_eq!(bench.store().log, [Done::EraseSector(SECTOR)], "one ahead, not more");
    bench.rest(&file[..8192], 512, 2000);
    let erased = |log: &[Done]| log.iter().filter(|done| matches!(done, Done::EraseSector(_))).count();
    assert_eq!(erased(&bench.store().log), 1, "what was erased ahead is not erased again");
    assert_eq!(Ok(bench.rest(&file, 8192, 2000)), end(true));
    assert_eq!(erased(&bench.store().log), 14, "as many sectors as the image takes, less the first");
    bench.store().log.clear();
    ready(bench.images.idle());
    assert_eq!(bench.store().log, [], "nothing is ahead of the end");
}

#[test]
fn a_piece_that_is_not_wanted_is_answered_with_the_one_that_is() {
    let mut bench = Bench::new(Store::new());
    assert_eq!(bench.upload(&UploadRequest::next(100, &[1])), off(0), "nothing is under way");
    let (mut bench, file, _) = begun(512);
    for offset in [1, 511, 513, 4096, IMAGE_LEN, u32::MAX] {
        assert_eq!(bench.upload(&UploadRequest::next(offset, &file[..100])), off(512), "{offset}");
    }
    assert_eq!(bench.upload(&UploadRequest::next(512, &[])), off(512));
    assert_eq!(Ok(bench.rest(&file, 512, 1024)), end(true), "none of it did harm");
}

#[test]
fn an_upload_is_resumed_by_its_sha_and_length_and_by_nothing_else() {
    let (mut bench, file, sha) = begun(777);
    let first = |sha| UploadRequest::first(&file[..64], IMAGE_LEN, sha);
    assert_eq!(bench.upload(&first(Some(&sha))), off(777), "nothing is written");
    assert_eq!(
        bench.upload(&UploadRequest { len: Some(IMAGE_LEN - 1), ..first(Some(&sha)) }),
        off(64),
        "another length"
    );
    assert_eq!(bench.upload(&first(Some(&sha))), off(64));
    assert_eq!(bench.upload(&first(Some(&sha[..8]))), off(64), "another sha");
    assert_eq!(bench.upload(&UploadRequest::next(64, &file[64..200])), off(200));
    assert_eq!(bench.upload(&first(Some(&sha[..8]))), off(200), "part of a sha will do");
    assert_eq!(bench.upload(&first(None)), off(64), "no sha");
    assert_eq!(bench.upload(&UploadRequest::next(64, &file[64..200])), off(200));
    assert_eq!(bench.upload(&first(None)), off(64), "no sha is no name");
}

/// zephyr#51798: an erased slot was written to from where the upload had been.
#[test]
fn an_erased_slot_is_not_resumed() {
    let (mut bench, file, sha) = begun(512);
    bench.erase(None, Some(1)).unwrap();
    assert_eq!(bench.upload(&UploadRequest::next(512, &file[512..1024])), off(0));
    assert_eq!(bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, Some(&sha))), off(64));
    assert_eq!(code(bench.erase(None, Some(0))), ImageError::NO_FREE_SLOT.into());
    assert_eq!(bench.upload(&UploadRequest::next(64, &file[64..128])), off(128), "a refused erasure changes nothing");
}

#[test]
fn first_pieces_are_refused_in_the_order_clients_know() {
    let file = new_image();
    let header = &file[..64];
    let good = UploadRequest::first(header, IMAGE_LEN, None);
    let mut alien = header.to_vec();
    alien[0] ^= 1;
    let long_sha = [1; 33];
    let refusal = |request: &UploadRequest<'_>, swap| {
        let (mut bench, file, sha) = begun(512);
        bench.store().swap = swap;
        let failure = bench.upload(request).unwrap_err();
        bench.store().swap = SwapType::None;
        assert_eq!(bench.upload(&UploadRequest::next(512, &file[512..600])), off(0), "the upload under way is over");
        assert_eq!(bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, Some(&sha))), off(64));
        format!("{}: {}", failure.code(), failure.reason())
    };
    let none = SwapType::None;
    insta::assert_snapshot!(refusal(&UploadRequest { offset: None, ..good }, none),
        @"image group error 20 (INVALID_OFFSET): the upload request has no offset: ");
    insta::assert_snapshot!(refusal(&UploadRequest { data: &alien[..31], len: None, ..good }, none),
        @"image group error 22 (INVALID_IMAGE_HEADER): the image's header did not come whole, or asks for something that the device cannot do: the first piece has 31 bytes, an image header 32");
    insta::assert_snapshot!(refusal(&UploadRequest { data: &alien, len: None, ..good }, none),
        @"image group error 21 (INVALID_LENGTH): the upload's length is not given, or less than the image's header speaks of: ");
    insta::assert_snapshot!(refusal(&UploadRequest { data: &alien, sha: Some(&long_sha), ..good }, none),
        @"image group error 23 (INVALID_IMAGE_HEADER_MAGIC): what was sent is no MCUboot image: ");
    insta::assert_snapshot!(refusal(&UploadRequest { sha: Some(&long_sha), image: Some(5), ..good }, none),
        @"image group error 24 (INVALID_HASH): the hash that was given has a wrong length: a SHA-256 has 32 bytes, 33 were given");
    insta::assert_snapshot!(refusal(&UploadRequest { image: Some(5), len: Some(u32::MAX), ..good }, none),
        @"image group error 9 (NO_FREE_SLOT): the slot is in use: there is no image 5 here, only image 0");
    insta::assert_snapshot!(refusal(&UploadRequest { len: Some(u32::MAX), ..good }, SwapType::Test),
        @"image group error 9 (NO_FREE_SLOT): the slot is in use: the image in slot 1 is pending: reset to run it, or erase slot 1");
    insta::assert_snapshot!(refusal(&good, SwapType::Permanent),
        @"image group error 9 (NO_FREE_SLOT): the slot is in use: the image in slot 1 is pending: reset to run it, or erase slot 1");
    insta::assert_snapshot!(refusal(&good, SwapType::Revert),
        @"image group error 9 (NO_FREE_SLOT): the slot is in use: slot 1 holds the image to go back to while the running one is on trial: confirm or reset first");
    insta::assert_snapshot!(refusal(&UploadRequest { len: Some(0x67001), upgrade: true, ..good }, none),
        @"image group error 30 (INVALID_IMAGE_TOO_LARGE): the image is too large for the slot: the image has 421889 bytes, slot 1 takes 421888");
    insta::assert_snapshot!(refusal(&UploadRequest { len: Some(63), ..good }, none),
        @"image group error 31 (INVALID_IMAGE_DATA_OVERRUN): more data was sent than the upload announced: 64 bytes at offset 0 run beyond the announced length of 63");
    let old = image([1, 1, 0, 0, 9, 0, 0, 0], HASH);
    insta::assert_snapshot!(refusal(&UploadRequest { data: &old[..64], upgrade: true, ..good }, none),
        @"image group error 27 (CURRENT_VERSION_IS_NEWER): the running image is as new or newer: ");
}

#[test]
fn an_upload_may_be_as_long_as_the_slot_takes_and_as_short_as_one_piece() {
    let (file, mut bench) = (new_image(), Bench::new(Store::new()));
    assert_eq!(bench.upload(&UploadRequest::first(&file[..64], 0x67000, None)), off(64));
    let sha = sha(&file[..64]);
    let whole = bench.upload(&UploadRequest::first(&file[..64], 64, Some(&sha)));
    assert_eq!(whole, Ok(UploadResponse { offset: 64, matches: Some(true) }));
}

#[test]
fn another_image_in_the_slot_is_told_by_its_header_and_not_hashed() {
    let other = image([3, 0, 0, 0, 0, 0, 0, 0], HASH);
    let mut bench = Bench::new(Store::with_second(&new_image(), SwapType::None));
    assert_eq!(bench.upload(&UploadRequest::first(&other[..64], IMAGE_LEN, Some(&sha(&other)))), off(64));
    assert_eq!(bench.store().hashed, 0);
}

/// zephyr#60899: the length was not checked, neither against the slot nor piece by piece.
#[test]
fn a_piece_beyond_the_end_ends_the_upload() {
    let (mut bench, file, _) = begun(512);
    bench.rest(&file[..60_600], 512, 4000);
    let overrun = bench.upload(&UploadRequest::next(60_600, &file[60_500..60_564]));
    assert_eq!(
        overrun.as_ref().unwrap_err().reason(),
        "64 bytes at offset 60600 run beyond the announced length of 60663"
    );
    assert_eq!(code(overrun), ImageError::INVALID_IMAGE_DATA_OVERRUN.into());
    assert_eq!(bench.upload(&UploadRequest::next(60_600, &file[60_600..])), off(0));
}

#[test]
fn a_lost_final_answer_costs_one_request_and_no_flash() {
    let (mut bench, file, sha) = begun(512);
    assert_eq!(Ok(bench.rest(&file, 512, 1000)), end(true));
    bench.store().log.clear();
    let last = 512 + (file.len() - 512) / 1000 * 1000;
    assert_eq!(bench.upload(&UploadRequest::next(last as u32, &file[last..])), end(true), "the last piece again");
    assert_eq!(bench.upload(&UploadRequest::next(512, &file[512..1512])), end(true), "an earlier piece, late");
    assert_eq!(bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, Some(&sha))), end(true), "from the start");
    assert_eq!(bench.upload(&UploadRequest::next(IMAGE_LEN, &[1])), off(0), "no piece of it");
    assert_eq!(bench.store().log, []);
    bench.erase(None, None).unwrap();
    assert_eq!(bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, Some(&sha))), off(64), "erased");
}

#[test]
fn an_image_that_is_there_is_not_uploaded_again_after_a_reboot_either() {
    let file = new_image();
    let mut bench = Bench::new(Store::with_second(&file, SwapType::None));
    let first = UploadRequest::first(&file[..64], IMAGE_LEN, None);
    assert_eq!(bench.upload(&UploadRequest { sha: Some(&sha(&file)), ..first }), end(true));
    assert_eq!(bench.store().log, []);
    assert_eq!(
        bench.upload(&UploadRequest { sha: Some(&sha(&file)[..31]), ..first }),
        off(64),
        "part of a sha says too little"
    );
}

#[test]
fn an_image_that_is_pending_is_not_uploaded_over_even_if_it_is_the_same() {
    let (mut bench, file, sha) = begun(512);
    bench.rest(&file, 512, 4096);
    bench.set(Some(&HASH), false).unwrap();
    let again = bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, Some(&sha)));
    assert_eq!(code(again), ImageError::NO_FREE_SLOT.into());
    bench.erase(None, Some(1)).unwrap();
    assert_eq!(bench.list(), ["0 1.1.0.1 confirmed active"], "the way out of a pending image that cannot run");
    assert_eq!(bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, Some(&sha))), off(64));
}

#[test]
fn content_that_does_not_match_is_said_and_not_remembered() {
    let (file, mut bench) = (new_image(), Bench::new(Store::new()));
    let wrong = [0xee; 32];
    let first = UploadRequest::first(&file[..64], IMAGE_LEN, Some(&wrong));
    bench.upload(&first).unwrap();
    assert_eq!(Ok(bench.rest(&file, 64, 4096)), end(false));
    assert_eq!(bench.upload(&first), off(64));
}

#[test]
fn without_a_whole_sha_the_last_answer_says_no_match() {
    for sha in [None, Some(&[7_u8; 8][..])] {
        let (file, mut bench) = (new_image(), Bench::new(Store::new()));
        bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, sha)).unwrap();
        assert_eq!(Ok(bench.rest(&file, 64, 4096)), end(false));
        let last = 64 + (file.len() - 64) / 4096 * 4096;
        assert_eq!(bench.upload(&UploadRequest::next(last as u32, &file[last..])), end(false));
        let again = bench.upload(&UploadRequest::first(&file[..64], IMAGE_LEN, sha));
        assert_eq!(again, if sha.is_some() { end(false) } else { off(64) });
    }
}

#[test]
fn a_connection_keeps_its_upload_while_it_lasts() {
    let (file, mut bench) = (new_image(), Bench::new(Store::new()));
    let sha = sha(&file);
    let first = |sha| UploadRequest::first(&file[..64], IMAGE_LEN, sha);
    assert_eq!(bench.from(Some(1), &first(Some(&sha))), off(64));
    for (stranger, request) in [
        (Some(2), first(Some(&[1; 32]))),
        (Some(2), first(None)),
        (None, first(Some(&[1; 32]))),
        (Some(2), UploadRequest::next(64, &file[64..128])),
        (Some(2), UploadRequest { offset: None, ..first(None) }),
        (None, UploadRequest { data: &[], ..first(None) }),
    ] {
        let failure = bench.from(stranger, &request).unwrap_err();
        insta::allow_duplicates!(
            insta::assert_snapshot!(failure.reason(), @"another connection is uploading, 64 of 60663 bytes so far")
        );
        assert_eq!(failure.code(), Rc::BUSY.into());
    }
    assert_eq!(code(bench.erase(Some(2), None)), Rc::BUSY.into());
    assert_eq!(bench.from(Some(1), &UploadRequest::next(64, &file[64..128])), off(128), "undisturbed");

    assert_eq!(
        bench.from(Some(2), &UploadRequest { data: &[], ..first(Some(&sha)) }).map_err(|f| f.code()),
        Err(ImageError::INVALID_IMAGE_HEADER.into())
    );
    assert_eq!(
        bench.from(Some(1), &UploadRequest::next(128, &file[128..192])),
        off(192),
        "nor by a bad piece that knows its name"
    );

    bench.images.connection_closed(2);
    assert_eq!(code(bench.from(Some(2), &UploadRequest::next(192, &file[192..200]))), Rc::BUSY.into());
    assert_eq!(bench.from(Some(2), &first(Some(&sha))), off(192), "the same client, back on another connection");
    assert_eq!(code(bench.from(Some(1), &UploadRequest::next(192, &file[192..200]))), Rc::BUSY.into());
    bench.images.connection_closed(2);
    assert_eq!(bench.from(Some(3), &first(Some(&sha))), off(192), "resumed after the connection");
    bench.images.connection_closed(3);
    assert_eq!(bench.from(Some(4), &first(None)), off(64), "or replaced");
}

#[test]
fn flash_that_fails_ends_the_upload_with_its_own_words() {
    for error in [ImageError::FLASH_ERASE_FAILED, ImageError::FLASH_WRITE_FAILED] {
        let (mut bench, file, _) = begun(512);
        bench.store().broken = Some(error);
        assert_eq!(code(bench.upload(&UploadRequest::next(512, &file[512..1024]))), error.into());
        assert_eq!(bench.upload(&UploadRequest::next(512, &file[512..1024])), off(0));
        let (mut bench, _, _) = begun(4000);
        bench.store().broken = Some(error);
        ready(bench.images.idle());
        assert_eq!(bench.upload(&UploadRequest::next(4000, &[1])), off(0), "also ahead of it");
    }
}

/// A transport may drop a request half done, when its peer is gone: the bytes in flash may then be anything.
#[test]
fn a_request_dropped_half_done_ends_the_upload_and_erasing_ahead_does_not() {
    let (mut bench, file, sha) = begun(512);
    bench.store().waits = true;
    poll_once_and_drop(bench.images.idle());
    bench.store().waits = false;
    assert_eq!(bench.upload(&UploadRequest::next(512, &file[512..600])), off(600));

    bench.store().waits = true;
    let link = Link::udp();
    let gate = Gate::new(&bench.policy, &link);
    poll_once_and_drop(bench.images.upload(gate, &UploadRequest::next(600, &file[600..700])));
    bench.store().waits = false;
    assert_eq!(bench.upload(&UploadRequest::next(600, &file[600..700])), off(0));
    assert_eq!(bench.upload(&UploadRequest::first(&file[..512], IMAGE_LEN, Some(&sha))), off(512));
    assert_eq!(Ok(bench.rest(&file, 512, 1024)), end(true));
}

#[test]
fn a_store_that_cannot_be_written_to_is_found_out() {
    for unit in [0, 33] {
        let mut bench = Bench::new(Store { unit, ..Store::new() });
        let failure = bench.upload(&UploadRequest::first(&new_image()[..64], IMAGE_LEN, None)).unwrap_err();
        assert_eq!(failure.reason(), format!("a write unit of {unit} bytes is not within 1 to 32"));
        assert_eq!(bench.store().log, []);
    }
}

#[test]
fn the_list_follows_from_what_the_next_boot_will_do() {
    for (swap, running, other) in [
        (SwapType::None, "confirmed active", ""),
        (SwapType::Test, "confirmed active", "pending"),
        (SwapType::Permanent, "confirmed active", "pending permanent"),
        (SwapType::Revert, "active", "confirmed"),
    ] {
        let mut bench = Bench::new(Store::with_second(&new_image(), swap));
        assert_eq!(bench.list(), [format!("0 1.1.0.1 {running}"), format!("1 2.0.0 {other}")]);
    }
    let mut empty = Store::new();
    empty.slots[0].fill(0xff);
    assert_eq!(Bench::new(empty).list(), Vec::<String>::new());
}

/// The whole table of `state::set`: next boot × request → code, or what is done to flash.
#[test]
fn requests_for_test_and_confirmation_follow_the_table() {
    use SwapType::{None as Nothing, Permanent, Revert, Test};
    let running: &[u8] = &[0x24; 32];
    let other: &[u8] = &HASH;
    let pending = Some(ImageError::IMAGE_ALREADY_PENDING);
    let active = Some(ImageError::IMAGE_SETTING_TEST_TO_ACTIVE_DENIED);
    let denied = Some(ImageError::IMAGE_CONFIRMATION_DENIED);
    let marks = |permanent| vec![Done::SetPending { permanent }];
    for (swap, hash, confirm, refused, done) in [
        (Nothing, other, false, None, marks(false)),
        (Nothing, running, false, active, vec![]),
        (Nothing, other, true, denied, vec![]),
        (Nothing, running, true, None, vec![]),
        (Nothing, &[], true, None, vec![]),
        (Test, other, false, None, vec![]),
        (Test, running, false, active, vec![]),
        (Test, other, true, pending, vec![]),
        (Test, running, true, pending, vec![]),
        (Test, &[], true, pending, vec![]),
        (Permanent, other, false, pending, vec![]),
        (Permanent, running, false, active, vec![]),
        (Permanent, other, true, None, vec![]),
        (Permanent, running, true, pending, vec![]),
        (Permanent, &[], true, pending, vec![]),
        (Revert, other, false, pending, vec![]),
        (Revert, running, false, active, vec![]),
        (Revert, other, true, None, vec![]),
        (Revert, running, true, None, vec![Done::Confirm]),
        (Revert, &[], true, None, vec![Done::Confirm]),
    ] {
        let mut bench = Bench::new(Store::with_second(&new_image(), swap));
        let result = bench.set(Some(hash).filter(|hash| !hash.is_empty()), confirm);
        let case = format!("{swap:?}, {hash:02x?}, confirm: {confirm}");
        assert_eq!(result.as_ref().map_err(Failure::code).err(), refused.map(Code::from), "{case}");
        assert_eq!(bench.store().log, done, "{case}");
        let listed = bench.list();
        assert_eq!(result.unwrap_or(listed.clone()), listed, "{case}: the answer is the list");
    }
}

#[test]
fn refusals_to_test_or_confirm_say_what_to_do() {
    let words = |swap, hash: Option<&[u8]>, confirm| {
        let failure = Bench::new(Store::with_second(&new_image(), swap)).set(hash, confirm).unwrap_err();
        format!("{}: {}", failure.code(), failure.reason())
    };
    insta::assert_snapshot!(words(SwapType::None, Some(&HASH), true),
        @"image group error 32 (IMAGE_CONFIRMATION_DENIED): the device does not confirm an image that is not running: confirming an untested image is not allowed over UDP: test it, reset, and confirm it once it runs");
    insta::assert_snapshot!(words(SwapType::Test, None, true),
        @"image group error 28 (IMAGE_ALREADY_PENDING): another image is already pending or on trial: the image in slot 1 is pending: reset to run it, or erase slot 1");
    insta::assert_snapshot!(words(SwapType::Revert, Some(&HASH), false),
        @"image group error 28 (IMAGE_ALREADY_PENDING): another image is already pending or on trial: the image in slot 0 is on trial: confirm it or reset first");
    insta::assert_snapshot!(words(SwapType::None, None, false),
        @"image group error 24 (INVALID_HASH): the hash that was given has a wrong length: a hash of 32 bytes is needed, 0 were given");
    insta::assert_snapshot!(words(SwapType::None, Some(&HASH[..31]), true),
        @"image group error 24 (INVALID_HASH): the hash that was given has a wrong length: a hash of 32 bytes is needed, 31 were given");
    insta::assert_snapshot!(words(SwapType::None, Some(&[0; 32]), false),
        @"image group error 8 (HASH_NOT_FOUND): no slot holds an image with this hash: ");
}

/// zephyr#95467: by default any peer could make an image permanent that had never run.
#[test]
fn an_untested_image_is_confirmed_only_where_the_policy_allows_it() {
    let mut bench = Bench::new(Store::with_second(&new_image(), SwapType::None));
    let access = Access::open().allow(Action::ConfirmUntested, SecurityLevel::L1);
    bench.policy = Policy::deny_all().with(Transport::Udp, access);
    assert_eq!(bench.set(Some(&HASH), true).unwrap()[1], "1 2.0.0 pending permanent");
    assert_eq!(bench.store().log, [Done::SetPending { permanent: true }]);
}

#[test]
fn an_image_that_the_bootloader_would_reject_is_not_marked() {
    let mut bench = Bench::new(Store::with_second(&new_image(), SwapType::None));
    let rejection = Failure::new(ImageError::INVALID_TLV).because("the signature is by another key");
    bench.store().rejected = Some(rejection);
    assert_eq!(bench.set(Some(&HASH), false), Err(rejection));
    assert_eq!(bench.store().log, []);
    assert!(bench.set(Some(&HASH), false).is_ok());
}

#[test]
fn of_two_images_alike_the_running_one_is_meant() {
    let mut bench = Bench::new(Store::with_second(&image(NEW, [0x24; 32]), SwapType::None));
    assert_eq!(code(bench.set(Some(&[0x24; 32]), false)), ImageError::IMAGE_SETTING_TEST_TO_ACTIVE_DENIED.into());
}

#[test]
fn slots_in_use_are_not_erased_and_all_others_are() {
    for (swap, slot, expected) in [
        (SwapType::None, None, Ok(())),
        (SwapType::None, Some(1), Ok(())),
        (SwapType::None, Some(0), Err("slot 0 is running")),
        (SwapType::None, Some(2), Err("there is no slot 2, only 0 and 1")),
        (SwapType::None, Some(u32::MAX), Err("there is no slot 4294967295, only 0 and 1")),
        (SwapType::Test, None, Ok(())),
        (SwapType::Permanent, Some(1), Ok(())),
        (SwapType::Test, Some(0), Err("slot 0 is running")),
        (SwapType::Revert, Some(0), Err("slot 0 is running")),
        (
            SwapType::Revert,
            Some(1),
            Err("slot 1 holds the image to go back to while the running one is on trial: confirm or reset first"),
        ),
        (
            SwapType::Revert,
            None,
            Err("slot 1 holds the image to go back to while the running one is on trial: confirm or reset first"),
        ),
    ] {
        let mut bench = Bench::new(Store::with_second(&new_image(), swap));
        let result = bench.erase(None, slot).map_err(|failure| failure.reason().to_string());
        assert_eq!(result, expected.map_err(String::from), "{swap:?} {slot:?}");
        let done = if result.is_ok() { vec![Done::EraseSlot(1)] } else { vec![] };
        assert_eq!(bench.store().log, done);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(100))]

    /// Whatever peers do, flash is written in order and to erased bytes only (the fake checks), an offset never lies,
    /// and `match` is never said of anything but the file.
    #[test]
    fn any_sequence_of_requests_leaves_a_true_answer(
        steps in proptest::collection::vec((0_u8..8, 0_u32..3, 1_usize..9000), 1..60),
        unit in proptest::sample::select(vec![1_usize, 4, 16]),
    ) {
        let file = new_image();
        let sha = sha(&file);
        let mut bench = Bench::new(Store { unit, ..Store::new() });
        let mut at = 0;
        for (step, peer, size) in steps {
            let connection = (peer > 0).then_some(peer);
            let piece = |at: usize| &file[at..file.len().min(at + size)];
            let first = UploadRequest::first(piece(0), IMAGE_LEN, Some(&sha));
            let answer = match step {
                0 => bench.from(connection, &first),
                1 => bench.from(connection, &UploadRequest { sha: Some(&[peer as u8; 32]), ..first }),
                2 => {
                    bench.images.connection_closed(peer);
                    continue;
                }
                3 => {
                    ready(bench.images.idle());
                    continue;
                }
                4 if size % 7 == 0 => {
                    let _ = bench.erase(connection, None);
                    continue;
                }
                5 => bench.from(connection, &UploadRequest::next(size as u32, piece(size))),
                _ => bench.from(connection, &UploadRequest::next(at as u32, piece(at))),
            };
            if let Ok(UploadResponse { offset, matches }) = answer {
                at = offset as usize;
                let unflushed = at % unit;
                let whole = if matches.is_some() { at } else { at - unflushed };
                proptest::prop_assert_eq!(&bench.store().slots[1][..whole], &file[..whole]);
                proptest::prop_assert!(matches != Some(true) || at == file.len());
            }
        }
    }
}
