//! What a device reports while it serves.

use core::fmt;

use embassy_time::Duration;
use otaru_smp::ReassemblyError;

use crate::address::Address;
use crate::link_layer::{Tuning, disconnect_words};
use crate::security::{PairingError, Passkey, Security};

/// What happened on the device's side. `Display` says it in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Ready to be found and connected to.
    Advertising,
    /// A central connected.
    Connected {
        /// The central.
        peer: Address,
        /// The connection's number, as in [`Link`](super::Link).
        connection: u32,
    },
    /// A link ended.
    Disconnected {
        /// The central.
        peer: Address,
        /// The connection's number, as in [`Link`](super::Link).
        connection: u32,
        /// The HCI reason (Core, Vol 1 Part F).
        reason: u8,
    },
    /// The link layer agreed on something: what is in force now.
    Tuned(Tuning),
    /// To be shown to the user, who types it on the central.
    Passkey {
        /// The central.
        peer: Address,
        /// What to show.
        passkey: Passkey,
        /// The same at every pairing, which an attacker learns bit by bit: warn loudly.
        fixed: bool,
    },
    /// The link is encrypted.
    Secured {
        /// The central.
        peer: Address,
        /// How well.
        security: Security,
        /// With a bond of an earlier connection.
        bonded: bool,
    },
    /// A pairing is done.
    Paired {
        /// The central.
        peer: Address,
        /// How well the key is vouched for.
        security: Security,
        /// It is remembered.
        bonded: bool,
    },
    /// A pairing is done, but without the passkey that access here asks for: it opens nothing and is not remembered.
    PairedTooWeakly {
        /// The central.
        peer: Address,
        /// What it is worth.
        security: Security,
    },
    /// A peer paired again, worse than before: the earlier bond stays in force.
    StrongerBondKept {
        /// The central.
        peer: Address,
    },
    /// A pairing failed.
    PairingFailed {
        /// The central.
        peer: Address,
        /// Why.
        error: PairingError,
        /// Pairing rests this long now.
        rest: Duration,
    },
    /// A pairing was not let in, too soon after one that failed. The link was closed.
    PairingRefused {
        /// The central.
        peer: Address,
        /// What is left of the rest.
        rest: Duration,
    },
    /// There was no room for another bond: the oldest was forgotten.
    BondEvicted {
        /// Whose it was.
        peer: Address,
    },
    /// A bond could not be stored or loaded: it is in force until the next reboot only.
    BondStoreFailed,
    /// The peer tried to write or subscribe and may not, as its link is worth too little. It was told so, or, after a
    /// Write Command, which has no answer, it was not.
    AccessRefused {
        /// The central.
        peer: Address,
        /// What its link is worth.
        security: Security,
    },
    /// The link showed no sufficient security within its time and was closed, to make room for others.
    UnsecuredClosed {
        /// The central.
        peer: Address,
    },
    /// A write could not be part of a request and was dropped.
    BadFragment {
        /// The central.
        peer: Address,
        /// What was wrong.
        problem: BadFragment,
    },
    /// A request came while all frame buffers were in use: answered with `rc` 2 (out of memory), not executed.
    Busy {
        /// The central.
        peer: Address,
    },
    /// An answer could not be sent.
    AnswerLost {
        /// The central.
        peer: Address,
        /// Why.
        cause: AnswerLost,
    },
    /// Bluetooth packets were dropped on arrival, for want of room or because they were malformed.
    PacketsDropped {
        /// How many since the last such event.
        count: u32,
    },
    /// The Bluetooth stack stumbled and was built anew. All links are gone, bonds are kept.
    Restarted,
}

/// Why a write is no part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadFragment {
    /// It does not fit the ones before it, or the request does not fit a frame buffer.
    Reassembly(ReassemblyError),
    /// The rest of the request did not come in time.
    TimedOut,
}

