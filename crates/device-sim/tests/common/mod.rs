//! A device on a small flash, signed images for it, and what it says.

use otaru_device_sim::payload::Record;
use otaru_device_sim::{Bonds, Config, Device, Event, Pace};
use otaru_flash::{DeviceId, Geometry, WriteUnit};
use otaru_layout::{Area, Layout, Mode, Slot, Spec};
use otaru_nor_sim::{NorFlash, Timing};
use otaru_sign::build::{Plan, Request as Trailer, SignedImage, sign};
use otaru_sign::key::SigningKey;
use std::cell::RefCell;

/// 256 KiB of nRF52840: 32 sectors for each slot.
pub(crate) fn layout() -> Layout {
    let flash = Geometry::uniform(4096, 64, WriteUnit::new(4).unwrap(), 0xff);
    let area = |offset| Area { device: DeviceId(0), offset, len: 0x20000 };
    Layout::new(&Spec { primary: area(0), secondary: area(0x20000), ..Spec::new(Mode::SwapMove, &[flash]) }).unwrap()
}

/// The key that devices here trust: always the same, so that every run is.
pub(crate) fn key() -> SigningKey {
    key_of("MC4CAQAwBQYDK2VwBCIEIOy+Oz+baT7qivmL5IYIC2dxJuQKxQQruQZLIMdshYYW")
}

/// A key from what stands between the lines of its PEM.
pub(crate) fn key_of(text: &str) -> SigningKey {
    SigningKey::from_pem(&format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")).unwrap()
}

/// An image of 20 KiB and a bit that carries this record.
pub(crate) fn image(key: &SigningKey, version: &str, record: &Record) -> SignedImage {
    let plan = Plan {
        version: version.parse().unwrap(),
        header_size: 0x200,
        pad_header: true,
        layout: Some(&layout()),
        request: Trailer::None,
    };
    sign(&record.payload(20_000), key, &plan).unwrap()
}

pub(crate) fn record(name: &str) -> Record {
    Record::named(name).unwrap()
}

/// Everything a device says, in words.
#[derive(Default)]
pub(crate) struct Log(RefCell<Vec<String>>);

impl Log {
    pub(crate) fn take(&self, event: &Event) {
        self.0.borrow_mut().push(event.to_string());
    }

    pub(crate) fn has(&self, words: &str) -> bool {
        self.0.borrow().iter().any(|line| line.contains(words))
    }

    /// How many lines are just this.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.0.borrow().iter().filter(|said| *said == line).count()
    }

    /// The lines since the last call.
    pub(crate) fn lines(&self) -> String {
        self.0.borrow_mut().drain(..).map(|line| line + "\n").collect()
    }
}

/// A device that trusts `key`, with flash that is erased or holds `running`.
pub(crate) fn device(key: &SigningKey, running: Option<&SignedImage>, timing: Timing) -> Device {
    let layout = layout();
    let mut flash = NorFlash::erased(&layout.devices().collect::<Vec<_>>()).with_timing(timing);
    if let Some(image) = running {
        flash.load(layout.address(Slot::Primary, 0).unwrap(), image.image()).unwrap();
    }
    let config = Config {
        layout,
        keys: vec![key.public().to_der().to_vec()],
        name: "lock".into(),
        passkey: None,
        pace: Pace::Afterwards,
    };
    Device::new(flash, Bonds::in_memory(), config).unwrap()
}
