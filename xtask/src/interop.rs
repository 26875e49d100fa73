//! Tests against other people's software, in pinned versions.

use crate::run::{Run, target_dir};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Package sets that cannot share one environment, and the command each is there for.
const ENVIRONMENTS: &[(&str, &[&str], &str)] = &[
    ("imgtool", &["imgtool==2.5.0"], "imgtool"),
    ("smpmgr", &["smpmgr==0.19.1", "smpclient==7.3.0"], "smpmgr"),
    ("bumble", &["bumble==0.0.236"], "python"),
];

/// The README's test command, with the published tools installed and no skip allowed.
pub(crate) fn interop() -> Result<()> {
    let tools = install()?;
    let mut cargo = Run::cargo("test").args(["--workspace"]);
    for (key, path) in tools {
        cargo = cargo.env(key, path);
    }
    cargo.env("OTARU_REQUIRE_INTEROP", "1").go()
}

/// Installs what is missing and returns the environment variables through which tests find the tools.
pub(crate) fn install() -> Result<Vec<(&'static str, PathBuf)>> {
    let base = target_dir().join("interop");
    for (name, packages, command) in ENVIRONMENTS {
        let dir = base.join(name);
        if is_installed(&dir, packages) {
            continue;
        }
        Run::new("python3").args(["-m", "venv", "--clear"]).args([&dir]).go()?;
        Run::new(dir.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(*packages)
            .go()?;
        anyhow::ensure!(dir.join("bin").join(command).exists(), "{packages:?} did not bring {command}");
        std::fs::write(dir.join("installed"), packages.join("\n"))?;
    }
    Ok(vec![
        ("OTARU_IMGTOOL", base.join("imgtool/bin/imgtool")),
        ("OTARU_SMPMGR", base.join("smpmgr/bin/smpmgr")),
        ("OTARU_SMPCLIENT_PYTHON", base.join("smpmgr/bin/python")),
        ("OTARU_BUMBLE_PYTHON", base.join("bumble/bin/python")),
    ])
}

fn is_installed(dir: &Path, packages: &[&str]) -> bool {
    std::fs::read_to_string(dir.join("installed")).is_ok_and(|text| text == packages.join("\n"))
}
