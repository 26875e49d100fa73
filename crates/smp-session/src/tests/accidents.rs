//! Uploads over links that lose, double and reorder, and to devices that lose power.

use super::*;

#[test]
fn frames_are_lost_then_the_upload_arrives_nevertheless() {
    for (lost, limit_ms) in [(20, 30_000), (100, 60_000), (200, 200_000)] {
        for seed in 1..=20 {
            let mut pair = Pair::seeded(100_000, Habits::OURS, seed);
            pair.wire = Wire { lost_up: lost, lost_down: lost, latency: 5, ..Wire::default() };
            pair.succeed(limit_ms);
        }
    }
}

#[test]
fn frames_are_doubled_late_and_lost_then_the_upload_arrives_nevertheless() {
    for seed in 1..=40 {
        let habits = if seed % 2 == 0 { Habits::OURS } else { Habits { work_ms: 1, ..Habits::ZEPHYR } };
        let mut pair = Pair::seeded(100_000, habits, seed);
        pair.wire = Wire { lost_up: 20, lost_down: 20, doubled: 50, late: 100, latency: 5 };
        pair.succeed(60_000);
    }
}

#[test]
fn answers_are_lost_then_later_ones_answer_for_them() {
    let mut pair = Pair::new(100_000, Habits::OURS);
    // Every third answer, and never two in a row.
    pair.lose_answer = Some(Box::new(|_, n| n > 1 && n < 100 && n % 3 == 0));
    pair.succeed(10_000);
    assert_eq!((pair.upload.stats().timeouts, pair.upload.stats().rewinds), (0, 0), "{:?}", pair.upload.stats());
}

#[test]
fn sequence_numbers_come_round_while_old_answers_arrive_then_none_is_mistaken() {
    for seed in 1..=10 {
        let mut pair = Pair::seeded(600_000, Habits { work_ms: 0, room: 16, ..Habits::OURS }, seed);
        (pair.frame, pair.window) = (256, 16);
        pair.wire = Wire { doubled: 500, late: 300, latency: 1, ..Wire::default() };
        pair.succeed(60_000);
    }
}

/// smp-tool, mcumgrctl, mcumgr-client: all send the whole image again. A naive window never ends.
#[test]
fn final_answer_is_lost_and_the_device_forgot_then_its_list_is_the_proof() {
    let clean = {
        let mut pair = Pair::new(100_000, Habits::ZEPHYR);
        pair.succeed(60_000);
        pair.device.handled
    };
    for lost in 1..=3 {
        let mut pair = Pair::new(100_000, Habits::ZEPHYR);
        pair.lose_answer = Some(Box::new(move |_, n| n > clean - lost && n <= clean));
        assert_eq!(pair.succeed(60_000), Proof::Listed, "the last {lost}");
        assert!(pair.device.handled <= clean + 6, "{} requests, {clean} without loss", pair.device.handled);
        assert_eq!(pair.device.erases, 1);
    }
}

#[test]
fn final_answer_is_lost_and_the_device_remembers_then_it_says_so_again() {
    let mut pair = Pair::new(20_000, Habits::OURS);
    let clean = {
        let mut pair = Pair::new(20_000, Habits::OURS);
        pair.succeed(10_000);
        pair.device.handled
    };
    pair.lose_answer = Some(Box::new(move |_, n| n == clean));
    assert_eq!(pair.succeed(20_000), Proof::Hashed);
    assert_eq!(pair.device.handled, clean + 1);
}

#[test]
fn list_does_not_show_the_image_then_it_is_sent_again() {
    let mut pair = Pair::new(20_000, Habits::ZEPHYR);
    let mut at_end = 0;
    pair.device.bewitched = Some(Box::new(move |request| {
        // Takes everything but the last byte's packet, for which it forgets the upload: once.
        let last = request.offset? as usize + request.data.len() == 20_000;
        at_end += usize::from(last);
        (last && at_end == 1).then_some(Ok(UploadResponse { offset: 0, matches: None }))
    }));
    assert_eq!(pair.succeed(60_000), Proof::Counted);
    assert_eq!(pair.upload.stats().restarts, 1);
}

#[test]
fn device_loses_power_then_the_upload_begins_again_from_its_first_packet() {
    for at in [50, 150, 200, 250] {
        let mut pair = Pair::new(100_000, Habits::OURS);
        pair.reset_device_at(at);
        pair.succeed(60_000);
        assert!(pair.upload.stats().restarts <= 1);
    }
}

#[test]
fn device_loses_power_every_second_then_it_is_given_up_within_bounds() {
    let mut pair = Pair::new(400_000, Habits { work_ms: 10, ..Habits::OURS });
    (1..100).for_each(|n| pair.reset_device_at(n * 1_000));
    let Event::Failed(error) = pair.drive_bounded(30_000) else { panic!("{:?}", pair.events.last()) };
    insta::assert_snapshot!(error, @"the device lost the upload 5 times and never got beyond byte 88909");
}

#[test]
fn device_is_silent_from_the_start_then_links_are_tried_and_it_is_given_up() {
    let mut pair = Pair::new(10_000, Habits::OURS);
    pair.wire.lost_up = 1_000;
    let Event::Failed(error) = pair.drive_bounded(300_000) else { panic!("{:?}", pair.events.last()) };
    insta::assert_snapshot!(error, @"the device took nothing beyond byte 0 over 5 connections");
    insta::assert_snapshot!(pair.stalls()[0], @"the device was silent for 40000 ms");
}

#[test]
fn device_falls_silent_half_way_then_a_new_link_goes_on_where_it_was() {
    let mut pair = Pair::new(100_000, Habits::OURS);
    pair.drive_to(50_000);
    pair.wire.lost_down = 1_000;
    while pair.stalls().is_empty() {
        assert!(pair.step());
    }
    pair.wire.lost_down = 0;
    pair.succeed(60_000);
    assert_eq!(pair.device.erases, 1);
    assert!(pair.upload.stats().resumes == 1, "{:?}", pair.upload.stats());
}

#[test]
fn link_breaks_and_comes_back_then_nothing_is_sent_twice_but_what_was_in_flight() {
    let mut pair = Pair::new(100_000, Habits::OURS);
    pair.drive_to(40_000);
    pair.feed(Input::LinkLost);
    assert_eq!(pair.upload.handle(Millis(pair.now), Input::Tick).count(), 0, "nothing to do without a link");
    pair.after(5_000, Arrival::Linked);
    pair.deadline = None;
    pair.succeed(20_000);
    assert!(pair.upload.stats().sent < 110, "{:?}", pair.upload.stats());
}
