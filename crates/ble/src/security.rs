//! What a link is worth, what a peer must show, and how pairing can fail.

use core::fmt;

use thiserror::Error;
use trouble_host::prelude::{PermissionLevel, SecurityLevel};

/// How well a link is protected (Core, Vol 3 Part C 10.2.1, security mode 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the levels of security mode 1 this project uses, in order")]
pub enum Security {
    /// Level 1: nothing.
    None,
    /// Level 2: encrypted with a key that nobody compared: an attacker in the middle may hold it too.
    Encrypted,
    /// Level 4: encrypted with a key of LE Secure Connections that a passkey vouched for.
    Authenticated,
}

impl Security {
    pub(crate) const fn from_host(level: SecurityLevel) -> Self {
        match level {
            SecurityLevel::NoEncryption => Self::None,
            SecurityLevel::Encrypted => Self::Encrypted,
            SecurityLevel::EncryptedAuthenticated => Self::Authenticated,
        }
    }

    pub(crate) const fn to_host(self) -> SecurityLevel {
        match self {
            Self::None => SecurityLevel::NoEncryption,
            Self::Encrypted => SecurityLevel::Encrypted,
            Self::Authenticated => SecurityLevel::EncryptedAuthenticated,
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "not encrypted",
            Self::Encrypted => "encrypted, not authenticated",
            Self::Authenticated => "encrypted and authenticated",
        })
    }
}

/// What a peer must show before the SMP characteristic lets it write or subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "the three permissions the field's servers know (smp.md section 5)")]
pub enum Access {
    /// Nothing: for demonstrations.
    Open,
    /// Any pairing.
    Encrypted,
    /// A pairing by passkey over LE Secure Connections.
    #[default]
    Authenticated,
}

impl Access {
    /// The least security that satisfies this preset.
    pub const fn required(self) -> Security {
        match self {
            Self::Open => Security::None,
            Self::Encrypted => Security::Encrypted,
            Self::Authenticated => Security::Authenticated,
        }
    }

    pub(crate) const fn permission(self) -> PermissionLevel {
        match self {
            Self::Open => PermissionLevel::Allowed,
            Self::Encrypted => PermissionLevel::EncryptionRequired,
            Self::Authenticated => PermissionLevel::AuthenticationRequired,
        }
    }
}

/// A passkey: shown with its leading zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Passkey(u32);

impl Passkey {
    /// A passkey of at most six digits; `None` for a larger number.
    pub const fn new(value: u32) -> Option<Self> {
        if value <= 999_999 { Some(Self(value)) } else { None }
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// Six dots: a passkey belongs on a display, not in a log.
impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passkey(••••••)")
    }
}

/// Why a pairing did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PairingError {
    /// One side ended it with a Pairing Failed of this reason (Core, Vol 3 Part H 3.5.5).
    #[error("{} (pairing failed, reason {reason:#04x})", reason_words(*reason))]
    Failed {
        /// The code on the wire.
        reason: u8,
    },
    /// Neither side went on within 30 s.
    #[error("nobody went on with the pairing for 30 s")]
    TimedOut,
    /// The link went away in the middle of it.
    #[error("the link was lost while pairing")]
    LinkLost,
    /// The Bluetooth stack could not go on.
    #[error("the Bluetooth stack could not go on with the pairing")]
    Stack,
}

impl PairingError {
    pub(crate) fn from_host(error: &trouble_host::Error) -> Self {
        match error {
            trouble_host::Error::Security(reason) => Self::Failed { reason: u8::from(*reason) },
            trouble_host::Error::Timeout => Self::TimedOut,
            trouble_host::Error::Disconnected => Self::LinkLost,
            _ => Self::Stack,
        }
    }
}

const fn reason_words(reason: u8) -> &'static str {
    match reason {
        0x01 => "no passkey was entered",
        0x02 => "out-of-band data is not available",
        0x03 => "the two sides cannot give each other the security asked for",
        0x04 => "the passkeys did not match",
        0x05 => "the other side does not pair",
        0x06 => "the key would be too short",
        0x07 => "a command is not supported",
        0x08 => "no reason was given",
        0x09 => "too soon after the last attempt",
        0x0a => "a parameter is not valid",
        0x0b => "the Diffie-Hellman keys did not match",
        0x0c => "the numbers compared were different",
        0x0d => "a pairing over BR/EDR is going on",
        0x0e => "keys of another transport are not allowed",
        0x0f => "a key was rejected",
        0x10 => "the other side is busy",
        _ => "for a reason that is not known",
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::fmt::Write as _;
    use std::string::String;

    #[test]
    fn levels_are_ordered_and_presets_ask_for_them() {
        assert!(Security::None < Security::Encrypted && Security::Encrypted < Security::Authenticated);
        for level in [Security::None, Security::Encrypted, Security::Authenticated] {
            assert_eq!(Security::from_host(level.to_host()), level);
        }
        assert_eq!(Access::default().required(), Security::Authenticated);
    }

    #[test]
    fn a_passkey_has_six_digits_and_stays_out_of_logs() {
        assert_eq!(Passkey::new(1_000_000), None);
        let passkey = Passkey::new(42).unwrap();
        insta::assert_snapshot!(passkey, @"000042");
        insta::assert_debug_snapshot!(passkey, @"Passkey(••••••)");
    }

    #[test]
    fn every_pairing_error_is_a_sentence() {
        let mut all = String::new();
        for reason in 0..=0x11 {
            writeln!(all, "{}", PairingError::Failed { reason }).unwrap();
        }
        for error in [PairingError::TimedOut, PairingError::LinkLost, PairingError::Stack] {
            writeln!(all, "{error}").unwrap();
        }
        for level in [Security::None, Security::Encrypted, Security::Authenticated] {
            writeln!(all, "{level}").unwrap();
        }
        insta::assert_snapshot!(all, @r"
        for a reason that is not known (pairing failed, reason 0x00)
        no passkey was entered (pairing failed, reason 0x01)
        out-of-band data is not available (pairing failed, reason 0x02)
        the two sides cannot give each other the security asked for (pairing failed, reason 0x03)
        the passkeys did not match (pairing failed, reason 0x04)
        the other side does not pair (pairing failed, reason 0x05)
        the key would be too short (pairing failed, reason 0x06)
        a command is not supported (pairing failed, reason 0x07)
        no reason was given (pairing failed, reason 0x08)
        too soon after the last attempt (pairing failed, reason 0x09)
        a parameter is not valid (pairing failed, reason 0x0a)
        the Diffie-Hellman keys did not match (pairing failed, reason 0x0b)
        the numbers compared were different (pairing failed, reason 0x0c)
        a pairing over BR/EDR is going on (pairing failed, reason 0x0d)
        keys of another transport are not allowed (pairing failed, reason 0x0e)
        a key was rejected (pairing failed, reason 0x0f)
        the other side is busy (pairing failed, reason 0x10)
        for a reason that is not known (pairing failed, reason 0x11)
        nobody went on with the pairing for 30 s
        the link was lost while pairing
        the Bluetooth stack could not go on with the pairing
        not encrypted
        encrypted, not authenticated
        encrypted and authenticated
        ");
    }
}
