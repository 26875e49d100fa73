//! Controllers for hosts outside of this process: HCI packets over TCP, each behind one byte that says its kind (Core
//! Specification Vol 4 Part A, without the UART).

use crate::air::{Air, VirtualController};
use crate::hci::indicator;
use crate::medium::{ControllerConfig, NotAPacket};
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Listens for hosts. Each connection gets a fresh controller on the air; closing it takes the controller away, and its
/// peers notice by their supervision timeouts.
///
/// Whoever reaches the port can use the air: bind it to the loopback interface.
#[derive(Debug)]
pub struct H4Server {
    air: Air,
    address: SocketAddr,
    news: Receiver<News>,
    waker: SharedWaker,
    hosts: BTreeMap<u64, Host>,
    closed: Arc<AtomicBool>,
}

impl H4Server {
    /// Binds to `address` and starts to listen. Port 0 picks a free one.
    ///
    /// # Errors
    /// The address does not resolve or cannot be bound, or no thread can be started.
    pub fn bind(air: &Air, address: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (sender, news) = sync_channel(BACKLOG);
        let (waker, closed) = (SharedWaker::default(), Arc::new(AtomicBool::new(false)));
        let outlet = Outlet { sender, waker: waker.clone() };
        let ended = Arc::clone(&closed);
        thread::Builder::new().name("h4-listen".into()).spawn(move || listen(&listener, &outlet, &ended))?;
        Ok(Self { air: air.clone(), address, news, waker, hosts: BTreeMap::new(), closed })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the hosts that connect; never ends. Poll it beside [`Air::drive`], in real time.
    pub async fn serve(&mut self) -> Infallible {
        poll_fn(|cx| {
            self.waker.keep(cx.waker());
            while let Ok(news) = self.news.try_recv() {
                self.take(news);
            }
            self.hosts.retain(|_, host| host.flush(cx).is_ok());
            Poll::Pending
        })
        .await
    }

    fn take(&mut self, news: News) {
        match news {
            News::Connected(id, stream) => {
                let controller = self.air.attach(ControllerConfig::default());
                // A host for whom there is no thread sees its connection closed.
                if let Ok(host) = Host::new(controller, stream) {
                    self.hosts.insert(id, host);
                }
            }
            News::Packet(id, packet) => {
                let broken = |host: &Host| host.controller.write_packet(&packet).is_err();
                if self.hosts.get(&id).is_some_and(broken) {
                    self.hosts.remove(&id);
                }
            }
            News::Gone(id) => drop(self.hosts.remove(&id)),
        }
    }
}

impl Drop for H4Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Only a connection wakes the listening thread, which then lets go of the port.
        let ip = match self.address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let _ = TcpStream::connect((ip, self.address.port()));
    }
}

/// A connected host and its controller.
#[derive(Debug)]
struct Host {
    controller: VirtualController,
    stream: TcpStream,
    /// To the thread that writes.
    outgoing: SyncSender<Vec<u8>>,
}

/// The host has stopped to read.
struct Stuck;

impl Host {
    fn new(controller: VirtualController, stream: TcpStream) -> io::Result<Self> {
        let (outgoing, packets) = sync_channel::<Vec<u8>>(BACKLOG);
        let mut writer = stream.try_clone()?;
        thread::Builder::new().name("h4-write".into()).spawn(move || {
            while let Ok(packet) = packets.recv() {
                if writer.write_all(&packet).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { controller, stream, outgoing })
    }

    /// Passes on what the controller has for its host.
    fn flush(&self, cx: &mut Context<'_>) -> Result<(), Stuck> {
        while let Poll::Ready(packet) = self.controller.poll_packet(cx) {
            self.outgoing.try_send(packet).map_err(|_| Stuck)?;
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Ends the reading thread. Fails if the host was faster.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// What threads have to tell.
#[derive(Debug)]
enum News {
    Connected(u64, TcpStream),
    Packet(u64, Vec<u8>),
    Gone(u64),
}

/// Who is woken when there is news.
#[derive(Clone, Debug, Default)]
struct SharedWaker(Arc<Mutex<Option<Waker>>>);

impl SharedWaker {
    fn keep(&self, waker: &Waker) {
        // Whole between any two statements that hold it: a panic elsewhere does not spoil it.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }

    fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The threads' end.
#[derive(Clone, Debug)]
struct Outlet {
    sender: SyncSender<News>,
    waker: SharedWaker,
}

/// The server is gone.
struct Closed;

impl Outlet {
    /// Tells the server, and waits if it is behind.
    fn tell(&self, news: News) -> Result<(), Closed> {
        self.sender.send(news).map_err(|_| Closed)?;
        self.waker.wake();
        Ok(())
    }
}

fn listen(listener: &TcpListener, outlet: &Outlet, closed: &AtomicBool) {
    for (id, stream) in (0..).zip(listener.incoming()) {
        if closed.load(Ordering::Acquire) {
            break;
        }
        // An error here concerns one host that is gone already.
        let Ok(stream) = stream else { continue };
        if accept(id, stream, outlet).is_err() {
            break;
        }
    }
}

fn accept(id: u64, stream: TcpStream, outlet: &Outlet) -> Result<(), Closed> {
    let _ = stream.set_nodelay(true);
    let Ok(mut reader) = stream.try_clone() else { return Ok(()) };
    outlet.tell(News::Connected(id, stream))?;
    let outlet = outlet.clone();
    let reading = thread::Builder::new().name("h4-read".into());
    // Without a thread the host gets no answers and leaves.
    let _ = reading.spawn(move || {
        while let Ok(packet) = read_packet(&mut reader) {
            if outlet.tell(News::Packet(id, packet)).is_err() {
                return;
            }
        }
        let _ = outlet.tell(News::Gone(id));
    });
    Ok(())
}

/// Reads one packet with its indicator.
fn read_packet(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut packet = vec![0];
    stream.read_exact(&mut packet)?;
    let header = match packet[0] {
        indicator::COMMAND | indicator::SYNC => 3,
        indicator::ACL | indicator::ISO => 4,
        // Where the next packet begins cannot be known.
        indicator => return Err(io::Error::new(io::ErrorKind::InvalidData, NotAPacket::Indicator { indicator })),
    };
    packet.resize(1 + header, 0);
    stream.read_exact(&mut packet[1..])?;
    let len = match packet[0] {
        indicator::COMMAND | indicator::SYNC => usize::from(packet[3]),
        indicator::ISO => usize::from(u16::from_le_bytes([packet[3], packet[4]]) & 0x3fff),
        _ => usize::from(u16::from_le_bytes([packet[3], packet[4]])),
    };
    packet.resize(1 + header + len, 0);
    stream.read_exact(&mut packet[1 + header..])?;
    Ok(packet)
}

/// Packets that wait in either direction. A host that lets more pile up is disconnected.
const BACKLOG: usize = 256;
