//! A device at the other end of a link: one request, one answer.

use crate::link::{Link, LinkError, Transport};
use crate::{Bootloader, ImageSlots, Params, SlotState, Task};
use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use otaru_smp::{AnswerError, Code, DecodeError, Message, Rc, Request, Version, image, os, read_answer};
use otaru_smp_session::{Exchange, ExchangeOutput, Input, Millis, Patience, Refusal, Stall, UploadError};

/// A device, spoken to over `L`.
///
/// One request at a time; uploads ([`Client::upload`]) keep several in flight. Every wait is bounded.
#[derive(Debug)]
pub struct Client<L> {
    pub(crate) link: L,
    pub(crate) seq: u8,
    /// The frame being sent, and the last one received.
    pub(crate) frame: Vec<u8>,
    answer: Vec<u8>,
    params: Option<Params>,
    window: Option<u8>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No answer.
    #[error("no answer to the request to {what}, sent {sendings} times in {waited_ms} ms")]
    Silent {
        /// What was asked for.
        what: &'static str,
        /// How often.
        sendings: u8,
        /// Milliseconds waited.
        waited_ms: u32,
    },
    /// The device refused.
    #[error("asked to {what}, {refusal}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Its code and words.
        refusal: Refusal,
    },
    /// An answer that cannot be read.
    #[error("the device's answer to the request to {what} cannot be read: {why}")]
    Unreadable {
        /// What was asked for.
        what: &'static str,
        /// Where it goes wrong.
        why: DecodeError,
    },
    /// A request that does not fit a frame.
    #[error("the request to {what} does not fit a frame of {frame} bytes")]
    TooLong {
        /// What was asked for.
        what: &'static str,
        /// Bytes of a frame.
        frame: usize,
    },
    /// A file longer than SMP can say.
    #[error("a file of {len} bytes is longer than an image can be")]
    FileTooLong {
        /// Bytes of the file.
        len: usize,
    },
    /// Nothing moved over a link during an upload.
    #[error("{0}")]
    Stalled(Stall),
    /// An upload failed.
    #[error("upload: {0}")]
    Upload(UploadError),
}

impl ClientError {
    /// Whether another link, or another moment, may help.
    pub fn is_link(&self) -> bool {
        matches!(
            self,
            Self::Link(LinkError::Absent { .. } | LinkError::Lost { .. }) | Self::Silent { .. } | Self::Stalled(_)
        )
    }

    /// The device's refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } | Self::Upload(UploadError::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the device asked to try later.
    pub fn is_busy(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == Code::Smp(Rc::BUSY))
    }

    /// What its user can do.
    pub fn next_step(&self) -> String {
        if let Some(refusal) = self.refusal() {
            let explained = refusal.code.explain().map(|explanation| explanation.next);
            return explained.unwrap_or("look the code up in the device's own documentation").into();
        }
        match self {
            Self::Link(error) => error.next_step(),
            Self::Silent { .. } | Self::Stalled(_) => {
                "check that the device runs and speaks SMP on this link, then run the command again"
            }
            Self::Unreadable { .. } => "check that what answers there is an SMP server",
            Self::TooLong { .. } => "use a shorter text",
            Self::FileTooLong { .. } => "give the signed image, not a whole disk",
            Self::Upload(error) => upload_step(error),
            Self::Refused { .. } => "look the code up in the device's own documentation",
        }
        .into()
    }
}

fn upload_step(error: &UploadError) -> &'static str {
    match error {
        UploadError::Mismatch { .. } => "upload again; if it stays so the device's flash or memory is failing",
        UploadError::FrameTooSmall { .. } => "give the device larger SMP buffers, or the link a larger MTU",
        UploadError::KeepsForgetting { .. } => "look at the device: it seems to restart again and again",
        UploadError::NoProgress { .. } => "move closer or use another link, then run the command again",
        _ => "run the command again; if it stays so the device's SMP server is at fault",
    }
}

impl<L: Link> Client<L> {
    /// A client over `link`, which [`Client::connect`] makes.
    pub fn new(link: L) -> Self {
        Self { link, seq: 0, frame: Vec::new(), answer: Vec::new(), params: None, window: None }
    }

    /// Keeps `window` requests of an upload in flight, whatever the device says about its buffers.
    #[must_use]
    pub fn with_window(mut self, window: u8) -> Self {
        self.window = Some(window);
        self
    }

    /// The link, for what only it can say.
    pub fn link(&self) -> &L {
        &self.link
    }

