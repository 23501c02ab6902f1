//! Who needs a resource.
use super::Key;
use std::collections::BTreeSet;

/// Endpoints are needed by one cluster, a secret may be by all.
#[derive(Clone, Debug)]
pub(super) enum Parents {
    One(Key),
    Many(BTreeSet<Key>),
}

impl Parents {
    pub(super) fn add(&mut self, key: &Key) {
        match self {
            Self::One(only) if only == key => {}
            Self::One(only) => *self = Self::Many([only.clone(), key.clone()].into()),
            Self::Many(all) => {
                all.insert(key.clone());
            }
        }
    }

    /// Whether there is nobody else.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        match self {
            Self::One(only) => only == key,
            Self::Many(all) => {
                all.remove(key);
                all.is_empty()
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        let (one, many) = match self {
            Self::One(only) => (Some(only), None),
            Self::Many(all) => (None, Some(all)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