/// Why an answer was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two ways there are")]
pub enum AnswerLost {
    /// The peer went away.
    PeerGone,
    /// The peer did not subscribe to notifications.
    NotSubscribed,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advertising => write!(f, "advertising the SMP service"),
            Self::Connected { peer, .. } => write!(f, "{peer} connected"),
            Self::Disconnected { peer, reason, .. } => {
                write!(f, "{peer} disconnected: {} ({reason:#04x})", disconnect_words(*reason))
            }
            Self::Tuned(tuning) => tuning.fmt(f),
            Self::Passkey { peer, passkey, fixed: false } => write!(f, "passkey for {peer}: {passkey}"),
            Self::Passkey { peer, passkey, fixed: true } => {
                write!(f, "passkey for {peer}: {passkey} (FIXED: anybody who saw it once, or tries 20 times, can pair)")
            }
            Self::Secured { peer, security, bonded: true } => {
                write!(f, "the link to {peer} is {security}, by its bond")
            }
            Self::Secured { peer, security, bonded: false } => write!(f, "the link to {peer} is {security}"),
            Self::Paired { peer, security, bonded } => {
                write!(f, "{peer} paired: {security}{}", if *bonded { ", remembered" } else { ", not remembered" })
            }
            Self::PairedTooWeakly { peer, security } => {
                write!(f, "{peer} paired without a passkey ({security}): not enough for SMP here, not remembered")
            }
            Self::StrongerBondKept { peer } => {
                write!(f, "{peer} paired again, worse than before: its earlier bond stays in force")
            }
            Self::PairingFailed { peer, error, rest } => {
                write!(f, "pairing with {peer} failed: {error}; the next may start in {} s", rest.as_secs())
            }
            Self::PairingRefused { peer, rest } => {
                write!(f, "{peer} may not pair yet, after a failed pairing: {} ms to wait", rest.as_millis())
            }
            Self::BondEvicted { peer } => write!(f, "forgot the bond with {peer}, the oldest, to make room"),
            Self::BondStoreFailed => write!(f, "a bond could not be stored: it will not survive a reboot"),
            Self::AccessRefused { peer, security } => write!(f, "refused {peer} access to SMP: its link is {security}"),
            Self::UnsecuredClosed { peer } => write!(f, "closed the link to {peer}: it was not secured in time"),
            Self::BadFragment { peer, problem } => write!(f, "dropped a write of {peer}: {problem}"),
            Self::Busy { peer } => {
                write!(f, "all frame buffers are in use: a request of {peer} was answered with rc 2")
            }
            Self::AnswerLost { peer, cause: AnswerLost::PeerGone } => write!(f, "{peer} left before its answer"),
            Self::AnswerLost { peer, cause: AnswerLost::NotSubscribed } => {
                write!(f, "{peer} sent a request without subscribing: its answer is lost")
            }
            Self::PacketsDropped { count } => write!(f, "{count} Bluetooth packets were dropped on arrival"),
            Self::Restarted => write!(f, "the Bluetooth stack was restarted: all links are gone"),
        }
    }
}

