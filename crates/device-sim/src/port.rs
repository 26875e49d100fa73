//! What a virtual device is plugged into: datagrams, a serial line, seen from the device's side.
//!
//! Ports outlive resets: the wire stays where it is while the chip restarts. What arrives while the device is in
//! reset or in its bootloader is lost, as on a chip whose receiver is off.

use crate::mailbox::{Receiver, Sender, mailbox};
use std::net::{Ipv4Addr, SocketAddr};

/// The most a datagram may hold; longer ones are cut by the operating system and refused by the SMP length check.
pub const MAX_DATAGRAM: usize = 4096;

/// The one peer of an in-memory wire.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Datagrams or chunks that wait for the device; more are lost.
const ROOM: usize = 64;

/// Where answers go.
pub trait DatagramSink {
    /// Sends `bytes` to `peer`; what cannot be sent is lost, as datagrams are.
    fn send(&self, peer: SocketAddr, bytes: &[u8]);
}

/// Where a device's serial output goes.
pub trait ByteSink {
    /// Sends `bytes`; what nobody reads is lost, as on a line without flow control.
    fn send(&self, bytes: &[u8]);
}

/// A device's socket.
pub struct DatagramPort {
    pub(crate) incoming: Receiver<(SocketAddr, Vec<u8>)>,
    pub(crate) answers: Box<dyn DatagramSink>,
    pub(crate) local: bool,
}

/// A device's UART.
pub struct SerialPort {
    pub(crate) incoming: Receiver<Vec<u8>>,
    pub(crate) output: Box<dyn ByteSink>,
}

impl DatagramPort {
    /// A port fed by the returned sender, usually held by a thread. `local` says that only this machine can reach
    /// it, so that the policy for unsecured local links applies.
    pub fn new(answers: Box<dyn DatagramSink>, local: bool) -> (Self, Sender<(SocketAddr, Vec<u8>)>) {
        let (tx, incoming) = mailbox(ROOM);
        (Self { incoming, answers, local }, tx)
    }

    /// A port and the other end of an in-memory wire to it.
    #[must_use]
    pub fn in_memory() -> (Self, DatagramWire) {
        let (answers, from_device) = mailbox(ROOM);
        let (port, to_device) = Self::new(Box::new(MemoryAnswers(answers)), true);
        (port, DatagramWire { to_device, from_device })
    }
}

impl SerialPort {
    /// A port fed by the returned sender, usually held by a thread.
    pub fn new(output: Box<dyn ByteSink>) -> (Self, Sender<Vec<u8>>) {
        let (tx, incoming) = mailbox(ROOM);
        (Self { incoming, output }, tx)
    }

    /// A port and the other end of an in-memory line to it.
    #[must_use]
    pub fn in_memory() -> (Self, SerialWire) {
        let (output, from_device) = mailbox(ROOM * 8);
        let (port, to_device) = Self::new(Box::new(MemoryLine(output)));
        (port, SerialWire { to_device, from_device })
    }
}

/// The peer's end of an in-memory datagram wire.
#[derive(Debug)]
pub struct DatagramWire {
    to_device: Sender<(SocketAddr, Vec<u8>)>,
    from_device: Receiver<Vec<u8>>,
}

impl DatagramWire {
    /// Sends a datagram; false if it was lost.
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.to_device.send((NOWHERE, bytes.to_vec()))
    }

    /// The next datagram from the device.
    pub async fn receive(&self) -> Vec<u8> {
        self.from_device.receive().await
    }
}

/// The peer's end of an in-memory serial line.
#[derive(Debug)]
pub struct SerialWire {
    to_device: Sender<Vec<u8>>,
    from_device: Receiver<Vec<u8>>,
}

impl SerialWire {
    /// Sends bytes; false if they were lost.
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.to_device.send(bytes.to_vec())
    }

    /// The next bytes from the device.
    pub async fn receive(&self) -> Vec<u8> {
        self.from_device.receive().await
    }
}

struct MemoryAnswers(Sender<Vec<u8>>);

impl DatagramSink for MemoryAnswers {
    fn send(&self, _peer: SocketAddr, bytes: &[u8]) {
        self.0.send(bytes.to_vec());
    }
}

struct MemoryLine(Sender<Vec<u8>>);

impl ByteSink for MemoryLine {
    fn send(&self, bytes: &[u8]) {
        self.0.send(bytes.to_vec());
    }
}
