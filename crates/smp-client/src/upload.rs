//! Drives the upload engine over a link: bytes from the file, time from the executor, a new link when one breaks.

use crate::client::{Client, ClientError, now};
use crate::link::Link;
use crate::upgrade::Firmware;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer};
use otaru_smp_session::{Drain, Event, Input, Millis, Output, Plan, Proof, Stats, Upload, UploadError};

/// What an upload tells while it runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum UploadEvent {
    /// It begins.
    Started {
        /// Bytes of the file.
        len: u32,
        /// Largest SMP frame, in bytes.
        frame: u16,
        /// Requests in flight.
        window: u8,
    },
    /// The device had the first `offset` bytes from an earlier attempt.
    Resumed {
        /// Bytes it has.
        offset: u32,
    },
    /// The device has more.
    Progress(Progress),
    /// The device ran out of buffers: fewer requests in flight from now on.
    WindowReduced {
        /// How many.
        window: u8,
    },
    /// The device lost the upload, which begins again.
    Restarted {
        /// Bytes it had before.
        offset: u32,
    },
    /// The link broke or nothing moved over it; it is made anew.
    LinkLost {
        /// What was seen.
        why: String,
    },
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Bytes the device has.
    pub offset: u32,
    /// Bytes of the file.
    pub len: u32,
    /// Bytes per second since this attempt began to move; `None` until time has passed since then.
    pub rate: Option<u32>,
    /// Milliseconds it will still take at that rate, where it is known.
    pub remaining_ms: Option<u64>,
}

/// How an upload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes of the file.
    pub len: u32,
    /// Bytes that were not on the device before.
    pub sent: u32,
    /// Milliseconds it took.
    pub ms: u64,
    /// How it is known that the device has all of it.
    pub proof: Proof,
    /// What went otherwise than straight ahead.
    pub stats: Stats,
}

impl Uploaded {
    /// Bytes per second, of those that were sent.
    pub fn rate(&self) -> u32 {
        rate(self.sent, self.ms).unwrap_or_default()
    }
}

impl<L: Link> Client<L> {
    /// Uploads a file and proves that the device has it. Goes on from where an earlier attempt ended, over a new link
    /// if one breaks; `absence` is how long the device may stay away.
    ///
    /// # Errors
    /// [`ClientError`]; what the device took so far stays there and is not sent again by the next attempt.
    pub async fn upload(
        &mut self,
        firmware: &Firmware<'_>,
        upgrade: bool,
        absence: Duration,
        tell: &mut dyn FnMut(UploadEvent),
    ) -> Result<Uploaded, ClientError> {
        let too_long = ClientError::FileTooLong { len: firmware.bytes.len() };
        let len = u32::try_from(firmware.bytes.len()).map_err(|_| too_long)?;
        let plan =
            Plan { image: firmware.image, len, file_sha: firmware.file_sha, image_hash: Some(firmware.hash), upgrade };
        let upload = Upload::new(plan, self.seq);
        let mut drive = Drive { client: self, bytes: firmware.bytes, tell, upload, meter: Meter::new(len) };
        let result = drive.run(absence).await;
        let seq = drive.upload.next_seq();
        self.seq = seq;
        result
    }
}

struct Drive<'a, L> {
    client: &'a mut Client<L>,
    bytes: &'a [u8],
    tell: &'a mut dyn FnMut(UploadEvent),
    upload: Upload,
    meter: Meter,
}

/// What the engine asked for when it was last called.
enum Next {
    Wait(Millis),
    Relink(ClientError),
    End(Result<Proof, UploadError>),
}

