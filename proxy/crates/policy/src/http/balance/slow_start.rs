//! Endpoints that are new get little at first.
use std::time::Duration;

use culvert_model::http::{balance::SlowStart, runtime::RuntimeValues};

use crate::http::chance;

/// A slow start, with what the runtime says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    window: Duration,
    aggression: f64,
    least: f64,
}

impl Ramp {
    pub(super) fn new(slow_start: &SlowStart, runtime: &RuntimeValues) -> Self {
        Self {
            window: slow_start.window,
            aggression: chance::number(&slow_start.aggression, runtime),
            least: slow_start.min_weight / 100.0,
        }
    }

    /// Whether an endpoint that is there since then is still new.
    pub(super) fn is_new(&self, since: Duration, now: Duration) -> bool {
        now.saturating_sub(since) < self.window
    }

    /// What of its weight an endpoint has that is there since then.
    pub(super) fn share(&self, since: Duration, now: Duration) -> f64 {
        if !self.is_new(since, now) {
            return 1.0;
        }
        let age = now.saturating_sub(since).max(Duration::from_millis(1));
        let time = age.as_secs_f64() / self.window.as_secs_f64();
        let share = if self.aggression > 0.0 { time.powf(1.0 / self.aggression) } else { time };
        share.max(self.least).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use culvert_model::http::{balance::SlowStart, runtime::RuntimeValues};

    use super::Ramp;

    #[test]
    fn weight_grows_with_time_from_a_least_share() {
        let ramp = |aggression: f64| {
            let slow_start = SlowStart {
                window: Duration::from_secs(60),
                aggression: aggression.into(),
                min_weight: 10.0,
            };
            Ramp::new(&slow_start, &RuntimeValues::default())
        };
        let at = |aggression, seconds| {
            let since = Duration::from_secs(100);
            ramp(aggression).share(since, since + Duration::from_secs(seconds))
        };
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-6, "{found}");
        near(at(1.0, 0), 0.1);
        near(at(1.0, 30), 0.5);
        near(at(1.0, 60), 1.0);
        near(at(2.0, 15), 0.5);
        near(at(0.5, 30), 0.25);
        near(at(1.0, 6000), 1.0);
    }
}
