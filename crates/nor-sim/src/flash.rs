use core::fmt;
use core::ops::Range;
use core::time::Duration;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use otaru_flash::{DeviceId, Flash, FlashAddr, Geometry, ReadFlash, Sector};

use crate::cells::Device;
use crate::trace::Trace;
use crate::{Contents, NorError, Op, OpKind, OpenError, Partial, Timing};

/// How often a write unit may be programmed between two erases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Once, whatever the data: flash with an error-correcting code per unit. The strictest, hence the default.
    #[default]
    Once,
    /// Twice: bits add up. nRF52840 words are like this.
    Twice,
    /// Without limit: bits add up.
    Always,
}

impl Policy {
    const fn allowed(self) -> u8 {
        match self {
            Self::Once => 1,
            Self::Twice => 2,
            Self::Always => u8::MAX,
        }
    }
}

/// Where and how power is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which operation it falls into: write units and erases are counted together, the first after
    /// [`NorFlash::power_on`] (or creation) is 1.
    pub op: u64,
    /// What it leaves of that operation.
    pub leaves: Partial,
}

/// What was done since the flash object was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Write calls.
    pub writes: u64,
    /// Bytes they programmed.
    pub bytes_written: u64,
    /// Erases, each of one sector.
    pub erases: u64,
    /// Bytes they erased.
    pub bytes_erased: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

/// All flash devices of a board: strict NOR rules, in memory or in a file, with power that can be cut.
///
/// A file holds the devices' bytes one after the other, device 0 first, and nothing else. Each write or erase goes to
/// it before the call returns, unbuffered: killing the process is a power cut between two calls. What a unit's
/// [`Policy`] remembers is rebuilt from the bytes: a unit with any non-erased byte was programmed once.
pub struct NorFlash {
    devices: Vec<Device>,
    contents: Contents,
    policy: Policy,
    file: Option<File>,
    timing: Timing,
    busy: Duration,
    pace: Option<Pace>,
    op: u64,
    cut: Option<Cut>,
    lost: bool,
    counters: Counters,
    trace: Option<Trace>,
}

type Pace = Box<dyn FnMut(Duration) + Send>;

impl NorFlash {
    /// Flash in memory, all erased. The first geometry is device 0.
    #[must_use]
    pub fn erased(devices: &[Geometry]) -> Self {
        let (devices, contents) = Device::lay_out(devices);
        Self {
            devices,
            contents,
            policy: Policy::default(),
            file: None,
            timing: Timing::default(),
            busy: Duration::ZERO,
            pace: None,
            op: 0,
            cut: None,
            lost: false,
            counters: Counters::default(),
            trace: None,
        }
    }

