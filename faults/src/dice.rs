//! Chance by seed: the same seed and purpose always throw the same.

/// A source of numbers that look like chance (splitmix64, <https://prng.di.unimi.it/splitmix64.c>, public domain).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice for a purpose; those of two purposes have nothing to do with each other.
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a over the purpose, so that `payments/1` and `payments/2` start far apart.
        let start = purpose.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut dice = Self(start);
        dice.throw();
        dice
    }

    /// The next number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound` - 1; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.throw().checked_rem(bound).unwrap_or(0)
    }

    /// Whether something of so many per mille happens.
    pub fn happens(&mut self, per_mille: u16) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }

    /// An index into a slice of this length; 0 for an empty one.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or(u64::MAX))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throws(seed: u64, purpose: &str) -> Vec<u64> {
        let mut dice = Dice::new(seed, purpose);
        (0..8).map(|_| dice.throw()).collect()
    }

    #[test]
    fn a_seed_and_a_purpose_repeat_and_others_differ() {
        assert_eq!(throws(1, "a"), throws(1, "a"));
        assert_ne!(throws(1, "a"), throws(2, "a"));
        assert_ne!(throws(1, "a"), throws(1, "b"));
    }

    #[test]
    fn rates_are_kept_and_bounds_too() {
        let mut dice = Dice::new(7, "rates");
        let often = (0..10_000).filter(|_| dice.happens(100)).count();
        assert!((850..1_150).contains(&often), "{often}");
        assert!((0..1_000).all(|_| !dice.happens(0) && dice.happens(1_000) && dice.below(3) < 3 && dice.below(0) == 0));
    }
}
