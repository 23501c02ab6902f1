//! The pods of one node, as an API server has them: who of them is to be held, by the same rules as
//! those of the mesh. Pure.
//!
//! Where a pod's network namespace is, no object says; whoever knows is asked.
pub use super::workload::RECORDED;

use super::{
    Settings,
    enrolment::{self, Outside},
    local, workload,
};
use crate::{
    object::{Objects, namespace::Namespace, pod::Pod, spanned::Spanned},
    problem::{Mark, Problem, Source},
};
use culvert_model::{
    name::{ObjectName, WorkloadUid},
    pod::{LocalPod, LocalPods},
};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

/// All namespaces, and the pods of one node.
#[derive(Debug)]
pub struct Own {
    settings: Settings,
    namespaces: BTreeMap<Arc<str>, Arc<Namespace>>,
    pods: BTreeMap<ObjectName, Known>,
}

/// A pod, and the uid of its object.
#[derive(Clone, Debug)]
struct Known {
    uid: Arc<str>,
    pod: Arc<Pod>,
}

/// Where a pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub netns: PathBuf,
    /// Those it was given, as long as its object has none.
    pub ips: Vec<IpAddr>,
}

/// One of the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    pub name: &'a ObjectName,
    pub uid: &'a Arc<str>,
    pub ips: &'a [Spanned<IpAddr>],
    pub enrolled: bool,
    /// Why not.
    pub outside: Option<Outside>,
    /// Whether it is annotated as captured.
    pub recorded: bool,
}

impl Own {
    pub fn new(settings: Settings) -> Self {
        Self { settings, namespaces: BTreeMap::new(), pods: BTreeMap::new() }
    }

    /// Reads a namespace or pod that is there now, as one JSON document.
    ///
    /// # Errors
    ///
    /// What is wrong with it; what was known of it before stays.
    pub fn apply(&mut self, name: &ObjectName, uid: &str, json: &str) -> Result<(), Vec<Problem>> {
        let of = match &*name.namespace {
            "" => format!("Namespace {}", name.name),
            namespace => format!("Pod {namespace}/{}", name.name),
        };
        let source = Source::object(format!("{of} in the Kubernetes API"), json.into());
        let (Objects { namespaces, pods, .. }, problems) = Objects::of_api(&source);
        if !problems.is_empty() {
            return Err(problems);
        }
        for namespace in namespaces {
            self.namespaces.insert(Arc::clone(&namespace.meta.name.name), namespace);
        }
        for pod in pods {
            self.pods.insert(pod.meta.name.clone(), Known { uid: uid.into(), pod });
        }
        Ok(())
    }

    /// Forgets what is no longer there; a namespace has a name only.
    pub fn remove(&mut self, name: &ObjectName) {
        if name.namespace.is_empty() {
            self.namespaces.remove(&name.name);
        } else {
            self.pods.remove(name);
        }
    }

    /// The namespaces, and whether each enrols its pods.
    pub fn namespaces(&self) -> impl Iterator<Item = (&Arc<str>, bool)> {
        self.namespaces
            .iter()
            .map(|(name, namespace)| (name, enrolment::enrols(namespace, self.settings.ambient)))
    }

