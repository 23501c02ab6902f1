//! What plans come to.

mod random;

mod laws;

pub(super) mod shown;

mod steps;

mod wide;

mod recorded;

mod served;

mod whole;

use super::{
    Emitter, Resource, Scope,
    scene::{Edit, Scene},
};
use crate::{
    compile::{
        Ambient, Settings,
        http::plan::{At, Plan},
        incremental::Compiler,
    },
    object::Objects,
};
use culvert_model::{locality::Locality, name::ServiceName};
use culvert_proto::json;
use culvert_xds::envoy::{
    decode::{self, Nothing, Wrong},
    kind::Kind,
};
use std::{num::NonZeroU16, sync::Arc};

pub(in super::super) fn objects(text: &str) -> Objects {
    let (objects, problems) = Objects::parse("shop.yaml", text.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    objects
}

pub(in super::super) fn compiler(text: &str) -> Compiler {
    let mut compiler = Compiler::new(settings());
    compiler.apply(&objects(text)).unwrap();
    compiler
}

/// What somebody is told who has a scene of their own.
pub(crate) fn changes(text: &str) -> Vec<Edit> {
    let mut compiler = Compiler::new(settings());
    compiler.apply(&objects(text)).unwrap().l7
}

/// The same, where the label asks for L7.
pub(crate) fn labelled(text: &str) -> String {
    text.replace(
        "{culvert.dev/mesh: enabled}",
        "{culvert.dev/mesh: enabled, culvert.dev/l7: enabled}",
    )
}

fn settings() -> Settings {
    Settings {
        node_name: "".into(),
        cluster: "Kubernetes".into(),
        trust_domain: "cluster.local".into(),
        ambient: Ambient::Ours,
        l7: true,
    }
}

pub(super) fn scene(text: &str, plan: Plan) -> Scene {
    let mut scene = compiler(text).scene().clone();
    scene.set_plan(plan);
    scene
}

/// The engine of a namespace on `node-a`.
fn engine(namespace: &str) -> Scope {
    let locality = Locality { region: "r1".into(), zone: "z1".into(), subzone: "".into() };
    Scope { locality, ..Scope::of_engine(namespace, "node-a") }
}

fn emit(text: &str, plan: Plan, namespace: &str) -> Emitter {
    Emitter::new(engine(namespace), &scene(text, plan))
}

pub(in super::super) fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

pub(in super::super) fn host(namespace: &str, name: &str) -> ServiceName {
    ServiceName::new(namespace, format!("{name}.{namespace}.svc.cluster.local"))
}

fn at(object: &str, line: u32) -> At {
    At::object(object, format!("shop.yaml:{line}"))
}

/// Whether our own engine understands a resource.
fn understood(resource: &Resource) -> Result<(), Wrong> {
    let bytes = &resource.any.value;
    match resource.kind {
        Kind::Cluster => decode::cluster(bytes, &Nothing).map(drop),
        Kind::Endpoint => decode::assignment(bytes).map(drop),
        Kind::Listener => decode::listener(bytes, &Nothing).map(drop),
        Kind::Route => decode::routes(bytes, &Nothing).map(drop),
        Kind::Secret | Kind::Extension | Kind::Runtime => unreachable!("none of these is made"),
    }
}

/// All of a kind whose names begin so, as people write them.
fn shown(emitter: &Emitter, kind: Kind, prefix: &str) -> String {
    let of = |resource: &&Arc<Resource>| resource.kind == kind && resource.name.starts_with(prefix);
    let all = emitter.resources().values().filter(of);
    let written = all.map(|one| {
        understood(one).unwrap();
        let json = json::write_any(&one.any.type_url, &one.any.value);
        serde_json::to_string_pretty(&json).unwrap() + "\n"
    });
    written.collect()
}

/// Two services of three versions, with pods on two nodes.
pub(crate) const SHOP: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {culvert.dev/mesh: enabled}}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: reviews}
  ports: [{name: http, port: 9080, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: shop}
spec:
  clusterIP: 10.96.0.2
  selector: {app: ratings}
  ports: [{name: web, port: 80}, {name: tcp-db, port: 3306}, {name: tls, port: 443}]
---
{apiVersion: v1, kind: Pod, metadata: {name: reviews-v1, namespace: shop, labels: {app: reviews, version: v1}}, spec: {nodeName: node-a}, status: {podIP: 10.1.0.1, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: reviews-v2, namespace: shop, labels: {app: reviews, version: v2}}, spec: {nodeName: node-b}, status: {podIP: 10.2.0.1, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ratings, namespace: shop, labels: {app: ratings}}, spec: {nodeName: node-a}, status: {podIP: 10.1.0.2, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: node-a}, status: {podIP: 10.1.0.3, phase: Running}}
";
