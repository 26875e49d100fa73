use core::time::Duration;

/// How long flash is busy.
///
/// Figures are the typical ones of the data sheets: nRF52840 85 ms for a 4 KiB page and 41 µs for a 32-bit word;
/// nRF54L15 (RRAM, nothing to erase) 22 µs for a 32-bit word, and an erase is a write of the erased value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timing {
    /// Never busy.
    #[default]
    Instant,
    /// Nordic nRF52840, internal flash.
    Nrf52840,
    /// Nordic nRF54L15, RRAM.
    Nrf54l15,
}

impl Timing {
    /// How long a write of `len` bytes keeps the flash busy.
    #[must_use]
    pub fn write(self, len: usize) -> Duration {
        let words = u64::try_from(len.div_ceil(4)).unwrap_or(u64::MAX);
        let micros: u64 = match self {
            Self::Instant => 0,
            Self::Nrf52840 => 41,
            Self::Nrf54l15 => 22,
        };
        Duration::from_micros(micros.saturating_mul(words))
    }

    /// How long the erase of a sector of `len` bytes keeps the flash busy.
    #[must_use]
    pub fn erase(self, len: u32) -> Duration {
        match self {
            Self::Instant => Duration::ZERO,
            Self::Nrf52840 => Duration::from_micros(85_000).saturating_mul(len.div_ceil(4096)),
            Self::Nrf54l15 => self.write(usize::try_from(len).unwrap_or(usize::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_as_long_as_the_data_sheets_say() {
        let page = |timing: Timing| (timing.erase(4096), timing.write(4096));
        assert_eq!(page(Timing::Instant), (Duration::ZERO, Duration::ZERO));
        assert_eq!(page(Timing::Nrf52840), (Duration::from_millis(85), Duration::from_micros(41_984)));
        assert_eq!(page(Timing::Nrf54l15), (Duration::from_micros(22_528), Duration::from_micros(22_528)));
    }

    #[test]
    fn a_write_shorter_than_a_word_takes_a_word() {
        assert_eq!(Timing::Nrf52840.write(1), Duration::from_micros(41));
        assert_eq!(Timing::Nrf52840.write(0), Duration::ZERO);
    }
}
