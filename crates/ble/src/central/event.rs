//! What a client reports on its way to a device and back.

use core::fmt;

use otaru_smp::ReassemblyError;

use crate::address::Address;
use crate::link_layer::{Tuning, disconnect_words};
use crate::security::Security;

/// What happened on the client's side. `Display` says it in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Listening for the device's advertisements.
    Searching,
    /// The device was heard.
    Found {
        /// The device.
        peer: Address,
        /// Signal strength, dBm.
        rssi: i8,
    },
    /// The link is up.
    Connected {
        /// The device.
        peer: Address,
        /// There is a bond with it.
        bonded: bool,
    },
    /// The link layer agreed on something: what is in force now.
    Tuned(Tuning),
    /// The link is encrypted.
    Secured {
        /// How well.
        security: Security,
        /// With the bond of an earlier connection.
        bonded: bool,
    },
    /// The device does not let this link use SMP: it has to be paired or encrypted first.
    AccessRefused {
        /// The ATT error code.
        code: u8,
    },
    /// The device no longer knows the bond this client has of it.
    BondLost {
        /// The device.
        peer: Address,
        /// The client pairs again; otherwise it stops here.
        pairing_again: bool,
    },
    /// Pairing began.
    Pairing {
        /// The device.
        peer: Address,
    },
    /// The device shows a passkey that is to be entered here.
    PasskeyWanted {
        /// The device.
        peer: Address,
    },
    /// Pairing is done.
    Paired {
        /// How well the key is vouched for.
        security: Security,
        /// It is remembered.
        bonded: bool,
    },
    /// The bond could not be stored, loaded or removed: the device has to be paired again next time.
    BondStoreFailed,
    /// Frames can be exchanged.
    Ready {
        /// Bytes of the largest attribute PDU; a write carries three less.
        att_mtu: u16,
        /// What the link is worth.
        security: Security,
    },
    /// Notifications did not make a frame.
    BadNotification(ReassemblyError),
    /// Bluetooth packets were dropped on arrival, for want of room or because they were malformed.
    PacketsDropped {
        /// How many since the last such event.
        count: u32,
    },
    /// The link ended.
    Disconnected {
        /// The HCI reason (Core, Vol 1 Part F).
        reason: u8,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Searching => write!(f, "searching for the device"),
            Self::Found { peer, rssi } => write!(f, "found {peer} at {rssi} dBm"),
            Self::Connected { peer, bonded: true } => {
                write!(f, "connected to {peer}, which this client is bonded with")
            }
            Self::Connected { peer, bonded: false } => write!(f, "connected to {peer}"),
            Self::Tuned(tuning) => tuning.fmt(f),
            Self::Secured { security, bonded: true } => write!(f, "the link is {security}, by the bond"),
            Self::Secured { security, bonded: false } => write!(f, "the link is {security}"),
            Self::AccessRefused { code } => {
                write!(f, "the device refused access: {} (ATT error {code:#04x})", att_words(*code))
            }
            Self::BondLost { peer, pairing_again: true } => {
                write!(f, "{peer} no longer knows the bond with this client: pairing again")
            }
            Self::BondLost { peer, pairing_again: false } => {
                write!(f, "{peer} no longer knows the bond with this client")
            }
            Self::Pairing { peer } => write!(f, "pairing with {peer}"),
            Self::PasskeyWanted { peer } => write!(f, "{peer} shows a passkey: enter it here"),
            Self::Paired { security, bonded } => {
                write!(f, "paired: {security}{}", if *bonded { ", remembered" } else { ", not remembered" })
            }
            Self::BondStoreFailed => write!(f, "the bond could not be stored: the next connection has to pair again"),
            Self::Ready { att_mtu, security } => write!(f, "ready: ATT_MTU {att_mtu}, {security}"),
            Self::BadNotification(error) => write!(f, "dropped a notification: {error}"),
            Self::PacketsDropped { count } => write!(f, "{count} Bluetooth packets were dropped on arrival"),
            Self::Disconnected { reason } => write!(f, "disconnected: {} ({reason:#04x})", disconnect_words(*reason)),
        }
    }
}

