//! A link: two ends that know only what they received from each other, and the times at which they meet.

mod control;
mod encryption;
mod end;
mod procedure;

pub(crate) use end::{Context, Counts, End, EndConfig, INITIAL_LENGTH, MAXIMUM_LENGTH};
pub(crate) use procedure::Procedure;

use crate::phy::Phy;

/// Which end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Central,
    Peripheral,
}

impl Role {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Central => Self::Peripheral,
            Self::Peripheral => Self::Central,
        }
    }

    /// As HCI has it, and as an index into a link's ends.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Central => 0,
            Self::Peripheral => 1,
        }
    }
}

/// Connection parameters, in the units of HCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// 1.25 ms each.
    pub(crate) interval: u16,
    /// Events that the peripheral may sleep through. Ours never does.
    pub(crate) latency: u16,
    /// 10 ms each.
    pub(crate) timeout: u16,
}

impl Parameters {
    pub(crate) const fn interval_micros(self) -> u64 {
        self.interval as u64 * 1250
    }

    pub(crate) const fn timeout_micros(self) -> u64 {
        self.timeout as u64 * 10_000
    }

    /// Whether HCI allows them (Vol 4 Part E, 7.8.12).
    pub(crate) const fn is_valid(self) -> bool {
        matches!(self.interval, 6..=3200)
            && self.latency <= 499
            && matches!(self.timeout, 10..=3200)
            && self.timeout_micros() > (1 + self.latency as u64) * self.interval_micros() * 2
    }
}

/// What a link does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A connection event begins.
    Anchor,
    /// The central goes on in the same event.
    CentralSends,
    /// What the central sent has arrived.
    PeripheralHears,
    /// What the peripheral sent has arrived.
    CentralHears,
}

/// A packet on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnAir {
    pub(crate) pdu: Vec<u8>,
    pub(crate) lost: bool,
}

impl OnAir {
    /// Whether its sender has more to send.
    pub(crate) fn more_data(&self) -> bool {
        self.pdu.first().is_some_and(|header| header & 0x10 != 0)
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ends: [Option<End>; 2],
    pub(crate) access_address: u32,
    /// When the current or next event begins, in microseconds.
    pub(crate) anchor: u64,
    /// Microseconds from one to the next.
    pub(crate) interval: u64,
    /// Number of the current event; before the first, the number before zero.
    pub(crate) counter: u16,
    pub(crate) step: Step,
    /// Exchanges in the current event so far.
    pub(crate) exchanges: u32,
    /// Events missed in a row because a radio was busy with another link.
    pub(crate) missed: u32,
    pub(crate) on_air: OnAir,
    /// Whether the central's last packet said that it has more.
    pub(crate) central_more: bool,
}

impl Link {
    pub(crate) fn new(ends: [End; 2], access_address: u32, first_anchor: u64) -> Self {
        let interval = ends[0].parameters().interval_micros();
        Self {
            ends: ends.map(Some),
            access_address,
            anchor: first_anchor,
            interval,
            counter: u16::MAX,
            step: Step::Anchor,
            exchanges: 0,
            missed: 0,
            on_air: OnAir::default(),
            central_more: false,
        }
    }

    pub(crate) const fn end(&self, role: Role) -> Option<&End> {
        self.ends[role.number() as usize].as_ref()
    }

    pub(crate) const fn end_mut(&mut self, role: Role) -> Option<&mut End> {
        self.ends[role.number() as usize].as_mut()
    }

    /// Microseconds until the central has heard the peripheral's answer, if both sent now what they have.
    pub(crate) fn exchange_time(&self) -> u64 {
        let time = |role| self.end(role).map_or(0, |end| end.tx_phy().air_time(end.pending()));
        time(Role::Central) + crate::phy::T_IFS + time(Role::Peripheral)
    }

    /// How `role` sends.
    pub(crate) fn phy(&self, role: Role) -> Phy {
        self.end(role).map_or(Phy::Le1M, End::tx_phy)
    }
}
