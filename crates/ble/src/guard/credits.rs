//! The controller's buffers for data from the host.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

use bt_hci::event::EventKind;
use bt_hci::param::ConnHandle;
use embassy_sync::waitqueue::WakerRegistration;

/// Links that are counted; more than there can be.
const LINKS: usize = 8;

/// How many buffers there are, and how many each link has in use.
///
/// They are shared by all links (Core, Vol 4 Part E 4.1.1), but trouble-host gives every link as many credits as there are
/// buffers in all: with two links busy, the controller gets more than it can hold and drops some.
pub(super) struct Credits {
    /// 0 as long as that is not known.
    total: Cell<u8>,
    in_use: RefCell<heapless::LinearMap<u16, u16, LINKS>>,
    waker: RefCell<WakerRegistration>,
}

impl Credits {
    pub(super) const fn new() -> Self {
        Self {
            total: Cell::new(0),
            in_use: RefCell::new(heapless::LinearMap::new()),
            waker: RefCell::new(WakerRegistration::new()),
        }
    }

    pub(super) fn set_total(&self, total: u8) {
        self.total.set(total);
    }

    /// Waits for a buffer for a packet of `link`. A link that is gone needs none: the controller discards its packets.
    pub(super) async fn take(&self, link: ConnHandle) {
        poll_fn(|context| {
            let mut in_use = self.in_use.borrow_mut();
            let used = in_use.values().fold(0_u16, |sum, count| sum.saturating_add(*count));
            let Some(count) = in_use.get_mut(&link.raw()) else { return Poll::Ready(()) };
            if self.total.get() > 0 && used >= u16::from(self.total.get()) {
                self.waker.borrow_mut().register(context.waker());
                return Poll::Pending;
            }
            *count = count.saturating_add(1);
            Poll::Ready(())
        })
        .await;
    }

    /// Learns from an event which links there are and what was sent.
    pub(super) fn heard(&self, kind: EventKind, parameters: &[u8]) {
        let mut in_use = self.in_use.borrow_mut();
        match (kind, parameters) {
            // LE Connection Complete and LE Enhanced Connection Complete, with status 0.
            (EventKind::Le, [0x01 | 0x0a, 0, low, high, ..]) => {
                // A link that finds no place is not counted.
                let _ = in_use.insert(handle(*low, *high), 0);
            }
            (EventKind::DisconnectionComplete, [0, low, high, ..]) => {
                in_use.remove(&handle(*low, *high));
            }
            (EventKind::NumberOfCompletedPackets, [_, entries @ ..]) => {
                for entry in entries.as_chunks::<4>().0 {
                    let [low, high, count_low, count_high] = *entry;
                    if let Some(count) = in_use.get_mut(&handle(low, high)) {
                        *count = count.saturating_sub(u16::from_le_bytes([count_low, count_high]));
                    }
                }
            }
            _ => return,
        }
        self.waker.borrow_mut().wake();
    }
}

fn handle(low: u8, high: u8) -> u16 {
    u16::from_le_bytes([low, high]) & 0x0fff
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Waker};

    fn takes(credits: &Credits, link: u16) -> bool {
        pin!(credits.take(ConnHandle::new(link))).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn links_share_the_buffers() {
        let credits = Credits::new();
        credits.set_total(3);
        credits.heard(EventKind::Le, &[0x01, 0, 0x40, 0, 1]);
        credits.heard(EventKind::Le, &[0x0a, 0, 0x41, 0, 1]);
        assert!(takes(&credits, 0x40) && takes(&credits, 0x40) && takes(&credits, 0x41));
        assert!(!takes(&credits, 0x40) && !takes(&credits, 0x41));
        credits.heard(EventKind::NumberOfCompletedPackets, &[1, 0x40, 0, 1, 0]);
        assert!(takes(&credits, 0x41));
        assert!(!takes(&credits, 0x41));
    }

    #[test]
    fn a_link_that_ends_gives_its_buffers_back_and_needs_none() {
        let credits = Credits::new();
        credits.set_total(1);
        credits.heard(EventKind::Le, &[0x01, 0, 0x40, 0, 1]);
        credits.heard(EventKind::Le, &[0x01, 0, 0x41, 0, 1]);
        assert!(takes(&credits, 0x40));
        assert!(!takes(&credits, 0x41));
        credits.heard(EventKind::DisconnectionComplete, &[0, 0x40, 0, 0x13]);
        assert!(takes(&credits, 0x40), "nobody counts for a link that is gone");
        assert!(takes(&credits, 0x41));
    }
}
