//! One change after the other means what all of it at once means.
use super::settings;
use crate::{
    compile::{
        incremental::{Changes, Compiler},
        mesh::Mesh,
    },
    object::Objects,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

#[expect(clippy::too_many_lines, reason = "one kind after the other")]
/// Documents of every kind from a world so small that they meet.
fn document() -> impl Strategy<Value = String> {
    let namespaces = || prop::sample::select(vec!["shop", "bank", "culvert-system"]);
    let app = || prop::sample::select(vec!["a", "b"]);
    let selector = || prop::sample::select(vec!["", "app: a", "app: b"]);
    let meta = |kind: &str, version: &str, name: &str, namespace: &str, more: &str| {
        format!(
            "apiVersion: {version}, kind: {kind}, metadata: {{name: {name}, namespace: {namespace}, {more}}}"
        )
    };
    let namespace = (
        namespaces(),
        prop::sample::select(vec!["", "culvert.dev/mesh: enabled", "topology.istio.io/network: net"]),
        prop::sample::select(vec!["", "networking.istio.io/traffic-distribution: PreferClose"]),
    )
        .prop_map(|(name, labels, annotations)| {
            format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}, annotations: {{{annotations}}}}}}}")
        });
    let pod = (namespaces(), "p[0-3]", app(), 1..30_u8, any::<bool>()).prop_map(
        move |(namespace, name, app, ip, over)| {
            let phase = if over { "phase: Running" } else { "" };
            let meta = meta("Pod", "v1", &name, namespace, &format!("labels: {{app: {app}}}, annotations: {{culvert.dev/netns: /run/netns/{ip}}}"));
            format!("{{{meta}, spec: {{nodeName: node-a, containers: [{{ports: [{{name: http, containerPort: 80{ip}}}]}}]}}, status: {{podIP: 10.0.0.{ip}, {phase}}}}}")
        },
    );
    let service = (namespaces(), "s[0-2]", selector(), prop::sample::select(vec!["", "clusterIP: None,", "clusterIP: 10.1.0.1,"])).prop_map(
        move |(namespace, name, selector, ip)| {
            let meta = meta("Service", "v1", &name, namespace, "");
            format!("{{{meta}, spec: {{{ip} selector: {{{selector}}}, ports: [{{name: http, port: 80, targetPort: http}}, {{name: other, port: 81}}]}}}}")
        },
    );
    let slice = (namespaces(), "e[0-1]", "s[0-2]", prop::sample::select(vec!["", "targetRef: {kind: Pod, name: p0},", "targetRef: {kind: Pod, name: p1},"])).prop_map(
        move |(namespace, name, service, target)| {
            let meta = meta("EndpointSlice", "discovery.k8s.io/v1", &name, namespace, &format!("labels: {{kubernetes.io/service-name: {service}}}"));
            format!("{{{meta}, addressType: IPv4, ports: [{{name: http, port: 8000}}], endpoints: [{{{target} addresses: [10.2.0.1], nodeName: node-a}}]}}")
        },
    );
    let entry = (namespaces(), "x[0-2]", "[xy]", prop::sample::select(vec![
        "resolution: DNS", "resolution: NONE", "resolution: STATIC, workloadSelector: {labels: {app: a}}",
        "resolution: STATIC, endpoints: [{address: 10.3.0.1}]", "resolution: DNS, exportTo: ['.']",
    ])).prop_map(move |(namespace, name, host, spec)| {
        let meta = meta("ServiceEntry", "networking.istio.io/v1", &name, namespace, "");
        format!("{{{meta}, spec: {{hosts: [{host}.example, s0.shop.svc.cluster.local], ports: [{{name: http, number: 80}}], {spec}}}}}")
    });
    let workload = (namespaces(), "w[0-1]", app()).prop_map(move |(namespace, name, app)| {
        let meta = meta(
            "WorkloadEntry",
            "networking.istio.io/v1",
            &name,
            namespace,
            &format!("labels: {{app: {app}}}"),
        );
        format!("{{{meta}, spec: {{address: 10.4.0.1, ports: {{http: 8080}}}}}}")
    });
    let mode = || prop::sample::select(vec!["STRICT", "PERMISSIVE", "UNSET"]);
    let peer = (namespaces(), "q[0-1]", selector(), mode(), mode()).prop_map(
        move |(namespace, name, selector, mode, port)| {
            let meta = meta("PeerAuthentication", "security.istio.io/v1", &name, namespace, "");
            let ports = if selector.is_empty() { String::new() } else { format!(", portLevelMtls: {{80: {{mode: {port}}}}}") };
            format!("{{{meta}, spec: {{selector: {{matchLabels: {{{selector}}}}}, mtls: {{mode: {mode}}}{ports}}}}}")
        },
    );
    let policy = (namespaces(), "r[0-1]", selector(), prop::sample::select(vec!["ALLOW", "DENY", "AUDIT"]), any::<bool>()).prop_map(
        move |(namespace, name, selector, action, seen)| {
            let meta = meta("AuthorizationPolicy", "security.istio.io/v1", &name, namespace, "");
            let operation = if seen { "ports: ['80']" } else { "paths: [/x]" };
            let selector = if selector.is_empty() { String::new() } else { format!("selector: {{matchLabels: {{{selector}}}}}, ") };
            format!("{{{meta}, spec: {{{selector}action: {action}, rules: [{{to: [{{operation: {{{operation}}}}}]}}]}}}}")
        },
    );
    let node = "[rs]1".prop_map(|region| {
        format!("{{apiVersion: v1, kind: Node, metadata: {{name: node-a, labels: {{topology.kubernetes.io/region: {region}}}}}}}")
    });
    let mesh = prop::sample::select(vec!["rootNamespace: bank", "trustDomain: other", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"]).prop_map(|inner| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: mesh, namespace: culvert-system}}, data: {{mesh: '{inner}'}}}}")
    });
    prop_oneof![
        2 => namespace, 4 => pod, 3 => service, 1 => slice, 2 => entry, 1 => workload, 2 => peer,
        2 => policy, 1 => node, 1 => mesh,
    ]
}

