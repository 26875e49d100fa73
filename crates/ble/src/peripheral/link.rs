//! One link, from connection to disconnection.

use core::cell::{Cell, RefCell};
use core::ops::ControlFlow;

use bt_hci::cmd::link_control::Disconnect;
use bt_hci::param::DisconnectReason;
use embassy_futures::join::join;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use otaru_smp::{Header, Rc, Reassembler, ReassemblyError};
use trouble_host::PacketPool;
use trouble_host::att::{AttClient, AttReq};
use trouble_host::prelude::{AttErrorCode, Connection, GattConnection, GattConnectionEvent, GattEvent, SecurityLevel};
use trouble_host::{BondInformation, Error};

use super::outbox::Refusal;
use super::{BadFragment, Device, Event, Link};
use crate::address::Address;
use crate::link_layer::{self, HciController, Tuning, megabits, transfer_parameters};
use crate::security::{PairingError, Passkey, Security};

/// Which connection of which slot: an answer goes there or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) slot: usize,
    pub(super) peer: Address,
    connection: u32,
}

impl Ticket {
    pub(super) const NONE: Self =
        Self { slot: usize::MAX, peer: Address::new(crate::AddressKind::Public, [0; 6]), connection: 0 };
}

/// Place of one link.
pub(super) struct Slot<'s, P: PacketPool> {
    connection: RefCell<Option<Connection<'s, P>>>,
    /// The connection's number.
    number: Cell<u32>,
    /// The peer asked for notifications.
    pub(super) subscribed: Cell<bool>,
    /// Held while an answer goes out.
    pub(super) turn: Mutex<NoopRawMutex, ()>,
}

impl<'s, P: PacketPool> Slot<'s, P> {
    pub(super) const fn new() -> Self {
        Self {
            connection: RefCell::new(None),
            number: Cell::new(0),
            subscribed: Cell::new(false),
            turn: Mutex::new(()),
        }
    }

    fn open(&self, connection: Connection<'s, P>, number: u32) {
        self.number.set(number);
        self.subscribed.set(false);
        self.connection.replace(Some(connection));
    }

    fn close(&self) {
        self.subscribed.set(false);
        self.connection.replace(None);
    }

    /// The connection a ticket is of, while it lasts.
    pub(super) fn connection(&self, ticket: Ticket) -> Option<Connection<'s, P>> {
        let connection = self.connection.borrow();
        let same = self.number.get() == ticket.connection;
        connection.as_ref().filter(|connection| same && connection.is_connected()).cloned()
    }
}

/// Where a link is in its life.
struct Progressing {
    ticket: Ticket,
    /// A passkey is on the display.
    pairing: bool,
    /// When the rest of a request must have come.
    reassembly: Option<Instant>,
    /// When the link must be secured.
    securing: Instant,
    /// When the link is looked at next.
    look: Instant,
    /// Found disconnected without having been told.
    silent: bool,
}

