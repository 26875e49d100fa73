//! Lines as others write them, lines that are damaged, and text between them.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use super::*;
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

fn lines(message: &[u8]) -> Vec<Vec<u8>> {
    let mut encoder = ConsoleEncoder::new(message).unwrap();
    let mut line = [0xa5; LINE_SIZE];
    core::iter::from_fn(|| encoder.next_line(&mut line).map(<[u8]>::to_vec)).collect()
}

fn feed<const N: usize>(decoder: &mut ConsoleDecoder<N>, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| decoder.feed(&mut bytes).map(<[u8]>::to_vec)).collect()
}

/// One base64 stream over length, message and CRC, cut every 124 characters: as bootloaders and some clients send.
fn straddling(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len() + 2).unwrap().to_be_bytes();
    let stream = [&length[..], message, &CRC.checksum(message).to_be_bytes()].concat();
    let mut encoded = vec![0; stream.len() * 2 + 4];
    let encoded = Base64::encode(&stream, &mut encoded).unwrap().as_bytes();
    let mut out = Vec::new();
    for (index, piece) in encoded.chunks(124).enumerate() {
        out.extend_from_slice(if index == 0 { &FIRST } else { &NEXT });
        out.extend_from_slice(piece);
        out.push(b'\n');
    }
    out
}

/// If this fails, the code is wrong.
#[test]
fn golden_line() {
    // 06 09 | base64 of: length 00 0f, message 0a 00 00 05 00 00 41 00 a1 61 64 61 41, CRC ae 67 | \n
    let message = [0x0a, 0, 0, 5, 0, 0, 0x41, 0, 0xa1, 0x61, 0x64, 0x61, 0x41];
    assert_eq!(lines(&message), [b"\x06\x09AA8KAAAFAABBAKFhZGFBrmc=\n".to_vec()]);
    assert_eq!(CRC.checksum(b"123456789"), 0x31c3, "the check value of CRC-16/XMODEM");
}

#[test]
fn every_length_survives_and_the_crc_is_never_split() {
    let bytes: Vec<u8> = (0..=255).cycle().take(600).collect();
    let mut decoder = ConsoleDecoder::<604>::new();
    for len in 0..=600 {
        let message = &bytes[..len];
        let lines = lines(message);
        assert!(lines.iter().all(|line| line.len() <= LINE_SIZE), "{len}");
        assert!(lines.iter().enumerate().all(|(i, line)| line.starts_with(if i == 0 { &FIRST } else { &NEXT })));
        let mut buffer = [0; LINE_SIZE];
        let last = lines.last().unwrap();
        let last = Base64::decode(&last[2..last.len() - 1], &mut buffer).unwrap();
        assert!(last.len() >= 2, "a message of {len} bytes ends with half a CRC");
        assert_eq!(feed(&mut decoder, &lines.concat()), [message]);
        assert_eq!(feed(&mut decoder, &straddling(message)), [message]);
    }
    assert_eq!((decoder.counts().messages, decoder.counts().dropped), (2 * 601, 0));
}

#[test]
fn text_between_lines_is_counted_and_does_no_harm() {
    let message = [7; 200];
    let mut bytes = b"*** Booting ***\r\n\n".to_vec();
    bytes.extend_from_slice(&[b'x'; 1000]);
    bytes.push(b'\n');
    for mut line in lines(&message) {
        line.insert(line.len() - 1, b'\r');
        bytes.extend_from_slice(&line);
        bytes.extend_from_slice(b"[00:00:01] <inf> log\n");
    }
    let mut decoder = ConsoleDecoder::<300>::new();
    let found: Vec<_> = bytes.iter().flat_map(|byte| feed(&mut decoder, &[*byte])).collect();
    assert_eq!(found, [message]);
    assert_eq!(*decoder.counts(), LineCounts { messages: 1, text: 6, dropped: 0, last: None });
}

