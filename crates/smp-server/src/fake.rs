//! A device for tests: flash in memory that is as strict as the real one, and an operating system of constants.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use crate::{Bootloader, Candidate, Failure, ImageStore, Images, Info, OsGroup, Server, SlotImage, SwapType};
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use otaru_policy::{Access, Action, Link, Policy, SecurityLevel, Transport};
use otaru_smp::os::{ParamsResponse, ResetRequest, Task, TaskStatsResponse};
use otaru_smp::{Body, ImageError, List, Rc};
use std::sync::LazyLock;
use std::vec;
use std::vec::Vec;

pub(crate) const SLOT_SIZE: u32 = 0x69000;
pub(crate) const SECTOR: u32 = 0x1000;
/// As recorded: the length of the image that was uploaded.
pub(crate) const IMAGE_LEN: u32 = 60663;

/// Runs a future that never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the fake never waits"),
    }
}

/// Polls a future once and drops it.
pub(crate) fn poll_once_and_drop<T>(future: impl Future<Output = T>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it was to wait");
}

/// An image of 60663 bytes as the recorded one: the header of 1.2.0+2, and as hash the one that was listed for it.
pub(crate) fn image(version: [u8; 8], hash: [u8; 32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..IMAGE_LEN).map(|n| (n * 7 % 251) as u8).collect();
    bytes[..32].fill(0);
    bytes[..4].copy_from_slice(&[0x3d, 0xb8, 0xf3, 0x96]);
    bytes[8..10].copy_from_slice(&[0, 2]);
    bytes[12..16].copy_from_slice(&60_000_u32.to_le_bytes());
    bytes[20..28].copy_from_slice(&version);
    let end = bytes.len();
    bytes[end - 32..].copy_from_slice(&hash);
    bytes
}

/// Stands for SHA-256: what tells files apart, in 32 bytes.
pub(crate) fn sha(bytes: &[u8]) -> [u8; 32] {
    let mut state: [u64; 4] = [1, 2, 3, 4];
    for (n, byte) in bytes.iter().enumerate() {
        let lane = &mut state[n % 4];
        *lane = (*lane ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(9);
    }
    let mut out = [0; 32];
    out.chunks_mut(8).zip(state).for_each(|(out, lane)| out.copy_from_slice(&lane.to_le_bytes()));
    out
}

/// What was done to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Prepare,
    EraseSector(u32),
    EraseSlot(u8),
    Write { offset: u32, len: usize },
    SetPending { permanent: bool },
    Confirm,
}

/// Two slots in memory.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) slots: [Vec<u8>; 2],
    pub(crate) swap: SwapType,
    pub(crate) unit: usize,
    /// What each byte of slot 1 still is: false once written.
    pub(crate) blank: Vec<bool>,
    pub(crate) log: Vec<Done>,
    /// The file that is known by a given hash rather than by [`sha`].
    pub(crate) known: Option<(Vec<u8>, [u8; 32])>,
    /// What the next flash operation and the next verification fail with.
    pub(crate) broken: Option<ImageError>,
    pub(crate) rejected: Option<Failure>,
    /// How often a slot's content was hashed.
    pub(crate) hashed: u32,
    /// Whether flash operations wait once.
    pub(crate) waits: bool,
}

impl Store {
    /// A running image in slot 0, nothing in slot 1.
    pub(crate) fn new() -> Self {
        static NEW: LazyLock<Store> = LazyLock::new(Store::fresh);
        NEW.clone()
    }

    fn fresh() -> Self {
        let mut running = image([1, 1, 0, 0, 1, 0, 0, 0], [0x24; 32]);
        running.resize(SLOT_SIZE as usize, 0xff);
        Self {
            slots: [running, vec![0xff; SLOT_SIZE as usize]],
            swap: SwapType::None,
            unit: 4,
            blank: vec![true; SLOT_SIZE as usize],
            log: Vec::new(),
            known: None,
            broken: None,
            rejected: None,
            hashed: 0,
            waits: false,
        }
    }

