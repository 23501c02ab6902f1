//! Which series still belong to somebody.
use culvert_model::name::WorkloadUid;
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

/// Values by key, each kept while a workload uses it, some time longer, and while somebody else
/// holds it.
///
/// Several workloads may use one value, as the pods of a Deployment do: it goes with the last.
#[derive(Debug)]
pub(super) struct Expiry<K, V> {
    keep: Duration,
    values: HashMap<K, Arc<V>>,
    /// By the workload that uses them; `None` for connections of nobody known, which is always here.
    users: HashMap<Option<WorkloadUid>, User<K, V>>,
}

#[derive(Debug)]
struct User<K, V> {
    /// Since when it is gone.
    left: Option<Instant>,
    uses: HashMap<K, Arc<V>>,
}

impl<K: Clone + Eq + Hash, V> Expiry<K, V> {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, values: HashMap::new(), users: HashMap::new() }
    }

    /// The value if `user` is here and uses it already: the common case, which changes nothing.
    pub(super) fn held(&self, user: Option<&WorkloadUid>, key: &K) -> Option<Arc<V>> {
        // The key of the map is an `Option` by value; a clone of it is one of an `Arc`.
        let user = self.users.get(&user.cloned())?;
        if user.left.is_some() { None } else { user.uses.get(key).map(Arc::clone) }
    }

    /// The value, made when there is none; `user` uses it from now on.
    ///
    /// One that left is not here again for that, but its time starts anew.
    pub(super) fn hold(
        &mut self,
        user: Option<&WorkloadUid>,
        key: &K,
        now: Instant,
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        let value = self.values.entry(key.clone()).or_insert_with(|| Arc::new(make()));
        let user = self
            .users
            .entry(user.cloned())
            .or_insert_with(|| User { left: None, uses: HashMap::new() });
        user.left = user.left.map(|_| now);
        Arc::clone(user.uses.entry(key.clone()).or_insert_with(|| Arc::clone(value)))
    }

    /// Whether a user who may have so many values may have this one.
    fn has_room(&self, user: Option<&WorkloadUid>, key: &K, most: usize) -> bool {
        let user = self.users.get(&user.cloned());
        user.is_none_or(|user| user.uses.len() < most || user.uses.contains_key(key))
    }

    pub(super) fn forget(&mut self, user: &WorkloadUid, now: Instant) {
        if let Some(user) = self.users.get_mut(&Some(user.clone())) {
            user.left.get_or_insert(now);
        }
    }

    pub(super) fn remember(&mut self, user: &WorkloadUid) {
        if let Some(user) = self.users.get_mut(&Some(user.clone())) {
            user.left = None;
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let keep = self.keep;
        let is_here = |user: &mut User<K, V>| {
            user.left.is_none_or(|left| now.saturating_duration_since(left) < keep)
        };
        self.users.retain(|_, user| is_here(user));
        // The first count is the one of `values` itself.
        self.values.retain(|_, value| 1 < Arc::strong_count(value));
    }

    pub(super) fn all(&self) -> Vec<Arc<V>> {
        self.values.values().map(Arc::clone).collect()
    }
}

