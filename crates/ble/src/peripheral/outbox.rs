//! From the queue of requests to notifications.

use core::cell::RefCell;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::zerocopy_channel;
use embassy_time::{Duration, Timer, with_timeout};
use otaru_smp::{Code, Failure, Header, Rc, write_message};
use trouble_host::PacketPool;
use trouble_host::att::AttUns;
use trouble_host::prelude::GattData;

use super::link::Ticket;
use super::{AnswerLost, Device, Event, FrameHandler};
use crate::gatt;
use crate::link_layer::HciController;

/// A whole request that waits for the handler.
pub(super) struct Request<const FRAME: usize> {
    from: Ticket,
    length: usize,
    bytes: [u8; FRAME],
}

impl<const FRAME: usize> Request<FRAME> {
    pub(super) const fn new() -> Self {
        Self { from: Ticket::NONE, length: 0, bytes: [0; FRAME] }
    }
}

/// The end of the queue that the GATT loops fill.
pub(super) struct RequestQueue<'s, const FRAME: usize>(
    RefCell<zerocopy_channel::Sender<'s, NoopRawMutex, Request<FRAME>>>,
);

impl<'s, const FRAME: usize> RequestQueue<'s, FRAME> {
    pub(super) const fn new(sender: zerocopy_channel::Sender<'s, NoopRawMutex, Request<FRAME>>) -> Self {
        Self(RefCell::new(sender))
    }

    /// Puts in a request; `false` if all buffers are in use.
    #[must_use]
    pub(super) fn put(&self, from: Ticket, frame: &[u8]) -> bool {
        let mut sender = self.0.borrow_mut();
        let Some(request) = sender.try_send() else { return false };
        let Some(room) = request.bytes.get_mut(..frame.len()) else { return false };
        room.copy_from_slice(frame);
        request.length = frame.len();
        request.from = from;
        sender.send_done();
        true
    }
}

/// An answer that needs no handler.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    to: Ticket,
    length: usize,
    bytes: [u8; 16],
}

impl Refusal {
    /// `{"rc": rc}` to the request with this header.
    pub(super) fn new(to: Ticket, request: &Header, rc: Rc) -> Self {
        let mut bytes = [0; 16];
        let answer = request.answer(0);
        let failure = Failure { code: Code::Smp(rc), reason: None };
        // Header and body take 14 bytes.
        let length = write_message(answer, &mut bytes, |body| failure.encode(answer.version, body)).unwrap_or_default();
        Self { to, length, bytes }
    }
}

impl<C, P, E, const FRAME: usize> Device<'_, '_, '_, C, P, E, FRAME>
where
    C: HciController,
    P: PacketPool,
    E: Fn(Event),
{
    /// Gives requests to the handler, one at a time, and sends its answers.
    pub(super) async fn work<H: FrameHandler>(
        &self,
        mut requests: zerocopy_channel::Receiver<'_, NoopRawMutex, Request<FRAME>>,
        handler: &H,
        answer: &mut [u8; FRAME],
    ) {
        loop {
            let request = requests.receive().await;
            let from = request.from;
            // The peer may be gone since: then nobody waits for the answer, and the request is not executed.
            let link = self.link_of(from);
            let length = match (&link, request.bytes.get(..request.length)) {
                (Some(link), Some(bytes)) => handler.handle(link, bytes, answer).await,
                _ => None,
            };
            // The request is done: its buffer is free for the next one while the answer is on its way.
            requests.receive_done();
            if let Some(bytes) = length.and_then(|length| answer.get(..length)) {
                self.send(from, bytes).await;
            }
            if let Some(link) = link {
                handler.answered(&link);
            }
        }
    }

    /// Sends the answers that need no handler.
    pub(super) async fn refuse(&self) {
        loop {
            let refusal = self.refusals.receive().await;
            if let Some(bytes) = refusal.bytes.get(..refusal.length) {
                self.send(refusal.to, bytes).await;
            }
        }
    }

    /// Sends an answer as notifications, if its link is still there.
    async fn send(&self, to: Ticket, answer: &[u8]) {
        if let Err((peer, cause)) = self.try_send(to, answer).await {
            (self.events)(Event::AnswerLost { peer, cause });
        }
    }

    async fn try_send(&self, to: Ticket, answer: &[u8]) -> Result<(), (crate::Address, AnswerLost)> {
        let Some(slot) = self.slots.get(to.slot) else { return Ok(()) };
        // Notifications of two answers must not mix: the client tells answers apart by their length only.
        let _turn = slot.turn.lock().await;
        let gone = (to.peer, AnswerLost::PeerGone);
        let payload = slot.connection(to).ok_or(gone)?.att_mtu();
        for data in answer.chunks(gatt::payload(payload)) {
            loop {
                // Asked anew each time: a peer that vanished must not be waited for.
                let connection = slot.connection(to).ok_or(gone)?;
                if !slot.subscribed.get() {
                    return Err((to.peer, AnswerLost::NotSubscribed));
                }
                let notification = AttUns::Notify { handle: self.characteristic.handle, data };
                match with_timeout(PATIENCE, GattData::send_unsolicited(&connection, notification)).await {
                    Ok(Ok(())) => break,
                    // No packet is free; some are on the air and will be.
                    Ok(Err(_)) => Timer::after(PACKET_PAUSE).await,
                    // The transmit queue is full. Not sent: the future was dropped before.
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }
}

/// How long to wait for room in the transmit queue before looking whether the peer is still there.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long to wait for a packet.
const PACKET_PAUSE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_smp::{Group, Op, Version};

    #[test]
    fn a_refusal_answers_its_request() {
        let request = Header {
            version: Version::V2,
            op: Op::WRITE,
            flags: 0,
            length: 300,
            group: Group::IMAGE,
            sequence: 0x42,
            command: 1,
        };
        let refusal = Refusal::new(Ticket::NONE, &request, Rc::NO_MEMORY);
        let expected = [0x0b, 0, 0, 5, 0, 1, 0x42, 1, 0xa1, 0x62, b'r', b'c', 2];
        assert_eq!(refusal.bytes[..refusal.length], expected);
    }
}
