//! The vocabulary of HCI: opcodes, errors, and how events and parameters are laid out (Core Specification Vol 4 Part E).

/// Why a command was refused or a link ended (Vol 1 Part F).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u8);

impl Status {
    pub(crate) const SUCCESS: Self = Self(0x00);
    pub(crate) const UNKNOWN_COMMAND: Self = Self(0x01);
    pub(crate) const UNKNOWN_CONNECTION: Self = Self(0x02);
    pub(crate) const HARDWARE_FAILURE: Self = Self(0x03);
    pub(crate) const KEY_MISSING: Self = Self(0x06);
    pub(crate) const MEMORY_EXCEEDED: Self = Self(0x07);
    pub(crate) const CONNECTION_TIMEOUT: Self = Self(0x08);
    pub(crate) const CONNECTION_LIMIT: Self = Self(0x09);
    pub(crate) const COMMAND_DISALLOWED: Self = Self(0x0c);
    pub(crate) const UNSUPPORTED: Self = Self(0x11);
    pub(crate) const INVALID_PARAMETERS: Self = Self(0x12);
    pub(crate) const LOCAL_HOST_TERMINATED: Self = Self(0x16);
    pub(crate) const UNSUPPORTED_REMOTE_FEATURE: Self = Self(0x1a);
    pub(crate) const RESPONSE_TIMEOUT: Self = Self(0x22);
    pub(crate) const PROCEDURE_COLLISION: Self = Self(0x23);
    pub(crate) const INSTANT_PASSED: Self = Self(0x28);
    pub(crate) const MIC_FAILURE: Self = Self(0x3d);
    pub(crate) const NOT_ESTABLISHED: Self = Self(0x3e);
}

/// Packet indicators (Vol 4 Part A).
pub(crate) mod indicator {
    pub(crate) const COMMAND: u8 = 1;
    pub(crate) const ACL: u8 = 2;
    pub(crate) const SYNC: u8 = 3;
    pub(crate) const EVENT: u8 = 4;
    pub(crate) const ISO: u8 = 5;
}

/// Event codes, and subevent codes of the LE meta event.
pub(crate) mod event {
    pub(crate) const DISCONNECTION_COMPLETE: u8 = 0x05;
    pub(crate) const ENCRYPTION_CHANGE: u8 = 0x08;
    pub(crate) const REMOTE_VERSION: u8 = 0x0c;
    pub(crate) const COMMAND_COMPLETE: u8 = 0x0e;
    pub(crate) const COMMAND_STATUS: u8 = 0x0f;
    pub(crate) const COMPLETED_PACKETS: u8 = 0x13;
    pub(crate) const BUFFER_OVERFLOW: u8 = 0x1a;
    pub(crate) const KEY_REFRESH: u8 = 0x30;
    pub(crate) const LE_META: u8 = 0x3e;

    pub(crate) const LE_CONNECTION_COMPLETE: u8 = 0x01;
    pub(crate) const LE_ADVERTISING_REPORT: u8 = 0x02;
    pub(crate) const LE_CONNECTION_UPDATE: u8 = 0x03;
    pub(crate) const LE_REMOTE_FEATURES: u8 = 0x04;
    pub(crate) const LE_LTK_REQUEST: u8 = 0x05;
    pub(crate) const LE_REMOTE_PARAMETER_REQUEST: u8 = 0x06;
    pub(crate) const LE_DATA_LENGTH_CHANGE: u8 = 0x07;
    pub(crate) const LE_ENHANCED_CONNECTION_COMPLETE: u8 = 0x0a;
    pub(crate) const LE_PHY_UPDATE: u8 = 0x0c;
}

/// A packet for the host being written, indicator first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packet(Vec<u8>);

impl Packet {
    /// An event without parameters.
    pub(crate) fn event(code: u8) -> Self {
        Self(vec![indicator::EVENT, code, 0])
    }

    /// An LE event without parameters.
    pub(crate) fn le(subevent: u8) -> Self {
        Self::event(event::LE_META).u8(subevent)
    }

    /// Host data that arrived on a link.
    pub(crate) fn acl(handle: u16, start: bool, data: &[u8]) -> Self {
        let flags = if start { 0x2000 } else { 0x1000 };
        let mut packet = vec![indicator::ACL];
        packet.extend_from_slice(&(handle | flags).to_le_bytes());
        packet.extend_from_slice(&(data.len() as u16).to_le_bytes());
        packet.extend_from_slice(data);
        Self(packet)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        // No event here comes near the 255 bytes that its length field can say.
        self.0[2] = (self.0.len() - 3) as u8;
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn status(self, status: Status) -> Self {
        self.u8(status.0)
    }

    pub(crate) fn event_code(&self) -> Option<u8> {
        (self.0[0] == indicator::EVENT).then(|| self.0[1])
    }

    pub(crate) fn subevent(&self) -> Option<u8> {
        self.0.get(3).copied().filter(|_| self.event_code() == Some(event::LE_META))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads parameters whose length was checked against the command's; past the end it reads zeros.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a>(pub(crate) &'a [u8]);

impl<'a> Params<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.take(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }
}
