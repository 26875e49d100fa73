//! Date and time as the OS group writes them.

use crate::Text;
use core::fmt;

/// A date and time of day, without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime {
    /// 1900 to 11899.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to the month's last day.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999.
    pub millisecond: u16,
}

/// Why a text is no date and time. `at` counts bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateTimeError {
    /// Too short or too long.
    #[error("a date and time has 19 to 32 characters, this has {found}")]
    Length {
        /// Bytes there are.
        found: usize,
    },
    /// A digit is missing.
    #[error("a digit was expected at character {at} of the date and time, as in 2026-02-28T13:05:00")]
    NotADigit {
        /// Where.
        at: usize,
    },
    /// A field is out of its range.
    #[error("{found} at character {at} of the date and time is not within {least} to {most}")]
    OutOfRange {
        /// Where the field starts.
        at: usize,
        /// Its value.
        found: u16,
        /// The least it may be.
        least: u16,
        /// The most it may be.
        most: u16,
    },
}

/// Reads fields one after the other.
struct Fields<'a> {
    text: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    /// A number of `digits` or more digits, at most `longest`, within a range.
    fn number(&mut self, digits: usize, longest: usize, least: u16, most: u16) -> Result<u16, DateTimeError> {
        let start = self.at;
        let mut found: u16 = 0;
        while self.at.saturating_sub(start) < longest {
            let Some(digit) = self.text.get(self.at).copied().filter(u8::is_ascii_digit) else { break };
            found = found.saturating_mul(10).saturating_add(u16::from(digit & 0x0f));
            self.at = self.at.saturating_add(1);
        }
        if self.at.saturating_sub(start) < digits {
            return Err(DateTimeError::NotADigit { at: self.at });
        }
        if (least..=most).contains(&found) {
            Ok(found)
        } else {
            Err(DateTimeError::OutOfRange { at: start, found, least, most })
        }
    }

    /// Any one character and then a number of two digits.
    fn next(&mut self, least: u16, most: u16) -> Result<u8, DateTimeError> {
        self.at = self.at.saturating_add(1);
        self.number(2, 2, least, most).map(|n| u8::try_from(n).unwrap_or(u8::MAX))
    }
}

impl DateTime {
    /// Reads `2026-02-28T13:05:00`: six fields in this order with any one character between them. A fraction of a
    /// second is read to the millisecond, a time zone after it ignored, as servers do.
    ///
    /// # Errors
    /// [`DateTimeError`], which says where.
    pub fn parse(text: &str) -> Result<Self, DateTimeError> {
        if !(19..=32).contains(&text.len()) {
            return Err(DateTimeError::Length { found: text.len() });
        }
        let mut fields = Fields { text: text.as_bytes(), at: 0 };
        let year = fields.number(4, 5, 1900, 11899)?;
        let month = fields.next(1, 12)?;
        let day = fields.next(1, u16::from(days_in(year, month)))?;
        let (hour, minute, second) = (fields.next(0, 23)?, fields.next(0, 59)?, fields.next(0, 59)?);
        let millisecond = milliseconds(text.as_bytes().get(fields.at..).unwrap_or_default());
        Ok(Self { year, month, day, hour, minute, second, millisecond })
    }

    /// The text `2026-02-28T13:05:00`, with `.007` after it where there are milliseconds.
    #[must_use]
    pub fn to_text(&self) -> Text<32> {
        Text::of(self)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if *millisecond == 0 { Ok(()) } else { write!(f, ".{millisecond:03}") }
    }
}

/// The last day of a month.
const fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The milliseconds of `.123…`; 0 of anything else.
fn milliseconds(fraction: &[u8]) -> u16 {
    let Some((b'.', digits)) = fraction.split_first() else { return 0 };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).copied();
    let thousandths = digits.chain(core::iter::repeat(b'0')).take(3);
    thousandths.fold(0_u16, |n, digit| n.saturating_mul(10).saturating_add(u16::from(digit & 0x0f)))
}

#[cfg(test)]
mod tests;
