//! SMP over UDP: one frame per datagram. No authentication, no order, no delivery; the session sees to the last two.

use super::inbox::Inbox;
use super::{Link, LinkError, Transport};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// A UDP socket towards one device.
#[derive(Debug)]
pub struct UdpLink {
    /// `HOST:PORT`, as given.
    device: String,
    open: Option<Open>,
    frame: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    socket: UdpSocket,
    inbox: Inbox<Vec<u8>>,
    max_frame: usize,
}

impl UdpLink {
    /// A link to `device`, `HOST:PORT`; made with [`Link::connect`].
    pub fn new(device: impl Into<String>) -> Self {
        Self { device: device.into(), open: None, frame: Vec::new() }
    }

    fn name(&self) -> String {
        format!("udp:{}", self.device)
    }

    fn lost(&self, why: impl ToString) -> LinkError {
        LinkError::Lost { to: self.name(), why: why.to_string() }
    }

    fn open(&self) -> io::Result<Open> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in self.device.to_socket_addrs()? {
            match connected(address) {
                Ok(socket) => {
                    let inbox = Inbox::new();
                    listen(socket.try_clone()?, inbox.clone())?;
                    return Ok(Open { socket, inbox, max_frame: max_frame(address) });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Link for UdpLink {
    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn max_frame(&self) -> usize {
        self.open.as_ref().map_or(OVER_IPV6, |open| open.max_frame)
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.open = None;
        match self.open() {
            Ok(open) => {
                self.open = Some(open);
                Ok(())
            }
            Err(error) => Err(LinkError::Absent { to: self.name(), why: error.to_string() }),
        }
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        let Some(open) = &self.open else { return Err(self.lost("it was not connected")) };
        if frame.len() > open.max_frame {
            return Err(LinkError::TooLong { to: self.name(), len: frame.len(), max: open.max_frame });
        }
        match open.socket.send(frame) {
            Ok(_) => Ok(()),
            // A full socket buffer loses the datagram, as the network may.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.lost(explain(&error))),
        }
    }

    async fn receive(&mut self) -> Result<&[u8], LinkError> {
        let Some(open) = &self.open else { return Err(self.lost("it was not connected")) };
        match poll_fn(|cx| open.inbox.poll_take(cx)).await {
            Ok(frame) => {
                self.frame = frame;
                Ok(&self.frame)
            }
            Err(why) => Err(self.lost(why)),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.inbox.abandon();
    }
}

fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    Ok(socket)
}

/// A thread that waits on the socket until the link is dropped or the device's port is closed.
fn listen(socket: UdpSocket, inbox: Inbox<Vec<u8>>) -> io::Result<()> {
    std::thread::Builder::new().name("smp-udp".into()).spawn(move || {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        while !inbox.is_abandoned() {
            match socket.recv(&mut buffer) {
                // What finds no room is lost, as datagrams may be.
                Ok(len) => drop(inbox.put(buffer[..len].to_vec())),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                }
                Err(error) => return inbox.end(explain(&error)),
            }
        }
    })?;
    Ok(())
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "nothing listens on that port".into(),
        _ => error.to_string(),
    }
}

/// Datagrams above 1500 bytes are cut by Zephyr's server, on loopback too; elsewhere a frame must fit one packet of a
/// usual network.
fn max_frame(address: SocketAddr) -> usize {
    match address {
        _ if address.ip().is_loopback() => 1500,
        SocketAddr::V4(_) => 1500 - 28,
        SocketAddr::V6(_) => OVER_IPV6,
    }
}

const OVER_IPV6: usize = 1500 - 48;
/// The most an answer can be.
const LARGEST_DATAGRAM: usize = 65_536;
/// How often the thread looks up whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(200);
