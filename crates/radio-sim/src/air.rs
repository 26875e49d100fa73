//! The medium with wakers: what asynchronous hosts and the clock are plugged into.

use crate::medium::{AirConfig, ControllerConfig, ControllerId, Medium, NotAPacket};
use crate::observe::{Sniffed, Stats};
use bt_hci_transport::{PacketKind, PacketToController, PacketToHost, ReadHciError, Transport, WithIndicator};
use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use embassy_time::{Duration, Instant, Timer};
use std::collections::BTreeMap;
use std::rc::Rc;

/// One air, shared by the controllers on it. Clones are handles to the same air; all of them live in one thread.
///
/// Its time is embassy-time's, from the moment the air was made: virtual or real, as the program's driver says.
#[derive(Clone, Debug)]
pub struct Air(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    medium: RefCell<Medium>,
    origin: Instant,
    /// Who drives, and the moment it waits for.
    driver: RefCell<Option<Waker>>,
    armed: Cell<Option<u64>>,
    /// Hosts that wait for a packet.
    hosts: RefCell<BTreeMap<ControllerId, Waker>>,
}

impl Air {
    /// An air that nobody is on yet.
    #[must_use]
    pub fn new(config: AirConfig) -> Self {
        Self(Rc::new(Shared {
            medium: RefCell::new(Medium::new(config)),
            origin: Instant::now(),
            driver: RefCell::new(None),
            armed: Cell::new(None),
            hosts: RefCell::new(BTreeMap::new()),
        }))
    }

    /// Puts a controller on the air, as if powered on. It leaves, as if powered off, when the handle is dropped.
    #[must_use]
    pub fn attach(&self, config: ControllerConfig) -> VirtualController {
        VirtualController { id: self.act(|medium| medium.attach(config)), air: self.clone() }
    }

    /// Moves the air along with the time; never ends. Poll it beside the hosts, once per air.
    pub async fn drive(&self) -> Infallible {
        poll_fn(|cx| {
            let next = self.act(|medium| medium.next_deadline());
            keep(&mut self.0.driver.borrow_mut(), cx);
            self.0.armed.set(next);
            if let Some(at) = next {
                let _ = pin!(Timer::at(self.0.origin + Duration::from_micros(at))).poll(cx);
            }
            Poll::Pending
        })
        .await
    }

    /// What went over the air so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.medium.borrow().stats()
    }

    /// Which share of the packets gets lost from here on, 0.0 to 1.0.
    pub fn set_loss(&self, loss: f64) {
        self.act(|medium| medium.set_loss(loss));
    }

    /// Shows each packet on the air to `sniffer`, in place of an earlier one. It sees what a radio would: ciphertext
    /// where a link is encrypted. It must not use the air.
    pub fn set_sniffer(&self, sniffer: impl FnMut(&Sniffed<'_>) + 'static) {
        self.act(|medium| medium.set_sniffer(sniffer));
    }

    /// Brings the medium up to now, does something to it, and wakes whom that concerns.
    fn act<T>(&self, what: impl FnOnce(&mut Medium) -> T) -> T {
        let mut medium = self.0.medium.borrow_mut();
        medium.advance(self.0.origin.elapsed().as_micros());
        let result = what(&mut medium);
        let mut woken: Vec<Waker> = {
            let mut hosts = self.0.hosts.borrow_mut();
            let ready: Vec<_> = hosts.keys().copied().filter(|id| medium.has_packet(*id)).collect();
            ready.iter().filter_map(|id| hosts.remove(id)).collect()
        };
        // The driver sleeps too long if there is something to do before the moment it waits for.
        if medium.next_deadline().is_some_and(|next| self.0.armed.get().is_none_or(|armed| next < armed)) {
            woken.extend(self.0.driver.borrow_mut().take());
        }
        drop(medium);
        woken.into_iter().for_each(Waker::wake);
        result
    }
}

/// Remembers who polls, unless it is remembered already.
fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}

