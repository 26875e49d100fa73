//! The record at the start of an image's payload that says how the virtual application behaves.
//!
//! An update changes what runs: after the swap the device reads this record from the image that the loader booted,
//! and runs *that* application. The record is [`Record::LEN`] bytes at payload offset 0 (the byte after the image
//! header), integers little-endian:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic `"otaruapp"` |
//! | 8 | 1 | record version, 1 |
//! | 9 | 1 | self-test: 0 passes, 1 fails, 2 hangs |
//! | 10 | 1 | access: 0 open, 1 encrypted, 2 authenticated |
//! | 11 | 1 | bit 0: confirms itself after a passed self-test; other bits 0 |
//! | 12 | 1 | length of the name in bytes, 0 to 32 |
//! | 13 | 3 | 0 |
//! | 16 | 32 | name, UTF-8, filled up with zeros |
//!
//! A payload without the magic, such as any bytes signed with imgtool, behaves as [`Record::default`]: its self-test
//! passes, it asks for `authenticated` and does not confirm itself.

use otaru_ble::Access;

const MAGIC: [u8; 8] = *b"otaruapp";
const VERSION: u8 = 1;
const NAME_MAX: usize = 32;

/// What an application's self-test does when it runs on trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfTest {
    /// Ends well.
    #[default]
    Pass,
    /// Finds a fault: the application resets itself, unconfirmed.
    Fail,
    /// Never ends: the watchdog resets the device.
    Hang,
}

