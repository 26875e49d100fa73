//! From datagrams to answers: what every request meets before its group does, and what its answer meets after.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use super::*;
use crate::fake::{Device, Store, device, exchange, ready, reckless};
use otaru_policy::{Access, SecurityLevel, Transport};
use otaru_smp::image::{EraseRequest, SetStateRequest, SlotInfoRequest, StateRequest, UploadRequest};
use otaru_smp::os::{
    BootloaderRequest, DateTimeRequest, EchoRequest, EchoResponse, InfoRequest, InfoResponse, ParamsRequest,
    SetDateTimeRequest, TaskStatsRequest,
};
use otaru_smp::{AnswerError, Code, DateTime, ImageError, OsError, Request, Version, read_answer};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

fn frame<'a>(request: &impl Request<'a>, version: Version) -> Vec<u8> {
    let mut out = [0; 512];
    let n = request.message(version, 0x5a, &mut out).unwrap();
    out[..n].to_vec()
}

/// Sends a request under version 2 over UDP; what was answered.
fn ask<'a, R: Request<'a>>(device: &mut Device, request: &R) -> Result<String, String>
where
    for<'r> R::Response<'r>: core::fmt::Debug,
{
    let answers = exchange(device, &Link::udp(), &frame(request, Version::V2));
    let (message, _) = Message::split(&answers[0]).unwrap();
    let answer = read_answer::<R::Response<'_>>(message.body);
    answer.map(|answer| format!("{answer:?}")).map_err(|error| error.to_string())
}

fn failure(answer: &[u8]) -> (Code, String) {
    let (message, _) = Message::split(answer).unwrap();
    let failure = otaru_smp::Failure::find(message.body).unwrap().unwrap();
    (failure.code, failure.reason.unwrap_or_default().to_string())
}

/// One request per command there is.
fn all_commands(version: Version) -> Vec<Vec<u8>> {
    vec![
        frame(&EchoRequest { text: "x" }, version),
        frame(&TaskStatsRequest, version),
        frame(&DateTimeRequest, version),
        frame(&SetDateTimeRequest { datetime: "2026-02-28T13:05:00" }, version),
        frame(&ResetRequest::default(), version),
        frame(&ParamsRequest, version),
        frame(&InfoRequest::default(), version),
        frame(&BootloaderRequest::default(), version),
        frame(&StateRequest, version),
        frame(&SetStateRequest { hash: Some(&[1; 32]), confirm: false }, version),
        frame(&SetStateRequest { hash: None, confirm: true }, version),
        frame(&UploadRequest::first(&[1; 64], 100, None), version),
        frame(&EraseRequest::default(), version),
        frame(&SlotInfoRequest, version),
    ]
}

#[test]
fn every_command_asks_the_policy_before_anything_else() {
    for version in [Version::V1, Version::V2] {
        for request in all_commands(version) {
            let mut closed = device(Store::new());
            *closed.policy_mut() = Policy::deny_all();
            let answers = exchange(&mut closed, &Link::udp(), &request);
            let words = "this device takes no commands over UDP: use another transport".to_string();
            assert_eq!(failure(&answers[0]), (Rc::ACCESS_DENIED.into(), words));
            assert_eq!(closed.images_mut().store_mut().log, []);
            assert_eq!(closed.take_reset(), None);

            let stranger = Link::ble(1, SecurityLevel::L2, true);
            let answers = exchange(&mut device(Store::new()), &stranger, &request);
            let (code, words) = failure(&answers[0]);
            assert_eq!(code, Rc::ACCESS_DENIED.into());
            assert!(
                words.ends_with("needs security level 3, this link has 2: pair with the passkey of the device"),
                "{words}"
            );

            let mut damaged = request.clone();
            damaged[8] = 0x01;
            assert_eq!(failure(&exchange(&mut closed, &Link::udp(), &damaged)[0]).0, Rc::ACCESS_DENIED.into());
        }
    }
}

