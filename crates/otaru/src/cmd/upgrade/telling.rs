//! What an upload and an upgrade tell, as words, as a bar, or as JSON lines.

use crate::cmd::image::slot_json;
use crate::output::Output;
use indicatif::{ProgressBar, ProgressStyle};
use otaru_smp_client::{Event, Progress, Proof, UploadEvent, Uploaded};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Renders events as they come.
pub(crate) struct Telling<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    /// When progress was last told as a line.
    last: Option<Instant>,
}

impl<'a> Telling<'a> {
    pub(crate) fn new(output: &'a Output) -> Self {
        Self { output, bar: None, last: None }
    }

    /// An upgrade's event.
    pub(crate) fn upgrade(&mut self, event: &Event) {
        match event {
            Event::Upload(event) => return self.upload(event),
            Event::Uploaded(uploaded) => return self.uploaded(uploaded),
            _ => {}
        }
        self.line(words(event));
        if let Some((name, fields)) = fields(event) {
            self.output.timed(name, fields);
        }
    }

    /// An upload's event.
    pub(crate) fn upload(&mut self, event: &UploadEvent) {
        match event {
            UploadEvent::Started { len, frame, window } => {
                self.bar = self.output.interactive().then(|| bar(*len));
                self.line(Some(format!("uploading {len} bytes, {window} frames of {frame} bytes in flight")));
                self.output.timed("upload-started", json!({ "size": len, "frame": frame, "window": window }));
            }
            UploadEvent::Resumed { offset } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(u64::from(*offset));
                    bar.reset_eta();
                }
                self.line(Some(format!("the device has the first {offset} bytes already")));
                self.output.timed("resumed", json!({ "offset": offset }));
            }
            UploadEvent::Progress(progress) => self.progress(progress),
            UploadEvent::WindowReduced { window } => {
                self.line(Some(format!("the device has few buffers: {window} frames in flight from now on")));
                self.output.timed("window", json!({ "window": window }));
            }
            UploadEvent::Restarted { offset } => {
                self.line(Some(format!("the device lost the upload after {offset} bytes: beginning again")));
                self.output.timed("restarted", json!({ "offset": offset }));
            }
            UploadEvent::LinkLost { why } => {
                self.line(Some(format!("{why}: making the link anew")));
                self.output.timed("link-lost", json!({ "why": why }));
            }
            _ => {}
        }
    }

    /// The end of an upload.
    pub(crate) fn uploaded(&mut self, uploaded: &Uploaded) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let proof = match uploaded.proof {
            Proof::Hashed => "the device checked its SHA-256",
            Proof::Listed => "the device lists the image",
            _ => "the device counted all bytes",
        };
        let (sent, seconds) = (uploaded.sent, Duration::from_millis(uploaded.ms).as_secs_f64());
        self.line(Some(format!("uploaded {sent} bytes in {seconds:.1} s, {}; {proof}", kilobytes(uploaded.rate()))));
        self.output.timed("uploaded", uploaded_json(uploaded));
    }

    fn progress(&mut self, progress: &Progress) {
        let Progress { offset, len, rate, remaining_ms } = *progress;
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(offset));
            bar.set_message(format!("{} {} left", kilobytes(rate), seconds(remaining_ms)));
            return;
        }
        let every = if self.output.json() { EVERY_LINE } else { EVERY_WORD };
        if offset < len && self.last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.last = Some(Instant::now());
        let percent = u64::from(offset) * 100 / u64::from(len.max(1));
        self.output.note(format!(
            "{percent:>3} % {offset} of {len} bytes, {}, {} left",
            kilobytes(rate),
            seconds(remaining_ms)
        ));
        let fields = json!({ "offset": offset, "size": len, "rate": rate, "remaining_ms": remaining_ms });
        self.output.timed("progress", fields);
    }

    /// A line of words, above the bar if there is one.
    fn line(&self, words: Option<String>) {
        match (&self.bar, words) {
            (Some(bar), Some(words)) => bar.println(words),
            (None, Some(words)) => self.output.note(words),
            (_, None) => {}
        }
    }
}

impl Drop for Telling<'_> {
    /// An upload that failed leaves its bar where it was.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// What an upload came to, for scripts.
pub(crate) fn uploaded_json(uploaded: &Uploaded) -> Value {
    let proof = match uploaded.proof {
        Proof::Hashed => "hashed",
        Proof::Listed => "listed",
        _ => "counted",
    };
    let stats = uploaded.stats;
    json!({
        "size": uploaded.len, "sent": uploaded.sent, "took_ms": uploaded.ms, "rate": uploaded.rate(), "proof": proof,
        "packets": stats.sent, "rewinds": stats.rewinds, "timeouts": stats.timeouts, "refusals": stats.refusals,
        "restarts": stats.restarts,
    })
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Connected { params: Some(params) } => {
            format!("connected: {} buffers of {} bytes", params.buf_count, params.buf_size)
        }
        Event::Connected { params: None } => "connected: the device does not tell its buffers".into(),
        Event::Erased { slot } => format!("erased slot {slot}, where another image was pending"),
        Event::Marked { permanent: false } => "the device will test the image at its next boot".into(),
        Event::Marked { permanent: true } => "the device will keep the image from its next boot on".into(),
        Event::Reset { answered: true } => "the device restarts".into(),
        Event::Reset { answered: false } => "asked the device to restart; it did not say that it will".into(),
        Event::Waiting { ms } => format!("waiting for the device, {}", seconds(*ms)),
        Event::Seen { ms } => format!("the device is there again, after {}", seconds(*ms)),
        Event::Running { version, confirmed: false } => format!("version {version} runs, on trial"),
        Event::Running { version, confirmed: true } => format!("version {version} runs, confirmed"),
        Event::LinkLost { why } => format!("{why}: making the link anew"),
        Event::Busy => "the device is busy, and asked to try again".into(),
        _ => return None,
    })
}

fn fields(event: &Event) -> Option<(&'static str, Value)> {
    Some(match event {
        Event::Connected { params } => (
            "connected",
            json!({ "buf_size": params.map(|params| params.buf_size), "buf_count": params.map(|params| params.buf_count) }),
        ),
        Event::Listed { images } => ("images", json!({ "images": images.iter().map(slot_json).collect::<Vec<_>>() })),
        Event::Erased { slot } => ("erased", json!({ "slot": slot })),
        Event::Marked { permanent } => ("marked", json!({ "permanent": permanent })),
        Event::Reset { answered } => ("reset", json!({ "answered": answered })),
        Event::Waiting { ms } => ("waiting", json!({ "waited_ms": ms })),
        Event::Seen { ms } => ("seen", json!({ "after_ms": ms })),
        Event::Running { version, confirmed } => ("running", json!({ "version": version, "confirmed": confirmed })),
        Event::LinkLost { why } => ("link-lost", json!({ "why": why })),
        Event::Busy => ("busy", json!({})),
        _ => return None,
    })
}

fn bar(len: u32) -> ProgressBar {
    let template = "{bar:30} {percent:>3} % {bytes} of {total_bytes} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(len.into()).with_style(style)
}

/// A rate for people: 1 kB is 1000 bytes.
fn kilobytes(rate: u32) -> String {
    format!("{}.{} kB/s", rate / 1_000, rate % 1_000 / 100)
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// How often progress is told where there is no bar: to scripts and to people.
const EVERY_LINE: Duration = Duration::from_millis(100);
const EVERY_WORD: Duration = Duration::from_secs(2);
