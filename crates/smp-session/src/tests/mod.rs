//! An upload and a model device, joined by a wire that loses, doubles, delays and reorders frames as told, in virtual
//! time and the same way each time.

mod accidents;
mod devices;
mod road;
mod words;

use crate::{Event, Input, Millis, Output, Plan, Proof, Stall, Upload};
use otaru_smp::image::{SlotState, StateRequest, StateResponse, UploadRequest, UploadResponse};
use otaru_smp::{Body, Code, Failure, Group, Header, ImageError, List, Message, Rc, command, write_message};
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;
use std::{format, vec};

/// xorshift64: the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }
}

/// How a device behaves. The default does everything right, as ours does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Requests it has buffers for; more are answered with "no memory" at once.
    pub(crate) room: usize,
    /// Milliseconds per request, and for the first packet of an upload.
    pub(crate) work_ms: u64,
    pub(crate) erase_ms: u64,
    /// Remembers the upload it finished last (Zephyr does not).
    pub(crate) remembers_end: bool,
    /// Compares the hash at the end and says so.
    pub(crate) checks: bool,
}

impl Habits {
    pub(crate) const OURS: Self = Self { room: 3, work_ms: 2, erase_ms: 100, remembers_end: true, checks: true };
    pub(crate) const ZEPHYR: Self = Self { room: 3, work_ms: 60, erase_ms: 800, remembers_end: false, checks: false };
}

/// An answer to an upload request, or none of its own.
type Spell = Box<dyn FnMut(&UploadRequest<'_>) -> Option<Result<UploadResponse, Code>>>;

/// A device that takes uploads as the protocol says, and whatever habits it has.
pub(crate) struct Device {
    pub(crate) habits: Habits,
    pub(crate) slot: Vec<u8>,
    /// Announced length and hash of the upload under way.
    pub(crate) session: Option<(u32, Vec<u8>)>,
    pub(crate) ended: Option<(u32, Vec<u8>)>,
    pub(crate) lists: Option<[u8; 32]>,
    /// Requests handled.
    pub(crate) handled: usize,
    pub(crate) erases: usize,
    queue: VecDeque<Vec<u8>>,
    /// Answers instead of the device's own, where it gives one.
    pub(crate) bewitched: Option<Spell>,
}

impl Device {
    pub(crate) fn new(habits: Habits) -> Self {
        Self {
            habits,
            slot: vec![],
            session: None,
            ended: None,
            lists: None,
            handled: 0,
            erases: 0,
            queue: VecDeque::new(),
            bewitched: None,
        }
    }

    /// Power comes back: RAM is gone.
    pub(crate) fn reset(&mut self) {
        self.session = None;
        self.ended = None;
        self.queue.clear();
    }

    /// Milliseconds that the request at the head of the queue takes.
    fn work(&self) -> Option<u64> {
        let header = Header::parse(self.queue.front()?)?;
        let erases = header.command == command::image::UPLOAD && self.session.is_none() && self.ended.is_none();
        Some(if erases { self.habits.erase_ms } else { self.habits.work_ms })
    }

    fn answer(&mut self, frame: &[u8]) -> Vec<u8> {
        self.handled += 1;
        let (message, _) = Message::split(frame).expect("the engine sends whole messages");
        let mut out = vec![0; 512];
        let mut body = vec![0; 512];
        let len = match (message.header.group, message.header.command) {
            (Group::IMAGE, command::image::UPLOAD) => {
                let request = UploadRequest::decode(message.body).expect("the engine sends good requests");
                match self.upload(&request) {
                    Ok(response) => response.encode(&mut body).unwrap(),
                    Err(code) => Failure { code, reason: None }.encode(message.header.version, &mut body).unwrap(),
                }
            }
            (Group::IMAGE, command::image::STATE) => {
                StateRequest::decode(message.body).unwrap();
                let slot = SlotState {
                    slot: 1,
                    version: "2.0.0",
                    hash: self.lists.as_ref().map(|h| &h[..]),
                    ..Default::default()
                };
                StateResponse { images: List::new(&[slot]), split_status: None }.encode(&mut body).unwrap()
            }
            other => panic!("the engine sent {other:?}"),
        };
        let header = message.header.answer(0);
        let n = write_message(header, &mut out, |to| {
            to[..len].copy_from_slice(&body[..len]);
            Ok(len)
        });
        out.truncate(n.unwrap());
        out
    }

    fn upload(&mut self, request: &UploadRequest<'_>) -> Result<UploadResponse, Code> {
        if let Some(answer) = self.bewitched.as_mut().and_then(|bewitched| bewitched(request)) {
            return answer;
        }
        let at = |offset| Ok(UploadResponse { offset, matches: None });
        let offset = request.offset.unwrap();
        if offset == 0 {
            let session = (request.len.unwrap(), request.sha.unwrap_or_default().to_vec());
            if !session.1.is_empty() {
                if self.session.as_ref() == Some(&session) {
                    return at(len_of(&self.slot));
                }
                if self.ended.as_ref() == Some(&session) {
                    return Ok(UploadResponse { offset: session.0, matches: self.habits.checks.then_some(true) });
                }
            }
            if request.data.len() < 32.min(session.0 as usize) {
                return Err(ImageError::INVALID_IMAGE_HEADER.into());
            }
            self.slot.clear();
            self.erases += 1;
            self.session = Some(session);
        }
        let Some((len, sha)) = self.session.clone() else {
            return match &self.ended {
                Some((len, _)) if self.habits.remembers_end => {
                    Ok(UploadResponse { offset: *len, matches: self.habits.checks.then_some(true) })
                }
                _ => at(0),
            };
        };
        if offset != len_of(&self.slot) {
            return at(len_of(&self.slot));
        }
        self.slot.extend_from_slice(request.data);
        if len_of(&self.slot) > len {
            self.session = None;
            return Err(ImageError::INVALID_IMAGE_DATA_OVERRUN.into());
        }
        if len_of(&self.slot) == len {
            self.session = None;
            self.lists = Some(HASH);
            if self.habits.remembers_end {
                self.ended = Some((len, sha));
            }
            return Ok(UploadResponse { offset: len, matches: self.habits.checks.then_some(true) });
        }
        at(len_of(&self.slot))
    }
}

pub(crate) fn len_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// What the wire does to frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    pub(crate) latency: u64,
    pub(crate) lost_up: u64,
    pub(crate) lost_down: u64,
    pub(crate) doubled: u64,
    /// Arrives up to 30 ms late.
    pub(crate) late: u64,
}

