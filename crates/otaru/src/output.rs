//! Where a command's words go: data on stdout, everything else on stderr, JSON lines where asked.

use serde_json::{Map, Value};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// The two ways a command can speak, chosen once by `--json`.
#[derive(Debug)]
pub struct Output {
    json: bool,
    started: Instant,
}

impl Output {
    /// Output in words, or with `json` as one JSON object per line.
    pub fn new(json: bool) -> Self {
        Self { json, started: Instant::now() }
    }

    /// Whether JSON lines were asked for.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether stderr is a terminal that may be drawn on (progress bars, colour).
    pub fn interactive(&self) -> bool {
        !self.json && std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// A line of data on stdout, in words only.
    pub fn data(&self, line: impl AsRef<str>) {
        if !self.json {
            emit(line.as_ref());
        }
    }

    /// A line for people on stderr, in words only.
    pub fn note(&self, line: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
        }
    }

    /// A line for people on stderr, whatever was asked for: warnings that must not be missed.
    pub fn warn(&self, line: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "warning: {}", line.as_ref());
        self.event("warning", serde_json::json!({ "message": line.as_ref() }));
    }

    /// An event: a JSON line `{"event":name, …fields}` on stdout, with `--json` only. `fields` is an object.
    pub fn event(&self, name: &str, fields: Value) {
        if !self.json {
            return;
        }
        let mut line = Map::new();
        line.insert("event".into(), name.into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        emit(&Value::Object(line).to_string());
    }

    /// Like [`Self::event`], with `"ms"` since the command started.
    pub fn timed(&self, name: &str, fields: Value) {
        let mut fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        fields.entry("ms").or_insert(ms.into());
        self.event(name, Value::Object(fields));
    }
}

/// One line on stdout; a reader that went away ends the process quietly, as other tools do.
fn emit(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
