//! What is known of the link a request came over.

use core::fmt;

/// What carries a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Bluetooth LE.
    Ble,
    /// UDP.
    Udp,
    /// A serial console.
    Serial,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ble, Self::Udp, Self::Serial];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ble => "Bluetooth",
            Self::Udp => "UDP",
            Self::Serial => "serial",
        })
    }
}

/// LE security mode 1: how well a link is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityLevel {
    /// Not encrypted.
    L1 = 1,
    /// Encrypted, the peer not authenticated (Just Works).
    L2 = 2,
    /// Encrypted, the peer authenticated.
    L3 = 3,
    /// Encrypted with LE Secure Connections, the peer authenticated.
    L4 = 4,
}

impl SecurityLevel {
    /// The level's number, 1 to 4.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::L1 => 1,
            Self::L2 => 2,
            Self::L3 => 3,
            Self::L4 => 4,
        }
    }
}

/// The link a request came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What carries it.
    pub transport: Transport,
    /// How well it is protected now.
    pub level: SecurityLevel,
    /// Whether the peer's keys are kept.
    pub bonded: bool,
    /// The connection's number, which no other connection has or had. `None` where there are no
    /// connections: nothing can then tell two peers apart, nor when one is gone.
    pub connection: Option<u32>,
}

impl Link {
    /// A Bluetooth connection.
    #[must_use]
    pub const fn ble(connection: u32, level: SecurityLevel, bonded: bool) -> Self {
        Self { transport: Transport::Ble, level, bonded, connection: Some(connection) }
    }

    /// UDP, which protects nothing.
    #[must_use]
    pub const fn udp() -> Self {
        Self { transport: Transport::Udp, level: SecurityLevel::L1, bonded: false, connection: None }
    }

    /// A serial line, which protects nothing.
    #[must_use]
    pub const fn serial() -> Self {
        Self { transport: Transport::Serial, level: SecurityLevel::L1, bonded: false, connection: None }
    }
}
