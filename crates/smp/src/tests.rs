//! Every message: its bytes, and what must hold for all of them.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use crate::image::*;
use crate::os::*;
use crate::*;
use std::fmt::Debug;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn encode<'a>(body: &impl Body<'a>) -> Vec<u8> {
    let mut out = [0xa5; 1024];
    let n = body.encode(&mut out).unwrap();
    assert!(out[n..].iter().all(|byte| *byte == 0xa5), "wrote beyond what it says it wrote");
    out[..n].to_vec()
}

/// The bytes stand; what follows them in a comment is what they say. If one of these fails, the code is wrong.
#[test]
fn golden_os_messages() {
    let golden = |bytes: &str, body: &dyn Fn() -> Vec<u8>| assert_eq!(body(), hex(bytes), "{bytes}");
    golden("a1 6164 6568656c6c6f", &|| encode(&EchoRequest { text: "hello" })); // {"d": "hello"}
    golden("a1 6172 60", &|| encode(&EchoResponse { text: "" })); // {"r": ""}
    golden("a0", &|| encode(&TaskStatsRequest)); // {}
    let tasks = [
        Task { name: "idle", priority: -16, id: 1, state: 128, ..Task::default() },
        Task {
            name: "smp",
            priority: 3,
            id: 2,
            state: 0,
            stack_used: Some(300),
            stack_size: Some(512),
            switches: None,
            run_time: Some(1 << 32),
        },
    ];
    golden(
        "a1 657461736b73 a2                    # {\"tasks\": {
           6469646c65 a3                       #   \"idle\": {
             647072696f 2f                     #     \"prio\": -16,
             63746964 01                       #     \"tid\": 1,
             657374617465 1880                 #     \"state\": 128},
           63736d70 a6                         #   \"smp\": {
             647072696f 03 63746964 02         #     \"prio\": 3, \"tid\": 2,
             657374617465 00                   #     \"state\": 0,
             6673746b757365 19012c             #     \"stkuse\": 300,
             6673746b73697a 190200             #     \"stksiz\": 512,
             6772756e74696d65 1b0000000100000000"
            .lines()
            .map(|line| line.split('#').next().unwrap())
            .collect::<String>()
            .as_str(), //                              "runtime": 4294967296}}}
        &|| encode(&TaskStatsResponse { tasks: List::new(&tasks) }),
    );
    golden("a1 686461746574696d65 73 323032362d30322d32385431333a30353a3030", &|| {
        encode(&DateTimeResponse { datetime: "2026-02-28T13:05:00" })
    }); // {"datetime": "2026-02-28T13:05:00"}
    golden("a0", &|| encode(&ResetRequest::default())); // {}
    golden("a2 65666f726365 f5 69626f6f745f6d6f6465 01", &|| encode(&ResetRequest { force: true, boot_mode: Some(1) })); // {"force": true, "boot_mode": 1}
    golden("a2 686275665f73697a65 1909ab 696275665f636f756e74 04", &|| {
        encode(&ParamsResponse { buf_size: 2475, buf_count: 4 })
    }); // {"buf_size": 2475, "buf_count": 4}
    golden("a1 66666f726d6174 6161", &|| encode(&InfoRequest { format: Some("a") })); // {"format": "a"}
    golden("a1 666f7574707574 656f74617275", &|| encode(&InfoResponse { output: "otaru" })); // {"output": "otaru"}
    golden("a1 657175657279 646d6f6465", &|| encode(&BootloaderRequest { query: Some("mode") })); // {"query": "mode"}
    golden("a2 646d6f6465 20 6c6e6f2d646f776e6772616465 f5", &|| {
        encode(&BootloaderResponse { name: None, mode: Some(-1), no_downgrade: true })
    }); // {"mode": -1, "no-downgrade": true}
}

