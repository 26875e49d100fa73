//! Where a command's words go: data on stdout, everything else on stderr, JSON lines where asked.

use indicatif::ProgressBar;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::Instant;

/// The two ways a command can speak, chosen once by `--json`.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    started: Instant,
    /// In front of each note.
    margin: &'static str,
    /// What is drawn below the words, by whoever speaks.
    bar: Rc<RefCell<Option<ProgressBar>>>,
    /// Why nothing more goes to stdout. The job goes on without it.
    mute: Rc<RefCell<Option<io::Error>>>,
}

impl Output {
    /// Output in words, or with `json` as one JSON object per line.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, started: Instant::now(), margin: "", bar: Rc::default(), mute: Rc::default() }
    }

    /// The same output with something in front of each note, to tell two speakers apart.
    pub(crate) fn with_margin(&self, margin: &'static str) -> Self {
        let (bar, mute) = (Rc::clone(&self.bar), Rc::clone(&self.mute));
        Self { json: self.json, started: self.started, margin, bar, mute }
    }

    /// Whether JSON lines were asked for.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether stderr is a terminal that may be drawn on (progress bars, colour).
    pub(crate) fn interactive(&self) -> bool {
        !self.json && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// A line of data on stdout, in words only.
    pub(crate) fn data(&self, line: impl AsRef<str>) {
        if !self.json {
            self.above_bar(|| self.emit(line.as_ref()));
        }
    }

    /// Draws `bar` below the words from now on; `None` ends that.
    pub(crate) fn draw(&self, bar: Option<ProgressBar>) {
        if let Some(old) = self.bar.replace(bar) {
            old.finish_and_clear();
        }
    }

    /// Speaks where a bar may be drawn.
    fn above_bar(&self, speak: impl FnOnce()) {
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(speak),
            None => speak(),
        }
    }

    /// A heading among the data on stdout, in words only.
    pub(crate) fn heading(&self, line: impl AsRef<str>) {
        let bold = self.interactive() && io::stdout().is_terminal();
        let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.data(format!("\n{on}{}{off}", line.as_ref()));
    }

    /// A line for people on stderr, in words only.
    pub(crate) fn note(&self, line: impl AsRef<str>) {
        if !self.json {
            self.above_bar(|| {
                let _ = writeln!(io::stderr(), "{}{}", self.margin, line.as_ref());
            });
        }
    }

    /// A line for people on stderr, whatever was asked for: warnings that must not be missed.
    pub(crate) fn warn(&self, line: impl AsRef<str>) {
        self.above_bar(|| {
            let _ = writeln!(io::stderr(), "warning: {}", line.as_ref());
        });
        self.event("warning", serde_json::json!({ "message": line.as_ref() }));
    }

    /// An event: a JSON line `{"event":name, …fields}` on stdout, with `--json` only. `fields` is an object.
    pub(crate) fn event(&self, name: &str, fields: Value) {
        if !self.json {
            return;
        }
        let mut line = Map::new();
        line.insert("event".into(), name.into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        self.emit(&Value::Object(line).to_string());
    }

    /// Like [`Self::event`], with `"ms"` since the command started.
    pub(crate) fn timed(&self, name: &str, fields: Value) {
        let mut fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        fields.entry("ms").or_insert(ms.into());
        self.event(name, Value::Object(fields));
    }

    /// Why stdout could not be written, if it could not be. A reader that went away knew enough and is no reason.
    pub(crate) fn broken(&self) -> Option<String> {
        let mute = self.mute.borrow();
        mute.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(ToString::to_string)
    }

    /// One line on stdout. What becomes of an update does not hang on who listens: after an error stdout stays mute,
    /// and the job goes on.
    fn emit(&self, line: &str) {
        let mut mute = self.mute.borrow_mut();
        if mute.is_none() {
            let mut out = io::stdout().lock();
            *mute = writeln!(out, "{line}").and_then(|()| out.flush()).err();
        }
    }
}
