//! The device under watch, the releases that are sent to it, and the narrator.

use crate::cmd::to::tell_ble;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use embassy_time::{Duration, Instant, Timer};
use otaru_ble::central::{Event as CentralEvent, PasskeySource};
use otaru_ble::peripheral::Event as BleEvent;
use otaru_ble::{Address, Passkey};
use otaru_crypto::Sha256;
use otaru_device_sim::payload::{Record, SelfTest};
use otaru_device_sim::{AppEvent, Device, Event};
use otaru_image::Version;
use otaru_layout::Layout;
use otaru_sign::build::{DEFAULT_HEADER_SIZE, Plan, Request, sign};
use otaru_sign::key::SigningKey;
use otaru_sim_rt::{ClockMode, switch};
use otaru_smp_client::Firmware;
use serde_json::json;
use std::cell::{Cell, RefCell};

/// What the device is called.
pub(super) const NAME: &str = "lock";

/// Bytes of the applications' payloads.
const PAYLOAD: usize = 96 * 1024;

/// A signed version of the application.
pub(super) struct Release {
    pub(super) version: String,
    image: Vec<u8>,
    sha: [u8; 32],
    hash: [u8; 32],
    /// The whole primary slot with this image confirmed in it, as a factory programs it.
    pub(super) slot: Vec<u8>,
}

/// What a release does when it runs on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Good,
    FailsItsSelfTest,
}

impl Release {
    pub(super) fn sign(text: &str, key: &SigningKey, layout: &Layout, behaviour: Behaviour) -> Result<Self, Failure> {
        let version: Version = text.parse().map_err(|error| super::defect(&error))?;
        let self_test = if behaviour == Behaviour::Good { SelfTest::Pass } else { SelfTest::Fail };
        let record = Record { self_test, ..Record::named(NAME).map_err(|error| super::defect(&error))? };
        let plan = Plan {
            version,
            header_size: DEFAULT_HEADER_SIZE,
            pad_header: true,
            layout: Some(layout),
            request: Request::Confirmed,
        };
        // Each version has bytes of its own all over, as two builds of one program would.
        let mut payload = record.payload(PAYLOAD);
        let salt = version.major.wrapping_mul(0x3b);
        payload[Record::LEN..].iter_mut().for_each(|byte| *byte ^= salt);
        let signed = sign(&payload, key, &plan)?;
        let image = signed.image().to_vec();
        let sha = Sha256::of(&image);
        Ok(Self { version: text.into(), sha, hash: *signed.digest(), slot: signed.to_bin().into_owned(), image })
    }

    pub(super) fn firmware(&self) -> Firmware<'_> {
        let (bytes, version) = (&self.image, &self.version);
        Firmware { bytes, file_sha: self.sha, hash: self.hash, version, image: 0 }
    }
}

/// Everything the acts share.
pub(super) struct Stage<'a> {
    output: &'a Output,
    client: Output,
    device: &'a Device,
    pub(super) key: SigningKey,
    pub(super) layout: Layout,
    paced: bool,
    watch: RefCell<Watch>,
    /// Whether somebody stands in front of the device.
    looking: Cell<bool>,
    /// Whether every step of a Bluetooth link is told, or only what matters.
    chatty: Cell<bool>,
}

/// What the device was seen doing.
#[derive(Default)]
struct Watch {
    running: Option<(String, bool)>,
    passkey: Option<Passkey>,
    secured: bool,
    rejected: bool,
    uploads: u32,
    power_losses: u32,
    resets: u32,
    on: bool,
}

impl<'a> Stage<'a> {
    pub(super) fn new(output: &'a Output, device: &'a Device, key: SigningKey, layout: Layout, paced: bool) -> Self {
        let client = output.with_margin("   client │ ");
        let watch = RefCell::new(Watch { on: true, ..Watch::default() });
        Self { output, client, device, key, layout, paced, watch, looking: Cell::new(false), chatty: Cell::new(true) }
    }

