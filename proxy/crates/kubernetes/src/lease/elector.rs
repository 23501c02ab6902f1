//! Whose a lease is; pure.
use super::DURATION;
use crate::write::now_in_micros;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What one candidate knows of the lease.
#[derive(Debug)]
pub(super) struct Elector {
    me: String,
    seen: Option<Seen>,
}

/// The lease as it was told last.
#[derive(Debug)]
struct Seen {
    lease: Value,
    /// Since when what is in it has not changed, by our own clock.
    since: Instant,
}

impl Elector {
    pub(super) fn new(me: &str) -> Self {
        Self { me: me.to_owned(), seen: None }
    }

    /// Takes in how it is; returns whether it is ours.
    pub(super) fn observe(&mut self, lease: Value, now: Instant) -> bool {
        let before = self.seen.take();
        let same = before.filter(|seen| seen.lease["spec"] == lease["spec"]);
        let since = same.map_or(now, |seen| seen.since);
        self.seen = Some(Seen { lease, since });
        self.holder() == self.me
    }

    /// Who holds it; empty: nobody.
    pub(super) fn holder(&self) -> &str {
        let holder =
            self.seen.as_ref().and_then(|seen| seen.lease["spec"]["holderIdentity"].as_str());
        holder.unwrap_or_default()
    }

    /// The lease as ours, for longer; `None`: it is another's still, or not known.
    ///
    /// Whoever writes it writes it over the version that was seen, or not at all.
    pub(super) fn claim(&self, now: Instant) -> Option<Value> {
        let Seen { lease, since } = self.seen.as_ref()?;
        let holder = self.holder();
        let (is_ours, is_free) = (holder == self.me, holder.is_empty());
        if !is_ours && !is_free && now < *since + duration(&lease["spec"]) {
            return None;
        }
        let mut claimed = lease.clone();
        let said = now_in_micros();
        if !claimed["spec"].is_object() {
            claimed["spec"] = json!({});
        }
        let spec = &mut claimed["spec"];
        spec["renewTime"] = said.clone().into();
        spec["leaseDurationSeconds"] = DURATION.as_secs().into();
        if !is_ours {
            let transitions = spec["leaseTransitions"].as_u64().unwrap_or_default();
            spec["leaseTransitions"] = transitions.saturating_add(1).into();
            spec["acquireTime"] = said.into();
            spec["holderIdentity"] = self.me.clone().into();
        }
        Some(claimed)
    }

    /// The first there is.
    pub(super) fn first(&self, namespace: &str, name: &str) -> Value {
        let now = now_in_micros();
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": { "app.kubernetes.io/part-of": "culvert" },
            },
            "spec": {
                "holderIdentity": self.me,
                "leaseDurationSeconds": DURATION.as_secs(),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        })
    }

    /// The lease as nobody's, when it is ours.
    pub(super) fn released(&mut self) -> Option<Value> {
        if self.holder() != self.me {
            return None;
        }
        let mut free = self.seen.take()?.lease;
        let spec = &mut free["spec"];
        spec["holderIdentity"] = "".into();
        spec["leaseDurationSeconds"] = 1.into();
        spec["renewTime"] = now_in_micros().into();
        Some(free)
    }
}

/// How long it is good, as its holder says.
fn duration(spec: &Value) -> Duration {
    let seconds = spec["leaseDurationSeconds"].as_u64();
    seconds.filter(|seconds| *seconds > 0).map_or(DURATION, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::{super::DEADLINE, *};
    use proptest::prelude::*;

    /// What an API server holds.
    struct Store {
        lease: Value,
        version: u64,
    }

    impl Store {
        fn new(first: Value) -> Self {
            let mut store = Self { lease: first, version: 1 };
            store.lease["metadata"]["resourceVersion"] = "1".into();
            store
        }

        fn replace(&mut self, mut lease: Value) -> Option<Value> {
            if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"] {
                return None;
            }
            self.version += 1;
            lease["metadata"]["resourceVersion"] = self.version.to_string().into();
            // Times of one second would else be equal, as no two writes are.
            lease["spec"]["renewTime"] = format!("{}", self.version).into();
            self.lease = lease.clone();
            Some(lease)
        }
    }

    #[test]
    fn one_that_is_held_is_left_alone_until_it_stands_still() {
        let start = Instant::now();
        let (mut a, mut b) = (Elector::new("a"), Elector::new("b"));
        let mut store = Store::new(a.first("culvert-system", "culvert-control"));
        assert!(a.observe(store.lease.clone(), start));
        assert!(!b.observe(store.lease.clone(), start));
        assert_eq!(b.claim(start + Duration::from_secs(14)), None);
        // Renewed: counted anew.
        store.replace(a.claim(start).unwrap()).unwrap();
        assert!(!b.observe(store.lease.clone(), start + Duration::from_secs(14)));
        assert_eq!(b.claim(start + Duration::from_secs(28)), None);
        let claimed = b.claim(start + Duration::from_secs(29)).unwrap();
        assert_eq!(claimed["spec"]["leaseTransitions"], 1);
        assert!(b.observe(store.replace(claimed).unwrap(), start + Duration::from_secs(29)));
        // What a had is old by now.
        assert_eq!(store.replace(a.claim(start).unwrap()), None);
        assert!(!a.observe(store.lease.clone(), start));
    }

    #[test]
    fn one_that_is_given_back_is_had_at_once_and_labels_of_others_stay() {
        let start = Instant::now();
        let (mut a, mut b) = (Elector::new("a"), Elector::new("b"));
        let mut store = Store::new(a.first("culvert-system", "culvert-control"));
        store.lease["metadata"]["labels"]["team"] = "mesh".into();
        a.observe(store.lease.clone(), start);
        assert!(store.replace(a.released().unwrap()).is_some());
        assert!(!b.observe(store.lease.clone(), start));
        let claimed = b.claim(start).unwrap();
        assert_eq!(claimed["metadata"]["labels"]["team"], "mesh");
        assert_eq!(claimed["spec"]["leaseDurationSeconds"], 15);
        assert_eq!(b.released(), None);
    }

    #[test]
    fn one_that_says_nothing_of_itself_can_be_had() {
        let mut elector = Elector::new("a");
        assert_eq!(elector.claim(Instant::now()), None);
        for lease in [json!({}), json!({"spec": null}), json!({"spec": {"holderIdentity": 7}})] {
            assert!(!elector.observe(lease, Instant::now()));
            assert!(elector.claim(Instant::now()).is_some());
        }
    }

    proptest! {
        /// Whatever the order and however late, no two hold it for certain at a time.
        #[test]
        fn there_is_one_holder_at_a_time(
            steps in prop::collection::vec((0..3_usize, 0..9_u64, any::<bool>()), 1..200),
        ) {
            let start = Instant::now();
            let mut all = ["a", "b", "c"].map(|me| (Elector::new(me), None::<Instant>));
            let mut store = Store::new(all[0].0.first("n", "l"));
            let mut now = start;
            for (who, seconds, is_lost) in steps {
                now += Duration::from_secs(seconds);
                let (elector, until) = &mut all[who];
                let began = now;
                elector.observe(store.lease.clone(), now);
                let Some(claimed) = elector.claim(now) else { *until = None; continue };
                // The answer comes later, or never.
                if let Some(lease) = store.replace(claimed) && !is_lost {
                    now += Duration::from_secs(1);
                    elector.observe(lease, now);
                    *until = Some(began + DEADLINE);
                }
                let holders = all.iter().filter(|(_, until)| until.is_some_and(|until| now < until));
                prop_assert!(holders.count() <= 1);
            }
        }
    }
}
