//! What the virtual device says: lines on stdout, in words or JSON.

use crate::output::Output;
use otaru_ble::peripheral::Event as BleEvent;
use otaru_device_sim::{AppEvent, Event};
use serde_json::{Value, json};
use std::cell::RefCell;

/// Says what happens, once the device can be used: the first lines are those of the transports. A device that resets
/// or gives up before that is heard at once, and its transports when they can be used.
pub(super) struct Teller<'a> {
    output: &'a Output,
    /// The transports, until they can be used.
    ready: RefCell<Vec<(&'static str, String)>>,
    waiting: RefCell<Option<Waiting>>,
}

/// What is not said yet.
#[derive(Default)]
struct Waiting {
    notes: Vec<&'static str>,
    warnings: Vec<String>,
    events: Vec<Event>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, ready: RefCell::default(), waiting: RefCell::new(Some(Waiting::default())) }
    }

    /// A transport that can be used as soon as the application serves.
    pub(super) fn ready(&mut self, transport: &'static str, address: String) {
        self.ready.get_mut().push((transport, address));
    }

    /// Something that people should know and scripts need not.
    pub(super) fn note(&mut self, note: &'static str) {
        if let Some(waiting) = self.waiting.get_mut() {
            waiting.notes.push(note);
        }
    }

    pub(super) fn warn(&mut self, warning: String) {
        if let Some(waiting) = self.waiting.get_mut() {
            waiting.warnings.push(warning);
        }
    }

    pub(super) fn event(&self, event: &Event) {
        if matches!(event, Event::Serving) {
            for (transport, address) in self.ready.take() {
                self.output.data(format!("ready {transport} {address}"));
                self.output.timed("ready", json!({ "transport": transport, "address": address }));
            }
        }
        let mut waiting = self.waiting.borrow_mut();
        let Some(held) = waiting.as_mut() else {
            drop(waiting);
            return self.say(event);
        };
        held.events.push(event.clone());
        if !matches!(event, Event::Serving | Event::NoImage { .. } | Event::FlashFailed { .. } | Event::Reset) {
            return;
        }
        let Some(Waiting { notes, warnings, events }) = waiting.take() else { return };
        drop(waiting);
        notes.iter().for_each(|note| self.output.note(note));
        warnings.iter().for_each(|warning| self.output.warn(warning));
        events.iter().for_each(|event| self.say(event));
    }

    pub(super) fn done(&self) {
        self.output.timed("done", json!({}));
    }

    fn say(&self, event: &Event) {
        self.output.data(event.to_string());
        if matches!(event, Event::NoImage { .. }) {
            self.output.note("put an image there: stop the device, and start it again with --image SIGNED");
        }
        let (name, fields) = fields(event);
        self.output.timed(name, fields);
    }
}

/// An event's name and fields in JSON, as `docs/json.md` publishes them.
fn fields(event: &Event) -> (&'static str, Value) {
    let message = event.to_string();
    match event {
        Event::Boot { report, busy } => {
            let lines: Vec<_> = report.to_string().lines().map(str::to_owned).collect();
            let version = report.outcome.and_then(Result::ok).map(|booting| booting.version.to_string());
            ("boot", json!({ "report": lines, "version": version, "busy_ms": busy.as_millis() }))
        }
        Event::NoImage { rejection } => ("no-image", json!({ "reason": rejection.to_string() })),
        Event::FlashFailed { error } => ("flash-failed", json!({ "reason": error })),
        Event::BadRecord(error) => ("bad-record", json!({ "reason": error.to_string() })),
        Event::Running { name, version, on_trial } => {
            ("running", json!({ "name": name, "version": version.to_string(), "on_trial": on_trial }))
        }
        Event::SelfTest { passed } => ("self-test", json!({ "passed": passed })),
        Event::Serving => ("serving", json!({})),
        Event::Watchdog => ("watchdog", json!({})),
        Event::App(event) => app(event, message),
        Event::Ble(BleEvent::Passkey { peer, passkey, fixed }) => {
            ("passkey", json!({ "value": passkey.to_string(), "peer": peer.to_string(), "fixed": fixed }))
        }
        Event::Ble(_) => ("ble", json!({ "message": message })),
        Event::RadioFailed { error } => ("radio-failed", json!({ "reason": error.to_string() })),
        Event::Reset => ("reset", json!({})),
        _ => ("device", json!({ "message": message })),
    }
}

fn app(event: &AppEvent, message: String) -> (&'static str, Value) {
    match event {
        AppEvent::UploadBegan { version, len } => {
            ("upload-began", json!({ "version": version.to_string(), "size": len }))
        }
        AppEvent::Pending { permanent } => ("pending", json!({ "permanent": permanent })),
        AppEvent::Rejected(rejection) => ("rejected", json!({ "reason": rejection.to_string() })),
        AppEvent::Confirmed => ("confirmed", json!({})),
        AppEvent::Erased => ("erased", json!({})),
        AppEvent::Restarting => ("restarting", json!({})),
        _ => ("device", json!({ "message": message })),
    }
}
