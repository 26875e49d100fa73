//! What becomes of a command whose words nobody can read.

use std::fs::File;
use std::process::{Command, Stdio};

fn otaru(dir: &tempfile::TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otaru"));
    command.current_dir(dir.path()).args(args).stdin(Stdio::null());
    command
}

#[cfg(target_os = "linux")]
#[test]
fn stdout_is_full_then_the_job_is_done_and_the_status_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let made = otaru(&dir, &["new", "lock", "--json"]).stdout(full()).output().unwrap();
    assert_eq!(made.status.code(), Some(1));
    assert!(dir.path().join("lock/otaru.toml").is_file(), "the job is done");
    insta::assert_snapshot!(String::from_utf8(made.stderr).unwrap(), @r"
    error: the job is done, but stdout could not be written: No space left on device (os error 28)
     next: look at where stdout goes
     code: output.write (exit status 1)
    ");
    let refused = otaru(&dir, &["verify", "lock/otaru.toml", "--json"]).stdout(full()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "the failure of the job counts, and is told where it can be");
    assert!(String::from_utf8(refused.stderr).unwrap().contains("image.malformed"));
}

#[cfg(unix)]
#[test]
fn reader_went_away_then_the_job_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = otaru(&dir, &["new", "lock", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(command.stdout.take());
    assert_eq!(command.wait().unwrap().code(), Some(0));
    assert!(dir.path().join("lock/otaru.toml").is_file());
}
