//! One change after the other means what all of it at once means.
use super::settings;
use crate::{
    compile::{
        http::emit::scene::Scene,
        incremental::{Changes, Compiler},
        mesh::Mesh,
    },
    object::Objects,
    problem::Problem,
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
        prop::sample::select(vec![
            "",
            "culvert.dev/mesh: enabled",
            "topology.istio.io/network: net",
            "culvert.dev/l7: enabled",
        ]),
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
            let selector = match (selector, seen) {
                ("", false) => "targetRefs: [{group: '', kind: Service, name: s0}], ".to_owned(),
                ("", true) => String::new(),
                (selector, _) => format!("selector: {{matchLabels: {{{selector}}}}}, "),
            };
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
        2 => policy, 1 => node, 1 => mesh, 5 => route(),
    ]
}

/// What is planned for L7.
fn route() -> impl Strategy<Value = String> {
    let meta = |kind: &str, group: &str, name: &str, namespace: &str| {
        format!(
            "apiVersion: {group}/v1, kind: {kind}, metadata: {{name: {name}, namespace: {namespace}}}"
        )
    };
    let (istio, gateway_api) = ("networking.istio.io", "gateway.networking.k8s.io");
    let namespaces = || prop::sample::select(vec!["shop", "bank", "culvert-system"]);
    let hosts = || prop::sample::select(vec!["s0", "s1.shop", "x.example", "'*.example'"]);
    let to = || prop::sample::select(vec!["s0", "s2", "s1.bank.svc.cluster.local", "y.example"]);
    let bound = || prop::sample::select(vec!["mesh", "mesh", "mesh", "edge", "shop/edge"]);
    let virtual_service = (namespaces(), "v[0-1]", hosts(), to(), bound(), any::<bool>()).prop_map(
        move |(namespace, name, host, to, bound, own)| {
            let meta = meta("VirtualService", istio, &name, namespace);
            let shown = if own { ", exportTo: ['.']" } else { "" };
            format!("{{{meta}, spec: {{hosts: [{host}], gateways: [{bound}], http: [{{route: [{{destination: {{host: {to}, subset: a}}}}]}}]{shown}}}}}")
        },
    );
    let delegating = (namespaces(), "v[0-2]", hosts(), namespaces(), "v[0-2]", any::<bool>()).prop_map(
        move |(namespace, name, host, of, other, is_part)| {
            let meta = meta("VirtualService", istio, &name, namespace);
            match is_part {
                true => format!("{{{meta}, spec: {{http: [{{route: [{{destination: {{host: s0, subset: b}}}}]}}]}}}}"),
                false => format!("{{{meta}, spec: {{hosts: [{host}], http: [{{match: [{{uri: {{prefix: /x}}}}], delegate: {{name: {other}, namespace: {of}}}}}]}}}}"),
            }
        },
    );
    let rule = (namespaces(), "d[0-1]", hosts(), any::<bool>()).prop_map(
        move |(namespace, name, host, asks)| {
            let meta = meta("DestinationRule", istio, &name, namespace);
            let policy = if asks { "trafficPolicy: {loadBalancer: {simple: RANDOM}}, " } else { "" };
            format!("{{{meta}, spec: {{host: {host}, {policy}subsets: [{{name: a, labels: {{app: a}}}}]}}}}")
        },
    );
    let gateway = namespaces().prop_map(move |namespace| {
        let meta = meta("Gateway", istio, "edge", namespace);
        format!("{{{meta}, spec: {{servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]}}}}")
    });
    let listener = (namespaces(), prop::sample::select(vec!["culvert", "other"])).prop_map(
        move |(namespace, class)| {
            let meta = meta("Gateway", gateway_api, "edge", namespace);
            format!("{{{meta}, spec: {{gatewayClassName: {class}, listeners: [{{name: a, port: 80, protocol: HTTP}}]}}}}")
        },
    );
    let http = (namespaces(), "h[0-1]", "s[0-2]", "s[0-2]", any::<bool>()).prop_map(
        move |(namespace, name, of, to, at_edge)| {
            let meta = meta("HTTPRoute", gateway_api, &name, namespace);
            let parent = match at_edge {
                true => "{name: edge}".to_owned(),
                false => format!("{{group: '', kind: Service, name: {of}, namespace: shop}}"),
            };
            format!("{{{meta}, spec: {{parentRefs: [{parent}], rules: [{{backendRefs: [{{name: {to}, port: 80}}]}}]}}}}")
        },
    );
    let tls = (namespaces(), "t[0-1]", "s[0-2]").prop_map(move |(namespace, name, of)| {
        let meta = meta("BackendTLSPolicy", gateway_api, &name, namespace);
        format!("{{{meta}, spec: {{targetRefs: [{{group: '', kind: Service, name: {of}}}], validation: {{hostname: a.example, wellKnownCACertificates: System}}}}}}")
    });
    prop_oneof![4 => virtual_service, 1 => delegating, 2 => rule, 1 => gateway, 1 => listener, 3 => http, 1 => tls]
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

/// What one says that begins with these objects.
fn at_once(objects: &Objects) -> Result<Compiler, Vec<Problem>> {
    let mut compiler = Compiler::new(settings());
    compiler.apply(objects)?;
    Ok(compiler)
}

/// Whoever goes takes only claims of its own along.
#[test]
fn an_address_is_disputed_where_another_pod_was_written_before() {
    let read = |file: &str, pod: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {pod}, namespace: shop}}, status: {{podIP: 10.0.0.9}}}}"
        );
        Objects::parse(file, text.as_bytes()).0
    };
    let mut compiler = at_once(&read("b.yaml", "q2")).unwrap();
    let mut both = read("b.yaml", "q1");
    both.append(read("a.yaml", "q0"));
    let problems = compiler.apply(&both).unwrap_err();
    assert_eq!(problems[0].message, "the address 10.0.0.9 is already that of shop/q0 (a.yaml:1)");
}

proptest! {
    #[test]
    fn step_by_step_is_at_once(edits in edits()) {
        let mut compiler = Compiler::new(settings());
        let mut scene = Scene::default();
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
            match (compiler.apply(&objects), at_once(&objects)) {
                (Ok(changes), Ok(anew)) => {
                    prop_assert_eq!(compiler.mesh(), anew.mesh());
                    prop_assert_eq!(compiler.scene(), anew.scene());
                    prop_assert_eq!(compiler.standings(), anew.standings());
                    prop_assert_eq!(&add_up(before, &changes, compiler.mesh()), compiler.mesh());
                    changes.l7.iter().for_each(|edit| drop(scene.apply(edit)));
                    prop_assert_eq!(&scene, compiler.scene());
                }
                (Err(problems), Err(anew)) => {
                    prop_assert_eq!(problems, anew);
                    prop_assert_eq!(&before, compiler.mesh());
                    prop_assert_eq!(&scene, compiler.scene());
                }
                (one, other) => prop_assert!(false, "{:?} {:?}", one, other),
            }
        }
    }
}
