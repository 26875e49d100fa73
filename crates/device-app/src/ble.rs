//! The application as the handler of a Bluetooth peripheral.

use crate::{App, Board};
use core::cell::RefCell;
use otaru_ble::peripheral::{Event, FrameHandler, Link as BleLink};
use otaru_ble::{Access, Address, Security};
use otaru_crypto::TrustedKeys;
use otaru_flash::AsyncFlash;
use otaru_policy::{Link, Policy, SecurityLevel, Transport};

/// What the SMP characteristic is to ask of a link, so that whoever gets past it may at least do something by `policy`.
#[must_use]
pub fn ble_access(policy: &Policy) -> Access {
    match policy.access(Transport::Ble).and_then(otaru_policy::Access::entry_level) {
        Some(SecurityLevel::L1) => Access::Open,
        Some(SecurityLevel::L2) => Access::Encrypted,
        Some(SecurityLevel::L3 | SecurityLevel::L4) | None => Access::Authenticated,
    }
}

impl<F: AsyncFlash, K: TrustedKeys, B: Board> FrameHandler for App<'_, F, K, B> {
    async fn handle(&self, link: &BleLink, request: &[u8], answer: &mut [u8]) -> Option<usize> {
        let level = match link.security {
            Security::None => SecurityLevel::L1,
            Security::Encrypted => SecurityLevel::L2,
            Security::Authenticated => SecurityLevel::L4,
        };
        let connection = self.centrals.number(link);
        let mut request = request;
        self.handle_next(&Link::ble(connection, level, link.bonded), &mut request, answer).await
    }

    fn answered(&self, _link: &BleLink) {
        Self::answered(self);
    }
}

impl<F: AsyncFlash, K: TrustedKeys, B: Board> App<'_, F, K, B> {
    /// To be told what happens on Bluetooth: an upload whose central is gone may be replaced by others.
    pub fn ble_event(&self, event: &Event) {
        match event {
            Event::Disconnected { peer, .. } => self.centrals.gone(|central| central.peer == *peer),
            Event::Restarted => self.centrals.gone(|_| true),
            _ => {}
        }
    }
}

/// Centrals that have sent a request, by connection. One more than there can be: one may be gone and not cleared away.
pub(crate) struct Centrals(RefCell<Known>);

struct Known {
    list: heapless::Vec<Central, { otaru_ble::peripheral::CONNECTIONS + 1 }>,
    next: u16,
}

/// A connection of a central.
#[derive(Clone, Copy)]
struct Central {
    peer: Address,
    connection: u32,
    /// Its number for the server, never one that another connection had lately.
    number: u16,
    gone: bool,
}

impl Centrals {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Known { list: heapless::Vec::new(), next: 0 }))
    }

    /// The number of a connection.
    fn number(&self, link: &BleLink) -> u16 {
        let mut known = self.0.borrow_mut();
        let is =
            |central: &&Central| !central.gone && (central.peer, central.connection) == (link.peer, link.connection);
        if let Some(central) = known.list.iter().find(is) {
            return central.number;
        }
        let number = known.next;
        known.next = number.wrapping_add(1);
        if known.list.is_full() {
            known.list.remove(0);
        }
        // There is room now.
        let _ = known.list.push(Central { peer: link.peer, connection: link.connection, number, gone: false });
        number
    }

    fn gone(&self, which: impl Fn(&Central) -> bool) {
        let mut known = self.0.borrow_mut();
        known.list.iter_mut().filter(|central| which(central)).for_each(|central| central.gone = true);
    }

    /// Gives the numbers of connections that are gone to `each`, once.
    pub(crate) fn take_gone(&self, mut each: impl FnMut(u16)) {
        self.0.borrow_mut().list.retain(|central| {
            if central.gone {
                each(central.number);
            }
            !central.gone
        });
    }
}
