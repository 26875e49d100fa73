//! What an upgrade does next, decided from nothing but what the device lists and what was done to it so far.
//!
//! Whatever is lost on the way (an answer, the link, the device's power) is answered by listing again and deciding
//! again, so there is one road for the first attempt, for the repeated one and for the one that somebody else began.

use super::{Conflict, Firmware, Mode, Outcome};
use crate::SlotState;

/// What was done in this upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) uploads: u32,
    pub(super) erases: u32,
    pub(super) marks: u32,
    /// The device refused to mark what it lists under the image's hash.
    pub(super) refused: bool,
    /// Resets after which the device was not yet seen to have restarted, and all.
    pub(super) resets: u32,
    pub(super) confirms: u32,
    /// The new image was seen running.
    pub(super) seen_running: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make room: another image waits in the slot.
    Erase {
        slot: u32,
    },
    Upload,
    /// Ask for a test, or with `permanent` for a swap that needs no confirmation.
    Mark {
        permanent: bool,
    },
    Reset,
    /// The device has not restarted yet.
    Await,
    Confirm,
    End(Outcome),
    GiveUp(Conflict),
}

/// Decides the next step towards `firmware` running as `mode` says.
pub(super) fn decide(images: &[SlotState], firmware: &Firmware<'_>, mode: Mode, done: &History) -> Step {
    let mut slots = images.iter().filter(|slot| slot.image == firmware.image);
    let Some(active) = slots.clone().find(|slot| slot.active) else {
        return Step::GiveUp(Conflict::NothingRuns { image: firmware.image });
    };
    if active.hash == firmware.hash {
        return runs(active, mode, done);
    }
    let running = || active.version.clone();
    let other = slots.find(|slot| !slot.active);
    match other {
        Some(slot) if slot.hash == firmware.hash => waits(active, slot, mode, done),
        _ if done.resets > 0 => Step::End(Outcome::Reverted { running: running(), ran: done.seen_running }),
        _ if !active.confirmed => Step::GiveUp(Conflict::OtherOnTrial { version: running() }),
        Some(slot) if slot.pending && done.erases == 0 => Step::Erase { slot: slot.slot },
        Some(slot) if slot.pending => Step::GiveUp(Conflict::OtherPending { version: slot.version.clone() }),
        _ if done.uploads > 0 => Step::GiveUp(Conflict::NotListed { image: firmware.image }),
        _ => Step::Upload,
    }
}

/// The new image runs.
fn runs(active: &SlotState, mode: Mode, done: &History) -> Step {
    match mode {
        Mode::Upload => Step::End(Outcome::Uploaded),
        _ if active.confirmed => Step::End(Outcome::Confirmed { already: done.resets == 0 && done.confirms == 0 }),
        Mode::Test => Step::End(Outcome::OnTrial),
        Mode::TestAndConfirm | Mode::Confirm if done.confirms >= MAX_CONFIRMS => {
            Step::GiveUp(Conflict::NotConfirmed { attempts: done.confirms })
        }
        Mode::TestAndConfirm | Mode::Confirm => Step::Confirm,
    }
}

/// The new image is in the other slot.
fn waits(active: &SlotState, slot: &SlotState, mode: Mode, done: &History) -> Step {
    if mode == Mode::Upload {
        return Step::End(Outcome::Uploaded);
    }
    // What is listed is not what was uploaded once, or was damaged since: the header of another, say.
    if done.refused && done.uploads == 0 {
        return Step::Upload;
    }
    // It would run for good at once, and a trial was wanted.
    if slot.permanent && matches!(mode, Mode::Test | Mode::TestAndConfirm) && done.resets == 0 {
        return if done.erases == 0 {
            Step::Erase { slot: slot.slot }
        } else {
            Step::GiveUp(Conflict::PendingForGood { version: slot.version.clone() })
        };
    }
    // Pending: it is swapped in at the next reset. On trial of another image: this one is what a reset reverts to.
    let next_to_run = slot.pending || !active.confirmed;
    match (next_to_run, done.resets) {
        (true, 0) => Step::Reset,
        (true, _) => Step::Await,
        (false, 0) if done.marks < MAX_MARKS => Step::Mark { permanent: mode == Mode::Confirm },
        (false, 0) => Step::GiveUp(Conflict::NotMarked { attempts: done.marks }),
        (false, _) => Step::End(Outcome::Reverted { running: active.version.clone(), ran: done.seen_running }),
    }
}

