//! Advertising, scanning and connecting (Core Specification Vol 6 Part B, 4.4).

use crate::controller::{Address, AdvertisingKind, Controller, Initiator, Sender};
use crate::hci::{Packet, Status, event};
use crate::link::{End, EndConfig, Link, Parameters, Role};
use crate::medium::{ControllerId, Event, LinkId, Medium};
use crate::observe::Channel;
use crate::phy::{Phy, T_IFS};

/// PDU types on advertising channels.
mod pdu_type {
    pub(super) const ADV_IND: u8 = 0;
    pub(super) const ADV_NONCONN_IND: u8 = 2;
    pub(super) const SCAN_REQ: u8 = 3;
    pub(super) const SCAN_RSP: u8 = 4;
    pub(super) const CONNECT_IND: u8 = 5;
    pub(super) const ADV_SCAN_IND: u8 = 6;
}

/// Microseconds between the end of what happens on one advertising channel and the next one.
const CHANNEL_SWITCH: u64 = 150;
/// The random delay between advertising events, in microseconds.
const ADVERTISING_DELAY: u64 = 10_000;
/// From the end of CONNECT_IND to the earliest first packet of the link, in microseconds.
const TRANSMIT_WINDOW_DELAY: u64 = 1_250;
/// Signal strength of everything everywhere, in dBm.
const RSSI: i8 = -50;
/// As HCI reports a scan response.
const SCAN_RESPONSE: u8 = 4;

const CHANNELS: core::ops::RangeInclusive<u8> = 37..=39;

/// A PDU on an advertising channel: sent by an address, to another one if `to` is given.
fn pdu(kind: u8, from: Address, to: Option<Address>, data: &[u8]) -> Vec<u8> {
    let flags = from.kind() << 6 | to.map_or(0, Address::kind) << 7;
    let mut pdu = vec![kind | flags, 0];
    pdu.extend_from_slice(&from.bytes);
    pdu.extend_from_slice(&to.map_or([0; 6], |to| to.bytes)[..if to.is_some() { 6 } else { 0 }]);
    pdu.extend_from_slice(data);
    pdu[1] = (pdu.len() - 2) as u8;
    pdu
}

/// An advertising report for one device.
fn report(kind: u8, from: Sender, data: &[u8]) -> Packet {
    let event = Packet::le(event::LE_ADVERTISING_REPORT).u8(1).u8(kind).u8(from.kind()).bytes(&from.address.bytes);
    event.u8(data.len() as u8).bytes(data).u8(RSSI.to_le_bytes()[0])
}

impl Medium {
    /// Starts an advertising event at `at`.
    pub(crate) fn schedule_advertising(&mut self, by: ControllerId, at: u64) {
        let Some(advertiser) = self.controllers.get(&by).map(|controller| &controller.settings.advertiser) else {
            return;
        };
        let generation = advertiser.generation;
        if let Some(channel) = CHANNELS.into_iter().find(|channel| advertiser.channels & 1 << (channel - 37) != 0) {
            self.schedule(at, Event::Advertise { by, generation, channel, event: at });
        }
    }

    pub(crate) fn advertise(&mut self, by: ControllerId, generation: u32, channel: u8, event: u64) {
        let Some(controller) = self.controllers.get(&by) else { return };
        let advertiser = &controller.settings.advertiser;
        if !advertiser.enabled || advertiser.generation != generation {
            return;
        }
        let kind = match advertiser.kind {
            AdvertisingKind::ConnectableScannable => pdu_type::ADV_IND,
            AdvertisingKind::Scannable => pdu_type::ADV_SCAN_IND,
            AdvertisingKind::NotConnectable => pdu_type::ADV_NONCONN_IND,
        };
        let pdu = pdu(kind, controller.own_address(advertiser.own_kind), None, &advertiser.data);
        let (lost, end) = self.transmit(self.now, by, Channel::Advertising(channel), Phy::Le1M, &pdu);
        if lost {
            // Nobody hears it; one loss for all receivers keeps the number of dice independent of who listens.
            self.next_channel(by, channel, event, end);
        } else {
            self.schedule(end, Event::Advertised { by, generation, channel, event });
        }
    }

    pub(crate) fn advertised(&mut self, by: ControllerId, generation: u32, channel: u8, event: u64) {
        let Some(controller) = self.controllers.get(&by) else { return };
        let advertiser = &controller.settings.advertiser;
        if !advertiser.enabled || advertiser.generation != generation {
            return;
        }
        let from = controller.own_address(advertiser.own_kind);
        let connectable = advertiser.kind == AdvertisingKind::ConnectableScannable;
        if connectable && let Some(initiator) = self.find_initiator(by, from, channel) {
            return self.connect(initiator, by, channel);
        }
        let end = self.report_to_scanners(by, from, channel);
        self.next_channel(by, channel, event, end);
    }

