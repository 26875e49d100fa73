//! A virtual device's wires as links of the client, with the time that they take.

use embassy_time::{Duration, Timer};
use otaru_device_sim::port::{DatagramWire, SerialWire};
use otaru_smp_client::link::serial::Line;
use otaru_smp_client::{Link, LinkError, Transport};

/// Datagrams over a quick local network.
pub(super) struct Datagrams {
    wire: DatagramWire,
    frame: Vec<u8>,
}

impl Datagrams {
    pub(super) fn new(wire: DatagramWire) -> Self {
        Self { wire, frame: Vec::new() }
    }
}

impl Link for Datagrams {
    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn max_frame(&self) -> usize {
        MTU
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        Timer::after(LATENCY).await;
        self.wire.send(frame);
        Ok(())
    }

    async fn receive(&mut self) -> Result<&[u8], LinkError> {
        self.frame = self.wire.receive().await;
        Ok(&self.frame)
    }
}

/// A serial line at [`BAUD`].
pub(super) struct Uart(pub(super) SerialWire);

impl Line for Uart {
    async fn open(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        Timer::after(on_the_wire(bytes.len())).await;
        self.0.send(bytes);
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<u8>, LinkError> {
        let bytes = self.0.receive().await;
        Ok(bytes)
    }
}

/// Ten bits a byte.
fn on_the_wire(bytes: usize) -> Duration {
    Duration::from_micros(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(10_000_000) / BAUD)
}

const BAUD: u64 = 1_000_000;
/// What an Ethernet frame leaves for a datagram over IPv4.
const MTU: usize = 1472;
const LATENCY: Duration = Duration::from_micros(200);
