//! The simulated medium and the controllers on it, without I/O: packets and time come in as arguments.

use crate::controller::Controller;
use crate::hci::{Packet, indicator};
use crate::link::Link;
use crate::observe::{Channel, Sniffed, Stats};
use crate::phy::Phy;
use crate::random::{Dice, Secrets};
use core::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// How the air behaves.
#[derive(Clone, Debug)]
pub struct AirConfig {
    /// Seeds everything that chance decides on the air: losses and advertising delays. The same seed gives the same air.
    pub seed: u64,
    /// Which share of the packets gets lost, 0.0 to 1.0.
    pub loss: f64,
    /// Where controllers take random numbers from.
    pub entropy: Entropy,
    /// The most exchanges (a packet each way) in one connection event: some controllers have a limit.
    pub max_exchanges: u32,
}

impl Default for AirConfig {
    fn default() -> Self {
        Self { seed: 1, loss: 0.0, entropy: Entropy::Os, max_exchanges: u32::MAX }
    }
}

/// Where controllers take the numbers from that must not be guessed: LE_Rand, and their share of session keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entropy {
    /// The operating system's generator.
    Os,
    /// A sequence that can be had again: for tests only, since hosts make pairing keys from it.
    Seeded(u64),
}

/// How a controller is built.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Public device address, least significant byte first; `None` derives one from the order of attachment.
    pub address: Option<[u8; 6]>,
    /// Bytes of an ACL data packet that it takes from its host.
    pub acl_len: u16,
    /// How many of them it buffers.
    pub acl_packets: u8,
    /// Links at a time.
    pub max_links: usize,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self { address: None, acl_len: 251, acl_packets: 8, max_links: 8 }
    }
}

/// Names a controller on one air. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControllerId(pub(crate) u32);

/// The bytes are not one whole HCI packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAPacket {
    /// The first byte names no kind of packet that hosts send.
    #[error("{indicator:#04x} is not the indicator of a packet that a controller takes")]
    Indicator {
        /// The first byte.
        indicator: u8,
    },
    /// Too few or too many bytes for what the header says.
    #[error("the HCI packet has {found} bytes and its header asks for {expected}")]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes the header asks for, at least.
        expected: usize,
    },
}

/// Something that will happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A packet reaches the host, unless the controller was reset meanwhile.
    Deliver { to: ControllerId, epoch: u32, packet: Packet },
    /// An advertiser begins to send on a channel. `event` is when its advertising event began.
    Advertise { by: ControllerId, generation: u32, channel: u8, event: u64 },
    /// What it sent has arrived.
    Advertised { by: ControllerId, generation: u32, channel: u8, event: u64 },
    /// The next step of a link.
    Link(LinkId),
}

/// Names a link on one air. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u32);

/// The air and all controllers on it: sans-IO. Time comes in through [`advance`](Self::advance), packets of hosts through
/// [`host_packet`](Self::host_packet); packets for hosts are taken out with [`take_packet`](Self::take_packet).
///
/// [`Air`](crate::Air) wraps it for asynchronous hosts.
pub struct Medium {
    pub(crate) config: AirConfig,
    pub(crate) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    /// Orders what happens at the same time.
    sequence: u64,
    attached: u32,
    linked: u32,
    pub(crate) controllers: BTreeMap<ControllerId, Controller>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) dice: Dice,
    pub(crate) secrets: Secrets,
    pub(crate) stats: Stats,
    sniffer: Option<Sniffer>,
}

