//! What people are told, and the exchange of single requests.

use super::*;
use crate::{Exchange, ExchangeOutput, Patience, Refusal, UploadError};
use otaru_smp::{Request, Text, Version, os};

#[test]
fn every_error_is_a_sentence_with_numbers() {
    let refusal = Refusal { code: ImageError::NO_FREE_SLOT.into(), reason: Text::of("no slot") };
    let errors = [
        format!("{}", UploadError::Refused(refusal)),
        format!("{}", UploadError::Refused(Refusal { reason: Text::new(), ..refusal })),
        format!("{}", UploadError::Mismatch { len: 4_711 }),
        format!("{}", UploadError::Misbehaved { offset: 9, len: 8 }),
        format!("{}", UploadError::FrameTooSmall { frame: 20, needed: 63 }),
        format!("{}", UploadError::KeepsForgetting { offset: 77, restarts: 5 }),
        format!("{}", UploadError::NoProgress { offset: 78, links: 6 }),
        format!("{}", Stall::Silent { ms: 30_000 }),
        format!("{}", Stall::NoProgress { offset: 512, rewinds: 8 }),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r"
    the device answered image group error 9 (NO_FREE_SLOT): the slot is in use; it says: no slot
    the device answered image group error 9 (NO_FREE_SLOT): the slot is in use
    the device holds 4711 bytes whose SHA-256 is not the file's
    the device asks for byte 9 of a file of 8 bytes
    frames of 20 bytes cannot carry an upload, whose first packet takes at least 63
    the device lost the upload 5 times and never got beyond byte 77
    the device took nothing beyond byte 78 over 6 connections
    the device was silent for 30000 ms
    the device took nothing beyond byte 512 in 8 attempts
    ");
}

const PATIENCE: Patience = Patience { repeat_ms: 1_000, sendings: 3, total_ms: 5_000 };

fn echo() -> Vec<u8> {
    let mut frame = vec![0; 64];
    let n = os::EchoRequest { text: "x" }.message(Version::V2, 42, &mut frame).unwrap();
    frame.truncate(n);
    frame
}

fn answer(change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = Header::parse(&echo()).unwrap().answer(1);
    change(&mut header);
    [&header.emit()[..], &[0xa0]].concat()
}

fn run(exchange: &mut Exchange, now: u64, input: Input<'_>) -> Vec<ExchangeOutput> {
    exchange.handle(Millis(now), input).collect()
}

#[test]
fn answer_comes_then_the_exchange_is_over() {
    let mut exchange = Exchange::new(&echo(), PATIENCE).unwrap();
    assert_eq!(run(&mut exchange, 0, Input::Tick), [ExchangeOutput::Transmit, ExchangeOutput::Deadline(Millis(1_000))]);
    let good = answer(|header| header.version = Version::V1);
    assert_eq!(run(&mut exchange, 10, Input::Received(&good)), [ExchangeOutput::Answered]);
    assert_eq!(run(&mut exchange, 20, Input::Received(&good)), []);
}

#[test]
fn answers_to_others_come_then_it_waits_on() {
    let mut exchange = Exchange::new(&echo(), PATIENCE).unwrap();
    run(&mut exchange, 0, Input::Tick);
    let strangers = [
        answer(|header| header.sequence += 1),
        answer(|header| header.group = Group::IMAGE),
        answer(|header| header.command = 5),
        answer(|header| header.op = otaru_smp::Op::READ_RESPONSE),
        echo(),
        vec![1, 2, 3],
    ];
    for frame in strangers {
        assert_eq!(run(&mut exchange, 5, Input::Received(&frame)), [ExchangeOutput::Deadline(Millis(1_000))]);
    }
}

#[test]
fn no_answer_comes_then_it_is_repeated_with_growing_pauses_and_given_up() {
    let mut exchange = Exchange::new(&echo(), PATIENCE).unwrap();
    let (mut now, mut sent) = (0, vec![]);
    let silent = 'silent: loop {
        for output in exchange.handle(Millis(now), Input::Tick) {
            match output {
                ExchangeOutput::Transmit => sent.push(now),
                ExchangeOutput::Deadline(at) => now = at.0,
                other => break 'silent other,
            }
        }
    };
    assert_eq!(sent, [0, 1_000, 3_000]);
    assert_eq!(silent, ExchangeOutput::Silent { sendings: 3, waited_ms: 5_000 });
}

#[test]
fn what_must_not_be_done_twice_is_sent_once() {
    let mut exchange = Exchange::new(&echo(), Patience { sendings: 1, ..PATIENCE }).unwrap();
    assert_eq!(run(&mut exchange, 0, Input::Tick), [ExchangeOutput::Transmit, ExchangeOutput::Deadline(Millis(5_000))]);
    // Over a new link no answer to it can come.
    let linked = Input::Linked { frame: 100, window: 1 };
    assert_eq!(run(&mut exchange, 100, linked), [ExchangeOutput::Silent { sendings: 1, waited_ms: 100 }]);
}

#[test]
fn link_is_made_anew_then_the_request_goes_over_it_at_once() {
    let mut exchange = Exchange::new(&echo(), PATIENCE).unwrap();
    run(&mut exchange, 0, Input::Tick);
    let linked = Input::Linked { frame: 100, window: 1 };
    assert_eq!(run(&mut exchange, 300, linked)[0], ExchangeOutput::Transmit);
}
