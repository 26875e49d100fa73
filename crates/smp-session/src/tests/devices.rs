//! Devices with too little room, wrong answers, or no sense.

use super::*;
use crate::UploadError;
use proptest::prelude::*;

#[test]
fn window_larger_than_the_devices_buffers_then_it_settles_on_what_they_hold() {
    let mut pair = Pair::new(200_000, Habits::ZEPHYR);
    pair.window = 8;
    pair.succeed(60_000);
    let windows: Vec<u8> = pair
        .events
        .iter()
        .filter_map(|event| match event {
            Event::WindowReduced { window } => Some(*window),
            _ => None,
        })
        .collect();
    assert_eq!(windows, [7, 6, 5, 4, 3]);
    assert!(pair.upload.stats().refusals >= 5);
}

#[test]
fn device_is_busy_for_a_while_then_it_is_left_in_peace_for_a_while() {
    let mut pair = Pair::new(20_000, Habits::OURS);
    pair.window = 1;
    let mut busy = 0;
    pair.device.bewitched = Some(Box::new(move |_| {
        busy += 1;
        (busy % 5 != 0).then_some(Err(Rc::BUSY.into()))
    }));
    pair.succeed(60_000);
}

#[test]
fn device_is_busy_for_ever_then_its_refusal_is_the_end() {
    let mut pair = Pair::new(20_000, Habits::OURS);
    pair.device.bewitched = Some(Box::new(|_| Some(Err(Rc::BUSY.into()))));
    let Event::Failed(error) = pair.drive_bounded(30_000) else { panic!("{:?}", pair.events.last()) };
    insta::assert_snapshot!(error, @"the device answered rc 10 (BUSY): the device is busy with something else");
}

#[test]
fn refused_at_any_packet_then_the_reason_is_told() {
    for packet in [1, 2, 10] {
        let mut pair = Pair::new(20_000, Habits::OURS);
        let mut n = 0;
        pair.device.bewitched = Some(Box::new(move |_| {
            n += 1;
            (n == packet).then_some(Err(ImageError::INVALID_IMAGE_TOO_LARGE.into()))
        }));
        let Event::Failed(UploadError::Refused(refusal)) = pair.drive_bounded(30_000) else {
            panic!("{:?}", pair.events.last())
        };
        assert_eq!(refusal.code, ImageError::INVALID_IMAGE_TOO_LARGE.into());
    }
}

#[test]
fn device_asks_for_what_there_is_not_then_it_is_not_believed() {
    for packet in [1, 7] {
        let mut pair = Pair::new(20_000, Habits::OURS);
        let mut n = 0;
        pair.device.bewitched = Some(Box::new(move |_| {
            n += 1;
            (n == packet).then_some(Ok(UploadResponse { offset: 20_001, matches: None }))
        }));
        let Event::Failed(error) = pair.drive_bounded(30_000) else { panic!("{:?}", pair.events.last()) };
        insta::allow_duplicates! { insta::assert_snapshot!(error, @"the device asks for byte 20001 of a file of 20000 bytes"); }
    }
}

#[test]
fn device_finds_another_hash_then_the_upload_has_failed() {
    let mut pair = Pair::new(2_000, Habits::OURS);
    pair.device.bewitched = Some(Box::new(|request| {
        let end = request.offset? as usize + request.data.len();
        (end == 2_000).then_some(Ok(UploadResponse { offset: 2_000, matches: Some(false) }))
    }));
    let Event::Failed(error) = pair.drive_bounded(30_000) else { panic!("{:?}", pair.events.last()) };
    insta::assert_snapshot!(error, @"the device holds 2000 bytes whose SHA-256 is not the file's");
}

#[test]
fn device_takes_nothing_and_says_so_then_it_is_given_up() {
    for stuck_at in [0, 5_000] {
        let mut pair = Pair::new(20_000, Habits::OURS);
        pair.device.bewitched = Some(Box::new(move |_| Some(Ok(UploadResponse { offset: stuck_at, matches: None }))));
        let end = pair.drive_bounded(60_000);
        assert!(matches!(end, Event::Failed(_)), "{end:?}");
    }
}

#[test]
fn device_forgets_at_every_second_packet_then_it_is_given_up() {
    let mut pair = Pair::new(20_000, Habits::OURS);
    let mut n = 0;
    pair.device.bewitched = Some(Box::new(move |request| {
        n += 1;
        let end = request.offset? + len_of(request.data);
        Some(Ok(UploadResponse { offset: if n % 2 == 0 { 0 } else { end }, matches: None }))
    }));
    let Event::Failed(error) = pair.drive_bounded(60_000) else { panic!("{:?}", pair.events.last()) };
    insta::assert_snapshot!(error, @"the device lost the upload 5 times and never got beyond byte 957");
}

/// MCUboot's serial recovery cuts the tail of each piece to its write size.
#[test]
fn device_takes_only_part_of_each_packet_then_the_rest_follows() {
    let mut pair = Pair::new(20_000, Habits::OURS);
    let mut have = 0;
    pair.window = 1;
    pair.device.bewitched = Some(Box::new(move |request| {
        let end = request.offset? + len_of(request.data);
        if request.offset? == have {
            have = if end == 20_000 { end } else { end / 8 * 8 };
        }
        Some(Ok(UploadResponse { offset: have, matches: None }))
    }));
    assert_eq!(pair.drive_bounded(30_000), Event::Done(Proof::Counted));
}

