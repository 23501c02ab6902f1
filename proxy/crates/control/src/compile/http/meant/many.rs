//! Meshes of many objects.
use crate::{
    compile::http::{
        emit::{Emitter, Scope, scene::Edit, tests::compiler},
        steps::Effort,
    },
    object::{Objects, pod::Pod},
};
use culvert_model::name::ObjectName;
use std::{net::Ipv4Addr, sync::Arc};

const NAMESPACES: usize = 100;
const SERVICES: usize = 1_000;
const PODS: usize = 48_400;

fn texts() -> String {
    let namespaces = (0..NAMESPACES).map(|n| {
        format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: ns{n}, labels: {{culvert.dev/mesh: enabled}}}}}}"
        )
    });
    let services = (0..SERVICES).map(|n| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s{n}, namespace: ns{}}}, spec: {{clusterIP: 172.16.{}.{}, \
             selector: {{app: a{n}}}, ports: [{{name: http, port: 80}}]}}}}",
            n % NAMESPACES,
            n >> 8,
            n & 255
        )
    });
    let routes = (0..SERVICES / 2).map(|n| route(n, "1s"));
    namespaces.chain(services).chain(routes).collect::<Vec<_>>().join("\n---\n")
}

fn route(n: usize, timeout: &str) -> String {
    format!(
        "{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: s{n}, namespace: ns{}}}, \
         spec: {{hosts: [s{n}], http: [{{route: [{{destination: {{host: s{n}}}}}], timeout: {timeout}}}]}}}}",
        n % NAMESPACES
    )
}

fn pod(like: &Pod, n: usize, ip: usize) -> Arc<Pod> {
    let mut pod = like.clone();
    let service = n % SERVICES;
    pod.meta.name = ObjectName::new(format!("ns{}", service % NAMESPACES), format!("p{n}"));
    pod.meta.labels.get_mut("app").unwrap().value = format!("a{service}");
    let [_, b, c, d] = u32::try_from(ip).unwrap().to_be_bytes();
    pod.ips[0].value = Ipv4Addr::new(10, b, c, d).into();
    Arc::new(pod)
}

#[test]
fn fifty_thousand_objects_compile_and_a_change_is_no_more_than_itself() {
    let like = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns0, labels: {app: a0}}, \
                spec: {nodeName: node-a}, status: {podIP: 10.0.0.0, phase: Running}}";
    let text = format!("{}\n---\n{like}", texts());
    let (mut all, problems) = Objects::parse("all.yaml", text.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    let like = all.pods.remove(0);
    all.pods.extend((0..PODS).map(|n| pod(&like, n, n + 1)));
    let count = all.pods.len() + all.services.len() + all.virtual_services.len();
    assert_eq!(count + all.namespaces.len(), 50_000);
    let mut compiler = compiler("");
    compiler.apply(&all).unwrap();
    assert_eq!(compiler.mesh().members.len(), PODS);
    assert_eq!(compiler.mesh().services.len(), SERVICES);
    let mut scene = compiler.scene().clone();
    let mut emitter = Emitter::new(Scope::of_engine("ns0", "node-a"), &scene);
    let parts = emitter.parts();
    assert!(parts > SERVICES / 2, "only {parts}");

    // A pod of a service that has a route.
    all.pods[5] = pod(&like, 5, PODS + 9);
    let before = compiler.effort();
    let changes = compiler.apply(&all).unwrap();
    let effort = compiler.effort();
    assert_eq!(Effort { asked: before.asked, ..effort }, before, "nothing is planned anew");
    assert!(effort.asked - before.asked <= 2, "{effort:?}");
    assert_eq!((changes.members.len(), changes.services.len()), (1, 0));
    assert!(matches!(changes.l7[..], [Edit::Workload(..)]), "{:?}", changes.l7.len());
    let changed = changes.l7.iter().flat_map(|edit| scene.apply(edit)).collect();
    let delta = emitter.follow(&changed, &scene);
    assert_eq!((delta.set.len(), delta.removed.len()), (1, 0), "{:?}", delta.set);
    assert!(delta.made.len() <= 2, "{:?}", delta.made);

    // A route.
    let (one, _) = Objects::parse("one.yaml", route(7, "2s").as_bytes());
    all.virtual_services[7] = Arc::clone(&one.virtual_services[0]);
    let before = compiler.effort();
    let changes = compiler.apply(&all).unwrap();
    let effort = compiler.effort();
    assert_eq!((effort.istio, effort.services), (before.istio, before.services + 1));
    assert_eq!((effort.gateway_api, effort.policies), (before.gateway_api, before.policies));
    assert_eq!((changes.members.len(), changes.services.len()), (0, 0));
    let changed = changes.l7.iter().flat_map(|edit| scene.apply(edit)).collect();
    let delta = emitter.follow(&changed, &scene);
    assert_eq!((delta.set.len(), delta.removed.len()), (1, 0), "{:?}", delta.set);
    assert!(delta.made.len() <= 6, "{:?}", delta.made);
    assert_eq!(emitter.parts(), parts);
}
