//! Device addresses, as people write them and as trouble-host keeps them.

use core::fmt;

use bt_hci::param::{AddrKind, BdAddr};
use thiserror::Error;

/// Whether an address was assigned (IEEE) or chosen (static or private random).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "Core, Vol 6 Part B 1.3 knows these two kinds")]
pub enum AddressKind {
    /// A public device address.
    Public,
    /// A random device address.
    Random,
}

/// A Bluetooth device address: 48 bits and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    bytes: [u8; 6],
    kind: AddressKind,
}

impl Address {
    /// An address from its bytes in the order people write them, most significant first.
    pub const fn new(kind: AddressKind, bytes: [u8; 6]) -> Self {
        Self { bytes, kind }
    }

    /// The static random address made of these bytes: the two topmost bits are set, as Core, Vol 6 Part B 1.3.2.1 wants.
    pub const fn random_static(mut bytes: [u8; 6]) -> Self {
        bytes[0] |= 0xc0;
        Self { bytes, kind: AddressKind::Random }
    }

    /// The bytes, most significant first.
    pub const fn bytes(&self) -> [u8; 6] {
        self.bytes
    }

    /// Public or random.
    pub const fn kind(&self) -> AddressKind {
        self.kind
    }

    pub(crate) fn from_host(address: trouble_host::Address) -> Self {
        Self::from_hci(address.kind, address.addr)
    }

    pub(crate) fn from_hci(kind: AddrKind, address: BdAddr) -> Self {
        let mut bytes = address.into_inner();
        bytes.reverse();
        // The controller reports an identity it resolved as kind 2 or 3: the low bit says public or random.
        let kind = if kind.as_raw() & 1 == 0 { AddressKind::Public } else { AddressKind::Random };
        Self { bytes, kind }
    }

    pub(crate) fn to_host(self) -> trouble_host::Address {
        let mut bytes = self.bytes;
        bytes.reverse();
        let kind = match self.kind {
            AddressKind::Public => AddrKind::PUBLIC,
            AddressKind::Random => AddrKind::RANDOM,
        };
        trouble_host::Address::new(kind, BdAddr::new(bytes))
    }
}

/// `C0:01:02:03:04:05`
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.bytes;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

/// Why a text is not a device address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a Bluetooth address: six pairs of hex digits with colons between them are, like C0:01:02:03:04:05")]
#[non_exhaustive]
pub struct NotAnAddress;

/// The six bytes of an address in text, most significant first: text does not say of which kind it is.
///
/// # Errors
///
/// [`NotAnAddress`] if `text` is anything but six pairs of hex digits with colons between them.
pub fn parse_address(text: &str) -> Result<[u8; 6], NotAnAddress> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2).ok_or(NotAnAddress)?;
        if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotAnAddress);
        }
        *byte = u8::from_str_radix(part, 16).map_err(|_| NotAnAddress)?;
    }
    if parts.next().is_some() { Err(NotAnAddress) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        let address = Address::random_static(parse_address("C0:01:02:0a:04:Ff").unwrap());
        assert_eq!(address.to_string(), "C0:01:02:0A:04:FF");
        assert_eq!(Address::from_host(address.to_host()), address);
        assert_eq!(address.to_host().addr.into_inner(), [0xff, 0x04, 0x0a, 0x02, 0x01, 0xc0]);
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        for text in
            ["", "C0:01:02:0A:04", "C0:01:02:0A:04:05:06", "C0:01:02:0A:04:+5", "C001020A0405", "C0:1:02:0A:04:05"]
        {
            assert_eq!(parse_address(text), Err(NotAnAddress), "{text}");
        }
        insta::assert_snapshot!(NotAnAddress, @"not a Bluetooth address: six pairs of hex digits with colons between them are, like C0:01:02:03:04:05");
    }

    #[test]
    fn a_resolved_identity_is_the_same_address() {
        let bytes = BdAddr::new([1, 2, 3, 4, 5, 0xc6]);
        assert_eq!(
            Address::from_hci(AddrKind::RESOLVABLE_PRIVATE_OR_RANDOM, bytes),
            Address::from_hci(AddrKind::RANDOM, bytes)
        );
    }
}
