//! Numbers of interleaved rounds.

/// How many rounds are played; each plays every side once.
pub(crate) const ROUNDS: usize = 5;

/// The middle one, which a single disturbed round does not move.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.get(half), sorted.len() % 2) {
        (Some(&middle), 1) => middle,
        (Some(&upper), _) => {
            sorted.get(half - 1).map_or(upper, |&lower| f64::midpoint(lower, upper))
        }
        (None, _) => f64::NAN,
    }
}

/// The largest.
pub(crate) fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(best(&[3.0, 1.0]), 3.0);
    }
}
