//! The explorer against a small journalled counter: one that is right, and ones with the mistakes it must find.

use std::collections::HashSet;

use otaru_flash::{DeviceId, Flash, FlashAddr, Geometry, ReadFlash, WriteUnit};
use otaru_nor_sim::{
    Cut, Limits, NorError, NorFlash, OpKind, Partial, PowerUp, Scenario, Summary, Violation, explore, replay,
};

/// Copies sector 0 over sector 1 and then says so in sector 2: the smallest thing that can be interrupted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copier {
    /// Starts again unless the mark is whole; the mark goes last.
    Careful,
    /// Writes the mark before the copy.
    MarkFirst,
    /// Takes any mark for a whole one, and writes it in two units.
    TrustsTornMarks,
    /// Does not erase before it starts again.
    ForgetsErase,
    /// Erases the mark and writes it again on each power-up.
    Restless,
    /// Never finishes: each power-up writes one more unit.
    Endless,
}

const SECTOR: u32 = 16;
const MARK: [u8; 8] = *b"all here";

impl Copier {
    fn copy(self, flash: &mut impl Flash<Error = NorError>) -> Result<(), NorError> {
        let mut mark = [0; 8];
        flash.read(at(2, 0), &mut mark)?;
        let done = match self {
            Self::TrustsTornMarks => mark != [0xff; 8],
            Self::Restless | Self::Endless => false,
            _ => mark == MARK,
        };
        if done {
            return Ok(());
        }
        if self == Self::Endless {
            let mut units = (0..SECTOR).step_by(4);
            let mut bytes = [0; SECTOR as usize];
            flash.read(at(2, 0), &mut bytes)?;
            let free = units.find(|&offset| bytes[offset as usize..][..4] == [0xff; 4]);
            return free.map_or(Ok(()), |offset| flash.write(at(2, offset), &[0; 4]));
        }
        flash.erase(at(2, 0), SECTOR)?;
        if self == Self::MarkFirst {
            flash.write(at(2, 0), &MARK)?;
        }
        if self != Self::ForgetsErase {
            flash.erase(at(1, 0), SECTOR)?;
        }
        let mut bytes = [0; SECTOR as usize];
        flash.read(at(0, 0), &mut bytes)?;
        flash.write(at(1, 0), &bytes)?;
        if self != Self::MarkFirst {
            flash.write(at(2, 0), &MARK)?;
        }
        Ok(())
    }
}

impl Scenario for Copier {
    /// Whether the copier ever said it was done.
    type World = bool;

    fn start(&self) -> (NorFlash, bool) {
        let mut flash = NorFlash::erased(&[Geometry::uniform(SECTOR, 3, WriteUnit::new(4).unwrap(), 0xff)]);
        flash.load(at(0, 0), &[0x3c; SECTOR as usize]).unwrap();
        (flash, false)
    }

    fn power_up(&self, device: &mut PowerUp<'_, bool>) -> Result<(), Violation> {
        let before = device.world();
        self.copy(device).map_err(|error| Violation(error.to_string()))?;
        device.tell(true);
        if before && *self != Self::Endless {
            let mut copy = [0; SECTOR as usize];
            device.read(at(1, 0), &mut copy).map_err(|error| Violation(error.to_string()))?;
            if copy != [0x3c; SECTOR as usize] {
                return Err(Violation("the copy was lost again".into()));
            }
        }
        Ok(())
    }

    fn settled(&self, flash: &mut NorFlash, done: bool) -> Result<(), Violation> {
        let copied = flash.bytes(DeviceId(0)).unwrap()[16..32] == [0x3c; 16];
        if done && (copied || *self == Self::Endless) { Ok(()) } else { Err(Violation("the copy is not whole".into())) }
    }
}

fn at(sector: u32, offset: u32) -> FlashAddr {
    FlashAddr::new(DeviceId(0), sector * SECTOR + offset)
}

fn first_bad(copier: Copier) -> (String, String) {
    let limits = Limits { power_ups: 2, ..Limits::default() };
    let summary = explore(&copier, &limits);
    assert!(!summary.holds());
    let bad = &summary.bad[0];
    // What the explorer worked out is what really happens.
    let again = replay(&copier, &limits, &bad.history.to_string().parse().unwrap(), |_| {});
    assert_eq!(again, Err(bad.violation.clone()), "{}", bad.history);
    (bad.history.to_string(), bad.violation.to_string())
}