    /// Makes the link, or makes it anew, and asks for the device's buffers, which shows that somebody answers.
    ///
    /// # Errors
    /// [`ClientError`], after a few seconds at most besides what the link takes.
    pub async fn connect(&mut self) -> Result<(), ClientError> {
        self.link.connect().await?;
        self.params = match self.ask_params().await {
            Ok(params) => Some(params),
            Err(ClientError::Refused { .. } | ClientError::Unreadable { .. }) => None,
            // Some do not even refuse: if it echoes, it is there.
            Err(ClientError::Silent { .. }) => {
                self.echo("").await?;
                None
            }
            Err(ClientError::Link(LinkError::Lost { to, why })) => return Err(LinkError::Absent { to, why }.into()),
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// The device's buffers, as told when the link was made.
    pub fn params(&self) -> Option<Params> {
        self.params
    }

    /// Makes the link anew and asks nothing.
    pub(crate) async fn relink(&mut self) -> Result<(), ClientError> {
        Ok(self.link.connect().await?)
    }

    /// Largest frame and window for uploads.
    pub(crate) fn limits(&self) -> (u16, u8) {
        let clamp = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        // The upload keeps no more in flight, whatever the device or the caller says.
        let window = |window: u8| window.clamp(1, otaru_smp_session::MAX_WINDOW);
        let Some(params) = self.params else {
            return (clamp(self.link.single_frame()), window(self.window.unwrap_or(1)));
        };
        let serial = self.link.transport() == Transport::Serial;
        // On a serial line a buffer must hold the length and the CRC as well.
        let framing = if serial { otaru_smp::CONSOLE_OVERHEAD } else { 0 };
        let buffer = usize::try_from(params.buf_size).unwrap_or(usize::MAX).saturating_sub(framing);
        // One buffer is for the answer. A serial line has no flow control: one request at a time.
        let free = u8::try_from(params.buf_count.saturating_sub(1)).unwrap_or(u8::MAX);
        let asked = self.window.unwrap_or(if serial { 1 } else { free });
        (clamp(buffer.min(self.link.max_frame())), window(asked))
    }

    /// Has the device give `text` back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn echo(&mut self, text: &str) -> Result<String, ClientError> {
        self.call("echo a text", USUAL, &os::EchoRequest { text }, |answer| answer.text.to_owned()).await
    }

    /// Asks for the device's buffers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask_params(&mut self) -> Result<Params, ClientError> {
        self.call("tell its buffers", USUAL, &os::ParamsRequest, |answer| Params {
            buf_size: answer.buf_size,
            buf_count: answer.buf_count,
        })
        .await
    }

    /// Asks the device to restart. An answer says that it will; that it did is seen by it being away and back.
    ///
    /// # Errors
    /// [`ClientError`]. It is asked once: an answer that is lost is no reason to restart it twice.
    pub async fn reset(&mut self, force: bool) -> Result<(), ClientError> {
        let request = os::ResetRequest { force, boot_mode: None };
        self.call("restart", Patience { repeat_ms: 2_500, sendings: 1, total_ms: 2_500 }, &request, |_| ()).await
    }

