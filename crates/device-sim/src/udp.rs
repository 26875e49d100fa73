//! A UDP socket of this machine as a device's datagram port.

use crate::port::{DatagramPort, DatagramSink, MAX_DATAGRAM};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

impl DatagramSink for UdpSocket {
    fn send(&self, peer: SocketAddr, bytes: &[u8]) {
        // A datagram that cannot be sent is a lost one: the client repeats its request.
        let _ = self.send_to(bytes, peer);
    }
}

/// Binds a socket and starts the thread that listens on it. Returns the port and the bound address (port 0 picks a
/// free one).
///
/// # Errors
/// The address does not resolve or cannot be bound.
pub fn bind(address: impl ToSocketAddrs) -> io::Result<(DatagramPort, SocketAddr)> {
    let socket = UdpSocket::bind(address)?;
    let bound = socket.local_addr()?;
    let (port, incoming) = DatagramPort::new(Box::new(socket.try_clone()?), bound.ip().is_loopback());
    std::thread::Builder::new().name("udp".into()).spawn(move || {
        let mut buffer = vec![0; MAX_DATAGRAM];
        while !incoming.is_closed() {
            // An error here is a peer's closed port reported late (ICMP); the socket itself stays good.
            let Ok((len, peer)) = socket.recv_from(&mut buffer) else { continue };
            incoming.send((peer, buffer[..len].to_vec()));
        }
    })?;
    Ok((port, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_the_peer_that_asked() {
        let (port, bound) = bind("127.0.0.1:0").unwrap();
        assert!(port.local);
        let peers = [UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap()];
        for (i, peer) in (0..).zip(&peers) {
            peer.send_to(&[i], bound).unwrap();
        }
        for _ in &peers {
            let (peer, bytes) = otaru_sim_rt::run(otaru_sim_rt::ClockMode::Real, port.incoming.receive());
            port.answers.send(peer, &[bytes[0] + 10]);
        }
        for (i, peer) in (10..).zip(&peers) {
            let mut answer = [0; 4];
            assert_eq!((peer.recv_from(&mut answer).unwrap().0, answer[0]), (1, i));
        }
    }
}