#[test]
fn a_careful_copier_is_never_wrong() {
    let summary = explore(&Copier::Careful, &Limits::default());
    assert!(summary.holds(), "{summary:?}");
    insta::assert_debug_snapshot!(summary, @r#"
    Summary {
        cuts: 3906,
        states: 65,
        complete: true,
        power_ups: 1,
        erases: 2,
        ops: 8,
        bad: [],
    }
    "#);
}

#[test]
fn an_early_mark_is_found() {
    insta::assert_debug_snapshot!(first_bad(Copier::MarkFirst), @r#"
    (
        "3a.-",
        "the copy was lost again",
    )
    "#);
}

#[test]
fn a_half_erased_mark_that_is_believed_is_found() {
    insta::assert_debug_snapshot!(first_bad(Copier::TrustsTornMarks), @r#"
    (
        "1p.-",
        "the copy was lost again",
    )
    "#);
}

#[test]
fn a_missing_erase_is_found_as_a_refused_write() {
    insta::assert_debug_snapshot!(first_bad(Copier::ForgetsErase), @r#"
    (
        "2f",
        "the write unit at 0:0x00000010 may be programmed 1x between two erases, and was 1x already",
    )
    "#);
}

#[test]
fn one_that_always_writes_never_settles() {
    insta::assert_debug_snapshot!(first_bad(Copier::Restless), @r#"
    (
        "start",
        "after 2 whole power-ups there is still something to do",
    )
    "#);
}

#[test]
fn one_that_takes_too_many_power_ups_is_found() {
    insta::assert_debug_snapshot!(first_bad(Copier::Endless), @r#"
    (
        "start",
        "after 2 whole power-ups there is still something to do",
    )
    "#);
}

#[test]
fn too_many_erases_are_found() {
    let summary = explore(&Copier::Careful, &Limits { erases: 1, ..Limits::default() });
    insta::assert_snapshot!(summary.bad[0].violation, @"one power-up erased 2 sectors, and 1 is the limit");
}

#[test]
fn an_exploration_that_was_stopped_does_not_hold() {
    let summary = explore(&Copier::Careful, &Limits { states: 10, ..Limits::default() });
    assert!(summary.bad.is_empty() && !summary.complete && !summary.holds());
}

/// The explorer never cuts power: it works out from a record what a cut would leave. This cuts, and compares.
#[test]
fn the_states_that_were_worked_out_are_those_that_cuts_really_leave() {
    let (mut flash, _) = Copier::Careful.start();
    flash.record();
    let mut met = HashSet::new();
    let mut waiting = vec![(flash.contents().clone(), false)];
    while let Some((contents, world)) = waiting.pop() {
        if !met.insert((contents.clone(), world)) {
            continue;
        }
        let mut power_up = |cut: Option<Cut>| {
            flash.restore(&contents);
            flash.power_on();
            if let Some(cut) = cut {
                flash.cut_power(cut);
            }
            let done = Copier::Careful.copy(&mut flash).is_ok();
            waiting.push((flash.contents().clone(), world || done));
            flash.recorded().to_vec()
        };
        for (index, op) in power_up(None).into_iter().enumerate() {
            let ways: &[Partial] = match op.kind {
                OpKind::Write => &Partial::OF_WRITE,
                OpKind::Erase => &Partial::OF_ERASE,
            };
            for &leaves in ways {
                power_up(Some(Cut { op: index as u64 + 1, leaves }));
            }
        }
    }
    assert_eq!(explore(&Copier::Careful, &Limits { merge: false, ..Limits::default() }).states, met.len());
}

#[test]
fn merging_what_nothing_depends_on_changes_no_verdict() {
    for copier in [
        Copier::Careful,
        Copier::MarkFirst,
        Copier::TrustsTornMarks,
        Copier::ForgetsErase,
        Copier::Restless,
        Copier::Endless,
    ] {
        let limits = Limits { power_ups: 2, bad: usize::MAX, ..Limits::default() };
        let merged = explore(&copier, &limits);
        let each = explore(&copier, &Limits { merge: false, ..limits });
        assert!(merged.states <= each.states);
        assert!(copier != Copier::Careful || merged.states < each.states / 4, "{merged:?} {each:?}");
        let verdicts = |summary: &Summary| {
            let mut all: Vec<_> = summary.bad.iter().map(|bad| bad.violation.to_string()).collect();
            all.sort();
            all.dedup();
            all
        };
        assert_eq!(verdicts(&merged), verdicts(&each));
        assert_eq!((merged.power_ups, merged.erases, merged.ops), (each.power_ups, each.erases, each.ops));
    }
}

#[test]
fn a_replay_tells_each_operation_and_where_power_was_cut() {
    let mut told = String::new();
    let history = "4o.-".parse().unwrap();
    replay(&Copier::Careful, &Limits::default(), &history, |line| told.push_str(&format!("{line}\n"))).unwrap();
    insta::assert_snapshot!(told, @r#"
    power-up 1: 3 operations, the world knows false
          1 erase 0:0x00000020+16
          2 erase 0:0x00000010+16
          3 write 0:0x00000010+4
          4 power is cut: odd bits done
    power-up 2: 8 operations, the world knows true
          1 erase 0:0x00000020+16
          2 erase 0:0x00000010+16
          3 write 0:0x00000010+4
          4 write 0:0x00000014+4
          5 write 0:0x00000018+4
          6 write 0:0x0000001c+4
          7 write 0:0x00000020+4
          8 write 0:0x00000024+4
    power-up 3: 0 operations, the world knows true
    "#);
}

#[test]
fn what_the_world_was_told_before_a_cut_it_still_knows() {
    // The last operation is the mark's second unit: only after it the copier says that it is done.
    let limits = Limits::default();
    let knows = |history: &str| {
        let mut last = String::new();
        let _ = replay(&Copier::Careful, &limits, &history.parse().unwrap(), |line| {
            if line.starts_with("power-up 1") {
                last = line.into();
            }
        });
        last.ends_with("knows true")
    };
    assert!(!knows("8a"));
    assert!(knows("-"));
}
