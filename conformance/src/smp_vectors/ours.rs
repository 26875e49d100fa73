//! Our application on simulated flash, in the state that the recorded server was in.

use super::meaning::{Meaning, bytes, decode, entry};
use super::recording::{Listed, Recording, Vector};
use anyhow::{Context, Result, anyhow, ensure};
use ciborium::Value;
use embassy_futures::block_on;
use otaru_boot::Options;
use otaru_crypto::{KeySet, PublicKey, Scheme, Sha256};
use otaru_device_app::{App, Board, ClockError, Info};
use otaru_flash::{AsyncFlash, DeviceId, Flash, FlashAddr, Geometry, ReadFlash, WriteUnit};
use otaru_image::Version;
use otaru_layout::{Area, Layout, Mode, Slot, Spec};
use otaru_nor_sim::{NorError, NorFlash};
use otaru_policy::{Access, Link, Policy, Transport};
use otaru_sign::build::{Plan, Request, SignedImage, sign};
use otaru_sign::key::SigningKey;
use otaru_smp::image::UploadRequest;
use otaru_smp::os::Task;
use otaru_smp::{DateTime, Group, HEADER_SIZE, Header, Request as _, Version as SmpVersion, command};
use std::cell::RefCell;
use std::rc::Rc;

/// Slots as the recorded server's: 0x69000 bytes in sectors of 4 KiB.
const SLOT: u32 = 0x0006_9000;

/// Bytes of the file that is uploaded, where no recorded request says.
const LEN: u32 = 60_663;

/// A device, and what of the recorded one corresponds to what of it.
pub(super) struct Ours<'a> {
    app: App<'a, SharedFlash, KeySet<'a>, Quiet>,
    flash: SharedFlash,
    /// Recorded hashes, and those of our images in the same slots.
    hashes: Vec<(Vec<u8>, Vec<u8>)>,
    /// The SHA-256 of the recorded file, and of ours.
    sha: (Option<Vec<u8>>, Vec<u8>),
    /// The file to upload where theirs was uploaded.
    file: Vec<u8>,
}

