//! Connection events: when the ends of a link meet, and what they say (Core Specification Vol 6 Part B, 4.5).
//!
//! A lost packet ends its event: both sides meet again at the next anchor and the sender sends again. That is how a
//! packet behaves whose beginning was missed; one that only fails its CRC could be answered, which real links do better.

use crate::hci::{Packet, Status, event};
use crate::link::{Context, Link, OnAir, Role, Step};
use crate::medium::{ControllerId, Event, LinkId, Medium};
use crate::observe::Channel;
use crate::phy::T_IFS;

impl Medium {
    pub(crate) fn link_step(&mut self, id: LinkId) {
        let Some(step) = self.links.get(&id).map(|link| link.step) else { return };
        match step {
            Step::Anchor => self.anchor(id),
            Step::CentralSends => self.send(id, Role::Central, self.now),
            Step::PeripheralHears => self.peripheral_hears(id),
            Step::CentralHears => self.central_hears(id),
        }
    }

    /// A connection event begins, if both are there and their radios are free.
    fn anchor(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.counter = link.counter.wrapping_add(1);
        link.exchanges = 0;
        for role in [Role::Central, Role::Peripheral] {
            let interval = self.with_end(id, role, |end, cx| end.begin_event(cx)).flatten();
            if let (Some(interval), Some(link)) = (interval, self.links.get_mut(&id)) {
                link.interval = interval;
            }
        }
        let Some(link) = self.links.get(&id) else { return };
        let alone = link.ends.iter().any(Option::is_none);
        let yields = !alone && self.must_yield(id, link);
        let Some(link) = self.links.get_mut(&id) else { return };
        if alone || yields {
            link.missed += u32::from(yields);
            return self.close_event(id);
        }
        link.missed = 0;
        self.stats.events += 1;
        self.send(id, Role::Central, self.now);
    }

    /// Whether a radio is in use by another link, or another link has missed more events and comes right after.
    fn must_yield(&self, id: LinkId, link: &Link) -> bool {
        let busy = |id: &ControllerId| self.controllers.get(id).is_some_and(|c| c.busy_until > self.now);
        let end = self.now + link.exchange_time() + T_IFS;
        let urgent = |other: &Link| (self.now..end).contains(&other.anchor) && other.missed > link.missed;
        controllers(link).any(|id| busy(&id)) || self.rivals(id).any(urgent)
    }

    /// The other links of a link's controllers.
    fn rivals(&self, id: LinkId) -> impl Iterator<Item = &Link> {
        let mine: Vec<ControllerId> = self.links.get(&id).into_iter().flat_map(controllers).collect();
        let shared = move |link: &Link| controllers(link).any(|id| mine.contains(&id));
        self.links.iter().filter(move |(other, link)| **other != id && shared(link)).map(|(_, link)| link)
    }

    /// `role` sends what it has at `at`.
    fn send(&mut self, id: LinkId, role: Role, at: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (phy, access_address) = (link.phy(role), link.access_address);
        let busy = link.exchange_time();
        let Some((pdu, from)) = link.end_mut(role).map(|end| (end.next_pdu(), end.controller)) else {
            return self.close_event(id);
        };
        let (lost, end) = self.transmit(at, from, Channel::Link { access_address }, phy, &pdu);
        let Some(link) = self.links.get_mut(&id) else { return };
        let involved: Vec<ControllerId> = controllers(link).collect();
        link.on_air = OnAir { pdu, lost };
        if role == Role::Central {
            link.central_more = link.on_air.more_data();
            link.exchanges += 1;
            link.step = Step::PeripheralHears;
        } else {
            link.step = Step::CentralHears;
        }
        for controller in involved {
            if let Some(controller) = self.controllers.get_mut(&controller).filter(|_| role == Role::Central) {
                controller.busy_until = at + busy;
            }
        }
        self.schedule(end, Event::Link(id));
        // Acknowledging the end of a link is the last that an end does.
        self.settle(id);
    }

    fn peripheral_hears(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let packet = core::mem::take(&mut link.on_air);
        if packet.lost || self.hear(id, Role::Peripheral, &packet.pdu).is_none() {
            return self.close_event(id);
        }
        self.send(id, Role::Peripheral, self.now + T_IFS);
    }

    fn central_hears(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let packet = core::mem::take(&mut link.on_air);
        let more = link.central_more || packet.more_data();
        if packet.lost || self.hear(id, Role::Central, &packet.pdu).is_none() || !more || !self.fits(id) {
            return self.close_event(id);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.step = Step::CentralSends;
        self.schedule(self.now + T_IFS, Event::Link(id));
    }

    /// Whether another exchange ends before the radios are needed elsewhere. The central knows what the peripheral has
    /// to send: real ones guess.
    fn fits(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        let others = self.rivals(id).map(|link| link.anchor).filter(|anchor| *anchor > self.now);
        let limit = others.chain([link.anchor + link.interval]).min().unwrap_or(u64::MAX);
        let end = self.now + T_IFS + link.exchange_time() + T_IFS;
        link.exchanges < self.config.max_exchanges && end <= limit
    }

    /// Gives a packet to an end. `None` if that end is gone, perhaps by this.
    fn hear(&mut self, id: LinkId, role: Role, pdu: &[u8]) -> Option<()> {
        self.with_end(id, role, |end, cx| end.receive(pdu, cx))?;
        self.links.get(&id)?.end(role).map(|_| ())
    }

    fn close_event(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.step = Step::Anchor;
        link.anchor += link.interval;
        let at = link.anchor;
        self.schedule(at, Event::Link(id));
    }

    /// Lets an end act and passes on what it has to say.
    pub(crate) fn with_end<T>(
        &mut self,
        id: LinkId,
        role: Role,
        act: impl FnOnce(&mut crate::link::End, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let link = self.links.get_mut(&id)?;
        let counter = link.counter;
        let end = link.end_mut(role)?;
        let le_mask = self.controllers.get(&end.controller).map_or(0, |controller| controller.settings.le_mask);
        let result = act(end, &mut Context { now: self.now, counter, secrets: &mut self.secrets, le_mask });
        self.settle(id);
        Some(result)
    }

    /// Passes on what the ends of a link have to tell their hosts, and removes those that are done.
    pub(crate) fn settle(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        for slot in &mut link.ends {
            let Some(end) = slot else { continue };
            self.stats.count(end.role, end.take_counts());
            let Some(controller) = self.controllers.get_mut(&end.controller) else { continue };
            end.take_outbox().into_iter().for_each(|packet| controller.push(packet));
            if let Some(reason) = end.closed() {
                self.stats.mic_failures += u64::from(reason == Status::MIC_FAILURE);
                let event = Packet::event(event::DISCONNECTION_COMPLETE).status(Status::SUCCESS);
                controller.push(event.u16(end.handle).status(reason));
                *slot = None;
            }
        }
        if link.ends.iter().all(Option::is_none) {
            self.links.remove(&id);
        }
    }

    /// Lets go of a controller's links without a word: the other ends will wait in vain.
    pub(crate) fn drop_links(&mut self, id: ControllerId) {
        for link in self.links.values_mut() {
            for slot in &mut link.ends {
                *slot = slot.take().filter(|end| end.controller != id);
            }
        }
        self.links.retain(|_, link| link.ends.iter().any(Option::is_some));
    }
}

fn controllers(link: &Link) -> impl Iterator<Item = ControllerId> {
    link.ends.iter().flatten().map(|end| end.controller)
}
