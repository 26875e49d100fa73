//! Windowed upload: as many requests in flight as the device has buffers for, and every answer taken for what it says.
//!
//! The device's `off` is the truth. Answers are cumulative: one that says 4096 bytes were taken in answers for every
//! earlier request too, so a lost answer costs nothing. One that asks for less than was sent rewinds the upload to
//! what the device wants and starts a new epoch, and disagreements of older epochs are the pipeline running dry, not news.

use crate::flights::{Flight, Flights};
use crate::packet::{Answer, Packet, Plan};
use crate::rtt::Rtt;
use crate::{Event, Input, Millis, Proof, Refusal, Stall, Stats, UploadError};
use otaru_smp::image::UploadResponse;

/// What happens next, in the order in which it must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Encode this packet and send it now.
    Transmit(Packet),
    /// Something the user of the upload wants to know.
    Event(Event),
    /// Call again with [`Input::Tick`] at this moment, unless something else happens before.
    Deadline(Millis),
}

/// The largest window of an [`Upload`] whose user wants no other: requests in flight.
pub const MAX_WINDOW: u8 = 16;

/// An upload of one image over one link after another, until the device has all of it. `W` is the largest window.
///
/// The record: at most `W` flights of 32 bytes, the plan (84 bytes) and a few counters; the image stays with the caller.
#[derive(Debug)]
pub struct Upload<const W: usize = { MAX_WINDOW as usize }> {
    plan: Plan,
    phase: Phase,
    flights: Flights<W>,
    rtt: Rtt,
    seq: u8,
    /// Largest SMP frame of the link, header included.
    frame: u16,
    window: u8,
    /// The device has everything below.
    acked: u32,
    /// The next byte to send.
    next: u32,
    /// The furthest the device ever was.
    best: u32,
    epoch: u32,
    /// Whether the image's last byte was sent since the upload last began: the device may have finished and forgotten it.
    sent_all: bool,
    /// Nothing is sent before this moment: the device asked for a pause.
    hold: Millis,
    /// Nothing is sent before what is in flight is answered: the device had no room for all of it.
    draining: bool,
    /// When the device was last heard.
    heard: Millis,
    /// Rewinds, refusals for lack of room, restarts and links, each since the last progress.
    rewinds: u32,
    pauses: u32,
    restarts: u32,
    links: u32,
    stats: Stats,
    news: News,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No link: nothing happens until there is one.
    Unlinked,
    /// The first packet, alone: the device may erase a whole slot before it answers.
    First(Single),
    /// Data, in a window.
    Stream,
    /// Asking which images the device holds, because it may have finished and forgotten the upload.
    Listing(Single),
    Over,
}

/// A request that goes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Single {
    /// Its sequence number, the same for each repetition.
    seq: u8,
    /// When it was first sent.
    began: Millis,
    /// How often it was sent.
    sent: u8,
    /// How often it was sent without being refused since.
    open: u8,
    /// When it is to be sent (again).
    due: Millis,
}

/// What was not told yet. Each kind has one place, so nothing overflows and nothing is lost but older progress.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    notice: Option<Event>,
    progress: Option<Event>,
    end: Option<Event>,
}

impl<const W: usize> Upload<W> {
    /// An upload that begins with the first [`Input::Linked`]. `seq` is the next sequence number of the connection.
    pub const fn new(plan: Plan, seq: u8) -> Self {
        Self {
            plan,
            phase: Phase::Unlinked,
            flights: Flights::new(),
            rtt: Rtt::new(),
            seq,
            frame: 0,
            window: 1,
            acked: 0,
            next: 0,
            best: 0,
            epoch: 0,
            sent_all: false,
            hold: Millis(0),
            draining: false,
            heard: Millis(0),
            rewinds: 0,
            pauses: 0,
            restarts: 0,
            links: 0,
            stats: Stats::NONE,
            news: News { notice: None, progress: None, end: None },
        }
    }

