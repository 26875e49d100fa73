//! What users read when `new`, `key`, `sign`, `inspect` and `verify` refuse.

use crate::cmd::Command;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use clap::Parser;
use std::path::PathBuf;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// A folder with a project in `lock`, firmware in `fw.bin` (room for a header) and its image in `app.bin`.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        bench.run("new DIR/lock --key ed25519").unwrap();
        bench.write("fw.bin", &[&[0; 0x200][..], b"firmware"].concat());
        bench.run("sign DIR/fw.bin DIR/app.bin --version 1.2.3 --project DIR/lock").unwrap();
        bench
    }

    /// Runs a command line, in which DIR is the folder.
    fn run(&self, line: &str) -> Result<(), Failure> {
        let dir = self.0.path().display().to_string();
        let words = line.split(' ').map(|word| word.replace("DIR", &dir));
        let cli = Cli::try_parse_from(["otaru".to_owned()].into_iter().chain(words)).unwrap();
        crate::cmd::run(cli.command, &Output::new(true))
    }

    /// What a failing command line says, with DIR for the folder.
    fn said(&self, line: &str) -> String {
        let failure = self.run(line).expect_err("must be refused");
        failure.to_string().replace(&self.0.path().display().to_string(), "DIR")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, contents: &[u8]) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Replaces words in the project file.
    fn edit(&self, from: &str, to: &str) {
        let text = String::from_utf8(self.read("lock/otaru.toml")).unwrap();
        assert!(text.contains(from));
        self.write("lock/otaru.toml", text.replace(from, to).as_bytes());
    }
}

