//! Distributions, as Envoy keeps them: values to two significant digits.
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// 10…99 of each power of ten.
const STEPS: usize = 90;

/// Powers of ten of a `u64`, from ones.
const DECADES: usize = 20;

/// Shares of all values below which a quantile lies, in percent.
pub const QUANTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// How often which values came.
#[derive(Clone, Debug, Default)]
pub struct Histogram(pub(super) Arc<Bins>);

/// Room for counts is made as values come: most histograms see two powers of ten.
#[derive(Debug, Default)]
pub(super) struct Bins {
    zeros: AtomicU64,
    sum: AtomicU64,
    seen: AtomicU64,
    decades: [OnceLock<Box<[AtomicU64; STEPS]>>; DECADES],
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    pub count: u64,
    pub sum: u64,
    /// The smallest first.
    pub bins: Vec<Bin>,
}

/// Values from `from`, less than `from + width`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    pub from: f64,
    pub width: f64,
    pub count: u64,
}

impl Histogram {
    pub fn record(&self, value: u64) {
        let Bins { zeros, sum, seen: _, decades } = &*self.0;
        sum.fetch_add(value, Relaxed);
        if value == 0 {
            zeros.fetch_add(1, Relaxed);
            return;
        }
        let (decade, step) = place(value);
        if let Some(cells) = decades.get(decade) {
            let cells = cells.get_or_init(|| Box::new([const { AtomicU64::new(0) }; STEPS]));
            if let Some(cell) = cells.get(step) {
                cell.fetch_add(1, Relaxed);
            }
        }
    }

    #[must_use]
    pub fn distribution(&self) -> Distribution {
        self.0.distribution()
    }
}

/// Which power of ten, and how many tenths of it over ten.
fn place(value: u64) -> (usize, usize) {
    let power = value.ilog10();
    // Two digits: 7 is 70 tenths, 123 is 12 tens.
    let digits = match power {
        0 => value * 10,
        power => value / 10_u64.pow(power - 1),
    };
    let step = usize::try_from(digits.saturating_sub(10)).unwrap_or(usize::MAX);
    (usize::try_from(power).unwrap_or(usize::MAX).min(DECADES - 1), step.min(STEPS - 1))
}

impl Bins {
    pub(super) fn has_changed(&self) -> bool {
        let count = self.distribution().count;
        self.seen.swap(count, Relaxed) != count
    }

    fn distribution(&self) -> Distribution {
        let mut bins = Vec::new();
        let zeros = self.zeros.load(Relaxed);
        if zeros != 0 {
            bins.push(Bin { from: 0.0, width: 0.0, count: zeros });
        }
        for (power, cells) in (0_i32..).zip(&self.decades) {
            let width = 10_f64.powi(power - 1);
            let cells = cells.get().into_iter().flat_map(|cells| (10_u32..).zip(&**cells));
            let counts = cells.map(|(digits, cell)| (f64::from(digits), cell.load(Relaxed)));
            bins.extend(counts.filter(|(_, count)| *count != 0).map(|(digits, count)| {
                // Three tenths times ten is not three.
                let from = if power == 0 { digits / 10.0 } else { digits * width };
                Bin { from, width, count }
            }));
        }
        let count = bins.iter().map(|bin| bin.count).sum();
        Distribution { count, sum: self.sum.load(Relaxed), bins }
    }
}

impl Distribution {
    /// The value that a share of all values does not exceed; `None` without values.
    ///
    /// Values of one bin are taken to be spread over it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts beyond 2^52 are not met")]
    pub fn quantile(&self, percent: f64) -> Option<f64> {
        let wanted = (percent / 100.0 * self.count as f64).ceil().max(1.0);
        let mut before = 0_u64;
        for bin in &self.bins {
            let within = wanted - before as f64;
            if within <= bin.count as f64 {
                return Some(bin.from + bin.width * within / (bin.count as f64 + 1.0));
            }
            before += bin.count;
        }
        None
    }

    /// How many values are at most this; exact for ends that have two digits.
    #[must_use]
    pub fn up_to(&self, end: f64) -> u64 {
        self.bins.iter().take_while(|bin| bin.from <= end).map(|bin| bin.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_telemetry::metrics::requests::BUCKETS;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram.distribution()
    }

    #[test]
    fn quantiles_are_those_of_envoy() {
        // Seen of an Envoy 1.40 with these values.
        let near = |values: &[u64], percent: f64, wanted: f64| {
            let got = of(values).quantile(percent).unwrap();
            assert!((got - wanted).abs() < 1e-9, "{values:?} P{percent}: {got}, not {wanted}");
        };
        for (percent, wanted) in
            [(0.0, 1.05), (25.0, 1.05), (50.0, 4.05), (75.0, 5.05), (100.0, 5.05)]
        {
            near(&[1, 4, 5], percent, wanted);
        }
        for (percent, wanted) in [(0.0, 1.025), (50.0, 1.05), (75.0, 1.075), (99.9, 1.075)] {
            near(&[1, 1, 1], percent, wanted);
        }
        near(&[1; 6], 75.0, 1.071_428_571_428_571_4);
        near(&[19], 50.0, 19.5);
        near(&[0, 0, 0], 100.0, 0.0);
        assert_eq!(of(&[]).quantile(50.0), None);
    }

    #[test]
    fn the_greatest_value_has_a_place() {
        assert_eq!(of(&[u64::MAX, 1]).count, 2);
    }

    proptest! {
        #[test]
        fn buckets_count_what_does_not_exceed_them(values in prop::collection::vec(0..5_000_000_u64, 0..50)) {
            let seen = of(&values);
            prop_assert_eq!(seen.count, u64::try_from(values.len()).unwrap());
            prop_assert_eq!(seen.sum, values.iter().sum::<u64>());
            for end in BUCKETS.into_iter().filter(|end| 1.0 <= *end) {
                // The bin that begins at the end holds what is up to a tenth of it greater.
                let at_most = values.iter().filter(|value| (**value as f64) <= end).count();
                let in_bin = values.iter().filter(|value| (**value as f64) < end * 1.1).count();
                let got = usize::try_from(seen.up_to(end)).unwrap();
                prop_assert!((at_most..=in_bin).contains(&got), "{end}: {got}");
            }
        }

        #[test]
        fn each_value_is_in_its_bin(value in 1..u64::MAX) {
            let seen = of(&[value]);
            let bin = seen.bins[0];
            let value = value as f64;
            prop_assert!(bin.from <= value * 1.000_001 && value < (bin.from + bin.width) * 1.000_001);
        }
    }
}