/// As above.
#[test]
fn golden_image_messages() {
    let golden = |bytes: &str, body: &dyn Fn() -> Vec<u8>| assert_eq!(body(), hex(bytes), "{bytes}");
    golden("a2 6468617368 43010203 67636f6e6669726d f4", &|| {
        encode(&SetStateRequest { hash: Some(&[1, 2, 3]), confirm: false })
    }); // {"hash": h'010203', "confirm": false}
    let slots = [SlotState {
        slot: 1,
        version: "1.2.0.2",
        hash: Some(&[0xd5]),
        bootable: true,
        pending: true,
        ..SlotState::default()
    }];
    golden(
        "a2 66696d61676573 81 a8             # {\"images\": [{
           64736c6f74 01                     #    \"slot\": 1,
           6776657273696f6e 67312e322e302e32 #    \"version\": \"1.2.0.2\",
           6468617368 41d5                   #    \"hash\": h'd5',
           68626f6f7461626c65 f5             #    \"bootable\": true,
           6770656e64696e67 f5               #    \"pending\": true,
           69636f6e6669726d6564 f4           #    \"confirmed\": false,
           66616374697665 f4                 #    \"active\": false,
           697065726d616e656e74 f4           #    \"permanent\": false}],
           6b73706c6974537461747573 00       #  \"splitStatus\": 0}"
            .lines()
            .map(|line| line.split('#').next().unwrap())
            .collect::<String>()
            .as_str(),
        &|| encode(&StateResponse { images: List::new(&slots), split_status: Some(0) }),
    );
    golden("a4 636f6666 00 636c656e 19ecf7 63736861 42aabb 6464617461 423db8", &|| {
        encode(&UploadRequest::first(&[0x3d, 0xb8], 60663, Some(&[0xaa, 0xbb])))
    }); // {"off": 0, "len": 60663, "sha": h'aabb', "data": h'3db8'}
    golden("a2 636f6666 1a00010000 6464617461 4101", &|| encode(&UploadRequest::next(65536, &[1]))); // {"off": 65536, "data": h'01'}
    golden("a2 636f6666 19ecf7 656d61746368 f5", &|| encode(&UploadResponse { offset: 60663, matches: Some(true) })); // {"off": 60663, "match": true}
    golden("a1 64736c6f74 01", &|| encode(&EraseRequest { slot: Some(1) })); // {"slot": 1}
    let info = [
        SlotInfo { slot: 0, size: Some(0x76000), ..SlotInfo::default() },
        SlotInfo { slot: 1, rc: Some(1), ..SlotInfo::default() },
    ];
    let images = [ImageSlots { image: 0, slots: List::new(&info), max_image_size: Some(0x75000) }];
    golden(
        "a1 66696d61676573 81 a3                        # {\"images\": [{
           65696d616765 00                              #    \"image\": 0,
           65736c6f7473 82                              #    \"slots\": [
             a2 64736c6f74 00 6473697a65 1a00076000     #      {\"slot\": 0, \"size\": 0x76000},
             a2 64736c6f74 01 627263 01                 #      {\"slot\": 1, \"rc\": 1}],
           6e6d61785f696d6167655f73697a65 1a00075000    #    \"max_image_size\": 0x75000}]}"
            .lines()
            .map(|line| line.split('#').next().unwrap())
            .collect::<String>()
            .as_str(),
        &|| encode(&SlotInfoResponse { images: List::new(&images) }),
    );
}

/// What must hold for every message, checked on one value of it.
fn check<'a, B: Body<'a> + PartialEq + Debug>(body: &B, bytes: &'a [u8]) {
    let mut out = [0; 1024];
    assert_eq!(B::decode(bytes).as_ref(), Ok(body), "{bytes:02x?}");
    assert_eq!(body.encode(&mut out[..bytes.len()]), Ok(bytes.len()));
    for capacity in 0..bytes.len() {
        let full = Err(EncodeError { capacity });
        assert_eq!(body.encode(&mut out[..capacity]), full, "{body:?} in {capacity} bytes");
    }
    for end in 0..bytes.len() {
        let prefix = B::decode(&bytes[..end]);
        assert!(matches!(prefix, Err(DecodeError::Truncated { .. })), "{body:?} from {end} bytes: {prefix:?}");
    }
    let mut longer = bytes.to_vec();
    longer.extend_from_slice(b"\xff\x00anything");
    assert_eq!(B::decode(longer.leak()).as_ref(), Ok(body), "bytes after the map");
    for other in other_spellings(bytes) {
        assert_eq!(B::decode(other.leak()).as_ref(), Ok(body), "other CBOR of the same meaning");
    }
}

