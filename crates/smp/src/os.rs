//! Messages of the OS group, number 0.

use crate::cbor::{DecodeError, EncodeError, Item, List, Reader, Writer, once};
use crate::header::command::os as command;
use crate::{Body, Group, Op, Request};

/// Asks for a text to be given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EchoRequest<'a> {
    /// The text (`d`); empty if absent.
    pub text: &'a str,
}

/// The text given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EchoResponse<'a> {
    /// The text (`r`).
    pub text: &'a str,
}

/// Asks for the tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStatsRequest;

/// The tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStatsResponse<'a> {
    /// The tasks; names should differ, clients may show only one of each name.
    pub tasks: List<'a, Task<'a>>,
}

/// One task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its priority, which may be negative (`prio`).
    pub priority: i32,
    /// Its number (`tid`).
    pub id: u32,
    /// Its state, as the operating system counts states.
    pub state: u32,
    /// Stack in use, in words of 4 bytes (`stkuse`).
    pub stack_used: Option<u32>,
    /// Stack there is, in words of 4 bytes (`stksiz`).
    pub stack_size: Option<u32>,
    /// Context switches (`cswcnt`).
    pub switches: Option<u32>,
    /// Time spent, in ticks (`runtime`).
    pub run_time: Option<u64>,
}

/// Asks for the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateTimeRequest;

/// The clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTimeResponse<'a> {
    /// Date and time as text, see [`crate::DateTime`].
    pub datetime: &'a str,
}

/// Sets the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetDateTimeRequest<'a> {
    /// Date and time as text, see [`crate::DateTime`].
    pub datetime: &'a str,
}

/// The clock is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetDateTimeResponse;

/// Asks for a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetRequest {
    /// Restart even if the device has something better to do.
    pub force: bool,
    /// What to boot: 0 the application, 1 the bootloader.
    pub boot_mode: Option<u8>,
}

/// The device will restart once this was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetResponse;

/// Asks for buffer size and count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParamsRequest;

/// Buffer size and count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParamsResponse {
    /// Bytes of the largest message, its header included (`buf_size`).
    pub buf_size: u32,
    /// Buffers, of which one is needed for the answer (`buf_count`).
    pub buf_count: u32,
}

/// Asks what runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoRequest<'a> {
    /// Letters of what to tell (`snrvbmpioa`); absent or empty means `s`.
    pub format: Option<&'a str>,
}

/// What runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoResponse<'a> {
    /// What was asked for, separated by spaces.
    pub output: &'a str,
}

/// Asks about the bootloader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootloaderRequest<'a> {
    /// What to tell: absent for its name, `mode` for its mode.
    pub query: Option<&'a str>,
}

/// About the bootloader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootloaderResponse<'a> {
    /// Its name, asked without a query.
    pub name: Option<&'a str>,
    /// Its mode, asked with `mode`: -1 unknown, 0 single slot, 1 swap with scratch, 2 overwrite, 3 swap by moving,
    /// 4 direct XIP, 5 direct XIP with revert, 6 RAM load, 7 firmware loader, 8 RAM load single slot, 9 swap by offset.
    pub mode: Option<i32>,
    /// Whether it refuses older images, asked with `mode`.
    pub no_downgrade: bool,
}

impl<'a> Body<'a> for EchoRequest<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_text(out, "d", self.text)
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { text: read_text(body, "d")?.unwrap_or_default() })
    }
}

impl<'a> Body<'a> for EchoResponse<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_text(out, "r", self.text)
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { text: read_text(body, "r")?.ok_or(DecodeError::Missing { key: "r" })? })
    }
}

impl<'a> Body<'a> for TaskStatsResponse<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(1)?;
        writer.text("tasks")?;
        self.tasks.write(&mut writer)?;
        Ok(writer.written())
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut tasks = None;
        Reader::new(body).map(|key, value| match key {
            "tasks" => once(&mut tasks, value, List::read),
            _ => value.skip(),
        })?;
        Ok(Self { tasks: tasks.ok_or(DecodeError::Missing { key: "tasks" })? })
    }
}

impl<'a> Item<'a> for Task<'a> {
    const IN_MAP: bool = true;

    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let name = reader.text()?;
        let (mut priority, mut id, mut state) = (None, None, None);
        let (mut stack_used, mut stack_size, mut switches, mut run_time) = (None, None, None, None);
        reader.map(|key, value| match key {
            "prio" => once(&mut priority, value, Reader::i32),
            "tid" => once(&mut id, value, Reader::u32),
            "state" => once(&mut state, value, Reader::u32),
            "stkuse" => once(&mut stack_used, value, Reader::u32),
            "stksiz" => once(&mut stack_size, value, Reader::u32),
            "cswcnt" => once(&mut switches, value, Reader::u32),
            "runtime" => once(&mut run_time, value, Reader::u64),
            _ => value.skip(),
        })?;
        Ok(Self {
            name,
            priority: priority.ok_or(DecodeError::Missing { key: "prio" })?,
            id: id.ok_or(DecodeError::Missing { key: "tid" })?,
            state: state.ok_or(DecodeError::Missing { key: "state" })?,
            stack_used,
            stack_size,
            switches,
            run_time,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let optional = [self.stack_used.is_some(), self.stack_size.is_some(), self.switches.is_some()];
        let entries = optional.into_iter().filter(|is| *is).count();
        writer.text(self.name)?;
        writer.map(entries.saturating_add(3).saturating_add(usize::from(self.run_time.is_some())))?;
        writer.text("prio")?;
        writer.signed(self.priority.into())?;
        writer.unsigned_entry("tid", self.id)?;
        writer.unsigned_entry("state", self.state)?;
        writer.optional_entry("stkuse", self.stack_used)?;
        writer.optional_entry("stksiz", self.stack_size)?;
        writer.optional_entry("cswcnt", self.switches)?;
        writer.optional_entry("runtime", self.run_time)
    }
}

