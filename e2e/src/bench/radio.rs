//! Upload rate over the virtual radio, as a share of what the link can carry.

use crate::{JsonProcess, event, otaru_bin, run_ok};
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;

pub(super) fn measure() -> Result<String> {
    let (modelled, limit) = demo()?;
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        rates.push(instant()?);
    }
    rates.sort_by(f64::total_cmp);
    let (median, least, most) = (rates[RUNS / 2], rates[0], rates[RUNS - 1]);
    let share = |rate: f64| format!("{:.0} %", rate / limit * 100.0);
    let kb = |rate: f64| format!("{:.1}", rate / 1e3);
    Ok(format!(
        "### Upload over the virtual radio\n\nThe link's limit, {} kB/s, is what ATT writes without response can carry at most \
         (2M PHY, 251 octets, 15 ms interval, encrypted, no loss).\n\n\
         | device | clock | rate | share of the limit |\n|---|---|---|---|\n\
         | flash of an nRF52840 (41 µs a word: 97.6 kB/s at most), `otaru demo` | virtual | {} kB/s | {} |\n\
         | instant flash, `otaru device --ble`, {RUNS} runs | real | {} ({} to {}) kB/s | {} |\n",
        kb(limit),
        kb(modelled),
        share(modelled),
        kb(median),
        kb(least),
        kb(most),
        share(median),
    ))
}

/// Rate and limit of the demonstration's update: radio time, the same on every machine.
fn demo() -> Result<(f64, f64)> {
    let lines = JsonProcess::start(["demo", "--fast"])?.finish(PATIENCE)?;
    let radio = lines.iter().find(|line| event(line) == "radio").context("the demo tells nothing of its radio")?;
    let number = |name: &str| radio[name].as_f64().with_context(|| format!("no {name} in {radio}"));
    Ok((number("rate")?, number("link_limit")?))
}

/// Rate of an upload to a device whose flash takes no time: pairing is over when it begins.
fn instant() -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let at = dir.path();
    let file = |name: &str| at.join(name).to_string_lossy().into_owned();
    run_ok(&otaru_bin(), at, ["new", "project"]);
    run_ok(&otaru_bin(), at, ["payload", "raw", "--size", PAYLOAD]);
    for version in ["1.0.0", "2.0.0"] {
        let signed = format!("{version}.bin");
        run_ok(
            &otaru_bin(),
            at,
            ["sign", "raw", &signed, "--version", version, "--project", "project", "--pad-header"],
        );
    }
    let (flash, project, old, new) = (file("flash"), file("project"), file("1.0.0.bin"), file("2.0.0.bin"));
    let mut device = JsonProcess::start([
        "device",
        "--flash",
        &flash,
        "--project",
        &project,
        "--image",
        &old,
        "--ble",
        "127.0.0.1:0",
        "--passkey",
        PASSKEY,
    ])?;
    let ready = device.next("radio", PATIENCE, |line| event(line) == "ready")?;
    let air = ready["address"].as_str().context("no address")?;
    let to = format!("h4:{air}/otaru");
    let args = ["image", "upload", &new, "--to", &to, "--passkey", PASSKEY, "--state", &file("state")];
    let lines = JsonProcess::start(args)?.finish(PATIENCE)?;
    let uploaded = lines.iter().find(|line| event(line) == "uploaded");
    uploaded.and_then(|line: &Value| line["rate"].as_f64()).context("no rate was told")
}

const RUNS: usize = 5;
const PAYLOAD: &str = "262144";
const PASSKEY: &str = "271828";
/// A bound against hanging: nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(120);