#[test]
fn nothing_that_is_there_is_overwritten_unasked() {
    let bench = Bench::new();
    let key = bench.read("lock/keys/signing.pem");
    insta::assert_snapshot!(bench.said("new DIR/lock"), @r"
        error: DIR/lock/keys/signing.pem: is there already and is not overwritten
         next: choose another name, or take the file away first
         code: file.exists (exit status 2)
        ");
    insta::assert_snapshot!(bench.said("key gen -t p256 -o DIR/lock/keys/signing.pem"), @r"
        error: DIR/lock/keys/signing.pem: is there already and is not overwritten
         next: choose another name, or take the file away first
         code: file.exists (exit status 2)
        ");
    assert_eq!(bench.read("lock/keys/signing.pem"), key);
    bench.run("key gen -t p256 -o DIR/lock/keys/signing.pem --force").unwrap();
    assert_ne!(bench.read("lock/keys/signing.pem"), key);
    insta::assert_snapshot!(bench.said("sign DIR/fw.bin DIR/fw.bin --version 1.0.0 --project DIR/lock"), @r"
        error: DIR/fw.bin is both the firmware and the file to write
         next: give the file to write another name
         code: usage (exit status 2)
        ");
    let key = bench.read("lock/keys/signing.pem");
    insta::assert_snapshot!(bench.said("sign DIR/fw.bin DIR/lock/keys/signing.pem --version 1.0.0 --project DIR/lock"), @r"
        error: DIR/lock/keys/signing.pem is both the key and the file to write
         next: give the file to write another name
         code: usage (exit status 2)
        ");
    insta::assert_snapshot!(bench.said("key pub -k DIR/lock/keys/signing.pem -o DIR/lock/keys/signing.pem"), @r"
        error: DIR/lock/keys/signing.pem is both the key and the file to write
         next: give the file to write another name
         code: usage (exit status 2)
        ");
    assert_eq!(bench.read("lock/keys/signing.pem"), key);
    assert_eq!(bench.read("fw.bin").len(), 0x208);
}

#[test]
fn a_project_that_asks_for_encryption_gets_no_image_in_the_clear() {
    let bench = Bench::new();
    let project = String::from_utf8(bench.read("lock/otaru.toml")).unwrap();
    bench.write("lock/otaru.toml", project.replace("[keys]", "[keys]\nencryption = \"keys/enc.pub.pem\"").as_bytes());
    insta::assert_snapshot!(bench.said("sign DIR/fw.bin DIR/out.bin --version 1.0.0 --project DIR/lock"), @r#"
        error: DIR/lock/otaru.toml asks for encrypted images (keys.encryption = "keys/enc.pub.pem"), which otaru cannot make yet
         next: sign and encrypt with imgtool (-E), or take keys.encryption out for images in the clear
         code: project.encryption (exit status 2)
        "#);
}

#[test]
fn signing_says_what_is_wrong_with_the_firmware() {
    let bench = Bench::new();
    let sign = |input: &str, more: &str| {
        bench.said(&format!("sign DIR/{input} DIR/out.bin --version 1.0.0 --project DIR/lock{more}"))
    };
    insta::assert_snapshot!(sign("gone.bin", ""), @r"
        error: DIR/gone.bin: cannot be read: No such file or directory (os error 2)
         next: check the name
         code: file.read (exit status 2)
        ");
    insta::assert_snapshot!(sign("app.bin", ""), @r"
        error: DIR/app.bin: this is an image already: it begins with an image's magic; sign the firmware it was made from
         next: otaru inspect shows what is in it
         code: sign.already (exit status 2)
        ");
    bench.write("raw.bin", b"firmware without room for a header");
    insta::assert_snapshot!(sign("raw.bin", ""), @r"
        error: DIR/raw.bin: the firmware has 34 bytes and should begin with 512 zeros for the header
         next: link the firmware behind room for the header, or sign with --pad-header
         code: sign.no-room (exit status 2)
        ");
    bench.write("full.bin", &[1; 0x200]);
    insta::assert_snapshot!(sign("full.bin", ""), @r"
        error: DIR/full.bin: the firmware should begin with 512 zeros for the header, but byte 0 is 0x01
         next: link the firmware behind room for the header, or sign with --pad-header
         code: sign.no-room (exit status 2)
        ");
    bench.write("large.bin", &vec![0; 0x80000]);
    insta::assert_snapshot!(sign("large.bin", ""), @r"
        error: DIR/large.bin: the image has 524432 bytes with header and signature, 49296 more than the 475136 that swap-move can swap in slots of 483328 bytes
         next: make the firmware smaller, or the slots in the layout larger, in the loader too
         code: sign.too-large (exit status 2)
        ");
    insta::assert_snapshot!(sign("fw.bin", " --header-size 0x10000"), @r"
        error: --header-size 0x10000 is more than the 0xffff that an image header can say
         next: 0x200 suits most chips
         code: usage (exit status 2)
        ");
    insta::assert_snapshot!(sign("fw.bin", " --layout nrf54l15dk"), @r#"
        error: DIR/lock/otaru.toml has no layout "nrf54l15dk"; it has: nrf52840dk
         next: correct otaru.toml, or name another layout with --layout
         code: project.layout (exit status 2)
        "#);
    insta::assert_snapshot!(bench.said("sign DIR/fw.bin DIR/out.hex --version 1.0.0 --project DIR/lock"), @r"
        error: DIR/fw.bin has no address, and HEX needs one
         next: say where the image begins with --hex-addr, as in --hex-addr 0xc000
         code: sign.address (exit status 2)
        ");
    bench.write("low.hex", b":0100040055A6\n:00000001FF\n");
    insta::assert_snapshot!(bench.said("sign DIR/low.hex DIR/out.hex --version 1.0.0 --project DIR/lock --pad-header"), @r"
        error: there is no room for a header of 512 bytes below address 0x4
         next: link the firmware at a higher address, or say where the image begins with --hex-addr
         code: sign.address (exit status 2)
        ");
    assert!(!bench.path("out.bin").exists() && !bench.path("out.hex").exists());
}

#[test]
fn signing_says_what_is_wrong_with_the_key_or_the_project() {
    let bench = Bench::new();
    let sign = |more: &str| bench.said(&format!("sign DIR/fw.bin DIR/out.bin --version 1.0.0 {more}"));
    insta::assert_snapshot!(sign("--project DIR/nowhere"), @r"
        error: cannot read the project file DIR/nowhere: No such file or directory (os error 2)
         next: name its folder with --project, or make one with otaru new DIR
         code: project.read (exit status 2)
        ");
    insta::assert_snapshot!(sign("--key DIR/lock/keys/signing.pub.pem"), @r"
        error: DIR/lock/keys/signing.pub.pem: line 1: the file holds only a public key; signing needs the private key it belongs to
         next: name the file with the private key; only verify is content with a public one
         code: key.unusable (exit status 2)
        ");
    insta::assert_snapshot!(sign("--key DIR/gone.pem"), @r"
        error: cannot read the key DIR/gone.pem: No such file or directory (os error 2)
         next: check the name; otaru key gen makes a key
         code: key.unusable (exit status 2)
        ");
    insta::assert_snapshot!(sign("--key DIR/lock/keys/signing.pem --layout nowhere"), @r#"
        error: "nowhere" is no board that otaru knows; it knows nrf52840dk
         next: describe the board in an otaru.toml: otaru new DIR writes one
         code: project.layout (exit status 2)
        "#);
    insta::assert_snapshot!(sign("--key DIR/lock/keys/signing.pem --confirm"), @r"
        error: DIR/fw.bin: a trailer lies at the end of a slot, so it needs a layout
         next: name a board with --layout, or a project with --project
         code: sign.no-layout (exit status 2)
        ");
    bench.edit("keys/signing.pem", "keys/gone.pem");
    insta::assert_snapshot!(sign("--project DIR/lock"), @r#"
        error: cannot read the key DIR/lock/keys/gone.pem: No such file or directory (os error 2) (keys.signing = "keys/gone.pem" in DIR/lock/otaru.toml)
         next: correct the path in otaru.toml; it is resolved against the folder of that file
         code: project.key (exit status 2)
        "#);
    bench.edit("keys/gone.pem", "keys/signing.pub.pem");
    insta::assert_snapshot!(sign("--project DIR/lock"), @r#"
        error: DIR/lock/keys/signing.pub.pem: line 1: the file holds only a public key; signing needs the private key it belongs to (keys.signing = "keys/signing.pub.pem" in DIR/lock/otaru.toml)
         next: name the file with the private key; only verify is content with a public one
         code: project.key (exit status 2)
        "#);
    bench.edit("profile", "profil");
    insta::assert_snapshot!(sign("--project DIR/lock"), @r"
        error: DIR/lock/otaru.toml, line 5, column 1: unknown field `profil`, expected `name` or `profile`
         next: correct otaru.toml; otaru new DIR writes one to compare with
         code: project.syntax (exit status 2)
        ");
    assert!(!bench.path("out.bin").exists());
}

#[test]
fn verifying_says_why_an_image_is_not_to_be_trusted() {
    let bench = Bench::new();
    let verify = |image: &str| bench.said(&format!("verify DIR/{image} --project DIR/lock"));
    bench.run("verify DIR/app.bin --project DIR/lock").unwrap();
    bench.run("verify DIR/app.bin --key DIR/lock/keys/signing.pub.pem").unwrap();
    let image = bench.read("app.bin");
    bench.write("cut.bin", &image[..image.len() - 1]);
    insta::assert_snapshot!(verify("cut.bin"), @r"
        error: DIR/cut.bin: the image ends at 0x298 or later, but there are only 0x297 bytes
         next: give a signed image as .bin or .hex, or a dfu_application.zip that holds one
         code: image.malformed (exit status 2)
        ");
    insta::assert_snapshot!(verify("fw.bin"), @r"
        error: DIR/fw.bin: not an image: the magic is 0x00000000, an image has 0x96f3b83d
         next: give a signed image as .bin or .hex, or a dfu_application.zip that holds one
         code: image.malformed (exit status 2)
        ");
    let mut damaged = image.clone();
    *damaged.last_mut().unwrap() ^= 1;
    bench.write("damaged.bin", &damaged);
    insta::assert_snapshot!(verify("damaged.bin"), @r"
        error: DIR/damaged.bin: the image's Ed25519 signature does not verify: it was changed, or made with another key
         next: do not use it: it names the key, but was not signed with it
         code: image.signature (exit status 5)
        ");
    insta::assert_snapshot!(bench.said("inspect DIR/cut.bin"), @r"
        error: DIR/cut.bin: the image ends at 0x298 or later, but there are only 0x297 bytes
         next: give a signed image as .bin or .hex, or a dfu_application.zip that holds one
         code: image.malformed (exit status 2)
        ");
    bench.run("inspect DIR/damaged.bin").unwrap();
    bench.edit("0x76000", "0x05000");
    bench.write("middle.bin", &vec![0; 0x4000]);
    bench.run("sign DIR/middle.bin DIR/large.bin --version 1.0.0 --key DIR/lock/keys/signing.pem").unwrap();
    insta::assert_snapshot!(verify("large.bin"), @r"
        error: DIR/large.bin: the image has 16528 bytes, 4240 more than the 12288 that fit
         next: make the firmware smaller, or the slots larger
         code: image.too-large (exit status 5)
        ");
}

#[test]
fn a_strangers_image_ends_with_the_status_of_a_failed_verification() {
    let bench = Bench::new();
    bench.run("key gen -t ed25519 -o DIR/stranger.pem").unwrap();
    let failure = bench.run("verify DIR/app.bin --key DIR/stranger.pem").unwrap_err();
    assert_eq!((failure.exit, failure.code), (Exit::Verification, "image.stranger"));
    assert!(failure.message.contains("is signed by key ") && failure.message.contains(", not by key "));
}

#[test]
fn numbers_are_decimal_or_hexadecimal() {
    assert_eq!(super::number("512"), Ok(512));
    assert_eq!(super::number("0xc000"), Ok(0xc000));
    insta::assert_snapshot!(super::number("c000").unwrap_err(), @"invalid digit found in string; write it as 512 or 0x200");
    insta::assert_snapshot!(super::number("0x100000000").unwrap_err(), @"number too large to fit in target type; write it as 512 or 0x200");
}
