//! The application as the handler of a Bluetooth peripheral.

use crate::{App, Board};
use core::cell::RefCell;
use otaru_ble::peripheral::{Event, FrameHandler, Link as BleLink};
use otaru_ble::{Access, Security};
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
        self.centrals.seen(link.connection);
        let mut request = request;
        self.handle_next(&Link::ble(link.connection, level, link.bonded), &mut request, answer).await
    }

    fn answered(&self, _link: &BleLink) {
        Self::answered(self);
    }
}

impl<F: AsyncFlash, K: TrustedKeys, B: Board> App<'_, F, K, B> {
    /// To be told what happens on Bluetooth: an upload whose central is gone may be replaced by others.
    pub fn ble_event(&self, event: &Event) {
        match event {
            Event::Disconnected { connection, .. } => self.centrals.gone(Some(*connection)),
            Event::Restarted => self.centrals.gone(None),
            _ => {}
        }
    }
}

/// Connections over which a request came, until the server knows that they are gone. One more than there can be: the
/// last to go may not be told of yet.
pub(crate) struct Centrals(RefCell<heapless::Vec<Central, { otaru_ble::peripheral::CONNECTIONS + 1 }>>);

#[derive(Clone, Copy)]
struct Central {
    connection: u32,
    gone: bool,
}

impl Centrals {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(heapless::Vec::new()))
    }

    pub(crate) fn seen(&self, connection: u32) {
        let mut list = self.0.borrow_mut();
        if list.iter().any(|central| central.connection == connection) {
            return;
        }
        if list.is_full() {
            list.remove(0);
        }
        // There is room now.
        let _ = list.push(Central { connection, gone: false });
    }

    /// Marks a connection, or all of them.
    pub(crate) fn gone(&self, connection: Option<u32>) {
        let mut list = self.0.borrow_mut();
        let meant = |central: &&mut Central| connection.is_none_or(|one| one == central.connection);
        list.iter_mut().filter(meant).for_each(|central| central.gone = true);
    }

    /// Gives each connection that is gone to `each`.
    pub(crate) fn each_gone(&self, each: impl FnMut(u32)) {
        let list = self.0.borrow();
        list.iter().filter(|central| central.gone).map(|central| central.connection).for_each(each);
    }

    /// The same, for the last time.
    pub(crate) fn take_gone(&self, each: impl FnMut(u32)) {
        self.each_gone(each);
        self.0.borrow_mut().retain(|central| !central.gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn gone(centrals: &Centrals) -> Vec<u32> {
        let mut all = Vec::new();
        centrals.take_gone(|connection| all.push(connection));
        all
    }

    #[test]
    fn a_connection_that_is_gone_is_told_once_and_only_if_it_asked_for_something() {
        let centrals = Centrals::new();
        centrals.seen(1);
        centrals.seen(1);
        centrals.seen(2);
        centrals.gone(Some(7));
        assert_eq!(gone(&centrals), []);
        centrals.gone(Some(1));
        assert_eq!(gone(&centrals), [1]);
        assert_eq!(gone(&centrals), []);
        centrals.gone(None);
        assert_eq!(gone(&centrals), [2]);
    }

    #[test]
    fn the_characteristic_asks_for_what_the_policy_needs_at_least() {
        use otaru_policy::Access as Rules;
        let with = |rules| ble_access(&Policy::deny_all().with(Transport::Ble, rules));
        assert_eq!(with(Rules::open()), Access::Open);
        assert_eq!(with(Rules::encrypted()), Access::Encrypted);
        assert_eq!(with(Rules::authenticated()), Access::Authenticated);
        assert_eq!(with(Rules::nothing()), Access::Authenticated);
        assert_eq!(ble_access(&Policy::deny_all()), Access::Authenticated);
    }
}
