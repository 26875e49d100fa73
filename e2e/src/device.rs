//! A virtual device as a child process, read through its JSON lines.

use crate::otaru;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a device may take to say what is waited for. Only a bound against hanging: nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(120);

/// `otaru device --json …`, killed when dropped.
#[derive(Debug)]
pub struct DeviceProcess {
    child: Child,
    lines: Receiver<Value>,
    seen: Vec<Value>,
}

impl DeviceProcess {
    /// Starts a device with these arguments after `otaru device --json`.
    ///
    /// # Panics
    /// If the command cannot be started.
    #[must_use]
    pub fn start<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut child = otaru()
            .args(["device", "--json"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("otaru device starts");
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
                if send.send(value).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// The address in the `ready` line of `transport`.
    pub fn address(&mut self, transport: &str) -> String {
        let ready = self
            .wait_for(&format!("ready {transport}"), |line| event(line) == "ready" && line["transport"] == transport);
        ready["address"].as_str().expect("ready carries an address").to_owned()
    }

    /// The first line, said already or still to come, that `wanted` holds for.
    ///
    /// # Panics
    /// If the device ends or stays silent for two minutes before it says so.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(line) = self.seen.iter().find(|line| wanted(line)) {
            return line.clone();
        }
        self.wait_for_next(what, wanted)
    }

    /// Like [`Self::wait_for`], among lines not looked at yet.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub fn wait_for_next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in {PATIENCE:?}; the device said {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the device ended before {what}; it said {:#?}", self.seen)
                }
            }
        }
    }

    /// Everything it has said so far.
    pub fn said(&mut self) -> &[Value] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// Takes its power away: SIGKILL, between two flash writes or inside a pause.
    pub fn kill(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for DeviceProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The name of an event line, or an empty string.
#[must_use]
pub fn event(line: &Value) -> &str {
    line["event"].as_str().unwrap_or_default()
}