/// An ATT error in words (Core, Vol 3 Part F 3.4.1.1).
pub(super) const fn att_words(code: u8) -> &'static str {
    match code {
        0x01 => "there is no such attribute",
        0x03 => "it may not be written",
        0x05 => "the link is not authenticated, the device wants it paired with a passkey",
        0x06 => "the request is not supported",
        0x08 => "the link is not authorized",
        0x0c => "the encryption key is too short",
        0x0d => "the value has a wrong length",
        0x0e => "the device failed in some unlikely way",
        0x0f => "the link is not encrypted",
        0x11 => "the device is out of resources",
        _ => "for another reason",
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use embassy_time::Duration;
    use std::fmt::Write as _;
    use std::string::String;

    #[test]
    fn every_event_is_a_line() {
        let peer = Address::random_static([0xc0, 1, 2, 3, 4, 5]);
        let security = Security::Authenticated;
        let mut all = String::new();
        for event in [
            Event::Searching,
            Event::Found { peer, rssi: -50 },
            Event::Connected { peer, bonded: true },
            Event::Connected { peer, bonded: false },
            Event::Tuned(Tuning::Interval(Duration::from_micros(7_500))),
            Event::Secured { security, bonded: true },
            Event::Secured { security: Security::Encrypted, bonded: false },
            Event::BondLost { peer, pairing_again: true },
            Event::BondLost { peer, pairing_again: false },
            Event::Pairing { peer },
            Event::PasskeyWanted { peer },
            Event::Paired { security, bonded: true },
            Event::Paired { security, bonded: false },
            Event::BondStoreFailed,
            Event::Ready { att_mtu: 498, security },
            Event::BadNotification(ReassemblyError::NoHeader { found: 3 }),
            Event::PacketsDropped { count: 2 },
            Event::Disconnected { reason: 0x08 },
        ] {
            writeln!(all, "{event}").unwrap();
        }
        for code in 0..=0x12 {
            writeln!(all, "{}", Event::AccessRefused { code }).unwrap();
        }
        insta::assert_snapshot!(all, @r"
        searching for the device
        found C0:01:02:03:04:05 at -50 dBm
        connected to C0:01:02:03:04:05, which this client is bonded with
        connected to C0:01:02:03:04:05
        connection interval 7500 us
        the link is encrypted and authenticated, by the bond
        the link is encrypted, not authenticated
        C0:01:02:03:04:05 no longer knows the bond with this client: pairing again
        C0:01:02:03:04:05 no longer knows the bond with this client
        pairing with C0:01:02:03:04:05
        C0:01:02:03:04:05 shows a passkey: enter it here
        paired: encrypted and authenticated, remembered
        paired: encrypted and authenticated, not remembered
        the bond could not be stored: the next connection has to pair again
        ready: ATT_MTU 498, encrypted and authenticated
        dropped a notification: a first fragment of 3 bytes is too short for an SMP header of 8
        2 Bluetooth packets were dropped on arrival
        disconnected: nothing was heard for the supervision timeout (0x08)
        the device refused access: for another reason (ATT error 0x00)
        the device refused access: there is no such attribute (ATT error 0x01)
        the device refused access: for another reason (ATT error 0x02)
        the device refused access: it may not be written (ATT error 0x03)
        the device refused access: for another reason (ATT error 0x04)
        the device refused access: the link is not authenticated, the device wants it paired with a passkey (ATT error 0x05)
        the device refused access: the request is not supported (ATT error 0x06)
        the device refused access: for another reason (ATT error 0x07)
        the device refused access: the link is not authorized (ATT error 0x08)
        the device refused access: for another reason (ATT error 0x09)
        the device refused access: for another reason (ATT error 0x0a)
        the device refused access: for another reason (ATT error 0x0b)
        the device refused access: the encryption key is too short (ATT error 0x0c)
        the device refused access: the value has a wrong length (ATT error 0x0d)
        the device refused access: the device failed in some unlikely way (ATT error 0x0e)
        the device refused access: the link is not encrypted (ATT error 0x0f)
        the device refused access: for another reason (ATT error 0x10)
        the device refused access: the device is out of resources (ATT error 0x11)
        the device refused access: for another reason (ATT error 0x12)
        ");
    }
}