    /// As [`new`](Self::new), with an image in slot 1.
    pub(crate) fn with_second(file: &[u8], swap: SwapType) -> Self {
        let mut store = Self::new();
        store.slots[1][..file.len()].copy_from_slice(file);
        store.blank.fill(false);
        Self { swap, ..store }
    }

    async fn flash(&mut self, done: Done) -> Result<(), Failure> {
        if self.waits {
            let mut waited = false;
            core::future::poll_fn(
                |_| if core::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending },
            )
            .await;
        }
        self.log.push(done);
        self.broken.take().map_or(Ok(()), |error| Err(Failure::new(error)))
    }

    fn blank_from(&mut self, start: usize, end: usize) {
        self.slots[1][start..end].fill(0xff);
        self.blank[start..end].fill(true);
    }
}

impl ImageStore for Store {
    fn active_slot(&self) -> u8 {
        0
    }

    fn slot_size(&self, _: u8) -> u32 {
        SLOT_SIZE
    }

    fn max_image_size(&self) -> u32 {
        SLOT_SIZE - 2 * SECTOR
    }

    fn write_unit(&self) -> usize {
        self.unit
    }

    fn erased_value(&self) -> u8 {
        0xff
    }

    async fn swap_type(&mut self) -> Result<SwapType, Failure> {
        Ok(self.swap)
    }

    async fn image(&mut self, slot: u8) -> Result<Option<SlotImage>, Failure> {
        let bytes = &self.slots[usize::from(slot)][..IMAGE_LEN as usize];
        let hash: [u8; 32] = bytes[bytes.len() - 32..].try_into().unwrap();
        if !self.is_image(bytes.first_chunk().unwrap()) || hash == [0xff; 32] {
            return Ok(None);
        }
        let [major, minor, revision @ .., b0, b1, b2, b3] = <[u8; 8]>::try_from(&bytes[20..28]).unwrap();
        let (revision, build) = (u16::from_le_bytes(revision), u32::from_le_bytes([b0, b1, b2, b3]));
        Ok(Some(SlotImage { major, minor, revision, build, hash, bootable: true }))
    }

    fn is_image(&self, header: &[u8; 32]) -> bool {
        header.starts_with(&[0x3d, 0xb8, 0xf3, 0x96])
    }

    async fn admit(&mut self, candidate: &Candidate<'_>) -> Result<(), Failure> {
        let older = candidate.upgrade && candidate.header[20..24] <= self.slots[0][20..24];
        if older { Err(Failure::new(ImageError::CURRENT_VERSION_IS_NEWER)) } else { Ok(()) }
    }

    async fn prepare(&mut self, slot: u8) -> Result<(), Failure> {
        assert_eq!(slot, 1);
        self.flash(Done::Prepare).await?;
        self.swap = SwapType::None;
        Ok(())
    }

    async fn erase_sector_at(&mut self, slot: u8, offset: u32) -> Result<u32, Failure> {
        assert_eq!(slot, 1);
        self.flash(Done::EraseSector(offset)).await?;
        let start = offset - offset % SECTOR;
        self.blank_from(start as usize, (start + SECTOR) as usize);
        Ok(start + SECTOR)
    }

    async fn write(&mut self, slot: u8, offset: u32, data: &[u8]) -> Result<(), Failure> {
        assert_eq!(slot, 1);
        self.flash(Done::Write { offset, len: data.len() }).await?;
        let start = offset as usize;
        let range = start..start + data.len();
        assert!(start.is_multiple_of(self.unit) && data.len().is_multiple_of(self.unit) && !data.is_empty());
        assert!(self.blank[range.clone()].iter().all(|blank| *blank), "written twice at {range:x?}");
        self.slots[1][range.clone()].copy_from_slice(data);
        self.blank[range].fill(false);
        Ok(())
    }

    async fn read(&mut self, slot: u8, offset: u32, out: &mut [u8]) -> Result<(), Failure> {
        out.copy_from_slice(&self.slots[usize::from(slot)][offset as usize..][..out.len()]);
        Ok(())
    }

