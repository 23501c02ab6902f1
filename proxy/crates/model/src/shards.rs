//! A map of which a changed copy shares what did not change.
use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

/// So many that a change of one of 10,000 entries copies 40.
const SHARDS: usize = 256;

/// Many small hash maps; a clone costs one counter, a change of a clone one of the small maps.
#[derive(Clone, Debug)]
pub struct Shards<K, V> {
    hasher: RandomState,
    /// [`SHARDS`] of them, or none.
    shards: Arc<[Arc<Shard<K, V>>]>,
    len: usize,
}

type Shard<K, V> = HashMap<K, V, RandomState>;

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: Arc::default(), len: 0 }
    }
}

impl<K: Hash + Eq, V> Shards<K, V> {
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards.get(self.place(key))?.get(key)
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// In no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both are one and the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shards, &other.shards) || self.len + other.len == 0
    }

    /// The keys of `self` and `other` whose values are not the same in both, by `are_same`.
    ///
    /// What both share is not looked at.
    pub fn differences<'a>(
        &'a self,
        other: &'a Self,
        are_same: impl Fn(&V, &V) -> bool,
    ) -> Vec<&'a K> {
        let is_same =
            |key: &K, value: &V| other.get(key).is_some_and(|theirs| are_same(value, theirs));
        let ours = self.own(other).filter(|(key, value)| !is_same(key, value));
        let theirs = other.own(self).filter(|(key, _)| self.get(*key).is_none());
        ours.chain(theirs).map(|(key, _)| key).collect()
    }

    /// What is in small maps that `other` does not share.
    fn own<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a K, &'a V)> {
        let beside = other.shards.iter().map(Some).chain(std::iter::repeat(None));
        let own = self
            .shards
            .iter()
            .zip(beside)
            .filter(|(shard, beside)| beside.is_none_or(|beside| !Arc::ptr_eq(shard, beside)));
        own.flat_map(|(shard, _)| shard.iter())
    }

    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        // A small map takes its place from the low bits and its tag from the high ones.
        let hash = self.hasher.hash_one(key).to_le_bytes();
        usize::from(hash[4]) % SHARDS
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.shard(&key).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        // Nothing is copied for what is not there.
        self.get(key)?;
        let before = self.shard(key).remove(key);
        self.len -= usize::from(before.is_some());
        before
    }

    /// The small map `key` belongs to, not shared with any copy.
    fn shard<Q: Hash + ?Sized>(&mut self, key: &Q) -> &mut Shard<K, V> {
        if self.shards.is_empty() {
            let empty = Arc::new(Shard::with_hasher(self.hasher.clone()));
            self.shards = std::iter::repeat_n(empty, SHARDS).collect();
        }
        let place = self.place(key);
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[place])
    }
}

/// Whatever way they are spread.
impl<K: Hash + Eq, V: PartialEq> PartialEq for Shards<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Hash + Eq, V: Eq> Eq for Shards<K, V> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_a_map_of_which_copies_do_not_change(
            changes in proptest::collection::vec((any::<u8>(), any::<Option<u16>>()), 0..200),
            copied in 0_usize..200,
        ) {
            let (mut ours, mut model) = (Shards::default(), HashMap::new());
            let mut copy = None;
            for (at, (key, value)) in changes.into_iter().enumerate() {
                if at == copied {
                    copy = Some((ours.clone(), model.clone()));
                }
                match value {
                    Some(value) => prop_assert_eq!(ours.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(ours.remove(&key), model.remove(&key)),
                }
            }
            if let Some((before, before_model)) = &copy {
                let mut differ: Vec<u8> =
                    ours.differences(before, |a, b| a == b).into_iter().copied().collect();
                differ.sort_unstable();
                let differs = |key: &u8| model.get(key) != before_model.get(key);
                let all: Vec<u8> = (0..=u8::MAX).filter(differs).collect();
                prop_assert_eq!(differ, all);
            }
            for (ours, model) in copy.into_iter().chain([(ours, model)]) {
                prop_assert_eq!(ours.len(), model.len());
                let all: HashMap<u8, u16> = ours.iter().map(|(k, v)| (*k, *v)).collect();
                prop_assert_eq!(all, model);
            }
        }
    }
}
