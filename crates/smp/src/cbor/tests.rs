//! Reading item by item: what is skipped, what is refused, and in which words.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use super::*;
use ciborium::Value;
use proptest::prelude::*;
use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

fn skip(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.skip().map(|()| reader.at())
}

#[test]
fn every_kind_of_item_is_skipped_to_its_end() {
    for item in [
        &b"\x00"[..],
        b"\x18\xff",
        b"\x19\x01\x00",
        b"\x1a\0\0\0\0",
        b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x20",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x40",
        b"\x43abc",
        b"\x58\x01a",
        b"\x60",
        b"\x5f\x41a\x42bc\xff",
        b"\x7f\x61a\xff",
        b"\x80",
        b"\x82\x01\x02",
        b"\x9f\xff",
        b"\x9f\x01\x9f\x02\xff\x83\x01\x02\x9f\xff\xff",
        b"\xa0",
        b"\xa1\x01\x02",
        b"\xbf\xff",
        b"\xbf\x61a\xbf\xff\xff",
        b"\xa1\x61a\x9f\x01\xff",
        b"\xc1\x00",
        b"\xc1\xc2\x82\x01\xc3\x02",
        b"\xd9\xd9\xf7\x80",
        b"\xf4",
        b"\xf6",
        b"\xf7",
        b"\xf8\x20",
        b"\xf9\x3c\x00",
        b"\xfa\0\0\0\0",
        b"\xfb\0\0\0\0\0\0\0\0",
        b"\x88\x80\x80\x80\x80\x80\x80\x80\x80",
    ] {
        let mut longer = item.to_vec();
        longer.extend_from_slice(b"\x00\x00");
        assert_eq!(skip(&longer), Ok(item.len()), "{item:02x?}");
        for end in 0..item.len() {
            assert!(matches!(skip(&item[..end]), Err(DecodeError::Truncated { .. })), "{:02x?}", &item[..end]);
        }
    }
}

#[test]
fn what_is_no_item_is_refused() {
    for bytes in [
        &b"\xff"[..],
        b"\x1c",
        b"\x3d",
        b"\x1f",
        b"\x3f",
        b"\xdf",
        b"\x5e",
        b"\x82\x01\xff",
        b"\xa1\x01\xff",
        b"\xbf\x01\xff",
        b"\xc1\xff",
        b"\x5f\x61a\xff",
        b"\x7f\x5f\xff\xff",
        b"\x5f\x01\xff",
    ] {
        assert!(matches!(skip(bytes), Err(DecodeError::Malformed { .. })), "{bytes:02x?}: {:?}", skip(bytes));
    }
}

#[test]
fn nesting_is_bounded_and_announced_lengths_are_not_believed() {
    assert_eq!(skip(&[0x81; 8].iter().copied().chain([0]).collect::<Vec<_>>()), Ok(9));
    assert_eq!(skip(&[0x81; 9]), Err(DecodeError::TooDeep { at: 8 }));
    assert_eq!(skip(&[0xc1; 9]), Err(DecodeError::TooDeep { at: 8 }));
    for huge in [
        &b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert!(matches!(skip(huge), Err(DecodeError::Truncated { .. })), "{huge:02x?}");
    }
}

/// A body as the messages read theirs: one number known.
fn read(bytes: &[u8]) -> Result<u32, DecodeError> {
    let mut n = None;
    Reader::new(bytes).map(|key, value| match key {
        "n" => once(&mut n, value, Reader::u32),
        _ => value.skip(),
    })?;
    n.ok_or(DecodeError::Missing { key: "n" })
}

