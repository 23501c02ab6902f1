//! A control plane that never rests: Python's gRPC serves ADS, and changes routes, endpoints and
//! clusters while requests go on.
use super::{
    peers::{Peer, python},
    stage::Stage,
};
use crate::{case::Ask, client::Client, run::Scene, server::await_port};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// `API` is one of the two protocols.
const CONFIGURATION: &str = r#"
process:
  node: {id: node-1, cluster: case}
  dynamic_resources:
    ads_config: {api_type: API, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: plane}}]}
    cds_config: {ads: {}, resource_api_version: V3}
clusters: {plane: {h2: true}, unused: {to: [b1, b2]}}
manager: {rds: {route_config_name: table, config_source: {ads: {}, resource_api_version: V3}}}
logs: []
"#;

pub(super) fn short() {
    changes("GRPC", 100, 6);
}

pub(super) fn long() {
    changes("GRPC", 1_000, 60);
}

pub(super) fn short_delta() {
    changes("DELTA_GRPC", 100, 6);
}

pub(super) fn long_delta() {
    changes("DELTA_GRPC", 1_000, 60);
}

/// So many changes in so many seconds, under 500 requests a second.
fn changes(api_type: &str, count: u32, seconds: u32) {
    let start = |scene: &Scene| {
        let port = |name: &str| scene.ports.named()[name].to_string();
        let mut plane = python("plane.py");
        plane.args([port("plane"), count.to_string(), seconds.to_string(), port("b1"), port("b2")]);
        let plane = plane.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        await_port(scene.ports.named()["plane"]);
        Peer(plane)
    };
    let (name, text) =
        (format!("plane_{api_type}_{count}"), CONFIGURATION.replace("API", api_type));
    let (stage, mut plane) = Stage::start_after(&name, &text, start);
    let stop = Arc::new(AtomicBool::new(false));
    await_version(&stage, 0);
    let asking: Vec<_> =
        (0..10).map(|_| stage.runtime.spawn(load(client(&stage), Arc::clone(&stop)))).collect();
    let mut stdin = plane.0.stdin.take().unwrap();
    writeln!(stdin).unwrap();
    std::thread::sleep(Duration::from_secs(seconds.into()));
    await_version(&stage, count);
    stop.store(true, Ordering::Release);
    let mut codes = BTreeMap::<String, u32>::new();
    for one in asking {
        for (line, times) in stage.runtime.block_on(one).unwrap() {
            *codes.entry(line).or_default() += times;
        }
    }
    writeln!(stdin).unwrap();
    let mut said = String::new();
    plane.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    println!("{codes:?} {said}");
    assert_eq!(codes.len(), 1, "{codes:?}");
    assert!(codes["HTTP/1.1 200 OK"] > 350 * seconds, "{codes:?}");
    assert!(said.contains("nacks 0"), "{said}");
}

pub(super) fn client(stage: &Stage) -> Client {
    Client::new(stage.scene.ports.named().clone(), stage.scene.certificates.clone())
}

fn get() -> Ask {
    Ask { get: Some("/".into()), connection: Some("kept".into()), ..Ask::default() }
}

/// Fifty requests a second on one connection; how often each line came.
async fn load(mut client: Client, stop: Arc<AtomicBool>) -> BTreeMap<String, u32> {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut lines = BTreeMap::new();
    while !stop.load(Ordering::Acquire) {
        tick.tick().await;
        let answer = client.ask(&get()).await;
        let line = answer["line"].as_str().map_or_else(|| answer.to_string(), str::to_owned);
        *lines.entry(line).or_default() += 1;
    }
    lines
}

/// Waits until answers say that the table has changed so often.
pub(super) fn await_version(stage: &Stage, version: u32) {
    let until = Instant::now() + Duration::from_secs(20);
    let mut client = client(stage);
    loop {
        let answer = stage.runtime.block_on(client.ask(&get()));
        let is_there = answer["headers"].as_array().is_some_and(|all| {
            all.iter().any(|pair| pair[0] == "x-version" && pair[1] == version.to_string().as_str())
        });
        if is_there {
            return;
        }
        assert!(Instant::now() < until, "version {version} does not come: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
