//! The published imgtool and ours, both ways: what one signs the other accepts, and both read the same in it.

use otaru_e2e::{Tool, otaru_bin, run, run_ok};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// Type of a key as we name it and as imgtool does.
const KEY_TYPES: [(&str, &str); 3] = [("p256", "ecdsa-p256"), ("ed25519", "ed25519"), ("rsa-2048", "rsa-2048")];

/// Bytes of an image's header here.
const HEADER: usize = 0x200;

/// Where the nrf52840dk's primary slot begins, and how long it is.
const SLOT: (u32, &str) = (0xc000, "0x76000");

/// A folder with firmware in every form, and both tools.
struct Bench {
    dir: TempDir,
    imgtool: PathBuf,
}

impl Bench {
    /// `None` where imgtool is absent; that has been said.
    fn new() -> Option<Self> {
        let bench = Self { dir: tempfile::tempdir().unwrap(), imgtool: Tool::IMGTOOL.find()? };
        // Not a multiple of 16, of a sector or of a write unit.
        let firmware: Vec<u8> = (0..10_007_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let with_room = [&[0; HEADER][..], &firmware].concat();
        bench.write("raw.bin", &firmware);
        bench.write("raw.hex", intel_hex(SLOT.0 + HEADER as u32, &firmware).as_bytes());
        bench.write("room.bin", &with_room);
        bench.write("room.hex", intel_hex(SLOT.0, &with_room).as_bytes());
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, contents: &[u8]) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn imgtool(&self, args: &[&str]) -> String {
        run_ok(&self.imgtool, self.dir.path(), args)
    }

    fn otaru(&self, args: &[&str]) -> String {
        run_ok(&otaru_bin(), self.dir.path(), args)
    }

    /// A command of ours that may fail.
    fn try_otaru(&self, args: &[&str]) -> Output {
        run(&otaru_bin(), self.dir.path(), args)
    }

    /// Signs with imgtool for the nrf52840dk.
    fn imgtool_sign(&self, key: &str, input: &str, output: &str, more: &[&str]) {
        let fixed = ["sign", "-k", key, "-v", "1.2.3+4", "-H", "0x200", "-S", SLOT.1, "--align", "4"];
        self.imgtool(&[&fixed[..], more, &[input, output]].concat());
    }

    /// Signs with ours for the nrf52840dk.
    fn otaru_sign(&self, key: &str, input: &str, output: &str, more: &[&str]) {
        let fixed = ["sign", input, output, "--version", "1.2.3+4", "--key", key, "--layout", "nrf52840dk"];
        self.otaru(&[&fixed[..], more].concat());
    }

    /// What `otaru inspect --json` says of an image.
    fn inspect(&self, image: &str) -> Value {
        let lines = self.otaru(&["inspect", image, "--json"]);
        let event: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(event["event"], "image");
        assert_eq!(event["hash_ok"], true);
        event
    }

    /// What `imgtool dumpinfo -f json` says of an image.
    fn dumpinfo(&self, image: &str) -> Value {
        self.imgtool(&["dumpinfo", "-f", "json", "-o", "dump.json", image]);
        serde_json::from_slice(&self.read("dump.json")).unwrap()
    }

    /// Holds what both say of an image against each other.
    fn agree_on(&self, image: &str) {
        let (ours, theirs) = (self.inspect(image), self.dumpinfo(image));
        for part in ["header", "tlv_area", "trailer"] {
            assert_eq!(ours[part], theirs[part], "{part} of {image}");
        }
    }
}

/// Intel HEX of some bytes, in the plainest form.
fn intel_hex(base: u32, bytes: &[u8]) -> String {
    let record = |kind: u8, address: u16, data: &[u8]| {
        let head = [data.len() as u8, (address >> 8) as u8, address as u8, kind];
        let record = [&head[..], data].concat();
        let sum = record.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
        let digits: String = record.iter().chain([&sum]).map(|byte| format!("{byte:02X}")).collect();
        format!(":{digits}\n")
    };
    let mut text = String::new();
    for (at, row) in (base..).step_by(16).zip(bytes.chunks(16)) {
        text += &record(4, 0, &((at >> 16) as u16).to_be_bytes());
        text += &record(0, at as u16, row);
    }
    text + &record(1, 0, &[])
}

/// Firmware without and with room for the header, and the option that each needs. imgtool has the same option.
const INPUTS: [(&str, &[&str]); 2] = [("raw", &["--pad-header"]), ("room", &[])];

#[test]
fn imgtool_accepts_what_otaru_signs() {
    let Some(bench) = Bench::new() else { return };
    for (key_type, _) in KEY_TYPES {
        bench.otaru(&["key", "gen", "-t", key_type, "-o", &format!("{key_type}.pem")]);
        let key = &format!("{key_type}.pem");
        for (input, option) in INPUTS {
            for form in ["bin", "hex"] {
                let output = format!("{key_type}-{input}.{form}");
                bench.otaru_sign(key, &format!("{input}.{form}"), &output, option);
                let said = bench.imgtool(&["verify", "-k", key, &output]);
                assert!(said.contains("Image was correctly validated"), "{output}: {said}");
                assert!(said.contains("Image version: 1.2.3+4"), "{output}: {said}");
                bench.otaru(&["verify", &output, "--key", key]);
            }
        }
    }
}

#[test]
fn otaru_accepts_what_imgtool_signs() {
    let Some(bench) = Bench::new() else { return };
    for (key_type, theirs) in KEY_TYPES {
        let (key, public) = (&format!("{key_type}.pem"), &format!("{key_type}.pub.pem"));
        bench.imgtool(&["keygen", "-k", key, "-t", theirs]);
        bench.imgtool(&["getpub", "-k", key, "-e", "pem", "-o", public]);
        for (input, option) in INPUTS {
            for form in ["bin", "hex"] {
                let output = format!("{key_type}-{input}.{form}");
                bench.imgtool_sign(key, &format!("{input}.{form}"), &output, option);
                let said = bench.otaru(&["verify", &output, "--key", public]);
                assert!(said.contains("version 1.2.3+4"), "{output}: {said}");
                bench.otaru(&["verify", &output, "--key", key]);
            }
        }
        let whole_key = format!("{key_type}-whole.bin");
        bench.imgtool_sign(key, "raw.bin", &whole_key, &["--pad-header", "--public-key-format", "full"]);
        bench.otaru(&["verify", &whole_key, "--key", public]);
    }
    bench.imgtool_sign("p256.pem", "raw.bin", "padded-signature.bin", &["--pad-header", "--pad-sig"]);
    bench.otaru(&["verify", "padded-signature.bin", "--key", "p256.pub.pem"]);
}

#[test]
fn both_refuse_a_changed_image_and_a_strangers_key() {
    let Some(bench) = Bench::new() else { return };
    for (key_type, theirs) in KEY_TYPES {
        let (key, stranger) = (&format!("{key_type}.pem"), &format!("{key_type}-stranger.pem"));
        bench.otaru(&["key", "gen", "-t", key_type, "-o", key]);
        bench.imgtool(&["keygen", "-k", stranger, "-t", theirs]);
        bench.otaru_sign(key, "raw.bin", "image.bin", &["--pad-header"]);
        let mut changed = bench.read("image.bin");
        changed[HEADER + 5000] ^= 4;
        bench.write("changed.bin", &changed);
        for (image, key, code) in [("changed.bin", key, "image.damaged"), ("image.bin", stranger, "image.stranger")] {
            let ours = bench.try_otaru(&["verify", image, "--key", key, "--json"]);
            assert_eq!(ours.status.code(), Some(5), "{key_type}: {image}");
            let last = String::from_utf8(ours.stdout).unwrap();
            let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
            assert_eq!((&last["event"], &last["code"]), (&json!("error"), &json!(code)), "{key_type}");
            let theirs = run(&bench.imgtool, bench.dir.path(), ["verify", "-k", key, image]);
            assert_eq!(theirs.status.code(), Some(1), "{key_type}: {image}");
        }
    }
}

#[test]
fn dumpinfo_and_inspect_say_the_same() {
    let Some(bench) = Bench::new() else { return };
    for (key_type, theirs) in KEY_TYPES {
        let key = &format!("{key_type}.pem");
        bench.imgtool(&["keygen", "-k", key, "-t", theirs]);
        for (input, option) in INPUTS {
            for form in ["bin", "hex"] {
                let input = &format!("{input}.{form}");
                bench.otaru_sign(key, input, &format!("ours-{input}"), option);
                bench.agree_on(&format!("ours-{input}"));
                bench.imgtool_sign(key, input, &format!("theirs-{input}"), option);
                bench.agree_on(&format!("theirs-{input}"));
            }
        }
    }
    let key = "ed25519.pem";
    for (image, options) in [
        ("confirmed.bin", &["--confirm"][..]),
        ("pending.bin", &["--pad"]),
        ("confirmed.hex", &["--confirm", "--hex-addr", "0xc000"]),
        ("aligned-16.bin", &["--confirm", "--max-align", "16"]),
        ("aligned-32.bin", &["--pad", "--max-align", "32"]),
        ("protected.bin", &["-s", "7", "-d", "(1, 1.2.3+4)", "--custom-tlv", "0x00a0", "0x0102", "--vid", "otaru"]),
        ("flags.bin", &["--non-bootable", "--load-addr", "0x20001000"]),
        ("unsigned-hash.bin", &["--public-key-format", "full"]),
    ] {
        bench.imgtool_sign(key, "raw.bin", image, &[&["--pad-header"], options].concat());
        bench.agree_on(image);
    }
    for (image, options) in [
        ("our-confirmed.bin", &["--confirm"][..]),
        ("our-pending.bin", &["--pad"]),
        ("our-confirmed.hex", &["--confirm", "--hex-addr", "0xc000"]),
    ] {
        bench.otaru_sign(key, "raw.bin", image, &[&["--pad-header"], options].concat());
        bench.agree_on(image);
    }
}

#[test]
fn both_write_the_same_bytes() {
    let Some(bench) = Bench::new() else { return };
    for (key_type, theirs) in KEY_TYPES {
        let key = &format!("{key_type}.pem");
        bench.imgtool(&["keygen", "-k", key, "-t", theirs]);
        for trailer in [&[][..], &["--pad"], &["--confirm"]] {
            for (input, option) in INPUTS {
                let options = &[option, trailer].concat();
                bench.otaru_sign(key, &format!("{input}.bin"), "ours.bin", options);
                bench.imgtool_sign(key, &format!("{input}.bin"), "theirs.bin", options);
                let (ours, theirs) = (bench.read("ours.bin"), bench.read("theirs.bin"));
                if key_type == "ed25519" {
                    assert!(ours == theirs, "{input} {options:?}: Ed25519 signs the same way everywhere");
                }
                // Up to the signature, whose length may differ for ECDSA, and so the area's total before it.
                let (total, signature) = (HEADER + 10_007 + 2, HEADER + 10_007 + 4 + 36 + 36);
                assert!(ours[..total] == theirs[..total], "{key_type} {input} {options:?}");
                assert!(ours[total + 2..signature] == theirs[total + 2..signature], "{key_type} {input} {options:?}");
                if !trailer.is_empty() {
                    assert_eq!(ours.len(), theirs.len());
                    let cells = ours.len() - 48;
                    assert!(ours[cells..] == theirs[cells..], "{key_type} {input} {options:?}: trailer");
                }
            }
        }
    }
}

#[test]
fn both_write_the_same_public_keys() {
    let Some(bench) = Bench::new() else { return };
    for (key_type, _) in KEY_TYPES {
        let key = &format!("{key_type}.pem");
        bench.otaru(&["key", "gen", "-t", key_type, "-o", key]);
        for (ours, theirs) in [("der", "raw"), ("pem", "pem")] {
            bench.otaru(&["key", "pub", "-k", key, "-e", ours, "-o", "ours.pub"]);
            bench.imgtool(&["getpub", "-k", key, "-e", theirs, "-o", "theirs.pub"]);
            assert!(bench.read("ours.pub") == bench.read("theirs.pub"), "{key_type} as {ours}");
        }
        let array = |text: String| text.split_once('{').unwrap().1.split_whitespace().collect::<String>();
        let ours = array(bench.otaru(&["key", "pub", "-k", key, "-e", "c"]));
        let theirs = array(bench.imgtool(&["getpub", "-k", key, "-e", "lang-c"]));
        assert_eq!(ours, theirs, "{key_type} as C");
        bench.imgtool(&["getpubhash", "-k", key, "-e", "raw", "-o", "hash"]);
        let hash: String = bench.read("hash").iter().map(|byte| format!("{byte:02x}")).collect();
        let info = bench.otaru(&["key", "info", key, "--json"]);
        let info: Value = serde_json::from_str(info.lines().last().unwrap()).unwrap();
        assert_eq!(info["key"], json!({ "type": key_type, "hash": hash }));
        assert!(Path::new(info["file"].as_str().unwrap()).ends_with(key));
    }
}
