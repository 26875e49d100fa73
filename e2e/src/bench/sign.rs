//! Signing a 1 MiB image: our command against imgtool, as whole processes.

use super::{Noise, Series, against_goal, timed};
use crate::{Tool, otaru, otaru_bin, run_ok};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Times of one tool.
#[derive(Debug, Default)]
struct Signer {
    /// From the start of the process to its end.
    wall: Series,
    /// Processor time.
    cpu: Series,
}

pub(super) fn measure(noise: &mut Noise) -> Result<String> {
    let imgtool = Tool::IMGTOOL.find().context("imgtool is needed")?;
    let dir = tempfile::tempdir()?;
    let firmware: Vec<u8> = (0..FIRMWARE).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(dir.path().join("raw.bin"), firmware)?;
    let (mut wall, mut cpu) = (String::new(), String::new());
    for key in ["p256", "ed25519", "rsa-2048"] {
        let (ours, theirs) = sign(dir.path(), key, &imgtool, noise)?;
        let (a, b) = (ours.wall.ms(), theirs.wall.ms());
        wall.push_str(&format!("| {key} | {a} | {b} | {} |\n", against_goal(ratio(&ours.wall, &theirs.wall), GOAL)));
        let (a, b) = (ours.cpu.ms(), theirs.cpu.ms());
        cpu.push_str(&format!("| {key} | {a} | {b} | {:.1} times |\n", ratio(&ours.cpu, &theirs.cpu)));
    }
    Ok(format!(
        "### Signing\n\n{FIRMWARE} bytes of firmware to a signed image in a new file, {RUNS} runs each in turn, whole processes.\n\n\
         | key, wall time | `otaru sign`, ms | imgtool 2.5.0 `sign`, ms | faster |\n|---|---|---|---|\n{wall}\n\
         | key, processor time | `otaru sign`, ms | imgtool 2.5.0 `sign`, ms | less |\n|---|---|---|---|\n{cpu}"
    ))
}

fn absent_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn ratio(ours: &Series, theirs: &Series) -> f64 {
    theirs.median().as_secs_f64() / ours.median().as_secs_f64()
}

fn sign(dir: &Path, key: &str, imgtool: &Path, noise: &mut Noise) -> Result<(Signer, Signer)> {
    let pem = format!("{key}.pem");
    run_ok(&otaru_bin(), dir, ["key", "gen", "-t", key, "-o", &pem]);
    let (mut ours, mut theirs) = (Signer::default(), Signer::default());
    for _ in 0..RUNS {
        // A new file each time: what it costs the filesystem to replace one is nobody's signing.
        for image in ["ours.bin", "theirs.bin"] {
            fs::remove_file(dir.join(image)).or_else(absent_is_fine)?;
        }
        noise.probe();
        let mut command = otaru();
        command.args(["sign", "raw.bin", "ours.bin", "--version", "1.2.3", "--pad-header", "--key", &pem]);
        ours.time(command.current_dir(dir))?;
        let mut command = Command::new(imgtool);
        command.args(["sign", "--version", "1.2.3", "--pad-header", "--key", &pem]);
        command.args(["--header-size", "0x200", "--slot-size", "0x200000", "raw.bin", "theirs.bin"]);
        theirs.time(command.current_dir(dir))?;
    }
    // What was measured is the same work: imgtool accepts ours.
    run_ok(imgtool, dir, ["verify", "--key", &pem, "ours.bin"]);
    Ok((ours, theirs))
}

impl Signer {
    fn time(&mut self, command: &mut Command) -> Result<()> {
        let took = timed(command)?;
        self.wall.add(took.wall);
        self.cpu.add(took.cpu);
        Ok(())
    }
}

const RUNS: usize = 15;
const GOAL: f64 = 25.0;
const FIRMWARE: u32 = 1 << 20;