/// What happens to the files.
#[derive(Clone, Debug)]
struct Edit {
    file: usize,
    /// `None`: it is deleted.
    text: Option<String>,
    turned: usize,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (
        0..12_usize,
        prop::option::weighted(0.8, prop::collection::vec(document(), 1..3)),
        0..5_usize,
    );
    let edit = edit.prop_map(|(file, documents, turned)| Edit {
        file,
        text: documents.map(|documents| documents.join("\n---\n")),
        turned,
    });
    prop::collection::vec(edit, 1..20)
}

fn together(files: &BTreeMap<usize, Objects>, turned: usize) -> Objects {
    let mut all = Objects::default();
    for objects in files.values() {
        all.append(objects.clone());
    }
    let by = |len: usize| turned % len.max(1);
    let (pods, services) = (by(all.pods.len()), by(all.services.len()));
    all.pods.rotate_left(pods);
    all.services.rotate_left(services);
    all.service_entries.reverse();
    all
}

/// What changed leads from one to the other.
fn add_up(mut mesh: Mesh, changes: &Changes, after: &Mesh) -> Mesh {
    fn change<K: Ord + Clone, V>(
        all: &mut BTreeMap<K, Arc<V>>,
        changes: &BTreeMap<K, Option<Arc<V>>>,
    ) {
        for (key, new) in changes {
            match new {
                Some(new) => _ = all.insert(key.clone(), Arc::clone(new)).is_some(),
                None => assert!(all.remove(key).is_some()),
            }
        }
    }
    change(&mut mesh.members, &changes.members);
    change(&mut mesh.services, &changes.services);
    change(&mut mesh.policies, &changes.policies);
    change(&mut mesh.closing, &changes.closing);
    if changes.config {
        mesh.config = Arc::clone(&after.config);
    }
    if changes.local {
        mesh.local = after.local.clone();
    }
    mesh.notes.clone_from(&after.notes);
    mesh
}

proptest! {
    #[test]
    fn step_by_step_is_at_once(edits in edits()) {
        let mut compiler = Compiler::new(settings());
        let mut files = BTreeMap::new();
        for Edit { file, text, turned } in edits {
            match text {
                Some(text) => {
                    let (objects, problems) = Objects::parse(&format!("{file}.yaml"), text.as_bytes());
                    prop_assert!(problems.is_empty(), "{:?}", problems);
                    files.insert(file, objects);
                }
                None => drop(files.remove(&file)),
            }
            let objects = together(&files, turned);
            let before = compiler.mesh().clone();
            let at_once = crate::compile::mesh(&objects, &settings());
            match compiler.apply(&objects) {
                Ok(changes) => {
                    prop_assert_eq!(Ok(compiler.mesh()), at_once.as_ref());
                    prop_assert_eq!(&add_up(before, &changes, compiler.mesh()), compiler.mesh());
                }
                Err(problems) => {
                    prop_assert_eq!(Err(&problems), at_once.as_ref());
                    prop_assert_eq!(&before, compiler.mesh());
                }
            }
        }
    }
}