/// The same map as others would write it: keys the other way round, indefinite lengths, unknown keys among them.
fn other_spellings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let value: ciborium::Value = ciborium::from_reader(bytes).unwrap();
    let mut again = Vec::new();
    ciborium::into_writer(&value, &mut again).unwrap();
    assert_eq!(again, bytes, "another encoder writes the same bytes");
    let ciborium::Value::Map(entries) = value else { panic!("no map") };

    let reversed: Vec<_> = entries.iter().rev().cloned().collect();
    let unknown = ciborium::Value::Array(vec![
        ciborium::Value::Null,
        ciborium::Value::Float(1.5),
        ciborium::Value::Tag(1, std::boxed::Box::new(1.into())),
    ]);
    let mut crowded = vec![("zz unknown".into(), unknown.clone())];
    for entry in &entries {
        crowded.push(entry.clone());
        crowded.push(("zz unknown".into(), unknown.clone()));
    }
    let mut spellings = Vec::new();
    for entries in [reversed, crowded] {
        let mut out = Vec::new();
        ciborium::into_writer(&ciborium::Value::Map(entries), &mut out).unwrap();
        spellings.push(out);
    }
    let mut indefinite = Vec::new();
    write_indefinite(&ciborium::Value::Map(entries), &mut indefinite);
    spellings.push(indefinite);
    spellings
}

/// Writes maps and lists as Zephyr does: up to a break.
fn write_indefinite(value: &ciborium::Value, out: &mut Vec<u8>) {
    match value {
        ciborium::Value::Map(entries) => {
            out.push(0xbf);
            for (key, value) in entries {
                write_indefinite(key, out);
                write_indefinite(value, out);
            }
            out.push(0xff);
        }
        ciborium::Value::Array(items) => {
            out.push(0x9f);
            items.iter().for_each(|item| write_indefinite(item, out));
            out.push(0xff);
        }
        plain => ciborium::into_writer(plain, out).unwrap(),
    }
}

/// Checks a body, and of a request its whole message under both versions.
macro_rules! check_all {
    ($($body:expr;)+) => {$({
        let body = $body;
        let bytes = encode(&body);
        check(&body, bytes.leak());
    })+};
}

macro_rules! check_requests {
    ($($body:expr;)+) => {$({
        let body = $body;
        let bytes: &[u8] = encode(&body).leak();
        check(&body, bytes);
        for version in [Version::V1, Version::V2] {
            let mut frame = [0xa5; 1024];
            let n = body.message(version, 0x42, &mut frame).unwrap();
            assert!(frame[n..].iter().all(|byte| *byte == 0xa5));
            let (message, rest) = Message::split(&frame[..n]).unwrap();
            assert_eq!((message.body, rest), (bytes, &[][..]));
            assert_eq!((message.header.version, message.header.sequence), (version, 0x42));
            for end in 0..n {
                assert!(Message::split(&frame[..end]).is_err());
                assert_eq!(body.message(version, 1, &mut [0; 1024][..end]), Err(EncodeError { capacity: end }));
            }
        }
    })+};
}

#[test]
fn every_message_survives_a_round_trip_and_no_prefix_of_one_is_accepted() {
    let tasks = [
        Task { name: "a", priority: i32::MIN, id: u32::MAX, state: 0, ..Task::default() },
        Task { name: "b", switches: Some(0), ..Task::default() },
    ];
    let slots = [
        SlotState { slot: 0, version: "0.0.0", active: true, confirmed: true, ..SlotState::default() },
        SlotState {
            image: Some(1),
            slot: 1,
            version: "255.255.65535.4294967295",
            hash: Some(&[7; 64]),
            permanent: true,
            ..SlotState::default()
        },
    ];
    let info = [SlotInfo { slot: 1, size: Some(1), upload_image_id: Some(2), rc: None }, SlotInfo::default()];
    let images = [ImageSlots { image: 3, slots: List::new(&info), max_image_size: None }, ImageSlots::default()];
    check_requests! {
        EchoRequest { text: "hello" };
        TaskStatsRequest;
        DateTimeRequest;
        SetDateTimeRequest { datetime: "2026-02-28T13:05:00" };
        ResetRequest { force: true, boot_mode: Some(255) };
        ResetRequest::default();
        ParamsRequest;
        InfoRequest { format: None };
        InfoRequest { format: Some("snrvbmpioa") };
        BootloaderRequest { query: Some("mode") };
        StateRequest;
        SetStateRequest { hash: None, confirm: true };
        SetStateRequest { hash: Some(&[9; 32]), confirm: false };
        UploadRequest::first(&[1; 40], u32::MAX, Some(&[2; 32]));
        UploadRequest { image: Some(1), upgrade: true, ..UploadRequest::first(&[1; 300], 5, None) };
        UploadRequest::next(u32::MAX, &[]);
        EraseRequest { slot: None };
        EraseRequest { slot: Some(3) };
        SlotInfoRequest;
    }
    check_all! {
        EchoResponse { text: "wörld" };
        TaskStatsResponse { tasks: List::new(tasks.to_vec().leak()) };
        TaskStatsResponse::default();
        DateTimeResponse { datetime: "x" };
        SetDateTimeResponse;
        ResetResponse;
        ParamsResponse { buf_size: u32::MAX, buf_count: 0 };
        InfoResponse { output: "otaru" };
        BootloaderResponse { name: Some("MCUboot"), mode: None, no_downgrade: false };
        BootloaderResponse { name: None, mode: Some(3), no_downgrade: true };
        StateResponse { images: List::new(slots.to_vec().leak()), split_status: None };
        StateResponse::default();
        UploadResponse { offset: 23, matches: None };
        UploadResponse { offset: 24, matches: Some(false) };
        EraseResponse;
        SlotInfoResponse { images: List::new(&*vec![ImageSlots { slots: List::new(info.to_vec().leak()), ..images[0] }, images[1]].leak()) };
    }
}

