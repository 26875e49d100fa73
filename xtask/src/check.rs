//! Formatting, lints, docs and the house rules that no lint knows.

use crate::ci::Step;
use crate::run::{Run, root};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn check() -> Result<()> {
    let steps: [Step; 4] = [
        ("format", || Run::cargo("fmt").args(["--all", "--check"]).go()),
        ("lints", || Run::cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]).go()),
        ("docs", || {
            Run::cargo("doc").args(["--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings").go()
        }),
        ("house rules", tidy),
    ];
    // All of them, so that one run shows everything there is to mend.
    let failed: Vec<_> =
        steps.iter().filter_map(|(name, step)| step().err().map(|error| format!("{name}: {error:#}"))).collect();
    if failed.is_empty() {
        println!("check: format, lints, docs and house rules hold");
        return Ok(());
    }
    bail!("{}", failed.join("\n"))
}

/// Only these crates may depend on those (ARCHITECTURE.md, "Who may know whom"); dev-dependencies are free.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("flash", &[]),
    ("image", &[]),
    ("smp", &[]),
    ("policy", &[]),
    ("crypto", &[]),
    ("layout", &["flash", "image"]),
    ("boot", &["flash", "image", "layout", "crypto"]),
    ("sign", &["flash", "image", "layout", "crypto"]),
    ("smp-server", &["smp", "policy"]),
    ("smp-session", &["smp"]),
    ("ble", &["smp"]),
    ("device-app", &["flash", "image", "layout", "policy", "crypto", "boot", "smp", "smp-server", "ble"]),
    ("smp-client", &["smp", "smp-session", "ble"]),
    ("nor-sim", &["flash"]),
    ("radio-sim", &[]),
    ("sim-rt", &[]),
    (
        "device-sim",
        &["nor-sim", "radio-sim", "boot", "device-app", "ble", "smp", "policy", "layout", "image", "crypto", "flash"],
    ),
    (
        "otaru",
        &[
            "sign",
            "smp-client",
            "device-sim",
            "nor-sim",
            "radio-sim",
            "sim-rt",
            "ble",
            "layout",
            "image",
            "crypto",
            "flash",
        ],
    ),
];

/// Only these crates may name those of others.
const ONLY: &[(&[&str], &[&str])] = &[
    (
        &["aes", "ccm", "p256", "p384", "sha2", "ed25519-dalek", "x25519-dalek", "aws-lc-rs", "rsa", "hmac", "hkdf"],
        &["crypto", "sign", "radio-sim"],
    ),
    (&["otaru-sim-rt"], &["otaru"]),
];

/// Longest source file, in lines; a longer one holds two rooms.
const LONGEST_FILE: usize = 900;

fn tidy() -> Result<()> {
    let mut wrong = Vec::new();
    for (name, allowed) in DEPENDENCIES {
        for found in dependencies(&root().join("crates").join(name).join("Cargo.toml"))? {
            let own = found.strip_prefix("otaru-");
            let reserved = ONLY.iter().any(|(names, by)| names.contains(&found.as_str()) && !by.contains(name));
            if reserved || own.is_some_and(|own| !allowed.contains(&own)) {
                wrong.push(format!("crates/{name} must not depend on {found} (ARCHITECTURE.md, who may know whom)"));
            }
        }
    }
    for entry in fs::read_dir(root().join("crates"))? {
        let name = entry?.file_name();
        if !DEPENDENCIES.iter().any(|(known, _)| *known == name) {
            wrong.push(format!("crates/{} is not in the table of who may know whom", name.display()));
        }
    }
    let mut sources = Vec::new();
    for dir in ["crates", "conformance/src", "e2e", "xtask"] {
        rust_files(&root().join(dir), &mut sources)?;
    }
    for path in sources {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        if text.lines().count() > LONGEST_FILE {
            wrong.push(format!("{shown} has {} lines, more than {LONGEST_FILE}", text.lines().count()));
        }
        let in_library = shown.starts_with("crates/") && shown.contains("/src/") && !shown.starts_with("crates/otaru/");
        if in_library
            && text
                .lines()
                .any(|line| line.trim_start().starts_with("println!(") || line.trim_start().starts_with("eprintln!("))
        {
            wrong.push(format!("{shown} prints: only the otaru command does"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("\n  {}", wrong.join("\n  ")) }
}

/// The crates under `[dependencies]`, on all targets.
fn dependencies(manifest: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.trim();
        } else if (section == "[dependencies]"
            || section.starts_with("[target.") && section.ends_with(".dependencies]"))
            && let Some(end) = line.find(['.', ' ', '='])
            && !line.starts_with([' ', '#'])
        {
            found.extend(line.get(..end).map(String::from));
        }
    }
    Ok(found)
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}
