//! What must change for the node to hold the pods it should. Pure.
use culvert_model::{
    name::WorkloadUid,
    pod::{LocalPod, LocalPods},
};
use std::{collections::BTreeMap, sync::Arc};

/// What each actor was told last; `None`: to let its pod go, which may take until the pod's last
/// connection ends.
pub(crate) type Held = BTreeMap<WorkloadUid, Option<Arc<LocalPod>>>;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nobody cares for the pod yet.
    Hold(Arc<LocalPod>),
    /// The pod changed, or is wanted again while it is let go.
    Tell(Arc<LocalPod>),
    /// The pod is no longer wanted.
    LetGo(WorkloadUid),
}

/// What a change of a held pod asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing the kernel knows of.
    None,
    /// The kernel is told.
    Update,
    /// It has other addresses, or asks other name servers: it is enrolled anew while the old
    /// enrolment still holds.
    Readdress,
    /// It is another pod by the same name: the old one is let go, the new one enrolled.
    Replace,
}

/// Compares what should be with what was asked for. Departures come first, because a pod that
/// comes may have the address or namespace of one that goes.
pub(crate) fn plan(desired: &LocalPods, held: &Held) -> Vec<Action> {
    let gone = held
        .iter()
        .filter(|(uid, told)| told.is_some() && !desired.pods.contains_key(*uid))
        .map(|(uid, _)| Action::LetGo(uid.clone()));
    let wanted = desired.pods.iter().filter_map(|(uid, pod)| match held.get(uid) {
        None => Some(Action::Hold(Arc::clone(pod))),
        Some(Some(told)) if told == pod => None,
        Some(_) => Some(Action::Tell(Arc::clone(pod))),
    });
    gone.chain(wanted).collect()
}

impl Change {
    pub(crate) fn between(old: &LocalPod, new: &LocalPod) -> Self {
        if old.netns != new.netns {
            Self::Replace
        } else if old.workload.ips != new.workload.ips || old.resolvers != new.resolvers {
            Self::Readdress
        } else if old.fail != new.fail || old.container_ports != new.container_ports {
            Self::Update
        } else {
            Self::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::pod;
    use culvert_model::pod::Fail;
    use proptest::prelude::*;

    fn desired(pods: impl IntoIterator<Item = Arc<LocalPod>>) -> LocalPods {
        LocalPods { pods: pods.into_iter().map(|pod| (pod.workload.uid.clone(), pod)).collect() }
    }

    /// What is held once the plan was carried out and every pod that was let go is gone.
    fn carried_out(actions: &[Action], mut held: Held) -> Held {
        for action in actions {
            match action {
                Action::Hold(pod) | Action::Tell(pod) => {
                    held.insert(pod.workload.uid.clone(), Some(Arc::clone(pod)));
                }
                Action::LetGo(uid) => drop(held.insert(uid.clone(), None)),
            }
        }
        held.retain(|_, told| told.is_some());
        held
    }

    #[test]
    fn a_pod_that_is_let_go_and_wanted_again_is_told_so() {
        let cart = pod("cart", 1);
        let held = Held::from([(cart.workload.uid.clone(), None)]);
        assert_eq!(plan(&desired([Arc::clone(&cart)]), &held), [Action::Tell(cart)]);
        assert_eq!(plan(&desired([]), &held), []);
    }

    #[test]
    fn who_goes_makes_room_for_who_comes() {
        let (old, new) = (pod("b", 1), pod("a", 1));
        let held = Held::from([(old.workload.uid.clone(), Some(Arc::clone(&old)))]);
        let expected = [Action::LetGo(old.workload.uid.clone()), Action::Hold(Arc::clone(&new))];
        assert_eq!(plan(&desired([new]), &held), expected);
    }

    #[test]
    fn another_namespace_is_another_pod_and_another_address_is_not() {
        let cart = pod("cart", 1);
        assert_eq!(Change::between(&cart, &cart), Change::None);
        assert_eq!(Change::between(&cart, &pod("cart", 2)), Change::Readdress);
        let netns = LocalPod { netns: "/run/netns/other".into(), ..LocalPod::clone(&cart) };
        assert_eq!(Change::between(&cart, &netns), Change::Replace);
        let fail = LocalPod { fail: Fail::Open, ..LocalPod::clone(&cart) };
        assert_eq!(Change::between(&cart, &fail), Change::Update);
    }

    fn pods() -> impl Strategy<Value = LocalPods> {
        let some = prop::collection::btree_map("[a-d]", 1..3_u8, 0..5);
        some.prop_map(|pods| desired(pods.iter().map(|(name, last)| pod(name, *last))))
    }

    proptest! {
        #[test]
        fn a_plan_leads_to_what_is_desired_and_then_nothing_is_left_to_do(
            before in pods(), after in pods(), leaving in any::<bool>(),
        ) {
            let told = |pod: Arc<LocalPod>| if leaving { None } else { Some(pod) };
            let held: Held = before.pods.into_iter().map(|(uid, pod)| (uid, told(pod))).collect();
            let held = carried_out(&plan(&after, &held), held);
            let expected: Held = after.pods.clone().into_iter().map(|(u, p)| (u, Some(p))).collect();
            prop_assert_eq!(&held, &expected);
            prop_assert_eq!(plan(&after, &held), []);
        }
    }
}