    /// Flash in the file at `path`, which is made, all erased, if it does not exist or is empty.
    ///
    /// # Errors
    /// The operating system's, a file of another length, or one that another process has open.
    pub fn open(path: &Path, devices: &[Geometry]) -> Result<Self, OpenError> {
        let mut flash = Self::erased(devices);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => OpenError::InUse,
            TryLockError::Error(error) => OpenError::File(error),
        })?;
        let found = file.metadata()?.len();
        let expected = flash.contents.bytes.len() as u64;
        if found == 0 {
            file.write_all(&flash.contents.bytes)?;
        } else if found == expected {
            file.read_exact(&mut flash.contents.bytes)?;
            for device in &flash.devices {
                device.recount(&mut flash.contents, 0, device.geometry.size() as usize);
            }
        } else {
            return Err(OpenError::Length { found, expected });
        }
        flash.file = Some(file);
        Ok(flash)
    }

    /// This flash with another limit on programming a unit again.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// This flash with a model of how long it is busy.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The model of how long it is busy.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Has `pace` called with the time that each write or erase call keeps the flash busy, before its bytes change.
    /// A `pace` that sleeps makes it run in real time; one that advances a clock, in virtual time.
    pub fn set_pace(&mut self, pace: impl FnMut(Duration) + Send + 'static) {
        self.pace = Some(Box::new(pace));
    }

    /// How long the flash was busy since it was made, by its [`Timing`].
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// What was done since this object was made.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many operations (write units and erases) there were since power came on: the next one is this plus 1.
    #[must_use]
    pub fn op(&self) -> u64 {
        self.op
    }

    /// Plans to lose power. From then on every call ends in [`NorError::PowerLost`], until [`Self::power_on`].
    pub fn cut_power(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// Brings power back: operations count from 1 again, and no cut is planned.
    pub fn power_on(&mut self) {
        self.op = 0;
        self.cut = None;
        self.lost = false;
        if let Some(trace) = &mut self.trace {
            trace.clear();
        }
    }

    /// Whether power is off.
    #[must_use]
    pub fn power_lost(&self) -> bool {
        self.lost
    }

    /// Starts to record operations. Power-on clears the record.
    pub fn record(&mut self) {
        self.trace = Some(Trace::new(&self.devices));
    }

    /// The operations since power came on, if they are recorded.
    #[must_use]
    pub fn recorded(&self) -> &[Op] {
        self.trace.as_ref().map_or(&[], |trace| &trace.ops)
    }

    /// The devices' geometries, device 0 first.
    pub fn geometries(&self) -> impl Iterator<Item = Geometry> + '_ {
        self.devices.iter().map(|device| device.geometry)
    }

    /// All bytes of a device.
    #[must_use]
    pub fn bytes(&self, device: DeviceId) -> Option<&[u8]> {
        let device = self.devices.get(usize::from(device.0))?;
        Some(&self.contents.bytes[device.bytes(0, device.geometry.size() as usize)])
    }

    /// Everything the flash remembers.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Puts `bytes` at `at` as a programming tool would: no rule applies, nothing is counted, and a unit with any
    /// non-erased byte counts as programmed once.
    ///
    /// # Errors
    /// A range outside the device, or the file's.
    pub fn load(&mut self, at: FlashAddr, bytes: &[u8]) -> Result<(), NorError> {
        let device = self.locate(at, bytes.len())?;
        let start = at.offset as usize;
        self.contents.bytes[device.bytes(start, bytes.len())].copy_from_slice(bytes);
        device.recount(&mut self.contents, start, bytes.len());
        self.store(device.bytes(start, bytes.len()))
    }

    /// Puts back what the flash remembered earlier, in memory only: a file behind it is not written.
    ///
    /// # Panics
    /// If `contents` are those of other devices.
    pub fn restore(&mut self, contents: &Contents) {
        self.contents.bytes.copy_from_slice(&contents.bytes);
        self.contents.programs.copy_from_slice(&contents.programs);
    }

    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    fn locate(&self, at: FlashAddr, len: usize) -> Result<Device, NorError> {
        let count = self.devices.len();
        let device =
            *self.devices.get(usize::from(at.device.0)).ok_or(NorError::NoDevice { device: at.device.0, count })?;
        let size = device.geometry.size();
        if u64::from(at.offset).saturating_add(len as u64) > u64::from(size) {
            return Err(NorError::OutOfBounds { at, len, size });
        }
        Ok(device)
    }

    /// Writes that part of the contents to the file, if there is one.
    fn store(&mut self, range: Range<usize>) -> Result<(), NorError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(range.start as u64))
            .and_then(|_| file.write_all(&self.contents.bytes[range]))
            .map_err(|error| NorError::File { kind: error.kind() })
    }

    fn powered(&self) -> Result<(), NorError> {
        if self.lost { Err(NorError::PowerLost) } else { Ok(()) }
    }

    fn wait(&mut self, time: Duration) {
        self.busy += time;
        if let Some(pace) = &mut self.pace
            && !time.is_zero()
        {
            pace(time);
        }
    }

    /// Counts the next operation, records it or loses power in it, and says what is left of it.
    fn begin(&mut self, op: Op, data: &[u8]) -> Partial {
        self.op += 1;
        if let Some(cut) = self.cut
            && cut.op == self.op
        {
            self.lost = true;
            return cut.leaves;
        }
        if let Some(trace) = &mut self.trace {
            trace.ops.push(op);
            trace.data.extend_from_slice(data);
        }
        Partial::All
    }

    /// Checks a write before any of its bytes change.
    fn check_write(&self, device: Device, at: FlashAddr, len: usize) -> Result<(), NorError> {
        let unit = device.unit();
        let start = at.offset as usize;
        if !start.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(NorError::Misaligned { at, len, unit });
        }
        let allowed = self.policy.allowed();
        for index in device.touched(start, len) {
            let times = self.contents.programs[index];
            if times >= allowed {
                let offset = (index - device.units) * unit;
                return Err(NorError::Programmed { at: FlashAddr::new(at.device, offset as u32), times, allowed });
            }
        }
        Ok(())
    }

    /// Notes that what these bytes hold matters.
    fn see(&mut self, device: Device, at: FlashAddr, len: usize) {
        if let Some(trace) = &mut self.trace
            && len > 0
        {
            trace.see(device.touched(at.offset as usize, len));
        }
    }

    /// Programs one unit. Whether it was programmed whole shows in [`Self::powered`].
    fn program(&mut self, device: Device, at: FlashAddr, data: &[u8]) {
        let op = Op { kind: OpKind::Write, at, len: data.len() as u32 };
        let leaves = self.begin(op, data);
        device.apply(&mut self.contents, &op, data, leaves);
    }
}

impl ReadFlash for NorFlash {
    type Error = NorError;

    fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), NorError> {
        self.powered()?;
        let device = self.locate(at, out.len())?;
        self.see(device, at, out.len());
        out.copy_from_slice(&self.contents.bytes[device.bytes(at.offset as usize, out.len())]);
        self.counters.bytes_read += out.len() as u64;
        Ok(())
    }
}

impl Flash for NorFlash {
    fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), NorError> {
        self.powered()?;
        let device = self.locate(at, data.len())?;
        self.see(device, at, data.len());
        self.check_write(device, at, data.len())?;
        self.wait(self.timing.write(data.len()));
        self.counters.writes += 1;
        let mut done = 0;
        for unit in data.chunks(device.unit()) {
            self.program(device, FlashAddr::new(at.device, at.offset + done as u32), unit);
            done += unit.len();
            if self.lost {
                break;
            }
        }
        self.counters.bytes_written += done as u64;
        self.store(device.bytes(at.offset as usize, done))?;
        self.powered()
    }

    fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), NorError> {
        self.powered()?;
        let device = self.locate(at, len as usize)?;
        if device.geometry.sector_at(at.offset) != Some(Sector { offset: at.offset, size: len }) {
            return Err(NorError::NotASector { at, len });
        }
        self.wait(self.timing.erase(len));
        self.counters.erases += 1;
        self.counters.bytes_erased += u64::from(len);
        if let Some(trace) = &mut self.trace {
            trace.forget(device.touched(at.offset as usize, 1).start);
        }
        let op = Op { kind: OpKind::Erase, at, len };
        let leaves = self.begin(op, &[]);
        device.apply(&mut self.contents, &op, &[], leaves);
        self.store(device.bytes(at.offset as usize, len as usize))?;
        self.powered()
    }
}

impl fmt::Debug for NorFlash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let geometries: Vec<_> = self.geometries().collect();
        f.debug_struct("NorFlash")
            .field("devices", &geometries)
            .field("policy", &self.policy)
            .field("timing", &self.timing)
            .field("op", &self.op)
            .field("cut", &self.cut)
            .field("lost", &self.lost)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