#[test]
fn frames_of_others_arrive_in_between_then_they_are_counted_and_ignored() {
    let mut pair = Pair::new(50_000, Habits::OURS);
    let mut noise = Random(99);
    for n in 0..2_000 {
        if pair.upload.is_over() {
            break;
        }
        let len = (noise.next() % 40) as usize;
        let frame: Vec<u8> = (0..len).map(|_| noise.next().to_le_bytes()[0]).collect();
        if n % 3 == 0 {
            pair.feed(Input::Received(&frame));
        }
        pair.step();
    }
    pair.succeed(10_000);
    assert!(pair.upload.stats().stale > 50);
}

/// What a hostile device may do to the engine, one step each.
#[derive(Clone, Debug)]
enum Op {
    Answer { seq: u8, offset: u32, matches: Option<bool> },
    Refuse { seq: u8, rc: u16 },
    List { seq: u8, holds: bool },
    Pass { ms: u16 },
    LinkLost,
    Linked { frame: u16, window: u8 },
    Bytes(Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let offset = prop_oneof![0..6_000_u32, Just(u32::MAX), Just(5_000)];
    prop_oneof![
        6 => (0..24_u8, offset, any::<Option<bool>>()).prop_map(|(seq, offset, matches)| Op::Answer { seq, offset, matches }),
        1 => (0..24_u8, 0..14_u16).prop_map(|(seq, rc)| Op::Refuse { seq, rc }),
        1 => (0..24_u8, any::<bool>()).prop_map(|(seq, holds)| Op::List { seq, holds }),
        2 => (0..45_000_u16).prop_map(|ms| Op::Pass { ms }),
        1 => Just(Op::LinkLost),
        2 => (0..600_u16, any::<u8>()).prop_map(|(frame, window)| Op::Linked { frame, window }),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Op::Bytes),
    ]
}

fn message(seq: u8, command: u8, write: bool, encode: impl Fn(&mut [u8]) -> usize) -> Vec<u8> {
    let op = if write { otaru_smp::Op::WRITE_RESPONSE } else { otaru_smp::Op::READ_RESPONSE };
    let version = otaru_smp::Version::V2;
    let header = Header { version, op, flags: 0, length: 0, group: Group::IMAGE, sequence: seq, command };
    let mut out = vec![0; 256];
    let n = write_message(header, &mut out, |body| Ok(encode(body))).unwrap();
    out.truncate(n);
    out
}

proptest! {
    /// Whatever comes in: no panic, every drain ends, no packet beyond the image or the frame, and once over, over.
    #[test]
    fn anything_comes_in_then_the_engine_stays_whole(ops in proptest::collection::vec(op(), 0..200)) {
        let image = [9; 5_000];
        let mut upload: Upload<4> = Upload::new(plan(&image), 0);
        let (mut now, mut frame_size) = (0_u64, 0);
        for op in ops {
            let over = upload.is_over();
            let frame = match &op {
                Op::Answer { seq, offset, matches } => message(*seq, command::image::UPLOAD, true, |body| {
                    UploadResponse { offset: *offset, matches: *matches }.encode(body).unwrap()
                }),
                Op::Refuse { seq, rc } => message(*seq, command::image::UPLOAD, true, |body| {
                    Failure { code: Rc(*rc).into(), reason: Some("no") }.encode(otaru_smp::Version::V2, body).unwrap()
                }),
                Op::List { seq, holds } => message(*seq, command::image::STATE, false, |body| {
                    let hash = if *holds { HASH } else { [1; 32] };
                    let slot = SlotState { version: "1.0.0", hash: Some(&hash), ..Default::default() };
                    StateResponse { images: List::new(&[slot]), split_status: None }.encode(body).unwrap()
                }),
                Op::Bytes(bytes) => bytes.clone(),
                Op::Pass { .. } | Op::LinkLost | Op::Linked { .. } => vec![],
            };
            let input = match op {
                Op::Pass { ms } => { now += u64::from(ms); Input::Tick }
                Op::LinkLost => Input::LinkLost,
                Op::Linked { frame, window } => { frame_size = frame; Input::Linked { frame, window } }
                _ => Input::Received(&frame),
            };
            let mut out = vec![0; usize::from(frame_size)];
            for (n, output) in upload.handle(Millis(now), input).enumerate() {
                prop_assert!(n < 16, "the drain does not end");
                match output {
                    Output::Transmit(packet) => {
                        prop_assert!(!over, "sends although it is over");
                        prop_assert!(packet.data().end <= image.len());
                        prop_assert!(packet.encode(&image[packet.data()], &mut out).is_ok());
                    }
                    Output::Deadline(at) => prop_assert!(at.0 > now, "{at:?} at {now}"),
                    Output::Event(_) => {}
                }
            }
            prop_assert!(!over || upload.is_over());
        }
    }
}
