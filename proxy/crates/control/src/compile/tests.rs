//! What manifests mean.

mod told;

mod shown;

mod services;

mod policies;

mod settings;

mod steps;

use super::{Ambient, Settings};
use crate::{object::Objects, problem::Problem};
use culvert_model::{
    name::WorkloadUid,
    pod::{Fail, LocalPods},
    workload::{Enrolment, Workload},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

/// What a set of objects means, with all workloads as a node that has them calls them.
#[derive(Debug, PartialEq)]
struct Compiled {
    workloads: BTreeMap<WorkloadUid, Arc<Workload>>,
    local: LocalPods,
    notes: Vec<Problem>,
}

impl Compiled {
    fn at(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.workloads.values().find(|workload| workload.ips.iter().any(|own| own == ip))
    }
}

fn compile(objects: &Objects, settings: &Settings) -> Result<Compiled, Vec<Problem>> {
    let super::mesh::Mesh { members, local, notes, .. } = super::mesh(objects, settings)?;
    // Addresses of pods are unique; others are only named where they are nobody else's.
    let (pods, others): (Vec<_>, Vec<_>) =
        members.values().partition(|wanted| wanted.member.uid.as_str().contains("//Pod/"));
    let mut taken = HashSet::new();
    let mut workloads = BTreeMap::new();
    for wanted in pods.into_iter().chain(others) {
        let mut ips = wanted.member.network_ips().map(|ip| ip.ip).peekable();
        if ips.peek().is_none() || !ips.all(|ip| taken.insert(ip)) {
            continue;
        }
        let mut workload = wanted.member.workload();
        if wanted.enrolled {
            workload.enrolment = Enrolment::Enrolled;
        }
        let local = local.pods.get(&workload.uid).map(|local| Arc::clone(&local.workload));
        let workload = local.unwrap_or_else(|| Arc::new(workload));
        workloads.insert(workload.uid.clone(), workload);
    }
    Ok(Compiled { workloads, local, notes })
}

fn settings() -> Settings {
    let (node_name, cluster) = ("node-a".into(), "Kubernetes".into());
    Settings {
        node_name,
        cluster,
        trust_domain: "cluster.local".into(),
        ambient: Ambient::Ours,
        l7: true,
    }
}

fn objects(text: &str) -> Objects {
    let (objects, problems) = Objects::parse("shop.yaml", text.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    objects
}

fn told(text: &str) -> String {
    let problems = match compile(&objects(text), &settings()) {
        Ok(Compiled { notes, .. }) => notes,
        Err(problems) => problems,
    };
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// One line for each workload, sorted: who it is, and `local` with its namespace if it is.
fn meant(text: &str) -> String {
    let Compiled { workloads, local, notes } = compile(&objects(text), &settings()).unwrap();
    assert_eq!(notes, []);
    let mut lines: Vec<_> = workloads
        .values()
        .map(|w| {
            let ips: Vec<_> = w.ips.iter().map(|ip| ip.to_string()).collect();
            let here = local.pods.get(&w.uid).map_or(String::new(), |pod| {
                let fail = if pod.fail == Fail::Open { " fails open" } else { "" };
                format!(" local {}{fail} {:?}", pod.netns.display(), pod.container_ports)
            });
            let enrolled = if w.enrolment == Enrolment::Enrolled { "in" } else { "out" };
            format!("{enrolled} {} {}{here}\n", w.name, ips.join(" "))
        })
        .collect();
    lines.sort();
    lines.concat()
}

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Namespace
metadata:
  name: bank
  labels: {istio.io/dataplane-mode: ambient}
  annotations: {culvert.dev/fail: open}
---
";

/// A pod in one line: name, namespace, more metadata, the rest.
fn pod(namespace: &str, name: &str, labels: &str, annotations: &str, rest: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, \
         labels: {{{labels}}}, annotations: {{{annotations}}}}}, {rest}}}\n---\n"
    )
}

