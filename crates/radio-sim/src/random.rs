//! Chance on the air, and numbers that must not be guessed.

use crate::medium::Entropy;

/// A reproducible sequence (SplitMix64): what happens on the air, never what keys are made from outside of tests.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// True with the given probability. A probability of zero takes no number from the sequence.
    pub(crate) fn hits(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.next() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }

    /// Anything below `limit`, which is above zero.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Where secrets come from.
#[derive(Debug)]
pub(crate) enum Secrets {
    Os,
    Seeded(Dice),
}

impl Secrets {
    pub(crate) const fn new(entropy: Entropy) -> Self {
        match entropy {
            Entropy::Os => Self::Os,
            Entropy::Seeded(seed) => Self::Seeded(Dice::new(seed)),
        }
    }

    /// Random bytes; `None` if the operating system has none to give.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self {
            Self::Os => getrandom::fill(&mut bytes).ok()?,
            Self::Seeded(dice) => {
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&dice.next().to_le_bytes()[..chunk.len()]);
                }
            }
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_the_operating_system_does_not() {
        let draw = |entropy| Secrets::new(entropy).bytes::<12>();
        assert_eq!(draw(Entropy::Seeded(7)), draw(Entropy::Seeded(7)));
        assert_ne!(draw(Entropy::Seeded(7)), draw(Entropy::Seeded(8)));
        assert_ne!(draw(Entropy::Os), draw(Entropy::Os));
    }

    #[test]
    fn hits_come_as_often_as_asked() {
        let mut dice = Dice::new(3);
        let hits = (0..10_000).filter(|_| dice.hits(0.05)).count();
        assert!((400..600).contains(&hits), "{hits} of 10000");
        assert!(!dice.hits(0.0) && dice.hits(1.0));
    }
}