    pub(super) fn device(&self) -> &'a Device {
        self.device
    }

    pub(super) fn output(&self) -> &'a Output {
        self.output
    }

    /// Where the client's words go.
    pub(super) fn client_output(&self) -> &Output {
        &self.client
    }

    /// Whoever types the passkey that the device shows.
    pub(super) fn eyes(&self) -> Eyes<'_, 'a> {
        Eyes(self)
    }

    /// Somebody walks to the device and stands in front of it from now on.
    pub(super) async fn look(&self) {
        Timer::after(WALK).await;
        self.watch.borrow_mut().passkey = None;
        self.looking.set(true);
    }

    /// Takes an event of the device down, and shows it.
    pub(super) fn witness(&self, event: Event) {
        {
            let mut watch = self.watch.borrow_mut();
            match &event {
                Event::Running { version, on_trial, .. } => {
                    let version = version.to_string();
                    watch.running = Some((version.trim_end_matches("+0").to_owned(), *on_trial));
                }
                Event::Reset => {
                    (watch.running, watch.on) = (None, true);
                    watch.resets += 1;
                }
                Event::PowerOn => (watch.running, watch.on) = (None, true),
                Event::PowerLost => {
                    (watch.running, watch.on) = (None, false);
                    watch.power_losses += 1;
                }
                Event::App(AppEvent::Rejected(_)) => watch.rejected = true,
                Event::App(AppEvent::UploadBegan { .. }) => watch.uploads += 1,
                Event::Ble(BleEvent::Passkey { passkey, .. }) => watch.passkey = Some(*passkey),
                Event::Ble(BleEvent::Paired { bonded: true, .. }) => watch.secured = true,
                _ => {}
            }
        }
        let told = match &event {
            Event::Ble(BleEvent::Advertising | BleEvent::Tuned(_)) => false,
            Event::Ble(BleEvent::Connected { .. } | BleEvent::Disconnected { .. } | BleEvent::Secured { .. }) => {
                self.chatty.get()
            }
            _ => true,
        };
        if told {
            event.to_string().lines().for_each(|line| self.output.data(format!("   device │ {line}")));
        }
        self.output.event("device", json!({ "text": event.to_string(), "virtual_ms": Instant::now().as_millis() }));
    }

    /// A step of the client's Bluetooth link.
    pub(super) fn tell_link(&self, event: CentralEvent) {
        let matters = matches!(event, CentralEvent::AccessRefused { .. } | CentralEvent::Paired { .. });
        if self.chatty.get() || matters {
            tell_ble(&self.client, event);
        }
    }

    /// Links have been seen coming and going often enough.
    pub(super) fn hush(&self) {
        self.chatty.set(false);
    }

    /// A new act.
    pub(super) fn act(&self, title: &str, words: &str) {
        self.pace(1.0);
        self.output.heading(title);
        words.lines().for_each(|line| self.say(line));
        self.output.event("act", json!({ "title": title, "text": words.replace('\n', " ") }));
    }

    /// The narrator.
    pub(super) fn say(&self, words: &str) {
        self.output.data(format!("  {words}"));
    }

    /// What a user would type here.
    pub(super) fn command(&self, line: &str) {
        self.output.data(format!("  $ {line}"));
    }

    /// Checks that a step held; the first that did not ends the play.
    pub(super) fn held(&self, step: &str, held: bool) -> Result<(), Failure> {
        self.output.event("step", json!({ "step": step, "ok": held, "virtual_ms": Instant::now().as_millis() }));
        if held {
            self.output.data(format!("  ✓ {step}"));
            return Ok(());
        }
        let message = format!("this step did not hold: {step}");
        Err(Failure::new(Exit::Otherwise, "demo.step", message, "please report this, with `otaru demo --json`"))
    }

    /// How many seconds of the story pass in one second before somebody's eyes.
    pub(super) fn pace(&self, speed: f64) {
        if self.paced {
            switch(ClockMode::Paced { speed });
        }
    }

    /// Time to read.
    pub(super) async fn pause(&self) {
        if self.paced {
            self.pace(1.0);
            Timer::after(BREATH).await;
        }
    }

    /// The version that runs, and whether it is on trial.
    pub(super) fn running(&self) -> Option<(String, bool)> {
        self.watch.borrow().running.clone()
    }

    /// Whether this version runs.
    pub(super) fn runs(&self, version: &str) -> bool {
        self.running().is_some_and(|(running, _)| running == version)
    }

    /// Waits until something runs on the device.
    pub(super) async fn until_running(&self) -> Result<(), Failure> {
        self.until_running_after(0).await
    }

    /// Waits until something runs on the device and it was reset so many times.
    pub(super) async fn until_running_after(&self, resets: u32) -> Result<(), Failure> {
        let since = Instant::now();
        while self.running().is_none() || self.resets() < resets {
            if since.elapsed() > PATIENCE {
                return Err(super::defect(&format!("nothing runs on the device after {} s", PATIENCE.as_secs())));
            }
            Timer::after(GLANCE).await;
        }
        Ok(())
    }

    /// Waits until the device has no power.
    pub(super) async fn until_dark(&self) {
        while self.watch.borrow().on {
            Timer::after(GLANCE).await;
        }
    }

    pub(super) fn bonded(&self) -> bool {
        self.watch.borrow().secured
    }

    pub(super) fn rejected(&self) -> bool {
        self.watch.borrow().rejected
    }

    pub(super) fn uploads(&self) -> u32 {
        self.watch.borrow().uploads
    }

    pub(super) fn resets(&self) -> u32 {
        self.watch.borrow().resets
    }

    pub(super) fn power_losses(&self) -> u32 {
        self.watch.borrow().power_losses
    }
}

/// Reads the device's display, if somebody stands there.
pub(super) struct Eyes<'s, 'a>(&'s Stage<'a>);

impl PasskeySource for Eyes<'_, '_> {
    async fn passkey(&mut self, _device: &Address) -> Option<Passkey> {
        if !self.0.looking.get() {
            return None;
        }
        loop {
            if let Some(passkey) = self.0.watch.borrow_mut().passkey.take() {
                self.0.say(&format!("The device shows {passkey}. You type it."));
                return Some(passkey);
            }
            Timer::after(GLANCE).await;
        }
    }
}

/// How often the device is looked at. Virtual time: no processor waits.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a device may be without an application: a swap takes less.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long somebody takes to the device; it lets nobody pair at once after a pairing that failed.
const WALK: Duration = Duration::from_secs(2);
/// Time to read a heading.
const BREATH: Duration = Duration::from_millis(900);
