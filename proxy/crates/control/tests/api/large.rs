//! A large cluster: its objects are real, its nodes are not.
use crate::{
    plane::{PATIENCE, Plane},
    replica::client,
    shipped::{self, NAMESPACE},
};
use culvert_cluster::{Cluster, Crds, eventually};
use culvert_kubernetes::{
    client::Client,
    fault::Fault,
    write::{Part, Place},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap, env, fs, path::PathBuf, process, sync::Arc, thread, time::Instant,
};
use tokio::{sync::Semaphore, task::JoinSet};

const PODS: usize = 5_000;
const SERVICES: usize = 500;
const NODES: usize = 50;

/// Requests at a time: more only wait in the API server.
const AT_ONCE: usize = 32;

/// Fills a cluster.
struct Filler {
    client: Client,
    seats: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Filler {
    fn new(client: &Client) -> Self {
        let (client, seats) = (client.clone(), Arc::new(Semaphore::new(AT_ONCE)));
        Self { client, seats, tasks: JoinSet::new() }
    }

    /// Makes an object, and says what its status is.
    fn add(&mut self, plural: &'static str, object: Value, status: Option<Value>) {
        let (client, seats) = (self.client.clone(), Arc::clone(&self.seats));
        self.tasks.spawn(async move {
            let _seat = seats.acquire().await.unwrap();
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let (namespace, name) = (text("namespace"), text("name"));
            let place = Place { api_version: "v1", plural, namespace, name };
            while !is_done(&client.create(&place, &object).await) {}
            let Some(status) = status else { return };
            let said = json!({
                "apiVersion": "v1", "kind": object["kind"], "metadata": object["metadata"],
                "status": status,
            });
            while !is_done(&client.apply(&place, Part::Status, &said).await) {}
        });
    }

    async fn done(mut self) {
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
    }
}

/// Whether it needs not be asked again: a busy API server may be late.
fn is_done(answer: &Result<Value, Fault>) -> bool {
    match answer {
        Ok(_) => true,
        Err(fault) if fault.is_conflict() => true,
        Err(Fault::Unreachable(_)) => false,
        Err(fault) => panic!("{fault}"),
    }
}

/// Nodes, services and pods.
async fn fill(client: &Client, namespace: &str) {
    let mut nodes = Filler::new(client);
    for number in 0..NODES {
        let metadata = json!({ "name": format!("worker-{number}") });
        // Pods of nodes that are not there would be taken away.
        let object = json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata });
        nodes.add("nodes", object, None);
    }
    nodes.done().await;
    let mut all = Filler::new(client);
    for number in 0..SERVICES {
        let spec = json!({
            "selector": { "app": format!("a{number}") },
            "ports": [{ "port": 80, "targetPort": 8080 }],
        });
        let metadata = json!({ "name": format!("s{number}"), "namespace": namespace });
        let object =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec });
        all.add("services", object, None);
    }
    for number in 0..PODS {
        let (object, status) = pod(namespace, number);
        all.add("pods", object, Some(status));
    }
    all.done().await;
}

