//! Updates whose power is cut at every operation, in every way, any number of times.
//!
//! A scenario is a plan (test, confirm, permanent, reject), what is in flash before (plain, padded, updated, scheduled)
//! and a board. On each power-up the loader boots, and the application that it hands over to does what its image is
//! for: the old one asks for the update until the answer comes, the new one confirms itself if the plan says so. The
//! explorer of `otaru-nor-sim` finds every flash content that power cuts can leave on the way.
//!
//! What must hold, from each of them:
//!
//! 1. a whole, correctly signed image is booted, and nothing else;
//! 2. what was asked for happens, and a permanent update or a confirmed image is never reverted;
//! 3. an unconfirmed test is reverted exactly once;
//! 4. within a few power-ups nothing changes any more: a boot then writes nothing and erases nothing;
//! 5. then both slots and both trailers mean what they mean if power never fails;
//! 6. no power-up erases more than an update needs, and no write breaks a rule of flash.

mod board;
mod loader;
mod toy;
mod upgrade;

use core::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use otaru_nor_sim::Partial::{
    self, All, EvenBits, EvenCells, FirstHalf, KeepTail, Mixed, Noise, Nothing, OddBits, OddCells, Programmed,
    SecondHalf,
};
use otaru_nor_sim::{Limits, Summary, explore};

use board::Board;
use upgrade::{Plan, Start, Upgrade};

/// What exploring one scenario came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// `PLAN-START/BOARD`.
    pub name: String,
    /// What the explorer found.
    pub summary: Summary,
    /// How long it took.
    pub time: Duration,
}

/// What exploring a set of scenarios came to.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// One row per scenario.
    pub rows: Vec<Row>,
}

impl Table {
    /// Whether there were scenarios, each was explored to its end, and no state was bad.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.summary.holds())
    }
}

/// How much to explore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// A few scenarios on one board: seconds, also in a debug build.
    Little,
    /// Each plan on boards with write units of 1, 4, 8 and 16 bytes: under a minute on two cores.
    Ci,
    /// Every scenario on every board: an hour or so.
    All,
}

/// Explores the scenarios whose names contain `filter`. (A name ends with a slash here, to tell `/w1/` from `/w16/`.)
#[must_use]
pub fn run(filter: &str, effort: Effort) -> Table {
    explore_each(filter, effort, &limits(20))
}

/// Explores as [`run`] does for CI, but of each scenario no more than up to its first bad state.
#[must_use]
pub fn first_bad(filter: &str) -> Table {
    explore_each(filter, Effort::Ci, &limits(1))
}

/// Whether a text is the id of a bad state and not part of a scenario's name.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.split('/').count() == 3 && !text.ends_with('/')
}

/// Runs through the history of an id, `PLAN-START/BOARD/HISTORY`, as it was printed with a bad state.
///
/// # Errors
/// An id that names no scenario, or the violation it leads to.
pub fn replay(id: &str, tell: impl FnMut(&str)) -> Result<()> {
    let (name, history) = id.rsplit_once('/').context("an id is PLAN-START/BOARD/HISTORY")?;
    let scenario = scenarios(&board::ALL).into_iter().find(|scenario| scenario.to_string() == name);
    let scenario = scenario.with_context(|| format!("no scenario is called {name}"))?;
    otaru_nor_sim::replay(&scenario, &limits(1), &history.parse()?, tell).map_err(|violation| anyhow!("{violation}"))
}

/// Every scenario on these boards.
fn scenarios(boards: &[Board]) -> Vec<Upgrade> {
    let mut all = Vec::new();
    for &board in boards {
        for plan in [Plan::Test, Plan::Confirm, Plan::Permanent, Plan::Reject] {
            for start in [Start::Plain, Start::Padded, Start::Updated, Start::Scheduled] {
                // An image to be rejected is always scheduled.
                if (plan, start) != (Plan::Reject, Start::Scheduled) {
                    all.push(Upgrade::new(board, plan, start));
                }
            }
        }
    }
    all
}

