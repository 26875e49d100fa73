//! A device for tests: two slots, a bootloader's decisions, an SMP server, and the bad habits that a test gives it.

use crate::Firmware;
use crate::link::memory::MemoryPeer;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer};
use otaru_smp::image::{
    EraseRequest, EraseResponse, ImageSlots, SetStateRequest, SlotInfo, SlotInfoResponse, SlotState, StateResponse,
    UploadRequest, UploadResponse,
};
use otaru_smp::{Body, Code, Failure, Group, ImageError, List, Message, Rc, command, os, write_message};

/// Something that can be in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) version: &'static str,
    pub(crate) hash: [u8; 32],
    pub(crate) bytes: Vec<u8>,
}

impl Image {
    pub(crate) fn new(major: u8, len: usize) -> Self {
        let version = ["0.0.0", "1.0.0", "2.0.0", "3.0.0"][usize::from(major)];
        let bytes = (0..len).map(|i| major ^ i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
        Self { version, hash: [major; 32], bytes }
    }

    pub(crate) fn firmware(&self) -> Firmware<'_> {
        Firmware {
            bytes: &self.bytes,
            file_sha: [self.hash[0] ^ 0xff; 32],
            hash: self.hash,
            version: self.version,
            image: 0,
        }
    }
}

/// What is done at the next boot, or was at this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    None,
    Test,
    Permanent,
    /// On trial: the next boot reverts.
    Revert,
}

pub(crate) struct Model {
    pub(crate) slots: [Option<Image>; 2],
    pub(crate) swap: Swap,
    /// Images that uploads may turn out to be.
    known: Vec<Image>,
    flash: Vec<u8>,
    session: Option<(u32, Vec<u8>)>,
    booted: Instant,
    // What happened.
    pub(crate) uploads: usize,
    pub(crate) boots: usize,
    pub(crate) resets_asked: usize,
    // Habits.
    pub(crate) swap_ms: u64,
    pub(crate) has_params: bool,
    pub(crate) buffers: u32,
    /// The bootloader refuses what is in the secondary slot, and erases it.
    pub(crate) rejects: bool,
    /// The new image's self-test fails this long after its first boot.
    pub(crate) fails_after_ms: Option<u64>,
    /// Confirmation is refused as busy this long after a boot.
    pub(crate) busy_ms: u64,
    /// What is listed in the secondary slot is damaged until it is uploaded: marking it is refused.
    pub(crate) stale: bool,
    /// Marking is refused with this.
    pub(crate) refuses_mark: Option<Code>,
    pub(crate) refuses_erase: bool,
    /// Resets that are answered and not done.
    pub(crate) ignores_resets: usize,
    /// Resets that are done without an answer.
    pub(crate) answers_resets: bool,
    /// Power is cut once the upload got this far; back after `swap_ms`.
    pub(crate) dies_at: Option<usize>,
    /// Never comes back from its next boot.
    pub(crate) stays_away: bool,
    /// Says that it marked and does not.
    pub(crate) lies: bool,
}

/// What handling a request led to besides its answer.
pub(crate) enum After {
    Nothing,
    Restart { answered: bool },
}

