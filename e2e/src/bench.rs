//! Side-by-side measurements against published tools and physical limits, for docs/performance.md.
//!
//! Everything in one table is measured in one run, the tools in turn (ours, theirs, ours, …), so that whatever else
//! the machine does meets both. Reported are medians, with the smallest and the largest value beside them.

mod radio;
mod series;
mod sign;
mod upload;

pub use series::Series;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Measures everything; returns the tables in Markdown.
///
/// # Errors
/// A tool is absent or fails.
pub fn tables() -> Result<String> {
    let mut noise = Noise::begin();
    let sections = [upload::measure(&mut noise)?, sign::measure(&mut noise)?, radio::measure()?];
    Ok(format!("{}\n{}", noise.end(), sections.join("\n")))
}

/// Replaces what is between the two markers of a Markdown file.
///
/// # Errors
/// The file or a marker is missing.
pub fn write_between_markers(file: &Path, tables: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let missing = || format!("{}: no {BEGIN} … {END}", file.display());
    let (before, rest) = text.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    fs::write(file, format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", tables.trim()))?;
    Ok(())
}

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// What running a program took.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// From its start to its end.
    wall: Duration,
    /// Of processors, its own and the kernel's for it.
    cpu: Duration,
}

/// Runs a program, which must succeed, while no other child of this process ends.
fn timed(command: &mut Command) -> Result<Took> {
    let (busy, began) = (children()?, Instant::now());
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let took = Took { wall: began.elapsed(), cpu: children()?.saturating_sub(busy) };
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&said));
    Ok(took)
}

/// Processor time of all children that have ended.
fn children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let [user, system] = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    Ok(Duration::from_micros(u64::try_from(user + system)?))
}

/// What else the machine was doing: its load, and how long a fixed piece of work took between the measurements.
#[derive(Debug)]
struct Noise {
    load_before: String,
    work: Series,
}

impl Noise {
    fn begin() -> Self {
        Self { load_before: load(), work: Series::default() }
    }

    /// One probe. Between two measurements.
    fn probe(&mut self) {
        let began = Instant::now();
        let mut state = 1_u64;
        for _ in 0..20_000_000 {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        }
        self.work.add(began.elapsed());
    }

    fn end(&self) -> String {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "Machine: {}, {cpus} processors for {} {}. Load average {} before, {} after. A fixed piece of processor \
             work, repeated {} times between the measurements, took {} ms: one value can be off by {:.1} times for no \
             reason of its own, a median of runs in turn by less.",
            cpu(),
            std::env::consts::OS,
            std::env::consts::ARCH,
            self.load_before,
            load(),
            self.work.len(),
            self.work.ms(),
            self.work.max().as_secs_f64() / self.work.min().as_secs_f64(),
        );
        text
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, model)| model).trim().to_owned()
}

/// How many times more the second is than the first, and whether that is what was aimed for.
fn against_goal(ratio: f64, goal: f64) -> String {
    format!("{ratio:.1} times (goal: {goal:.0}, {})", if ratio >= goal { "reached" } else { "MISSED" })
}
