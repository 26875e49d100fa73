//! One end of a link: sequence numbers, what waits to be sent, and what becomes of what was received.

use super::encryption::Encryption;
use super::procedure::{Procedure, Procedures};
use super::{Parameters, Role, control};
use crate::hci::{Packet, Status, event};
use crate::medium::ControllerId;
use crate::phy::{MIC, Phy};
use crate::random::Secrets;
use std::collections::VecDeque;

/// What an end may look at while it acts.
pub(crate) struct Context<'a> {
    /// Microseconds.
    pub(crate) now: u64,
    /// Number of the current connection event.
    pub(crate) counter: u16,
    pub(crate) secrets: &'a mut Secrets,
    /// Which LE events its host wants to see.
    pub(crate) le_mask: u64,
}

/// Kinds of data PDU: the LLID field.
mod llid {
    pub(super) const CONTINUATION: u8 = 0b01;
    pub(super) const START: u8 = 0b10;
    pub(super) const CONTROL: u8 = 0b11;
}

/// Bits of the header of a data PDU.
mod header {
    pub(super) const LLID: u8 = 0b11;
    pub(super) const NESN: u8 = 1 << 2;
    pub(super) const SN: u8 = 1 << 3;
    pub(super) const MD: u8 = 1 << 4;
}

/// What is told about a PDU when the other end has acknowledged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Empty,
    Control {
        opcode: u8,
    },
    /// A piece of an ACL packet, perhaps its last.
    Data {
        last: bool,
    },
}

/// A PDU that was sent and not yet acknowledged, as it is on the air.
#[derive(Debug)]
struct Flight {
    llid: u8,
    payload: Vec<u8>,
    content: Content,
}

/// An ACL packet of the host, sent piece by piece.
#[derive(Debug)]
struct Outgoing {
    start: bool,
    data: Vec<u8>,
    sent: usize,
}

/// How long PDUs may be, in each direction: octets and microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    /// What our host asked for, and what we can receive.
    pub(super) local: [(u16, u16); 2],
    /// What the other end said: what it receives, what it sends.
    pub(super) remote: [(u16, u16); 2],
}

/// What every link starts with.
pub(crate) const INITIAL_LENGTH: (u16, u16) = (27, 328);
/// The most that our controllers do: 251 bytes, also with 1M and a MIC.
pub(crate) const MAXIMUM_LENGTH: (u16, u16) = (251, 2120);

impl Lengths {
    /// What is sent, what is received.
    pub(super) fn effective(&self) -> [(u16, u16); 2] {
        let [tx, rx] = self.local;
        let least = |a: (u16, u16), b: (u16, u16)| (a.0.min(b.0), a.1.min(b.1));
        [least(tx, self.remote[0]), least(rx, self.remote[1])]
    }
}

/// What an end is made from.
#[derive(Clone, Debug)]
pub(crate) struct EndConfig {
    pub(crate) controller: ControllerId,
    pub(crate) handle: u16,
    pub(crate) role: Role,
    pub(crate) parameters: Parameters,
    /// PHYs that the host likes for sending and receiving, as HCI's bit masks.
    pub(crate) phys: [u8; 2],
    /// What the host wants to send at most: octets and microseconds.
    pub(crate) length: (u16, u16),
    pub(crate) now: u64,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) controller: ControllerId,
    pub(crate) handle: u16,
    pub(crate) role: Role,
    sn: bool,
    nesn: bool,
    flight: Option<Flight>,
    control: VecDeque<Vec<u8>>,
    data: VecDeque<Outgoing>,
    /// When something was heard last, or the end was made.
    heard: u64,
    established: bool,
    terminating: bool,
    /// Ends with this once what acknowledges the other end's wish was sent.
    closing: Option<Status>,
    pub(super) parameters: Parameters,
    pub(super) lengths: Lengths,
    pub(super) phys: [Phy; 2],
    pub(super) preferred_phys: [u8; 2],
    pub(super) procedures: Procedures,
    pub(super) encryption: Encryption,
    outbox: Vec<Packet>,
    closed: Option<Status>,
    counts: Counts,
}

/// What happened at an end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// PDUs with content that were sent again.
    pub(crate) retransmitted: u64,
    /// PDUs with content that arrived, once each.
    pub(crate) received: u64,
    /// Bytes of host data in them.
    pub(crate) bytes: u64,
}

