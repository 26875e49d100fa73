//! Finding a device by its advertisements.

use core::cell::{Cell, RefCell};

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, with_timeout};
use trouble_host::prelude::{EventHandler, LeAdvReportsIter};

use super::Target;
use crate::address::Address;
use crate::bond::BondTable;

/// Devices heard that are counted.
const OTHERS: usize = 32;
/// How much later than a stranger a bonded device of the same name may be heard: some intervals of usual advertising.
const GRACE: Duration = Duration::from_secs(1);

/// Listens to advertising reports for one device.
pub(super) struct Finder<'a> {
    target: Target<'a>,
    bonds: &'a RefCell<BondTable>,
    listening: Cell<bool>,
    bonded: Signal<NoopRawMutex, (Address, i8)>,
    stranger: Signal<NoopRawMutex, (Address, i8)>,
    others: RefCell<heapless::Vec<Address, OTHERS>>,
}

impl<'a> Finder<'a> {
    pub(super) const fn new(target: Target<'a>, bonds: &'a RefCell<BondTable>) -> Self {
        Self {
            target,
            bonds,
            listening: Cell::new(false),
            bonded: Signal::new(),
            stranger: Signal::new(),
            others: RefCell::new(heapless::Vec::new()),
        }
    }

    /// Waits until the device is heard. Anybody can take its name: one that there is a bond with comes first.
    pub(super) async fn heard(&self) -> (Address, i8) {
        self.bonded.reset();
        self.stranger.reset();
        self.listening.set(true);
        let found = match select(self.bonded.wait(), self.stranger.wait()).await {
            Either::First(found) => found,
            Either::Second(found) if self.may_be_another() => {
                with_timeout(GRACE, self.bonded.wait()).await.unwrap_or(found)
            }
            Either::Second(found) => found,
        };
        self.listening.set(false);
        found
    }

    fn may_be_another(&self) -> bool {
        matches!(self.target, Target::Name(_)) && self.bonds.borrow().iter().next().is_some()
    }

    /// How many other devices were heard.
    pub(super) fn others(&self) -> usize {
        self.others.borrow().len()
    }

    fn report(&self, address: Address, data: &[u8], rssi: i8) {
        let is_it = match self.target {
            Target::Address(bytes) => address.bytes() == bytes,
            Target::Name(name) => local_name(data) == Some(name.as_bytes()),
        };
        let mut others = self.others.borrow_mut();
        if is_it {
            others.retain(|other| *other != address);
            let bonded = self.bonds.borrow().of(&address.to_host().into()).is_some();
            (if bonded { &self.bonded } else { &self.stranger }).signal((address, rssi));
        } else if !others.contains(&address) {
            // More than fit are not worth counting.
            let _ = others.push(address);
        }
    }
}

impl EventHandler for Finder<'_> {
    fn on_adv_reports(&self, reports: LeAdvReportsIter<'_>) {
        if self.listening.get() {
            for report in reports.flatten() {
                self.report(Address::from_hci(report.addr_kind, report.addr), report.data, report.rssi);
            }
        }
    }
}

/// The local name in advertising data, complete or shortened (Core Supplement, Part A 1.2).
fn local_name(mut data: &[u8]) -> Option<&[u8]> {
    while let [length, rest @ ..] = data {
        let (structure, next) = rest.split_at_checked(usize::from(*length))?;
        if let [0x08 | 0x09, name @ ..] = structure {
            return Some(name);
        }
        data = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_wherever_it_stands() {
        assert_eq!(local_name(&[2, 1, 6, 5, 9, b'l', b'o', b'c', b'k']), Some(&b"lock"[..]));
        assert_eq!(local_name(&[3, 8, b'l', b'o', 2, 1, 6]), Some(&b"lo"[..]));
        assert_eq!(local_name(&[2, 1, 6]), None);
        assert_eq!(local_name(&[]), None);
    }

    #[test]
    fn cut_advertising_data_has_no_name() {
        assert_eq!(local_name(&[5, 9, b'l', b'o']), None);
        assert_eq!(local_name(&[0, 0, 0]), None);
        assert_eq!(local_name(&[255]), None);
    }
}