/// The host's end of one controller: an HCI transport for `bt-hci`'s `ExternalController`.
///
/// Dropping it takes the controller off the air without a word: its peers notice by their supervision timeouts.
#[derive(Debug)]
pub struct VirtualController {
    air: Air,
    id: ControllerId,
}

impl VirtualController {
    /// Its public device address, least significant byte first as HCI has it.
    #[must_use]
    pub fn address(&self) -> [u8; 6] {
        self.air.0.medium.borrow().address(self.id)
    }

    /// Which of the air's controllers it is.
    #[must_use]
    pub const fn id(&self) -> ControllerId {
        self.id
    }

    /// Gives the controller one H4 packet: the packet indicator (1 command, 2 ACL data) and the packet.
    ///
    /// # Errors
    /// The bytes are not one whole packet. The controller is unharmed.
    pub fn write_packet(&self, packet: &[u8]) -> Result<(), NotAPacket> {
        self.air.act(|medium| medium.host_packet(self.id, packet))
    }

    /// The next H4 packet for the host.
    pub fn poll_packet(&self, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        match self.air.0.medium.borrow_mut().take_packet(self.id) {
            Some(packet) => Poll::Ready(packet),
            None => {
                self.air.0.hosts.borrow_mut().insert(self.id, cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for VirtualController {
    fn drop(&mut self) {
        self.air.act(|medium| medium.detach(self.id));
        self.air.0.hosts.borrow_mut().remove(&self.id);
    }
}

/// Why host and controller could not exchange a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HciError {
    /// The host's buffer is too small.
    #[error("the controller's packet of {found} bytes does not fit the host's buffer of {room}")]
    Room {
        /// Bytes of the packet, indicator and header included.
        found: usize,
        /// Bytes of the buffer.
        room: usize,
    },
    /// The host does not understand what its controller says.
    #[error("the host does not understand its controller: {0}")]
    Malformed(ReadHciError<Infallible>),
    /// The host sends what is no packet.
    #[error(transparent)]
    Write(#[from] NotAPacket),
}

impl From<ReadHciError<Infallible>> for HciError {
    fn from(error: ReadHciError<Infallible>) -> Self {
        Self::Malformed(error)
    }
}

impl embedded_io::Error for HciError {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::InvalidData
    }
}

impl embedded_io::ErrorType for VirtualController {
    type Error = HciError;
}

impl Transport for VirtualController {
    async fn read<'a, P: PacketToHost<'a>>(&self, rx: &'a mut [u8]) -> Result<P, HciError> {
        let packet = poll_fn(|cx| self.poll_packet(cx)).await;
        let (found, room) = (packet.len(), rx.len());
        let mut bytes = packet.as_slice();
        // Reading from memory fails by running out of bytes only.
        let malformed = HciError::Malformed(ReadHciError::InvalidValue);
        let kind = PacketKind::read(&mut bytes).map_err(|_| malformed)?;
        P::read_hci(kind, &mut bytes, rx).map_err(|error| match error {
            ReadHciError::BufferTooSmall => HciError::Room { found, room },
            ReadHciError::InvalidValue | ReadHciError::Read(_) => malformed,
        })
    }

    async fn write<P: PacketToController>(&self, tx: &P) -> Result<(), HciError> {
        let mut packet = Vec::with_capacity(1 + tx.size());
        let Ok(()) = WithIndicator::new(tx).write_hci(&mut packet);
        Ok(self.write_packet(&packet)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_a_sentence() {
        let room = HciError::Room { found: 262, room: 255 };
        insta::assert_snapshot!(room, @"the controller's packet of 262 bytes does not fit the host's buffer of 255");
        let malformed = HciError::from(ReadHciError::InvalidValue);
        insta::assert_snapshot!(malformed, @"the host does not understand its controller: InvalidValue");
        let write = HciError::from(NotAPacket::Length { found: 3, expected: 4 });
        insta::assert_snapshot!(write, @"the HCI packet has 3 bytes and its header asks for 4");
    }
}
