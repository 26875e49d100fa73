//! Bonds: what two devices remember of each other, and where it is kept.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;

use thiserror::Error;
use trouble_host::{BondInformation, Identity, IdentityResolvingKey, LongTermKey};

use crate::address::{Address, AddressKind};
use crate::security::Security;

/// Bonds a device or client keeps. One more and the oldest goes.
pub const BONDS: usize = 8;

/// What is remembered of one peer: plain data, to be stored in any way ([`to_bytes`](Self::to_bytes) is one).
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores build it from what they read")]
pub struct BondRecord {
    /// The peer's identity address.
    pub peer: Address,
    /// The key that resolves the peer's private addresses, if it gave one; least significant byte first.
    pub irk: Option<[u8; 16]>,
    /// The long term key, least significant byte first.
    pub ltk: [u8; 16],
    /// How the key came about.
    pub security: Security,
}

impl BondRecord {
    /// Bytes of a record as [`to_bytes`](Self::to_bytes) writes it.
    pub const SIZE: usize = 40;
    const FORMAT: u8 = 1;
    const RANDOM: u8 = 1;
    const AUTHENTICATED: u8 = 2;
    const HAS_IRK: u8 = 4;

    /// The record as bytes: format 1, flags (1 random address, 2 authenticated, 4 IRK present), address (most significant
    /// byte first), LTK, IRK or zeros.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut flags = 0;
        if self.peer.kind() == AddressKind::Random {
            flags |= Self::RANDOM;
        }
        if self.security == Security::Authenticated {
            flags |= Self::AUTHENTICATED;
        }
        if self.irk.is_some() {
            flags |= Self::HAS_IRK;
        }
        let parts = [&[Self::FORMAT, flags][..], &self.peer.bytes(), &self.ltk, &self.irk.unwrap_or_default()];
        let mut bytes = [0; Self::SIZE];
        for (byte, part) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *part;
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`NotABond`] if the bytes are of another format, such as erased flash.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Result<Self, NotABond> {
        let [format, flags, rest @ ..] = bytes;
        if *format != Self::FORMAT || flags & !(Self::RANDOM | Self::AUTHENTICATED | Self::HAS_IRK) != 0 {
            return Err(NotABond { format: *format, flags: *flags });
        }
        let broken = NotABond { format: *format, flags: *flags };
        let (address, rest) = rest.split_first_chunk().ok_or(broken)?;
        let (ltk, rest) = rest.split_first_chunk().ok_or(broken)?;
        let (irk, _) = rest.split_first_chunk().ok_or(broken)?;
        let kind = if flags & Self::RANDOM == 0 { AddressKind::Public } else { AddressKind::Random };
        Ok(Self {
            peer: Address::new(kind, *address),
            irk: (flags & Self::HAS_IRK != 0).then_some(*irk),
            ltk: *ltk,
            security: if flags & Self::AUTHENTICATED == 0 { Security::Encrypted } else { Security::Authenticated },
        })
    }

    fn identity(&self) -> Identity {
        Identity { addr: self.peer.to_host(), irk: self.irk.and_then(IdentityResolvingKey::from_le_bytes) }
    }

    pub(crate) fn from_host(bond: &BondInformation) -> Self {
        Self {
            peer: Address::from_host(bond.identity.addr),
            irk: bond.identity.irk.map(IdentityResolvingKey::to_le_bytes),
            ltk: bond.ltk.to_le_bytes(),
            security: Security::from_host(bond.security_level),
        }
    }

    pub(crate) fn to_host(self) -> BondInformation {
        BondInformation::new(self.identity(), LongTermKey::from_le_bytes(self.ltk), self.security.to_host(), true)
    }
}

/// Peer and level; the keys stay out of logs.
impl fmt::Debug for BondRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BondRecord {{ peer: {}, {}, irk: {} }}", self.peer, self.security, self.irk.is_some())
    }
}

/// Bytes that are not a stored bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a stored bond: format {format:#04x} with flags {flags:#04x}, expected format 0x01 with flags up to 0x07")]
#[non_exhaustive]
pub struct NotABond {
    /// The format byte found.
    pub format: u8,
    /// The flag byte found.
    pub flags: u8,
}

/// Where bonds survive a reboot. The caller owns it; `run` futures call it one operation at a time.
pub trait BondStore {
    /// Why the store failed. What is told of it is only that it did: the caller's store can say more itself.
    type Error;

    /// Gives every stored record to `each`, oldest first.
    fn load(&self, each: &mut dyn FnMut(BondRecord)) -> impl Future<Output = Result<(), Self::Error>>;

    /// Stores `record`, in place of one with the same peer.
    ///
    /// # Interruption
    ///
    /// After a power cut in here either the old or the new record must be found; losing both costs the user a pairing.
    fn save(&self, record: &BondRecord) -> impl Future<Output = Result<(), Self::Error>>;

    /// Forgets the record of `peer`, if there is one.
    fn remove(&self, peer: &Address) -> impl Future<Output = Result<(), Self::Error>>;
}

/// A store in memory: bonds live as long as it does.
#[derive(Debug, Default)]
pub struct RamBonds(RefCell<heapless::Vec<BondRecord, BONDS>>);

impl RamBonds {
    /// No bonds.
    pub const fn new() -> Self {
        Self(RefCell::new(heapless::Vec::new()))
    }

