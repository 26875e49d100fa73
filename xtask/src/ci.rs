//! Everything CI runs, in order; each step is a task of its own.

use crate::run::Run;
use crate::{check, interop, lab, nostd, thumb};
use anyhow::{Result, bail};
use std::time::Instant;

/// A task with the name it is summed up under.
pub(crate) type Step = (&'static str, fn() -> Result<()>);

pub(crate) fn ci() -> Result<()> {
    let steps: &[Step] = &[
        ("check", check::check),
        ("nostd", nostd::nostd),
        ("thumb", thumb::thumb),
        ("power cuts", || lab(&["cut"])),
        ("mutants", || lab(&["mutants"])),
        ("demo", || Run::cargo("run").args(["--release", "--quiet", "--", "demo", "--fast"]).go()),
        ("tests, published tools included", interop::interop),
    ];
    let mut summary = String::new();
    let mut failed = 0;
    for (name, step) in steps {
        eprintln!("\n== {name}");
        let started = Instant::now();
        let result = step();
        let seconds = started.elapsed().as_secs();
        match result {
            Ok(()) => summary.push_str(&format!("  ok      {name} ({seconds} s)\n")),
            Err(error) => {
                failed += 1;
                eprintln!("{error:#}");
                summary.push_str(&format!("  FAILED  {name} ({seconds} s): {error:#}\n"));
            }
        }
    }
    println!("\nci\n{summary}");
    if failed > 0 {
        bail!("{failed} of {} steps failed", steps.len());
    }
    Ok(())
}
