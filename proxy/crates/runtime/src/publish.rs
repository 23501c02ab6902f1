//! One writer, many readers: the state a worker reads, replaced whole.
use arc_swap::ArcSwap;
use std::{fmt, num::NonZeroU64, sync::Arc};
use tokio::sync::watch;

/// Names one published value.
///
/// Grows by one per publish; never zero, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(NonZeroU64);

/// A value and its generation.
#[derive(Debug)]
pub struct Published<T> {
    pub generation: Generation,
    pub value: T,
}

/// The writing end; there is one.
#[derive(Debug)]
pub struct Publisher<T> {
    cell: Arc<ArcSwap<Published<T>>>,
    published: watch::Sender<Generation>,
}

/// The reading end; one per reader, cheap to clone.
#[derive(Debug)]
pub struct View<T> {
    cell: Arc<ArcSwap<Published<T>>>,
    published: watch::Receiver<Generation>,
}

/// Makes the pair, with `first` as [`Generation::FIRST`].
pub fn channel<T>(first: T) -> (Publisher<T>, View<T>) {
    let first = Published { generation: Generation::FIRST, value: first };
    let cell = Arc::new(ArcSwap::from_pointee(first));
    let (tx, rx) = watch::channel(Generation::FIRST);
    (Publisher { cell: Arc::clone(&cell), published: tx }, View { cell, published: rx })
}

impl Generation {
    /// The generation every reader starts with.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        // At a thousand publishes a second this saturates in 584 million years.
        Self(self.0.saturating_add(1))
    }

    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<T> Publisher<T> {
    /// Replaces the value; readers that pinned the old one keep it until they are done.
    pub fn publish(&mut self, value: T) -> Generation {
        let generation = self.generation().next();
        self.cell.store(Arc::new(Published { generation, value }));
        // After the store, so that a reader woken by this finds the new value.
        self.published.send_replace(generation);
        generation
    }

    /// What was published last.
    pub fn generation(&self) -> Generation {
        self.cell.load().generation
    }
}

impl<T> View<T> {
    /// The value of this moment.
    ///
    /// Pin once per connection and pass it down: two pins may see two worlds.
    pub fn pin(&self) -> Arc<Published<T>> {
        self.cell.load_full()
    }

    /// Looks at the value of this moment without keeping it: cheaper than a pin, where it is done
    /// for each request.
    pub fn look<R>(&self, at: impl FnOnce(&Published<T>) -> R) -> R {
        at(&self.cell.load())
    }

    /// Waits until there is something newer than `seen`; `None` when the publisher is gone.
    ///
    /// Values published in between are skipped, the newest never.
    /// Cancel safe.
    pub async fn newer_than(&mut self, seen: Generation) -> Option<Arc<Published<T>>> {
        // Only tells that it is time to look: the guard is released before the value is read.
        drop(self.published.wait_for(|published| seen < *published).await.ok()?);
        Some(self.pin())
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), published: self.published.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_reader_wakes_to_the_newest_value() {
        let (mut publisher, mut view) = channel("first");
        let first = view.pin();
        publisher.publish("second");
        let third = publisher.publish("third");
        let seen = view.newer_than(first.generation).await.unwrap();
        assert_eq!((seen.generation, seen.value), (third, "third"));
        assert_eq!(first.value, "first", "a pin does not change");
    }

    #[tokio::test]
    async fn the_last_value_is_seen_though_the_publisher_is_gone() {
        let (mut publisher, mut view) = channel(1);
        publisher.publish(2);
        drop(publisher);
        let seen = view.newer_than(Generation::FIRST).await.unwrap();
        assert_eq!(seen.value, 2);
        assert!(view.newer_than(seen.generation).await.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let (mut publisher, mut view) = channel(1);
        let waits = async { view.newer_than(Generation::FIRST).await.map(|p| p.value) };
        let publishes = async { publisher.publish(2) };
        assert_eq!(tokio::join!(waits, publishes).0, Some(2));
    }

    proptest! {
        #[test]
        fn generations_grow_by_one_and_belong_to_their_value(values in prop::collection::vec(any::<u8>(), 0..20)) {
            let (mut publisher, view) = channel(0);
            for (i, value) in (2..).zip(values) {
                prop_assert_eq!(publisher.publish(value).number(), i);
                let pinned = view.pin();
                prop_assert_eq!((pinned.generation.number(), pinned.value), (i, value));
            }
        }
    }
}
