//! The rules and their application.

use crate::{Link, SecurityLevel, Transport};
use core::fmt;

/// What a request would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Look: echo, lists, parameters, versions, the clock.
    Observe,
    /// Set the clock.
    SetClock,
    /// Write an image into a slot that does not run.
    Upload,
    /// Erase a slot that does not run.
    Erase,
    /// Have another image run at the next boot, on trial.
    Test,
    /// Make the image that runs permanent.
    Confirm,
    /// Make an image permanent that has never run here. No preset allows it: if it does not work there is no way back.
    ConfirmUntested,
    /// Restart the device.
    Reset,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; ACTIONS] = [
        Self::Observe,
        Self::SetClock,
        Self::Upload,
        Self::Erase,
        Self::Test,
        Self::Confirm,
        Self::ConfirmUntested,
        Self::Reset,
    ];

    const fn index(self) -> usize {
        match self {
            Self::Observe => 0,
            Self::SetClock => 1,
            Self::Upload => 2,
            Self::Erase => 3,
            Self::Test => 4,
            Self::Confirm => 5,
            Self::ConfirmUntested => 6,
            Self::Reset => 7,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "looking",
            Self::SetClock => "setting the clock",
            Self::Upload => "uploading",
            Self::Erase => "erasing a slot",
            Self::Test => "testing an image",
            Self::Confirm => "confirming the running image",
            Self::ConfirmUntested => "confirming an untested image",
            Self::Reset => "resetting",
        })
    }
}

const ACTIONS: usize = 8;

/// What a transport may be used for: for each action the least security level, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    least: [Option<SecurityLevel>; ACTIONS],
    bonded: bool,
}

impl Access {
    /// Nothing is allowed.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { least: [None; ACTIONS], bonded: false }
    }

    /// Anybody who reaches the device may do everything but confirm an untested image. For workbenches and links that
    /// are protected by other means.
    #[must_use]
    pub const fn open() -> Self {
        Self::from_level(SecurityLevel::L1)
    }

    /// As [`open`](Self::open), over encrypted links. Keeps eavesdroppers out, not strangers.
    #[must_use]
    pub const fn encrypted() -> Self {
        Self::from_level(SecurityLevel::L2)
    }

    /// As [`open`](Self::open), over links whose peer proved itself when it paired.
    #[must_use]
    pub const fn authenticated() -> Self {
        Self::from_level(SecurityLevel::L3)
    }

    const fn from_level(level: SecurityLevel) -> Self {
        let least = [Some(level); ACTIONS];
        Self { least, bonded: false }.deny(Action::ConfirmUntested)
    }

    /// This, with `action` allowed from `level` up.
    #[must_use]
    pub const fn allow(mut self, action: Action, level: SecurityLevel) -> Self {
        if let Some(least) = self.least.split_at_mut(action.index()).1.first_mut() {
            *least = Some(level);
        }
        self
    }

    /// This, with `action` never allowed.
    #[must_use]
    pub const fn deny(mut self, action: Action) -> Self {
        if let Some(least) = self.least.split_at_mut(action.index()).1.first_mut() {
            *least = None;
        }
        self
    }

    /// This, for peers only whose keys are kept.
    #[must_use]
    pub const fn bonded_only(mut self) -> Self {
        self.bonded = true;
        self
    }

    /// The least level at which anything is allowed: what a GATT attribute should demand. `None` if nothing ever is.
    #[must_use]
    pub fn entry_level(&self) -> Option<SecurityLevel> {
        self.least.iter().flatten().min().copied()
    }

    fn decide(&self, action: Action, link: &Link) -> Result<(), Refusal> {
        let transport = link.transport;
        match self.least.get(action.index()).copied().flatten() {
            None => Err(Refusal::Never { action, transport }),
            Some(needed) if link.level < needed => Err(Refusal::Level { action, transport, needed, level: link.level }),
            Some(_) if self.bonded && !link.bonded => Err(Refusal::NotBonded { action }),
            Some(_) => Ok(()),
        }
    }
}

/// One [`Access`] per transport; a transport without one is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    ble: Option<Access>,
    udp: Option<Access>,
    serial: Option<Access>,
}

impl Policy {
    /// All transports closed.
    #[must_use]
    pub const fn deny_all() -> Self {
        Self { ble: None, udp: None, serial: None }
    }

    /// This, with `transport` open for `access`.
    #[must_use]
    pub const fn with(mut self, transport: Transport, access: Access) -> Self {
        match transport {
            Transport::Ble => self.ble = Some(access),
            Transport::Udp => self.udp = Some(access),
            Transport::Serial => self.serial = Some(access),
        }
        self
    }

    /// What `transport` is open for.
    #[must_use]
    pub const fn access(&self, transport: Transport) -> Option<&Access> {
        match transport {
            Transport::Ble => self.ble.as_ref(),
            Transport::Udp => self.udp.as_ref(),
            Transport::Serial => self.serial.as_ref(),
        }
    }

    /// Whether a request that would do `action` may go on.
    ///
    /// # Errors
    /// [`Refusal`], in words for the peer's user.
    pub fn decide(&self, action: Action, link: &Link) -> Result<(), Refusal> {
        let closed = Refusal::Closed { transport: link.transport };
        self.access(link.transport).ok_or(closed)?.decide(action, link)
    }
}

/// Why a request may not go on, and what its user can do. In words of at most 112 bytes, as they travel in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No access was given to the transport.
    #[error("this device takes no commands over {transport}: use another transport")]
    Closed {
        /// The transport.
        transport: Transport,
    },
    /// No level allows the action.
    #[error("{action} is not allowed over {transport}{}", next_step(*.action))]
    Never {
        /// The action.
        action: Action,
        /// The transport.
        transport: Transport,
    },
    /// The link's level is too low.
    #[error("{action} needs security level {}, this link has {}: {}", .needed.number(), .level.number(), remedy(*.transport, *.needed))]
    Level {
        /// The action.
        action: Action,
        /// The transport.
        transport: Transport,
        /// The level it needs.
        needed: SecurityLevel,
        /// The link's level.
        level: SecurityLevel,
    },
    /// The peer's keys are not kept.
    #[error("{action} needs a bond: pair again and let both sides keep the keys")]
    NotBonded {
        /// The action.
        action: Action,
    },
}

const fn next_step(action: Action) -> &'static str {
    match action {
        Action::ConfirmUntested => ": test it, reset, and confirm it once it runs",
        _ => "",
    }
}

const fn remedy(transport: Transport, needed: SecurityLevel) -> &'static str {
    match (transport, needed) {
        (Transport::Udp | Transport::Serial, _) => "use Bluetooth, which can be protected",
        (Transport::Ble, SecurityLevel::L1 | SecurityLevel::L2) => "pair with the device",
        (Transport::Ble, SecurityLevel::L3) => "pair with the passkey of the device",
        (Transport::Ble, SecurityLevel::L4) => "pair by LE Secure Connections and passkey",
    }
}

#[cfg(test)]
mod tests;