#[test]
fn a_namespace_enrols_and_a_pod_declines() {
    let at = |n| format!("culvert.dev/netns: /run/netns/{n}");
    let ip = |n| format!("status: {{podIP: 10.0.0.{n}}}");
    let text = [
        MESH,
        &pod("shop", "a", "", &at(1), &ip(1)),
        &pod("bank", "b", "", &at(2), &ip(2)),
        &pod("shop", "declines", "culvert.dev/mesh: disabled", &at(3), &ip(3)),
        &pod("shop", "declines-too", "istio.io/dataplane-mode: none", &at(4), &ip(4)),
        &pod("elsewhere", "c", "", &at(5), &ip(5)),
        &pod("bank", "closed", "", &format!("{}, culvert.dev/fail: closed", at(6)), &ip(6)),
    ]
    .concat();
    insta::assert_snapshot!(meant(&text), @r"
    in bank/b 10.0.0.2 local /run/netns/2 fails open []
    in bank/closed 10.0.0.6 local /run/netns/6 []
    in shop/a 10.0.0.1 local /run/netns/1 []
    out elsewhere/c 10.0.0.5
    out shop/declines 10.0.0.3
    out shop/declines-too 10.0.0.4
    ");
}

#[test]
fn declining_wins_over_enrolling() {
    let labels = "culvert.dev/mesh: enabled, istio.io/dataplane-mode: none";
    let text = [MESH, &pod("shop", "a", labels, "", "status: {podIP: 10.0.0.1}")].concat();
    let compiled = compile(&objects(&text), &settings()).unwrap();
    assert_eq!(compiled.local.pods.len(), 0);
    assert_eq!(compiled.notes.len(), 1, "{:?}", compiled.notes);
}

#[test]
fn pods_of_the_host_network_and_pods_that_are_over_are_no_workloads() {
    let text = [
        MESH,
        &pod("shop", "host", "", "", "spec: {hostNetwork: true}, status: {podIP: 10.0.0.1}"),
        &pod("shop", "over", "", "", "status: {podIP: 10.0.0.1, phase: Succeeded}"),
        &pod("shop", "failed", "", "", "status: {podIP: 10.0.0.1, phase: Failed}"),
        &pod("elsewhere", "pending", "", "", "status: {phase: Pending}"),
    ]
    .concat();
    assert_eq!(meant(&text), "");
}

#[test]
fn a_pod_without_node_is_of_this_node_and_those_of_others_are_only_named() {
    let at = "culvert.dev/netns: /run/netns/x";
    let ports = "containers: [{ports: [{containerPort: 80}]}]";
    let text = [
        MESH,
        &pod("shop", "no-node", "", at, &format!("spec: {{{ports}}}, status: {{podIP: 10.0.0.1}}")),
        &pod("shop", "elsewhere", "", at, "spec: {nodeName: b}, status: {podIP: 10.0.0.2}"),
        &pod("shop", "far", "", "", "spec: {nodeName: b}, status: {podIPs: [{ip: 'fd00::3'}]}"),
        &pod(
            "shop",
            "here",
            "",
            "culvert.dev/netns: /run/netns/y",
            "spec: {nodeName: node-a}, status: {podIP: 10.0.0.4, podIPs: [{ip: 10.0.0.4}, {ip: 'fd00::4'}]}",
        ),
    ]
    .concat();
    insta::assert_snapshot!(meant(&text), @r"
    in shop/elsewhere 10.0.0.2
    in shop/far fd00::3
    in shop/here 10.0.0.4 fd00::4 local /run/netns/y []
    in shop/no-node 10.0.0.1 local /run/netns/x [80]
    ");
}

#[test]
fn a_workload_is_called_as_its_people_call_it() {
    let owner = |kind: &str, name: &str| {
        format!("ownerReferences: [{{kind: {kind}, name: {name}, controller: true}}]")
    };
    let cases = [
        ("", String::new(), "x x latest x latest"),
        ("app: web, version: v2", String::new(), "x web v2 web v2"),
        (
            "pod-template-hash: 7f9",
            owner("ReplicaSet", "reviews-v1-7f9"),
            "reviews-v1 reviews-v1 latest reviews-v1 latest",
        ),
        ("", owner("ReplicaSet", "bare-7f9"), "bare-7f9 bare-7f9 latest bare-7f9 latest"),
        ("", owner("Job", "backup-28912345"), "backup backup latest backup latest"),
        ("", owner("StatefulSet", "db"), "db db latest db latest"),
        (
            "service.istio.io/canonical-name: c, app.kubernetes.io/name: kn, app: a, \
             app.kubernetes.io/version: kv, version: v",
            String::new(),
            "x c kv a v",
        ),
    ];
    for (labels, owner, expect) in cases {
        let text = format!(
            "{MESH}{{apiVersion: v1, kind: Pod, metadata: {{name: x, namespace: shop, \
             labels: {{{labels}}}, annotations: {{culvert.dev/netns: /run/netns/x}}, {owner}}}, \
             status: {{podIP: 10.0.0.1}}}}"
        );
        let compiled = compile(&objects(&text), &settings()).unwrap();
        let w = compiled.at("10.0.0.1".parse().unwrap()).unwrap();
        let names = [&w.owner, &w.canonical_name, &w.canonical_revision, &w.app, &w.version];
        assert_eq!(names.map(|name| &**name).join(" "), expect, "{labels}");
        assert_eq!(w.identity.to_string(), "spiffe://cluster.local/ns/shop/sa/default");
        assert_eq!(w.uid.as_str(), "Kubernetes//Pod/shop/x");
    }
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: web-7f9-abcde, \
                labels: {pod-template-hash: 7f9}}, status: {podIP: 10.0.0.1}}";
    let compiled = compile(&objects(text), &settings()).unwrap();
    let w = compiled.at("10.0.0.1".parse().unwrap()).unwrap();
    assert_eq!(&*w.owner, "web");
}

