//! Known mistakes, made again in a copy of the crates: the explorer must notice each of them.
//!
//! A mutant is a file `conformance/mutants/NAME.toml`: which issue, why it was a mistake, and one piece of source that is
//! replaced by another. It counts as killed only if the mutated crates build, and the scenarios end in a bad state.

use core::fmt;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A known mistake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    /// Where it was reported.
    issue: String,
    /// What goes wrong with it.
    why: String,
    /// Which scenarios show it: part of their names.
    scenarios: String,
    /// What makes it.
    edit: Vec<Edit>,
}

/// One replacement in one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// From the root of the repository.
    file: PathBuf,
    /// Must occur exactly once.
    find: String,
    replace: String,
}

/// What became of each mutant.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// One row per mutant.
    pub rows: Vec<Row>,
}

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of its file without the extension.
    pub name: String,
    /// Where it was reported.
    pub issue: String,
    /// What goes wrong with it.
    pub why: String,
    /// The first bad state, if the explorer found one.
    pub killed_by: Option<String>,
}

impl Table {
    /// Whether there were mutants, and all of them were killed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.killed_by.is_some())
    }
}

/// Builds each mutant in a copy of the crates and explores it until a state is bad.
///
/// # Errors
/// A mutant that cannot be read or made, does not build, or fails otherwise than by a bad state.
pub fn run() -> Result<Table> {
    let root = repository();
    let mutants = all(&root)?;
    let copy = Copy::new(&root)?;
    let unbroken = copy.explore("Test-Padded/w4-split/")?;
    ensure!(unbroken.is_none(), "the copy without any mutant has a bad state: {}", unbroken.unwrap_or_default());
    let mut table = Table::default();
    for (name, mutant) in mutants {
        let killed_by = copy.try_out(&mutant).with_context(|| format!("mutant {name}"))?;
        table.rows.push(Row { name, issue: mutant.issue, why: mutant.why, killed_by });
    }
    Ok(table)
}

/// All mutants with their names, in the order of these.
fn all(root: &Path) -> Result<Vec<(String, Mutant)>> {
    let mut mutants = Vec::new();
    let dir = root.join("conformance/mutants");
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            mutants.push((name(&path), read(&path)?));
        }
    }
    mutants.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(mutants)
}

fn read(path: &Path) -> Result<Mutant> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} describes no mutant", path.display()))
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn repository() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// A workspace under the target folder: the crates that the explorer needs, and the explorer as a program.
struct Copy {
    root: PathBuf,
    original: PathBuf,
}

