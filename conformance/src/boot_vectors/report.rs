use core::fmt;
use std::collections::BTreeMap;

/// What replaying a folder came to.
#[derive(Debug, Default)]
pub struct Report {
    families: BTreeMap<String, Family>,
    skipped: BTreeMap<String, usize>,
    failures: Vec<String>,
    notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Family {
    passed: usize,
    failed: usize,
    strict: usize,
    strict_of: usize,
}

/// What one case came to.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What is required and was not so.
    pub(super) wrong: Vec<String>,
    /// What is not required and was not so.
    pub(super) notes: Vec<String>,
    /// `strict` rows that matched, and how many there are.
    pub(super) strict: (usize, usize),
}

impl Report {
    /// Whether any case ran and none failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.ran() > 0
    }

    /// How many cases were replayed.
    #[must_use]
    pub fn ran(&self) -> usize {
        self.families.values().map(|family| family.passed + family.failed).sum()
    }

    /// How many cases were not, for a reason.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped.values().sum()
    }

    pub(super) fn skip(&mut self, reason: &str, cases: usize) {
        *self.skipped.entry(reason.into()).or_default() += cases;
    }

    pub(super) fn add(&mut self, family: &str, name: &str, verdict: Verdict) {
        let family = self.families.entry(family.into()).or_default();
        if verdict.wrong.is_empty() {
            family.passed += 1;
        } else {
            family.failed += 1;
            self.failures.push(format!("{name}: {}", verdict.wrong.join("; ")));
        }
        family.strict += verdict.strict.0;
        family.strict_of += verdict.strict.1;
        self.notes.extend(verdict.notes.into_iter().map(|note| format!("{name}: {note}")));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{:>7}{:>7}  strict rows that match", "family", "passed", "failed")?;
        let mut all = Family::default();
        for (name, family) in &self.families {
            line(f, name, family)?;
            all.passed += family.passed;
            all.failed += family.failed;
            all.strict += family.strict;
            all.strict_of += family.strict_of;
        }
        line(f, "all", &all)?;
        for (reason, cases) in &self.skipped {
            writeln!(f, "skipped {cases}: {reason}")?;
        }
        for note in &self.notes {
            writeln!(f, "differs, not required: {note}")?;
        }
        for failure in &self.failures {
            writeln!(f, "failed {failure}")?;
        }
        write!(f, "{} cases replayed, {} failed", self.ran(), self.failures.len())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, family: &Family) -> fmt::Result {
    let Family { passed, failed, strict, strict_of } = family;
    writeln!(f, "{name:<18}{passed:>7}{failed:>7}  {strict} of {strict_of}")
}
