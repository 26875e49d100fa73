//! Why a session could not be, or ended.

use core::fmt;

use thiserror::Error;

use super::event::att_words;
use crate::address::Address;
use crate::link_layer::disconnect_words;
use crate::security::{PairingError, Security};

/// Why there is no link to the device, or no more. Each says what went wrong with numbers; none is a hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The controller failed.
    #[error("the Bluetooth controller failed")]
    Controller(E),
    /// A step took too long.
    #[error("{step} took longer than {seconds} s")]
    TimedOut {
        /// Which.
        step: Step,
        /// How long it may take.
        seconds: u64,
    },
    /// The device was not heard.
    #[error("the device was not heard within {seconds} s; {others} other devices were")]
    NotFound {
        /// How long it was listened for.
        seconds: u64,
        /// How many devices that it is not were heard.
        others: usize,
    },
    /// The link ended.
    #[error("the link ended during {step}: {} ({reason:#04x})", disconnect_words(*.reason))]
    Disconnected {
        /// During which step.
        step: Step,
        /// The HCI reason (Core, Vol 1 Part F).
        reason: u8,
    },
    /// It is a Bluetooth device, but not one that speaks SMP.
    #[error("{peer} has no SMP service")]
    NoService {
        /// The device.
        peer: Address,
    },
    /// The device refused an attribute request that no pairing would change.
    #[error("the device refused {step}: {} (ATT error {code:#04x})", att_words(*.code))]
    Refused {
        /// Which step.
        step: Step,
        /// The ATT error code.
        code: u8,
    },
    /// The device wants a passkey, and there is none.
    #[error("{peer} shows a passkey that has to be entered here, and none was given")]
    NoPasskey {
        /// The device.
        peer: Address,
    },
    /// Pairing failed.
    #[error("pairing with {peer} failed: {error}")]
    Pairing {
        /// The device.
        peer: Address,
        /// Why.
        error: PairingError,
    },
    /// The device ended the link instead of pairing.
    #[error(
        "{peer} ended the link instead of pairing ({reason:#04x}): after failed attempts a device makes the next one wait"
    )]
    PairingRefused {
        /// The device.
        peer: Address,
        /// The HCI reason.
        reason: u8,
    },
    /// The device gives a link that is worth too little: anybody could be in the middle of it, or be the device.
    #[error("{peer} offers a link that is {security}; one that is {required} is wanted")]
    TooWeak {
        /// The device.
        peer: Address,
        /// What it gives.
        security: Security,
        /// What is wanted: by the configuration, or because the bond with the device is worth as much.
        required: Security,
    },
    /// The device lost its bond and the configuration says not to pair again.
    #[error("{peer} no longer knows the bond with this client, and pairing again was not asked for")]
    BondLost {
        /// The device.
        peer: Address,
    },
    /// The Bluetooth stack gave up.
    #[error("the Bluetooth stack gave up during {step}")]
    Stack {
        /// During which step.
        step: Step,
    },
}

/// A step on the way to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Starting the controller.
    Starting,
    /// Listening for the device.
    Searching,
    /// Connecting.
    Connecting,
    /// Agreeing on sizes, and encrypting if there is a bond.
    Preparing,
    /// Looking for the service.
    Discovering,
    /// Asking for notifications.
    Subscribing,
    /// Pairing.
    Pairing,
    /// Exchanging frames.
    Exchanging,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting the Bluetooth controller",
            Self::Searching => "searching",
            Self::Connecting => "connecting",
            Self::Preparing => "agreeing on the link's parameters",
            Self::Discovering => "looking for the SMP service",
            Self::Subscribing => "subscribing to notifications",
            Self::Pairing => "pairing",
            Self::Exchanging => "exchanging frames",
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::fmt::Write as _;
    use std::string::String;

    #[test]
    fn every_failure_is_a_sentence() {
        let peer = Address::random_static([0xc0, 1, 2, 3, 4, 5]);
        let mut all = String::new();
        let failures: [Failure<()>; 13] = [
            Failure::Controller(()),
            Failure::TimedOut { step: Step::Connecting, seconds: 10 },
            Failure::NotFound { seconds: 10, others: 3 },
            Failure::Disconnected { step: Step::Exchanging, reason: 0x08 },
            Failure::NoService { peer },
            Failure::Refused { step: Step::Subscribing, code: 0x03 },
            Failure::NoPasskey { peer },
            Failure::Pairing { peer, error: PairingError::Failed { reason: 4 } },
            Failure::PairingRefused { peer, reason: 5 },
            Failure::TooWeak { peer, security: Security::Encrypted, required: Security::Authenticated },
            Failure::BondLost { peer },
            Failure::Stack { step: Step::Discovering },
            Failure::TimedOut { step: Step::Starting, seconds: 5 },
        ];
        for failure in failures {
            writeln!(all, "{failure}").unwrap();
        }
        for step in [
            Step::Starting,
            Step::Searching,
            Step::Connecting,
            Step::Preparing,
            Step::Discovering,
            Step::Subscribing,
            Step::Pairing,
            Step::Exchanging,
        ] {
            writeln!(all, "{step}").unwrap();
        }
        insta::assert_snapshot!(all, @r"
        the Bluetooth controller failed
        connecting took longer than 10 s
        the device was not heard within 10 s; 3 other devices were
        the link ended during exchanging frames: nothing was heard for the supervision timeout (0x08)
        C0:01:02:03:04:05 has no SMP service
        the device refused subscribing to notifications: it may not be written (ATT error 0x03)
        C0:01:02:03:04:05 shows a passkey that has to be entered here, and none was given
        pairing with C0:01:02:03:04:05 failed: the passkeys did not match (pairing failed, reason 0x04)
        C0:01:02:03:04:05 ended the link instead of pairing (0x05): after failed attempts a device makes the next one wait
        C0:01:02:03:04:05 offers a link that is encrypted, not authenticated; one that is encrypted and authenticated is wanted
        C0:01:02:03:04:05 no longer knows the bond with this client, and pairing again was not asked for
        the Bluetooth stack gave up during looking for the SMP service
        starting the Bluetooth controller took longer than 5 s
        starting the Bluetooth controller
        searching
        connecting
        agreeing on the link's parameters
        looking for the SMP service
        subscribing to notifications
        pairing
        exchanging frames
        ");
    }
}