type Sniffer = Box<dyn FnMut(&Sniffed<'_>)>;

impl Medium {
    /// An air that nobody is on, at time 0.
    #[must_use]
    pub fn new(config: AirConfig) -> Self {
        Self {
            now: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            attached: 0,
            linked: 0,
            controllers: BTreeMap::new(),
            links: BTreeMap::new(),
            dice: Dice::new(config.seed),
            secrets: Secrets::new(config.entropy),
            stats: Stats::default(),
            sniffer: None,
            config,
        }
    }

    /// Powers a controller on.
    pub fn attach(&mut self, config: ControllerConfig) -> ControllerId {
        self.attached += 1;
        let id = ControllerId(self.attached);
        let [a, b, c, d] = self.attached.to_le_bytes();
        let address = config.address.unwrap_or([a, b, c, d, 0x7a, 0x02]);
        self.controllers.insert(id, Controller::new(config, address));
        id
    }

    /// Powers a controller off, without a word to its peers.
    pub fn detach(&mut self, id: ControllerId) {
        self.drop_links(id);
        self.controllers.remove(&id);
    }

    /// Gives a controller one H4 packet of its host: the packet indicator and the packet. Nothing happens if the
    /// controller is off.
    ///
    /// # Errors
    /// The bytes are not one whole packet of a host. The controller is unharmed.
    pub fn host_packet(&mut self, id: ControllerId, packet: &[u8]) -> Result<(), NotAPacket> {
        let (body, header) = split(packet)?;
        match packet.first() {
            Some(&indicator::COMMAND) => self.command(id, u16::from_le_bytes([header[0], header[1]]), body),
            Some(&indicator::ACL) => self.acl(id, u16::from_le_bytes([header[0], header[1]]), body),
            // There are no synchronous and isochronous links to send this on.
            _ => {}
        }
        Ok(())
    }

    /// The next H4 packet of a controller for its host.
    pub fn take_packet(&mut self, id: ControllerId) -> Option<Vec<u8>> {
        self.controllers.get_mut(&id)?.take_packet().map(Packet::into_bytes)
    }

    /// Whether [`take_packet`](Self::take_packet) has something.
    #[must_use]
    pub fn has_packet(&self, id: ControllerId) -> bool {
        self.controllers.get(&id).is_some_and(Controller::has_packet)
    }

    /// Lets everything happen that is due at or before `now`, in microseconds since the air was made. Time does not go
    /// back: an earlier `now` does nothing.
    pub fn advance(&mut self, now: u64) {
        while let Some(at) = self.next_deadline().filter(|at| *at <= now) {
            let Some(Reverse((_, _, event))) = self.queue.pop() else { break };
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(now);
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((at, _, _))| *at)
    }

    /// A controller's public device address, least significant byte first; zeros if it is off.
    #[must_use]
    pub fn address(&self, id: ControllerId) -> [u8; 6] {
        self.controllers.get(&id).map_or([0; 6], |controller| controller.public)
    }

    /// What went over the air so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Which share of the packets gets lost from here on, 0.0 to 1.0.
    pub const fn set_loss(&mut self, loss: f64) {
        self.config.loss = loss;
    }

    /// Shows each packet on the air to `sniffer`, in place of an earlier one.
    pub fn set_sniffer(&mut self, sniffer: impl FnMut(&Sniffed<'_>) + 'static) {
        self.sniffer = Some(Box::new(sniffer));
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { to, epoch, packet } => {
                if let Some(controller) = self.controllers.get_mut(&to).filter(|c| c.epoch == epoch) {
                    controller.push(packet);
                }
            }
            Event::Advertise { by, generation, channel, event } => self.advertise(by, generation, channel, event),
            Event::Advertised { by, generation, channel, event } => self.advertised(by, generation, channel, event),
            Event::Link(id) => self.link_step(id),
        }
    }

    /// Shows the host of `to` a packet at a later moment.
    pub(crate) fn deliver(&mut self, at: u64, to: ControllerId, packet: Packet) {
        if let Some(epoch) = self.controllers.get(&to).map(|controller| controller.epoch) {
            self.schedule(at, Event::Deliver { to, epoch, packet });
        }
    }

    pub(crate) fn new_link_id(&mut self) -> LinkId {
        self.linked += 1;
        LinkId(self.linked)
    }

    /// Sends a packet: counts and shows it. Says whether it gets lost, and when its last bit is out.
    pub(crate) fn transmit(
        &mut self,
        at: u64,
        from: ControllerId,
        channel: Channel,
        phy: Phy,
        pdu: &[u8],
    ) -> (bool, u64) {
        let lost = self.dice.hits(self.config.loss);
        let air_time = phy.air_time(pdu.len().saturating_sub(2));
        self.stats.packets += 1;
        self.stats.air_time += air_time;
        self.stats.lost += u64::from(lost);
        if let Some(sniffer) = &mut self.sniffer {
            sniffer(&Sniffed { at, from, channel, phy, pdu, lost });
        }
        (lost, at + air_time)
    }
}

impl core::fmt::Debug for Medium {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let controllers = self.controllers.len();
        f.debug_struct("Medium")
            .field("now", &self.now)
            .field("controllers", &controllers)
            .field("links", &self.links.len())
            .finish_non_exhaustive()
    }
}

/// The body of a packet, and its header padded with zeros.
fn split(packet: &[u8]) -> Result<(&[u8], [u8; 4]), NotAPacket> {
    let (indicator, rest) = packet.split_first().ok_or(NotAPacket::Length { found: 0, expected: 1 })?;
    let header_len = match *indicator {
        indicator::COMMAND | indicator::SYNC => 3,
        indicator::ACL | indicator::ISO => 4,
        indicator => return Err(NotAPacket::Indicator { indicator }),
    };
    let length = |expected| NotAPacket::Length { found: packet.len(), expected };
    let (head, body) = rest.split_at_checked(header_len).ok_or(length(1 + header_len))?;
    let mut header = [0; 4];
    header[..header_len].copy_from_slice(head);
    // The length field of a command is one byte, and its header's last; that of ISO data has 14 bits.
    let expected = match *indicator {
        indicator::ISO => usize::from(u16::from_le_bytes([header[2], header[3]]) & 0x3fff),
        _ => usize::from(u16::from_le_bytes([header[2], header[3]])),
    };
    if body.len() == expected { Ok((body, header)) } else { Err(length(1 + header_len + expected)) }
}
