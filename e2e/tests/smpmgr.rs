//! The published smpmgr against our virtual device: list, upload, test, reset, confirm, over UDP and over the serial
//! pseudo terminal.

use otaru_e2e::{DeviceProcess, Tool, event, otaru_bin, run, run_ok};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a project, an image that runs and an update.
struct Bench {
    dir: TempDir,
    smpmgr: PathBuf,
}

impl Bench {
    /// `None` where smpmgr is absent; that has been said.
    fn new() -> Option<Self> {
        let smpmgr = Tool::SMPMGR.find()?;
        let dir = tempfile::tempdir().unwrap();
        let otaru = |args: &[&str]| run_ok(&otaru_bin(), dir.path(), args);
        otaru(&["new", "project"]);
        for (name, version, size) in [("one", "1.0.0", "16384"), ("two", "2.0.0+7", "40000")] {
            let (raw, signed) = (format!("{name}.raw"), format!("{name}.bin"));
            otaru(&["payload", &raw, "--name", name, "--size", size]);
            otaru(&["sign", &raw, &signed, "--version", version, "--project", "project", "--pad-header"]);
        }
        Some(Self { dir, smpmgr })
    }

    /// The hash of the update, in hexadecimal.
    fn hash(&self) -> String {
        let inspected = run_ok(&otaru_bin(), self.path(), ["inspect", "two.bin", "--json"]);
        let image: Value = serde_json::from_str(inspected.lines().next().unwrap()).unwrap();
        image["hash"].as_str().expect("inspect tells the hash").to_owned()
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn device(&self, transport: &[&str]) -> DeviceProcess {
        let file = |name: &str| self.path().join(name).to_string_lossy().into_owned();
        let (flash, project, image) = (file("flash"), file("project"), file("one.bin"));
        DeviceProcess::start(
            ["--flash", &flash, "--project", &project, "--image", &image].into_iter().chain(transport.iter().copied()),
        )
    }

    /// Runs smpmgr on the device that `reach` names.
    fn smpmgr(&self, reach: [&str; 2], args: &[&str]) -> String {
        run_ok(&self.smpmgr, self.path(), reach.iter().chain(args))
    }

    /// `slot version flags` of each image that smpmgr lists, one a line.
    fn list(&self, reach: [&str; 2]) -> String {
        let text = self.smpmgr(reach, &["image", "state-read"]);
        let mut list = String::new();
        for image in text.split("ImageState(").skip(1) {
            let field = |name: &str| {
                let value = image.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("no {name} in {image}"));
                value.split([',', '\n']).next().unwrap_or_default().trim_matches('\'').to_owned()
            };
            list += &format!("{} {}", field("slot"), field("version"));
            for flag in ["active", "confirmed", "pending", "permanent"] {
                if field(flag) == "True" {
                    list += &format!(" {flag}");
                }
            }
            list += "\n";
        }
        list
    }

    /// The road that a user of smpmgr goes.
    fn road(&self, device: &mut DeviceProcess, reach: [&str; 2]) {
        let running = |line: &Value, version: &str| event(line) == "running" && line["version"] == version;
        assert!(self.smpmgr(reach, &["os", "echo", "hello"]).contains("hello"));
        assert_eq!(self.list(reach), "0 1.0.0 active confirmed\n");
        self.smpmgr(reach, &["image", "upload", "two.bin"]);
        assert_eq!(self.list(reach), "0 1.0.0 active confirmed\n1 2.0.0.7\n");
        self.smpmgr(reach, &["image", "state-write", &self.hash()]);
        assert_eq!(self.list(reach), "0 1.0.0 active confirmed\n1 2.0.0.7 pending\n");
        self.smpmgr(reach, &["os", "reset"]);
        device.wait_for("the new version", |line| running(line, "2.0.0+7"));
        device.wait_for_next("the new version serving", |line| event(line) == "serving");
        assert_eq!(self.list(reach), "0 2.0.0.7 active\n1 1.0.0 confirmed\n");
        self.smpmgr(reach, &["image", "state-write", "--confirm"]);
        assert_eq!(self.list(reach), "0 2.0.0.7 active confirmed\n1 1.0.0\n");
        self.smpmgr(reach, &["image", "erase", "1"]);
        assert_eq!(self.list(reach), "0 2.0.0.7 active confirmed\n");
    }
}

/// smpmgr always asks port 1337: each test process takes an address of its own in 127/8 where there are several.
fn address() -> String {
    if cfg!(target_os = "linux") {
        let [_, b, c, d] = (std::process::id() % 0x00ff_fff0 + 2).to_be_bytes();
        return format!("127.{b}.{c}.{d}");
    }
    "127.0.0.1".into()
}

#[test]
fn smpmgr_updates_our_device_over_udp() {
    let Some(bench) = Bench::new() else { return };
    let address = address();
    let mut device = bench.device(&["--udp", &format!("{address}:1337")]);
    assert_eq!(device.address("udp"), format!("{address}:1337"));
    bench.road(&mut device, ["--ip", &address]);
}

#[test]
fn smpmgr_updates_our_device_over_the_serial_pty() {
    let Some(bench) = Bench::new() else { return };
    let mut device = bench.device(&["--serial"]);
    let pty = device.address("serial");
    bench.road(&mut device, ["--port", &pty]);
}

#[test]
fn smpmgr_is_refused_a_strangers_image_when_it_asks_for_a_test() {
    let Some(bench) = Bench::new() else { return };
    run_ok(&otaru_bin(), bench.path(), ["new", "stranger"]);
    let sign = ["sign", "two.raw", "two.bin", "--version", "2.0.0", "--project", "stranger", "--pad-header"];
    run_ok(&otaru_bin(), bench.path(), sign);
    let mut device = bench.device(&["--serial"]);
    let pty = device.address("serial");
    let reach = ["--port", pty.as_str()];
    bench.smpmgr(reach, &["image", "upload", "two.bin"]);
    // How smpmgr shows a refusal is its own affair; what the device did is ours.
    let _ = run(&bench.smpmgr, bench.path(), reach.into_iter().chain(["image", "state-write", &bench.hash()]));
    let rejected = device.wait_for("the refusal", |line| event(line) == "rejected");
    assert!(rejected["reason"].as_str().unwrap().contains("not trusted"), "{rejected}");
    assert_eq!(bench.list(reach), "0 1.0.0 active confirmed\n1 2.0.0\n");
}
