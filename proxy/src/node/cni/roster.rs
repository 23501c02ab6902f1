//! Who of this node's pods is to be in the mesh, as far as it is known. Pure.
use culvert_cni::{call::PodRef, enrolled::Enrolled};
use culvert_model::{name::ObjectName, pod::LocalPods};
use culvert_runtime::{
    drain::Worker,
    publish::{Generation, Publisher, View},
};
use std::{collections::BTreeMap, sync::Arc};

/// Namespaces, and the pods of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// Whether each enrols its pods.
    pub(crate) namespaces: BTreeMap<Arc<str>, bool>,
    /// Whether a namespace that is not among them enrols nobody; else it is not known yet.
    pub(crate) whole: bool,
    pub(crate) pods: BTreeMap<ObjectName, Own>,
}

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    /// The uid of its object; empty where there is none.
    pub(crate) object: Arc<str>,
    pub(crate) enrolled: bool,
}

/// What is known of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Wanted,
    Outside,
    /// Nobody told of it yet.
    Unknown,
}

impl Roster {
    /// Of pods that manifests describe, which say of nobody that he is outside.
    pub(crate) fn of(local: &LocalPods) -> Self {
        let pods = local.pods.values().map(|pod| {
            let own = Own { object: "".into(), enrolled: true };
            (pod.workload.name.clone(), own)
        });
        let pods: BTreeMap<_, _> = pods.collect();
        let namespaces = pods.keys().map(|name: &ObjectName| (Arc::clone(&name.namespace), true));
        Self { namespaces: namespaces.collect(), whole: true, pods }
    }

    /// What is known of `pod`. A pod of the same name that was there before is another.
    pub(crate) fn standing(&self, pod: &PodRef) -> Standing {
        match self.namespaces.get(pod.namespace.as_str()) {
            Some(false) => return Standing::Outside,
            None if self.whole => return Standing::Outside,
            None => return Standing::Unknown,
            Some(true) => {}
        }
        let name = ObjectName::new(pod.namespace.as_str(), pod.name.as_str());
        let same =
            |own: &&Own| own.object.is_empty() || pod.uid.is_empty() || *own.object == *pod.uid;
        match self.pods.get(&name).filter(same) {
            Some(Own { enrolled: true, .. }) => Standing::Wanted,
            Some(Own { enrolled: false, .. }) => Standing::Outside,
            None => Standing::Unknown,
        }
    }

    /// What decides where nobody knows more.
    pub(crate) fn enrolled(&self) -> Enrolled {
        let namespaces = self.namespaces.iter().filter(|(_, enrols)| **enrols);
        let enrols = |name: &ObjectName| self.namespaces.get(&name.namespace) == Some(&true);
        let outside = self.pods.iter().filter(|(name, own)| enrols(name) && !own.enrolled);
        let uids = outside.map(|(_, own)| own.object.to_string()).filter(|uid| !uid.is_empty());
        Enrolled {
            namespaces: namespaces.map(|(name, _)| name.to_string()).collect(),
            outside: uids.collect(),
        }
    }
}

/// Publishes the roster of pods that manifests describe, until the worker finishes.
pub(crate) fn follow(mut local: View<LocalPods>, mut roster: Publisher<Roster>, worker: &Worker) {
    let own = worker.clone();
    worker.spawn(async move {
        let mut seen = Generation::FIRST;
        loop {
            tokio::select! {
                () = own.finishing() => return,
                newer = local.newer_than(seen) => {
                    let Some(newer) = newer else { return };
                    seen = newer.generation;
                    roster.publish(Roster::of(&newer.value));
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, uid: &str) -> PodRef {
        PodRef { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() }
    }

    fn roster() -> Roster {
        let own = |object: &str, enrolled| Own { object: object.into(), enrolled };
        Roster {
            namespaces: [("shop".into(), true), ("bank".into(), false)].into(),
            whole: false,
            pods: [
                (ObjectName::new("shop", "cart"), own("1", true)),
                (ObjectName::new("shop", "agent"), own("2", false)),
                (ObjectName::new("bank", "agent"), own("3", false)),
            ]
            .into(),
        }
    }

    #[test]
    fn a_namespace_that_enrols_nobody_needs_no_more_knowledge() {
        let roster = roster();
        assert_eq!(roster.standing(&pod("bank", "new", "9")), Standing::Outside);
        assert_eq!(roster.standing(&pod("shop", "new", "9")), Standing::Unknown);
        assert_eq!(roster.standing(&pod("new", "new", "9")), Standing::Unknown);
        let whole = Roster { whole: true, ..roster };
        assert_eq!(whole.standing(&pod("new", "new", "9")), Standing::Outside);
    }

    #[test]
    fn a_pod_that_has_the_name_of_another_is_not_it() {
        let roster = roster();
        assert_eq!(roster.standing(&pod("shop", "cart", "1")), Standing::Wanted);
        assert_eq!(roster.standing(&pod("shop", "cart", "")), Standing::Wanted);
        assert_eq!(roster.standing(&pod("shop", "cart", "7")), Standing::Unknown);
        assert_eq!(roster.standing(&pod("shop", "agent", "2")), Standing::Outside);
    }

    #[test]
    fn the_list_names_namespaces_and_who_is_left_out_of_them() {
        let Enrolled { namespaces, outside } = roster().enrolled();
        assert_eq!((namespaces, outside), (["shop".to_owned()].into(), ["2".to_owned()].into()));
    }
}