/// The name of an application: at most 32 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// `text` as a name.
    ///
    /// # Errors
    /// [`RecordError::LongName`] for more than 32 bytes.
    pub fn new(text: &str) -> Result<Self, RecordError> {
        if text.len() > NAME_MAX {
            return Err(RecordError::LongName { found: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How one virtual application behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The application's name; empty for a payload without a record.
    pub name: Name,
    /// What its self-test does.
    pub self_test: SelfTest,
    /// What it asks of links that can be secured; links without any security (UDP, serial) have their own policy.
    pub access: Access,
    /// Whether it confirms itself once its self-test has passed.
    pub confirms_itself: bool,
}

/// Why bytes with the record's magic are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The payload ends inside the record.
    #[error("payload record needs {} bytes, the payload has {found}", Record::LEN)]
    Truncated {
        /// Bytes of payload.
        found: usize,
    },
    /// A field holds a value that this version of the record does not define.
    #[error("payload record has {found:#04x} at offset {offset}, which version {VERSION} does not define")]
    Undefined {
        /// Bytes from the start of the payload.
        offset: usize,
        /// The byte there.
        found: u8,
    },
    /// The name is not UTF-8.
    #[error("name in payload record is not UTF-8 after {valid} bytes")]
    NotText {
        /// Bytes of the name that are text.
        valid: usize,
    },
    /// The name does not fit the record.
    #[error("name of {found} bytes does not fit the {NAME_MAX} bytes of a payload record")]
    LongName {
        /// Bytes of the name.
        found: usize,
    },
}

impl Default for Record {
    fn default() -> Self {
        Self { name: Name::default(), self_test: SelfTest::Pass, access: Access::Authenticated, confirms_itself: false }
    }
}

impl Record {
    /// Bytes of an encoded record.
    pub const LEN: usize = 48;

    /// An application of this name that otherwise behaves as one without a record.
    ///
    /// # Errors
    /// [`RecordError::LongName`] for more than 32 bytes.
    pub fn named(name: &str) -> Result<Self, RecordError> {
        Ok(Self { name: Name::new(name)?, ..Self::default() })
    }

    /// The record at the start of `payload`, or the default one if it does not start with the magic.
    ///
    /// # Errors
    /// The magic is there, but what follows is not a record of version 1.
    pub fn parse(payload: &[u8]) -> Result<Self, RecordError> {
        if !payload.starts_with(&MAGIC) {
            return Ok(Self::default());
        }
        let Some(record) = payload.first_chunk::<{ Self::LEN }>() else {
            return Err(RecordError::Truncated { found: payload.len() });
        };
        let undefined = |offset: usize| RecordError::Undefined { offset, found: record[offset] };
        if record[8] != VERSION {
            return Err(undefined(8));
        }
        let self_test = match record[9] {
            0 => SelfTest::Pass,
            1 => SelfTest::Fail,
            2 => SelfTest::Hang,
            _ => return Err(undefined(9)),
        };
        let access = match record[10] {
            0 => Access::Open,
            1 => Access::Encrypted,
            2 => Access::Authenticated,
            _ => return Err(undefined(10)),
        };
        let confirms_itself = match record[11] {
            0 => false,
            1 => true,
            _ => return Err(undefined(11)),
        };
        let name = record[16..].get(..usize::from(record[12])).ok_or_else(|| undefined(12))?;
        if let Some(offset) = (13..16).find(|&at| record[at] != 0) {
            return Err(undefined(offset));
        }
        let name = str::from_utf8(name).map_err(|error| RecordError::NotText { valid: error.valid_up_to() })?;
        Ok(Self { name: Name::new(name)?, self_test, access, confirms_itself })
    }

    /// The record as bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&MAGIC);
        out[8] = VERSION;
        out[9] = match self.self_test {
            SelfTest::Pass => 0,
            SelfTest::Fail => 1,
            SelfTest::Hang => 2,
        };
        out[10] = match self.access {
            Access::Open => 0,
            Access::Encrypted => 1,
            Access::Authenticated => 2,
        };
        out[11] = u8::from(self.confirms_itself);
        let name = self.name.0.as_bytes();
        // At most 32.
        out[12] = name.len() as u8;
        out[16..16 + name.len()].copy_from_slice(name);
        out
    }

    /// A payload of `size` bytes (at least the record's) that starts with this record. What follows it is a fixed
    /// pattern without long runs, so that a misplaced sector shows and a transfer is not flattered by compression.
    #[must_use]
    pub fn payload(&self, size: usize) -> Vec<u8> {
        let mut out = self.emit().to_vec();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        out.resize_with(size.max(Self::LEN), || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let mut all = Vec::new();
        for self_test in [SelfTest::Pass, SelfTest::Fail, SelfTest::Hang] {
            for access in [Access::Open, Access::Encrypted, Access::Authenticated] {
                for confirms_itself in [false, true] {
                    for name in ["", "lock", "schlüssel 2.0", "0123456789abcdef0123456789abcdef"] {
                        let name = Name::new(name).unwrap();
                        all.push(Record { name, self_test, access, confirms_itself });
                    }
                }
            }
        }
        all
    }

    #[test]
    fn every_record_round_trips_and_every_prefix_of_it_is_refused() {
        for record in records() {
            let bytes = record.emit();
            assert_eq!(Record::parse(&bytes), Ok(record.clone()));
            assert_eq!(Record::parse(&record.payload(1000)), Ok(record));
            for len in MAGIC.len()..Record::LEN {
                assert_eq!(Record::parse(&bytes[..len]), Err(RecordError::Truncated { found: len }));
            }
        }
    }

    #[test]
    fn bytes_are_as_documented() {
        let record = Record {
            self_test: SelfTest::Hang,
            access: Access::Encrypted,
            confirms_itself: true,
            ..Record::named("lock").unwrap()
        };
        let mut expected =
            *b"otaruapp\x01\x02\x01\x01\x04\0\0\0lock\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(record.emit(), expected);
        expected[14] = 7;
        assert_eq!(Record::parse(&expected), Err(RecordError::Undefined { offset: 14, found: 7 }));
    }

    #[test]
    fn a_payload_without_the_magic_is_the_default_application() {
        for payload in [&b""[..], b"otaruap", b"\x7fELF", &[0xff; 100]] {
            assert_eq!(Record::parse(payload), Ok(Record::default()));
        }
        let default = Record::default();
        assert_eq!(
            (default.self_test, default.access, default.confirms_itself),
            (SelfTest::Pass, Access::Authenticated, false)
        );
    }

    #[test]
    fn undefined_values_are_refused_with_their_place() {
        for (offset, value) in [(8, 2), (9, 3), (10, 3), (11, 2), (12, 33), (13, 1), (15, 0xff)] {
            let mut bytes = Record::default().emit();
            bytes[offset] = value;
            assert_eq!(Record::parse(&bytes), Err(RecordError::Undefined { offset, found: value }));
        }
        let mut bytes = Record::named("ab").unwrap().emit();
        bytes[17] = 0xff;
        assert_eq!(Record::parse(&bytes), Err(RecordError::NotText { valid: 1 }));
        assert_eq!(Record::named(&"x".repeat(33)), Err(RecordError::LongName { found: 33 }));
    }

    #[test]
    fn errors_are_sentences_with_numbers() {
        insta::assert_snapshot!(RecordError::Truncated { found: 20 }, @"payload record needs 48 bytes, the payload has 20");
        insta::assert_snapshot!(RecordError::Undefined { offset: 9, found: 3 }, @"payload record has 0x03 at offset 9, which version 1 does not define");
        insta::assert_snapshot!(RecordError::NotText { valid: 1 }, @"name in payload record is not UTF-8 after 1 bytes");
        insta::assert_snapshot!(RecordError::LongName { found: 33 }, @"name of 33 bytes does not fit the 32 bytes of a payload record");
    }
}
