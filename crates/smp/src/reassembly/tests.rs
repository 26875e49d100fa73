//! Fragments that come as they should, and those that do not.

use super::*;
use crate::{Request, Version, os::EchoRequest};
use std::string::ToString;
use std::vec::Vec;

fn message(text: &str) -> Vec<u8> {
    let mut out = [0; 256];
    let n = EchoRequest { text }.message(Version::V2, 1, &mut out).unwrap();
    out[..n].to_vec()
}

#[test]
fn a_message_comes_out_whole_however_it_was_cut() {
    let message = message("the quick brown fox jumps over the lazy dog");
    let mut reassembler = Reassembler::<64>::new();
    for size in HEADER_SIZE..=message.len() {
        let (last, fragments) =
            message.chunks(size).collect::<Vec<_>>().split_last().map(|(l, f)| (*l, f.to_vec())).unwrap();
        for fragment in fragments {
            assert_eq!(reassembler.push(fragment), Ok(None));
            assert!(reassembler.is_busy());
        }
        assert_eq!(reassembler.push(last), Ok(Some(&message[..])));
        assert!(!reassembler.is_busy());
    }
}

#[test]
fn a_message_that_fills_the_buffer_fits() {
    let message = message("123456");
    assert_eq!(Reassembler::<18>::new().push(&message), Ok(Some(&message[..])));
    assert!(matches!(Reassembler::<17>::new().push(&message), Err(ReassemblyError::TooLong { .. })));
}

/// zephyr: a stray first fragment swallowed the requests after it until the peer disconnected.
#[test]
fn reset_forgets_a_message_begun() {
    let mut reassembler = Reassembler::<64>::new();
    let message = message("hello");
    reassembler.push(&message[..10]).unwrap();
    reassembler.reset();
    assert_eq!(reassembler.push(&message), Ok(Some(&message[..])));
}

#[test]
fn a_message_too_long_is_refused_once_and_skipped_to_its_end() {
    let mut reassembler = Reassembler::<32>::new();
    let (long, short) = (message("a text that is longer than the buffer"), message("short"));
    let mut fragments = long.chunks(20);
    let error = reassembler.push(fragments.next().unwrap()).unwrap_err();
    insta::assert_snapshot!(error, @"a message of 50 bytes does not fit into the reassembly buffer of 32");
    assert!(matches!(error, ReassemblyError::TooLong { header: Header { sequence: 1, .. }, .. }));
    for fragment in fragments {
        assert!(reassembler.is_busy());
        assert_eq!(reassembler.push(fragment), Ok(None));
    }
    assert_eq!(reassembler.push(&short), Ok(Some(&short[..])));
}

#[test]
fn a_fragment_that_fails_costs_its_own_message_only() {
    let mut reassembler = Reassembler::<64>::new();
    let message = message("hello");
    let error = reassembler.push(&message[..7]).unwrap_err();
    insta::assert_snapshot!(error, @"a first fragment of 7 bytes is too short for an SMP header of 8");
    assert_eq!(reassembler.push(&message), Ok(Some(&message[..])));

    let two = [&message[..], &message[..]].concat();
    let error = reassembler.push(&two).unwrap_err();
    insta::assert_snapshot!(error, @"the fragments hold 34 bytes of a message that announced 17");
    reassembler.push(&message[..9]).unwrap();
    assert!(reassembler.push(&[0; 60]).unwrap_err().to_string().contains("69 bytes"));
    assert_eq!(reassembler.push(&message), Ok(Some(&message[..])));
    assert_eq!(reassembler.push(&[]), Err(ReassemblyError::NoHeader { found: 0 }));
}

proptest::proptest! {
    #[test]
    fn any_fragments_never_panic_and_what_comes_out_is_a_message(
        fragments in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..40), 0..20)
    ) {
        let mut reassembler = Reassembler::<48>::new();
        for fragment in fragments {
            if let Ok(Some(message)) = reassembler.push(&fragment) {
                let header = Header::parse(message).unwrap();
                proptest::prop_assert_eq!(message.len(), HEADER_SIZE + usize::from(header.length));
            }
        }
        reassembler.reset();
        let message = message("ok");
        proptest::prop_assert_eq!(reassembler.push(&message), Ok(Some(&message[..])));
    }
}