impl fmt::Display for BadFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reassembly(error) => error.fmt(f),
            Self::TimedOut => write!(f, "the rest of the request did not come in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::fmt::Write as _;
    use std::string::String;

    #[test]
    fn every_event_is_a_line() {
        let peer = Address::random_static([0xc0, 1, 2, 3, 4, 5]);
        let passkey = Passkey::new(4_711).unwrap();
        let security = Security::Authenticated;
        let error = PairingError::Failed { reason: 4 };
        let mut all = String::new();
        for event in [
            Event::Advertising,
            Event::Connected { peer, connection: 1 },
            Event::Disconnected { peer, connection: 1, reason: 0x13 },
            Event::Tuned(Tuning::Interval(Duration::from_millis(15))),
            Event::Tuned(Tuning::DataLength { transmit: 251, receive: 27 }),
            Event::Tuned(Tuning::Phy(2)),
            Event::Passkey { peer, passkey, fixed: false },
            Event::Passkey { peer, passkey, fixed: true },
            Event::Secured { peer, security, bonded: true },
            Event::Secured { peer, security: Security::Encrypted, bonded: false },
            Event::Paired { peer, security, bonded: true },
            Event::Paired { peer, security, bonded: false },
            Event::PairedTooWeakly { peer, security: Security::Encrypted },
            Event::StrongerBondKept { peer },
            Event::PairingFailed { peer, error, rest: Duration::from_secs(4) },
            Event::PairingRefused { peer, rest: Duration::from_millis(2_500) },
            Event::BondEvicted { peer },
            Event::BondStoreFailed,
            Event::AccessRefused { peer, security: Security::None },
            Event::UnsecuredClosed { peer },
            Event::BadFragment { peer, problem: BadFragment::Reassembly(ReassemblyError::NoHeader { found: 3 }) },
            Event::BadFragment { peer, problem: BadFragment::TimedOut },
            Event::Busy { peer },
            Event::AnswerLost { peer, cause: AnswerLost::PeerGone },
            Event::AnswerLost { peer, cause: AnswerLost::NotSubscribed },
            Event::PacketsDropped { count: 2 },
            Event::Restarted,
        ] {
            writeln!(all, "{event}").unwrap();
        }
        for reason in [0x05, 0x06, 0x08, 0x13, 0x14, 0x15, 0x16, 0x1f, 0x22, 0x3b, 0x3d, 0x3e, 0x99] {
            writeln!(all, "{}", Event::Disconnected { peer, connection: 1, reason }).unwrap();
        }
        insta::assert_snapshot!(all, @r"
        advertising the SMP service
        C0:01:02:03:04:05 connected
        C0:01:02:03:04:05 disconnected: ended by the other side (0x13)
        connection interval 15000 us
        data length 251 bytes sent, 27 received
        PHY 2 Mbit/s
        passkey for C0:01:02:03:04:05: 004711
        passkey for C0:01:02:03:04:05: 004711 (FIXED: anybody who saw it once, or tries 20 times, can pair)
        the link to C0:01:02:03:04:05 is encrypted and authenticated, by its bond
        the link to C0:01:02:03:04:05 is encrypted, not authenticated
        C0:01:02:03:04:05 paired: encrypted and authenticated, remembered
        C0:01:02:03:04:05 paired: encrypted and authenticated, not remembered
        C0:01:02:03:04:05 paired without a passkey (encrypted, not authenticated): not enough for SMP here, not remembered
        C0:01:02:03:04:05 paired again, worse than before: its earlier bond stays in force
        pairing with C0:01:02:03:04:05 failed: the passkeys did not match (pairing failed, reason 0x04); the next may start in 4 s
        C0:01:02:03:04:05 may not pair yet, after a failed pairing: 2500 ms to wait
        forgot the bond with C0:01:02:03:04:05, the oldest, to make room
        a bond could not be stored: it will not survive a reboot
        refused C0:01:02:03:04:05 access to SMP: its link is not encrypted
        closed the link to C0:01:02:03:04:05: it was not secured in time
        dropped a write of C0:01:02:03:04:05: a first fragment of 3 bytes is too short for an SMP header of 8
        dropped a write of C0:01:02:03:04:05: the rest of the request did not come in time
        all frame buffers are in use: a request of C0:01:02:03:04:05 was answered with rc 2
        C0:01:02:03:04:05 left before its answer
        C0:01:02:03:04:05 sent a request without subscribing: its answer is lost
        2 Bluetooth packets were dropped on arrival
        the Bluetooth stack was restarted: all links are gone
        C0:01:02:03:04:05 disconnected: authentication failed (0x05)
        C0:01:02:03:04:05 disconnected: the key for this link is missing (0x06)
        C0:01:02:03:04:05 disconnected: nothing was heard for the supervision timeout (0x08)
        C0:01:02:03:04:05 disconnected: ended by the other side (0x13)
        C0:01:02:03:04:05 disconnected: the other side is low on resources (0x14)
        C0:01:02:03:04:05 disconnected: the other side is switching off (0x15)
        C0:01:02:03:04:05 disconnected: ended by this side (0x16)
        C0:01:02:03:04:05 disconnected: no reason was given (0x1f)
        C0:01:02:03:04:05 disconnected: a link-layer procedure got no answer (0x22)
        C0:01:02:03:04:05 disconnected: the connection parameters were not acceptable (0x3b)
        C0:01:02:03:04:05 disconnected: a packet did not decrypt: the two sides hold different keys (0x3d)
        C0:01:02:03:04:05 disconnected: the connection was not established (0x3e)
        C0:01:02:03:04:05 disconnected: for another reason (0x99)
        ");
    }
}
