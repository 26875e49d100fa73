//! Upload rate over UDP: our client against smpmgr, to the same virtual device.

use super::{Noise, Series, against_goal, timed};
use crate::{JsonProcess, Tool, event, otaru, otaru_bin, run_ok};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Times of one client's uploads.
#[derive(Debug, Default)]
struct Client {
    /// From the first chunk in the device's flash to the last.
    upload: Series,
    /// From the start of the command to its end.
    process: Series,
}

pub(super) fn measure(noise: &mut Noise) -> Result<String> {
    let smpmgr = Tool::SMPMGR.find().context("smpmgr is needed")?;
    let dir = tempfile::tempdir()?;
    let at = dir.path();
    run_ok(&otaru_bin(), at, ["new", "project"]);
    for version in ["1.0.0", "2.0.0"] {
        let (raw, signed) = (format!("{version}.raw"), format!("{version}.bin"));
        run_ok(&otaru_bin(), at, ["payload", &raw, "--size", PAYLOAD]);
        let args = ["sign", &raw, &signed, "--version", version, "--project", "project", "--pad-header"];
        run_ok(&otaru_bin(), at, args);
    }
    let image = fs::read(at.join("2.0.0.bin"))?;
    let (mut ours, mut theirs) = (Client::default(), Client::default());
    for _ in 0..RUNS {
        noise.probe();
        let mut command = otaru();
        upload(at, &image, &mut ours, command.args(["image", "upload", "2.0.0.bin", "--to", "udp:127.0.0.2"]))?;
        noise.probe();
        let mut command = Command::new(&smpmgr);
        upload(at, &image, &mut theirs, command.args(["--ip", "127.0.0.2", "image", "upload", "2.0.0.bin"]))?;
    }
    Ok(table(&ours, &theirs, image.len()))
}

fn table(ours: &Client, theirs: &Client, len: usize) -> String {
    let rate = |client: &Client| len as f64 / client.upload.median().as_secs_f64() / 1e3;
    let row = |name: &str, client: &Client| {
        format!("| {name} | {:.0} kB/s | {} | {} |", rate(client), client.upload.ms(), client.process.ms())
    };
    let times =
        |series: fn(&Client) -> &Series| series(theirs).median().as_secs_f64() / series(ours).median().as_secs_f64();
    format!(
        "### Upload over UDP\n\n{len} bytes over loopback, {RUNS} runs each in turn, every one to a fresh `otaru device \
         --flash-timing instant`.\n\n\
         | client | rate | first to last chunk in flash, ms | whole process, ms |\n|---|---|---|---|\n{}\n{}\n\n\
         `otaru` is faster {}; as a whole process {:.1} times.\n",
        row("`otaru image upload`", ours),
        row("smpmgr 0.19.1 `image upload`", theirs),
        against_goal(times(|client| &client.upload), GOAL),
        times(|client| &client.process),
    )
}

/// One upload to a fresh device, timed in the device's flash and around the client's process.
fn upload(dir: &Path, image: &[u8], client: &mut Client, command: &mut Command) -> Result<()> {
    let flash = dir.join("flash");
    // The first run finds none.
    let _ = fs::remove_file(&flash);
    let mut device = JsonProcess::start([
        "device",
        "--flash",
        &flash.to_string_lossy(),
        "--project",
        &dir.join("project").to_string_lossy(),
        "--image",
        &dir.join("1.0.0.bin").to_string_lossy(),
        // SMP's port, which smpmgr cannot be talked out of, on an address that nobody uses.
        "--udp",
        "127.0.0.2:1337",
    ])?;
    device.next("service", PATIENCE, |line| event(line) == "serving")?;
    let (process, upload) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&flash, image));
        let process = timed(command.current_dir(dir));
        (process, watch.join())
    });
    let upload = upload.map_err(|_| anyhow::anyhow!("the watching thread panicked"))?;
    client.process.add(process?.wall);
    client.upload.add(upload?);
    let written = fs::read(&flash)?;
    ensure!(written.get(SECONDARY..).is_some_and(|slot| slot.starts_with(image)), "the upload left something else");
    Ok(())
}

/// The time between the first and the last bytes of an image arriving in the secondary slot, seen from outside by
/// reading the flash file: the same for every client, and in nobody's way.
fn watch(flash: &Path, image: &[u8]) -> Result<Duration> {
    let file = File::open(flash)?;
    let (first, last) = (image.first_chunk::<8>(), image.last_chunk::<8>());
    let (first, last) = (*first.context("8 bytes")?, *last.context("8 bytes")?);
    let deadline = Instant::now() + PATIENCE;
    let arrival = |wanted: [u8; 8], offset: usize| -> Result<Instant> {
        let mut there = [0; 8];
        loop {
            file.read_exact_at(&mut there, offset as u64)?;
            let now = Instant::now();
            if there == wanted {
                return Ok(now);
            }
            ensure!(now < deadline, "nothing arrived at {offset:#x} of the flash in {PATIENCE:?}");
            std::thread::sleep(BETWEEN_LOOKS);
        }
    };
    let began = arrival(first, SECONDARY)?;
    Ok(arrival(last, SECONDARY + image.len() - last.len())? - began)
}

const RUNS: usize = 7;
const GOAL: f64 = 3.0;
const PAYLOAD: &str = "409600";
/// Where the secondary slot of the project's board begins in the flash file.
const SECONDARY: usize = 0x82000;
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);
/// A bound against hanging: nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(60);