/// A pod as long as many are.
fn pod(namespace: &str, number: usize) -> (Value, Value) {
    let ip = format!("10.{}.{}.{}", number / 62_500, number / 250 % 250, number % 250 + 1);
    let labels = json!({ "app": format!("a{}", number % SERVICES) });
    let environment = json!([{ "name": "LONG", "value": "x".repeat(1500) }]);
    let container = json!({
        "name": "main", "image": "example/app", "ports": [{ "containerPort": 8080 }],
        "env": environment,
    });
    let spec = json!({
        "nodeName": format!("worker-{}", number % NODES),
        "automountServiceAccountToken": false,
        "containers": [container],
    });
    let metadata =
        json!({ "name": format!("p{number}"), "namespace": namespace, "labels": labels });
    let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    let status = json!({
        "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    });
    (object, status)
}

/// What the control plane asked for, by what it was.
fn asked(cluster: &Cluster) -> BTreeMap<String, usize> {
    let user = "system:serviceaccount:culvert-system:culvert-control";
    let mut asked = BTreeMap::new();
    for line in cluster.requests_by(user) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if line["stage"] == "ResponseComplete" || line["stage"] == "ResponseStarted" {
            let what = format!("{} {}", text(&line["verb"]), text(&line["objectRef"]["resource"]));
            *asked.entry(what).or_default() += 1;
        }
    }
    asked
}

/// Prints what is measured where `MEASURED` names a program to be measured; without it, only
/// that all of it is known, and that a change is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "a test has no settings")]
async fn five_thousand_pods_and_five_hundred_services() {
    let cluster = Cluster::api("control-large");
    cluster.install(Crds::Istio);
    cluster.install(Crds::Gateway);
    cluster.apply(&shipped::rules());
    let namespace = cluster.namespace("large");
    let name = namespace.name();
    namespace.label("culvert.dev/mesh=enabled");
    eventually("an account for pods", || {
        (!namespace.get(&["serviceaccount", "default"]).is_null()).then_some(())
    });
    let client = client(cluster.kubeconfig()).await;
    fill(&client, name).await;
    let kubeconfig = cluster.kubeconfig_of(NAMESPACE, "culvert-control");
    if let Ok(program) = env::var("MEASURED") {
        return measure(&program, &cluster, name).await;
    }
    let mut plane = Plane::of_cluster(kubeconfig).await;
    assert!(plane.control.status().counts.pods >= PODS, "{:?}", plane.control.status().counts);
    let before = asked(&cluster);
    let patch = r#"{"metadata":{"labels":{"app":"other"}}}"#;
    let generation = plane.control.status().generation;
    namespace.kubectl(&["patch", "pod", "p7", "--type=merge", "-p", patch]);
    plane.until(|status| status.generation > generation).await;
    // It is told, and asks nothing.
    assert_eq!(asked(&cluster), before);
}

/// A control plane in a process of its own.
#[expect(clippy::print_stdout, reason = "what is measured is for whoever runs it")]
async fn measure(program: &str, cluster: &Cluster, namespace: &str) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let kubeconfig = cluster.kubeconfig_of(NAMESPACE, "culvert-control");
    let begun = Instant::now();
    let log = folder.path().join("log");
    let child = process::Command::new(program)
        .args(["control", "--kubernetes", "--instance", "large", "--xds-address", "off"])
        .args(["--metrics-address", "127.0.0.1:25014", "--xds-tls-address", "127.0.0.1:25012"])
        .args(["--admission-address", "127.0.0.1:25017"])
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--state-dir")
        .arg(state)
        .env_remove("CULVERT_BIN")
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let child = Ended(child, log.clone());
    let is_ready = || {
        let log = fs::read_to_string(&log).unwrap();
        log.lines().any(|line| line.ends_with("ready")).then_some(())
    };
    eventually("a control plane", is_ready);
    let ready = begun.elapsed();
    let (rss, cpu) = used(child.0.id());
    println!("ready after {ready:.1?}: {rss} MiB resident, {cpu:.2} s of processor time");
    let before = asked(cluster);
    println!("asked so far: {before:?}");
    // Each of 500 pods is given another label, one after the other.
    let (client, begun) = (client(cluster.kubeconfig()).await, Instant::now());
    for number in 0..500 {
        let name = format!("p{number}");
        let place = Place { api_version: "v1", plural: "pods", namespace, name: &name };
        let fields = json!({ "metadata": { "labels": { "version": "v2" } } });
        client.merge(&place, &fields).await.unwrap();
    }
    let took = begun.elapsed();
    tokio::time::sleep(PATIENCE / 30).await;
    let (rss, after) = used(child.0.id());
    println!("500 changes in {took:.1?}: {rss} MiB, {:.2} s of processor time", after - cpu);
    let more = asked(cluster);
    let more = more.into_iter().filter(|(what, times)| before.get(what) != Some(times));
    println!("asked meanwhile, times so far: {:?}", more.collect::<Vec<_>>());
    tokio::time::sleep(PATIENCE / 2).await;
    let (rss, later) = used(child.0.id());
    println!("idle for 30 s: {rss} MiB, {:.2} s of processor time", later - after);
}

/// Ends with the test; where that failed, says what it said.
struct Ended(process::Child, PathBuf);

impl Drop for Ended {
    #[expect(clippy::print_stderr, reason = "for whoever asks why the test failed")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.1).unwrap_or_default());
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Memory that is in use, in MiB, and processor time so far, in seconds.
fn used(pid: u32) -> (u64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    (line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10, ticks / 100.0)
}