#[test]
fn a_single_action_can_be_denied() {
    let access = Access::open().deny(otaru_policy::Action::Reset);
    let mut device = device(Store::new());
    *device.policy_mut() = Policy::deny_all().with(Transport::Udp, access);
    insta::assert_snapshot!(ask(&mut device, &ResetRequest::default()).unwrap_err(),
        @"the device answered rc 11 (ACCESS_DENIED): the device does not allow this over this link; it says: resetting is not allowed over UDP");
    assert!(ask(&mut device, &ParamsRequest).is_ok());
    assert_eq!(device.take_reset(), None);
}

/// Groups that implement nothing.
struct Nothing;
impl OsGroup for Nothing {}
impl ImageGroup for Nothing {}

#[test]
fn what_is_not_implemented_is_not_supported() {
    let open = Policy::deny_all().with(Transport::Udp, Access::open());
    let mut server = Server::new(open, Nothing, Nothing);
    for version in [Version::V1, Version::V2] {
        // All but echo, which needs nothing of the application.
        for request in &all_commands(version)[1..] {
            let mut answer = [0xa5; 64];
            let n = ready(server.handle(&Link::udp(), request, &mut answer)).unwrap();
            assert_eq!(failure(&answer[..n]), (Rc::NOT_SUPPORTED.into(), String::new()), "{request:02x?}");
            assert_eq!(n, 13, "a client that asks for parameters takes 14 bytes or fewer for 'no'");
        }
    }
}

#[test]
fn unknown_groups_commands_and_operations_are_not_supported() {
    let mut device = device(Store::new());
    let echo = frame(&EchoRequest { text: "x" }, Version::V2);
    let mut with = |at: usize, byte: u8| {
        let mut request = echo.clone();
        request[at] = byte;
        let answers = exchange(&mut device, &Link::udp(), &request);
        (failure(&answers[0]).0, answers[0][0])
    };
    let unsupported = Code::from(Rc::NOT_SUPPORTED);
    for (op, answer) in [(0x09, 0x0b), (0x0b, 0x0b), (0x0c, 0x0b), (0x0f, 0x0b)] {
        assert_eq!(with(0, op), (unsupported, answer));
    }
    assert_eq!(with(0, 0x12), (Rc::TOO_NEW.into(), 0x0b));
    assert_eq!(with(0, 0x1a), (Rc::TOO_NEW.into(), 0x0b));
    assert_eq!(with(4, 1), (unsupported, 0x0b));
    assert_eq!(with(5, 64), (unsupported, 0x0b));
    for command in [1, 3, 9, 99, 255] {
        assert_eq!(with(7, command), (unsupported, 0x0b));
    }
}

#[test]
fn answers_echo_what_lets_clients_match_them() {
    let mut device = device(Store::new());
    for sequence in [0, 1, 127, 255] {
        for (first, answer) in [(0x00, 0x01), (0x02, 0x03), (0x08, 0x09), (0x0a, 0x0b)] {
            let request = [first, 0xff, 0, 1, 0, 0, sequence, 0, 0xa0];
            let answers = exchange(&mut device, &Link::udp(), &request);
            assert_eq!(answers, [[answer, 0, 0, 4, 0, 0, sequence, 0, 0xa1, 0x61, b'r', 0x60]]);
        }
    }
}

