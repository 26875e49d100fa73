//! The OS group: what the application tells, and how it is put into answers.

use crate::{Failure, Gate};
use core::fmt::Write;
use otaru_policy::Action;
use otaru_smp::command::os as command;
use otaru_smp::os::{
    BootloaderRequest, BootloaderResponse, DateTimeResponse, EchoRequest, EchoResponse, InfoRequest, InfoResponse,
    ParamsResponse, ResetRequest, ResetResponse, SetDateTimeRequest, SetDateTimeResponse,
};
use otaru_smp::{Body, DateTime, Op, OsError, Rc, Text};

/// What an application offers of the OS group; echo needs nothing of it. Every method answers 'not supported' until it
/// is written.
#[expect(async_fn_in_trait, reason = "device executors are single-threaded: no Send bound is wanted")]
pub trait OsGroup {
    /// Encodes an [`otaru_smp::os::TaskStatsResponse`] into `out` and tells its length.
    ///
    /// # Errors
    /// Whatever shall be answered; [`Failure`] is made from an encoding error.
    async fn task_stats(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        let _ = out;
        Err(Failure::not_supported())
    }

    /// Reads the clock.
    ///
    /// # Errors
    /// [`OsError::RTC_NOT_SET`] if it never was, [`OsError::RTC_COMMAND_FAILED`] if it does not work.
    async fn date_time(&mut self) -> Result<DateTime, Failure> {
        Err(Failure::not_supported())
    }

    /// Sets the clock.
    ///
    /// # Errors
    /// [`OsError::RTC_COMMAND_FAILED`] if it does not work.
    async fn set_date_time(&mut self, date_time: DateTime) -> Result<(), Failure> {
        let _ = date_time;
        Err(Failure::not_supported())
    }

    /// Agrees to a restart, which happens when the answer has been sent; see [`crate::Server::take_reset`].
    ///
    /// # Errors
    /// [`Rc::BUSY`] if this is no moment to restart and `request.force` is not set, or whatever shall be answered.
    async fn prepare_reset(&mut self, request: &ResetRequest) -> Result<(), Failure> {
        let _ = request;
        Err(Failure::not_supported())
    }

    /// Buffers that requests and answers share, and how large each is. Over Bluetooth, clients take any answer as a
    /// promise that fragments are reassembled up to that size.
    ///
    /// # Errors
    /// Whatever shall be answered.
    fn params(&self) -> Result<ParamsResponse, Failure> {
        Err(Failure::not_supported())
    }

    /// What runs.
    ///
    /// # Errors
    /// Whatever shall be answered.
    fn info(&self) -> Result<Info<'_>, Failure> {
        Err(Failure::not_supported())
    }

    /// What boots.
    ///
    /// # Errors
    /// Whatever shall be answered.
    fn bootloader(&self) -> Result<Bootloader<'_>, Failure> {
        Err(Failure::not_supported())
    }
}

/// What runs, by the letters of `info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info<'a> {
    /// `s`: the kernel's name.
    pub kernel: &'a str,
    /// `n`: the device's name.
    pub node: &'a str,
    /// `r`: the kernel's release.
    pub release: &'a str,
    /// `v`: the kernel's version.
    pub version: &'a str,
    /// `b`: when it was built.
    pub build_time: &'a str,
    /// `m`: the machine.
    pub machine: &'a str,
    /// `p`: the processor.
    pub processor: &'a str,
    /// `i`: the hardware platform.
    pub platform: &'a str,
    /// `o`: the operating system's name.
    pub operating_system: &'a str,
}

/// What boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootloader<'a> {
    /// The name that clients know it by.
    pub name: &'a str,
    /// Its mode, see [`BootloaderResponse::mode`].
    pub mode: i32,
    /// Whether it refuses older images.
    pub no_downgrade: bool,
}