/// Documents from a small world, so that names, addresses and namespaces meet.
fn document() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec![
        "",
        "culvert.dev/mesh: enabled",
        "culvert.dev/mesh: disabled",
        "istio.io/dataplane-mode: ambient",
        "culvert.dev/mesh: typo",
    ]);
    let namespace = (label.clone(), "[ab]").prop_map(|(label, name)| {
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{label}}}}}}}\n---\n")
    });
    let fail =
        prop::sample::select(vec!["", ", culvert.dev/fail: open", ", culvert.dev/fail: odd"]);
    let pods = ("[ab]", "[a-f]", label, fail, 1..9_u8, prop::option::of(1..6_u8)).prop_map(
        |(namespace, name, label, fail, netns, ip)| {
            let annotations = format!("culvert.dev/netns: /run/netns/{netns}{fail}");
            let status = ip.map_or(String::new(), |ip| format!("podIP: 10.0.0.{ip}"));
            pod(&namespace, &name, label, &annotations, &format!("status: {{{status}}}"))
        },
    );
    prop_oneof![1 => namespace, 3 => pods]
}

proptest! {
    #[test]
    fn the_order_of_objects_does_not_matter(
        documents in prop::collection::vec(document(), 0..8), seed in any::<u64>(),
    ) {
        let whole = objects(&documents.concat());
        let mut mixed = whole.clone();
        let by = usize::try_from(seed % 8).unwrap();
        let turn = |len: usize| by % len.max(1);
        mixed.pods.rotate_left(turn(whole.pods.len()));
        mixed.namespaces.reverse();
        if seed % 3 == 0 {
            mixed.pods.reverse();
        }
        prop_assert_eq!(compile(&whole, &settings()), compile(&mixed, &settings()));
    }

    /// What is refused is told; what is accepted holds no pod twice.
    #[test]
    fn a_set_is_compiled_whole_or_refused(documents in prop::collection::vec(document(), 0..8)) {
        let whole = objects(&documents.concat());
        match compile(&whole, &settings()) {
            Err(problems) => prop_assert!(!problems.is_empty()),
            Ok(Compiled { workloads, local, .. }) => {
                let netns: std::collections::BTreeSet<_> =
                    local.pods.values().map(|pod| &pod.netns).collect();
                prop_assert_eq!(netns.len(), local.pods.len());
                for (uid, pod) in &local.pods {
                    prop_assert_eq!(workloads.get(uid), Some(&pod.workload));
                }
            }
        }
    }
}
