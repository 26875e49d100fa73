//! SMP over a serial line, among other text: console framing. No authentication and no flow control.

use super::inbox::Inbox;
use super::{Link, LinkError, Transport};
use embassy_time::{Duration, Timer};
use otaru_smp::{ConsoleDecoder, ConsoleEncoder, LINE_SIZE};
use serialport::SerialPort;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// A line that carries bytes both ways, as they are.
#[expect(async_fn_in_trait, reason = "one device, one thread: nobody needs these futures to be Send")]
pub trait Line {
    /// Opens it, or opens it anew.
    ///
    /// # Errors
    /// Why it cannot be.
    async fn open(&mut self) -> Result<(), LinkError>;

    /// Sends bytes: one line of text, at most 127 bytes.
    ///
    /// # Errors
    /// [`LinkError::Lost`] if it is gone.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError>;

    /// The next bytes; waits for ever if there are none.
    ///
    /// # Errors
    /// [`LinkError::Lost`] if it is gone.
    async fn read(&mut self) -> Result<Vec<u8>, LinkError>;
}

/// SMP frames as lines of text on a [`Line`].
#[derive(Debug)]
pub struct Console<B> {
    line: B,
    decoder: Box<ConsoleDecoder<LARGEST>>,
    /// Bytes received and not yet looked at.
    pending: Vec<u8>,
    frame: Vec<u8>,
}

impl<B: Line> Console<B> {
    /// SMP on `line`, which [`Link::connect`] opens.
    pub fn new(line: B) -> Self {
        Self { line, decoder: Box::new(ConsoleDecoder::new()), pending: Vec::new(), frame: Vec::new() }
    }
}

impl<B: Line> Link for Console<B> {
    fn transport(&self) -> Transport {
        Transport::Serial
    }

    fn max_frame(&self) -> usize {
        LARGEST - otaru_smp::CONSOLE_OVERHEAD
    }

    /// What devices take that do not tell their buffers.
    fn single_frame(&self) -> usize {
        256 - otaru_smp::CONSOLE_OVERHEAD
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.line.open().await?;
        *self.decoder = ConsoleDecoder::new();
        self.pending.clear();
        // Ends whatever half a line an earlier connection left in the device's receiver.
        self.line.write(b"\n").await
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        let too_long = || LinkError::TooLong { to: "the serial line".into(), len: frame.len(), max: self.max_frame() };
        let mut lines = ConsoleEncoder::new(frame).ok_or_else(too_long)?;
        let mut buffer = [0; LINE_SIZE];
        while let Some(line) = lines.next_line(&mut buffer) {
            self.line.write(line).await?;
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<&[u8], LinkError> {
        loop {
            let mut rest = self.pending.as_slice();
            let found = self.decoder.feed(&mut rest).map(<[u8]>::to_vec);
            let used = self.pending.len() - rest.len();
            self.pending.drain(..used);
            if let Some(frame) = found {
                self.frame = frame;
                return Ok(&self.frame);
            }
            self.pending = self.line.read().await?;
        }
    }
}

/// A serial port of this machine, or a pseudo-terminal.
#[derive(Debug)]
pub struct PortLine {
    path: String,
    baud: u32,
    open: Option<Open>,
}

struct Open {
    port: Box<dyn SerialPort>,
    inbox: Inbox<Vec<u8>>,
    /// What one line takes on the wire; nothing on a pseudo-terminal.
    pace: Duration,
}

impl PortLine {
    /// The port at `path`, at `baud` bits per second with 8 data bits, no parity and one stop bit.
    pub fn new(path: impl Into<String>, baud: u32) -> Self {
        Self { path: path.into(), baud, open: None }
    }

    fn name(&self) -> String {
        format!("serial:{}@{}", self.path, self.baud)
    }

    fn lost(&self, why: impl ToString) -> LinkError {
        LinkError::Lost { to: self.name(), why: why.to_string() }
    }

    fn try_open(&self) -> serialport::Result<Open> {
        let mut port = serialport::new(&self.path, self.baud).timeout(LOOK_UP).open()?;
        port.clear(serialport::ClearBuffer::Input)?;
        let inbox = Inbox::new();
        listen(port.try_clone()?, inbox.clone())?;
        port.set_timeout(WRITE_LIMIT)?;
        // Ten bits per byte. A pseudo-terminal has no wire.
        let bits = u64::try_from(LINE_SIZE).unwrap_or(u64::MAX) * 10;
        let micros = if is_pty(&self.path) { 0 } else { bits * 1_000_000 / u64::from(self.baud.max(1)) };
        Ok(Open { port, inbox, pace: Duration::from_micros(micros) })
    }
}

impl Line for PortLine {
    async fn open(&mut self) -> Result<(), LinkError> {
        self.open = None;
        let open = self.try_open().map_err(|error| LinkError::Absent { to: self.name(), why: error.to_string() })?;
        self.open = Some(open);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let Some(open) = &mut self.open else { return Err(self.lost("it is not open")) };
        if let Err(error) = open.port.write_all(bytes) {
            return Err(self.lost(error));
        }
        // Devices buffer two lines or so, and there is no flow control.
        if open.pace > Duration::from_ticks(0) {
            Timer::after(open.pace).await;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<u8>, LinkError> {
        let Some(open) = &self.open else { return Err(self.lost("it is not open")) };
        poll_fn(|cx| open.inbox.poll_take(cx)).await.map_err(|why| self.lost(why))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.inbox.abandon();
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// A thread that waits on the port until the link is dropped or the port is gone.
fn listen(mut port: Box<dyn SerialPort>, inbox: Inbox<Vec<u8>>) -> std::io::Result<()> {
    std::thread::Builder::new().name("smp-serial".into()).spawn(move || {
        let mut buffer = [0; 4096];
        while !inbox.is_abandoned() {
            match port.read(&mut buffer) {
                Ok(0) => return inbox.end("the port was closed at the other end".into()),
                // What finds no room is lost: the frame it belongs to will not have the right CRC.
                Ok(len) => drop(inbox.put(buffer[..len].to_vec())),
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(error) => return inbox.end(error.to_string()),
            }
        }
    })?;
    Ok(())
}

fn is_pty(path: &str) -> bool {
    Path::new(path).canonicalize().is_ok_and(|path| path.starts_with("/dev/pts"))
}

/// The largest message taken from a console, with its length and CRC.
const LARGEST: usize = 8_192;
/// How often the thread looks up whether it is still wanted.
const LOOK_UP: std::time::Duration = std::time::Duration::from_millis(200);
/// How long a line may take to be taken by the operating system.
const WRITE_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);
