//! Device crates for the chips they are meant for.

use crate::nostd::DEVICE_CRATES;
use crate::run::{Run, target_dir};
use anyhow::Result;

/// Cortex-M0, Cortex-M4F, Cortex-M33.
const TARGETS: &[&str] = &["thumbv6m-none-eabi", "thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf"];

pub(crate) fn thumb() -> Result<()> {
    let dest = target_dir().join("thumb-toolchain");
    let toolchain = Run::new("bash").args(["scripts/thumb-toolchain.sh"]).args([&dest]).args(TARGETS).read()?;
    for target in TARGETS {
        let mut cargo = Run::new("cargo").args(["build", "--quiet", "--release", "--target", target]);
        for name in DEVICE_CRATES {
            cargo = cargo.args(["-p", &format!("otaru-{name}")]);
        }
        // What `cargo run` set for xtask's own toolchain must not reach the other one.
        cargo = cargo.without_env("CARGO").without_env("RUSTC").env("CARGO_TARGET_DIR", target_dir().join("thumb"));
        match toolchain.trim() {
            "" => cargo.go()?,
            path => cargo.env("RUSTUP_TOOLCHAIN", path).go()?,
        }
    }
    println!("thumb: {} device crates build for {}", DEVICE_CRATES.len(), TARGETS.join(", "));
    Ok(())
}
