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
                self.last = Some(Instant::now());
                self.line(Some(format!("uploading {len} bytes, {window} frames of {frame} bytes in flight")));
                self.bar = self.output.interactive().then(|| bar(*len));
                self.output.draw(self.bar.clone());
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
        self.bar = None;
        self.output.draw(None);
        let proof = match uploaded.proof {
            Proof::Hashed => "the device checked its SHA-256",
            Proof::Listed => "the device lists the image",
            _ => "the device counted all bytes",
        };
        let (sent, took) = (uploaded.sent, seconds(uploaded.ms));
        self.line(Some(format!("uploaded {sent} bytes in {took}, {}; {proof}", kilobytes(uploaded.rate()))));
        self.output.timed("uploaded", uploaded_json(uploaded));
    }

    fn progress(&mut self, progress: &Progress) {
        let Progress { offset, len, rate, remaining_ms } = *progress;
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(offset));
            bar.set_message(going(rate, remaining_ms));
            return;
        }
        let every = if self.output.json() { EVERY_LINE } else { EVERY_WORD };
        if offset < len && self.last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.last = Some(Instant::now());
        let percent = u64::from(offset) * 100 / u64::from(len.max(1));
        self.output.note(format!("{percent:>3} % {offset} of {len} bytes, {}", going(rate, remaining_ms)));
        let fields = json!({ "offset": offset, "size": len, "rate": rate, "remaining_ms": remaining_ms });
        self.output.timed("progress", fields);
    }

    fn line(&self, words: Option<String>) {
        if let Some(words) = words {
            self.output.note(words);
        }
    }
}

impl Drop for Telling<'_> {
    /// An upload that failed takes its bar along.
    fn drop(&mut self) {
        self.output.draw(None);
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
        Event::Refused { why } => format!("{why}: uploading the image again"),
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
        Event::Refused { why } => ("mark-refused", json!({ "why": why })),
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
    let template = "{bar:30} {percent:>3} % {decimal_bytes} of {decimal_total_bytes} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(len.into()).with_style(style)
}

/// How fast it goes and how long it still takes, as far as that is known.
fn going(rate: Option<u32>, remaining_ms: Option<u64>) -> String {
    match (rate, remaining_ms) {
        (Some(rate), Some(ms)) => format!("{}, {} left", kilobytes(rate), seconds(ms)),
        (Some(rate), None) => kilobytes(rate),
        (None, _) => "begun".into(),
    }
}

/// A rate for people: 1 kB is 1000 bytes.
fn kilobytes(rate: u32) -> String {
    format!("{}.{} kB/s", rate / 1_000, rate % 1_000 / 100)
}

fn seconds(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) }
}

/// How often progress is told where there is no bar: to scripts and to people.
const EVERY_LINE: Duration = Duration::from_millis(100);
const EVERY_WORD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_smp_client::{Params, Stats};

    #[test]
    fn every_event_is_words_and_json() {
        let version = || "2.0.0".to_owned();
        let events = [
            Event::Connected { params: Some(Params { buf_size: 2475, buf_count: 4 }) },
            Event::Connected { params: None },
            Event::Listed { images: vec![] },
            Event::Erased { slot: 1 },
            Event::Marked { permanent: false },
            Event::Marked { permanent: true },
            Event::Reset { answered: true },
            Event::Reset { answered: false },
            Event::Waiting { ms: 1_234 },
            Event::Seen { ms: 999 },
            Event::Running { version: version(), confirmed: false },
            Event::Running { version: version(), confirmed: true },
            Event::LinkLost { why: "the link to udp:lock:1337 is lost".into() },
            Event::Busy,
        ];
        let said: String = events
            .iter()
            .map(|event| {
                let (name, fields) = fields(event).expect("an event for scripts");
                format!("{name} {fields}\n  {}\n", words(event).unwrap_or_default())
            })
            .collect();
        insta::assert_snapshot!(said, @r#"
        connected {"buf_size":2475,"buf_count":4}
          connected: 4 buffers of 2475 bytes
        connected {"buf_size":null,"buf_count":null}
          connected: the device does not tell its buffers
        images {"images":[]}
          
        erased {"slot":1}
          erased slot 1, where another image was pending
        marked {"permanent":false}
          the device will test the image at its next boot
        marked {"permanent":true}
          the device will keep the image from its next boot on
        reset {"answered":true}
          the device restarts
        reset {"answered":false}
          asked the device to restart; it did not say that it will
        waiting {"waited_ms":1234}
          waiting for the device, 1.2 s
        seen {"after_ms":999}
          the device is there again, after 999 ms
        running {"version":"2.0.0","confirmed":false}
          version 2.0.0 runs, on trial
        running {"version":"2.0.0","confirmed":true}
          version 2.0.0 runs, confirmed
        link-lost {"why":"the link to udp:lock:1337 is lost"}
          the link to udp:lock:1337 is lost: making the link anew
        busy {}
          the device is busy, and asked to try again
        "#);
    }

    #[test]
    fn upload_is_summed_up_for_scripts() {
        let stats = Stats { sent: 41, rewinds: 1, timeouts: 2, refusals: 3, restarts: 4, ..Stats::default() };
        let uploaded = Uploaded { len: 50_000, sent: 40_000, ms: 800, proof: Proof::Listed, stats };
        insta::assert_snapshot!(uploaded_json(&uploaded), @r#"{"size":50000,"sent":40000,"took_ms":800,"rate":50000,"proof":"listed","packets":41,"rewinds":1,"timeouts":2,"refusals":3,"restarts":4}"#);
    }
}