#[test]
fn refusals_of_bodies_say_where_and_what() {
    let words = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    insta::assert_snapshot!(words(b""), @"the body ends at byte 0, before its CBOR does");
    insta::assert_snapshot!(words(b"\xa1\x61n\x19\x01"), @"the body ends at byte 3, before its CBOR does");
    insta::assert_snapshot!(words(b"\x00"), @"at byte 0 of the body: expected a map, found a CBOR item starting with 0x00");
    insta::assert_snapshot!(words(b"\xa1\x01\x02"), @"at byte 1 of the body: expected a text, found a CBOR item starting with 0x01");
    insta::assert_snapshot!(words(b"\xa1\x7f\x61n\xff\x01"), @"at byte 1 of the body: expected a text, found a CBOR item starting with 0x7f");
    insta::assert_snapshot!(words(b"\xa1\x61n\x20"), @"at byte 3 of the body: expected a number that is not negative, found a CBOR item starting with 0x20");
    insta::assert_snapshot!(words(b"\xa1\x61n\x1b\x00\x00\x00\x01\x00\x00\x00\x00"), @"at byte 3 of the body: 4294967296 is out of range, at most 4294967295 is allowed");
    insta::assert_snapshot!(words(b"\xa2\x61n\x01\x61n\x01"), @"the key of the value at byte 6 of the body is there twice");
    insta::assert_snapshot!(words(b"\xa1\x61\xff\x01"), @"the text at byte 1 of the body is not UTF-8");
    insta::assert_snapshot!(words(b"\xa1\x61x\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00"), @"the value at byte 11 of the body is nested deeper than 8 levels");
    insta::assert_snapshot!(words(b"\xa1\x61n\x1c"), @"at byte 3 of the body: 0x1c is no CBOR item");
    insta::assert_snapshot!(words(b"\xa0"), @r#"the key "n" is missing from the body"#);
    insta::assert_snapshot!(EncodeError { capacity: 20 }, @"the message does not fit into its buffer of 20 bytes");
    let kinds = [
        Expected::Map,
        Expected::List,
        Expected::Text,
        Expected::Bytes,
        Expected::Unsigned,
        Expected::Integer,
        Expected::Bool,
    ];
    insta::assert_snapshot!(kinds.map(|kind| kind.to_string()).join(", "), @"a map, a list, a text, a byte string, a number that is not negative, a whole number, true or false");
}

#[test]
fn numbers_are_taken_in_any_width_and_within_their_range() {
    for bytes in [&b"\x07"[..], b"\x18\x07", b"\x19\x00\x07", b"\x1a\0\0\0\x07", b"\x1b\0\0\0\0\0\0\0\x07"] {
        assert_eq!(Reader::new(bytes).u32(), Ok(7));
        assert_eq!(Reader::new(bytes).i32(), Ok(7));
        assert_eq!(Reader::new(bytes).u8(), Ok(7));
    }
    assert_eq!(Reader::new(b"\x3a\x7f\xff\xff\xff").i32(), Ok(i32::MIN));
    assert_eq!(Reader::new(b"\x1a\x7f\xff\xff\xff").i32(), Ok(i32::MAX));
    assert!(matches!(Reader::new(b"\x3a\x80\0\0\0").i32(), Err(DecodeError::OutOfRange { .. })));
    assert!(matches!(Reader::new(b"\x1a\x80\0\0\0").i32(), Err(DecodeError::OutOfRange { .. })));
    assert!(matches!(Reader::new(b"\x19\x01\x00").u8(), Err(DecodeError::OutOfRange { max: 255, .. })));
    assert!(matches!(Reader::new(b"\x1a\0\x01\0\0").u16(), Err(DecodeError::OutOfRange { max: 65535, .. })));
    assert!(matches!(Reader::new(b"\xf6").bool(), Err(DecodeError::WrongType { .. })));
    assert!(matches!(Reader::new(b"\x5f\xff").bytes(), Err(DecodeError::WrongType { .. })));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,30}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner.clone()), 0..5).prop_map(Value::Map),
            (20u64..100, inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_another_encoder_writes_is_skipped_to_its_end(value in any_value()) {
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        prop_assert_eq!(skip(&bytes), Ok(bytes.len()));
        for end in 0..bytes.len() {
            prop_assert!(skip(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn what_another_decoder_takes_is_skipped_and_the_rest_refused(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let mut rest = &bytes[..];
        let theirs = ciborium::de::from_reader_with_recursion_limit::<Value, _>(&mut rest, 200);
        let taken = bytes.len() - rest.len();
        match (theirs, skip(&bytes)) {
            (Ok(_), ours) => prop_assert!(
                ours == Ok(taken) || matches!(ours, Err(DecodeError::TooDeep { .. })),
                "{bytes:02x?}: {ours:?}"
            ),
            // It reads values, we step over them: it also minds UTF-8, and knows fewer simple values.
            (Err(_), _) => {}
        }
    }

    #[test]
    fn known_keys_are_found_among_unknown_ones(n in any::<u32>(), before in any_value(), after in any_value()) {
        let map = Value::Map(vec![("a".into(), before), ("n".into(), n.into()), ("z".into(), after)]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&map, &mut bytes).unwrap();
        prop_assert_eq!(read(&bytes), Ok(n));
        let error = read(&bytes[..bytes.len() - 1]).map_err(|error| format!("{error}"));
        prop_assert!(error.is_err());
    }
}
