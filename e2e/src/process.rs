//! `otaru … --json` as a child process, read line by line and bounded in time.

use crate::{event, otaru};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running `otaru` command that speaks JSON lines. Killed when dropped.
#[derive(Debug)]
pub struct JsonProcess {
    name: String,
    child: Child,
    lines: Receiver<Result<Value, String>>,
    stderr: Option<JoinHandle<String>>,
    seen: Vec<Value>,
}

impl JsonProcess {
    /// Starts `otaru` with these arguments and `--json`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut command = otaru();
        command.args(args).arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let name = format!("otaru {}", words.join(" "));
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("its stdout is a pipe")?;
        let mut stderr = child.stderr.take().context("its stderr is a pipe")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                let value = serde_json::from_str(&line).map_err(|error| format!("not JSON ({error}): {line}"));
                if send.send(value).is_err() {
                    break;
                }
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is what there is to show.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self { name, child, lines, stderr: Some(stderr), seen: Vec::new() })
    }

    /// The next line that `wanted` holds for, among those not looked at yet.
    ///
    /// # Errors
    /// It ends, or does not come within `patience`; with everything that was said.
    pub fn next(&mut self, what: &str, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Ok(line)) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return Ok(line);
                    }
                }
                Ok(Err(line)) => bail!("{}: {line}", self.name),
                Err(RecvTimeoutError::Timeout) => bail!("no {what} in {patience:?}\n{}", self.told()),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended before {what}\n{}", self.told()),
            }
        }
    }

    /// Everything it has said so far.
    pub fn said(&mut self) -> &[Value] {
        self.seen.extend(self.lines.try_iter().flatten());
        &self.seen
    }

    /// Whether an event of that name was said.
    pub fn has_said(&mut self, name: &str) -> bool {
        self.said().iter().any(|line| event(line) == name)
    }

    /// Waits for its end by itself.
    ///
    /// # Errors
    /// It takes longer than `patience`, or ends with another status than 0; with everything that was said.
    pub fn finish(mut self, patience: Duration) -> Result<Vec<Value>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line.map_err(anyhow::Error::msg)?),
                Err(RecvTimeoutError::Timeout) => bail!("not done in {patience:?}\n{}", self.told()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{status}\n{}", self.told());
        }
        Ok(std::mem::take(&mut self.seen))
    }

    /// SIGKILL. Everything it said before can still be asked for.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // Fails only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let status = self.child.wait()?;
        // The pipe's end: whatever was written is in the channel when the reader is gone.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.seen.extend(line);
        }
        Ok(status)
    }

    /// What was run, and what it said on both outputs. Ends it.
    fn told(&mut self) -> String {
        let _ = self.kill();
        let mut told = format!("$ {}\n", self.name);
        self.seen.iter().for_each(|line| told.push_str(&format!("{line}\n")));
        if let Some(Ok(stderr)) = self.stderr.take().map(JoinHandle::join) {
            told.push_str(&stderr);
        }
        told
    }
}

impl Drop for JsonProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
