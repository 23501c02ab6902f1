//! Endpoints that fail far more often than the others, or than they may.
use culvert_model::http::outlier::Outlier;

use super::Cause;

/// How often requests of an interval succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    good: u64,
    all: u64,
}

impl Window {
    pub const fn count(&mut self, good: bool) {
        self.good += good as u64;
        self.all += 1;
    }

    /// What was counted; the count begins anew.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Per cent that succeeded, if there were so many requests at least.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn rate(self, volume: u32) -> Option<f64> {
        (self.all > 0 && self.all >= u64::from(volume))
            .then(|| 100.0 * self.good as f64 / self.all as f64)
    }
}

/// Whom the rates of an interval condemn, by their places.
///
/// Below the mean by so many standard deviations; or failing at least so often. Each only where
/// enough endpoints had enough requests.
#[must_use]
pub fn by_rate(windows: &[Window], local: bool, config: &Outlier) -> Vec<(usize, Cause)> {
    let rates = |volume: u32| -> Vec<(usize, f64)> {
        let all = windows.iter().enumerate();
        all.filter_map(|(at, window)| Some((at, window.rate(volume)?))).collect()
    };
    let enough = |rates: &[(usize, f64)], minimum: u32| {
        !rates.is_empty() && u32::try_from(rates.len()).is_ok_and(|count| count >= minimum)
    };
    let mut found = Vec::new();
    let wanted = &config.success_rate;
    let all = rates(wanted.request_volume);
    if enough(&all, wanted.minimum_hosts) {
        let threshold = threshold(&all, wanted.stdev_factor);
        let cause = if local { Cause::SuccessRateLocal } else { Cause::SuccessRate };
        found.extend(all.iter().filter(|(_, rate)| *rate < threshold).map(|(at, _)| (*at, cause)));
    }
    let wanted = &config.failure_percentage;
    let all = rates(wanted.request_volume);
    if enough(&all, wanted.minimum_hosts) {
        let cause = if local { Cause::FailurePercentageLocal } else { Cause::FailurePercentage };
        let failing = all.iter().filter(|(_, rate)| 100.0 - rate >= f64::from(wanted.threshold));
        found.extend(failing.map(|(at, _)| (*at, cause)));
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "counts of endpoints")]
fn threshold(rates: &[(usize, f64)], stdev_factor: u32) -> f64 {
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    mean - variance.sqrt() * f64::from(stdev_factor) / 1000.0
}

#[cfg(test)]
mod tests {
    use culvert_model::http::outlier::Outlier;

    use super::{Cause, Window, by_rate};

    fn windows(good: &[u64], all: u64) -> Vec<Window> {
        good.iter().map(|good| Window { good: *good, all }).collect()
    }

    #[test]
    fn far_below_the_others_is_out() {
        let config = Outlier::default();
        let found = by_rate(&windows(&[200, 200, 200, 200, 100], 200), false, &config);
        assert_eq!(found, [(4, Cause::SuccessRate)]);
        assert!(by_rate(&windows(&[200, 200, 200, 100], 200), false, &config).is_empty());
        assert!(
            by_rate(&windows(&[99, 99, 99, 99, 0], 99), false, &config)
                .iter()
                .all(|(_, cause)| *cause != Cause::SuccessRate)
        );
    }

    #[test]
    fn failing_too_often_is_out_whatever_the_others_do() {
        let found = by_rate(&windows(&[9, 9, 9, 9, 60], 60), true, &Outlier::default());
        let failing: Vec<_> =
            found.iter().filter(|(_, c)| *c == Cause::FailurePercentageLocal).collect();
        assert_eq!(failing.len(), 4);
    }
}