/// Makes a device for a recording and does something with it.
pub(super) fn with_device<T>(recording: &Recording, what: impl FnOnce(&mut Ours<'_>) -> Result<T>) -> Result<T> {
    let geometry = Geometry::uniform(4096, 2 * SLOT / 4096, WriteUnit::new(8).context("a write unit")?, 0xff);
    let area = |offset| Area { device: DeviceId(0), offset, len: SLOT };
    let devices = [geometry];
    let slots = Spec { primary: area(0), secondary: area(SLOT), ..Spec::new(Mode::SwapMove, &devices) };
    let layout = Layout::new(&slots)?;
    let key = SigningKey::generate(Scheme::Ed25519)?;
    let version = |listed: &Option<Listed>, other| listed.as_ref().map_or(other, |listed| listed.version);
    let running = image(&key, version(&recording.listed[0], Version::new(1, 1, 0, 1)), 20_000)?;
    let len = recording.file.as_ref().map_or(LEN, |file| file.len);
    let update = image(&key, version(&recording.listed[1], Version::new(1, 2, 0, 2)), len)?;
    let sha = Sha256::of(update.image());

    let mut flash = NorFlash::erased(&devices);
    let start = layout.address(Slot::Primary, 0).context("a slot begins somewhere")?;
    flash.load(start, running.image())?;
    let flash = SharedFlash(Rc::new(RefCell::new(flash)));
    let keys = [PublicKey::from_der(key.public().to_der())?];
    let policy = Policy::deny_all().with(Transport::Udp, Access::open());
    let pairs = recording.listed.iter().zip([running.digest(), update.digest()]);
    let hashes = pairs.filter_map(|(listed, ours)| Some((listed.as_ref()?.hash.clone(), ours.to_vec())));
    let mut ours = Ours {
        app: App::new(flash.clone(), layout, KeySet::new(&keys), Options::default(), policy, &Quiet),
        flash,
        hashes: hashes.collect(),
        sha: (recording.file.as_ref().map(|file| file.sha.clone()), sha.to_vec()),
        file: update.image().to_vec(),
    };
    what(&mut ours)
}

/// A signed image whose file is so long.
fn image(key: &SigningKey, version: Version, len: u32) -> Result<SignedImage> {
    let plan = Plan { version, header_size: 0x200, pad_header: true, layout: None, request: Request::None };
    let sized = |len: usize| sign(&(0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>(), key, &plan);
    let len = usize::try_from(len)?;
    let around = sized(0x400)?.image().len() - 0x400;
    let payload = len.checked_sub(around).with_context(|| format!("no image has only {len} bytes"))?;
    let image = sized(payload)?;
    ensure!(image.image().len() == len, "an image of {} bytes, not {len}", image.image().len());
    Ok(image)
}

impl Ours<'_> {
    /// Answers a datagram.
    pub(super) fn exchange(&self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut answer = vec![0; otaru_device_app::FRAME];
        let (mut requests, mut answers) = (datagram, Vec::new());
        while let Some(len) = block_on(self.app.handle_next(&Link::udp(), &mut requests, &mut answer)) {
            answers.push(answer[..len].to_vec());
        }
        answers
    }

    /// Uploads our file where theirs was uploaded by requests that were too long to record. Gives the first request
    /// and the answers to it.
    pub(super) fn upload_again(&self, theirs: &[Meaning]) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
        let Some(Meaning::Message { header, body }) = theirs.first() else {
            return Err(anyhow!("neither a request nor an answer was recorded"));
        };
        let upload = header.group == Group::IMAGE && header.command == command::image::UPLOAD;
        let first = entry(body, "off").and_then(super::meaning::number).and_then(|off| usize::try_from(off).ok());
        let first = first.filter(|first| upload && (32..=2048).contains(first));
        let size = first.context("a request without bytes can only be the first piece of an upload")?;
        let mut beginning = None;
        for (n, data) in self.file.chunks(size).enumerate() {
            let request = match n {
                0 => UploadRequest::first(data, u32::try_from(self.file.len())?, Some(&self.sha.1)),
                n => UploadRequest::next(u32::try_from(n * size)?, data),
            };
            let mut frame = vec![0; otaru_device_app::FRAME];
            let len = request.message(SmpVersion::V2, header.sequence, &mut frame)?;
            frame.truncate(len);
            let answers = self.exchange(&frame);
            beginning.get_or_insert((frame, answers));
        }
        beginning.context("a file has bytes")
    }

    /// All bytes of the flash.
    pub(super) fn flash(&self) -> Vec<u8> {
        self.flash.0.borrow().bytes(DeviceId(0)).unwrap_or_default().to_vec()
    }

    /// Puts back what [`Self::flash`] gave.
    pub(super) fn restore(&self, bytes: &[u8]) -> Result<()> {
        Ok(self.flash.0.borrow_mut().load(FlashAddr::new(DeviceId(0), 0), bytes)?)
    }

    /// A request with our images in place of theirs, if it depends on theirs.
    pub(super) fn translate_request(&self, vector: &Vector) -> Vec<u8> {
        let header = Header::parse(&vector.request).filter(|_| !vector.replay);
        let translated = header.and_then(|header| {
            let mut body = decode(vector.request.get(HEADER_SIZE..)?)?;
            self.translate(&header, &mut body);
            Some(message(header, &body))
        });
        translated.unwrap_or_else(|| vector.request.clone())
    }

    /// An answer with our hashes in place of theirs.
    pub(super) fn translate_answer(&self, answer: &[u8]) -> Vec<u8> {
        let translated = Header::parse(answer).filter(|header| header.group == Group::IMAGE).and_then(|header| {
            let mut body = decode(answer.get(HEADER_SIZE..)?)?;
            let Value::Map(entries) = &mut body else { return None };
            for (key, value) in entries {
                if let (Some("images"), Value::Array(images)) = (key.as_text(), value) {
                    images.iter_mut().for_each(|image| self.translate_hash(image));
                }
            }
            Some(message(header, &body))
        });
        translated.unwrap_or_else(|| answer.to_vec())
    }

    fn translate(&self, header: &Header, body: &mut Value) {
        let upload = header.command == command::image::UPLOAD;
        if header.group != Group::IMAGE {
            return;
        }
        self.translate_hash(body);
        let offset = entry(body, "off").and_then(super::meaning::number).and_then(|off| usize::try_from(off).ok());
        let Value::Map(entries) = body else { return };
        for (key, value) in entries.iter_mut().filter(|_| upload) {
            let Some(bytes) = bytes(value) else { continue };
            match key.as_text() {
                Some("sha") if self.sha.0.as_deref() == Some(bytes) => *value = Value::Bytes(self.sha.1.clone()),
                Some("data") => {
                    let ours = offset.and_then(|at| self.file.get(at..at.checked_add(bytes.len())?));
                    if let Some(ours) = ours {
                        *value = Value::Bytes(ours.to_vec());
                    }
                }
                _ => {}
            }
        }
    }

    /// Replaces a recorded hash, or the beginning of one.
    fn translate_hash(&self, map: &mut Value) {
        let Value::Map(entries) = map else { return };
        for (_, value) in entries.iter_mut().filter(|(key, _)| key.as_text() == Some("hash")) {
            let Value::Bytes(hash) = value else { continue };
            let pair = self.hashes.iter().find(|(theirs, _)| !hash.is_empty() && theirs.starts_with(hash));
            if let Some(ours) = pair.and_then(|(_, ours)| ours.get(..hash.len())) {
                *hash = ours.to_vec();
            }
        }
    }
}

fn message(header: Header, body: &Value) -> Vec<u8> {
    let mut encoded = Vec::new();
    // Writing to memory does not fail, and a translated body is as long as the one it was made from.
    let _ = ciborium::into_writer(body, &mut encoded);
    let length = u16::try_from(encoded.len()).unwrap_or(u16::MAX);
    [&Header { length, ..header }.emit()[..], &encoded].concat()
}

/// Flash that application and runner both see.
#[derive(Clone)]
struct SharedFlash(Rc<RefCell<NorFlash>>);

impl ReadFlash for SharedFlash {
    type Error = NorError;

    fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), NorError> {
        self.0.borrow_mut().read(at, out)
    }
}

impl AsyncFlash for SharedFlash {
    async fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), NorError> {
        self.0.borrow_mut().write(at, data)
    }

    async fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), NorError> {
        self.0.borrow_mut().erase(at, len)
    }
}

/// A board that has a clock which nobody has set.
struct Quiet;

impl Board for Quiet {
    fn date_time(&self) -> Result<Option<DateTime>, ClockError> {
        Ok(None)
    }

    fn set_date_time(&self, _: DateTime) -> Result<(), ClockError> {
        Ok(())
    }

    fn info(&self) -> Info<'_> {
        Info { kernel: "otaru", node: "vectors", ..Info::default() }
    }

    fn tasks(&self) -> &[Task<'_>] {
        const TASKS: [Task<'static>; 1] = [Task {
            name: "app",
            priority: 0,
            id: 0,
            state: 0,
            stack_used: None,
            stack_size: None,
            switches: None,
            run_time: None,
        }];
        &TASKS
    }
}