    /// Goes on with the next channel, or with the next advertising event after the last one.
    fn next_channel(&mut self, by: ControllerId, channel: u8, event: u64, end: u64) {
        let Some(advertiser) = self.controllers.get(&by).map(|controller| &controller.settings.advertiser) else {
            return;
        };
        let (generation, interval) = (advertiser.generation, advertiser.interval);
        let next = (channel + 1..=39).find(|channel| advertiser.channels & 1 << (channel - 37) != 0);
        match next {
            Some(channel) => {
                self.schedule(end + CHANNEL_SWITCH, Event::Advertise { by, generation, channel, event });
            }
            None => {
                let delay = self.dice.below(ADVERTISING_DELAY);
                self.schedule_advertising(by, event + interval + delay);
            }
        }
    }

    fn find_initiator(&self, by: ControllerId, from: Address, channel: u8) -> Option<ControllerId> {
        let advertiser = &self.controllers.get(&by)?;
        let matches = |id: ControllerId, initiator: &Initiator| {
            let Some(controller) = self.controllers.get(&id) else { return false };
            let me = controller.own_address(initiator.own_kind);
            let anybody = advertiser.settings.advertiser.filter & 0b10 == 0;
            let welcome = if anybody { advertiser.resolve(me).is_some() } else { advertiser.accepts(me) };
            welcome && initiator.windows.hears(channel, self.now)
        };
        self.controllers.iter().filter(|(id, _)| **id != by).find_map(|(id, controller)| {
            let initiator = controller.settings.initiator.as_ref()?;
            let sender = controller.resolve(from)?;
            let wanted = initiator.peer.map_or_else(|| controller.accepts(from), |peer| peer == sender.address);
            (wanted && matches(*id, initiator)).then_some(*id)
        })
    }

    /// Tells all that scan, and answers those that ask. Returns when the channel is free again. Requests that would
    /// collide are all answered: the back-off of real scanners is not simulated.
    fn report_to_scanners(&mut self, by: ControllerId, from: Address, channel: u8) -> u64 {
        let mut end = self.now;
        let scanners: Vec<ControllerId> = self.controllers.keys().copied().filter(|id| *id != by).collect();
        for id in scanners {
            let Some(advertiser) = self.controllers.get(&by) else { continue };
            let (kind, listed) = (advertiser.settings.advertiser.kind, advertiser.settings.advertiser.filter & 1 != 0);
            let data = advertiser.settings.advertiser.data.clone();
            let Some(controller) = self.controllers.get_mut(&id) else { continue };
            let known = controller.accepts(from);
            let Some(sender) = controller.resolve(from) else { continue };
            let scanner = &mut controller.settings.scanner;
            let hears = scanner.windows.is_some_and(|windows| windows.hears(channel, self.now));
            if !hears || scanner.listed_only && !known {
                continue;
            }
            let (active, own_kind) = (scanner.active, scanner.own_kind);
            let mut news = |kind| scanner.seen.as_mut().is_none_or(|seen| seen.insert((kind, sender.address)));
            let fresh = news(kind as u8);
            let asks = active && kind != AdvertisingKind::NotConnectable;
            let me = controller.own_address(own_kind);
            if fresh {
                controller.push(report(kind as u8, sender, &data));
            }
            if asks && (!listed || self.controllers.get(&by).is_some_and(|advertiser| advertiser.accepts(me))) {
                end = end.max(self.scan_exchange(id, me, by, from, channel));
            }
        }
        end
    }

    /// SCAN_REQ and SCAN_RSP. Returns when the latter is out.
    fn scan_exchange(&mut self, id: ControllerId, me: Address, by: ControllerId, from: Address, channel: u8) -> u64 {
        let on = Channel::Advertising(channel);
        let request = pdu(pdu_type::SCAN_REQ, me, Some(from), &[]);
        let (lost, end) = self.transmit(self.now + T_IFS, id, on, Phy::Le1M, &request);
        let Some(advertiser) = self.controllers.get(&by).filter(|_| !lost) else { return end };
        let data = advertiser.settings.advertiser.response.clone();
        let response = pdu(pdu_type::SCAN_RSP, from, None, &data);
        let (lost, end) = self.transmit(end + T_IFS, by, on, Phy::Le1M, &response);
        let Some(controller) = self.controllers.get_mut(&id).filter(|_| !lost) else { return end };
        let Some(sender) = controller.resolve(from) else { return end };
        let seen = controller.settings.scanner.seen.as_mut();
        if seen.is_none_or(|seen| seen.insert((SCAN_RESPONSE, sender.address))) {
            self.deliver(end, id, report(SCAN_RESPONSE, sender, &data));
        }
        end
    }

