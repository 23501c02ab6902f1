//! What is decoded once for all who are told the same.
use super::{Decoded, Incoming};
use culvert_proto::api::google::protobuf::Any;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{Arc, Weak},
};

/// So many may be remembered before somebody looks which of them are gone.
const LEAST: usize = 256;

/// A resource as it came, and what it says.
#[derive(Clone, Debug)]
pub struct Made {
    pub name: Arc<str>,
    /// Empty of what was read from files.
    pub any: Any,
    pub decoded: Decoded,
    /// It was made of what came and of nothing else, such as files.
    pub alone: bool,
}

/// What several assemblers hold, whose bootstraps are alike; a clone is another handle of it.
///
/// It holds nothing itself: what no assembler has any more is gone.
#[derive(Clone, Debug, Default)]
pub struct Common(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By a hash of name and bytes; of two with the same, one is remembered.
    made: HashMap<u64, Weak<Made>>,
    /// With so many it is looked which are gone.
    full: usize,
}

impl Common {
    /// What somebody has made of the same bytes.
    pub(super) fn find(&self, incoming: &Incoming) -> Option<Arc<Made>> {
        let Incoming { name, any, .. } = incoming;
        let hash = self.hash(name, any);
        let made = self.0.known.lock().made.get(&hash).and_then(Weak::upgrade)?;
        (made.name == *name && made.any == *any).then_some(made)
    }

    /// Has it found by others, if it would be the same with them.
    pub(super) fn remember(&self, made: &Arc<Made>) {
        if !made.alone {
            return;
        }
        let hash = self.hash(&made.name, &made.any);
        let mut known = self.0.known.lock();
        if known.full <= known.made.len() {
            known.made.retain(|_, made| 0 < made.strong_count());
            known.full = LEAST.max(known.made.len() * 2);
        }
        known.made.insert(hash, Arc::downgrade(made));
    }

    /// Before anybody has to wait: resources may be large.
    fn hash(&self, name: &str, any: &Any) -> u64 {
        self.0.hasher.hash_one((name, &any.type_url, &any.value))
    }
}
