//! A Bluetooth controller at the other end of a TCP connection: HCI packets, each behind one byte that says its kind
//! (the UART transport of the Core Specification, Vol 4 Part A, without the UART).

use crate::link::inbox::Inbox;
use bt_hci_transport::{PacketKind, PacketToController, PacketToHost, ReadHciError, Transport, WithIndicator};
use core::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The host's end of the connection: what `bt-hci`'s `ExternalController` is made from.
#[derive(Debug)]
pub struct H4Tcp {
    writer: Mutex<TcpStream>,
    inbox: Inbox<Packet>,
}

/// A packet from the controller.
#[derive(Debug)]
struct Packet {
    kind: PacketKind,
    bytes: Vec<u8>,
}

/// Why a controller cannot be talked to any longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum H4Error {
    /// The connection is gone.
    #[error("the connection to the controller is gone: {0}")]
    Gone(String),
    /// A packet that makes no sense, or does not fit the host's buffer.
    #[error("the controller sent a packet of {len} bytes that the host cannot take: {why}")]
    Malformed {
        /// Bytes of the packet.
        len: usize,
        /// What is wrong.
        why: String,
    },
}

impl H4Tcp {
    /// Connects to a controller at `HOST:PORT`.
    ///
    /// # Errors
    /// The name does not resolve, or nothing answers there within five seconds per address.
    pub fn connect(address: &str) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Self::new(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let inbox = Inbox::new();
        let (mut reader, theirs) = (stream.try_clone()?, inbox.clone());
        std::thread::Builder::new().name("h4".into()).spawn(move || {
            loop {
                match packet(&mut reader) {
                    Ok(packet) => {
                        if !theirs.put(packet) {
                            return theirs.end("the host does not keep up with the controller".into());
                        }
                    }
                    Err(error) => return theirs.end(error.to_string()),
                }
            }
        })?;
        Ok(Self { writer: Mutex::new(stream), inbox })
    }
}

impl Drop for H4Tcp {
    fn drop(&mut self) {
        // Ends the thread, whose read returns; a connection that is gone already needs no ending.
        let _ = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
    }
}

impl embedded_io::ErrorType for H4Tcp {
    type Error = H4Error;
}

impl Transport for H4Tcp {
    async fn read<'a, P: PacketToHost<'a>>(&self, rx: &'a mut [u8]) -> Result<P, H4Error> {
        let packet = poll_fn(|cx| self.inbox.poll_take(cx)).await.map_err(H4Error::Gone)?;
        let malformed = |error: ReadHciError<_>| H4Error::Malformed { len: packet.bytes.len(), why: error.to_string() };
        P::read_hci(packet.kind, &mut packet.bytes.as_slice(), rx).map_err(malformed)
    }

    async fn write<P: PacketToController>(&self, tx: &P) -> Result<(), H4Error> {
        let packet = WithIndicator::new(tx);
        let mut bytes = vec![0; packet.size()];
        let malformed = |why: String| H4Error::Malformed { len: packet.size(), why };
        let mut rest = bytes.as_mut_slice();
        packet.write_hci(&mut rest).map_err(|error| malformed(error.to_string()))?;
        // One write per packet: two would wait for each other's acknowledgement.
        let mut stream = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&bytes).map_err(|error| H4Error::Gone(error.to_string()))
    }
}

impl embedded_io::Error for H4Error {
    fn kind(&self) -> embedded_io::ErrorKind {
        match self {
            Self::Gone(_) => embedded_io::ErrorKind::NotConnected,
            Self::Malformed { .. } => embedded_io::ErrorKind::InvalidData,
        }
    }
}

impl From<ReadHciError<Infallible>> for H4Error {
    fn from(error: ReadHciError<Infallible>) -> Self {
        Self::Malformed { len: 0, why: error.to_string() }
    }
}

/// Reads one packet; at most 64 KiB and a few bytes, whatever its header announces.
fn packet(stream: &mut impl Read) -> io::Result<Packet> {
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    let (kind, header_len) = match kind[0] {
        2 => (PacketKind::AclData, 4),
        3 => (PacketKind::SyncData, 3),
        4 => (PacketKind::Event, 2),
        5 => (PacketKind::IsoData, 4),
        other => {
            let why = format!("{other:#04x} is no kind of packet that a controller sends");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
    };
    let mut bytes = vec![0; header_len];
    stream.read_exact(&mut bytes)?;
    let body_len = match kind {
        PacketKind::Event => usize::from(bytes[1]),
        PacketKind::SyncData => usize::from(bytes[2]),
        // The two top bits of an ISO length are no length.
        PacketKind::IsoData => usize::from(u16::from_le_bytes([bytes[2], bytes[3]]) & 0x3fff),
        _ => usize::from(u16::from_le_bytes([bytes[2], bytes[3]])),
    };
    bytes.resize(header_len + body_len, 0);
    stream.read_exact(&mut bytes[header_len..])?;
    Ok(Packet { kind, bytes })
}

const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_where_their_own_headers_say() {
        let mut stream: &[u8] = &[4, 0x0e, 3, 1, 2, 3, 2, 0x40, 0x20, 2, 0, 9, 8, 4];
        let event = packet(&mut stream).unwrap();
        assert_eq!((event.kind, event.bytes.as_slice()), (PacketKind::Event, &[0x0e, 3, 1, 2, 3][..]));
        let acl = packet(&mut stream).unwrap();
        assert_eq!((acl.kind, acl.bytes.as_slice()), (PacketKind::AclData, &[0x40, 0x20, 2, 0, 9, 8][..]));
        insta::assert_snapshot!(packet(&mut stream).unwrap_err(), @"failed to fill whole buffer");
    }

    #[test]
    fn byte_that_is_no_kind_then_the_stream_is_given_up() {
        let error = packet(&mut [0x7f, 1, 2].as_slice()).unwrap_err();
        insta::assert_snapshot!(error, @"0x7f is no kind of packet that a controller sends");
    }
}
