//! What is asked of the numbers, and what is there.
use std::sync::Arc;

use culvert_telemetry::metrics::requests::BUCKETS;
use regex::Regex;

use super::{Place, Stats, Tag, histogram::Distribution, tag};

/// Which numbers.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What their names contain; in full, as text shows them.
    pub filter: Option<Regex>,
    /// Those that do not match instead.
    pub inverted: bool,
    /// Only what was ever written.
    pub used_only: bool,
    pub kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counters,
    Gauges,
    Histograms,
}

/// How histograms are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Quantiles.
    #[default]
    Summary,
    /// Values up to the end of each bucket.
    Cumulative,
    /// Values in each bucket.
    Disjoint,
}

/// All that was asked for, sorted by name.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    pub counters: Vec<Sample<u64>>,
    pub gauges: Vec<Sample<u64>>,
    pub histograms: Vec<Sample<Distribution>>,
}

/// One number.
#[derive(Clone, Debug)]
pub struct Sample<T> {
    pub name: String,
    place: Arc<Place>,
    pub value: T,
}

impl Stats {
    /// What is there now.
    #[must_use]
    pub fn samples(&self, query: &Query) -> Samples {
        let wants = |kind| query.kind.is_none_or(|wanted| wanted == kind);
        let (counters, gauges, histograms) =
            (wants(Kind::Counters), wants(Kind::Gauges), wants(Kind::Histograms));
        let mut samples = Samples::default();
        for place in self.places() {
            let made = place.made.lock();
            let take = |leaf: &str, used| query.takes(&place, leaf, used);
            for (leaf, one) in made.counters.iter().filter(|_| counters) {
                let taken = take(leaf, one.0.is_used());
                samples.counters.extend(taken.map(|sample| sample.of(one.value())));
            }
            for (leaf, one) in made.gauges.iter().filter(|_| gauges) {
                let taken = take(leaf, one.0.is_used());
                samples.gauges.extend(taken.map(|sample| sample.of(one.value())));
            }
            for (leaf, one) in made.histograms.iter().filter(|_| histograms) {
                let value = one.distribution();
                let taken = take(leaf, value.count != 0);
                samples.histograms.extend(taken.map(|sample| sample.of(value)));
            }
        }
        sort(&mut samples.counters);
        sort(&mut samples.gauges);
        sort(&mut samples.histograms);
        samples
    }
}

impl Query {
    /// The name under which a number is shown, if it is.
    fn takes(&self, place: &Arc<Place>, leaf: &str, used: bool) -> Option<Sample<()>> {
        if self.used_only && !used {
            return None;
        }
        let name = format!("{}{leaf}", place.prefix);
        let wanted = self.filter.as_ref().is_none_or(|one| one.is_match(&name) != self.inverted);
        wanted.then(|| Sample { name, place: Arc::clone(place), value: () })
    }
}

impl Sample<()> {
    fn of<T>(self, value: T) -> Sample<T> {
        Sample { name: self.name, place: self.place, value }
    }
}

impl<T> Sample<T> {
    /// The name without what varies in it, and that, the innermost first.
    #[must_use]
    pub fn bare(&self) -> (String, Vec<(&'static str, &str)>) {
        let leaf = self.name.get(self.place.prefix.len()..).unwrap_or_default();
        let (leaf, tag) = tag::of_leaf(leaf);
        let outer = self.place.tags.iter().rev().map(|Tag { name, value }| (*name, &**value));
        (format!("{}{leaf}", self.place.bare), tag.into_iter().chain(outer).collect())
    }
}

impl Shape {
    /// The buckets of a histogram; none for a summary.
    #[must_use]
    pub fn buckets(self, of: &Distribution) -> Vec<(f64, u64)> {
        let mut before = 0;
        let up_to = BUCKETS.into_iter().map(|end| (end, of.up_to(end)));
        match self {
            Self::Summary => Vec::new(),
            Self::Cumulative => up_to.collect(),
            Self::Disjoint => {
                up_to.map(|(end, all)| (end, all - std::mem::replace(&mut before, all))).collect()
            }
        }
    }
}

fn sort<T>(samples: &mut [Sample<T>]) {
    samples.sort_unstable_by(|a, b| a.name.cmp(&b.name));
}