#[derive(Debug)]
enum Arrival {
    AtDevice(Vec<u8>),
    AtClient(Vec<u8>),
    /// The device is done with the request at the head of its queue.
    Worked,
    Reset,
    Linked,
}

pub(crate) type Rule = Box<dyn FnMut(&Header, usize) -> bool>;

/// An upload and a device.
pub(crate) struct Pair {
    pub(crate) now: u64,
    pub(crate) upload: Upload,
    pub(crate) image: Vec<u8>,
    pub(crate) device: Device,
    pub(crate) wire: Wire,
    pub(crate) events: Vec<Event>,
    /// Loses answers for which it says so; given the header and how many answers there were before.
    pub(crate) lose_answer: Option<Rule>,
    pub(crate) frame: u16,
    pub(crate) window: u8,
    pub(crate) most_in_flight: usize,
    in_flight: usize,
    answers: usize,
    seed: u64,
    random: Random,
    arrivals: Vec<(u64, u64, Arrival)>,
    order: u64,
    deadline: Option<u64>,
}

pub(crate) const HASH: [u8; 32] = [0xaa; 32];

impl Pair {
    pub(crate) fn new(len: usize, habits: Habits) -> Self {
        Self::seeded(len, habits, 1)
    }

    pub(crate) fn seeded(len: usize, habits: Habits, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let image: Vec<u8> = (0..len).map(|_| random.next().to_le_bytes()[3]).collect();
        let mut pair = Self {
            now: 0,
            upload: Upload::new(plan(&image), 250),
            image,
            device: Device::new(habits),
            wire: Wire { latency: 5, ..Wire::default() },
            events: vec![],
            lose_answer: None,
            frame: 1024,
            window: 3,
            most_in_flight: 0,
            in_flight: 0,
            answers: 0,
            seed,
            random,
            arrivals: vec![],
            order: 0,
            deadline: None,
        };
        pair.after(0, Arrival::Linked);
        pair
    }

    /// A new client, which knows nothing of the one before it.
    pub(crate) fn new_client(&mut self) {
        self.arrivals.retain(|(_, _, arrival)| matches!(arrival, Arrival::Worked));
        self.upload = Upload::new(plan(&self.image), 17);
        self.events.clear();
        self.deadline = None;
        self.after(1, Arrival::Linked);
    }

    pub(crate) fn reset_device_at(&mut self, at: u64) {
        self.after(at - self.now, Arrival::Reset);
    }

    fn after(&mut self, ms: u64, arrival: Arrival) {
        self.order += 1;
        self.arrivals.push((self.now + ms, self.order, arrival));
    }

