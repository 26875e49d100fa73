//! The requests that wait for their answers.

use crate::Millis;

/// One upload request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) seq: u8,
    /// Image offset behind the last byte it carries.
    pub(crate) end: u32,
    pub(crate) sent: Millis,
    /// When it counts as lost.
    pub(crate) due: Millis,
    /// Which pass over the image it belongs to: each rewind starts a new one.
    pub(crate) epoch: u32,
}

/// At most `N` requests in flight, in no order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flights<const N: usize>([Option<Flight>; N]);

impl<const N: usize> Flights<N> {
    pub(crate) const fn new() -> Self {
        Self([None; N])
    }

    pub(crate) fn clear(&mut self) {
        self.0 = [None; N];
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Adds one; what does not fit is not remembered, so its answer will count as stale.
    pub(crate) fn insert(&mut self, flight: Flight) {
        if let Some(slot) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(flight);
        }
    }

    pub(crate) fn contains(&self, seq: u8) -> bool {
        self.0.iter().flatten().any(|flight| flight.seq == seq)
    }

    /// Removes the one with this sequence number.
    pub(crate) fn take(&mut self, seq: u8) -> Option<Flight> {
        self.take_if(|flight| flight.seq == seq)
    }

    /// Removes one that is overdue.
    pub(crate) fn take_overdue(&mut self, now: Millis) -> Option<Flight> {
        self.take_if(|flight| flight.due <= now)
    }

    /// Forgets all that `acked` bytes answer: the device has their data, whatever became of their answers.
    pub(crate) fn forget_acked(&mut self, acked: u32) {
        while self.take_if(|flight| flight.end <= acked).is_some() {}
    }

    pub(crate) fn first_due(&self) -> Option<Millis> {
        self.0.iter().flatten().map(|flight| flight.due).min()
    }

    fn take_if(&mut self, wanted: impl Fn(&Flight) -> bool) -> Option<Flight> {
        self.0.iter_mut().find(|slot| slot.as_ref().is_some_and(&wanted))?.take()
    }
}
