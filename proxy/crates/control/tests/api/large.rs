//! A large cluster.
use crate::plane::Plane;
use culvert_cluster::Cluster;
use std::{fmt::Write as _, fs, time::Instant};

const PODS: usize = 5_000;
const SERVICES: usize = 500;

/// Memory that is in use, and processor time so far, of this process.
fn used() -> (u64, f64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    (line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10, ticks / 100.0)
}

fn feed(cluster: &Cluster, text: &str, words: &[&str]) {
    let output = cluster.kubectl_with(text, words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Takes minutes to fill the cluster: `cargo test -p culvert-control --test api -- --ignored large`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and fills an API server"]
#[expect(clippy::print_stdout, reason = "what is measured is for whoever runs it")]
async fn five_thousand_pods_and_five_hundred_services() {
    let cluster = Cluster::api("control-large");
    let namespace = cluster.namespace("large");
    let name = namespace.name();
    let mut text = String::new();
    for number in 0..SERVICES {
        writeln!(text, "{{apiVersion: v1, kind: Service, metadata: {{name: s{number}}}, spec: {{selector: {{app: a{number}}}, ports: [{{port: 80, targetPort: 8080}}]}}}}\n---").unwrap();
    }
    namespace.apply(&text);
    for part in 0..PODS / 1000 {
        let mut text = String::new();
        for number in part * 1000..(part + 1) * 1000 {
            let app = number % SERVICES;
            writeln!(text, "{{apiVersion: v1, kind: Pod, metadata: {{name: p{number}, labels: {{app: a{app}}}}}, spec: {{nodeName: worker-{}, automountServiceAccountToken: false, containers: [{{name: main, image: example/app, ports: [{{containerPort: 8080}}], env: [{{name: LONG, value: \"{}\"}}]}}]}}}}\n---", number % 50, "x".repeat(1500)).unwrap();
        }
        let words = ["--namespace", name, "create", "--filename", "-"];
        feed(&cluster, &text, &words);
        let mut text = String::new();
        for number in part * 1000..(part + 1) * 1000 {
            let ip = format!("10.{}.{}.{}", number / 62_500, number / 250 % 250, number % 250 + 1);
            writeln!(text, "{{apiVersion: v1, kind: Pod, metadata: {{name: p{number}}}, status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: \"True\"}}]}}}}\n---").unwrap();
        }
        let words = ["--namespace", name, "apply", "--server-side", "--force-conflicts"];
        feed(&cluster, &text, &[&words[..], &["--subresource=status", "-f", "-"]].concat());
    }
    namespace.label("culvert.dev/mesh=enabled");
    let (before, begun) = (used(), Instant::now());
    let mut plane = Plane::of_cluster(cluster.kubeconfig()).await;
    let ready = begun.elapsed();
    let after = used();
    let status = plane.control.status();
    assert!(status.counts.pods >= PODS, "{:?}", status.counts);
    println!(
        "ready after {ready:?}, {:.1} s of processor time; {} MiB, before {} MiB",
        after.1 - before.1,
        after.0,
        before.0
    );
    let begun = Instant::now();
    let patch = r#"{"metadata":{"labels":{"app":"other"}}}"#;
    namespace.kubectl(&["patch", "pod", "p7", "--type=merge", "-p", patch]);
    plane.until(|status| status.generation > 1).await;
    println!("a change took {:?}, kubectl included", begun.elapsed());
}
