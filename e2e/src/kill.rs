//! The kill sweep: SIGKILL at many moments of an update, against real processes with flash in a file.
//!
//! A case copies a factory-fresh flash, starts `otaru device` with the flash timing of an nRF52840 and `otaru upgrade`
//! towards it, and kills both at one moment. Then the device is started again by the same command: it must boot a
//! verified image. The same upgrade, repeated, must end with the new version running and confirmed, and a last cold
//! start must still run it.
//!
//! Torn writes and half erases are not here: a killed process leaves whole flash operations. The power-cut explorer
//! of `conformance` covers them.

use crate::{JsonProcess, event, run_ok};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Part of an update in which processes are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the first chunk until the device has the whole file.
    Upload,
    /// From the reset until the bootloader has swapped and boots.
    Swap,
    /// While the new version runs on trial and is confirmed. Moments alternate between two spans: from the start of
    /// the new version, and from when the client sees it, which is just before it confirms.
    Confirm,
}

/// One kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Where.
    pub phase: Phase,
    /// Which moment of `moments`, from 1.
    pub moment: u32,
    /// How many moments the phase is divided into.
    pub moments: u32,
}

/// What a case came to.
#[derive(Debug)]
pub struct Verdict {
    /// Which.
    pub case: Case,
    /// How long after the begin of its span the processes were killed.
    pub delay: Duration,
    /// What was going on at that moment.
    pub during: String,
    /// What booted on the flash that was left.
    pub booted: String,
    /// What the repeated upgrade ended in.
    pub result: Result<String>,
    /// Where the files of a failed case are.
    pub kept: Option<PathBuf>,
}

/// A folder with a project, two versions, and how long each phase takes here.
#[derive(Debug)]
pub struct Sweep {
    dir: TempDir,
    new: Vec<u8>,
    spans: Spans,
}

/// How long an undisturbed update takes on this machine.
#[derive(Clone, Copy, Debug)]
struct Spans {
    upload: Duration,
    swap: Duration,
    /// From the start of the new version until the client is done.
    trial: Duration,
    /// From when the client sees the new version until it is done.
    confirm: Duration,
}

