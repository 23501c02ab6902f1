//! Which pods the node holds: those that are wanted, and those that may not be let go yet. Pure.
//!
//! A pod that leaves the mesh stays captured until every other node knows that it is reached in
//! plain text again: otherwise what they send would meet a tunnel that is no more.
use culvert_model::{
    name::WorkloadUid,
    pod::{LocalPod, LocalPods},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// What is held, and why.
#[derive(Debug)]
pub(super) struct Retention {
    wanted: LocalPods,
    /// Not wanted any more, and not released.
    leaving: BTreeMap<WorkloadUid, Leaving>,
    patience: Duration,
}

#[derive(Debug)]
struct Leaving {
    pod: Arc<LocalPod>,
    /// When it is let go, whatever others know.
    until: Instant,
}

impl Retention {
    /// Holds whoever leaves for `patience` at most.
    pub(super) fn new(patience: Duration) -> Self {
        Self { wanted: LocalPods::default(), leaving: BTreeMap::new(), patience }
    }

    /// These are wanted from now on; of those that are not, who `is_held` waits for its release.
    pub(super) fn want(
        &mut self,
        wanted: &LocalPods,
        now: Instant,
        is_held: impl Fn(&LocalPod) -> bool,
    ) {
        let before = std::mem::replace(&mut self.wanted, wanted.clone());
        let until = now + self.patience;
        let gone = before.pods.into_iter().filter(|(uid, _)| !wanted.pods.contains_key(uid));
        for (uid, pod) in gone.filter(|(_, pod)| is_held(pod)) {
            self.leaving.insert(uid, Leaving { pod, until });
        }
        // Who is wanted again stays; who has another's namespace or address has it now.
        let mut netns = BTreeSet::new();
        let mut ips = BTreeSet::new();
        for pod in wanted.pods.values() {
            netns.insert(&*pod.netns);
            ips.extend(pod.workload.ips.iter());
        }
        self.leaving.retain(|uid, Leaving { pod, .. }| {
            !wanted.pods.contains_key(uid)
                && !netns.contains(&*pod.netns)
                && !pod.workload.ips.iter().any(|ip| ips.contains(&ip))
        });
    }

    /// Everybody knows that these have left.
    pub(super) fn release<'a>(&mut self, uids: impl IntoIterator<Item = &'a WorkloadUid>) {
        for uid in uids {
            self.leaving.remove(uid);
        }
    }

    /// Lets go whose time has come, and returns them.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<WorkloadUid> {
        let late = self.leaving.extract_if(.., |_, leaving| leaving.until <= now);
        late.map(|(uid, _)| uid).collect()
    }

    /// When somebody's time comes next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.leaving.values().map(|leaving| leaving.until).min()
    }

    /// Everybody who is to be held.
    pub(super) fn pods(&self) -> LocalPods {
        let wanted = self.wanted.pods.iter().map(|(uid, pod)| (uid.clone(), Arc::clone(pod)));
        let leaving = self.leaving.iter();
        let leaving = leaving.map(|(uid, leaving)| (uid.clone(), Arc::clone(&leaving.pod)));
        LocalPods { pods: wanted.chain(leaving).collect() }
    }

    /// Those that wait.
    pub(super) fn leaving(&self) -> impl Iterator<Item = &WorkloadUid> {
        self.leaving.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_model::{
        addr::PodIps,
        identity::Identity,
        name::ObjectName,
        pod::Fail,
        workload::{Enrolment, Workload},
    };

    const PATIENCE: Duration = Duration::from_secs(10);

    fn pod(name: &str, last: u8) -> Arc<LocalPod> {
        let object = ObjectName::new("shop", name);
        let workload = Workload {
            uid: WorkloadUid::pod("c", &object),
            name: object,
            identity: Identity::try_new("td", "shop", "sa").unwrap(),
            ips: PodIps::try_from_ips([[10, 0, 0, last].into()]).unwrap(),
            node: "n".into(),
            cluster: "c".into(),
            owner: name.into(),
            canonical_name: name.into(),
            canonical_revision: "latest".into(),
            app: name.into(),
            version: "latest".into(),
            enrolment: Enrolment::Enrolled,
        };
        Arc::new(LocalPod {
            workload: Arc::new(workload),
            netns: format!("/run/netns/{name}").into(),
            fail: Fail::Closed,
            container_ports: Vec::new(),
            resolvers: Vec::new(),
        })
    }

    fn pods(all: &[&Arc<LocalPod>]) -> LocalPods {
        let pods = all.iter().map(|pod| (pod.workload.uid.clone(), Arc::clone(pod))).collect();
        LocalPods { pods }
    }

    fn names(retention: &Retention) -> Vec<String> {
        let pods = retention.pods();
        pods.pods.values().map(|pod| pod.workload.name.name.to_string()).collect()
    }

    #[test]
    fn who_leaves_is_held_until_everybody_knows() {
        let (now, cart, web) = (Instant::now(), pod("cart", 1), pod("web", 2));
        let mut retention = Retention::new(PATIENCE);
        retention.want(&pods(&[&cart, &web]), now, |_| true);
        retention.want(&pods(&[&web]), now, |_| true);
        assert_eq!(names(&retention), ["cart", "web"]);
        assert_eq!(retention.leaving().collect::<Vec<_>>(), [&cart.workload.uid]);
        retention.release([&web.workload.uid, &cart.workload.uid]);
        assert_eq!(names(&retention), ["web"]);
    }

    #[test]
    fn nobody_is_held_for_ever() {
        let (now, cart) = (Instant::now(), pod("cart", 1));
        let mut retention = Retention::new(PATIENCE);
        retention.want(&pods(&[&cart]), now, |_| true);
        retention.want(&pods(&[]), now, |_| true);
        assert_eq!((retention.next(), retention.expire(now)), (Some(now + PATIENCE), vec![]));
        let late = retention.expire(now + PATIENCE);
        assert_eq!(late.iter().collect::<Vec<_>>(), [&cart.workload.uid]);
        assert_eq!((names(&retention), retention.next()), (vec![], None));
    }

    #[test]
    fn who_comes_back_and_who_takes_a_place_ends_the_wait() {
        let (now, cart, web) = (Instant::now(), pod("cart", 1), pod("web", 2));
        let mut retention = Retention::new(PATIENCE);
        retention.want(&pods(&[&cart, &web]), now, |_| true);
        retention.want(&pods(&[]), now, |_| true);
        retention.want(&pods(&[&cart]), now, |_| true);
        assert_eq!(retention.leaving().collect::<Vec<_>>(), [&web.workload.uid]);
        retention.release([&cart.workload.uid]);
        // Another pod with the address of the one that leaves.
        retention.want(&pods(&[&cart, &pod("web-2", 2)]), now, |_| true);
        assert_eq!(names(&retention), ["cart", "web-2"]);
    }

    #[test]
    fn who_was_never_held_goes_at_once() {
        let (now, cart) = (Instant::now(), pod("cart", 1));
        let mut retention = Retention::new(PATIENCE);
        retention.want(&pods(&[&cart]), now, |_| false);
        retention.want(&pods(&[]), now, |_| false);
        assert_eq!(names(&retention), [""; 0]);
    }
}