#[test]
fn what_a_server_leaves_out_of_a_slot_is_false_and_what_it_adds_is_ignored() {
    // {"images": [{"slot": 0, "version": "1", "active": true, "compressed": true}], "rc": 0}
    let body = hex(
        "bf 66696d61676573 9f bf 64736c6f74 00 6776657273696f6e 6131 66616374697665 f5 6a636f6d70726573736564 f5 ff ff 627263 00 ff",
    );
    let state: StateResponse<'_> = read_answer(&body).unwrap();
    let slot = state.images.iter().next().unwrap();
    assert_eq!(slot, SlotState { version: "1", active: true, ..SlotState::default() });
    assert_eq!((state.images.len(), state.images.is_empty(), state.split_status), (1, false, None));
}

#[test]
fn a_list_ends_where_it_says_even_if_what_follows_looks_like_more_of_it() {
    // {"tasks": {"a": {"prio": 0, "tid": 0, "state": 0}}, "b": {"prio": 0, "tid": 0, "state": 0}}
    let task = "a3 647072696f 00 63746964 00 657374617465 00";
    for body in [
        format!("a2 657461736b73 a1 6161 {task} 6162 {task}"),
        format!("a2 657461736b73 bf 6161 {task} ff 6162 {task}"),
    ] {
        let body = hex(&body);
        let names: Vec<_> = TaskStatsResponse::decode(&body).unwrap().tasks.into_iter().map(|task| task.name).collect();
        assert_eq!(names, ["a"]);
    }
}

#[test]
fn reset_takes_force_as_a_number_as_well() {
    for (body, force) in [("a1 65666f726365 01", true), ("a1 65666f726365 00", false), ("a1 65666f726365 f5", true)] {
        assert_eq!(ResetRequest::decode(&hex(body)), Ok(ResetRequest { force, boot_mode: None }));
    }
    assert!(ResetRequest::decode(&hex("a1 65666f726365 6161")).is_err());
    assert!(ResetRequest::decode(&hex("a1 69626f6f745f6d6f6465 190100")).is_err());
}

#[test]
fn overhead_is_exact_and_capacity_fills_the_frame_to_the_byte() {
    let data = vec![0x5a; 70_000];
    let sha = [1; 32];
    let mut out = vec![0; 71_000];
    let templates = [
        UploadRequest::next(0, &[]),
        UploadRequest::next(23, &[]),
        UploadRequest::next(24, &[]),
        UploadRequest::next(255, &[]),
        UploadRequest::next(256, &[]),
        UploadRequest::next(65_536, &[]),
        UploadRequest::first(&[], 100, None),
        UploadRequest::first(&[], 300_000, Some(&sha)),
        UploadRequest { image: Some(2), upgrade: true, ..UploadRequest::first(&[], 300_000, Some(&sha[..8])) },
    ];
    for template in templates {
        for frame in (0..400).chain(65_500..65_543) {
            let Some(capacity) = template.capacity(frame) else {
                assert!(frame < template.overhead(0), "{frame} bytes would do");
                continue;
            };
            let request = UploadRequest { data: &data[..capacity], ..template };
            let body = request.encode(&mut out).unwrap();
            assert_eq!(HEADER_SIZE + body, request.overhead(capacity) + capacity);
            assert!(HEADER_SIZE + body <= frame, "{capacity} bytes overflow a frame of {frame}");
            let more = UploadRequest { data: &data[..capacity + 1], ..template };
            assert!(
                HEADER_SIZE + more.encode(&mut out).unwrap() > frame,
                "a frame of {frame} holds more than {capacity}"
            );
        }
    }
}

