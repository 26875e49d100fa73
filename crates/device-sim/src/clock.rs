//! A real-time clock: unset at first, then running with the device's time, through its resets.

use embassy_time::Instant;
use otaru_smp::DateTime;
use std::cell::Cell;

/// A clock that somebody has to set.
#[derive(Debug, Default)]
pub(crate) struct Clock(Cell<Option<Setting>>);

/// What it was set to, in milliseconds since 1970, and when that was.
#[derive(Clone, Copy, Debug)]
struct Setting {
    millis: i64,
    at: Instant,
}

const DAY: i64 = 86_400_000;

impl Clock {
    pub(crate) fn set(&self, to: DateTime) {
        let time = [(to.hour, 3_600_000), (to.minute, 60_000), (to.second, 1000)];
        let millis: i64 = time.into_iter().map(|(n, unit)| i64::from(n) * unit).sum();
        let millis = days(to) * DAY + millis + i64::from(to.millisecond);
        self.0.set(Some(Setting { millis, at: Instant::now() }));
    }

    pub(crate) fn get(&self) -> Option<DateTime> {
        let Setting { millis, at } = self.0.get()?;
        let now = millis.saturating_add_unsigned(at.elapsed().as_millis());
        let (year, month, day) = date(now.div_euclid(DAY));
        let time = now.rem_euclid(DAY);
        let field = |unit: i64, count: i64| u8::try_from(time / unit % count).unwrap_or(0);
        Some(DateTime {
            year: u16::try_from(year).ok()?,
            month,
            day,
            hour: field(3_600_000, 24),
            minute: field(60_000, 60),
            second: field(1000, 60),
            millisecond: u16::try_from(time % 1000).unwrap_or(0),
        })
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March here, so that the leap day is the last.
fn days(to: DateTime) -> i64 {
    let month = i64::from(to.month);
    let year = i64::from(to.year) - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(to.day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date so many days after 1970-01-01: year, month, day.
fn date(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let small = |n: i64| u8::try_from(n).unwrap_or(0);
    (era * 400 + year + i64::from(month <= 2), small(month), small(day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use embassy_time::{Duration, Timer};
    use otaru_sim_rt::{ClockMode, run};

    #[test]
    fn it_runs_from_what_it_was_set_to() {
        run(ClockMode::Virtual, async {
            let clock = Clock::default();
            assert_eq!(clock.get(), None);
            for (set, seconds, then) in [
                ("1999-12-31T23:59:59", 1, "2000-01-01T00:00:00"),
                ("2000-02-28T12:00:00", 86_400, "2000-02-29T12:00:00"),
                ("2100-02-28T12:00:00", 86_400, "2100-03-01T12:00:00"),
                ("2026-11-20T10:20:30.500", 3_600 * 24 * 365, "2027-11-20T10:20:30.500"),
                ("1900-01-01T00:00:00", 0, "1900-01-01T00:00:00"),
            ] {
                clock.set(DateTime::parse(set).unwrap());
                Timer::after(Duration::from_secs(seconds)).await;
                assert_eq!(clock.get(), Some(DateTime::parse(then).unwrap()), "{set} + {seconds} s");
            }
        });
    }

    #[test]
    fn every_day_of_eight_centuries_is_the_one_after_the_last() {
        let mut last = (0, 0, 0);
        for day in
            days(DateTime::parse("1900-01-01T00:00:00").unwrap())..days(DateTime::parse("2700-01-01T00:00:00").unwrap())
        {
            let (year, month, of_month) = date(day);
            assert!((year, month, of_month) > last);
            last = (year, month, of_month);
            let text = format!("{year:04}-{month:02}-{of_month:02}T00:00:00");
            assert_eq!(days(DateTime::parse(&text).unwrap()), day, "{text}");
        }
    }
}
