//! Requests recorded from a Zephyr server, put to the application that our devices run.
//!
//! ```text
//!   FILE.jsonl ──▶ Recording ──▶ each request, in order ──▶ otaru-device-app on simulated flash
//!                      │                                        │
//!                      └──── their answer ──▶ same meaning? ◀───┘ ours
//!                                               │ no
//!                                               └─▶ a difference with a name, or a failure
//! ```
//!
//! The meaning of an answer is its header and the keys and values of its body: not the spelling of the CBOR, not the
//! words that we add (`rsn`), and not what belongs to one server (its name, its tasks, the hashes of its images). A
//! request that depends on the recorded server's image is put with an image of ours in its place. Where ours means
//! something else, `crates/smp-server/DIFFERENCES.md` says what and why, under the name that the table shows.

mod differences;
mod meaning;
mod ours;
mod recording;

use anyhow::{Context, Result};
use differences::Case;
use meaning::Meaning;
use otaru_smp::{Group, Header};
use ours::Ours;
use recording::{Recording, Vector};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What a recording came to.
#[derive(Debug, Default)]
pub struct Report {
    same: usize,
    /// Requests of groups that our devices do not have and the recorded server had.
    elsewhere: usize,
    /// Requests by the difference they show.
    different: BTreeMap<&'static str, Vec<String>>,
    failures: Vec<Failure>,
}

/// An answer that means something else, without a reason that has a name.
#[derive(Debug)]
struct Failure {
    line: usize,
    name: String,
    theirs: String,
    ours: String,
}

impl Report {
    /// Whether every answer means the same, or differs for a reason that has a name.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.same > 0
    }
}

/// Replays a file.
///
/// # Errors
/// It cannot be read, or is not of the format in `conformance/smp/README.md`.
pub fn run(file: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let recording = Recording::parse(&text).with_context(|| file.display().to_string())?;
    ours::with_device(&recording, |ours| {
        recording.vectors.iter().try_fold(Report::default(), |report, vector| {
            replay(report, ours, vector).with_context(|| format!("{}, line {}", file.display(), vector.line))
        })
    })
}

fn replay(mut report: Report, ours: &mut Ours<'_>, vector: &Vector) -> Result<Report> {
    let theirs: Vec<_> = vector.answers.iter().map(|answer| Meaning::of(&ours.translate_answer(answer))).collect();
    let before = ours.flash();
    let (request, answers) = if vector.request.is_empty() {
        ours.upload_again(&theirs)?
    } else {
        let request = ours.translate_request(vector);
        let answers = ours.exchange(&request);
        (request, answers)
    };
    let answers: Vec<_> = answers.iter().map(|answer| Meaning::of(answer)).collect();
    let group = Header::parse(&request).map(|header| header.group);
    if answers == theirs {
        report.same += 1;
    } else if group.is_some_and(|group| group != Group::OS && group != Group::IMAGE) {
        report.elsewhere += 1;
    } else if let Some(name) = differences::name(&Case { request: &request, theirs: &theirs, ours: &answers }) {
        report.different.entry(name).or_default().push(vector.name.clone());
        // The recording goes on from their state, not from ours.
        ours.restore(&before)?;
    } else {
        let words = |meanings: &[Meaning]| meanings.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (theirs, ours) = (words(&theirs), words(&answers));
        report.failures.push(Failure { line: vector.line, name: vector.name.clone(), theirs, ours });
    }
    Ok(report)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let different: usize = self.different.values().map(Vec::len).sum();
        writeln!(
            f,
            "{} answers mean the same, {different} differ for a reason with a name, {} are of groups that are not here, {} fail",
            self.same,
            self.elsewhere,
            self.failures.len()
        )?;
        for (name, requests) in &self.different {
            writeln!(f, "  {name}: {}", requests.join(", "))?;
        }
        for Failure { line, name, theirs, ours } in &self.failures {
            writeln!(f, "FAILED line {line}, {name}\n  theirs: {theirs}\n  ours:   {ours}")?;
        }
        write!(f, "crates/smp-server/DIFFERENCES.md says what the named ones are and why")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_requests_mean_the_same_to_our_devices_or_are_named_differences() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("smp/zephyr-udp.jsonl");
        let report = run(&file).unwrap();
        assert!(report.passed(), "{report}");
        insta::assert_snapshot!(report, @r"
        123 answers mean the same, 17 differ for a reason with a name, 72 are of groups that are not here, 0 fail
          bootloader-query: os bootloader bad query [v2]
          clock: os datetime read [v2], os datetime read [v1], os datetime write [v2]
          erase-empty: img erase slot1 [v2], img erase slot1 [v1], img erase default [v2], img erase default [v1]
          erase-no-such-slot: img erase slot 9 [v2], img erase slot 9 [v1]
          erase-pending: erase while pending [v2], erase while pending [v1]
          first-piece-beyond-len: up: off0 len tiny
          length-bounds-the-body: length field shorter [v2]
          slot-info: img slot info [v2], img slot info [v1]
          upload-image-number: up: off0 image 5
        crates/smp-server/DIFFERENCES.md says what the named ones are and why
        ");
    }

    #[test]
    fn an_answer_that_means_something_else_fails() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("wrong.jsonl");
        let echo = |answer: &str| {
            format!(r#"{{"name":"echo x","req":"0a00000500000100a161646178","rsp":["{answer}"],"replay":true}}"#)
        };
        let (right, wrong) = (echo("0b00000600000100bf61726178ff"), echo("0b00000500000100a161726179"));
        std::fs::write(&file, format!("{right}\n{wrong}\n")).unwrap();
        let report = run(&file).unwrap();
        assert!(!report.passed());
        insta::assert_snapshot!(report, @r#"
        1 answers mean the same, 0 differ for a reason with a name, 0 are of groups that are not here, 1 fail
        FAILED line 2, echo x
          theirs: 0b00000000000100 {"r": "y"}
          ours:   0b00000000000100 {"r": "x"}
        crates/smp-server/DIFFERENCES.md says what the named ones are and why
        "#);
    }
}