impl<'a> Body<'a> for DateTimeResponse<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_text(out, "datetime", self.datetime)
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { datetime: read_text(body, "datetime")?.ok_or(DecodeError::Missing { key: "datetime" })? })
    }
}

impl<'a> Body<'a> for SetDateTimeRequest<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_text(out, "datetime", self.datetime)
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { datetime: read_text(body, "datetime")?.ok_or(DecodeError::Missing { key: "datetime" })? })
    }
}

impl Body<'_> for ResetRequest {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(usize::from(self.force).saturating_add(usize::from(self.boot_mode.is_some())))?;
        if self.force {
            writer.bool_entry("force", true)?;
        }
        writer.optional_entry("boot_mode", self.boot_mode)?;
        Ok(writer.written())
    }

    /// `force` is documented as a number and read as a truth value by servers: both are taken.
    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (mut force, mut boot_mode) = (None, None);
        Reader::new(body).map(|key, value| match key {
            "force" => once(&mut force, value, |value| match value.bool() {
                Err(DecodeError::WrongType { .. }) => value.u32().map(|n| n != 0),
                read => read,
            }),
            "boot_mode" => once(&mut boot_mode, value, Reader::u8),
            _ => value.skip(),
        })?;
        Ok(Self { force: force.unwrap_or(false), boot_mode })
    }
}

impl Body<'_> for ParamsResponse {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(2)?;
        writer.unsigned_entry("buf_size", self.buf_size)?;
        writer.unsigned_entry("buf_count", self.buf_count)?;
        Ok(writer.written())
    }

    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (mut size, mut count) = (None, None);
        Reader::new(body).map(|key, value| match key {
            "buf_size" => once(&mut size, value, Reader::u32),
            "buf_count" => once(&mut count, value, Reader::u32),
            _ => value.skip(),
        })?;
        Ok(Self {
            buf_size: size.ok_or(DecodeError::Missing { key: "buf_size" })?,
            buf_count: count.ok_or(DecodeError::Missing { key: "buf_count" })?,
        })
    }
}

impl<'a> Body<'a> for InfoRequest<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_optional_text(out, "format", self.format)
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { format: read_text(body, "format")? })
    }
}

impl<'a> Body<'a> for InfoResponse<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_text(out, "output", self.output)
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { output: read_text(body, "output")?.ok_or(DecodeError::Missing { key: "output" })? })
    }
}

impl<'a> Body<'a> for BootloaderRequest<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_optional_text(out, "query", self.query)
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { query: read_text(body, "query")? })
    }
}

impl<'a> Body<'a> for BootloaderResponse<'a> {
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let present = [self.name.is_some(), self.mode.is_some(), self.no_downgrade];
        let mut writer = Writer::new(out);
        writer.map(present.into_iter().filter(|is| *is).count())?;
        if let Some(name) = self.name {
            writer.text_entry("bootloader", name)?;
        }
        if let Some(mode) = self.mode {
            writer.text("mode")?;
            writer.signed(mode.into())?;
        }
        if self.no_downgrade {
            writer.bool_entry("no-downgrade", true)?;
        }
        Ok(writer.written())
    }

    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut name, mut mode, mut no_downgrade) = (None, None, None);
        Reader::new(body).map(|key, value| match key {
            "bootloader" => once(&mut name, value, Reader::text),
            "mode" => once(&mut mode, value, Reader::i32),
            "no-downgrade" => once(&mut no_downgrade, value, Reader::bool),
            _ => value.skip(),
        })?;
        Ok(Self { name, mode, no_downgrade: no_downgrade.unwrap_or(false) })
    }
}

crate::body::empty_bodies!(TaskStatsRequest, DateTimeRequest, SetDateTimeResponse, ResetResponse, ParamsRequest);

crate::body::requests! {
    EchoRequest<'a>, WRITE, OS, command::ECHO => EchoResponse<'r>;
    TaskStatsRequest, READ, OS, command::TASK_STATS => TaskStatsResponse<'r>;
    DateTimeRequest, READ, OS, command::DATE_TIME => DateTimeResponse<'r>;
    SetDateTimeRequest<'a>, WRITE, OS, command::DATE_TIME => SetDateTimeResponse;
    ResetRequest, WRITE, OS, command::RESET => ResetResponse;
    ParamsRequest, READ, OS, command::PARAMS => ParamsResponse;
    InfoRequest<'a>, READ, OS, command::INFO => InfoResponse<'r>;
    BootloaderRequest<'a>, READ, OS, command::BOOTLOADER => BootloaderResponse<'r>;
}

fn write_text(out: &mut [u8], key: &str, text: &str) -> Result<usize, EncodeError> {
    write_optional_text(out, key, Some(text))
}

fn write_optional_text(out: &mut [u8], key: &str, text: Option<&str>) -> Result<usize, EncodeError> {
    let mut writer = Writer::new(out);
    writer.map(usize::from(text.is_some()))?;
    if let Some(text) = text {
        writer.text_entry(key, text)?;
    }
    Ok(writer.written())
}

/// The text of `key` in a body where nothing else is of interest.
fn read_text<'a>(body: &'a [u8], key: &str) -> Result<Option<&'a str>, DecodeError> {
    let mut text = None;
    Reader::new(body).map(
        |found, value| {
            if found == key { once(&mut text, value, Reader::text) } else { value.skip() }
        },
    )?;
    Ok(text)
}