    /// Asks what runs; `format` is letters of `snrvbmpioa`, empty for the name of the system.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn info(&mut self, format: &str) -> Result<String, ClientError> {
        let request = os::InfoRequest { format: Some(format).filter(|format| !format.is_empty()) };
        self.call("tell what it is", USUAL, &request, |answer| answer.output.to_owned()).await
    }

    /// Asks about the bootloader: its name, then its mode.
    ///
    /// # Errors
    /// [`ClientError`]; a bootloader that does not tell its mode is none.
    pub async fn bootloader(&mut self) -> Result<Bootloader, ClientError> {
        const WHAT: &str = "tell its bootloader";
        let name =
            self.call(WHAT, USUAL, &os::BootloaderRequest { query: None }, |answer| answer.name.map(str::to_owned));
        let name = name.await?;
        let request = os::BootloaderRequest { query: Some("mode") };
        let mode = self.call(WHAT, USUAL, &request, |answer| (answer.mode, answer.no_downgrade)).await;
        match mode {
            Ok((mode, no_downgrade)) => Ok(Bootloader { name, mode, no_downgrade }),
            Err(ClientError::Refused { .. }) => Ok(Bootloader { name, mode: None, no_downgrade: false }),
            Err(error) => Err(error),
        }
    }

    /// Reads the device's clock.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn datetime(&mut self) -> Result<String, ClientError> {
        self.call("tell the time", USUAL, &os::DateTimeRequest, |answer| answer.datetime.to_owned()).await
    }

    /// Sets the device's clock to a text such as `2026-01-31T12:00:00`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_datetime(&mut self, datetime: &str) -> Result<(), ClientError> {
        self.call("set its clock", USUAL, &os::SetDateTimeRequest { datetime }, |_| ()).await
    }

    /// Asks for the tasks of the device's operating system.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tasks(&mut self) -> Result<Vec<Task>, ClientError> {
        self.call("tell its tasks", USUAL, &os::TaskStatsRequest, |answer| {
            answer.tasks.iter().map(Task::from).collect()
        })
        .await
    }

    /// Lists the images.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&mut self) -> Result<Vec<SlotState>, ClientError> {
        self.call("list its images", USUAL, &image::StateRequest, |answer| slots(&answer)).await
    }

    /// Lists the images, of a device that may not be there.
    pub(crate) async fn list_quickly(&mut self) -> Result<Vec<SlotState>, ClientError> {
        let patience = Patience { repeat_ms: 250, sendings: 3, total_ms: 1_000 };
        self.call("list its images", patience, &image::StateRequest, |answer| slots(&answer)).await
    }

    /// Asks for the image with this hash, or the running one, to be tested at the next boot or, with `confirm`, to stay.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_state(&mut self, hash: Option<&[u8]>, confirm: bool) -> Result<Vec<SlotState>, ClientError> {
        let what = if confirm { "confirm an image" } else { "test an image" };
        let request = image::SetStateRequest { hash, confirm };
        // The device may check a signature first, or erase a slot whose trailer is damaged.
        let patience = Patience { repeat_ms: 3_000, sendings: 3, total_ms: 20_000 };
        self.call(what, patience, &request, |answer| slots(&answer)).await
    }

    /// Has a slot erased, counted through all images (2·image + slot); by default the one beside the running one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn erase(&mut self, slot: Option<u32>) -> Result<(), ClientError> {
        let patience = Patience { repeat_ms: 20_000, sendings: 2, total_ms: 60_000 };
        self.call("erase a slot", patience, &image::EraseRequest { slot }, |_| ()).await
    }

    /// Asks for the sizes of the slots.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn slot_info(&mut self) -> Result<Vec<ImageSlots>, ClientError> {
        let request = image::SlotInfoRequest;
        self.call("tell its slots", USUAL, &request, |answer| answer.images.iter().map(ImageSlots::from).collect())
            .await
    }

    /// Sends one request until it is answered, and reads the answer with `read`.
    async fn call<'q, Q: Request<'q>, T>(
        &mut self,
        what: &'static str,
        patience: Patience,
        request: &Q,
        read: impl FnOnce(Q::Response<'_>) -> T,
    ) -> Result<T, ClientError> {
        self.exchange(what, patience, request).await?;
        let body = Message::split(&self.answer).map_or(&[][..], |(message, _)| message.body);
        match read_answer(body) {
            Ok(response) => Ok(read(response)),
            Err(AnswerError::Refused(failure)) => Err(ClientError::Refused { what, refusal: failure.into() }),
            Err(AnswerError::Unreadable(why)) => Err(ClientError::Unreadable { what, why }),
        }
    }

    /// Sends one request until it is answered, and keeps the answer.
    async fn exchange<'q, Q: Request<'q>>(
        &mut self,
        what: &'static str,
        patience: Patience,
        request: &Q,
    ) -> Result<(), ClientError> {
        let frame = self.link.max_frame();
        self.frame.resize(frame, 0);
        let encoded = request.message(Version::V2, self.seq, &mut self.frame).ok();
        let len = encoded.ok_or(ClientError::TooLong { what, frame })?;
        self.seq = self.seq.wrapping_add(1);
        let exchange = Exchange::new(&self.frame[..len], patience);
        let mut exchange = exchange.ok_or(ClientError::TooLong { what, frame })?;
        let mut drain = exchange.handle(now(), Input::Tick);
        loop {
            let mut until = Millis(u64::MAX);
            for output in drain {
                match output {
                    ExchangeOutput::Transmit => self.link.send(&self.frame[..len]).await?,
                    ExchangeOutput::Answered => return Ok(()),
                    ExchangeOutput::Silent { sendings, waited_ms } => {
                        return Err(ClientError::Silent { what, sendings, waited_ms });
                    }
                    ExchangeOutput::Deadline(at) => until = at,
                    _ => {}
                }
            }
            let deadline = Timer::at(Instant::from_millis(until.0));
            drain = match select(self.link.receive(), deadline).await {
                Either::First(received) => {
                    let received = received?;
                    self.answer.clear();
                    self.answer.extend_from_slice(received);
                    exchange.handle(now(), Input::Received(&self.answer))
                }
                Either::Second(()) => exchange.handle(now(), Input::Tick),
            };
        }
    }
}

fn slots(answer: &image::StateResponse<'_>) -> Vec<SlotState> {
    answer.images.iter().map(SlotState::from).collect()
}

/// The executor's time, as the engines count it.
pub(crate) fn now() -> Millis {
    Millis(Instant::now().as_millis())
}

/// For requests that a device answers from memory.
const USUAL: Patience = Patience { repeat_ms: 1_000, sendings: 3, total_ms: 5_000 };