impl<L: Link> Drive<'_, L> {
    async fn run(&mut self, absence: Duration) -> Result<Uploaded, ClientError> {
        let began = Instant::now();
        let (frame, window) = self.client.limits();
        (self.tell)(UploadEvent::Started { len: self.meter.len, frame, window });
        let mut next = self.handle(Input::Linked { frame, window }).await;
        let proof = loop {
            next = match next {
                Next::Wait(until) => self.wait(until).await,
                Next::Relink(why) => self.relink(why, absence).await?,
                Next::End(result) => break result.map_err(ClientError::Upload)?,
            };
        };
        let sent = self.meter.len.saturating_sub(self.meter.had);
        Ok(Uploaded { len: self.meter.len, sent, ms: began.elapsed().as_millis(), proof, stats: self.upload.stats() })
    }

    /// Waits for a frame or the deadline, whichever comes first.
    async fn wait(&mut self, until: Millis) -> Next {
        let deadline = Timer::at(Instant::from_millis(until.0));
        let drain = match select(self.client.link.receive(), deadline).await {
            Either::First(Ok(frame)) => self.upload.handle(now(), Input::Received(frame)),
            Either::First(Err(error)) => return Next::Relink(error.into()),
            Either::Second(()) => self.upload.handle(now(), Input::Tick),
        };
        obey(drain, &mut self.client.link, self.bytes, &mut self.client.frame, &mut self.meter, self.tell).await
    }

    async fn handle(&mut self, input: Input<'_>) -> Next {
        let drain = self.upload.handle(now(), input);
        obey(drain, &mut self.client.link, self.bytes, &mut self.client.frame, &mut self.meter, self.tell).await
    }

    /// Makes the link anew, for as long as the device may stay away.
    async fn relink(&mut self, why: ClientError, absence: Duration) -> Result<Next, ClientError> {
        (self.tell)(UploadEvent::LinkLost { why: why.to_string() });
        let since = Instant::now();
        let _nothing_to_do = self.handle(Input::LinkLost).await;
        loop {
            match self.client.connect().await {
                Ok(()) => break,
                Err(error) if error.is_link() && since.elapsed() < absence => Timer::after(BETWEEN_ATTEMPTS).await,
                Err(error) => return Err(error),
            }
        }
        let (frame, window) = self.client.limits();
        self.meter.pause();
        Ok(self.handle(Input::Linked { frame, window }).await)
    }
}

/// Does what the engine says.
async fn obey<L: Link, const W: usize>(
    drain: Drain<'_, W>,
    link: &mut L,
    bytes: &[u8],
    frame: &mut Vec<u8>,
    meter: &mut Meter,
    tell: &mut dyn FnMut(UploadEvent),
) -> Next {
    let mut until = Millis(u64::MAX);
    for output in drain {
        match output {
            Output::Transmit(packet) => {
                let data = bytes.get(packet.data()).unwrap_or_default();
                frame.resize(link.max_frame(), 0);
                // The engine was told of no larger frames, so encoding does not fail; a frame left out is one lost.
                let Ok(len) = packet.encode(data, frame) else { continue };
                if let Err(error) = link.send(&frame[..len]).await {
                    return Next::Relink(error.into());
                }
            }
            Output::Deadline(at) => until = at,
            Output::Event(Event::Done(proof)) => return Next::End(Ok(proof)),
            Output::Event(Event::Failed(error)) => return Next::End(Err(error)),
            Output::Event(Event::Stalled(stall)) => return Next::Relink(ClientError::Stalled(stall)),
            Output::Event(event) => meter.news(event).into_iter().for_each(&mut *tell),
            _ => {}
        }
    }
    Next::Wait(until)
}

/// Turns offsets into rates.
#[derive(Debug)]
struct Meter {
    len: u32,
    /// What the device had before it was sent anything.
    had: u32,
    /// When and where the measured stretch began.
    from: Option<(Instant, u32)>,
}

impl Meter {
    fn new(len: u32) -> Self {
        Self { len, had: 0, from: None }
    }

    /// Measures anew from the next progress on.
    fn pause(&mut self) {
        self.from = None;
    }

    fn news(&mut self, event: Event) -> Option<UploadEvent> {
        Some(match event {
            Event::Resumed { offset } => {
                self.had = self.had.max(offset);
                self.pause();
                UploadEvent::Resumed { offset }
            }
            Event::Progress { offset } => UploadEvent::Progress(self.progress(offset)),
            Event::WindowReduced { window } => UploadEvent::WindowReduced { window },
            Event::Restarted { offset } => {
                self.pause();
                UploadEvent::Restarted { offset }
            }
            _ => return None,
        })
    }

    fn progress(&mut self, offset: u32) -> Progress {
        let now = Instant::now();
        let (since, from) = *self.from.get_or_insert((now, offset));
        let rate = rate(offset.saturating_sub(from), (now - since).as_millis());
        let left = u64::from(self.len.saturating_sub(offset));
        let remaining_ms = match (left, rate) {
            (0, _) => Some(0),
            (left, rate) => rate.and_then(|rate| (left * 1_000).checked_div(u64::from(rate))),
        };
        Progress { offset, len: self.len, rate, remaining_ms }
    }
}

/// Bytes per second; `None` where no time has passed.
fn rate(bytes: u32, ms: u64) -> Option<u32> {
    let rate = (u64::from(bytes) * 1_000).checked_div(ms)?;
    Some(u32::try_from(rate).unwrap_or(u32::MAX))
}

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);
