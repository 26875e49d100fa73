//! Hosts over TCP, in real time.

use embassy_futures::select::{Either3, select3};
use otaru_radio_sim::{Air, AirConfig, H4Server};
use otaru_sim_rt::{ClockMode, run};
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server in a thread of its own, until dropped.
struct Server {
    address: SocketAddr,
    stop: Arc<Mutex<(bool, Option<Waker>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let (started, address) = mpsc::channel();
        let stop = Arc::new(Mutex::new((false, None)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let air = Air::new(AirConfig::default());
            let mut server = H4Server::bind(&air, "127.0.0.1:0").unwrap();
            started.send(server.address()).unwrap();
            let stop = poll_fn(|cx| {
                let mut stop = stopped.lock().unwrap();
                stop.1 = Some(cx.waker().clone());
                if stop.0 { Poll::Ready(()) } else { Poll::Pending }
            });
            let Either3::Third(()) = run(ClockMode::Real, select3(air.drive(), server.serve(), stop));
        });
        Self { address: address.recv().unwrap(), stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = self.stop.lock().unwrap();
        stop.0 = true;
        stop.1.take().into_iter().for_each(Waker::wake);
        drop(stop);
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Host(TcpStream);

impl Host {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        // Longer than anything here takes: a hang becomes a failure.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut host = Self(stream);
        assert_eq!(host.command(0x0c03, &[]), [0], "reset");
        assert_eq!(host.command(0x0c01, &[0xff; 8]), [0]);
        assert_eq!(host.command(0x2001, &[0x1f, 0, 0, 0, 0, 0, 0, 0]), [0]);
        host
    }

    /// The next event: its code and parameters.
    fn event(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 3];
        self.0.read_exact(&mut header).unwrap();
        assert_eq!(header[0], 4);
        let mut parameters = vec![0; header[2].into()];
        self.0.read_exact(&mut parameters).unwrap();
        (header[1], parameters)
    }

    /// Parameters of the next event with this code, or of the next LE event with this subevent.
    fn wait(&mut self, code: u8, subevent: Option<u8>) -> Vec<u8> {
        loop {
            let (found, parameters) = self.event();
            if found == code && subevent.is_none_or(|subevent| parameters[0] == subevent) {
                return parameters;
            }
        }
    }

    fn send(&mut self, opcode: u16, parameters: &[u8]) {
        let [low, high] = opcode.to_le_bytes();
        let packet = [&[1, low, high, parameters.len() as u8], parameters].concat();
        // In two pieces, as some hosts write.
        self.0.write_all(&packet[..1]).unwrap();
        self.0.write_all(&packet[1..]).unwrap();
    }

    /// What a command returns.
    fn command(&mut self, opcode: u16, parameters: &[u8]) -> Vec<u8> {
        self.send(opcode, parameters);
        self.wait(0x0e, None)[3..].to_vec()
    }
}

#[test]
fn hosts_over_tcp_meet_and_miss_each_other() {
    let server = Server::start();
    let (mut device, mut client) = (Host::connect(&server), Host::connect(&server));
    let address = device.command(0x1009, &[]);
    assert_ne!(address, client.command(0x1009, &[]), "a controller each");
    assert_eq!(device.command(0x2006, &[32, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0]), [0]);
    assert_eq!(device.command(0x200a, &[1]), [0]);
    let create = [
        [16, 0, 16, 0, 0, 0].as_slice(),
        &address[1..],
        // 30 ms apart, missed after 100 ms.
        &[0, 24, 0, 24, 0, 0, 0, 10, 0, 0, 0, 0, 0],
    ];
    client.send(0x200d, &create.concat());
    let connected = client.wait(0x3e, Some(1));
    assert_eq!(connected[1], 0);
    device.wait(0x3e, Some(1));
    // A host that leaves takes its controller away.
    drop(device);
    assert_eq!(client.wait(0x05, None)[3], 0x08);
}

#[test]
fn a_host_that_sends_no_hci_is_disconnected_and_others_are_served() {
    let server = Server::start();
    let mut confused = Host::connect(&server);
    let mut other = Host::connect(&server);
    confused.0.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let end = confused.0.read(&mut [0; 16]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(other.command(0x0c03, &[]), [0]);
}

#[test]
fn a_server_that_is_gone_leaves_its_port_and_its_hosts() {
    let server = Server::start();
    let (address, mut host) = (server.address, Host::connect(&server));
    drop(server);
    let end = host.0.read(&mut [0; 16]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    // The listening thread lets go of the port soon after.
    while TcpListener::bind(address).is_err() {
        std::thread::yield_now();
    }
}