impl Info<'_> {
    /// What `format` asks for. The order is that of the fields above, whatever the order of the letters.
    fn output(&self, format: &str) -> Result<Text<256>, Failure> {
        let fields = [
            ('s', self.kernel),
            ('n', self.node),
            ('r', self.release),
            ('v', self.version),
            ('b', self.build_time),
            ('m', self.machine),
            ('p', self.processor),
            ('i', self.platform),
            ('o', self.operating_system),
        ];
        let format = if format.is_empty() { "s" } else { format };
        if let Some(letter) = format.chars().find(|letter| *letter != 'a' && fields.iter().all(|(l, _)| l != letter)) {
            let reason =
                format_args!("info does not know the letter '{}', it knows snrvbmpioa", letter.escape_default());
            return Err(Failure::new(OsError::INVALID_FORMAT).because(reason));
        }
        let wanted = fields.iter().filter(|(letter, _)| format.contains('a') || format.contains(*letter));
        let mut output = Text::new();
        for (index, (_, value)) in wanted.enumerate() {
            let separator = if index == 0 { "" } else { " " };
            // Writing into a text never fails; what does not fit is asked for below.
            let _ = write!(output, "{separator}{value}");
        }
        if output.is_cut() { Err(Failure::new(Rc::MESSAGE_SIZE)) } else { Ok(output) }
    }
}

/// What a request of the OS group came to, besides its answer.
pub(crate) struct Done {
    /// Bytes of the answer's body.
    pub(crate) len: usize,
    /// The restart that was agreed to.
    pub(crate) reset: Option<ResetRequest>,
}

/// Answers a request of the OS group.
pub(crate) async fn dispatch<G: OsGroup>(
    group: &mut G,
    gate: Gate<'_>,
    (op, number): (Op, u8),
    body: &[u8],
    out: &mut [u8],
) -> Result<Done, Failure> {
    let mut reset = None;
    let len = match (number, op) {
        (command::ECHO, Op::READ | Op::WRITE) => {
            gate.ask(Action::Observe)?;
            let request = EchoRequest::decode(body)?;
            EchoResponse { text: request.text }.encode(out)?
        }
        (command::TASK_STATS, Op::READ) => {
            gate.ask(Action::Observe)?;
            group.task_stats(out).await?
        }
        (command::DATE_TIME, Op::READ) => {
            gate.ask(Action::Observe)?;
            let text = group.date_time().await?.to_text();
            DateTimeResponse { datetime: text.as_str() }.encode(out)?
        }
        (command::DATE_TIME, Op::WRITE) => {
            gate.ask(Action::SetClock)?;
            let request = SetDateTimeRequest::decode(body)?;
            let parsed = DateTime::parse(request.datetime);
            group.set_date_time(parsed.map_err(|error| Failure::new(Rc::INVALID).because(error))?).await?;
            SetDateTimeResponse.encode(out)?
        }
        (command::RESET, Op::WRITE) => {
            gate.ask(Action::Reset)?;
            // Clients send all kinds of things here: what cannot be read asks for a plain restart.
            let request = ResetRequest::decode(body).unwrap_or_default();
            group.prepare_reset(&request).await?;
            reset = Some(request);
            ResetResponse.encode(out)?
        }
        (command::PARAMS, Op::READ) => {
            gate.ask(Action::Observe)?;
            group.params()?.encode(out)?
        }
        (command::INFO, Op::READ) => {
            gate.ask(Action::Observe)?;
            let request = InfoRequest::decode(body)?;
            let output = group.info()?.output(request.format.unwrap_or_default())?;
            InfoResponse { output: output.as_str() }.encode(out)?
        }
        (command::BOOTLOADER, Op::READ) => {
            gate.ask(Action::Observe)?;
            let request = BootloaderRequest::decode(body)?;
            bootloader(&group.bootloader()?, request.query.unwrap_or_default())?.encode(out)?
        }
        _ => return Err(Failure::not_supported()),
    };
    Ok(Done { len, reset })
}

/// What of the bootloader a query asks for.
fn bootloader<'a>(bootloader: &Bootloader<'a>, query: &str) -> Result<BootloaderResponse<'a>, Failure> {
    match query {
        "" => Ok(BootloaderResponse { name: Some(bootloader.name), ..BootloaderResponse::default() }),
        "mode" => {
            Ok(BootloaderResponse { name: None, mode: Some(bootloader.mode), no_downgrade: bootloader.no_downgrade })
        }
        _ => Err(Failure::new(OsError::QUERY_YIELDS_NO_ANSWER).because("the bootloader answers no query but \"mode\"")),
    }
}
