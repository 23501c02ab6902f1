//! Which of many selectors choose a workload.
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A workload's labels.
pub(super) type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// What must be there, label by label; without any, everything is chosen.
pub(super) type Selector = BTreeMap<String, String>;

/// Selectors, and what they stand for, by namespace.
///
/// Each is kept by one of its labels, so that a workload is compared with few of them.
#[derive(Debug)]
pub(super) struct Selectors<K> {
    by_namespace: HashMap<Arc<str>, Of<K>>,
}

/// Selectors by the value of one of their labels.
type ByValue<K> = HashMap<String, Vec<(K, Arc<Selector>)>>;

#[derive(Debug)]
struct Of<K> {
    by_label: HashMap<String, ByValue<K>>,
    /// Those without labels.
    everything: Vec<K>,
}

impl<K> Default for Selectors<K> {
    fn default() -> Self {
        Self { by_namespace: HashMap::new() }
    }
}

impl<K: Clone + Ord> Selectors<K> {
    pub(super) fn insert(&mut self, namespace: &Arc<str>, key: K, selector: &Arc<Selector>) {
        let of = self
            .by_namespace
            .entry(Arc::clone(namespace))
            .or_insert_with(|| Of { by_label: HashMap::new(), everything: Vec::new() });
        let Some((label, value)) = selector.last_key_value() else {
            return of.everything.push(key);
        };
        let values = of.by_label.entry(label.clone()).or_default();
        values.entry(value.clone()).or_default().push((key, Arc::clone(selector)));
    }

    pub(super) fn remove(&mut self, namespace: &str, key: &K, selector: &Selector) {
        let Some(of) = self.by_namespace.get_mut(namespace) else { return };
        let Some((label, value)) = selector.last_key_value() else {
            return of.everything.retain(|one| one != key);
        };
        let Some(values) = of.by_label.get_mut(label) else { return };
        if let Some(all) = values.get_mut(value) {
            all.retain(|(one, _)| one != key);
            if all.is_empty() {
                values.remove(value);
            }
        }
        if values.is_empty() {
            of.by_label.remove(label);
        }
    }

    /// What chooses a workload with `labels`, in order.
    pub(super) fn choosing(&self, namespace: &str, labels: &Labels<'_>) -> Vec<K> {
        let Some(of) = self.by_namespace.get(namespace) else { return Vec::new() };
        let candidates = labels.iter().filter_map(|(label, value)| {
            of.by_label.get(*label).and_then(|values| values.get(*value))
        });
        let chosen = candidates.flatten().filter(|(_, selector)| chooses(selector, labels));
        let mut all: Vec<K> = chosen.map(|(key, _)| key.clone()).collect();
        all.extend(of.everything.iter().cloned());
        all.sort_unstable();
        all
    }
}

/// Whether all labels of `selector` are there.
fn chooses(selector: &Selector, labels: &Labels<'_>) -> bool {
    selector.iter().all(|(label, value)| labels.get(&**label) == Some(&&**value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels() -> impl Strategy<Value = Selector> {
        prop::collection::btree_map("[a-c]", "[xy]", 0..3)
    }

    proptest! {
        /// Kept by one label each, they choose what comparing with all of them chooses.
        #[test]
        fn choosing_is_comparing_with_all(
            selectors in prop::collection::vec(labels(), 0..8), wanted in labels(), gone in 0..8_usize,
        ) {
            let namespace = Arc::from("shop");
            let mut index = Selectors::default();
            let selectors: Vec<_> = selectors.into_iter().map(Arc::new).collect();
            for (key, selector) in selectors.iter().enumerate() {
                index.insert(&namespace, key, selector);
            }
            if let Some(selector) = selectors.get(gone) {
                index.remove("shop", &gone, selector);
            }
            let labels: Labels<'_> = wanted.iter().map(|(k, v)| (&**k, &**v)).collect();
            let expect: Vec<_> = (0..selectors.len())
                .filter(|key| *key != gone && chooses(&selectors[*key], &labels))
                .collect();
            prop_assert_eq!(index.choosing("shop", &labels), expect);
            prop_assert!(index.choosing("bank", &labels).is_empty());
        }
    }
}
