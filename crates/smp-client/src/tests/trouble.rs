//! Upgrades where something goes wrong: each ends, and says truly how.

use super::*;
use crate::{ClientError, Conflict};
use otaru_smp::{Code, ImageError};

#[test]
fn answers_requests_and_more_are_lost_then_the_upgrade_arrives_nevertheless() {
    for seed in 1..=25 {
        let quality = Quality { lost_per_mille: 100, doubled_per_mille: 30, late_per_mille: 50, seed, ..QUALITY };
        let mut model = device();
        let run = go_over(&mut model, Mode::TestAndConfirm, quality);
        assert!(matches!(run.result, Ok(Outcome::Confirmed { .. })), "seed {seed}: {:?}\n{}", run.result, run.road());
        assert_eq!(runs(&model), ("2.0.0", false), "seed {seed}");
    }
}

#[test]
fn answer_to_the_reset_is_lost_then_how_it_comes_back_is_what_counts() {
    let mut model = device();
    model.answers_resets = false;
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert!(run.told.iter().any(|(_, event)| *event == Event::Reset { answered: false }));
}

#[test]
fn reset_is_answered_and_not_done_then_it_is_asked_for_again() {
    let mut model = device();
    model.ignores_resets = 1;
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert_eq!(model.resets_asked, 2);
}

#[test]
fn resets_are_never_done_then_it_is_given_up() {
    let mut model = device();
    model.ignores_resets = usize::MAX;
    let run = go(&mut model, Mode::TestAndConfirm);
    assert!(
        matches!(run.error(), UpgradeError::Conflict(Conflict::NotRestarted { resets: 3, .. })),
        "{:?}",
        run.result
    );
    assert!(run.ms < 40_000);
}

#[test]
fn self_test_fails_then_it_is_reported_as_reverted() {
    let mut model = device();
    // Long enough to be seen, and it refuses to be confirmed while it tests itself.
    (model.fails_after_ms, model.busy_ms) = (Some(3_000), 5_000);
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Reverted { running: "1.0.0".into(), ran: true });
    assert_eq!(runs(&model), ("1.0.0", false));
    assert_eq!(model.boots, 2);
}

#[test]
fn bootloader_refuses_the_image_then_it_is_reported_as_reverted() {
    let mut model = device();
    model.rejects = true;
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Reverted { running: "1.0.0".into(), ran: false });
}

#[test]
fn self_test_takes_a_while_then_confirming_waits_for_it() {
    let mut model = device();
    model.busy_ms = 5_000;
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert!(run.told.iter().filter(|(_, event)| *event == Event::Busy).count() >= 3);
}

#[test]
fn power_is_cut_in_the_upload_then_it_goes_on_when_the_device_is_back() {
    for at in [1, 10_000, 30_000, 49_999] {
        let mut model = device();
        (model.dies_at, model.swap_ms) = (Some(at), 4_000);
        let run = go(&mut model, Mode::TestAndConfirm);
        assert_eq!(run.outcome(), Outcome::Confirmed { already: false }, "at {at}");
        assert_eq!(runs(&model), ("2.0.0", false));
    }
}

#[test]
fn device_never_comes_back_then_the_wait_ends() {
    let mut model = device();
    model.stays_away = true;
    let run = go(&mut model, Mode::TestAndConfirm);
    let error = run.error();
    assert!(matches!(error, UpgradeError::NotSeen { .. }), "{error:?}");
    assert!((180_000..190_000).contains(&run.ms), "{} ms", run.ms);
    assert!(run.told.iter().filter(|(_, event)| matches!(event, Event::Waiting { .. })).count() > 100);
}

#[test]
fn device_is_silent_from_the_start_then_it_is_said_soon() {
    let quality = Quality { lost_per_mille: 1_000, ..QUALITY };
    let run = go_over(&mut device(), Mode::TestAndConfirm, quality);
    assert!(matches!(run.error(), UpgradeError::Client(ClientError::Silent { .. })), "{:?}", run.result);
    assert!(run.ms <= 10_000, "{} ms", run.ms);
}

