//! One request and its answer, over a link that may lose either.

use crate::{Input, Millis};
use otaru_smp::Header;

/// How long one request is waited for, and how often it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Milliseconds from one sending to the next; doubles each time.
    pub repeat_ms: u32,
    /// How often it may be sent; 1 for what must not be done twice.
    pub sendings: u8,
    /// Milliseconds after which it is given up.
    pub total_ms: u32,
}

/// What happens next, in the order in which it must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeOutput {
    /// Send the request (again): the same bytes, the same sequence number.
    Transmit,
    /// The frame just given to [`Exchange::handle`] is the answer.
    Answered,
    /// There was no answer: it was sent this often, and given up after so many milliseconds.
    Silent {
        /// How often the request was sent.
        sendings: u8,
        /// Milliseconds since it was first sent.
        waited_ms: u32,
    },
    /// Call again with [`Input::Tick`] at this moment, unless something else happens before.
    Deadline(Millis),
}

/// One request in flight, known by its header.
///
/// ```
/// use otaru_smp_session::{Exchange, ExchangeOutput, Input, Millis, Patience};
/// # let request = [0x0a, 0, 0, 1, 0, 0, 7, 0, 0xa0];
/// # let answer = [0x0b, 0, 0, 1, 0, 0, 7, 0, 0xa0];
/// let patience = Patience { repeat_ms: 1_000, sendings: 3, total_ms: 5_000 };
/// let mut exchange = Exchange::new(&request, patience).unwrap();
/// let mut drain = exchange.handle(Millis(0), Input::Tick);
/// assert_eq!(drain.next(), Some(ExchangeOutput::Transmit));
/// assert_eq!(drain.next(), Some(ExchangeOutput::Deadline(Millis(1_000))));
/// let mut drain = exchange.handle(Millis(20), Input::Received(&answer));
/// assert_eq!(drain.next(), Some(ExchangeOutput::Answered));
/// ```
#[derive(Debug)]
pub struct Exchange {
    request: Header,
    patience: Patience,
    began: Option<Millis>,
    sendings: u8,
    due: Millis,
    end: Option<ExchangeOutput>,
    over: bool,
}

impl Exchange {
    /// The exchange that `request`, a whole frame, begins; `None` if that has no SMP header.
    pub fn new(request: &[u8], patience: Patience) -> Option<Self> {
        let request = Header::parse(request)?;
        Some(Self { request, patience, began: None, sendings: 0, due: Millis(0), end: None, over: false })
    }

    /// Takes in what happened at `now`. Do what the returned [`ExchangeDrain`] says until it is empty.
    pub fn handle(&mut self, now: Millis, input: Input<'_>) -> ExchangeDrain<'_> {
        let began = *self.began.get_or_insert(now);
        if !self.over {
            match input {
                Input::Received(frame) if self.is_answer(frame) => self.finish(ExchangeOutput::Answered),
                // A new link: what was sent over the old one is not waited for any longer.
                Input::Linked { .. } => self.due = now,
                Input::Received(_) | Input::LinkLost | Input::Tick => {}
            }
            let waited_ms = now.since(began);
            let no_more = self.sendings >= self.patience.sendings && now >= self.due;
            if !self.over && self.sendings > 0 && (waited_ms >= self.patience.total_ms || no_more) {
                self.finish(ExchangeOutput::Silent { sendings: self.sendings, waited_ms });
            }
        }
        ExchangeDrain { exchange: self, now, deadline_told: false }
    }

    fn is_answer(&self, frame: &[u8]) -> bool {
        let wanted = self.request.answer(0);
        Header::parse(frame).is_some_and(|found| {
            // The version is the device's choice: some answer version 1 whatever they are asked in.
            (found.op, found.group, found.command, found.sequence)
                == (wanted.op, wanted.group, wanted.command, wanted.sequence)
        })
    }

    fn finish(&mut self, output: ExchangeOutput) {
        self.over = true;
        self.end = Some(output);
    }
}

/// What one input led to. Holds the exchange: no second input while this lives.
#[derive(Debug)]
#[must_use = "do what it says before the next input"]
pub struct ExchangeDrain<'a> {
    exchange: &'a mut Exchange,
    now: Millis,
    deadline_told: bool,
}

impl Iterator for ExchangeDrain<'_> {
    type Item = ExchangeOutput;

    fn next(&mut self) -> Option<ExchangeOutput> {
        let exchange = &mut *self.exchange;
        if exchange.over {
            return exchange.end.take();
        }
        let patience = exchange.patience;
        if self.now >= exchange.due && exchange.sendings < patience.sendings {
            exchange.due = self.now.after(patience.repeat_ms << exchange.sendings.min(4));
            exchange.sendings = exchange.sendings.saturating_add(1);
            if exchange.sendings == patience.sendings {
                // The last sending is waited for to the end.
                exchange.due = exchange.began.unwrap_or(self.now).after(patience.total_ms).max(exchange.due);
            }
            return Some(ExchangeOutput::Transmit);
        }
        if self.deadline_told {
            return None;
        }
        self.deadline_told = true;
        let end = exchange.began.unwrap_or(self.now).after(patience.total_ms);
        Some(ExchangeOutput::Deadline(exchange.due.min(end)))
    }
}