impl Model {
    pub(crate) fn running(image: Image, known: &[Image]) -> Self {
        Self {
            slots: [Some(image), None],
            swap: Swap::None,
            known: known.to_vec(),
            flash: vec![],
            session: None,
            booted: Instant::now(),
            uploads: 0,
            boots: 0,
            resets_asked: 0,
            swap_ms: 3_000,
            has_params: true,
            buffers: 4,
            rejects: false,
            fails_after_ms: None,
            busy_ms: 0,
            stale: false,
            refuses_mark: None,
            refuses_erase: false,
            ignores_resets: 0,
            answers_resets: true,
            dies_at: None,
            stays_away: false,
            lies: false,
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(&mut self, peer: &MemoryPeer) {
        loop {
            let self_reset = match self.fails_after_ms {
                Some(ms) if self.swap == Swap::Revert => Timer::at(self.booted + Duration::from_millis(ms)),
                _ => Timer::at(Instant::MAX),
            };
            match select(peer.receive(), self_reset).await {
                Either::First(frame) => {
                    let (answer, after) = self.handle(&frame);
                    let answered = !matches!(after, After::Restart { answered: false });
                    if let Some(answer) = answer.filter(|_| answered) {
                        peer.send(&answer);
                    }
                    if let After::Restart { .. } = after {
                        Timer::after(Duration::from_millis(250)).await;
                        self.restart(peer).await;
                    }
                }
                Either::Second(()) => self.restart(peer).await,
            }
        }
    }

    async fn restart(&mut self, peer: &MemoryPeer) {
        peer.set_up(false);
        Timer::after(Duration::from_millis(if self.swap == Swap::None { 100 } else { self.swap_ms })).await;
        if self.stays_away {
            Timer::at(Instant::MAX).await;
        }
        self.boot();
        peer.set_up(true);
    }

    /// What the bootloader does, once its time has passed.
    pub(crate) fn boot(&mut self) {
        self.session = None;
        self.boots += 1;
        self.booted = Instant::now();
        self.swap = match self.swap {
            Swap::Test | Swap::Permanent if self.rejects => {
                self.slots[1] = None;
                Swap::None
            }
            Swap::None => Swap::None,
            swap => {
                self.slots.swap(0, 1);
                if swap == Swap::Test { Swap::Revert } else { Swap::None }
            }
        };
    }

    pub(crate) fn handle(&mut self, frame: &[u8]) -> (Option<Vec<u8>>, After) {
        let (message, _) = Message::split(frame).expect("the client sends whole messages");
        let header = message.header;
        let mut body = vec![0; 1024];
        let mut after = After::Nothing;
        let result = match (header.group, header.command) {
            (Group::OS, command::os::ECHO) => {
                os::EchoResponse { text: os::EchoRequest::decode(message.body).unwrap().text }.encode(&mut body)
            }
            (Group::OS, command::os::PARAMS) if self.has_params => {
                os::ParamsResponse { buf_size: 1024, buf_count: self.buffers }.encode(&mut body)
            }
            (Group::OS, command::os::RESET) => {
                self.resets_asked += 1;
                if self.resets_asked > self.ignores_resets {
                    after = After::Restart { answered: self.answers_resets };
                }
                os::ResetResponse.encode(&mut body)
            }
            (Group::IMAGE, command::image::STATE) if header.op == otaru_smp::Op::READ => self.list(&mut body),
            (Group::IMAGE, command::image::STATE) => {
                match self.set_state(&SetStateRequest::decode(message.body).unwrap()) {
                    Ok(()) => self.list(&mut body),
                    Err(code) => refuse(code, &mut body),
                }
            }
            (Group::IMAGE, command::image::UPLOAD) => {
                let answer = self.upload(&UploadRequest::decode(message.body).unwrap());
                if self.dies_at.is_some_and(|at| self.flash.len() >= at) {
                    self.dies_at = None;
                    after = After::Restart { answered: false };
                }
                match answer {
                    Ok(offset) => UploadResponse { offset, matches: None }.encode(&mut body),
                    Err(code) => refuse(code, &mut body),
                }
            }
            (Group::IMAGE, command::image::ERASE) => {
                EraseRequest::decode(message.body).unwrap();
                if self.refuses_erase {
                    refuse(ImageError::NO_FREE_SLOT.into(), &mut body)
                } else {
                    self.slots[1] = None;
                    self.swap = Swap::None;
                    EraseResponse.encode(&mut body)
                }
            }
            (Group::IMAGE, command::image::SLOT_INFO) => {
                let slot = |slot| SlotInfo { slot, size: Some(1_000_000), ..SlotInfo::default() };
                let slots = [slot(0), slot(1)];
                let image = ImageSlots { image: 0, slots: List::new(&slots), max_image_size: Some(990_000) };
                SlotInfoResponse { images: List::new(&[image]) }.encode(&mut body)
            }
            _ => refuse(Rc::NOT_SUPPORTED.into(), &mut body),
        };
        let len = result.expect("answers fit");
        let mut out = vec![0; 1100];
        let n = write_message(header.answer(0), &mut out, |to| {
            to[..len].copy_from_slice(&body[..len]);
            Ok(len)
        });
        out.truncate(n.unwrap());
        (Some(out), after)
    }

    fn list(&self, out: &mut [u8]) -> Result<usize, otaru_smp::EncodeError> {
        let slot = |index: usize| {
            let image = self.slots[index].as_ref()?;
            let (trial, next) = (self.swap == Swap::Revert, matches!(self.swap, Swap::Test | Swap::Permanent));
            Some(SlotState {
                image: None,
                slot: index as u32,
                version: image.version,
                hash: Some(&image.hash),
                bootable: true,
                pending: index == 1 && next,
                confirmed: (index == 0) != trial,
                active: index == 0,
                permanent: index == 1 && self.swap == Swap::Permanent,
            })
        };
        let mut slots: Vec<SlotState<'_>> = [slot(0), slot(1)].into_iter().flatten().collect();
        if let Some(second) = slots.get_mut(1) {
            second.confirmed = self.swap == Swap::Revert;
        }
        StateResponse { images: List::new(&slots), split_status: None }.encode(out)
    }

    fn set_state(&mut self, request: &SetStateRequest<'_>) -> Result<(), Code> {
        let at = |slot: usize| self.slots[slot].as_ref().is_some_and(|image| Some(&image.hash[..]) == request.hash);
        if request.confirm && (request.hash.is_none() || at(0)) {
            if self.booted.elapsed() < Duration::from_millis(self.busy_ms) {
                return Err(Rc::BUSY.into());
            }
            self.swap = if self.swap == Swap::Revert { Swap::None } else { self.swap };
            return Ok(());
        }
        if !at(1) {
            return Err(ImageError::HASH_NOT_FOUND.into());
        }
        if self.swap == Swap::Revert {
            return Err(ImageError::IMAGE_ALREADY_PENDING.into());
        }
        if self.stale {
            return Err(ImageError::INVALID_TLV.into());
        }
        if let Some(code) = self.refuses_mark {
            return Err(code);
        }
        if !self.lies {
            self.swap = if request.confirm { Swap::Permanent } else { Swap::Test };
        }
        Ok(())
    }

    fn upload(&mut self, request: &UploadRequest<'_>) -> Result<u32, Code> {
        self.uploads += 1;
        if self.swap != Swap::None {
            return Err(ImageError::NO_FREE_SLOT.into());
        }
        let have = |flash: &[u8]| u32::try_from(flash.len()).unwrap();
        if request.offset == Some(0) {
            let session = (request.len.unwrap(), request.sha.unwrap().to_vec());
            if self.session.as_ref() == Some(&session) {
                return Ok(have(&self.flash));
            }
            self.session = Some(session);
            self.flash.clear();
            self.slots[1] = None;
        }
        let Some((len, _)) = self.session else { return Ok(0) };
        if request.offset == Some(have(&self.flash)) {
            self.flash.extend_from_slice(request.data);
        }
        if have(&self.flash) == len {
            self.session = None;
            self.slots[1] = self.known.iter().find(|image| image.bytes == self.flash).cloned();
            self.stale = false;
        }
        Ok(have(&self.flash))
    }
}

fn refuse(code: Code, out: &mut [u8]) -> Result<usize, otaru_smp::EncodeError> {
    Failure { code, reason: None }.encode(otaru_smp::Version::V2, out)
}