#[test]
fn headers_are_eight_bytes_in_network_order() {
    let header = Header {
        version: Version::V2,
        op: Op::WRITE,
        flags: 0,
        length: 0x0102,
        group: Group(0x0304),
        sequence: 5,
        command: 6,
    };
    assert_eq!(header.emit(), [0x0a, 0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(Header::parse(&[0x0a, 0, 1, 2, 3, 4, 5, 6, 0xa5]), Some(header));
    for len in 0..HEADER_SIZE {
        assert_eq!(Header::parse(&header.emit()[..len]), None);
    }
    for first in 0..=0xff {
        let parsed = Header::parse(&[first, 0xff, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(parsed.emit()[0], first & 0x1f, "reserved bits are dropped, all others kept");
        let answer = parsed.answer(7).emit();
        assert_eq!(answer[..4], [(first & 0x18).min(8) | if first & 7 == 0 { 1 } else { 3 }, 0, 0, 7]);
    }
}

#[test]
fn a_datagram_is_walked_message_by_message() {
    let two = hex("0a00000500004100a161646141 0a00000500004200a161646142");
    let sequence =
        |datagram: &[u8]| messages(datagram).map(|message| message.map(|m| m.header.sequence)).collect::<Vec<_>>();
    assert_eq!(sequence(&two), [Ok(0x41), Ok(0x42)]);
    assert_eq!(sequence(&two[..20]), [Ok(0x41)], "less than a header is dropped silently");
    let cut = sequence(&two[..23]);
    assert_eq!(cut[0], Ok(0x41));
    assert!(matches!(cut[1], Err(MessageError::Body { announced: 5, found: 2, .. })));
    assert_eq!(cut.len(), 2);
    assert_eq!(sequence(&[]), []);
    insta::assert_snapshot!(Message::split(&two[..23][13..]).unwrap_err(),
        @"the SMP header announces a body of 5 bytes, but 2 follow it");
    insta::assert_snapshot!(Message::split(&two[..7]).unwrap_err(),
        @"7 bytes are too few for an SMP header of 8");
}

#[test]
fn refusals_are_written_as_each_version_knows_them_and_read_back() {
    let mut out = [0; 64];
    let large = Failure { code: ImageError::INVALID_IMAGE_TOO_LARGE.into(), reason: Some("no") };
    let n = large.encode(Version::V2, &mut out).unwrap();
    assert_eq!(out[..n], hex("a2 63657272 a2 6567726f7570 01 627263 181e 6372736e 626e6f")); // {"err": {"group": 1, "rc": 30}, "rsn": "no"}
    assert_eq!(Failure::find(&out[..n]), Ok(Some(large)));
    let n = large.encode(Version::V1, &mut out).unwrap();
    assert_eq!(out[..n], hex("a2 627263 01 6372736e 626e6f")); // {"rc": 1, "rsn": "no"}
    let n = Failure { code: Rc::NOT_SUPPORTED.into(), reason: None }.encode(Version::V2, &mut out).unwrap();
    assert_eq!(out[..n], hex("a1 627263 08")); // {"rc": 8}
    for capacity in 0..n {
        assert!(
            Failure { code: Rc::NOT_SUPPORTED.into(), reason: None }.encode(Version::V2, &mut out[..capacity]).is_err()
        );
    }
}

#[test]
fn answers_are_read_as_what_was_asked_for_or_as_the_refusal() {
    let read = |body: &str| read_answer::<UploadResponse>(hex(body).leak());
    assert_eq!(
        read("bf 627263 00 636f6666 05 ff"),
        Ok(UploadResponse { offset: 5, matches: None }),
        "rc 0 is no refusal"
    );
    insta::assert_snapshot!(read("a2 63657272 a2 6567726f7570 01 627263 09 636f6666 00").unwrap_err(),
        @"the device answered image group error 9 (NO_FREE_SLOT): the slot is in use");
    insta::assert_snapshot!(read("a2 627263 0b 6372736e 64706169 72").unwrap_err(),
        @"the device answered rc 11 (ACCESS_DENIED): the device does not allow this over this link; it says: pair");
    insta::assert_snapshot!(read("a1 627263 190100").unwrap_err(), @"the device answered rc 256");
    insta::assert_snapshot!(read("a1 63657272 a2 6567726f7570 1840 627263 02").unwrap_err(),
        @"the device answered group 64 error 2");
    insta::assert_snapshot!(read("a0").unwrap_err(),
        @r#"the device's answer cannot be read: the key "off" is missing from the body"#);
    insta::assert_snapshot!(read("a1 63657272 a0").unwrap_err(),
        @r#"the device's answer cannot be read: the key "group" is missing from the body"#);
    insta::assert_snapshot!(read("a1 627263 20").unwrap_err(),
        @"the device's answer cannot be read: at byte 4 of the body: expected a number that is not negative, found a CBOR item starting with 0x20");
    assert!(matches!(read(""), Err(AnswerError::Unreadable(DecodeError::Truncated { at: 0 }))));
}

#[test]
fn text_is_cut_at_a_character_and_says_so() {
    let text = Text::<4>::of("aäöü");
    assert_eq!((text.as_str(), text.is_cut()), ("aä", true));
    assert!(!Text::<4>::of("äö").is_cut());
    let two = Text::<3>::of(format_args!("{}{}", "ab", "ö"));
    assert_eq!((two.as_str(), two.is_cut()), ("ab", true), "nothing follows what was cut");
    assert!(Text::<0>::new().is_empty());
    assert_eq!(format!("{:?} {}", Text::<8>::of("x"), Text::<8>::of("y")), "\"x\" y");
}

#[test]
fn versions_are_written_with_their_build_number_only_where_there_is_one() {
    assert_eq!(version_text(1, 2, 3, 0).as_str(), "1.2.3");
    let longest = version_text(u8::MAX, u8::MAX, u16::MAX, u32::MAX);
    assert_eq!((longest.as_str(), longest.is_cut()), ("255.255.65535.4294967295", false));
}

proptest::proptest! {
    #[test]
    fn reading_any_bytes_never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..96)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn reading_damaged_messages_never_panics(at in 0usize..200, flip in 1u8..=255, which in 0usize..6) {
        let tasks = [Task { name: "a", stack_used: Some(7), ..Task::default() }];
        let slots = [SlotState { version: "1.0.0", hash: Some(&[7; 32]), ..SlotState::default() }; 2];
        let info = [SlotInfo { size: Some(70_000), ..SlotInfo::default() }];
        let images = [ImageSlots { slots: List::new(&info), ..ImageSlots::default() }];
        let mut bytes = match which {
            0 => encode(&TaskStatsResponse { tasks: List::new(&tasks) }),
            1 => encode(&StateResponse { images: List::new(&slots), split_status: Some(0) }),
            2 => encode(&SlotInfoResponse { images: List::new(&images) }),
            3 => encode(&UploadRequest::first(&[1; 64], 300, Some(&[2; 32]))),
            4 => encode(&SetStateRequest { hash: Some(&[3; 32]), confirm: true }),
            _ => encode(&BootloaderResponse { name: Some("x"), mode: Some(-1), no_downgrade: true }),
        };
        let at = at % bytes.len();
        bytes[at] ^= flip;
        read_as_everything(&bytes);
    }
}

/// Reads bytes as every message there is, and writes again what was understood.
fn read_as_everything(bytes: &[u8]) {
    fn read<'a, B: Body<'a> + PartialEq + Debug>(bytes: &'a [u8]) {
        if let Ok(body) = B::decode(bytes) {
            let again: &[u8] = encode(&body).leak();
            let _ = format!("{body:?}");
            assert_eq!(B::decode(again).as_ref(), Ok(&body));
        }
    }
    let bytes: &[u8] = bytes.to_vec().leak();
    read::<EchoRequest<'_>>(bytes);
    read::<EchoResponse<'_>>(bytes);
    read::<TaskStatsRequest>(bytes);
    read::<TaskStatsResponse<'_>>(bytes);
    read::<SetDateTimeRequest<'_>>(bytes);
    read::<ResetRequest>(bytes);
    read::<ParamsResponse>(bytes);
    read::<InfoRequest<'_>>(bytes);
    read::<BootloaderRequest<'_>>(bytes);
    read::<BootloaderResponse<'_>>(bytes);
    read::<SetStateRequest<'_>>(bytes);
    read::<StateResponse<'_>>(bytes);
    read::<UploadRequest<'_>>(bytes);
    read::<UploadResponse>(bytes);
    read::<EraseRequest>(bytes);
    read::<SlotInfoResponse<'_>>(bytes);
    let _ = Failure::find(bytes).map(|failure| failure.map(|failure| failure.to_string()));
    let _ = read_answer::<StateResponse<'_>>(bytes).map_err(|error| error.to_string());
    messages(bytes).for_each(drop);
}
