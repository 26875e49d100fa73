//! What a controller knows besides its links: settings of its host, lists, and packets for the host.

use crate::crypt::aes;
use crate::hci::{Packet, event};
use crate::link::Parameters;
use crate::medium::ControllerConfig;
use std::collections::{BTreeSet, VecDeque};

/// What our controllers can do (Vol 6 Part B, 4.6): encryption, parameter request, extended reject, peripheral-initiated
/// features, data length, 2M PHY.
pub(crate) const FEATURES: [u8; 8] = [0b0010_1111, 0b0000_0001, 0, 0, 0, 0, 0, 0];

/// Bluetooth 5.0, no company, subversion 0: as LL_VERSION_IND and Read_Remote_Version_Information have it.
pub(crate) const VERSION: [u8; 5] = [9, 0xff, 0xff, 0, 0];

/// Devices in the filter accept list at most.
pub(crate) const ACCEPT_LIST: usize = 16;

/// Devices in the resolving list at most.
pub(crate) const RESOLVING_LIST: usize = 8;

/// Packets for a host that does not read, beyond which advertising reports are dropped.
const PATIENCE: usize = 256;

/// What a masked event is masked by, until the host says otherwise.
const EVENT_MASK: u64 = 0x1fff_ffff_ffff;
const LE_EVENT_MASK: u64 = 0x1f;

/// A device address: whether it is random, and its bytes, least significant first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) random: bool,
    pub(crate) bytes: [u8; 6],
}

impl Address {
    /// From an address type of HCI, in which 2 and 3 name identities.
    pub(crate) const fn new(kind: u8, bytes: [u8; 6]) -> Self {
        Self { random: kind & 1 == 1, bytes }
    }

    pub(crate) fn kind(self) -> u8 {
        u8::from(self.random)
    }
}

/// Which advertising there is, in the numbers of HCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdvertisingKind {
    ConnectableScannable = 0,
    Scannable = 2,
    NotConnectable = 3,
}

#[derive(Debug)]
pub(crate) struct Advertiser {
    pub(crate) kind: AdvertisingKind,
    /// Microseconds from one event to the next, without the random delay.
    pub(crate) interval: u64,
    pub(crate) own_kind: u8,
    pub(crate) channels: u8,
    /// Bit 0: only devices on the list are answered; bit 1: only such may connect.
    pub(crate) filter: u8,
    pub(crate) data: Vec<u8>,
    pub(crate) response: Vec<u8>,
    pub(crate) enabled: bool,
    /// Tells events of an earlier advertising from those of the current one.
    pub(crate) generation: u32,
}

impl Default for Advertiser {
    fn default() -> Self {
        Self {
            kind: AdvertisingKind::ConnectableScannable,
            interval: 1_280_000,
            own_kind: 0,
            channels: 0b111,
            filter: 0,
            data: Vec::new(),
            response: Vec::new(),
            enabled: false,
            generation: 0,
        }
    }
}

/// When a receiver listens, on one advertising channel after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) since: u64,
    /// Microseconds from one window to the next.
    pub(crate) interval: u64,
    /// Microseconds of each.
    pub(crate) window: u64,
}

impl Windows {
    pub(crate) const fn hears(&self, channel: u8, at: u64) -> bool {
        let Some(passed) = at.checked_sub(self.since) else { return false };
        passed % self.interval < self.window && (passed / self.interval) % 3 == (channel - 37) as u64
    }
}

#[derive(Debug)]
pub(crate) struct Scanner {
    pub(crate) active: bool,
    pub(crate) interval: u64,
    pub(crate) window: u64,
    pub(crate) own_kind: u8,
    pub(crate) listed_only: bool,
    pub(crate) windows: Option<Windows>,
    /// `Some`: reports are given once per device and kind of report.
    pub(crate) seen: Option<BTreeSet<(u8, Address)>>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            active: false,
            interval: 10_000,
            window: 10_000,
            own_kind: 0,
            listed_only: false,
            windows: None,
            seen: None,
        }
    }
}

/// A connection that is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Initiator {
    pub(crate) windows: Windows,
    /// `None`: any device on the accept list.
    pub(crate) peer: Option<Address>,
    pub(crate) own_kind: u8,
    pub(crate) parameters: Parameters,
}

/// A peer that may use resolvable private addresses.
#[derive(Clone, Debug)]
pub(crate) struct Resolvable {
    pub(crate) identity: Address,
    /// Its identity resolving key; zeros if it has none.
    pub(crate) key: [u8; 16],
    /// Its identity address counts as well (device privacy mode), not only addresses made with its key.
    pub(crate) open: bool,
}

impl Resolvable {
    /// Whether `address` is made with this peer's key (Vol 6 Part B, 1.3.2.3).
    fn made(&self, address: Address) -> bool {
        let [h0, h1, h2, r0, r1, r2] = address.bytes;
        let mut random = [0; 16];
        random[..3].copy_from_slice(&[r0, r1, r2]);
        let resolvable = address.random && r2 >> 6 == 0b01;
        resolvable && self.key != [0; 16] && aes(self.key, random)[..3] == [h0, h1, h2]
    }
}

/// Whom a packet is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// The identity address if that is known, else the address on the air.
    pub(crate) address: Address,
    /// The address on the air if it was resolved.
    pub(crate) resolved: Option<Address>,
}

impl Sender {
    /// The address type in HCI events.
    pub(crate) fn kind(&self) -> u8 {
        self.address.kind() | if self.resolved.is_some() { 2 } else { 0 }
    }
}

