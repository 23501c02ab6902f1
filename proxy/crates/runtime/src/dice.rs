//! Luck, for waits, choices and names; no keys.
use std::hash::{BuildHasher as _, RandomState};

/// 64 random bits that nobody outside can guess.
pub fn dice() -> u64 {
    // Its keys are the system's randomness, and differ for each.
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_throw_is_another() {
        let throws: std::collections::HashSet<_> = (0..1000).map(|_| dice()).collect();
        assert_eq!(throws.len(), 1000);
    }
}