    async fn holds(&mut self, slot: u8, len: u32, wanted: &[u8; 32]) -> Result<bool, Failure> {
        self.hashed += 1;
        let bytes = &self.slots[usize::from(slot)][..len as usize];
        Ok(match &self.known {
            Some((file, hash)) if file == bytes => hash == wanted,
            _ => sha(bytes) == *wanted,
        })
    }

    async fn erase(&mut self, slot: u8) -> Result<(), Failure> {
        assert_eq!(slot, 1);
        self.flash(Done::EraseSlot(slot)).await?;
        self.blank_from(0, SLOT_SIZE as usize);
        self.swap = SwapType::None;
        Ok(())
    }

    async fn verify(&mut self, _: u8) -> Result<(), Failure> {
        self.rejected.take().map_or(Ok(()), Err)
    }

    async fn set_pending(&mut self, permanent: bool) -> Result<(), Failure> {
        self.flash(Done::SetPending { permanent }).await?;
        self.swap = if permanent { SwapType::Permanent } else { SwapType::Test };
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), Failure> {
        self.flash(Done::Confirm).await?;
        self.swap = SwapType::None;
        Ok(())
    }
}

/// An operating system that says of itself what the recorded server said, and has no clock.
#[derive(Debug, Default)]
pub(crate) struct Os {
    /// Whether a reset without force is refused.
    pub(crate) busy: bool,
}

impl OsGroup for Os {
    async fn task_stats(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        let tasks = [
            Task { name: "mcumgr smp", priority: 3, id: 0, state: 128, ..Task::default() },
            Task { name: "idle", priority: -1, id: 1, state: 2, ..Task::default() },
        ];
        Ok(TaskStatsResponse { tasks: List::new(&tasks) }.encode(out)?)
    }

    async fn prepare_reset(&mut self, request: &ResetRequest) -> Result<(), Failure> {
        if self.busy && !request.force { Err(Failure::new(Rc::BUSY).because("the door is open")) } else { Ok(()) }
    }

    fn params(&self) -> Result<ParamsResponse, Failure> {
        Ok(ParamsResponse { buf_size: 2475, buf_count: 4 })
    }

    fn info(&self) -> Result<Info<'_>, Failure> {
        Ok(Info {
            kernel: "Zephyr",
            node: "unknown",
            release: "",
            version: "3.4.99",
            build_time: "Fri Nov 20 11:59:04 2026",
            machine: "posix",
            processor: "unknown",
            platform: "native_sim_64",
            operating_system: "Zephyr",
        })
    }

    fn bootloader(&self) -> Result<Bootloader<'_>, Failure> {
        Ok(Bootloader { name: "MCUboot", mode: 3, no_downgrade: false })
    }
}

pub(crate) type Device = Server<Os, Images<Store>>;

/// A device that is open over UDP and, for bonded peers at level 4, over Bluetooth.
pub(crate) fn device(store: Store) -> Device {
    let policy = Policy::deny_all().with(Transport::Udp, Access::open()).with(Transport::Ble, Access::authenticated());
    Server::new(policy, Os::default(), Images::new(store))
}

/// The same, and over UDP untested images may be confirmed.
pub(crate) fn reckless(store: Store) -> Device {
    let access = Access::open().allow(Action::ConfirmUntested, SecurityLevel::L1);
    Server::new(Policy::deny_all().with(Transport::Udp, access), Os::default(), Images::new(store))
}

/// Sends one datagram and gives the answers. Checks on the way that no answer touches what it does not use.
pub(crate) fn exchange(device: &mut Device, link: &Link, datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut requests = datagram;
    let mut answers = Vec::new();
    loop {
        let mut buffer = [0xa5; 2475];
        let Some(n) = ready(device.handle_next(link, &mut requests, &mut buffer)) else { return answers };
        answers.push(buffer[..n].to_vec());
    }
}
