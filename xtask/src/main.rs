//! What developers and CI run: `cargo xtask --help`.
//!
//! A thin layer: it calls cargo, the published tools and the `otaru-lab` binary of `conformance`, and sums up. Every
//! step of `cargo xtask ci` can be run alone.

mod bench;
mod check;
mod ci;
mod interop;
mod nostd;
mod run;
mod thumb;

use anyhow::Result;
use clap::{Parser, Subcommand};
use run::Run;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "What developers and CI of otaru run")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Formatting, lints, docs and house rules.
    Check,
    /// All tests, or those of one crate; interoperation tests skip where the published tool is absent.
    Test {
        /// A package name, with or without `otaru-`.
        package: Option<String>,
    },
    /// The power-cut explorer: the CI set, everything, or one replayed id.
    Cut {
        /// Every scenario, write size and torn pattern (an hour or so).
        #[arg(long)]
        all: bool,
        /// Replays one id, as printed with a failure.
        id: Option<String>,
    },
    /// Breaks the bootloader in each way of conformance/mutants and wants the explorer to notice.
    Mutants,
    /// Kills a virtual device at many moments of an update and wants it to come back (minutes).
    Kill {
        /// Moments in each of upload, swap and confirm.
        #[arg(long, default_value_t = 20)]
        moments: u32,
    },
    /// Links each device crate without std and without an allocator.
    Nostd,
    /// Builds the device crates for Cortex-M0, M4 and M33.
    Thumb,
    /// Replays recorded vectors.
    Vectors {
        /// A folder in the format of conformance/boot.
        #[arg(long)]
        boot: Option<String>,
        /// A file in the format of conformance/smp.
        #[arg(long)]
        smp: Option<String>,
    },
    /// All tests with the published tools installed in their pinned versions; none may skip.
    Interop,
    /// Measures against the peers and the physical limits, side by side; writes the tables of docs/performance.md.
    Bench,
    /// Everything CI runs, in the same order.
    Ci,
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Check => check::check(),
        Task::Test { package } => test(package.as_deref()),
        Task::Cut { all, id } => {
            let mut args = vec!["cut"];
            if all {
                args.push("--all");
            }
            args.extend(id.as_deref());
            lab(&args)
        }
        Task::Mutants => lab(&["mutants"]),
        Task::Kill { moments } => kill(moments),
        Task::Nostd => nostd::nostd(),
        Task::Thumb => thumb::thumb(),
        Task::Vectors { boot, smp } => vectors(boot.as_deref(), smp.as_deref()),
        Task::Interop => interop::interop(),
        Task::Bench => bench::bench(),
        Task::Ci => ci::ci(),
    }
}

fn test(package: Option<&str>) -> Result<()> {
    let cargo = Run::cargo("test");
    match package {
        Some(name) if name == "otaru" || name.starts_with("otaru-") => cargo.args(["-p", name]).go(),
        Some(name) => cargo.args(["-p", &format!("otaru-{name}")]).go(),
        None => cargo.args(["--workspace"]).go(),
    }
}

fn vectors(boot: Option<&str>, smp: Option<&str>) -> Result<()> {
    if boot.is_some() || smp.is_none() {
        lab(&["boot-vectors", boot.unwrap_or("conformance/boot")])?;
    }
    if smp.is_some() || boot.is_none() {
        lab(&["smp-vectors", smp.unwrap_or("conformance/smp/zephyr-udp.jsonl")])?;
    }
    Ok(())
}

/// The long checks live in one release binary, so that xtask itself stays quick to build.
fn lab(args: &[&str]) -> Result<()> {
    Run::cargo("run")
        .args(["--release", "--quiet", "--package", "otaru-conformance", "--bin", "otaru-lab", "--"])
        .args(args)
        .go()
}

fn kill(moments: u32) -> Result<()> {
    Run::cargo("build").args(["--release", "--package", "otaru"]).go()?;
    Run::cargo("run")
        .args(["--release", "--quiet", "--package", "otaru-e2e", "--bin", "otaru-kill", "--", &moments.to_string()])
        .env("OTARU_BIN", run::release_binary("otaru"))
        .go()
}