impl Sweep {
    /// Signs two versions, makes a device that runs the first and has an even older image in its secondary slot, and
    /// measures one undisturbed update.
    ///
    /// # Errors
    /// The update does not succeed undisturbed.
    pub fn prepare() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = dir.path();
        let otaru = |args: &[&str]| run_ok(&crate::otaru_bin(), at, args);
        otaru(&["new", "project"]);
        for (version, more) in [("0.9.0", None), (OLD, Some("--confirm")), (NEW, None)] {
            let (raw, signed) = (format!("{version}.raw"), format!("{version}.bin"));
            otaru(&["payload", &raw, "--name", "kill", "--size", PAYLOAD]);
            let mut args = vec!["sign", &raw, &signed, "--version", version, "--project", "project", "--pad-header"];
            args.extend(more);
            otaru(&args);
        }
        let new = fs::read(at.join(format!("{NEW}.bin")))?;
        let spans =
            Spans { upload: Duration::ZERO, swap: Duration::ZERO, trial: Duration::ZERO, confirm: Duration::ZERO };
        let mut sweep = Self { dir, new, spans };
        sweep.make_factory()?;
        sweep.spans = sweep.measure()?;
        Ok(sweep)
    }

    /// All cases with so many moments in each phase.
    #[must_use]
    pub fn cases(moments: u32) -> Vec<Case> {
        let phases = [Phase::Upload, Phase::Swap, Phase::Confirm];
        phases.into_iter().flat_map(|phase| (1..=moments).map(move |moment| Case { phase, moment, moments })).collect()
    }

    /// Runs cases, several at a time: they mostly wait for modelled flash. Tells each verdict as it comes; returns
    /// them in the order of the cases.
    pub fn run(&self, cases: &[Case], tell: impl Fn(&Verdict) + Sync) -> Vec<Verdict> {
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME.min(cases.len()) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.get(at) else { break };
                        let verdict = self.case(*case);
                        tell(&verdict);
                        verdicts.lock().expect("no case panics while it holds this").push((at, verdict));
                    }
                });
            }
        });
        let mut verdicts = verdicts.into_inner().expect("no case panics while it holds this");
        verdicts.sort_by_key(|(at, _)| *at);
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    /// One case. A kill that came too late for its phase, because the machine was busy with something else, is
    /// repeated a few times.
    fn case(&self, case: Case) -> Verdict {
        let mut verdict = self.attempt(case);
        for _ in 1..ATTEMPTS {
            if !verdict.result.as_ref().is_err_and(|error| error.is::<Missed>()) {
                break;
            }
            verdict = self.attempt(case);
        }
        if verdict.result.is_err() {
            verdict.kept = self.keep(case).ok();
        }
        verdict
    }

    fn attempt(&self, case: Case) -> Verdict {
        let delay = self.spans.delay(case);
        let mut verdict = Verdict {
            case,
            delay,
            during: String::new(),
            booted: String::new(),
            result: Ok(String::new()),
            kept: None,
        };
        let dir = self.dir.path().join(case.to_string().replace(['/', ':'], "-"));
        verdict.result = self.play(&dir, &mut verdict);
        verdict
    }

    fn play(&self, dir: &Path, verdict: &mut Verdict) -> Result<String> {
        // An earlier attempt's folder may be there.
        let _ = fs::remove_dir_all(dir);
        fs::create_dir(dir)?;
        fs::copy(self.file("factory.flash"), dir.join("flash"))?;
        let case = verdict.case;
        let (mut device, mut client) = self.start(dir)?;
        case.phase.begin(case.moment, &mut device, &mut client)?;
        std::thread::sleep(verdict.delay);
        // The device first: a client that dies a little later sends to nobody.
        device.kill()?;
        client.kill()?;
        fs::copy(dir.join("flash"), dir.join("flash.killed"))?;
        verdict.during = case.phase.during(&mut device, &mut client, self.uploaded(dir)?)?;

        let mut device = self.device(dir)?;
        let boot = booted(&mut device)?;
        verdict.booted = boot.to_string();
        let allowed: &[&str] = if case.phase == Phase::Upload { &[OLD] } else { &[OLD, NEW] };
        ensure!(
            allowed.contains(&boot.version.as_str()),
            "version {} booted, not {}",
            boot.version,
            allowed.join(" or ")
        );
        let address = boot.address;
        self.upgrade(&address)?.finish(PATIENCE).context("the repeated upgrade failed")?;
        self.expect_confirmed(&address)?;
        device.kill()?;

        let mut device = self.device(dir)?;
        let last = booted(&mut device)?;
        ensure!(last.version == NEW && !last.on_trial, "a cold start afterwards ran {last}");
        Ok(format!("{NEW} confirmed"))
    }

    /// A device with version 1 that has had an update before, so that uploads must erase.
    fn make_factory(&self) -> Result<()> {
        let mut device = self.device(self.dir.path())?;
        let boot = booted(&mut device)?;
        let args = ["image", "upload", &self.file("0.9.0.bin"), "--to", &format!("udp:{}", boot.address)];
        JsonProcess::start(args)?.finish(PATIENCE)?;
        device.kill()?;
        fs::rename(self.file("flash"), self.file("factory.flash"))?;
        Ok(())
    }

    fn measure(&self) -> Result<Spans> {
        let dir = self.dir.path().join("undisturbed");
        fs::create_dir(&dir)?;
        fs::copy(self.file("factory.flash"), dir.join("flash"))?;
        let (mut device, mut client) = self.start(&dir)?;
        let mut await_device = |name| -> Result<Instant> {
            device.next(name, PATIENCE, |line| event(line) == name)?;
            Ok(Instant::now())
        };
        let began = await_device("upload-began")?;
        client.next("end of the upload", PATIENCE, |line| event(line) == "uploaded")?;
        let uploaded = Instant::now();
        let reset = await_device("reset")?;
        let runs = await_device("running")?;
        client.next("sight of the device", PATIENCE, |line| event(line) == "seen")?;
        let seen = Instant::now();
        client.finish(PATIENCE)?;
        let done = Instant::now();
        Ok(Spans { upload: uploaded - began, swap: runs - reset, trial: done - runs, confirm: done - seen })
    }

    /// A device that serves, and a client that has just begun to upgrade it.
    fn start(&self, dir: &Path) -> Result<(JsonProcess, JsonProcess)> {
        let mut device = self.device(dir)?;
        let boot = booted(&mut device)?;
        ensure!(boot.version == OLD, "the factory's device boots {boot}");
        let client = self.upgrade(&boot.address)?;
        Ok((device, client))
    }

    /// The one command that this device is always started with.
    fn device(&self, dir: &Path) -> Result<JsonProcess> {
        let flash = dir.join("flash");
        JsonProcess::start([
            "device",
            "--flash",
            &flash.to_string_lossy(),
            "--project",
            &self.file("project"),
            "--image",
            &self.file(&format!("{OLD}.bin")),
            "--udp",
            "127.0.0.1:0",
            "--flash-timing",
            "nrf52840",
        ])
    }

    fn upgrade(&self, address: &str) -> Result<JsonProcess> {
        JsonProcess::start(["upgrade", &self.file(&format!("{NEW}.bin")), "--to", &format!("udp:{address}")])
    }

    fn expect_confirmed(&self, address: &str) -> Result<()> {
        let lines = JsonProcess::start(["image", "list", "--to", &format!("udp:{address}")])?.finish(PATIENCE)?;
        let active = lines.iter().find(|line| event(line) == "image" && line["active"] == true);
        let active = active.context("no image is active")?;
        let good = active["version"] == NEW && active["confirmed"] == true && active["slot"] == 0;
        ensure!(good, "after the repeated upgrade the device lists {active}");
        Ok(())
    }

    /// Bytes of the new image that lie at the start of the secondary slot.
    fn uploaded(&self, dir: &Path) -> Result<usize> {
        let flash = fs::read(dir.join("flash.killed"))?;
        let slot = flash.get(SECONDARY..).context("the flash file ends before its secondary slot")?;
        Ok(slot.iter().zip(&self.new).take_while(|(here, sent)| here == sent).count())
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Copies what is needed to look into a failed case out of the folder that is about to vanish.
    fn keep(&self, case: Case) -> Result<PathBuf> {
        let kept = tempfile::Builder::new().prefix("otaru-kill-").tempdir()?.keep();
        let dir = self.dir.path().join(case.to_string().replace(['/', ':'], "-"));
        let project = self.dir.path().join("project");
        fs::create_dir_all(kept.join("project/keys"))?;
        for name in ["otaru.toml", "keys/signing.pem"] {
            fs::copy(project.join(name), kept.join("project").join(name))?;
        }
        for (from, name) in [(&dir, "flash.killed"), (&dir, "flash")] {
            // A case that failed early has not written both.
            let _ = fs::copy(from.join(name), kept.join(name));
        }
        fs::write(kept.join("new.bin"), &self.new)?;
        Ok(kept)
    }
}

