//! Upgrades where nothing goes wrong.

use super::*;

#[test]
fn new_image_then_it_is_uploaded_tested_seen_and_confirmed() {
    let mut model = device();
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert_eq!(runs(&model), ("2.0.0", false));
    insta::assert_snapshot!(run.road(), @r"
      20 connected
      40 upload 1024x3
     494 uploaded 50000 B
     537 marked
     578 reset { answered: true }
    4039 seen { ms: 3461 }
    4039 2.0.0 runs, confirmed false
    4082 2.0.0 runs, confirmed true
    ");
}

#[test]
fn each_mode_then_it_goes_as_far_as_it_says() {
    let mut model = device();
    assert_eq!(go(&mut model, Mode::Upload).outcome(), Outcome::Uploaded);
    assert_eq!((runs(&model), model.swap, model.boots), (("1.0.0", false), Swap::None, 0));
    assert_eq!(go(&mut model, Mode::Test).outcome(), Outcome::OnTrial);
    assert_eq!((runs(&model), model.boots), (("2.0.0", true), 1));
    assert_eq!(go(&mut model, Mode::TestAndConfirm).outcome(), Outcome::Confirmed { already: false });
    assert_eq!((runs(&model), model.boots), (("2.0.0", false), 1));

    let mut model = device();
    let run = go(&mut model, Mode::Confirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert_eq!(runs(&model), ("2.0.0", false));
    assert!(run.told.iter().any(|(_, event)| *event == Event::Marked { permanent: true }));
}

#[test]
fn same_upgrade_again_then_nothing_is_done_and_it_says_so() {
    let mut model = device();
    go(&mut model, Mode::TestAndConfirm).outcome();
    let (uploads, boots) = (model.uploads, model.boots);
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: true });
    assert_eq!((model.uploads, model.boots), (uploads, boots));
}

#[test]
fn device_does_not_tell_its_buffers_then_one_request_at_a_time() {
    let mut model = device();
    model.has_params = false;
    let run = go(&mut model, Mode::TestAndConfirm);
    assert_eq!(run.outcome(), Outcome::Confirmed { already: false });
    assert!(run.road().contains("upload 1024x1"), "{}", run.road());
}

#[test]
fn device_has_more_buffers_than_are_used_then_the_window_that_is_told_is_the_one_in_force() {
    let mut model = device();
    model.buffers = 64;
    let run = go(&mut model, Mode::Upload);
    assert!(run.road().contains("upload 1024x16"), "{}", run.road());
}

#[test]
fn progress_is_told_with_rate_and_remaining_time() {
    let run = go(&mut device(), Mode::Upload);
    let progress = run.told.iter().filter_map(|(_, event)| match event {
        Event::Upload(UploadEvent::Progress(progress)) => Some(progress),
        _ => None,
    });
    let progress: Vec<_> = progress.collect();
    assert!(progress.is_sorted_by(|a, b| a.offset < b.offset));
    assert_eq!((progress[0].rate, progress[0].remaining_ms), (None, None), "nothing to measure by yet");
    let half = progress.iter().find(|progress| progress.offset > 25_000).unwrap();
    // 200 kB/s less what headers and waiting take; at the end nothing remains.
    assert!(half.rate.is_some_and(|rate| (100_000..200_000).contains(&rate)), "{half:?}");
    assert!(half.remaining_ms.is_some_and(|ms| (100..300).contains(&ms)), "{half:?}");
    assert_eq!(progress.last().map(|last| (last.offset, last.remaining_ms)), Some((50_000, Some(0))));
}
