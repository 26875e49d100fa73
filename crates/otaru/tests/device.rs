//! `otaru device` and `otaru payload` as their users meet them: what they say, what they refuse, what they leave.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

fn otaru(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otaru"));
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    otaru(dir, args).output().unwrap()
}

fn done(dir: &Path, args: &[&str]) {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a command that must fail says on stderr, with its exit status.
fn refused(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(!output.status.success(), "{args:?} was not refused");
    let said = String::from_utf8_lossy(&output.stderr);
    said.replace(&*dir.to_string_lossy(), "DIR").trim_end().to_owned()
}

/// A folder with a project and a signed image.
fn bench() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["new", "project"]);
    done(dir.path(), &["payload", "app.raw", "--name", "lock"]);
    let sign = ["sign", "app.raw", "app.bin", "--version", "1.0.0", "--project", "project", "--pad-header"];
    done(dir.path(), &sign);
    dir
}

/// A running device, killed when dropped.
struct Device(Child);

impl Device {
    fn start(dir: &Path, args: &[&str]) -> Self {
        Self(otaru(dir, args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// The next lines of its stdout.
    fn lines(&mut self, count: usize) -> Vec<String> {
        let stdout = BufReader::new(self.0.stdout.as_mut().unwrap());
        stdout.lines().take(count).map(Result::unwrap).collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_first_line_says_where_it_can_be_reached_and_the_report_follows() {
    let dir = bench();
    let flash = ["--flash", "f", "--project", "project", "--image", "app.bin", "--udp", "127.0.0.1:0"];
    let mut device = Device::start(dir.path(), &[&["device"], &flash[..]].concat());
    let lines = device.lines(7);
    let address = lines[0].strip_prefix("ready udp ").expect("the first line is that of the transport").to_owned();
    insta::assert_snapshot!(lines[1..].join("\n"), @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: the slot is empty; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: 1.0.0+0 at 0:0x0000c000, signed by trusted key 0
    running lock 1.0.0+0
    taking requests
    ");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"\x0a\x00\x00\x05\x00\x00\x07\x00\xa1\x61d\x61x", &address).unwrap();
    let mut answer = [0; 64];
    let len = client.recv(&mut answer).unwrap();
    assert_eq!(answer[..len], *b"\x0b\x00\x00\x05\x00\x00\x07\x00\xa1\x61r\x61x");

    assert!(refused(dir.path(), &["device", "--flash", "f", "--project", "project"]).contains("in use"));
}

#[test]
fn once_ends_with_the_first_reset_and_json_ends_with_done() {
    let dir = bench();
    let flash = ["--flash", "f", "--project", "project", "--image", "app.bin", "--udp", "127.0.0.1:0", "--once"];
    let mut device = Device::start(dir.path(), &[&["device", "--json"], &flash[..]].concat());
    let ready = device.lines(1).remove(0);
    let address = ready.split('"').find(|part| part.starts_with("127.")).unwrap().to_owned();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"\x0a\x00\x00\x01\x00\x00\x07\x05\xa0", address).unwrap();
    assert!(client.recv(&mut [0; 64]).is_ok());
    assert!(device.0.wait().unwrap().success());
    let mut rest = String::new();
    device.0.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    assert!(rest.lines().last().unwrap().starts_with(r#"{"event":"done""#), "{rest}");
}

#[test]
fn without_a_project_it_makes_one_and_without_an_image_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut device = Device::start(dir.path(), &["device", "--flash", "f", "--udp", "127.0.0.1:0"]);
    insta::assert_snapshot!(device.lines(5).join("\n"), @r"
    primary: the slot is empty; no trailer
    secondary: the slot is empty; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: nothing, the slot is empty
    no image to run in the primary slot: the slot is empty; staying in the bootloader
    ");
    drop(device);
    assert!(std::fs::read(dir.path().join("f")).unwrap().iter().all(|byte| *byte == 0xff));
    done(dir.path(), &["payload", "app.raw"]);
    let sign = ["sign", "app.raw", "app.bin", "--version", "1.0.0", "--project", "f.project", "--pad-header"];
    done(dir.path(), &sign);
    let again = ["device", "--flash", "f", "--image", "app.bin", "--udp", "127.0.0.1:0"];
    assert!(Device::start(dir.path(), &again).lines(1)[0].starts_with("ready udp 127.0.0.1:"));
}

#[test]
fn what_cannot_be_a_device_is_refused_in_words() {
    let dir = bench();
    let at = dir.path();
    std::fs::write(at.join("short"), [0xff; 100]).unwrap();
    std::fs::write(at.join("b.bonds"), [0; 7]).unwrap();
    std::fs::write(at.join("firmware"), [0; 100]).unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken_address = taken.local_addr().unwrap().to_string();
    let device = |more: &[&str]| refused(at, &[&["device", "--project", "project"], more].concat());
    let udp = device(&["--flash", "u", "--udp", &taken_address]).replace(&taken_address, "127.0.0.1:PORT");
    // The number differs between systems.
    let udp = ["98", "48"].iter().fold(udp, |text, number| text.replace(&format!("os error {number}"), "os error N"));
    let words = [
        device(&["--flash", "short"]),
        device(&["--flash", "nowhere/flash"]),
        device(&["--flash", "b"]),
        device(&["--flash", "i", "--image", "firmware"]),
        device(&["--flash", "n", "--layout", "board"]),
        device(&["--flash", "l", "--name", "a name of more than 22 bytes", "--ble", "127.0.0.1:0"]),
        udp,
    ];
    insta::assert_snapshot!(words.join("\n---\n"), @r#"
    error: short: the flash file has 100 bytes, and the devices of this layout have 1048576
     next: name another file, or take this one away to begin erased
     code: device.flash (exit status 2)
    ---
    error: nowhere/flash: the flash file cannot be opened: No such file or directory (os error 2)
     next: name another file, or take this one away to begin erased
     code: device.flash (exit status 2)
    ---
    error: b.bonds: 7 bytes are no whole number of bonds of 40 bytes
     next: take the file away: then every central has to pair again
     code: file.format (exit status 2)
    ---
    error: firmware: not an image: the magic is 0x00000000, an image has 0x96f3b83d
     next: give a signed image as .bin or .hex, or a dfu_application.zip that holds one
     code: image.malformed (exit status 2)
    ---
    error: project/otaru.toml has no layout "board"; it has: nrf52840dk
     next: correct otaru.toml, or name another layout with --layout
     code: project.layout (exit status 2)
    ---
    error: the device name has 28 bytes, and at most 22 fit
     next: give the device a shorter --name
     code: usage (exit status 2)
    ---
    error: --udp 127.0.0.1:PORT: Address already in use (os error N)
     next: name a free address of this machine, as in 127.0.0.1:0
     code: device.address (exit status 2)
    "#);
}

#[test]
fn a_payload_that_cannot_be_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a name of more than thirty-two bytes";
    let words = [
        refused(dir.path(), &["payload", "p", "--name", name]),
        refused(dir.path(), &["payload", "p", "--size", "47"]),
    ];
    insta::assert_snapshot!(words.join("\n---\n"), @r"
    error: name of 36 bytes does not fit the 32 bytes of a payload record
     next: give it a shorter --name
     code: usage (exit status 2)
    ---
    error: --size 47 is not within 48 to 16777216
     next: leave --size away for 16 KiB
     code: usage (exit status 2)
    ");
    assert!(!dir.path().join("p").exists());
}