impl End {
    pub(crate) fn new(config: EndConfig) -> Self {
        let mut end = Self {
            controller: config.controller,
            handle: config.handle,
            role: config.role,
            sn: false,
            nesn: false,
            flight: None,
            control: VecDeque::new(),
            data: VecDeque::new(),
            heard: config.now,
            established: false,
            terminating: false,
            closing: None,
            parameters: config.parameters,
            lengths: Lengths { local: [config.length, MAXIMUM_LENGTH], remote: [INITIAL_LENGTH; 2] },
            phys: [Phy::Le1M; 2],
            preferred_phys: config.phys,
            procedures: Procedures::default(),
            encryption: Encryption::default(),
            outbox: Vec::new(),
            closed: None,
            counts: Counts::default(),
        };
        if config.length != INITIAL_LENGTH {
            end.procedures.queue(Procedure::Length);
        }
        end
    }

    pub(crate) const fn parameters(&self) -> Parameters {
        self.parameters
    }

    pub(crate) const fn tx_phy(&self) -> Phy {
        self.phys[0]
    }

    pub(crate) const fn rx_phy(&self) -> Phy {
        self.phys[1]
    }

    /// ACL packets of the host that wait here or are not acknowledged yet.
    pub(crate) fn acl_packets(&self) -> usize {
        let last = |flight: &Flight| flight.content == Content::Data { last: true };
        self.data.len() + usize::from(self.flight.as_ref().is_some_and(last))
    }

    /// Takes an ACL packet of the host to be sent. A `start` begins an L2CAP PDU.
    pub(crate) fn send(&mut self, start: bool, data: &[u8]) {
        if data.is_empty() {
            // Cannot be told from an empty PDU on the air: done before it began.
            self.completed();
        } else {
            self.data.push_back(Outgoing { start, data: data.to_vec(), sent: 0 });
        }
    }

    /// What the host wants to send at most from here on: octets and microseconds.
    pub(crate) const fn set_length(&mut self, length: (u16, u16)) {
        self.lengths.local[0] = length;
    }

    /// Ends the link with an agreement of both sides.
    pub(crate) fn terminate(&mut self, reason: u8) {
        if !self.terminating {
            self.terminating = true;
            self.send_control(vec![control::TERMINATE_IND, reason]);
        }
    }

    pub(crate) const fn is_terminating(&self) -> bool {
        self.terminating
    }

    /// Starts `procedure` as soon as no other one is in the way.
    pub(crate) fn start(&mut self, procedure: Procedure, cx: &mut Context<'_>) {
        self.procedures.queue(procedure);
        self.start_next(cx);
    }

    /// Payload bytes on the air of what would be sent now.
    pub(crate) fn pending(&self) -> usize {
        let plain = match (&self.flight, self.control.front()) {
            (Some(flight), _) => return flight.payload.len(),
            (None, Some(payload)) => payload.len(),
            (None, None) => self.next_piece(),
        };
        if plain > 0 && self.encryption.tx.is_some() { plain + MIC } else { plain }
    }

    /// The PDU to be sent now: the last one again, if it was not acknowledged.
    pub(crate) fn next_pdu(&mut self) -> Vec<u8> {
        let again = self.flight.as_ref().is_some_and(|flight| !flight.payload.is_empty());
        self.counts.retransmitted += u64::from(again);
        let flight = self.flight.take().unwrap_or_else(|| self.next_flight());
        let mut first = flight.llid;
        first |= if self.nesn { header::NESN } else { 0 };
        first |= if self.sn { header::SN } else { 0 };
        first |= if self.control.is_empty() && self.next_piece() == 0 { 0 } else { header::MD };
        let mut pdu = vec![first, flight.payload.len() as u8];
        pdu.extend_from_slice(&flight.payload);
        self.flight = Some(flight);
        if let Some(reason) = self.closing.take() {
            self.closed = Some(reason);
        }
        pdu
    }

    /// Takes a PDU of the other end.
    pub(crate) fn receive(&mut self, pdu: &[u8], cx: &mut Context<'_>) {
        let Some((&[first, _], payload)) = pdu.split_first_chunk() else { return };
        (self.heard, self.established) = (cx.now, true);
        if (first & header::NESN != 0) != self.sn
            && let Some(flight) = self.flight.take()
        {
            self.sn = !self.sn;
            self.acknowledged(flight.content, cx);
        }
        if (first & header::SN != 0) != self.nesn || self.closed.is_some() {
            return;
        }
        self.nesn = !self.nesn;
        let mut payload = payload.to_vec();
        if payload.is_empty() {
            return;
        }
        if self.encryption.rx.as_mut().is_some_and(|cipher| cipher.open(first, &mut payload).is_none()) {
            self.closed = Some(Status::MIC_FAILURE);
            return;
        }
        self.counts.received += 1;
        match first & header::LLID {
            llid::CONTROL => self.control_received(&payload, cx),
            llid => {
                self.counts.bytes += payload.len() as u64;
                self.outbox.push(Packet::acl(self.handle, llid == llid::START, &payload));
            }
        }
        self.start_next(cx);
    }