/// The machine was too slow: the phase was over before the kill.
#[derive(Debug)]
struct Missed(&'static str);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kill came after the {}, {ATTEMPTS} times: this machine is too busy for it", self.0)
    }
}

impl std::error::Error for Missed {}

impl Spans {
    fn delay(&self, case: Case) -> Duration {
        let span = match case.phase {
            Phase::Upload => self.upload,
            Phase::Swap => self.swap,
            Phase::Confirm if from_sight(case.moment) => self.confirm,
            Phase::Confirm => self.trial,
        };
        // In the middle of each part: never at the very ends, which belong to the phases before and after.
        span * (2 * case.moment - 1) / (2 * case.moments.max(1))
    }
}

/// Every other moment of the confirm phase counts from when the client sees the new version.
const fn from_sight(moment: u32) -> bool {
    moment.is_multiple_of(2)
}

impl Phase {
    /// Waits until its span begins.
    fn begin(self, moment: u32, device: &mut JsonProcess, client: &mut JsonProcess) -> Result<()> {
        let runs_new = |line: &Value| event(line) == "running" && line["name"] == "kill" && line["on_trial"] == true;
        match self {
            Self::Upload => device.next("begin of the upload", PATIENCE, |line| event(line) == "upload-began"),
            Self::Swap => device.next("reset", PATIENCE, |line| event(line) == "reset"),
            Self::Confirm if from_sight(moment) => {
                client.next("sight of the new version", PATIENCE, |line| event(line) == "seen")
            }
            Self::Confirm => device.next("start of the new version", PATIENCE, runs_new),
        }?;
        Ok(())
    }

