//! Repeated measurements of one thing.

use std::time::Duration;

/// Times of one thing, measured again and again.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Duration>);

impl Series {
    /// One more, kept in order.
    pub fn add(&mut self, time: Duration) {
        let at = self.0.partition_point(|before| *before <= time);
        self.0.insert(at, time);
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one in the middle, or the mean of the two. Zero if there is none, as are the other two.
    #[must_use]
    pub fn median(&self) -> Duration {
        let middle = |at: usize| self.0.get(at).copied().unwrap_or_default();
        match self.0.len() {
            0 => Duration::ZERO,
            odd if odd % 2 == 1 => middle(odd / 2),
            even => (middle(even / 2 - 1) + middle(even / 2)) / 2,
        }
    }

    /// The smallest.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.0.first().copied().unwrap_or_default()
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    /// "median (smallest to largest)" in milliseconds.
    #[must_use]
    pub fn ms(&self) -> String {
        let ms = |time: Duration| {
            let ms = time.as_secs_f64() * 1e3;
            if ms < 100.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
        };
        format!("{} ({} to {})", ms(self.median()), ms(self.min()), ms(self.max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(ms: &[u64]) -> Series {
        let mut series = Series::default();
        ms.iter().for_each(|ms| series.add(Duration::from_millis(*ms)));
        series
    }

    #[test]
    fn median_is_in_the_middle_whatever_the_order() {
        assert_eq!(series(&[30, 10, 20]).ms(), "20.0 (10.0 to 30.0)");
        assert_eq!(series(&[400, 10, 30, 20]).ms(), "25.0 (10.0 to 400)");
        assert_eq!(series(&[7]).ms(), "7.0 (7.0 to 7.0)");
        assert_eq!(Series::default().median(), Duration::ZERO);
    }
}
