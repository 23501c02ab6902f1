//! How many connections each endpoint of a service has by us.
use culvert_model::name::WorkloadUid;
use culvert_policy::balance::Load;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// How many entries are kept before those without connections are looked for.
const FEW: usize = 64;

/// Open connections by endpoint.
#[derive(Debug, Default)]
pub(crate) struct Loads(Mutex<Counts>);

/// One connection to an endpoint, counted while it lives.
#[derive(Clone, Debug)]
#[must_use = "it counts until it is dropped"]
pub(crate) struct Counted {
    _one: Arc<()>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Each connection holds one more of its endpoint's.
    of: HashMap<WorkloadUid, Arc<()>>,
    /// With so many entries it is time to look.
    full: usize,
}

impl Loads {
    /// Counts one more to `uid`.
    pub(crate) fn count(&self, uid: &WorkloadUid) -> Counted {
        let mut counts = self.0.lock();
        if counts.full.max(FEW) <= counts.of.len() {
            counts.of.retain(|_, count| 1 < Arc::strong_count(count));
            counts.full = 2 * counts.of.len();
        }
        Counted { _one: Arc::clone(counts.of.entry(uid.clone()).or_default()) }
    }
}

impl Load for Loads {
    fn open(&self, uid: &WorkloadUid) -> u32 {
        let counts = self.0.lock();
        let held = counts.of.get(uid).map_or(0, |count| Arc::strong_count(count) - 1);
        u32::try_from(held).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_open_and_forgets_the_rest() {
        let loads = Loads::default();
        let uid = |at: usize| WorkloadUid::new(at.to_string());
        let held = [loads.count(&uid(0)), loads.count(&uid(0))];
        assert_eq!((loads.open(&uid(0)), loads.open(&uid(1))), (2, 0));
        (1..=3 * FEW).for_each(|at| drop(loads.count(&uid(at))));
        assert!(loads.0.lock().of.len() <= FEW);
        assert_eq!(loads.open(&uid(0)), 2);
        drop(held);
        assert_eq!(loads.open(&uid(0)), 0);
    }
}