    fn through_wire(&mut self, up: bool, frame: Vec<u8>) {
        let lost = if up { self.wire.lost_up } else { self.wire.lost_down };
        let copies =
            if self.random.happens(lost) { 0 } else { 1 + usize::from(self.random.happens(self.wire.doubled)) };
        for _ in 0..copies {
            let late = if self.random.happens(self.wire.late) { self.random.next() % 30 } else { 0 };
            let arrival = if up { Arrival::AtDevice(frame.clone()) } else { Arrival::AtClient(frame.clone()) };
            self.after(self.wire.latency + late, arrival);
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        let mut frame = vec![0xa5; usize::from(self.frame)];
        let mut sent = vec![];
        for output in self.upload.handle(Millis(self.now), input) {
            match output {
                Output::Transmit(packet) => {
                    let n = packet.encode(&self.image[packet.data()], &mut frame).expect("fits the frame");
                    sent.push(frame[..n].to_vec());
                }
                Output::Event(event) => self.events.push(event),
                Output::Deadline(at) => {
                    assert!(at.0 > self.now, "a deadline that is over: {at:?} at {}", self.now);
                    self.deadline = Some(at.0);
                }
            }
        }
        self.in_flight += sent.len();
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
        sent.into_iter().for_each(|frame| self.through_wire(true, frame));
    }

    /// The next thing that happens. False if nothing ever will.
    fn step(&mut self) -> bool {
        let next = self.arrivals.iter().enumerate().min_by_key(|(_, (at, order, _))| (*at, *order)).map(|(i, _)| i);
        let arrives_at = next.map(|i| self.arrivals[i].0);
        match (arrives_at, self.deadline) {
            (None, None) => return false,
            (Some(at), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                self.now = at;
                let (_, _, arrival) = self.arrivals.swap_remove(next.unwrap());
                self.arrive(arrival);
            }
            (_, Some(deadline)) => {
                self.now = deadline;
                self.deadline = None;
                self.feed(Input::Tick);
            }
            (Some(_), None) => unreachable!("covered by the guard"),
        }
        let linking = self.arrivals.iter().any(|(_, _, arrival)| matches!(arrival, Arrival::Linked));
        if matches!(self.events.last(), Some(Event::Stalled(_))) && !linking {
            // The caller's part: a new link, a second later.
            self.deadline = None;
            self.after(1_000, Arrival::Linked);
        }
        true
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Linked => {
                self.in_flight = 0;
                self.feed(Input::Linked { frame: self.frame, window: self.window });
            }
            Arrival::Reset => self.reset_device(),
            Arrival::AtClient(frame) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.feed(Input::Received(&frame));
            }
            Arrival::AtDevice(frame) if self.device.queue.len() >= self.device.habits.room => {
                let header = Header::parse(&frame).unwrap();
                let mut out = vec![0; 64];
                let failure = Failure { code: Rc::NO_MEMORY.into(), reason: None };
                let n = write_message(header.answer(0), &mut out, |body| failure.encode(header.version, body));
                out.truncate(n.unwrap());
                self.answered(out);
            }
            Arrival::AtDevice(frame) => {
                self.device.queue.push_back(frame);
                if self.device.queue.len() == 1 {
                    self.begin_work();
                }
            }
            Arrival::Worked => {
                if let Some(frame) = self.device.queue.pop_front() {
                    let answer = self.device.answer(&frame);
                    self.answered(answer);
                }
                self.begin_work();
            }
        }
    }

    fn begin_work(&mut self) {
        if let Some(work) = self.device.work() {
            self.after(work, Arrival::Worked);
        }
    }

    fn reset_device(&mut self) {
        self.arrivals.retain(|(_, _, arrival)| !matches!(arrival, Arrival::Worked));
        self.device.reset();
    }

    fn answered(&mut self, frame: Vec<u8>) {
        let header = Header::parse(&frame).unwrap();
        self.answers += 1;
        let answers = self.answers;
        if self.lose_answer.as_mut().is_some_and(|lose| lose(&header, answers)) {
            return;
        }
        self.through_wire(false, frame);
    }

    /// Until the upload is over; fails if that takes longer than `ms` of virtual time.
    pub(crate) fn drive_bounded(&mut self, ms: u64) -> Event {
        let limit = self.now + ms;
        while !self.upload.is_over() {
            let alive = self.step();
            let state = || format!("seed {}, {:?}, {:?}", self.seed, self.upload.stats(), self.events);
            assert!(alive, "nothing more will ever happen, and the upload is not over: {}", state());
            assert!(self.now <= limit, "not over after {ms} ms: {}", state());
        }
        *self.events.last().expect("an end is told")
    }

    /// Until the device has at least `offset` bytes.
    pub(crate) fn drive_to(&mut self, offset: usize) {
        while self.device.slot.len() < offset {
            assert!(self.step() && self.now < 1_000_000, "seed {}", self.seed);
        }
    }

    /// Until the upload is over, which must be well, with the device holding exactly the image.
    pub(crate) fn succeed(&mut self, ms: u64) -> Proof {
        let end = self.drive_bounded(ms);
        let Event::Done(proof) = end else { panic!("seed {}: {end:?}, {:?}", self.seed, self.upload.stats()) };
        assert!(self.device.slot == self.image, "seed {}: the device holds something else", self.seed);
        proof
    }

    pub(crate) fn stalls(&self) -> Vec<Stall> {
        let stalls = self.events.iter().filter_map(|event| match event {
            Event::Stalled(stall) => Some(*stall),
            _ => None,
        });
        stalls.collect()
    }
}

pub(crate) fn plan(image: &[u8]) -> Plan {
    Plan { image: 0, len: len_of(image), file_sha: [image[0]; 32], image_hash: Some(HASH), upgrade: false }
}