/// An answer may be lost, or the device restart between mark and reset.
const MAX_MARKS: u32 = 3;
const MAX_CONFIRMS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice::from_ref;

    const NEW: [u8; 32] = [2; 32];

    fn firmware() -> Firmware<'static> {
        Firmware { bytes: &[], file_sha: [9; 32], hash: NEW, version: "2.0.0", image: 0 }
    }

    /// A slot by its content's number and flags: `a`ctive, `c`onfirmed, `p`ending, `P`ermanent.
    fn slot(slot: u32, content: u8, flags: &str) -> SlotState {
        SlotState {
            image: 0,
            slot,
            version: format!("{content}.0.0"),
            hash: vec![content; 32],
            bootable: true,
            active: flags.contains('a'),
            confirmed: flags.contains('c'),
            pending: flags.contains(['p', 'P']),
            permanent: flags.contains('P'),
        }
    }

    fn step(images: &[SlotState], mode: Mode, done: History) -> Step {
        decide(images, &firmware(), mode, &done)
    }

    const NOTHING: History =
        History { uploads: 0, erases: 0, marks: 0, refused: false, resets: 0, confirms: 0, seen_running: false };

    #[test]
    fn straight_road_then_each_listing_leads_to_the_next_step() {
        let mode = Mode::TestAndConfirm;
        let old = slot(0, 1, "ac");
        let done = NOTHING;
        assert_eq!(step(from_ref(&old), mode, done), Step::Upload);
        let done = History { uploads: 1, ..done };
        assert_eq!(step(&[old.clone(), slot(1, 2, "")], mode, done), Step::Mark { permanent: false });
        let done = History { marks: 1, ..done };
        assert_eq!(step(&[old.clone(), slot(1, 2, "p")], mode, done), Step::Reset);
        let done = History { resets: 1, ..done };
        assert_eq!(step(&[old, slot(1, 2, "p")], mode, done), Step::Await);
        assert_eq!(step(&[slot(0, 2, "a"), slot(1, 1, "c")], mode, done), Step::Confirm);
        let done = History { confirms: 1, seen_running: true, ..done };
        let end = Step::End(Outcome::Confirmed { already: false });
        assert_eq!(step(&[slot(0, 2, "ac"), slot(1, 1, "")], mode, done), end);
    }

    #[test]
    fn new_image_is_there_already_then_nothing_is_sent_twice() {
        let old = slot(0, 1, "ac");
        let mode = Mode::TestAndConfirm;
        assert_eq!(step(&[old.clone(), slot(1, 2, "")], mode, NOTHING), Step::Mark { permanent: false });
        assert_eq!(step(&[old.clone(), slot(1, 2, "p")], mode, NOTHING), Step::Reset);
        assert_eq!(step(&[old, slot(1, 2, "P")], Mode::Confirm, NOTHING), Step::Reset);
        assert_eq!(step(&[slot(0, 2, "a"), slot(1, 1, "c")], mode, NOTHING), Step::Confirm);
        let running = [slot(0, 2, "ac"), slot(1, 1, "")];
        assert_eq!(step(&running, mode, NOTHING), Step::End(Outcome::Confirmed { already: true }));
    }

    #[test]
    fn old_image_runs_after_the_reset_then_it_reverted_and_no_second_attempt_is_made() {
        let done = History { uploads: 1, marks: 1, resets: 1, ..NOTHING };
        let reverted = Step::End(Outcome::Reverted { running: "1.0.0".into(), ran: false });
        let old = slot(0, 1, "ac");
        assert_eq!(step(&[old.clone(), slot(1, 2, "")], Mode::TestAndConfirm, done), reverted);
        // A bootloader that refuses an image erases it.
        assert_eq!(step(from_ref(&old), Mode::TestAndConfirm, done), reverted);
        let seen = History { seen_running: true, confirms: 1, ..done };
        let reverted = Step::End(Outcome::Reverted { running: "1.0.0".into(), ran: true });
        assert_eq!(step(&[old, slot(1, 2, "")], Mode::TestAndConfirm, seen), reverted);
    }

    #[test]
    fn each_mode_ends_where_it_says() {
        let old = slot(0, 1, "ac");
        let uploaded = [old.clone(), slot(1, 2, "")];
        assert_eq!(step(&uploaded, Mode::Upload, NOTHING), Step::End(Outcome::Uploaded));
        assert_eq!(step(&uploaded, Mode::Test, NOTHING), Step::Mark { permanent: false });
        assert_eq!(step(&uploaded, Mode::Confirm, NOTHING), Step::Mark { permanent: true });
        let trial = [slot(0, 2, "a"), slot(1, 1, "c")];
        assert_eq!(step(&trial, Mode::Test, NOTHING), Step::End(Outcome::OnTrial));
        assert_eq!(step(&trial, Mode::Upload, NOTHING), Step::End(Outcome::Uploaded));
        assert_eq!(step(&trial, Mode::Confirm, NOTHING), Step::Confirm);
    }

    #[test]
    fn another_image_is_under_way_then_it_is_not_decided_over() {
        let mode = Mode::TestAndConfirm;
        let on_trial = [slot(0, 3, "a"), slot(1, 1, "c")];
        let conflict = Conflict::OtherOnTrial { version: "3.0.0".into() };
        assert_eq!(step(&on_trial, mode, NOTHING), Step::GiveUp(conflict));
        let pending = [slot(0, 1, "ac"), slot(1, 3, "p")];
        assert_eq!(step(&pending, mode, NOTHING), Step::Erase { slot: 1 });
        let conflict = Conflict::OtherPending { version: "3.0.0".into() };
        assert_eq!(step(&pending, mode, History { erases: 1, ..NOTHING }), Step::GiveUp(conflict));
    }

    #[test]
    fn it_waits_to_run_for_good_then_a_trial_takes_that_back_first() {
        let waits = [slot(0, 1, "ac"), slot(1, 2, "P")];
        for mode in [Mode::Test, Mode::TestAndConfirm] {
            assert_eq!(step(&waits, mode, NOTHING), Step::Erase { slot: 1 });
            let conflict = Conflict::PendingForGood { version: "2.0.0".into() };
            assert_eq!(step(&waits, mode, History { erases: 1, ..NOTHING }), Step::GiveUp(conflict));
        }
        assert_eq!(step(&waits, Mode::Upload, NOTHING), Step::End(Outcome::Uploaded));
    }

    #[test]
    fn what_is_listed_is_refused_then_it_is_uploaded_once() {
        let stale = [slot(0, 1, "ac"), slot(1, 2, "")];
        let done = History { marks: 1, refused: true, ..NOTHING };
        assert_eq!(step(&stale, Mode::TestAndConfirm, done), Step::Upload);
        let done = History { uploads: 1, ..done };
        assert_eq!(step(&stale, Mode::TestAndConfirm, done), Step::Mark { permanent: false });
    }

    #[test]
    fn what_is_wanted_is_what_a_revert_brings_back_then_a_reset_is_enough() {
        let on_trial = [slot(0, 3, "a"), slot(1, 2, "c")];
        assert_eq!(step(&on_trial, Mode::TestAndConfirm, NOTHING), Step::Reset);
    }

    #[test]
    fn device_does_not_do_as_it_says_then_attempts_are_counted() {
        let mode = Mode::TestAndConfirm;
        let old = slot(0, 1, "ac");
        let unlisted = step(from_ref(&old), mode, History { uploads: 1, ..NOTHING });
        assert_eq!(unlisted, Step::GiveUp(Conflict::NotListed { image: 0 }));
        let unmarked = step(&[old, slot(1, 2, "")], mode, History { marks: 3, ..NOTHING });
        assert_eq!(unmarked, Step::GiveUp(Conflict::NotMarked { attempts: 3 }));
        let unconfirmed = step(&[slot(0, 2, "a")], mode, History { confirms: 3, ..NOTHING });
        assert_eq!(unconfirmed, Step::GiveUp(Conflict::NotConfirmed { attempts: 3 }));
        assert_eq!(step(&[], mode, NOTHING), Step::GiveUp(Conflict::NothingRuns { image: 0 }));
    }
}
