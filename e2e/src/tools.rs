//! Finding and running programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The `otaru` command under test: `OTARU_BIN`, or the one that cargo built beside this test.
///
/// # Panics
/// If there is none. `cargo test --workspace` builds it; so does `cargo build`.
#[must_use]
pub fn otaru_bin() -> PathBuf {
    if let Some(path) = std::env::var_os("OTARU_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let beside = test.ancestors().skip(1).take(2).map(|dir| dir.join("otaru")).find(|path| path.exists());
    beside.expect("no otaru command beside this test: run `cargo test --workspace`, or set OTARU_BIN")
}

/// An `otaru` command line, to be added to and run.
#[must_use]
pub fn otaru() -> Command {
    Command::new(otaru_bin())
}

/// A published tool that a test needs.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Environment variable that may name it.
    pub variable: &'static str,
    /// Command to look for in `PATH` otherwise.
    pub command: &'static str,
    /// How to get it.
    pub install: &'static str,
}

impl Tool {
    /// imgtool 2.5.0.
    pub const IMGTOOL: Self =
        Self { variable: "OTARU_IMGTOOL", command: "imgtool", install: "pip install imgtool==2.5.0" };
    /// smpmgr 0.19.1.
    pub const SMPMGR: Self =
        Self { variable: "OTARU_SMPMGR", command: "smpmgr", install: "pip install smpmgr==0.19.1" };
    /// A Python that has smpclient 7.3.0.
    pub const SMPCLIENT: Self = Self {
        variable: "OTARU_SMPCLIENT_PYTHON",
        command: "python-with-smpclient",
        install: "pip install smpclient==7.3.0",
    };
    /// A Python that has Bumble 0.0.236.
    pub const BUMBLE: Self =
        Self { variable: "OTARU_BUMBLE_PYTHON", command: "python-with-bumble", install: "pip install bumble==0.0.236" };

    /// Where it is; `None` after saying on stderr that the test is skipped and why.
    ///
    /// # Panics
    /// If it is absent and `OTARU_REQUIRE_INTEROP=1` says that nothing may be skipped.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let in_path = || {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|dir| dir.join(self.command)).find(|candidate| candidate.exists())
        };
        let found = named.filter(|path| path.exists()).or_else(in_path);
        if found.is_none() {
            let reason = format!("{} is not here ({}, or set {})", self.command, self.install, self.variable);
            assert!(std::env::var("OTARU_REQUIRE_INTEROP").as_deref() != Ok("1"), "must not skip: {reason}");
            eprintln!("SKIPPED: {reason}");
        }
        found
    }
}

/// Runs a program in a folder and returns what it said.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run<S: AsRef<OsStr>>(program: &Path, dir: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(program);
    command.current_dir(dir).args(args);
    command.output().unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()))
}

/// Runs a program that must succeed and returns its stdout.
///
/// # Panics
/// If it does not succeed; with everything it said.
pub fn run_ok<S: AsRef<OsStr>>(program: &Path, dir: &Path, args: impl IntoIterator<Item = S>) -> String {
    let output = run(program, dir, args);
    assert!(
        output.status.success(),
        "{} failed ({})\n{}{}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