    /// Sends CONNECT_IND from `central` to `peripheral`. If it is lost only the central believes in the link.
    fn connect(&mut self, central: ControllerId, peripheral: ControllerId, channel: u8) {
        let Some(initiator) = self.controllers.get_mut(&central).and_then(|c| c.settings.initiator.take()) else {
            return;
        };
        let Some(from) = self.controllers.get(&central).map(|c| c.own_address(initiator.own_kind)) else { return };
        let Some(to) = self.controllers.get(&peripheral).map(|c| c.own_address(c.settings.advertiser.own_kind)) else {
            return;
        };
        let access_address = (self.dice.next() as u32) | 1;
        let connect = pdu(pdu_type::CONNECT_IND, from, Some(to), &link_data(access_address, initiator.parameters));
        let on = Channel::Advertising(channel);
        let (lost, end) = self.transmit(self.now + T_IFS, central, on, Phy::Le1M, &connect);
        let Some(mine) = self.new_end(central, Role::Central, initiator.parameters) else { return };
        let Some(theirs) = self.new_end(peripheral, Role::Peripheral, initiator.parameters) else { return };
        self.connected(end, &mine, to);
        if !lost {
            self.stop_advertising(peripheral);
            self.connected(end, &theirs, from);
        }
        let anchor = end + TRANSMIT_WINDOW_DELAY;
        let mut link = Link::new([mine, theirs], access_address, anchor);
        if lost {
            link.ends[1] = None;
            self.schedule_advertising(peripheral, end + CHANNEL_SWITCH);
        }
        let id = self.new_link_id();
        self.links.insert(id, link);
        self.schedule(anchor, Event::Link(id));
    }

    pub(crate) fn stop_advertising(&mut self, id: ControllerId) {
        if let Some(controller) = self.controllers.get_mut(&id) {
            controller.settings.advertiser.enabled = false;
            controller.settings.advertiser.generation += 1;
        }
    }

    fn new_end(&self, id: ControllerId, role: Role, parameters: Parameters) -> Option<End> {
        let controller = self.controllers.get(&id)?;
        let used: Vec<u16> = self.ends_of(id).map(|end| end.handle).collect();
        Some(End::new(EndConfig {
            controller: id,
            handle: (FIRST_HANDLE..).find(|handle| !used.contains(handle))?,
            role,
            parameters,
            phys: controller.settings.phys,
            length: controller.settings.length,
            now: self.now,
        }))
    }

    /// The ends of all links of one controller.
    pub(crate) fn ends_of(&self, id: ControllerId) -> impl Iterator<Item = &End> {
        self.links.values().flat_map(|link| link.ends.iter().flatten()).filter(move |end| end.controller == id)
    }

    /// Tells a host of its new link with the device at `address`.
    fn connected(&mut self, at: u64, end: &End, address: Address) {
        let Some(controller) = self.controllers.get(&end.controller) else { return };
        let peer = controller.resolve(address).unwrap_or(Sender { address, resolved: None });
        let event = controller.connection_complete(Status::SUCCESS, end.handle, end.role, peer, end.parameters());
        self.deliver(at, end.controller, event);
    }

    /// Tells an initiator's host that it gave up.
    pub(crate) fn connection_cancelled(&mut self, id: ControllerId) {
        let Some(controller) = self.controllers.get(&id) else { return };
        let nothing = Parameters { interval: 0, latency: 0, timeout: 0 };
        let nobody = Sender { address: Address::default(), resolved: None };
        let why = Status::UNKNOWN_CONNECTION;
        let event = controller.connection_complete(why, 0, Role::Central, nobody, nothing);
        self.deliver(self.now, id, event);
    }

    /// The link of a controller that goes by this handle, and its role there.
    pub(crate) fn find_link(&self, id: ControllerId, handle: u16) -> Option<(LinkId, Role)> {
        self.links.iter().find_map(|(link_id, link)| {
            let end = link.ends.iter().flatten().find(|end| end.controller == id && end.handle == handle)?;
            Some((*link_id, end.role))
        })
    }
}

/// The lowest connection handle. Handles are used again as soon as they are free.
const FIRST_HANDLE: u16 = 0x0040;

/// LLData of CONNECT_IND.
fn link_data(access_address: u32, parameters: Parameters) -> Vec<u8> {
    let mut data = access_address.to_le_bytes().to_vec();
    // CRC initialisation, window size 1, window offset 0.
    data.extend_from_slice(&[0x55, 0x55, 0x55, 1, 0, 0]);
    let Parameters { interval, latency, timeout } = parameters;
    [interval, latency, timeout].iter().for_each(|field| data.extend_from_slice(&field.to_le_bytes()));
    // All 37 data channels, hop 5, sleep clock accuracy 251 to 500 ppm.
    data.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x1f, 5]);
    data
}

impl Controller {
    /// Whichever of the two events its host wants to see.
    fn connection_complete(
        &self,
        status: Status,
        handle: u16,
        role: Role,
        peer: Sender,
        parameters: Parameters,
    ) -> Packet {
        let enhanced = self.settings.le_mask & 1 << (event::LE_ENHANCED_CONNECTION_COMPLETE - 1) != 0;
        let code = if enhanced { event::LE_ENHANCED_CONNECTION_COMPLETE } else { event::LE_CONNECTION_COMPLETE };
        let event = Packet::le(code).status(status).u16(handle).u8(role.number());
        // The older event cannot say that an address is an identity.
        let event = event.u8(if enhanced { peer.kind() } else { peer.address.kind() }).bytes(&peer.address.bytes);
        let private = peer.resolved.map_or([0; 6], |address| address.bytes);
        // The local private address is not used.
        let event = if enhanced { event.bytes(&[0; 6]).bytes(&private) } else { event };
        let Parameters { interval, latency, timeout } = parameters;
        event.u16(interval).u16(latency).u16(timeout).u8(0)
    }
}