impl Effort {
    fn scenarios(self) -> Vec<Upgrade> {
        let mut set = match self {
            Self::Little => scenarios(&board::LITTLE),
            Self::Ci => scenarios(&board::CI),
            Self::All => scenarios(&board::ALL),
        };
        // How a test or its confirmation goes on after the swap does not depend on how the slots were before it.
        let telling = |upgrade: &Upgrade| match upgrade.plan {
            Plan::Test => matches!(upgrade.start, Start::Padded | Start::Scheduled),
            Plan::Confirm => upgrade.start == Start::Updated,
            Plan::Permanent | Plan::Reject => true,
        };
        if self != Self::All {
            set.retain(telling);
        }
        set
    }

    fn tearings(self) -> Vec<Tearing> {
        match self {
            Self::Little | Self::Ci => CI.to_vec(),
            Self::All => [CI.as_slice(), &MORE].concat(),
        }
    }
}

fn explore_each(filter: &str, effort: Effort, limits: &Limits) -> Table {
    let mut scenarios = effort.scenarios();
    scenarios.retain(|scenario| format!("{scenario}/").contains(filter));
    let tearings = effort.tearings();
    let queue = Mutex::new(scenarios.iter().enumerate());
    let rows = Mutex::new(Vec::new());
    let work = || {
        while let Some((index, scenario)) = queue.lock().ok().and_then(|mut queue| queue.next()) {
            let started = Instant::now();
            let mut summary = Summary { complete: true, ..Summary::default() };
            for &Tearing { of_write, of_erase } in &tearings {
                let erases = scenario.erases();
                summary = add(summary, explore(scenario, &Limits { erases, of_write, of_erase, ..*limits }));
            }
            let row = Row { name: scenario.to_string(), summary, time: started.elapsed() };
            if let Ok(mut rows) = rows.lock() {
                rows.push((index, row));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().unwrap_or_default();
    rows.sort_by_key(|(index, _)| *index);
    Table { rows: rows.into_iter().map(|(_, row)| row).collect() }
}

/// What two explorations of one scenario came to together.
fn add(a: Summary, b: Summary) -> Summary {
    Summary {
        cuts: a.cuts + b.cuts,
        states: a.states + b.states,
        complete: a.complete && b.complete,
        power_ups: a.power_ups.max(b.power_ups),
        erases: a.erases.max(b.erases),
        ops: a.ops.max(b.ops),
        bad: {
            let known = a.bad.clone();
            a.bad.into_iter().chain(b.bad.into_iter().filter(|bad| !known.contains(bad))).collect()
        },
    }
}

fn limits(bad: usize) -> Limits {
    Limits { bad, power_ups: POWER_UPS, ..Limits::default() }
}

/// Ways of tearing that are explored together, next to clean cuts before and after each operation.
///
/// All of them at once do not come to an end: each status record of a swap could be torn in as many ways as there are,
/// whatever became of the others.
#[derive(Clone, Copy, Debug)]
struct Tearing {
    of_write: &'static [Partial],
    of_erase: &'static [Partial],
}

/// What CI explores: each way of tearing is in one of these.
const CI: [Tearing; 5] = [
    Tearing { of_write: &[Nothing, FirstHalf, All], of_erase: &[Nothing, FirstHalf, KeepTail, All] },
    Tearing { of_write: &[Nothing, SecondHalf, All], of_erase: &[Nothing, SecondHalf, Programmed, All] },
    Tearing { of_write: &[Nothing, EvenBits, All], of_erase: &[Nothing, EvenCells, Noise, All] },
    Tearing { of_write: &[Nothing, OddBits, All], of_erase: &[Nothing, OddCells, All] },
    Tearing { of_write: &[Nothing, Mixed, All], of_erase: &[Nothing, EvenBits, All] },
];

/// What is explored besides if there is time: several ways together.
const MORE: [Tearing; 2] = [
    Tearing {
        of_write: &[Nothing, FirstHalf, EvenBits, All],
        of_erase: &[Nothing, FirstHalf, KeepTail, Programmed, EvenCells, All],
    },
    Tearing {
        of_write: &[Nothing, SecondHalf, OddBits, All],
        of_erase: &[Nothing, SecondHalf, OddCells, Noise, EvenBits, All],
    },
];

/// Whole power-ups from any state until nothing changes any more: the request, the swap, the revert, and what a cut
/// in the request makes the application ask again.
const POWER_UPS: u32 = 5;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28}{:>12}{:>9}{:>6}{:>8}{:>11}  bad states",
            "scenario", "cuts", "states", "ops", "erases", "power-ups"
        )?;
        let (mut cuts, mut states, mut bad, mut time) = (0, 0, 0, Duration::ZERO);
        for Row { name, summary, time: took } in &self.rows {
            let stopped = if summary.complete { "" } else { " (stopped early)" };
            let figures = (summary.cuts, summary.states, summary.ops, summary.erases, summary.power_ups);
            writeln!(
                f,
                "{name:<28}{:>12}{:>9}{:>6}{:>8}{:>11}  {}{stopped}",
                figures.0,
                figures.1,
                figures.2,
                figures.3,
                figures.4,
                summary.bad.len()
            )?;
            for bad in &summary.bad {
                writeln!(f, "  bad {name}/{}: {}", bad.history, bad.violation)?;
            }
            cuts += summary.cuts;
            states += summary.states;
            bad += summary.bad.len();
            time += *took;
        }
        write!(
            f,
            "{} scenarios, {cuts} cuts, {states} states, {bad} bad states, {:.1} s of computing",
            self.rows.len(),
            time.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_nor_sim::{BadState, Violation};

    #[test]
    fn ids_and_filters_are_told_apart() {
        assert!(is_id("Test-Plain/w4/17f.-"));
        assert!(!is_id("Test-Plain/w4"));
        assert!(!is_id("Test-Plain/w4/"));
        assert!(!is_id("Test"));
    }

    #[test]
    fn every_board_holds_its_images() {
        for board in board::ALL {
            let layout = loader::layout(&board);
            for payload in board.payloads {
                let size = toy::image(otaru_image::Version::new(1, 0, 0, 0), payload).len();
                assert!(size <= layout.max_image_size() as usize, "{}: {size} {}", board.name, layout.max_image_size());
            }
        }
    }

    #[test]
    fn updates_survive_cuts_on_a_small_board() {
        let table = run("", Effort::Little);
        assert!(table.passed(), "{table}");
    }

    #[test]
    fn a_table_names_each_bad_state_so_that_it_can_be_replayed() {
        let bad = BadState { history: "17f.-".parse().unwrap(), violation: Violation("it is gone".into()) };
        let figures =
            Summary { cuts: 1_234_567, states: 890, complete: true, power_ups: 3, erases: 12, ops: 133, bad: vec![] };
        let row = |name: &str, summary| Row { name: name.into(), summary, time: Duration::from_millis(1500) };
        let table = Table {
            rows: vec![
                row("Test-Plain/w4", figures.clone()),
                row("Reject-Plain/w8", Summary { complete: false, bad: vec![bad], ..figures }),
            ],
        };
        assert!(!table.passed() && !Table::default().passed());
        insta::assert_snapshot!(table, @r#"
        scenario                            cuts   states   ops  erases  power-ups  bad states
        Test-Plain/w4                    1234567      890   133      12          3  0
        Reject-Plain/w8                  1234567      890   133      12          3  1 (stopped early)
          bad Reject-Plain/w8/17f.-: it is gone
        2 scenarios, 2469134 cuts, 1780 states, 1 bad states, 3.0 s of computing
        "#);
        assert!(is_id("Reject-Plain/w8/17f.-"));
    }

    #[test]
    fn an_id_is_replayed_or_refused_in_words() {
        let mut told = Vec::new();
        replay("Permanent-Scheduled/w8-short/3e.-", |line| told.push(line.to_owned())).unwrap();
        assert!(told.iter().any(|line| line.ends_with("power is cut: even bits done")), "{told:?}");
        let refused = |id| replay(id, |_| ()).unwrap_err().to_string();
        insta::assert_snapshot!(refused("Permanent-Scheduled/w8-short/3x"), @"step 1 is neither `-` nor an operation number with one of the letters nfseovdtmpga");
        insta::assert_snapshot!(refused("Permanent-Scheduled/w9/3e"), @"no scenario is called Permanent-Scheduled/w9");
    }
}