impl Copy {
    fn new(original: &Path) -> Result<Self> {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| original.join("target"), PathBuf::from);
        let root = target.join("mutants");
        for name in CRATES {
            let from = original.join("crates").join(name);
            copy_dir(&from, &root.join("crates").join(name))?;
        }
        let manifest = fs::read_to_string(original.join("Cargo.toml")).context("cannot read Cargo.toml")?;
        let (Some(start), Some(end)) = (manifest.find("members = ["), manifest.find("\ndefault-members")) else {
            bail!("the root Cargo.toml has no members followed by default-members");
        };
        let lead = manifest.get(..start).unwrap_or_default();
        let rest = manifest.get(end + 1..).unwrap_or_default();
        let rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        write(&root.join("Cargo.toml"), format!("{lead}members = [\"crates/*\", \"explorer\"]\n{rest}"))?;
        write(&root.join("explorer/Cargo.toml"), EXPLORER_MANIFEST)?;
        write(&root.join("explorer/src/main.rs"), EXPLORER_MAIN)?;
        let sources = original.join("conformance/src");
        copy_file(&sources.join("power_cut.rs"), &root.join("explorer/src/power_cut.rs"))?;
        copy_dir(&sources.join("power_cut"), &root.join("explorer/src/power_cut"))?;
        copy_file(&original.join("Cargo.lock"), &root.join("Cargo.lock"))?;
        Ok(Self { root, original: original.to_owned() })
    }

    /// The first bad state with the mutant in place.
    fn try_out(&self, mutant: &Mutant) -> Result<Option<String>> {
        for edit in &mutant.edit {
            let path = self.root.join(&edit.file);
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", edit.file.display()))?;
            let found = text.matches(&edit.find).count();
            ensure!(found == 1, "what to find occurs {found} times in {}, not once", edit.file.display());
            write(&path, text.replace(&edit.find, &edit.replace))?;
        }
        let result = self.explore(&mutant.scenarios);
        for edit in &mutant.edit {
            copy_file(&self.original.join(&edit.file), &self.root.join(&edit.file))?;
        }
        result
    }

    /// Builds the copy and explores: the first bad state, if there is one.
    fn explore(&self, scenarios: &str) -> Result<Option<String>> {
        let cargo = || {
            let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            // Everything it needs was fetched to build this program.
            cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", self.root.join("target"));
            cargo
        };
        let built =
            cargo().args(["build", "--release", "--offline", "--quiet"]).output().context("cannot run cargo")?;
        ensure!(built.status.success(), "it does not build:\n{}", String::from_utf8_lossy(&built.stderr));
        let explorer = self.root.join("target/release/explorer");
        let output = Command::new(&explorer).arg(scenarios).output();
        let output = output.with_context(|| format!("cannot run {}", explorer.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let bad = text.lines().find_map(|line| line.trim_start().strip_prefix("bad "));
        match (output.status.code(), bad) {
            (Some(0), None) => Ok(None),
            (Some(1), Some(bad)) => Ok(Some(bad.into())),
            (code, _) => bail!(
                "the explorer ended with {code:?} and without a bad state:\n{text}{}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    // What an earlier run left behind must not be built again.
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy_dir(&entry.path(), &to)? } else { copy_file(&entry.path(), &to)? }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    write(to, &fs::read(from).with_context(|| format!("cannot read {}", from.display()))?)
}

/// Writes a file if it is not like this already, so that nothing is built again for nothing.
fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes.as_ref()) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let fate = row.killed_by.as_ref().map_or("SURVIVED".into(), |bad| format!("killed by {bad}"));
            writeln!(f, "{} ({}): {}\n  {fate}", row.name, row.issue, row.why)?;
        }
        let killed = self.rows.iter().filter(|row| row.killed_by.is_some()).count();
        write!(f, "{killed} of {} mutants killed", self.rows.len())
    }
}

/// The crates that the explorer needs, with what they need.
const CRATES: [&str; 7] = ["flash", "image", "layout", "policy", "crypto", "boot", "nor-sim"];

const EXPLORER_MANIFEST: &str = r#"[package]
name = "explorer"
version.workspace = true
edition.workspace = true

[dependencies]
otaru-flash.workspace = true
otaru-image.workspace = true
otaru-layout.workspace = true
otaru-crypto.workspace = true
otaru-boot.workspace = true
otaru-nor-sim.workspace = true
anyhow.workspace = true
"#;

const EXPLORER_MAIN: &str = r#"mod power_cut;

fn main() -> std::process::ExitCode {
    let table = power_cut::first_bad(&std::env::args().nth(1).unwrap_or_default());
    println!("{table}");
    if table.passed() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mutant_still_finds_what_it_breaks_exactly_once() {
        let root = repository();
        let mutants = all(&root).unwrap();
        let names: Vec<_> = mutants.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["mcuboot-1588", "mcuboot-1966", "mcuboot-480", "mcuboot-829", "torn-copy-done"]);
        for (name, mutant) in &mutants {
            for edit in &mutant.edit {
                let text = fs::read_to_string(root.join(&edit.file)).unwrap();
                assert_eq!(text.matches(&edit.find).count(), 1, "{name}: {}", edit.file.display());
                assert_ne!(edit.find, edit.replace, "{name}");
            }
        }
    }

    #[test]
    fn a_table_says_who_survived() {
        let row = |name: &str, killed_by: Option<&str>| Row {
            name: name.into(),
            issue: "somebody/something#1".into(),
            why: "it forgets".into(),
            killed_by: killed_by.map(Into::into),
        };
        let table = Table { rows: vec![row("first", Some("Test-Plain/w4/5a: it is gone")), row("second", None)] };
        assert!(!table.passed() && !Table::default().passed());
        insta::assert_snapshot!(table, @r#"
        first (somebody/something#1): it forgets
          killed by Test-Plain/w4/5a: it is gone
        second (somebody/something#1): it forgets
          SURVIVED
        1 of 2 mutants killed
        "#);
    }
}