#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) config: ControllerConfig,
    pub(crate) public: [u8; 6],
    pub(crate) settings: Settings,
    to_host: VecDeque<Packet>,
    /// Counts resets: what was on its way to the host before one is void.
    pub(crate) epoch: u32,
    /// Until when its radio is in use, in microseconds.
    pub(crate) busy_until: u64,
}

/// What a reset brings back to its default.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) event_mask: u64,
    pub(crate) le_mask: u64,
    pub(crate) random: [u8; 6],
    pub(crate) advertiser: Advertiser,
    pub(crate) scanner: Scanner,
    pub(crate) initiator: Option<Initiator>,
    pub(crate) accept_list: Vec<Address>,
    pub(crate) resolving_list: Vec<Resolvable>,
    /// The resolving list is in use.
    pub(crate) resolves: bool,
    /// Bit masks of what new links like to send and receive with.
    pub(crate) phys: [u8; 2],
    /// What new links send at most: octets and microseconds.
    pub(crate) length: (u16, u16),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            event_mask: EVENT_MASK,
            le_mask: LE_EVENT_MASK,
            random: [0; 6],
            advertiser: Advertiser::default(),
            scanner: Scanner::default(),
            initiator: None,
            accept_list: Vec::new(),
            resolving_list: Vec::new(),
            resolves: false,
            phys: [0b11; 2],
            length: crate::link::INITIAL_LENGTH,
        }
    }
}

impl Controller {
    pub(crate) fn new(config: ControllerConfig, public: [u8; 6]) -> Self {
        Self { config, public, settings: Settings::default(), to_host: VecDeque::new(), epoch: 0, busy_until: 0 }
    }

    /// As after power-on; what the host was about to hear is gone.
    pub(crate) fn reset(&mut self) {
        let generation = self.settings.advertiser.generation + 1;
        self.settings = Settings::default();
        self.settings.advertiser.generation = generation;
        self.to_host.clear();
        self.epoch += 1;
    }

    /// The address that goes by this number in HCI: 0 public, 1 random.
    pub(crate) const fn own_address(&self, kind: u8) -> Address {
        Address::new(kind, if kind & 1 == 1 { self.settings.random } else { self.public })
    }

    /// Who uses `address`. `None`: a peer that was to use private addresses, and is not to be heard under this one.
    pub(crate) fn resolve(&self, address: Address) -> Option<Sender> {
        let peers = if self.settings.resolves { self.settings.resolving_list.as_slice() } else { &[] };
        if let Some(peer) = peers.iter().find(|peer| peer.made(address)) {
            return Some(Sender { address: peer.identity, resolved: Some(address) });
        }
        let closed = |peer: &Resolvable| peer.identity == address && peer.key != [0; 16] && !peer.open;
        (!peers.iter().any(closed)).then_some(Sender { address, resolved: None })
    }

    /// Whether whoever uses `address` is on the accept list.
    pub(crate) fn accepts(&self, address: Address) -> bool {
        self.resolve(address).is_some_and(|sender| self.settings.accept_list.contains(&sender.address))
    }

    /// Puts a packet into the queue for the host unless the host masked it.
    pub(crate) fn push(&mut self, packet: Packet) {
        let report = packet.subevent() == Some(event::LE_ADVERTISING_REPORT);
        if self.shows(&packet) && !(report && self.to_host.len() >= PATIENCE) {
            self.to_host.push_back(packet);
        }
    }

    fn shows(&self, packet: &Packet) -> bool {
        let bit = |mask: u64, number: u8| mask >> (number - 1) & 1 == 1;
        match (packet.event_code(), packet.subevent()) {
            (Some(event::COMMAND_COMPLETE | event::COMMAND_STATUS | event::COMPLETED_PACKETS) | None, _) => true,
            (Some(code), Some(subevent)) => bit(self.settings.event_mask, code) && bit(self.settings.le_mask, subevent),
            (Some(code), None) => bit(self.settings.event_mask, code),
        }
    }

    pub(crate) fn take_packet(&mut self) -> Option<Packet> {
        self.to_host.pop_front()
    }

    pub(crate) fn has_packet(&self) -> bool {
        !self.to_host.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample data of the Core Specification, Vol 3 Part H, D.7: ah(IRK, 0x708194) is 0x0dfbaa.
    fn peer(open: bool) -> (Controller, Address, Address) {
        let key = 0xec02_34a3_57c8_ad05_3410_10a6_0a39_7d9b_u128.to_le_bytes();
        let identity = Address { random: false, bytes: [1, 2, 3, 4, 5, 6] };
        let mut controller = Controller::new(ControllerConfig::default(), [0; 6]);
        controller.settings.resolving_list.push(Resolvable { identity, key, open });
        (controller, identity, Address { random: true, bytes: [0xaa, 0xfb, 0x0d, 0x94, 0x81, 0x70] })
    }

    #[test]
    fn a_private_address_is_resolved_only_if_asked_for() {
        let (mut controller, identity, private) = peer(false);
        assert_eq!(controller.resolve(private), Some(Sender { address: private, resolved: None }));
        controller.settings.resolves = true;
        assert_eq!(controller.resolve(private), Some(Sender { address: identity, resolved: Some(private) }));
        controller.settings.accept_list.push(identity);
        assert!(controller.accepts(private));
        let mut other = private;
        other.bytes[0] ^= 1;
        assert_eq!(controller.resolve(other), Some(Sender { address: other, resolved: None }));
    }

    #[test]
    fn the_identity_of_a_private_peer_is_heard_in_device_privacy_mode_only() {
        for open in [false, true] {
            let (mut controller, identity, _) = peer(open);
            controller.settings.resolves = true;
            assert_eq!(controller.resolve(identity).is_some(), open);
        }
    }
}