    /// A connection event begins. `Some` if the interval is another one from here on, in microseconds.
    pub(crate) fn begin_event(&mut self, cx: &mut Context<'_>) -> Option<u64> {
        self.supervise(cx.now);
        let interval = self.at_instant(cx);
        self.start_next(cx);
        interval
    }

    fn supervise(&mut self, now: u64) {
        let silence = now - self.heard;
        let never = !self.established && silence > 6 * self.parameters.interval_micros();
        if self.closed.is_none() && (never || silence >= self.parameters.timeout_micros()) {
            self.closed = Some(match (self.terminating, never) {
                (true, _) => Status::LOCAL_HOST_TERMINATED,
                (false, true) => Status::NOT_ESTABLISHED,
                (false, false) => Status::CONNECTION_TIMEOUT,
            });
        } else if self.procedures.is_overdue(now) && self.closed.is_none() {
            self.closed = Some(Status::RESPONSE_TIMEOUT);
        }
    }

    /// What the host is to be told.
    pub(crate) fn take_outbox(&mut self) -> Vec<Packet> {
        core::mem::take(&mut self.outbox)
    }

    /// Why the link is over for this end.
    pub(crate) const fn closed(&self) -> Option<Status> {
        self.closed
    }

    /// What happened since this was asked last.
    pub(crate) fn take_counts(&mut self) -> Counts {
        core::mem::take(&mut self.counts)
    }

    pub(super) fn tell(&mut self, packet: Packet) {
        self.outbox.push(packet);
    }

    pub(super) fn send_control(&mut self, payload: Vec<u8>) {
        self.control.push_back(payload);
    }

    /// Ends the link once the acknowledgement of what was just received is on the air.
    pub(super) const fn close_after_acknowledging(&mut self, reason: Status) {
        self.closing = Some(reason);
    }

    pub(super) const fn close(&mut self, reason: Status) {
        self.closed = Some(reason);
    }

    fn acknowledged(&mut self, content: Content, cx: &mut Context<'_>) {
        match content {
            Content::Empty | Content::Data { last: false } => {}
            Content::Data { last: true } => self.completed(),
            Content::Control { opcode: control::TERMINATE_IND } => self.closed = Some(Status::LOCAL_HOST_TERMINATED),
            Content::Control { opcode } => self.control_acknowledged(opcode, cx),
        }
    }

    fn completed(&mut self) {
        self.outbox.push(Packet::event(event::COMPLETED_PACKETS).u8(1).u16(self.handle).u16(1));
    }

    /// Bytes of host data that may be sent next.
    fn next_piece(&self) -> usize {
        if self.encryption.pauses_data() || self.terminating {
            return 0;
        }
        let (octets, time) = self.lengths.effective()[0];
        let most = usize::from(octets.min(self.tx_phy().octets_in(time)).max(INITIAL_LENGTH.0));
        self.data.front().map_or(0, |packet| (packet.data.len() - packet.sent).min(most))
    }

    fn next_flight(&mut self) -> Flight {
        let piece = self.next_piece();
        let (llid, mut payload, content) = match (self.control.pop_front(), self.data.front_mut()) {
            (Some(payload), _) => {
                let opcode = payload.first().copied().unwrap_or_default();
                (llid::CONTROL, payload, Content::Control { opcode })
            }
            (None, Some(packet)) if piece > 0 => {
                let llid = if packet.start && packet.sent == 0 { llid::START } else { llid::CONTINUATION };
                let payload = packet.data[packet.sent..packet.sent + piece].to_vec();
                packet.sent += piece;
                (llid, payload, Content::Data { last: packet.sent == packet.data.len() })
            }
            _ => (llid::CONTINUATION, Vec::new(), Content::Empty),
        };
        if content == (Content::Data { last: true }) {
            self.data.pop_front();
        }
        if let Some(cipher) = &mut self.encryption.tx
            && !payload.is_empty()
        {
            cipher.seal(llid, &mut payload);
        }
        Flight { llid, payload, content }
    }
}