impl<'s, C, P, E, const FRAME: usize> Device<'s, '_, '_, C, P, E, FRAME>
where
    C: HciController,
    P: PacketPool,
    E: Fn(Event),
{
    /// The link a ticket is of, as the handler sees it.
    pub(super) fn link_of(&self, ticket: Ticket) -> Option<Link> {
        let connection = self.slots.get(ticket.slot)?.connection(ticket)?;
        let security = Security::from_host(connection.security_level().ok()?);
        Some(Link {
            peer: Address::from_host(connection.peer_address()),
            security,
            bonded: self.lasting.is_by_bond(&connection.peer_identity(), security),
            connection: ticket.connection,
        })
    }

    /// Serves one connection until it ends.
    pub(super) async fn link(&self, index: usize, connection: Connection<'s, P>, reassembler: &mut Reassembler<FRAME>) {
        let Some(slot) = self.slots.get(index) else { return };
        let peer = Address::from_host(connection.peer_address());
        let number = self.lasting.next_connection();
        (self.events)(Event::Connected { peer, connection: number });
        // Fails only if the link is gone already, which the loop below finds out.
        let _ = connection.set_bondable(true);
        slot.open(connection.clone(), number);
        let ticket = Ticket { slot: index, peer, connection: number };
        if let Ok(gatt) = connection.clone().with_attribute_server(self.server) {
            slot.subscribed.set(self.characteristic.should_notify(&gatt));
            let ended = Signal::<NoopRawMutex, ()>::new();
            let following = async {
                self.follow(ticket, slot, gatt, reassembler).await;
                ended.signal(());
            };
            join(following, self.tune(&connection, &ended)).await;
        }
        slot.close();
    }

    /// Asks for what makes a transfer fast.
    async fn tune(&self, connection: &Connection<'s, P>, ended: &Signal<NoopRawMutex, ()>) {
        link_layer::widen(self.stack, connection).await;
        let (shortest, longest) = self.config.interval;
        // Discovery and pairing first: a change of interval takes several events of the old one.
        let still_there = with_timeout(TUNE_PAUSE, ended.wait()).await.is_err();
        if still_there && connection.params().conn_interval > longest {
            let parameters = transfer_parameters(shortest, longest);
            // A central that will not is a slow one.
            let _ = connection.update_connection_params(self.stack, &parameters).await;
        }
    }

    async fn follow(
        &self,
        ticket: Ticket,
        slot: &Slot<'s, P>,
        gatt: GattConnection<'s, '_, P>,
        reassembler: &mut Reassembler<FRAME>,
    ) {
        // Owned: dropped with the link, or it would take the subscription of the peer's next connection along.
        let gatt = &gatt;
        let mut state = Progressing {
            ticket,
            pairing: false,
            reassembly: None,
            securing: Instant::now().saturating_add(self.config.securing_timeout),
            look: Instant::now().saturating_add(LOOK_PAUSE),
            silent: false,
        };
        loop {
            let wake = state.reassembly.map_or(state.look, |deadline| deadline.min(state.look));
            let flow = match select(gatt.next(), Timer::at(wake)).await {
                Either::First(GattConnectionEvent::Gatt { event }) => {
                    self.attribute(&mut state, slot, gatt, reassembler, event).await;
                    ControlFlow::Continue(())
                }
                Either::First(event) => self.connection_event(&mut state, gatt, event).await,
                Either::Second(()) => self.look(&mut state, gatt, reassembler),
            };
            if let ControlFlow::Break(reason) = flow {
                self.ended(&state, gatt, reason);
                return;
            }
        }
    }

    /// What time brings: a request that stopped, a link that is not secured, packets that were dropped, or a
    /// disconnection that nobody told of.
    fn look(
        &self,
        state: &mut Progressing,
        gatt: &GattConnection<'s, '_, P>,
        reassembler: &mut Reassembler<FRAME>,
    ) -> ControlFlow<u8> {
        let (now, peer) = (Instant::now(), state.ticket.peer);
        state.look = now.saturating_add(LOOK_PAUSE);
        if state.reassembly.is_some_and(|deadline| deadline <= now) {
            state.reassembly = None;
            reassembler.reset();
            (self.events)(Event::BadFragment { peer, problem: BadFragment::TimedOut });
        }
        self.count_dropped();
        let connection = gatt.raw();
        if !connection.is_connected() {
            // The event queue was full when the link ended: the event is lost, the fact is not.
            return if core::mem::replace(&mut state.silent, true) {
                ControlFlow::Break(0x1f)
            } else {
                ControlFlow::Continue(())
            };
        }
        if self.security(gatt) >= self.config.access.required() {
            state.securing = now.saturating_add(self.config.securing_timeout);
        } else if state.securing <= now {
            (self.events)(Event::UnsecuredClosed { peer });
            connection.disconnect();
        }
        ControlFlow::Continue(())
    }

    fn security(&self, gatt: &GattConnection<'s, '_, P>) -> Security {
        gatt.raw().security_level().map_or(Security::None, Security::from_host)
    }

    fn count_dropped(&self) {
        let count = self.stack.metrics(|metrics| metrics.rx_errors);
        let count = self.watch.stopped().max(count);
        let before = self.dropped.replace(count);
        if count > before {
            (self.events)(Event::PacketsDropped { count: count.saturating_sub(before) });
        }
    }

    fn ended(&self, state: &Progressing, gatt: &GattConnection<'s, '_, P>, reason: u8) {
        let peer = state.ticket.peer;
        if state.pairing {
            // Whoever leaves while a passkey is shown may have learnt a bit of it.
            self.pairing_failed(peer, PairingError::LinkLost);
        }
        self.lasting.restore_one(self.stack, &gatt.raw().peer_identity());
        self.count_dropped();
        (self.events)(Event::Disconnected { peer, connection: state.ticket.connection, reason });
    }

    fn pairing_failed(&self, peer: Address, error: PairingError) {
        let rest = self.lasting.failed();
        (self.events)(Event::PairingFailed { peer, error, rest });
    }

    async fn connection_event(
        &self,
        state: &mut Progressing,
        gatt: &GattConnection<'s, '_, P>,
        event: GattConnectionEvent<'s, '_, P>,
    ) -> ControlFlow<u8> {
        let peer = state.ticket.peer;
        let tuned = |tuning| (self.events)(Event::Tuned(tuning));
        match event {
            GattConnectionEvent::Disconnected { reason } => return ControlFlow::Break(reason.into_inner()),
            GattConnectionEvent::ConnectionParamsUpdated { conn_interval, .. } => {
                tuned(Tuning::Interval(conn_interval))
            }
            GattConnectionEvent::DataLengthUpdated { max_tx_octets, max_rx_octets, .. } => {
                tuned(Tuning::DataLength { transmit: max_tx_octets, receive: max_rx_octets });
            }
            GattConnectionEvent::PhyUpdated { tx_phy, .. } => tuned(Tuning::Phy(megabits(tx_phy))),
            GattConnectionEvent::PassKeyDisplay(passkey) => self.show(state, gatt, passkey.value()).await,
            GattConnectionEvent::PairingComplete { security_level, bond } => {
                state.pairing = false;
                self.paired(peer, gatt, security_level, bond.as_ref());
            }
            GattConnectionEvent::PairingFailed(error) => {
                if core::mem::take(&mut state.pairing) {
                    self.pairing_failed(peer, PairingError::from_host(&error));
                } else {
                    self.pairing_failed_early(peer, &error);
                }
                self.lasting.restore_one(self.stack, &gatt.raw().peer_identity());
            }
            GattConnectionEvent::Encrypted { security_level, bond } => {
                let security = Security::from_host(security_level);
                (self.events)(Event::Secured { peer, security, bonded: bond.is_some() });
            }
            // A peer that claims out-of-band data of this device would keep everybody else from pairing for 30 s.
            GattConnectionEvent::OobRequest => gatt.raw().disconnect(),
            // Requests that only a central gets, and what this device never offers.
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// A pairing with a passkey begins.
    async fn show(&self, state: &mut Progressing, gatt: &GattConnection<'s, '_, P>, passkey: u32) {
        let peer = state.ticket.peer;
        if let Some(rest) = self.lasting.rest() {
            (self.events)(Event::PairingRefused { peer, rest });
            // trouble-host has no way to say 'repeated attempts': the link goes instead.
            let command = Disconnect::new(gatt.raw().handle(), DisconnectReason::AuthenticationFailure);
            if self.stack.command(command).await.is_err() {
                gatt.raw().disconnect();
            }
            return;
        }
        state.pairing = true;
        state.securing = Instant::now().saturating_add(self.config.securing_timeout);
        if let Some(passkey) = Passkey::new(passkey) {
            (self.events)(Event::Passkey { peer, passkey, fixed: self.config.fixed_passkey.is_some() });
        }
    }

    fn paired(
        &self,
        peer: Address,
        gatt: &GattConnection<'s, '_, P>,
        level: SecurityLevel,
        bond: Option<&BondInformation>,
    ) {
        let security = Security::from_host(level);
        if security < self.config.access.required() {
            (self.events)(Event::PairedTooWeakly { peer, security });
        } else {
            let bonded = bond.is_some_and(|bond| self.lasting.admit(bond, self.events));
            (self.events)(Event::Paired { peer, security, bonded });
        }
        if security == Security::Authenticated {
            self.lasting.succeeded();
        }
        // What was not remembered, trouble-host must forget as well.
        let identity = bond.map_or_else(|| gatt.raw().peer_identity(), |bond| bond.identity);
        self.lasting.restore_one(self.stack, &identity);
    }

    /// A pairing that ended before a passkey was shown tells an attacker nothing.
    fn pairing_failed_early(&self, peer: Address, error: &Error) {
        let rest = self.lasting.rest().unwrap_or(Duration::MIN);
        (self.events)(Event::PairingFailed { peer, error: PairingError::from_host(error), rest });
    }

    async fn attribute(
        &self,
        state: &mut Progressing,
        slot: &Slot<'s, P>,
        gatt: &GattConnection<'s, '_, P>,
        reassembler: &mut Reassembler<FRAME>,
        event: GattEvent<'s, '_, P>,
    ) {
        // A reply needs a packet. If none is free, some are on their way out and will be.
        while P::allocate().is_none() && gatt.raw().is_connected() {
            Timer::after(PACKET_PAUSE).await;
        }
        let reply = match event {
            GattEvent::Write(write) if write.handle() == self.characteristic.handle => {
                write.with_data(|_, fragment| self.receive(state, reassembler, fragment));
                write.accept_unprocessed()
            }
            GattEvent::NotAllowed(refused) => {
                let peer = state.ticket.peer;
                (self.events)(Event::AccessRefused { peer, security: self.security(gatt) });
                if matches!(refused.payload().incoming(), AttClient::Command(_)) {
                    // A command has no answer, not even an error (Core, Vol 3 Part F 3.4.5.3).
                    drop(refused.into_payload());
                    return;
                }
                refused.accept()
            }
            GattEvent::Other(other)
                if matches!(other.payload().incoming(), AttClient::Request(AttReq::ReadMultiple { .. })) =>
            {
                other.reject(AttErrorCode::REQUEST_NOT_SUPPORTED)
            }
            event => event.accept(),
        };
        slot.subscribed.set(self.characteristic.should_notify(gatt));
        if let Ok(reply) = reply {
            reply.send().await;
        }
    }

    /// A piece of a request came.
    fn receive(&self, state: &mut Progressing, reassembler: &mut Reassembler<FRAME>, fragment: &[u8]) {
        let (ticket, peer) = (state.ticket, state.ticket.peer);
        let refusal = match reassembler.push(fragment) {
            Ok(None) => None,
            Ok(Some(frame)) if self.requests.put(ticket, frame) => None,
            Ok(Some(frame)) => {
                (self.events)(Event::Busy { peer });
                Header::parse(frame).map(|header| Refusal::new(ticket, &header, Rc::NO_MEMORY))
            }
            Err(error) => {
                (self.events)(Event::BadFragment { peer, problem: BadFragment::Reassembly(error) });
                match error {
                    ReassemblyError::TooLong { header, .. } => Some(Refusal::new(ticket, &header, Rc::MESSAGE_SIZE)),
                    _ => None,
                }
            }
        };
        state.reassembly = reassembler.is_busy().then(|| Instant::now().saturating_add(self.config.reassembly_timeout));
        if let Some(refusal) = refusal
            && self.refusals.try_send(refusal).is_err()
        {
            (self.events)(Event::AnswerLost { peer, cause: super::AnswerLost::PeerGone });
        }
    }
}

/// How often a link that says nothing is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait for a packet.
const PACKET_PAUSE: Duration = Duration::from_millis(2);
/// How long the first exchanges of a link may take before its interval is changed.
const TUNE_PAUSE: Duration = Duration::from_secs(1);
