//! Numbers of an engine, under Envoy's names, made when first used.
//!
//! Reading order: [`tag`] (the parts of a name that vary), [`handle`] (a counter, a gauge),
//! [`histogram`], [`late`] (those that exist from their first use on), [`codes`] (answers by
//! status), [`sample`] (what is asked, and what is there), and how that is written: [`text`],
//! [`json`], [`prometheus`].
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::Ordering},
};

use parking_lot::Mutex;

pub mod tag;

pub mod handle;

pub mod histogram;

pub mod late;

pub mod codes;

pub mod sample;

pub mod text;

pub mod json;

pub mod prometheus;

mod number;

pub use self::{
    handle::{Counter, Gauge, Raised},
    histogram::Histogram,
    late::Late,
    tag::Tag,
};

/// All numbers of one engine; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Mutex<HashMap<Arc<str>, Arc<Place>>>>);

/// Where names begin in the same way; cheap to clone, and kept by whoever counts there.
#[derive(Clone)]
pub struct Scope {
    all: Stats,
    place: Arc<Place>,
}

/// The numbers of one scope.
#[derive(Debug, Default)]
struct Place {
    /// What their names begin with, the dot included.
    prefix: Arc<str>,
    /// The same without the values of `tags`.
    bare: Arc<str>,
    /// The outermost first.
    tags: Arc<[Tag]>,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    counters: HashMap<Box<str>, Counter>,
    gauges: HashMap<Box<str>, Gauge>,
    histograms: HashMap<Box<str>, Histogram>,
}

impl Stats {
    /// Where names begin with nothing.
    #[must_use]
    pub fn root(&self) -> Scope {
        self.enter(Place::default())
    }

    /// `part.VALUE.`
    #[must_use]
    pub fn scope(&self, part: &str, tag: Tag) -> Scope {
        let Tag { name, value } = tag;
        self.root().tagged(part, name, &value)
    }

    /// Begins all counters anew.
    pub fn reset_counters(&self) {
        for place in self.places() {
            for counter in place.made.lock().counters.values() {
                counter.0.value.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Forgets what nobody holds and what has not changed since the last time.
    pub fn expire(&self) {
        for place in self.places() {
            let mut made = place.made.lock();
            made.counters.retain(|_, one| one.0.has_changed() || 1 < Arc::strong_count(&one.0));
            made.gauges.retain(|_, one| one.0.has_changed() || 1 < Arc::strong_count(&one.0));
            made.histograms.retain(|_, one| one.0.has_changed() || 1 < Arc::strong_count(&one.0));
        }
        // Of an unheld place only this table has a share; nobody can take one but under this lock.
        self.0.lock().retain(|_, place| {
            let made = place.made.lock();
            let empty = made.counters.is_empty() && made.gauges.is_empty();
            1 < Arc::strong_count(place) || !(empty && made.histograms.is_empty())
        });
    }

    fn places(&self) -> Vec<Arc<Place>> {
        self.0.lock().values().map(Arc::clone).collect()
    }

    fn enter(&self, place: Place) -> Scope {
        let mut places = self.0.lock();
        let place = places.entry(Arc::clone(&place.prefix)).or_insert_with(|| Arc::new(place));
        Scope { all: self.clone(), place: Arc::clone(place) }
    }
}

impl Scope {
    /// Whether both are the same place.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.place, &other.place)
    }

    /// The counter of this name, made if there is none.
    #[must_use]
    pub fn counter(&self, name: &str) -> Counter {
        of(&mut self.place.made.lock().counters, name)
    }

    #[must_use]
    pub fn gauge(&self, name: &str) -> Gauge {
        of(&mut self.place.made.lock().gauges, name)
    }

    #[must_use]
    pub fn histogram(&self, name: &str) -> Histogram {
        of(&mut self.place.made.lock().histograms, name)
    }

    /// One that exists from its first use on.
    #[must_use]
    pub fn late<T>(&self, name: &'static str) -> Late<T> {
        Late::new(self.clone(), name)
    }

    /// `part.`
    #[must_use]
    pub fn scope(&self, part: &str) -> Self {
        let part = tag::sanitize(part);
        let add = |prefix: &str| Arc::from(format!("{prefix}{part}."));
        self.enter(add(&self.place.prefix), add(&self.place.bare), Arc::clone(&self.place.tags))
    }

    /// `part.VALUE.`, or `VALUE.` where the part is empty.
    #[must_use]
    pub fn tagged(&self, part: &str, name: &'static str, value: &str) -> Self {
        let Place { prefix, bare, tags, made: _ } = &*self.place;
        let dot = if part.is_empty() { "" } else { "." };
        let value = tag::sanitize(value);
        let tag = Tag { name, value: Arc::from(&*value) };
        self.enter(
            Arc::from(format!("{prefix}{part}{dot}{value}.")),
            Arc::from(format!("{bare}{part}{dot}")),
            tags.iter().cloned().chain([tag]).collect(),
        )
    }

    fn enter(&self, prefix: Arc<str>, bare: Arc<str>, tags: Arc<[Tag]>) -> Self {
        self.all.enter(Place { prefix, bare, tags, made: Mutex::default() })
    }
}

fn of<T: Clone + Default>(made: &mut HashMap<Box<str>, T>, name: &str) -> T {
    if let Some(one) = made.get(name) {
        return one.clone();
    }
    made.entry(Box::from(name)).or_default().clone()
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.place.prefix).finish()
    }
}

#[cfg(test)]
mod tests;