#[test]
fn messages_of_a_datagram_are_answered_in_order_up_to_the_first_refusal() {
    let mut device = device(Store::new());
    let (good, bad) = (frame(&EchoRequest { text: "a" }, Version::V2), frame(&DateTimeRequest, Version::V2));
    let mut answered = |parts: &[&[u8]]| {
        let answers = exchange(&mut device, &Link::udp(), &parts.concat());
        answers.iter().map(|answer| read_answer::<EchoResponse<'_>>(&answer[8..]).is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(answered(&[&good, &good, &good]), [true, true, true]);
    assert_eq!(answered(&[&good, &bad, &good]), [true, false]);
    assert_eq!(answered(&[&good, &good[..12]]), [true, false], "cut short");
    assert_eq!(answered(&[&good, &good[..7]]), [true], "no header");
    assert!(answered(&[&good[..7]]).is_empty());
    assert!(answered(&[]).is_empty());
}

#[test]
fn a_body_cut_short_is_answered_as_corrupt() {
    let echo = frame(&EchoRequest { text: "hello" }, Version::V1);
    let answers = exchange(&mut device(Store::new()), &Link::udp(), &echo[..12]);
    let (code, words) = failure(&answers[0]);
    assert_eq!((code, &answers[0][..8]), (Rc::CORRUPT.into(), &[3, 0, 0, answers[0][3], 0, 0, 0x5a, 0][..]));
    insta::assert_snapshot!(words, @"the header announces a body of 9 bytes, 4 followed it");
}

#[test]
fn bodies_that_cannot_be_read_are_invalid_where_anything_is_read_of_them() {
    let mut device = device(Store::new());
    for request in all_commands(Version::V2) {
        let header = Header::parse(&request).unwrap();
        let empty = Header { length: 0, ..header }.emit();
        let answers = exchange(&mut device, &Link::udp(), &empty);
        let refused = otaru_smp::Failure::find(&answers[0][8..]).unwrap().map(|failure| failure.code);
        let takes_nothing = matches!(
            (header.group, header.op, header.command),
            (Group::OS, Op::READ, 2 | 4 | 6) | (Group::OS, _, 5) | (Group::IMAGE, Op::READ, 0 | 6)
        );
        assert_eq!(refused == Some(Rc::INVALID.into()), !takes_nothing, "{header:?}: {refused:?}");
    }
}

#[test]
fn an_answer_never_outgrows_its_buffer() {
    let mut device = device(Store::new());
    let echo = frame(&EchoRequest { text: "the quick brown fox jumps over the lazy dog" }, Version::V2);
    for size in 0..80 {
        let mut answer = vec![0xa5; size];
        let written = ready(device.handle(&Link::udp(), &echo, &mut answer));
        match written {
            None => assert!(size < MIN_ANSWER_SIZE),
            Some(n) if size < echo.len() => assert_eq!(failure(&answer[..n]).0, Rc::MESSAGE_SIZE.into()),
            Some(n) => assert_eq!(n, echo.len()),
        }
        assert!(answer[written.unwrap_or(0)..].iter().all(|byte| *byte == 0xa5) || written.is_some());
    }
}

#[test]
fn words_are_left_out_where_they_do_not_fit() {
    let mut closed = device(Store::new());
    *closed.policy_mut() = Policy::deny_all();
    let mut answer = [0; MIN_ANSWER_SIZE];
    let n = ready(closed.handle(&Link::udp(), &frame(&ParamsRequest, Version::V2), &mut answer)).unwrap();
    assert_eq!(failure(&answer[..n]), (Rc::ACCESS_DENIED.into(), String::new()));
    let request = frame(&SetStateRequest { hash: Some(&[7; 32]), confirm: false }, Version::V2);
    let n = ready(device(Store::new()).handle(&Link::udp(), &request, &mut answer)).unwrap();
    assert_eq!(failure(&answer[..n]).0, ImageError::HASH_NOT_FOUND.into(), "the longest refusal without words");
}

/// zephyr: resources for the answer are to be had before anything is done.
#[test]
fn nothing_is_done_where_nothing_can_be_answered() {
    let mut device = device(Store::new());
    let erase = frame(&EraseRequest::default(), Version::V2);
    assert_eq!(ready(device.handle(&Link::udp(), &erase, &mut [0; MIN_ANSWER_SIZE - 1])), None);
    assert_eq!(device.images_mut().store_mut().log, []);
}

#[test]
fn a_reset_is_told_once_and_only_if_the_application_agrees() {
    let mut device = device(Store::new());
    assert_eq!(ask(&mut device, &ResetRequest::default()).unwrap(), "ResetResponse");
    assert_eq!(device.take_reset(), Some(ResetRequest::default()));
    assert_eq!(device.take_reset(), None);
    device.os_mut().busy = true;
    insta::assert_snapshot!(ask(&mut device, &ResetRequest::default()).unwrap_err(),
        @"the device answered rc 10 (BUSY): the device is busy with something else; it says: the door is open");
    assert_eq!(device.take_reset(), None);
    let forced = ResetRequest { force: true, boot_mode: Some(1) };
    ask(&mut device, &forced).unwrap();
    ask(&mut device, &ParamsRequest).unwrap();
    assert_eq!(device.take_reset(), Some(forced), "other requests do not make it forgotten");
    device.os_mut().busy = false;
    let nonsense = [0x0a, 0, 0, 1, 0, 0, 1, 5, 0xff];
    exchange(&mut device, &Link::udp(), &nonsense);
    assert_eq!(device.take_reset(), Some(ResetRequest::default()), "what cannot be read asks for a plain one");
}

#[test]
fn info_answers_in_its_own_order() {
    let mut device = device(Store::new());
    let mut info = |format: &str| {
        let request = frame(&InfoRequest { format: Some(format) }, Version::V2);
        let answers = exchange(&mut device, &Link::udp(), &request);
        match read_answer::<InfoResponse<'_>>(&answers[0][8..]) {
            Ok(answer) => answer.output.to_string(),
            Err(AnswerError::Refused(failure)) => failure.to_string(),
            Err(error) => panic!("{error}"),
        }
    };
    insta::assert_snapshot!(info("ovs"), @"Zephyr 3.4.99 Zephyr");
    insta::assert_snapshot!(info("sss"), @"Zephyr");
    insta::assert_snapshot!(info("ra"), @"Zephyr unknown  3.4.99 Fri Nov 20 11:59:04 2026 posix unknown native_sim_64 Zephyr");
    insta::assert_snapshot!(info("s\n"), @r"the device answered OS group error 2 (INVALID_FORMAT): the format holds a letter that info does not know; it says: info does not know the letter '\n', it knows snrvbmpioa");
}

#[test]
fn the_bootloader_answers_one_query() {
    let mut device = device(Store::new());
    let mut query = |query| ask(&mut device, &BootloaderRequest { query });
    insta::assert_snapshot!(query(None).unwrap(), @r#"BootloaderResponse { name: Some("MCUboot"), mode: None, no_downgrade: false }"#);
    insta::assert_snapshot!(query(Some("mode")).unwrap(), @"BootloaderResponse { name: None, mode: Some(3), no_downgrade: false }");
    insta::assert_snapshot!(query(Some("colour")).unwrap_err(), @r#"the device answered OS group error 3 (QUERY_YIELDS_NO_ANSWER): the bootloader has no answer to this query; it says: the bootloader answers no query but "mode""#);
}

/// An application with a clock.
#[derive(Default)]
struct Clock(Option<DateTime>);

impl OsGroup for Clock {
    async fn date_time(&mut self) -> Result<DateTime, Failure> {
        self.0.ok_or(Failure::new(OsError::RTC_NOT_SET))
    }

    async fn set_date_time(&mut self, date_time: DateTime) -> Result<(), Failure> {
        self.0 = Some(date_time);
        Ok(())
    }
}

#[test]
fn a_clock_is_set_read_and_refused() {
    let open = Policy::deny_all().with(Transport::Udp, Access::open());
    let mut server = Server::new(open, Clock::default(), Nothing);
    let mut send = |request: Vec<u8>| {
        let mut answer = [0; 256];
        let n = ready(server.handle(&Link::udp(), &request, &mut answer)).unwrap();
        String::from_utf8_lossy(&answer[8..n]).into_owned()
    };
    let set = |datetime| frame(&SetDateTimeRequest { datetime }, Version::V2);
    assert_eq!(
        send(frame(&DateTimeRequest, Version::V2)).as_bytes(),
        "\u{fffd}cerr\u{fffd}egroup\0brc\u{4}".as_bytes()
    );
    assert_eq!(send(frame(&DateTimeRequest, Version::V1)).as_bytes(), "\u{fffd}brc\u{5}".as_bytes());
    assert!(send(set("2026-02-30T13:05:00")).ends_with("30 at character 8 of the date and time is not within 1 to 28"));
    assert_eq!(send(set("2026-02-28T13:05:00.25Z")), "\u{fffd}");
    assert!(send(frame(&DateTimeRequest, Version::V2)).ends_with("2026-02-28T13:05:00.250"));
}

#[test]
fn errors_of_a_group_are_translated_for_version_1() {
    let mut device = device(Store::new());
    let mut codes = |request: &dyn Fn(Version) -> Vec<u8>| {
        [Version::V1, Version::V2].map(|v| failure(&exchange(&mut device, &Link::udp(), &request(v))[0]).0)
    };
    let erase = |version| frame(&EraseRequest { slot: Some(0) }, version);
    assert_eq!(codes(&erase), [Rc::BAD_STATE.into(), ImageError::NO_FREE_SLOT.into()]);
    let info = |version| frame(&InfoRequest { format: Some("!") }, version);
    assert_eq!(codes(&info), [Rc::INVALID.into(), OsError::INVALID_FORMAT.into()]);
}

#[test]
fn every_refusal_of_the_policy_reaches_the_peer_whole() {
    for request in all_commands(Version::V2) {
        for level in [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3] {
            let mut strict = device(Store::new());
            let access = otaru_policy::Action::ALL
                .into_iter()
                .fold(Access::nothing(), |access, action| access.allow(action, SecurityLevel::L4));
            *strict.policy_mut() = Policy::deny_all().with(Transport::Ble, access);
            let answers = exchange(&mut strict, &Link::ble(1, level, true), &request);
            assert!(failure(&answers[0]).1.ends_with("pair by LE Secure Connections and passkey"));
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_at_most_one_answer_which_fits_and_is_a_message(
        mut request in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        plausible in proptest::bool::ANY,
        size in 0_usize..300,
    ) {
        if plausible && request.len() >= 9 {
            let length = u16::try_from(request.len() - 8).unwrap().to_be_bytes();
            request[0] &= 0x0a;
            request[2..4].copy_from_slice(&length);
            request[4] = 0;
            request[5] &= 1;
            request[7] &= 0x0f;
            request[8] = 0xa0 | request[8] & 3;
        }
        let mut answer = vec![0xa5; size];
        let mut device = reckless(Store::new());
        let Some(n) = ready(device.handle(&Link::udp(), &request, &mut answer)) else { return Ok(()) };
        proptest::prop_assert!(n <= size);
        let (message, rest) = Message::split(&answer[..n]).unwrap();
        proptest::prop_assert!(rest.is_empty());
        let asked = Header::parse(&request).unwrap();
        proptest::prop_assert_eq!((message.header.group, message.header.command, message.header.sequence), (asked.group, asked.command, asked.sequence));
        let body: ciborium::Value = ciborium::from_reader(message.body).unwrap();
        proptest::prop_assert!(body.is_map());
    }

    #[test]
    fn damaged_requests_never_panic(which in 0_usize..14, at in 0_usize..80, flip in 1_u8..=255) {
        let mut request = all_commands(Version::V2)[which].clone();
        let at = at % request.len();
        request[at] ^= flip;
        exchange(&mut reckless(Store::new()), &Link::udp(), &request);
    }
}

/// What a small core must have free for a request, besides the two buffers.
#[test]
fn a_request_in_progress_is_small() {
    let mut device = device(Store::new());
    let mut answer = [0; 64];
    let link = Link::udp();
    let future = device.handle(&link, &[], &mut answer);
    let size = size_of_val(&future);
    assert!(size <= 2048, "{size} bytes");
    assert!(size_of::<Failure>() < 128);
}
