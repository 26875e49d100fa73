//! What can be seen from outside: counters and the sniffer.

use crate::link::{Counts, Role};
use crate::medium::ControllerId;
use crate::phy::Phy;

/// What went over the air.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connection events that took place.
    pub events: u64,
    /// Packets on the air: advertising, empty ones, retransmissions and all.
    pub packets: u64,
    /// Packets with content that arrived from centrals, once each.
    pub central_packets: u64,
    /// Bytes of host data in them: no headers, no MIC.
    pub central_bytes: u64,
    /// Packets with content that arrived from peripherals, once each.
    pub peripheral_packets: u64,
    /// Bytes of host data in them.
    pub peripheral_bytes: u64,
    /// Microseconds of air time used by all packets.
    pub air_time: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// Packets with content that were sent again.
    pub retransmitted: u64,
    /// Packets whose integrity check failed: each ended its link.
    pub mic_failures: u64,
}

impl Stats {
    /// Adds what happened at an end of a link. What it received came from the other role.
    pub(crate) const fn count(&mut self, role: Role, counts: Counts) {
        self.retransmitted += counts.retransmitted;
        let (packets, bytes) = match role.other() {
            Role::Central => (&mut self.central_packets, &mut self.central_bytes),
            Role::Peripheral => (&mut self.peripheral_packets, &mut self.peripheral_bytes),
        };
        *packets += counts.received;
        *bytes += counts.bytes;
    }
}

/// Where a packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// On an advertising channel: 37, 38 or 39.
    Advertising(u8),
    /// On a link.
    Link {
        /// What tells links apart on the air.
        access_address: u32,
    },
}

/// One packet as a radio in the room hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sniffed<'a> {
    /// Microseconds since the air was made.
    pub at: u64,
    /// Who sent it.
    pub from: ControllerId,
    /// Where.
    pub channel: Channel,
    /// How.
    pub phy: Phy,
    /// Header, payload and MIC; ciphertext on an encrypted link.
    pub pdu: &'a [u8],
    /// Whether its receiver missed it.
    pub lost: bool,
}
