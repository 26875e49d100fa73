//! The no-std guard: each device crate under a static library with a panic handler of its own and no allocator.
//!
//! With std anywhere in its graph the panic handler is a duplicate (E0152); with alloc anywhere, rustc asks for the
//! global allocator that is not there. So neither can slip in, whatever a dependency's features do.

use crate::run::{Run, root, target_dir};
use anyhow::{Context, Result};
use std::fs;

/// The crates that must run on a chip, each with the feature sets to try.
pub(crate) const DEVICE_CRATES: &[&str] =
    &["flash", "image", "layout", "policy", "crypto", "boot", "smp", "smp-server", "smp-session", "ble", "device-app"];

pub(crate) fn nostd() -> Result<()> {
    for name in DEVICE_CRATES {
        guard(name).with_context(|| format!("otaru-{name} does not link without std and alloc"))?;
    }
    println!("nostd: {} device crates link without std and without an allocator", DEVICE_CRATES.len());
    Ok(())
}

fn guard(name: &str) -> Result<()> {
    let dir = target_dir().join("nostd").join(name);
    fs::create_dir_all(dir.join("src"))?;
    let path = root().join("crates").join(name);
    let ident = name.replace('-', "_");
    fs::write(
        dir.join("Cargo.toml"),
        format!(
            "[workspace]\n[package]\nname = \"nostd-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [lib]\ncrate-type = [\"staticlib\"]\n[dependencies]\notaru-{name} = {{ path = {path:?} }}\n\
             [profile.dev]\npanic = \"abort\"\n"
        ),
    )?;
    fs::write(
        dir.join("src/lib.rs"),
        format!(
            "#![no_std]\nextern crate otaru_{ident};\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo<'_>) -> ! {{\n    loop {{}}\n}}\n"
        ),
    )?;
    fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
    Run::cargo("build")
        .args(["--quiet", "--manifest-path", &dir.join("Cargo.toml").to_string_lossy()])
        .env("CARGO_TARGET_DIR", target_dir().join("nostd").join("build"))
        .go()
}