    /// Calls `each` with every record.
    pub fn for_each(&self, each: impl FnMut(&BondRecord)) {
        self.0.borrow().iter().for_each(each);
    }
}

impl BondStore for RamBonds {
    type Error = core::convert::Infallible;

    async fn load(&self, each: &mut dyn FnMut(BondRecord)) -> Result<(), Self::Error> {
        self.0.borrow().iter().for_each(|record| each(*record));
        Ok(())
    }

    async fn save(&self, record: &BondRecord) -> Result<(), Self::Error> {
        let mut records = self.0.borrow_mut();
        records.retain(|known| known.peer != record.peer);
        if records.is_full() {
            records.remove(0);
        }
        // There is room now.
        let _ = records.push(*record);
        Ok(())
    }

    async fn remove(&self, peer: &Address) -> Result<(), Self::Error> {
        self.0.borrow_mut().retain(|known| known.peer != *peer);
        Ok(())
    }
}

/// The bonds in force, oldest first. trouble-host has a table of its own that any peer's pairing overwrites: this one is
/// the truth, and that one is put right from it.
#[derive(Debug, Default)]
pub(crate) struct BondTable(heapless::Vec<BondRecord, BONDS>);

/// What became of a new bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is kept; the bond that had to make room for it, if any, is not.
    Kept { instead_of: Option<BondRecord> },
    /// A better one of the same peer stays.
    KnownBetter,
}

impl BondTable {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &BondRecord> {
        self.0.iter()
    }

    /// The bond with `peer`, whichever of its addresses that is.
    pub(crate) fn of(&self, peer: &Identity) -> Option<&BondRecord> {
        self.0.iter().find(|record| record.identity().match_identity(peer))
    }

    /// Takes in a new bond, unless it is worth less than the one there is: a peer that pairs without a passkey must not
    /// take the place of one that had it.
    pub(crate) fn admit(&mut self, record: BondRecord) -> Admission {
        let identity = record.identity();
        if self.of(&identity).is_some_and(|known| known.security > record.security) {
            return Admission::KnownBetter;
        }
        let mut instead_of = self.take(&identity).filter(|old| old.peer != record.peer);
        if self.0.is_full() {
            instead_of = Some(self.0.remove(0));
        }
        // There is room now.
        let _ = self.0.push(record);
        Admission::Kept { instead_of }
    }

    /// Forgets the bond with `peer`.
    fn take(&mut self, peer: &Identity) -> Option<BondRecord> {
        let index = self.0.iter().position(|record| record.identity().match_identity(peer))?;
        Some(self.0.remove(index))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    fn record(last: u8, security: Security) -> BondRecord {
        BondRecord { peer: Address::random_static([0xc0, 0, 0, 0, 0, last]), irk: None, ltk: [last; 16], security }
    }

    #[test]
    fn a_record_reads_back_from_its_bytes() {
        let mut with_irk = record(7, Security::Authenticated);
        with_irk.irk = Some([9; 16]);
        let public = BondRecord {
            peer: Address::new(AddressKind::Public, [1, 2, 3, 4, 5, 6]),
            ..record(8, Security::Encrypted)
        };
        for record in [with_irk, public] {
            assert_eq!(BondRecord::from_bytes(&record.to_bytes()), Ok(record));
            assert_eq!(BondRecord::from_host(&record.to_host()), record);
        }
        assert_eq!(with_irk.to_bytes()[..8], [1, 7, 0xc0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn erased_flash_is_not_a_bond() {
        let error = BondRecord::from_bytes(&[0xff; BondRecord::SIZE]).unwrap_err();
        insta::assert_snapshot!(error, @"not a stored bond: format 0xff with flags 0xff, expected format 0x01 with flags up to 0x07");
    }

    #[test]
    fn keys_stay_out_of_logs() {
        insta::assert_snapshot!(format!("{:?}", record(7, Security::Authenticated)), @"BondRecord { peer: C0:00:00:00:00:07, encrypted and authenticated, irk: false }");
    }

    #[test]
    fn a_weaker_bond_does_not_replace_a_stronger_one() {
        let mut table = BondTable::new();
        assert_eq!(table.admit(record(1, Security::Authenticated)), Admission::Kept { instead_of: None });
        let weak = BondRecord { ltk: [9; 16], ..record(1, Security::Encrypted) };
        assert_eq!(table.admit(weak), Admission::KnownBetter);
        let claims_the_irk = BondRecord { peer: weak.peer, irk: Some([3; 16]), ..weak };
        assert_eq!(table.admit(claims_the_irk), Admission::KnownBetter);
        assert_eq!(table.of(&weak.identity()).unwrap().ltk, [1; 16]);
        let anew = BondRecord { ltk: [5; 16], ..record(1, Security::Authenticated) };
        assert_eq!(table.admit(anew), Admission::Kept { instead_of: None });
        assert_eq!(table.iter().count(), 1);
    }

    #[test]
    fn the_oldest_bond_makes_room() {
        let mut table = BondTable::new();
        for last in 0..BONDS as u8 {
            assert_eq!(table.admit(record(last, Security::Authenticated)), Admission::Kept { instead_of: None });
        }
        let oldest = record(0, Security::Authenticated);
        assert_eq!(table.admit(record(99, Security::Authenticated)), Admission::Kept { instead_of: Some(oldest) });
        assert_eq!(table.of(&oldest.identity()), None);
        assert_eq!(table.iter().count(), BONDS);
    }
}
