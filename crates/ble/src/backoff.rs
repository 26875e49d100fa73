//! How long pairing rests after it failed.
//!
//! trouble-host lets a peer try as often as it likes, and six digits do not last against that. The rest is one for all
//! peers, as an address costs an attacker nothing, and it doubles: 1 s, 2 s, 4 s … 10 min. At that pace a year of trying
//! finds a random passkey with a chance of one in twenty. Peers with a bond are not concerned: they do not pair.

use embassy_time::{Duration, Instant};

/// The rest after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST: Duration = Duration::from_secs(600);

/// Counts failed pairings and says when the next one may start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    next: Option<(Instant, Duration)>,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: None }
    }

    /// What is left of the rest at `now`; `None` once a pairing may start.
    pub(crate) fn rest(&self, now: Instant) -> Option<Duration> {
        self.next.and_then(|(until, _)| until.checked_duration_since(now)).filter(|rest| *rest > Duration::MIN)
    }

    /// A pairing failed at `now`: the rest it brings.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        let rest = self.next.map_or(FIRST, |(_, last)| last.checked_add(last).unwrap_or(LONGEST).min(LONGEST));
        self.next = now.checked_add(rest).map(|until| (until, rest));
        rest
    }

    /// A passkey was right: whoever is at it can read our display.
    pub(crate) fn succeeded(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_doubles_up_to_ten_minutes_and_success_ends_it() {
        let mut backoff = Backoff::new();
        let mut now = Instant::from_secs(100);
        assert_eq!(backoff.rest(now), None);
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
            assert_eq!(backoff.failed(now), Duration::from_secs(expected));
            assert_eq!(backoff.rest(now), Some(Duration::from_secs(expected)));
            assert_eq!(backoff.rest(now + Duration::from_secs(expected)), None);
            now += Duration::from_secs(expected);
        }
        backoff.succeeded();
        assert_eq!(backoff.rest(now), None);
        assert_eq!(backoff.failed(now), FIRST);
    }
}
