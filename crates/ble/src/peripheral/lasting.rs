//! What outlives connections, and restarts of the stack: bonds, patience with pairing, and numbers of connections.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, Instant};
use trouble_host::{BondInformation, Controller, Identity, PacketPool, Stack};

use super::Event;
use crate::address::Address;
use crate::backoff::Backoff;
use crate::bond::{Admission, BondRecord, BondStore, BondTable};
use crate::security::Security;

/// A change the store has not seen yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Save(BondRecord),
    Remove(Address),
}

/// What outlives connections, and restarts of the stack.
pub(super) struct Lasting {
    bonds: RefCell<BondTable>,
    backoff: Cell<Backoff>,
    changes: Channel<NoopRawMutex, Change, 8>,
    connections: Cell<u32>,
}

impl Lasting {
    pub(super) const fn new() -> Self {
        Self {
            bonds: RefCell::new(BondTable::new()),
            backoff: Cell::new(Backoff::new()),
            changes: Channel::new(),
            connections: Cell::new(0),
        }
    }

    pub(super) async fn load<B: BondStore>(&self, store: &B) -> Result<(), B::Error> {
        let mut found = BondTable::new();
        let mut each = |record| {
            found.admit(record);
        };
        let result = store.load(&mut each).await;
        self.bonds.replace(found);
        result
    }

    /// Carries changes into the store, however long that takes, while links go on.
    pub(super) async fn keep<B: BondStore>(&self, store: &B, events: &impl Fn(Event)) -> Infallible {
        loop {
            let result = match self.changes.receive().await {
                Change::Save(record) => store.save(&record).await,
                Change::Remove(peer) => store.remove(&peer).await,
            };
            if result.is_err() {
                events(Event::BondStoreFailed);
            }
        }
    }

    /// Makes trouble-host's bonds the ones in force.
    pub(super) fn restore<C: Controller, P: PacketPool>(&self, stack: &Stack<'_, C, P>) {
        for record in self.bonds.borrow().iter() {
            // There is room for more than can be kept.
            let _ = stack.add_bond_information(record.to_host());
        }
    }

    /// Makes trouble-host's bond with one peer the one in force again, whatever its pairing left there.
    pub(super) fn restore_one<C: Controller, P: PacketPool>(&self, stack: &Stack<'_, C, P>, peer: &Identity) {
        match self.bonds.borrow().of(peer) {
            Some(record) => {
                let record = record.to_host();
                let intact = stack.with_bond_information(|bonds| bonds.contains(&record));
                if !intact {
                    let _ = stack.add_bond_information(record);
                }
            }
            None => {
                let _ = stack.remove_bond_information(*peer);
            }
        }
    }

    /// Whether a link to `peer` that is worth `security` can be by the bond there is with it. An address is no evidence.
    pub(super) fn is_by_bond(&self, peer: &Identity, security: Security) -> bool {
        let bonds = self.bonds.borrow();
        security > Security::None && bonds.of(peer).is_some_and(|bond| security >= bond.security)
    }

    /// Takes in the bond of a pairing that may be remembered.
    pub(super) fn admit(&self, bond: &BondInformation, events: &impl Fn(Event)) -> bool {
        let record = BondRecord::from_host(bond);
        let admission = self.bonds.borrow_mut().admit(record);
        match admission {
            Admission::KnownBetter => {
                events(Event::StrongerBondKept { peer: record.peer });
                return false;
            }
            Admission::Kept { instead_of: Some(old) } => {
                events(Event::BondEvicted { peer: old.peer });
                self.change(Change::Remove(old.peer), events);
            }
            Admission::Kept { instead_of: None } => {}
        }
        self.change(Change::Save(record), events);
        true
    }

    fn change(&self, change: Change, events: &impl Fn(Event)) {
        if self.changes.try_send(change).is_err() {
            events(Event::BondStoreFailed);
        }
    }

    /// A number for a connection that none had before.
    pub(super) fn next_connection(&self) -> u32 {
        let number = self.connections.get().wrapping_add(1);
        self.connections.set(number);
        number
    }

    /// What is left of the rest after a failed pairing.
    pub(super) fn rest(&self) -> Option<Duration> {
        self.backoff.get().rest(Instant::now())
    }

    pub(super) fn failed(&self) -> Duration {
        let mut backoff = self.backoff.get();
        let rest = backoff.failed(Instant::now());
        self.backoff.set(backoff);
        rest
    }

    pub(super) fn succeeded(&self) {
        let mut backoff = self.backoff.get();
        backoff.succeeded();
        self.backoff.set(backoff);
    }
}
