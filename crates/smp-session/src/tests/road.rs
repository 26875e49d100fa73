//! Uploads over links that only take time.

use super::*;
use crate::Stats;

#[test]
fn nothing_goes_wrong_then_every_byte_is_sent_once_in_full_frames() {
    let mut pair = Pair::new(100_000, Habits::OURS);
    assert_eq!(pair.succeed(10_000), Proof::Hashed);
    // 1024 bytes less header, keys and heads.
    let packets = 100_000_u32.div_ceil(1024 - 8 - 1 - 9 - 8);
    assert!((packets..=packets + 1).contains(&pair.upload.stats().sent), "{:?}", pair.upload.stats());
    assert_eq!(pair.upload.stats(), Stats { sent: pair.upload.stats().sent, ..Stats::default() });
    assert_eq!(pair.device.erases, 1);
}

#[test]
fn window_is_filled_and_never_overfilled() {
    for window in 1..=16 {
        let mut pair = Pair::new(60_000, Habits { room: 16, ..Habits::OURS });
        pair.window = window;
        pair.succeed(20_000);
        assert_eq!(pair.most_in_flight, usize::from(window));
    }
}

#[test]
fn larger_windows_fill_the_pipe() {
    // As measured against Zephyr: what one request takes there is the same however many wait.
    let table = [1, 2, 3].map(|window| {
        let mut pair = Pair::new(300_000, Habits::ZEPHYR);
        pair.wire.latency = 60;
        pair.window = window;
        pair.succeed(200_000);
        format!("window {window}: {} ms", pair.now)
    });
    insta::assert_snapshot!(table.join("\n"), @r"
    window 1: 54920 ms
    window 2: 27980 ms
    window 3: 19040 ms
    ");
}

#[test]
fn any_length_arrives_whole() {
    for len in
        [1, 31, 32, 33, 900, 901, 902, 903, 904, 905, 960, 998, 999, 1000, 1001, 1002, 2_000, 65_535, 65_536, 70_000]
    {
        Pair::new(len, Habits::OURS).succeed(10_000);
    }
}

#[test]
fn any_frame_size_is_used_to_the_last_bytes() {
    for frame in 110..=420 {
        let mut pair = Pair::new(3_000, Habits::OURS);
        pair.frame = frame;
        pair.succeed(30_000);
        // A CBOR head that grows can leave a byte or two unused, no more.
        let least = 3_000_u32.div_ceil(u32::from(frame) - 8 - 1 - 5 - 5);
        assert!(pair.upload.stats().sent <= 3_000_u32.div_ceil(u32::from(frame) - 8 - 1 - 9 - 8) + 1);
        assert!(pair.upload.stats().sent >= least);
    }
}

#[test]
fn frames_without_room_for_the_hash_then_it_is_left_out() {
    let mut pair = Pair::new(2_000, Habits { checks: false, ..Habits::OURS });
    pair.frame = 64;
    pair.succeed(30_000);
    assert_eq!(pair.device.ended, Some((2_000, vec![])));
}

#[test]
fn frames_without_room_for_an_image_header_then_nothing_is_sent() {
    let mut pair = Pair::new(2_000, Habits::OURS);
    pair.frame = 40;
    let Event::Failed(error) = pair.drive_bounded(1) else { panic!("{:?}", pair.events) };
    insta::assert_snapshot!(error, @"frames of 40 bytes cannot carry an upload, whose first packet takes at least 60");
    assert_eq!(pair.device.handled, 0);
}

#[test]
fn erase_takes_most_of_the_first_wait_then_it_is_waited_for_and_done_once() {
    let mut pair = Pair::new(20_000, Habits { erase_ms: 38_000, ..Habits::OURS });
    pair.succeed(60_000);
    assert_eq!((pair.device.erases, pair.stalls()), (1, vec![]));
}

#[test]
fn same_file_again_then_it_is_known_at_once() {
    let mut pair = Pair::new(50_000, Habits::OURS);
    pair.succeed(10_000);
    pair.new_client();
    assert_eq!(pair.succeed(10_000), Proof::Hashed);
    assert_eq!(pair.upload.stats().sent, 1);
}

#[test]
fn client_dies_half_way_then_the_next_one_goes_on_from_there() {
    let mut pair = Pair::new(100_000, Habits::OURS);
    pair.drive_to(50_000);
    let had = len_of(&pair.device.slot);
    pair.new_client();
    pair.succeed(10_000);
    let resumed = pair.events.iter().find(|event| matches!(event, Event::Resumed { .. }));
    assert!(matches!(resumed, Some(Event::Resumed { offset }) if *offset >= had), "{:?}", pair.events);
    assert!(pair.upload.stats().sent < 55);
    assert_eq!(pair.device.erases, 1);
}

#[test]
fn drain_dropped_early_then_nothing_is_lost() {
    let image = [7; 5_000];
    let mut upload: Upload = Upload::new(plan(&image), 0);
    drop(upload.handle(Millis(0), Input::Linked { frame: 512, window: 2 }));
    let first: Vec<_> = upload.handle(Millis(1), Input::Tick).collect();
    assert!(matches!(first[..], [Output::Transmit(_), Output::Deadline(_)]), "{first:?}");
}

#[test]
fn progress_never_goes_back_while_the_device_does_not() {
    let mut pair = Pair::new(80_000, Habits::OURS);
    pair.succeed(10_000);
    let offsets: Vec<u32> = pair
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Progress { offset } => Some(*offset),
            _ => None,
        })
        .collect();
    assert!(offsets.is_sorted() && offsets.len() > 40);
    assert_eq!(offsets.last(), Some(&80_000));
}