    /// What was going on when both were killed.
    fn during(self, device: &mut JsonProcess, client: &mut JsonProcess, uploaded: usize) -> Result<String> {
        match self {
            Self::Upload if client.has_said("uploaded") => bail!(Missed("end of the upload")),
            Self::Upload => Ok(format!("{uploaded} bytes of it in flash")),
            Self::Swap => {
                let after = device.said().iter().skip_while(|line| event(line) != "reset");
                if after.into_iter().any(|line| event(line) == "boot") {
                    bail!(Missed("end of the swap"));
                }
                Ok("swapping".into())
            }
            Self::Confirm if client.has_said("done") => Ok("the client was done".into()),
            Self::Confirm if device.has_said("confirmed") => Ok("confirmed, the client not done".into()),
            Self::Confirm if client.has_said("seen") => Ok("on trial, seen by the client".into()),
            Self::Confirm => Ok("on trial, not seen yet".into()),
        }
    }
}

/// A device that takes requests.
#[derive(Debug)]
struct Boot {
    version: String,
    on_trial: bool,
    decision: String,
    address: String,
}

/// Waits until a device has booted and serves.
fn booted(device: &mut JsonProcess) -> Result<Boot> {
    device.next("service", PATIENCE, |line| event(line) == "serving").context("no verified image boots")?;
    let said = device.said();
    let line = |name: &str| said.iter().rfind(|line| event(line) == name).with_context(|| format!("no {name} event"));
    let (boot, running, ready) = (line("boot")?, line("running")?, line("ready")?);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    // "2.0.0+0", as the bootloader verified it.
    let version = text(&boot["version"]).context("the bootloader names no version")?;
    ensure!(running["version"] == version.as_str(), "{version} was verified, but this runs: {running}");
    let report = boot["report"].as_array().map(Vec::as_slice).unwrap_or_default();
    let decision = report.iter().filter_map(Value::as_str).find_map(|line| line.strip_prefix("decision: "));
    Ok(Boot {
        version: version.trim_end_matches("+0").to_owned(),
        on_trial: running["on_trial"] == true,
        decision: decision.unwrap_or_default().to_owned(),
        address: text(&ready["address"]).context("no address")?,
    })
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trial = if self.on_trial { " on trial" } else { "" };
        write!(f, "{}{trial} ({})", self.version, self.decision)
    }
}

impl Verdict {
    /// Whether all held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.result.is_ok()
    }

    /// How to look into a failure.
    #[must_use]
    pub fn repeat(&self) -> String {
        let Case { phase, moment, moments } = self.case;
        let mut repeat = format!("repeat: otaru-kill {moments} {phase}:{moment}");
        if let Some(kept) = &self.kept {
            let kept = kept.display();
            repeat.push_str(&format!(
                "\nlook at: cp {kept}/flash.killed {kept}/again && otaru device --flash {kept}/again --project \
                 {kept}/project --udp 127.0.0.1:0 --flash-timing nrf52840\nthe update: {kept}/new.bin"
            ));
        }
        repeat
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (delay, case) = (format!("{:.1} ms", self.delay.as_secs_f64() * 1e3), self.case.to_string());
        write!(f, "{case:<14} {delay:>9}  {:<31} {:<73} ", self.during, self.booted)?;
        match &self.result {
            Ok(end) => f.write_str(end),
            Err(error) => write!(f, "FAILED: {error:#}\n{}", self.repeat()),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.phase, self.moment, self.moments)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upload => "upload",
            Self::Swap => "swap",
            Self::Confirm => "confirm",
        })
    }
}

impl FromStr for Phase {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "upload" => Self::Upload,
            "swap" => Self::Swap,
            "confirm" => Self::Confirm,
            _ => bail!("{text:?} is no phase: upload, swap or confirm"),
        })
    }
}

const OLD: &str = "1.0.0";
const NEW: &str = "2.0.0";
/// Bytes of the firmware: seven sectors with its header, so that a swap takes about three seconds.
const PAYLOAD: &str = "24576";
/// Where the secondary slot of the project's board begins in the flash file.
const SECONDARY: usize = 0x82000;
/// Cases that run at once.
const AT_A_TIME: usize = 8;
/// How often a moment is tried until it falls into its phase.
const ATTEMPTS: u32 = 4;
/// A bound against hanging: nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(60);