/// The same for many threads.
#[derive(Debug)]
pub(super) struct Kept<K, V>(RwLock<Expiry<K, V>>);

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    pub(super) fn new(keep: Duration) -> Self {
        Self(RwLock::new(Expiry::new(keep)))
    }

    /// The value, made when there is none; `user` uses it from now on.
    pub(super) fn hold(
        &self,
        user: Option<&WorkloadUid>,
        key: &K,
        now: Instant,
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        self.held(user, key).unwrap_or_else(|| self.0.write().hold(user, key, now, make))
    }

    /// The value if `user` is here and uses it already.
    pub(super) fn held(&self, user: Option<&WorkloadUid>, key: &K) -> Option<Arc<V>> {
        self.0.read().held(user, key)
    }

    /// Whether a user who may have so many values may have this one.
    pub(super) fn has_room(&self, user: Option<&WorkloadUid>, key: &K, most: usize) -> bool {
        self.0.read().has_room(user, key, most)
    }

    pub(super) fn forget(&self, user: &WorkloadUid, now: Instant) {
        self.0.write().forget(user, now);
    }

    pub(super) fn remember(&self, user: &WorkloadUid) {
        self.0.write().remember(user);
    }

    pub(super) fn expire(&self, now: Instant) {
        self.0.write().expire(now);
    }

    pub(super) fn all(&self) -> Vec<Arc<V>> {
        self.0.read().all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const KEEP: Duration = Duration::from_secs(300);

    fn uid(name: &str) -> WorkloadUid {
        WorkloadUid::new(name)
    }

    fn expiry() -> (Expiry<&'static str, ()>, Instant) {
        (Expiry::new(KEEP), Instant::now())
    }

    fn use_it(expiry: &mut Expiry<&'static str, ()>, user: &str, key: &'static str, now: Instant) {
        drop(expiry.hold(Some(&uid(user)), &key, now, || ()));
    }

    #[test]
    fn goes_some_time_after_its_user() {
        let (mut expiry, now) = expiry();
        use_it(&mut expiry, "pod", "series", now);
        expiry.forget(&uid("pod"), now);
        expiry.expire(now + KEEP - Duration::from_nanos(1));
        assert_eq!(expiry.all().len(), 1);
        expiry.expire(now + KEEP);
        assert!(expiry.all().is_empty());
        assert!(expiry.users.is_empty(), "nothing is left of a pod that left");
    }

    #[test]
    fn stays_when_its_user_is_back_in_time() {
        let (mut expiry, now) = expiry();
        use_it(&mut expiry, "pod", "series", now);
        expiry.forget(&uid("pod"), now);
        expiry.remember(&uid("pod"));
        expiry.expire(now + 2 * KEEP);
        assert_eq!(expiry.all().len(), 1);
        assert!(expiry.held(Some(&uid("pod")), &"series").is_some());
    }

    #[test]
    fn stays_while_a_connection_is_open() {
        let (mut expiry, now) = expiry();
        let open = expiry.hold(Some(&uid("pod")), &"series", now, || ());
        expiry.forget(&uid("pod"), now);
        expiry.expire(now + KEEP);
        assert_eq!(expiry.all().len(), 1);
        drop(open);
        expiry.expire(now + KEEP);
        assert!(expiry.all().is_empty());
    }

    #[test]
    fn a_late_connection_starts_the_time_anew() {
        let (mut expiry, now) = expiry();
        use_it(&mut expiry, "pod", "series", now);
        expiry.forget(&uid("pod"), now);
        assert!(expiry.held(Some(&uid("pod")), &"series").is_none());
        use_it(&mut expiry, "pod", "series", now + KEEP / 2);
        expiry.expire(now + KEEP);
        assert_eq!(expiry.all().len(), 1);
        expiry.expire(now + KEEP / 2 + KEEP);
        assert!(expiry.all().is_empty());
    }

    #[test]
    fn nobody_known_never_leaves() {
        let (mut expiry, now) = expiry();
        drop(expiry.hold(None, &"series", now, || ()));
        expiry.expire(now + 10 * KEEP);
        assert!(expiry.held(None, &"series").is_some());
    }

    proptest! {
        /// Whatever pods come and go, what is left is what the pods that are here use.
        #[test]
        fn keeps_exactly_what_somebody_uses(
            uses in prop::collection::vec((0..5_usize, 0..5_usize), 0..40),
            left in prop::collection::hash_set(0..5_usize, 0..5),
        ) {
            const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
            let (mut expiry, now) = expiry();
            for &(user, key) in &uses {
                use_it(&mut expiry, NAMES[user], NAMES[key], now);
            }
            for &user in &left {
                expiry.forget(&uid(NAMES[user]), now);
            }
            expiry.expire(now + KEEP);
            let expected: HashSet<_> =
                uses.iter().filter(|(user, _)| !left.contains(user)).map(|&(_, key)| NAMES[key]).collect();
            prop_assert_eq!(expiry.values.keys().copied().collect::<HashSet<_>>(), expected);
        }
    }
}
