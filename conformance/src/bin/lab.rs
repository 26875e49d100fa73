//! The long checks, for `cargo xtask`: power cuts, mutants, recorded vectors.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use otaru_conformance::power_cut::Effort;
use otaru_conformance::{boot_vectors, mutants, power_cut, smp_vectors};

#[derive(Debug, Parser)]
#[command(name = "otaru-lab", about = "The long checks of otaru")]
struct Cli {
    #[command(subcommand)]
    check: Check,
}

#[derive(Debug, Subcommand)]
enum Check {
    /// Cuts power everywhere in every scenario, and wants no bad state.
    Cut {
        /// Every scenario on every board (an hour or so).
        #[arg(long)]
        all: bool,
        /// A printed id to replay, or part of the names of the scenarios to explore.
        id: Option<String>,
    },
    /// Breaks the bootloader in each way of conformance/mutants, and wants the explorer to notice.
    Mutants,
    /// Replays a folder in the format of conformance/boot.
    BootVectors {
        /// The folder.
        dir: PathBuf,
    },
    /// Replays a file in the format of conformance/smp.
    SmpVectors {
        /// The file.
        file: PathBuf,
    },
}

fn main() -> Result<ExitCode> {
    let passed = match Cli::parse().check {
        Check::Cut { id: Some(id), .. } if power_cut::is_id(&id) => {
            power_cut::replay(&id, |line| println!("{line}"))?;
            println!("it ends as it should");
            true
        }
        Check::Cut { all, id } => {
            let effort = if all { Effort::All } else { Effort::Ci };
            show(&power_cut::run(id.as_deref().unwrap_or(""), effort), power_cut::Table::passed)
        }
        Check::Mutants => show(&mutants::run()?, mutants::Table::passed),
        Check::BootVectors { dir } => show(&boot_vectors::run(&dir)?, boot_vectors::Report::passed),
        Check::SmpVectors { file } => show(&smp_vectors::run(&file)?, smp_vectors::Report::passed),
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show<T: std::fmt::Display>(table: &T, passed: impl Fn(&T) -> bool) -> bool {
    println!("{table}");
    passed(table)
}
