//! A link inside one process, for tests and demonstrations: latency, rate and loss as told, in whatever time the
//! executor runs on, the same every time.

use super::{Link, LinkError, Transport};
use embassy_time::{Duration, Instant, Timer};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// How good the link is. The same both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// From sending to arriving.
    pub latency: Duration,
    /// Bytes that pass per second; 0 for any number.
    pub bytes_per_second: u32,
    /// Frames lost, per thousand.
    pub lost_per_mille: u32,
    /// Frames that arrive twice, per thousand.
    pub doubled_per_mille: u32,
    /// Frames that arrive a latency later than they should, per thousand: later ones overtake them.
    pub late_per_mille: u32,
    /// What the accidents are drawn from.
    pub seed: u64,
}

impl Quality {
    /// Loses nothing and takes no time.
    pub const IDEAL: Self = Self {
        latency: Duration::from_ticks(0),
        bytes_per_second: 0,
        lost_per_mille: 0,
        doubled_per_mille: 0,
        late_per_mille: 0,
        seed: 1,
    };
}

/// The client's end.
#[derive(Debug)]
pub struct MemoryLink {
    shared: Arc<Shared>,
    max_frame: usize,
    frame: Vec<u8>,
    /// The connection this end takes part in; another one has begun if the wire's number is higher.
    connection: u64,
}

/// The device's end.
#[derive(Debug)]
pub struct MemoryPeer(Arc<Shared>);

/// Two ends of one link whose frames hold `max_frame` bytes.
pub fn pair(max_frame: usize, quality: Quality) -> (MemoryLink, MemoryPeer) {
    let wire = Wire {
        quality,
        random: quality.seed | 1,
        up: true,
        connection: 0,
        to_device: Way::default(),
        to_client: Way::default(),
    };
    let shared = Arc::new(Shared(Mutex::new(wire)));
    let link = MemoryLink { shared: Arc::clone(&shared), max_frame, frame: Vec::new(), connection: 0 };
    (link, MemoryPeer(shared))
}

impl Link for MemoryLink {
    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn max_frame(&self) -> usize {
        self.max_frame
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        let mut wire = self.shared.lock();
        if !wire.up {
            return Err(LinkError::Absent { to: NAME.into(), why: "it is switched off".into() });
        }
        wire.connection += 1;
        wire.to_client.frames.clear();
        self.connection = wire.connection;
        Ok(())
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        if frame.len() > self.max_frame {
            return Err(LinkError::TooLong { to: NAME.into(), len: frame.len(), max: self.max_frame });
        }
        let mut wire = self.shared.lock();
        if !wire.up || wire.connection != self.connection {
            return Err(lost());
        }
        wire.send(Direction::ToDevice, frame);
        Ok(())
    }

    async fn receive(&mut self) -> Result<&[u8], LinkError> {
        let connection = self.connection;
        let broken = move |wire: &Wire| !wire.up || wire.connection != connection;
        self.frame = self.shared.receive(Direction::ToClient, broken).await.ok_or_else(lost)?;
        Ok(&self.frame)
    }
}

impl MemoryPeer {
    /// The next frame from the client.
    pub async fn receive(&self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.0.receive(Direction::ToDevice, |_| false).await {
                return frame;
            }
        }
    }

    /// Sends one frame to the client.
    pub fn send(&self, frame: &[u8]) {
        self.0.lock().send(Direction::ToClient, frame);
    }

    /// Switches the device off (the client sees its link lost, and what was on its way is gone) or on again.
    pub fn set_up(&self, up: bool) {
        let mut wire = self.0.lock();
        wire.up = up;
        wire.to_device.frames.clear();
        wire.to_client.frames.clear();
        wire.to_client.wake();
        wire.to_device.wake();
    }
}

#[derive(Debug)]
struct Shared(Mutex<Wire>);

#[derive(Debug)]
struct Wire {
    quality: Quality,
    random: u64,
    up: bool,
    connection: u64,
    to_device: Way,
    to_client: Way,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// Frames and when they arrive, in that order.
    frames: VecDeque<(Instant, Vec<u8>)>,
    /// When the last bit of what was sent has left.
    free_at: Option<Instant>,
    waiting: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    ToDevice,
    ToClient,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame to arrive; `None` if the link is broken.
    async fn receive(&self, direction: Direction, broken: impl Fn(&Wire) -> bool) -> Option<Vec<u8>> {
        loop {
            let arrival = poll_fn(|cx| {
                let mut wire = self.lock();
                if broken(&wire) {
                    return Poll::Ready(None);
                }
                let way = wire.way(direction);
                way.waiting = Some(cx.waker().clone());
                way.frames.front().map_or(Poll::Pending, |(at, _)| Poll::Ready(Some(*at)))
            })
            .await?;
            if arrival <= Instant::now() {
                if let Some((_, frame)) = self.lock().way(direction).frames.pop_front() {
                    return Some(frame);
                }
                continue;
            }
            // Until it arrives, or something changes: another frame may overtake it, or the link may break.
            embassy_futures::select::select(Timer::at(arrival), self.changed(direction)).await;
        }
    }

    /// Ready at the second poll: after the waker it left was called.
    async fn changed(&self, direction: Direction) {
        let mut polled = false;
        poll_fn(|cx| {
            if core::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            self.lock().way(direction).waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Wire {
    fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToDevice => &mut self.to_device,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn send(&mut self, direction: Direction, frame: &[u8]) {
        if self.happens(self.quality.lost_per_mille) {
            return;
        }
        let quality = self.quality;
        let delay = if self.happens(quality.late_per_mille) { quality.latency * 2 } else { quality.latency };
        let doubled = self.happens(quality.doubled_per_mille);
        let way = self.way(direction);
        let now = Instant::now();
        let begins = way.free_at.map_or(now, |free| free.max(now));
        let takes = u64::try_from(frame.len()).unwrap_or(u64::MAX).saturating_mul(1_000_000);
        let takes = Duration::from_micros(takes.checked_div(u64::from(quality.bytes_per_second)).unwrap_or(0));
        way.free_at = Some(begins + takes);
        for copy in 0..=u32::from(doubled) {
            way.put(begins + takes + delay * (copy + 1), frame.to_vec());
        }
        way.wake();
    }

    /// Drawn with xorshift64: the same for the same seed.
    fn happens(&mut self, per_mille: u32) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 1_000 < u64::from(per_mille)
    }
}

impl Way {
    fn put(&mut self, arrival: Instant, frame: Vec<u8>) {
        let place = self.frames.partition_point(|(at, _)| *at <= arrival);
        self.frames.insert(place, (arrival, frame));
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

fn lost() -> LinkError {
    LinkError::Lost { to: NAME.into(), why: "the device was reset".into() }
}

const NAME: &str = "the device in memory";
