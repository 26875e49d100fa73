//! A device on a small flash, signed images for it, and the least client that can talk to it, all in virtual time.

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, with_timeout};
use otaru_crypto::Scheme;
use otaru_device_sim::payload::Record;
use otaru_device_sim::port::{DatagramPort, DatagramWire};
use otaru_device_sim::{Bonds, Config, Device, Event, Pace};
use otaru_flash::{DeviceId, Geometry, WriteUnit};
use otaru_layout::{Area, Layout, Mode, Slot, Spec};
use otaru_nor_sim::{NorFlash, Timing};
use otaru_sign::build::{Plan, Request as Trailer, SignedImage, sign};
use otaru_sign::key::SigningKey;
use otaru_sim_rt::ClockMode;
use otaru_smp::image::{EraseRequest, SetStateRequest, StateRequest, StateResponse, UploadRequest, UploadResponse};
use otaru_smp::os::{EchoRequest, EchoResponse, ResetRequest};
use otaru_smp::{AnswerError, Message, Request, Version as SmpVersion, read_answer};
use std::cell::{Cell, RefCell};

/// 256 KiB of nRF52840: 32 sectors for each slot.
pub(crate) fn layout() -> Layout {
    let flash = Geometry::uniform(4096, 64, WriteUnit::new(4).unwrap(), 0xff);
    let area = |offset| Area { device: DeviceId(0), offset, len: 0x20000 };
    Layout::new(&Spec { primary: area(0), secondary: area(0x20000), ..Spec::new(Mode::SwapMove, &[flash]) }).unwrap()
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(Scheme::Ed25519).unwrap()
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

/// A device that runs `running`, and a client on a wire to it.
pub(crate) fn wired(key: &SigningKey, running: &SignedImage, timing: Timing) -> (Device, Client) {
    let (port, wire) = DatagramPort::in_memory();
    (device(key, Some(running), timing).with_datagrams(port), Client::new(wire))
}

/// Runs `test` beside the device, in virtual time, and not for ever.
pub(crate) fn simulate<T>(device: &Device, log: &Log, test: impl Future<Output = T>) -> T {
    otaru_sim_rt::run(ClockMode::Virtual, async {
        let events = |event: Event| log.take(&event);
        let device = Box::pin(device.run::<T>(&events));
        match select(device, with_timeout(Duration::from_secs(900), test)).await {
            Either::First(never) => never,
            Either::Second(result) => result.expect("the test took longer than 15 minutes of virtual time"),
        }
    })
}

/// An image as a device lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) slot: u32,
    pub(crate) version: String,
    pub(crate) hash: Vec<u8>,
    /// `active confirmed pending permanent`, those that hold.
    pub(crate) flags: String,
}

/// Repeats its requests until they are answered.
pub(crate) struct Client {
    wire: DatagramWire,
    sequence: Cell<u8>,
}

impl Client {
    pub(crate) fn new(wire: DatagramWire) -> Self {
        Self { wire, sequence: Cell::new(0) }
    }

    /// The body of the answer to a request. Repeats it for a minute.
    pub(crate) async fn ask<'a, R: Request<'a>>(&self, request: &R) -> Vec<u8> {
        self.ask_for(request, 60).await.expect("no answer for a minute")
    }

    pub(crate) async fn ask_for<'a, R: Request<'a>>(&self, request: &R, seconds: u64) -> Option<Vec<u8>> {
        let sequence = self.sequence.get();
        self.sequence.set(sequence.wrapping_add(1));
        let mut frame = vec![0; 4096];
        let len = request.message(SmpVersion::V2, sequence, &mut frame).unwrap();
        for _ in 0..seconds {
            self.wire.send(&frame[..len]);
            let answer = async {
                loop {
                    let answer = self.wire.receive().await;
                    let (message, _) = Message::split(&answer).unwrap();
                    if message.header.sequence == sequence {
                        return message.body.to_vec();
                    }
                }
            };
            if let Ok(body) = with_timeout(Duration::from_secs(1), answer).await {
                return Some(body);
            }
        }
        None
    }

    pub(crate) async fn echo(&self, text: &str) -> String {
        let body = self.ask(&EchoRequest { text }).await;
        read_answer::<EchoResponse<'_>>(&body).unwrap().text.to_owned()
    }

    pub(crate) async fn list(&self) -> Vec<Listed> {
        let body = self.ask(&StateRequest).await;
        listed(&body).unwrap()
    }

    /// `slot version flags` of each image, one a line.
    pub(crate) async fn state(&self) -> String {
        let lines = self.list().await;
        lines
            .iter()
            .map(|image| format!("{} {} {}", image.slot, image.version, image.flags).trim_end().to_owned() + "\n")
            .collect()
    }

    pub(crate) async fn set_state(&self, hash: Option<&[u8]>, confirm: bool) -> Result<Vec<Listed>, String> {
        let body = self.ask(&SetStateRequest { hash, confirm }).await;
        listed(&body)
    }

    /// Sends one piece and gives the offset that is wanted next.
    pub(crate) async fn piece(&self, image: &[u8], offset: usize, len: usize) -> Result<usize, String> {
        let data = &image[offset..image.len().min(offset + len)];
        let request = match offset {
            0 => UploadRequest::first(data, u32::try_from(image.len()).unwrap(), None),
            offset => UploadRequest::next(u32::try_from(offset).unwrap(), data),
        };
        let body = self.ask(&request).await;
        let answer: UploadResponse = read_answer(&body).map_err(words)?;
        Ok(usize::try_from(answer.offset).unwrap())
    }

    pub(crate) async fn upload(&self, image: &[u8]) -> Result<(), String> {
        let mut offset = 0;
        while offset < image.len() {
            offset = self.piece(image, offset, 1024).await?;
        }
        Ok(())
    }

    pub(crate) async fn erase(&self) -> Result<(), String> {
        let body = self.ask(&EraseRequest { slot: None }).await;
        read_answer::<otaru_smp::image::EraseResponse>(&body).map(|_| ()).map_err(words)
    }

    /// Asks for a reset and waits until the device answers again.
    pub(crate) async fn reset(&self, log: &Log) {
        let before = log.0.borrow().iter().filter(|line| *line == "reset").count();
        self.ask(&ResetRequest::default()).await;
        while log.0.borrow().iter().filter(|line| *line == "reset").count() == before {
            embassy_time::Timer::after(Duration::from_millis(10)).await;
        }
        self.echo("up?").await;
    }
}

fn listed(body: &[u8]) -> Result<Vec<Listed>, String> {
    let answer: StateResponse<'_> = read_answer(body).map_err(words)?;
    let listed = answer.images.iter().map(|image| {
        let flags = [
            ("active", image.active),
            ("confirmed", image.confirmed),
            ("pending", image.pending),
            ("permanent", image.permanent),
        ];
        let flags: Vec<_> = flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
        Listed {
            slot: image.slot,
            version: image.version.into(),
            hash: image.hash.unwrap().to_vec(),
            flags: flags.join(" "),
        }
    });
    Ok(listed.collect())
}

/// The refusal in an answer: its code and its words.
fn words(error: AnswerError<'_>) -> String {
    error.to_string()
}