#[test]
fn damage_is_named_and_costs_one_message() {
    let good = lines(b"good").concat();
    let long = lines(&[9; 200]);
    let mut bent = lines(b"bent").concat();
    bent[2] = b'E';
    let words = |bytes: &[u8]| {
        let mut decoder = ConsoleDecoder::<64>::new();
        assert_eq!(feed(&mut decoder, bytes), Vec::<Vec<u8>>::new());
        let error = decoder.counts().last.unwrap();
        assert_eq!(feed(&mut decoder, &good), [b"good"], "after: {error}");
        error.to_string()
    };
    let line = |bytes: &[u8]| {
        let mut out = [0; 256];
        let encoded = Base64::encode(bytes, &mut out).unwrap();
        format!("\x06\x09{encoded}\n").into_bytes()
    };
    insta::assert_snapshot!(words(b"\x06\x09????\n"), @"a line of a message is not base64");
    insta::assert_snapshot!(words(b"\x06\x09QUJ\n"), @"a line of a message is not base64");
    insta::assert_snapshot!(words(&[&b"\x06\x09"[..], &[b'A'; 126], b"\n"].concat()), @"a line of a message is longer than 127 bytes");
    insta::assert_snapshot!(words(&long[1]), @"a line continues a message that never began");
    insta::assert_snapshot!(words(&long[0]), @"a message of 202 bytes with its CRC does not fit a buffer of 62");
    insta::assert_snapshot!(words(&line(&[0, 1, 5])), @"a message of 1 bytes with its CRC does not fit a buffer of 62");
    insta::assert_snapshot!(words(&line(&[0, 3, 1, 2, 3, 4])), @"a message of 3 bytes with its CRC came with 4");
    insta::assert_snapshot!(words(&line(&[&[0, 3][..], &[1; 80]].concat())), @"a message of 3 bytes with its CRC came with 80");
    insta::assert_snapshot!(words(&bent), @"a message of 4102 bytes with its CRC does not fit a buffer of 62");
    insta::assert_snapshot!(words(&line(&[0, 3, 1, 0, 0])), @"a message's CRC is 0x0000, its bytes give 0x1021");
}

#[test]
fn a_message_begun_anew_replaces_the_one_before() {
    let mut decoder = ConsoleDecoder::<300>::new();
    let bytes = [lines(&[9; 200])[0].clone(), lines(b"next").concat()].concat();
    assert_eq!(feed(&mut decoder, &bytes), [b"next"]);
    insta::assert_snapshot!(decoder.counts().last.unwrap(), @"a message began before the one before it was complete: 93 bytes of that are lost");
}

#[test]
fn a_marker_starts_a_line_wherever_it_stands() {
    let mut decoder = ConsoleDecoder::<300>::new();
    let message = [7; 200];
    let prompts = [&b"u"[..], b"uart:~$ ", &[b'.'; 500]];
    let bytes: Vec<u8> = prompts.iter().flat_map(|prompt| [*prompt, &lines(&message).concat()].concat()).collect();
    assert_eq!(feed(&mut decoder, &bytes), [message; 3]);
    assert_eq!(*decoder.counts(), LineCounts { messages: 3, text: 3, dropped: 0, last: None });

    let mut without_newlines = lines(&message).concat();
    without_newlines.retain(|byte| *byte != b'\n');
    without_newlines.push(b'\n');
    assert_eq!(feed(&mut decoder, &without_newlines), [message]);
}

#[test]
fn a_message_longer_than_16_bits_can_say_has_no_lines() {
    assert!(ConsoleEncoder::new(&[0; 65_533]).is_some());
    assert!(ConsoleEncoder::new(&[0; 65_534]).is_none());
}

proptest::proptest! {
    #[test]
    fn any_bytes_never_panic_and_the_next_message_comes_through(
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        marked in proptest::bool::ANY,
        message in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
    ) {
        let mut decoder = ConsoleDecoder::<128>::new();
        if marked {
            feed(&mut decoder, &FIRST);
        }
        feed(&mut decoder, &noise);
        feed(&mut decoder, b"\n");
        proptest::prop_assert_eq!(feed(&mut decoder, &lines(&message).concat()), [message]);
    }
}
