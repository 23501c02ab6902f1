//! What manifests of 10,000 pods, 1,000 services and 1,000 policies cost to read and to compile,
//! and one pod changed among them.
//!
//! `cargo bench -p culvert-control`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and a failure ends it"
)]
use culvert_control::{
    compile::{Ambient, Settings, incremental::Compiler},
    object::Objects,
};
use std::{sync::Arc, time::Instant};

fn main() {
    let pod = |n: usize, ip: usize| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p{n}, namespace: ns{}, labels: {{app: a{}, version: v1}}}}, \
             spec: {{nodeName: n{}, serviceAccountName: s{}, containers: [{{ports: [{{name: http, containerPort: 8080}}]}}]}}, \
             status: {{phase: Running, podIP: 10.{}.{}.{}}}}}",
            n % 100,
            n % 1000,
            n % 200,
            n % 500,
            ip >> 16,
            (ip >> 8) & 255,
            ip & 255
        )
    };
    let service = |n: usize| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s{n}, namespace: ns{}}}, spec: {{clusterIP: 172.16.{}.{}, \
             selector: {{app: a{n}}}, ports: [{{name: http, port: 80, targetPort: http}}]}}}}",
            n % 100,
            n >> 8,
            n & 255
        )
    };
    let policy = |n: usize| {
        format!(
            "{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: p{n}, namespace: ns{}}}, \
             spec: {{selector: {{matchLabels: {{app: a{n}}}}}, rules: [{{from: [{{source: {{principals: ['cluster.local/ns/a/sa/b']}}}}]}}]}}}}",
            n % 100
        )
    };
    let texts =
        (0..10_000).map(|n| pod(n, n)).chain((0..1000).map(service)).chain((0..1000).map(policy));
    let start = Instant::now();
    let (mut all, problems) =
        Objects::parse("all.yaml", texts.collect::<Vec<_>>().join("\n---\n").as_bytes());
    assert!(problems.is_empty());
    println!("parse {:?}", start.elapsed());
    let mut compiler = Compiler::new(Settings {
        node_name: "node-a".into(),
        cluster: "Kubernetes".into(),
        trust_domain: "cluster.local".into(),
        ambient: Ambient::Ours,
        l7: false,
    });
    let start = Instant::now();
    compiler.apply(&all).unwrap();
    println!("first compile {:?}, {} members", start.elapsed(), compiler.mesh().members.len());
    for round in 0..5 {
        let (changed, _) = Objects::parse("5.yaml", pod(5, 20_000 + round).as_bytes());
        all.pods[5] = Arc::clone(&changed.pods[0]);
        let start = Instant::now();
        let changes = compiler.apply(&all).unwrap();
        println!("one pod {:?}, {} members changed", start.elapsed(), changes.members.len());
    }
}
