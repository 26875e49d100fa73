//! What devices tell, kept.

use otaru_smp::{image, os};

/// A device's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Bytes of the largest SMP message, its header included.
    pub buf_size: u32,
    /// Buffers, of which one is needed for the answer.
    pub buf_count: u32,
}

/// A slot that holds an image, as the device lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// Image number.
    pub image: u32,
    /// Slot within the image: 0 primary, 1 secondary.
    pub slot: u32,
    /// Version, `1.2.3` or `1.2.3.4` with a build number.
    pub version: String,
    /// The image hash; empty where the device does not tell.
    pub hash: Vec<u8>,
    /// It can be booted.
    pub bootable: bool,
    /// It will be booted next.
    pub pending: bool,
    /// It stays, or is what a revert brings back.
    pub confirmed: bool,
    /// It is running.
    pub active: bool,
    /// Being pending, it will stay.
    pub permanent: bool,
}

impl From<image::SlotState<'_>> for SlotState {
    fn from(slot: image::SlotState<'_>) -> Self {
        Self {
            image: slot.image.unwrap_or(0),
            slot: slot.slot,
            version: slot.version.into(),
            hash: slot.hash.unwrap_or_default().into(),
            bootable: slot.bootable,
            pending: slot.pending,
            confirmed: slot.confirmed,
            active: slot.active,
            permanent: slot.permanent,
        }
    }
}

/// The slots of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSlots {
    /// Image number.
    pub image: u32,
    /// Its slots.
    pub slots: Vec<image::SlotInfo>,
    /// Bytes of the largest image that fits, header and TLVs included, where the device tells.
    pub max_image_size: Option<u32>,
}

impl From<image::ImageSlots<'_>> for ImageSlots {
    fn from(slots: image::ImageSlots<'_>) -> Self {
        Self { image: slots.image, slots: slots.slots.iter().collect(), max_image_size: slots.max_image_size }
    }
}

/// What a device tells of its bootloader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootloader {
    /// Its name.
    pub name: Option<String>,
    /// Its mode, as SMP numbers them; see [`Bootloader::mode_name`].
    pub mode: Option<i32>,
    /// It refuses older images.
    pub no_downgrade: bool,
}

impl Bootloader {
    /// The mode in words.
    pub fn mode_name(&self) -> Option<&'static str> {
        Some(match self.mode? {
            0 => "single slot",
            1 => "swap using scratch",
            2 => "overwrite only",
            3 => "swap using move",
            4 => "direct XIP",
            5 => "direct XIP with revert",
            6 => "RAM load",
            7 => "firmware loader",
            8 => "RAM load, single slot",
            9 => "swap using offset",
            _ => "unknown",
        })
    }
}

/// One task of the device's operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: i32,
    /// Its number.
    pub id: u32,
    /// Its state, as the operating system counts states.
    pub state: u32,
    /// Stack in use and there is, in bytes.
    pub stack: Option<(u64, u64)>,
    /// Context switches.
    pub switches: Option<u32>,
    /// Time spent, in ticks.
    pub run_time: Option<u64>,
}

impl From<os::Task<'_>> for Task {
    fn from(task: os::Task<'_>) -> Self {
        let bytes = |words: u32| u64::from(words) * 4;
        Self {
            name: task.name.into(),
            priority: task.priority,
            id: task.id,
            state: task.state,
            stack: task.stack_used.zip(task.stack_size).map(|(used, size)| (bytes(used), bytes(size))),
            switches: task.switches,
            run_time: task.run_time,
        }
    }
}
