//! How long to wait for an answer before taking it for lost.

/// Round-trip time, smoothed (RFC 6298 §2, in milliseconds), and the back-off of repeated losses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    /// Smoothed round-trip time × 8; `None` until the first answer.
    smoothed_x8: Option<u32>,
    /// Mean deviation × 4.
    deviation_x4: u32,
    /// Losses in a row without progress.
    losses: u32,
}

impl Rtt {
    pub(crate) const fn new() -> Self {
        Self { smoothed_x8: None, deviation_x4: 0, losses: 0 }
    }

    /// Takes in one measured round trip.
    pub(crate) fn measured(&mut self, ms: u32) {
        let Some(smoothed) = self.smoothed_x8 else {
            self.smoothed_x8 = Some(ms.saturating_mul(8));
            self.deviation_x4 = ms.saturating_mul(2);
            return;
        };
        let off = ms.abs_diff(smoothed >> 3);
        self.deviation_x4 = self.deviation_x4.saturating_sub(self.deviation_x4 >> 2).saturating_add(off);
        self.smoothed_x8 = Some(smoothed.saturating_sub(smoothed >> 3).saturating_add(ms));
    }

    /// An answer was taken for lost: waits double, at most eightfold, until there is progress.
    pub(crate) fn lost(&mut self) {
        self.losses = self.losses.saturating_add(1).min(3);
    }

    /// There was progress: waits are normal again.
    pub(crate) fn progressed(&mut self) {
        self.losses = 0;
    }

    /// Milliseconds to wait for an answer sent for now.
    pub(crate) fn timeout(&self) -> u32 {
        let base = match self.smoothed_x8 {
            None => UNMEASURED_MS,
            // At least four round trips: what waits in the device's queue ahead of this one takes its time too.
            Some(smoothed) => {
                let smoothed = smoothed >> 3;
                smoothed
                    .saturating_add(self.deviation_x4)
                    .max(smoothed.saturating_mul(4))
                    .clamp(SHORTEST_MS, LONGEST_MS)
            }
        };
        (base << self.losses).min(LONGEST_MS)
    }
}

const UNMEASURED_MS: u32 = 2_500;
const SHORTEST_MS: u32 = 500;
const LONGEST_MS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_then_the_wait_is_the_customary_one() {
        assert_eq!(Rtt::new().timeout(), 2_500);
    }

    #[test]
    fn steady_round_trips_then_the_wait_is_four_of_them_within_bounds() {
        for (rtt_ms, wait) in [(1, 500), (100, 500), (300, 1_200), (4_000, 10_000)] {
            let mut rtt = Rtt::new();
            (0..100).for_each(|_| rtt.measured(rtt_ms));
            assert_eq!(rtt.timeout(), wait, "{rtt_ms} ms");
        }
    }

    #[test]
    fn losses_in_a_row_then_the_wait_doubles_up_to_eightfold_until_progress() {
        let mut rtt = Rtt::new();
        rtt.measured(10);
        let waits = [(); 5].map(|()| {
            rtt.lost();
            rtt.timeout()
        });
        assert_eq!(waits, [1_000, 2_000, 4_000, 4_000, 4_000]);
        rtt.progressed();
        assert_eq!(rtt.timeout(), 500);
    }
}