    /// Takes in what happened at `now`. Do what the returned [`Drain`] says until it is empty.
    ///
    /// A drain that is dropped early loses nothing: what it did not say, the next one says.
    pub fn handle(&mut self, now: Millis, input: Input<'_>) -> Drain<'_, W> {
        match input {
            Input::Linked { frame, window } => self.linked(now, frame, window),
            Input::LinkLost => self.unlink(),
            Input::Received(frame) => self.received(now, frame),
            Input::Tick => {}
        }
        self.tick(now);
        Drain { upload: self, now, deadline_told: false }
    }

    /// Whether the upload has ended, well or badly.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Bytes that the device is known to have.
    pub fn acked(&self) -> u32 {
        self.acked
    }

    /// What went otherwise than straight ahead so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The connection's next sequence number, for whoever uses the link after this.
    pub fn next_seq(&self) -> u8 {
        self.seq
    }

    fn linked(&mut self, now: Millis, frame: u16, window: u8) {
        if self.is_over() {
            return;
        }
        self.links = self.links.saturating_add(1);
        if self.links > MAX_LINKS {
            return self.end(Event::Failed(UploadError::NoProgress { offset: self.best, links: MAX_LINKS }));
        }
        self.frame = frame;
        self.window = window.clamp(1, u8::try_from(W).unwrap_or(u8::MAX));
        self.heard = now;
        self.pauses = 0;
        self.rewinds = 0;
        if let Err(error) = self.plan.fits(frame) {
            return self.end(Event::Failed(error));
        }
        self.begin(now);
    }

    /// Sends the first packet (again): its answer says where to go on.
    fn begin(&mut self, now: Millis) {
        self.flights.clear();
        self.sent_all = false;
        self.draining = false;
        self.hold = now;
        let seq = self.take_seq();
        self.phase = Phase::First(Single { seq, began: now, sent: 0, open: 0, due: now });
    }

    fn unlink(&mut self) {
        if !self.is_over() {
            self.flights.clear();
            self.phase = Phase::Unlinked;
        }
    }

    fn received(&mut self, now: Millis, frame: &[u8]) {
        let Some((seq, answer)) = Answer::decode(frame, self.plan.image_hash.as_ref()) else {
            return self.stats.note_stale();
        };
        match (self.phase, answer) {
            (Phase::First(first), Answer::Upload(response)) if first.seq == seq => {
                self.heard = now;
                self.first_answered(now, response);
            }
            (Phase::First(first), Answer::Busy(refusal)) if first.seq == seq => {
                self.heard = now;
                self.first_busy(now, first, refusal);
            }
            (Phase::First(first), Answer::Refused(refusal)) if first.seq == seq => {
                self.end(Event::Failed(UploadError::Refused(refusal)));
            }
            (Phase::Stream, Answer::Upload(_) | Answer::Busy(_) | Answer::Refused(_)) => {
                let Some(flight) = self.flights.take(seq) else { return self.stats.note_stale() };
                self.heard = now;
                self.rtt.measured(now.since(flight.sent));
                self.answered(now, flight, answer);
            }
            (Phase::Listing(listing), Answer::State { holds_image }) if listing.seq == seq => {
                self.heard = now;
                if holds_image {
                    self.acked = self.plan.len;
                    self.end(Event::Done(Proof::Listed));
                } else {
                    self.restart(now);
                }
            }
            // A device that cannot list: only another attempt can tell.
            (Phase::Listing(listing), Answer::Busy(_) | Answer::Refused(_)) if listing.seq == seq => self.restart(now),
            _ => self.stats.note_stale(),
        }
    }

    /// No room for the first packet. If an earlier copy of it is being worked on, that is no wonder, and is waited for.
    fn first_busy(&mut self, now: Millis, first: Single, refusal: Refusal) {
        let open = first.open.saturating_sub(1);
        self.phase = Phase::First(Single { open, ..first });
        if open == 0 {
            self.pause(now, refusal);
            if !self.is_over() {
                self.phase = Phase::First(Single { began: now, sent: 0, due: self.hold, open, ..first });
            }
        }
    }

    fn first_answered(&mut self, now: Millis, UploadResponse { offset: off, matches }: UploadResponse) {
        if off > self.plan.len {
            return self.end(Event::Failed(UploadError::Misbehaved { offset: off, len: self.plan.len }));
        }
        self.pauses = 0;
        self.epoch = self.epoch.wrapping_add(1);
        self.acked = 0;
        self.next = off;
        self.phase = Phase::Stream;
        if off > self.plan.first_packet(0, self.frame).map_or(0, |first| first.end()) {
            self.stats.resumes = self.stats.resumes.saturating_add(1);
            self.news.notice = Some(Event::Resumed { offset: off });
        }
        self.advance(off);
        if off == self.plan.len {
            self.finish(matches);
        } else if off == 0 {
            // It took nothing although nothing was wrong: once more, and not for ever.
            self.restart(now);
        }
    }

    fn answered(&mut self, now: Millis, flight: Flight, answer: Answer) {
        let current = flight.epoch == self.epoch;
        match answer {
            Answer::Busy(refusal) if current || self.draining => self.back_off(now, refusal),
            Answer::Upload(UploadResponse { offset: off, .. }) if off > self.plan.len => {
                self.end(Event::Failed(UploadError::Misbehaved { offset: off, len: self.plan.len }));
            }
            Answer::Upload(UploadResponse { offset: off, matches }) if off >= self.acked => {
                self.advance(off);
                if off == self.plan.len {
                    self.finish(matches);
                } else if current && off < flight.end && off < self.next {
                    self.rewind();
                }
            }
            Answer::Upload(UploadResponse { offset: off, .. }) if current => self.went_back(now, off),
            Answer::Refused(refusal) if current || flight.end > self.acked => {
                self.end(Event::Failed(UploadError::Refused(refusal)));
            }
            Answer::Upload(_) | Answer::Busy(_) | Answer::Refused(_) | Answer::State { .. } => self.stats.note_stale(),
        }
    }

    /// The device has everything below `off`.
    fn advance(&mut self, off: u32) {
        if off <= self.acked {
            return;
        }
        self.acked = off;
        self.next = self.next.max(off);
        self.flights.forget_acked(off);
        self.rewinds = 0;
        self.pauses = 0;
        self.rtt.progressed();
        if off > self.best {
            self.best = off;
            self.restarts = 0;
            self.links = 0;
        }
        self.news.progress = Some(Event::Progress { offset: off });
    }

    /// The device knows less than it once did: it lost the upload, or it finished and forgot it.
    fn went_back(&mut self, now: Millis, off: u32) {
        if off == 0 && self.sent_all && self.plan.image_hash.is_some() {
            self.flights.clear();
            let seq = self.take_seq();
            self.phase = Phase::Listing(Single { seq, began: now, sent: 0, open: 0, due: now });
        } else {
            self.restart(now);
        }
    }

    fn restart(&mut self, now: Millis) {
        self.stats.restarts = self.stats.restarts.saturating_add(1);
        self.restarts = self.restarts.saturating_add(1);
        if self.restarts > MAX_RESTARTS {
            return self.end(Event::Failed(UploadError::KeepsForgetting { offset: self.best, restarts: MAX_RESTARTS }));
        }
        self.news.notice = Some(Event::Restarted { offset: self.acked });
        self.begin(now);
    }

    /// Goes on from what the device has, in a new epoch.
    fn rewind(&mut self) {
        self.stats.rewinds = self.stats.rewinds.saturating_add(1);
        self.rewinds = self.rewinds.saturating_add(1);
        self.next = self.acked;
        self.epoch = self.epoch.wrapping_add(1);
        if self.rewinds > MAX_REWINDS {
            self.stall(Stall::NoProgress { offset: self.acked, rewinds: MAX_REWINDS });
        }
    }

    /// Too many requests for the device's buffers: one fewer at a time for each refused, and a pause where it is one
    /// already. What is in flight runs dry first, so that each refusal tells of one request too many and of no repetition.
    fn back_off(&mut self, now: Millis, refusal: Refusal) {
        self.stats.refusals = self.stats.refusals.saturating_add(1);
        if !self.draining {
            self.draining = true;
            self.next = self.acked;
            self.epoch = self.epoch.wrapping_add(1);
        }
        if self.window > 1 {
            self.window = self.window.saturating_sub(1);
            self.news.notice = Some(Event::WindowReduced { window: self.window });
        } else {
            self.pause(now, refusal);
        }
    }

    fn pause(&mut self, now: Millis, refusal: Refusal) {
        self.pauses = self.pauses.saturating_add(1);
        if self.pauses > MAX_PAUSES {
            return self.end(Event::Failed(UploadError::Refused(refusal)));
        }
        self.hold = now.after((SHORTEST_PAUSE_MS << self.pauses.min(8)).min(LONGEST_PAUSE_MS));
    }

    fn finish(&mut self, matches: Option<bool>) {
        self.end(match matches {
            // Without the whole hash in the first packet the device had nothing to compare with.
            Some(false) if self.plan.sends_sha(self.frame) => {
                Event::Failed(UploadError::Mismatch { len: self.plan.len })
            }
            Some(true) => Event::Done(Proof::Hashed),
            Some(false) | None => Event::Done(Proof::Counted),
        });
    }

    fn stall(&mut self, stall: Stall) {
        self.unlink();
        self.news.end = Some(Event::Stalled(stall));
    }

    fn end(&mut self, event: Event) {
        self.flights.clear();
        self.phase = Phase::Over;
        self.news.end = Some(event);
    }

    /// What is overdue at `now`.
    fn tick(&mut self, now: Millis) {
        match self.phase {
            Phase::Stream => {
                while let Some(flight) = self.flights.take_overdue(now) {
                    if flight.epoch == self.epoch && flight.end > self.acked {
                        self.stats.timeouts = self.stats.timeouts.saturating_add(1);
                        self.rtt.lost();
                        self.rewind();
                    }
                }
                if self.phase == Phase::Stream && now >= self.heard.after(SILENCE_MS) {
                    self.stall(Stall::Silent { ms: SILENCE_MS });
                }
            }
            Phase::First(first) if now >= first.began.after(FIRST_MS) => {
                self.stall(Stall::Silent { ms: FIRST_MS });
            }
            Phase::Listing(listing) if now >= listing.began.after(SILENCE_MS) => {
                self.stall(Stall::Silent { ms: SILENCE_MS });
            }
            Phase::First(_) | Phase::Listing(_) | Phase::Unlinked | Phase::Over => {}
        }
    }

    /// The next packet that may be sent at `now`, taken as sent.
    fn packet(&mut self, now: Millis) -> Option<Packet> {
        match &mut self.phase {
            Phase::First(first) if now >= first.due => {
                first.send(now);
                self.stats.note_sent();
                self.plan.first_packet(first.seq, self.frame)
            }
            Phase::Listing(listing) if now >= listing.due => {
                listing.send(now);
                Some(Packet::state(listing.seq))
            }
            Phase::Stream => self.chunk(now),
            Phase::First(_) | Phase::Listing(_) | Phase::Unlinked | Phase::Over => None,
        }
    }

    fn chunk(&mut self, now: Millis) -> Option<Packet> {
        self.draining &= self.flights.len() > 0;
        if self.draining
            || now < self.hold
            || self.next >= self.plan.len
            || self.flights.len() >= usize::from(self.window)
        {
            return None;
        }
        let seq = self.take_seq();
        let packet = self.plan.next_packet(seq, self.frame, self.next);
        let end = packet.end();
        self.next = end;
        let mut wait = self.rtt.timeout();
        if end == self.plan.len {
            self.sent_all = true;
            // Some devices read the whole image back before this answer.
            wait = wait.max(LAST_MS);
        }
        self.flights.insert(Flight { seq, end, sent: now, due: now.after(wait), epoch: self.epoch });
        self.stats.note_sent();
        Some(packet)
    }

    fn deadline(&self, now: Millis) -> Option<Millis> {
        match self.phase {
            Phase::First(first) => Some(first.due.min(first.began.after(FIRST_MS))),
            Phase::Listing(listing) => Some(listing.due.min(listing.began.after(SILENCE_MS))),
            Phase::Stream => {
                let mut deadline = self.heard.after(SILENCE_MS);
                if let Some(due) = self.flights.first_due() {
                    deadline = deadline.min(due);
                }
                if self.hold > now {
                    deadline = deadline.min(self.hold);
                }
                Some(deadline)
            }
            Phase::Unlinked | Phase::Over => None,
        }
    }

    /// A sequence number that no answer can be mistaken for.
    fn take_seq(&mut self) -> u8 {
        let mut seq = self.seq;
        for _ in 0..W {
            if !self.flights.contains(seq) {
                break;
            }
            seq = seq.wrapping_add(1);
        }
        self.seq = seq.wrapping_add(1);
        seq
    }
}

impl Single {
    /// Sent at `now`; repeated after 2.5 s, 5 s, 10 s: a repetition that was not needed waits in the device's queue and does no harm.
    fn send(&mut self, now: Millis) {
        self.due = now.after(REPEAT_MS << self.sent.min(2));
        self.sent = self.sent.saturating_add(1);
        self.open = self.open.saturating_add(1);
    }
}

/// What one input led to. Holds the upload: no second input while this lives.
#[derive(Debug)]
#[must_use = "do what it says before the next input"]
pub struct Drain<'a, const W: usize> {
    upload: &'a mut Upload<W>,
    now: Millis,
    deadline_told: bool,
}

impl<const W: usize> Iterator for Drain<'_, W> {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        let news = &mut self.upload.news;
        if let Some(event) = news.notice.take().or_else(|| news.progress.take()).or_else(|| news.end.take()) {
            return Some(Output::Event(event));
        }
        if let Some(packet) = self.upload.packet(self.now) {
            return Some(Output::Transmit(packet));
        }
        if self.deadline_told {
            return None;
        }
        self.deadline_told = true;
        self.upload.deadline(self.now).map(Output::Deadline)
    }
}

/// The wait for the answer to the first packet: the device may erase a slot.
const FIRST_MS: u32 = 40_000;
/// The wait for any answer at all while data flows.
const SILENCE_MS: u32 = 30_000;
/// The least wait for the answer to the last packet.
const LAST_MS: u32 = 2_500;
/// The wait before a request that goes alone is repeated for the first time.
const REPEAT_MS: u32 = 2_500;
const SHORTEST_PAUSE_MS: u32 = 25;
const LONGEST_PAUSE_MS: u32 = 2_000;
const MAX_PAUSES: u32 = 10;
const MAX_REWINDS: u32 = 8;
const MAX_RESTARTS: u32 = 5;
const MAX_LINKS: u32 = 5;