    /// The pods, and whether each is to be held.
    pub fn pods(&self) -> impl Iterator<Item = Standing<'_>> {
        self.pods.iter().map(|(name, Known { uid, pod })| {
            let outside = self.wish(pod).outside;
            let recorded = pod.meta.annotation(RECORDED) == Some("enabled");
            Standing { name, uid, ips: &pod.ips, enrolled: outside.is_none(), outside, recorded }
        })
    }

    /// Those to be held of which `place` knows where they are; and what is wrong with others.
    pub fn local(
        &self,
        place: impl Fn(Standing<'_>) -> Option<Place>,
    ) -> (LocalPods, Vec<Problem>) {
        let (mut local, mut problems) = (LocalPods::default(), Vec::new());
        for standing in self.pods().filter(|standing| standing.enrolled) {
            let (Some(place), Some(known)) = (place(standing), self.pods.get(standing.name)) else {
                continue;
            };
            if let Some(pod) = self.hold(&known.pod, place, &mut problems) {
                local.pods.insert(pod.workload.uid.clone(), Arc::new(pod));
            }
        }
        (local, problems)
    }

    /// What this pod is called in the mesh.
    pub fn uid_of(&self, name: &ObjectName) -> WorkloadUid {
        WorkloadUid::pod(&self.settings.cluster, name)
    }

    /// What can be held is held, also where a part of what was asked for is no good.
    fn hold(
        &self,
        pod: &Pod,
        Place { netns, ips }: Place,
        problems: &mut Vec<Problem>,
    ) -> Option<LocalPod> {
        let wish = self.wish(pod);
        problems.extend(wish.problems);
        let resolvers = local::resolvers(pod).unwrap_or_else(|problem| {
            problems.push(*problem);
            Vec::new()
        });
        let mut pod = pod.clone();
        if pod.ips.is_empty() {
            let at = Mark::value(0);
            pod.ips = ips.into_iter().map(|value| Spanned { value, at }).collect();
        }
        match workload::workload(&pod, wish.enrolment, &self.settings) {
            Ok(workload) => Some(LocalPod {
                workload: Arc::new(workload),
                netns,
                fail: wish.fail,
                container_ports: pod.tcp_ports,
                resolvers,
            }),
            Err(problem) => {
                problems.push(*problem);
                None
            }
        }
    }

    fn wish(&self, pod: &Pod) -> enrolment::Wish {
        let namespace = self.namespaces.get(&pod.meta.name.namespace);
        enrolment::wish(pod, namespace.map(AsRef::as_ref), self.settings.ambient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Ambient;
    use culvert_model::pod::Fail;

    fn own() -> Own {
        Own::new(Settings {
            node_name: "n1".into(),
            cluster: "c".into(),
            trust_domain: "td".into(),
            ambient: Ambient::Ours,
            l7: false,
        })
    }

    fn namespace(own: &mut Own, name: &str, labels: &str) {
        let json = format!(
            r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}","labels":{labels}}}}}"#
        );
        own.apply(&ObjectName::new("", name), "", &json).unwrap();
    }

    fn pod(own: &mut Own, name: &str, meta: &str, spec: &str, ips: &str) {
        let json = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"namespace":"shop","name":"{name}"{meta}}},"spec":{{"nodeName":"n1","serviceAccountName":"sa"{spec}}},"status":{{"phase":"Pending"{ips}}}}}"#
        );
        own.apply(&ObjectName::new("shop", name), &format!("uid-{name}"), &json).unwrap();
    }

    fn place(ip: [u8; 4]) -> Place {
        Place { netns: "/run/netns/x".into(), ips: vec![ip.into()] }
    }

    fn names(local: &LocalPods) -> Vec<&str> {
        local.pods.values().map(|pod| &*pod.workload.name.name).collect()
    }

    #[test]
    fn a_pod_is_held_before_the_api_server_knows_its_address() {
        let mut own = own();
        namespace(&mut own, "shop", r#"{"culvert.dev/mesh":"enabled"}"#);
        pod(&mut own, "cart", r#","annotations":{"culvert.dev/fail":"open"}"#, "", "");
        let (local, problems) = own.local(|_| Some(place([10, 0, 0, 2])));
        assert!(problems.is_empty());
        let held = local.pods.values().next().unwrap();
        assert_eq!(held.workload.identity.to_string(), "spiffe://td/ns/shop/sa/sa");
        assert_eq!(held.workload.ips.iter().collect::<Vec<_>>(), [IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(
            (held.fail, &held.workload.uid),
            (Fail::Open, &own.uid_of(&ObjectName::new("shop", "cart")))
        );
        // Then it does.
        pod(&mut own, "cart", "", "", r#","podIP":"10.0.0.3""#);
        let (local, _) = own.local(|_| Some(place([10, 0, 0, 2])));
        let held = local.pods.values().next().unwrap();
        assert_eq!(held.workload.ips.iter().collect::<Vec<_>>(), [IpAddr::from([10, 0, 0, 3])]);
    }

    #[test]
    fn labels_of_both_decide_and_whoever_is_nowhere_waits() {
        let mut own = own();
        namespace(&mut own, "shop", "{}");
        pod(&mut own, "cart", "", "", "");
        pod(&mut own, "agent", r#","labels":{"culvert.dev/mesh":"disabled"}"#, "", "");
        pod(&mut own, "host", "", r#","hostNetwork":true"#, "");
        let anywhere = |_: Standing<'_>| Some(place([10, 0, 0, 2]));
        assert!(own.local(anywhere).0.pods.is_empty());
        namespace(&mut own, "shop", r#"{"istio.io/dataplane-mode":"ambient"}"#);
        assert_eq!(names(&own.local(anywhere).0), ["cart"]);
        assert!(own.local(|_| None).0.pods.is_empty());
        let standing: Vec<_> = own.pods().map(|pod| (&**pod.uid, pod.enrolled)).collect();
        assert_eq!(standing, [("uid-agent", false), ("uid-cart", true), ("uid-host", false)]);
        own.remove(&ObjectName::new("", "shop"));
        assert_eq!((own.namespaces().count(), own.local(anywhere).0.pods.len()), (0, 0));
    }

    /// A kubelet puts the cluster's before them.
    #[test]
    fn name_servers_that_are_only_added_are_not_all() {
        let mut own = own();
        namespace(&mut own, "shop", r#"{"culvert.dev/mesh":"enabled"}"#);
        for (policy, count) in [("None", 1), ("ClusterFirst", 0), ("Default", 0)] {
            let spec =
                format!(r#","dnsPolicy":"{policy}","dnsConfig":{{"nameservers":["10.9.9.9"]}}"#);
            pod(&mut own, "cart", "", &spec, "");
            let (local, _) = own.local(|_| Some(place([10, 0, 0, 2])));
            assert_eq!(local.pods.values().next().unwrap().resolvers.len(), count, "{policy}");
        }
    }

    #[test]
    fn what_is_not_understood_lets_nobody_go() {
        let mut own = own();
        namespace(&mut own, "shop", r#"{"culvert.dev/mesh":"enabled"}"#);
        pod(&mut own, "cart", "", "", "");
        for (name, kind) in
            [(ObjectName::new("shop", "cart"), "Pod"), (ObjectName::new("", "shop"), "Namespace")]
        {
            let json = format!(r#"{{"apiVersion":"v1","kind":"{kind}","metadata":7}}"#);
            own.apply(&name, "u", &json).unwrap_err();
        }
        let anywhere = |_: Standing<'_>| Some(place([10, 0, 0, 2]));
        assert_eq!(names(&own.local(anywhere).0), ["cart"]);
        let slip = r#","annotations":{"culvert.dev/fail":"opne","culvert.dev/resolvers":"here"}"#;
        pod(&mut own, "cart", slip, "", "");
        let (local, problems) = own.local(anywhere);
        let held = local.pods.values().next().unwrap();
        assert_eq!((held.fail, held.resolvers.len(), problems.len()), (Fail::Closed, 0, 2));
    }
}