#[test]
fn marking_is_refused_then_the_reason_and_the_next_step_are_told() {
    let mut model = device();
    model.refuses_mark = Some(Code::from(ImageError::INVALID_TLV));
    let error = go(&mut model, Mode::TestAndConfirm).error();
    let explanation = ImageError::INVALID_TLV.explain().unwrap();
    assert!(
        error.to_string().starts_with("asked to test an image, the device answered image group error 5"),
        "{error}"
    );
    assert!(error.to_string().ends_with(explanation.sentence), "{error}");
    assert_eq!(error.next_step(), explanation.next);
    assert_eq!(model.boots, 0);
}

#[test]
fn image_that_is_listed_is_damaged_then_it_is_uploaded_and_the_upgrade_goes_on() {
    let mut model = device();
    (model.slots[1], model.stale) = (Some(two().1), true);
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert!(run.told.iter().any(|(_, event)| matches!(event, Event::Refused { .. })));
}

#[test]
fn image_that_is_listed_is_refused_for_good_then_it_is_uploaded_once_and_no_more() {
    let mut model = device();
    (model.slots[1], model.refuses_mark) = (Some(two().1), Some(ImageError::INVALID_TLV.into()));
    let run = go(&mut model, Mode::TestAndConfirm);
    assert!(matches!(run.error(), UpgradeError::Client(ClientError::Refused { .. })), "{:?}", run.result);
    assert_eq!(run.told.iter().filter(|(_, event)| matches!(event, Event::Uploaded(_))).count(), 1);
}

#[test]
fn marking_is_not_allowed_then_nothing_is_uploaded_for_it() {
    for code in [Code::from(otaru_smp::Rc::ACCESS_DENIED), ImageError::IMAGE_CONFIRMATION_DENIED.into()] {
        let mut model = device();
        (model.slots[1], model.refuses_mark) = (Some(two().1), Some(code));
        go(&mut model, Mode::TestAndConfirm).error();
        assert_eq!(model.uploads, 0, "{code:?}");
    }
}

#[test]
fn image_is_pending_for_good_then_a_trial_is_made_of_it() {
    let mut model = device();
    (model.slots[1], model.swap) = (Some(two().1), Swap::Permanent);
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert!(run.told.iter().any(|(_, event)| *event == Event::Marked { permanent: false }), "{}", run.road());
}

#[test]
fn device_says_it_marked_and_did_not_then_success_is_not_claimed() {
    let mut model = device();
    model.lies = true;
    let error = go(&mut model, Mode::TestAndConfirm).error();
    assert_eq!(error, Conflict::NotMarked { attempts: 3 }.into());
    assert_eq!(model.boots, 0, "nothing is swapped by a reset now");
}

#[test]
fn another_image_is_pending_then_it_makes_room() {
    let mut model = device();
    (model.slots[1], model.swap) = (Some(Image::new(3, 100)), Swap::Test);
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert!(run.told.iter().any(|(_, event)| *event == Event::Erased { slot: 1 }));
}

#[test]
fn another_image_is_pending_and_stays_then_the_way_out_is_told() {
    let mut model = device();
    (model.slots[1], model.swap, model.refuses_erase) = (Some(Image::new(3, 100)), Swap::Permanent, true);
    let error = go(&mut model, Mode::TestAndConfirm).error();
    assert_eq!(error, Conflict::OtherPending { version: "3.0.0".into() }.into());
    assert_eq!(model.uploads, 0);
}

#[test]
fn another_image_is_on_trial_then_it_is_left_to_its_owner() {
    let mut model = device();
    (model.slots[1], model.swap) = (Some(Image::new(3, 100)), Swap::Revert);
    model.slots.swap(0, 1);
    let error = go(&mut model, Mode::TestAndConfirm).error();
    assert_eq!(error, Conflict::OtherOnTrial { version: "3.0.0".into() }.into());
    assert_eq!((model.uploads, model.boots), (0, 0));
}

#[test]
fn upload_turns_out_to_be_something_else_then_success_is_not_claimed() {
    let (old, _) = two();
    let mut model = Model::running(old, &[]);
    let error = go(&mut model, Mode::TestAndConfirm).error();
    assert_eq!(error, Conflict::NotListed { image: 0 }.into());
}
