//! Chance by seed: the same seed, purpose and number always throw the same.

use sha2::{Digest, Sha256};

/// A number that looks like chance.
pub(crate) fn roll(seed: u64, purpose: &str, n: u64) -> u64 {
    let hash = Sha256::digest(format!("{seed}/{purpose}/{n}").as_bytes());
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether something of so many per mille happens.
pub(crate) fn happens(seed: u64, purpose: &str, n: u64, per_mille: u16) -> bool {
    roll(seed, purpose, n) % 1_000 < u64::from(per_mille)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_always_happens_happens_and_what_never_does_does_not() {
        assert!((0..100).all(|n| happens(1, "x", n, 1_000) && !happens(1, "x", n, 0)));
        let often = (0..1_000).filter(|n| happens(1, "x", *n, 300)).count();
        assert!((250..350).contains(&often), "{often}");
    }
}
