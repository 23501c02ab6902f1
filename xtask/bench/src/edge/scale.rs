//! P14 at the edge: ten thousand hosts, clusters and endpoints, all from a server of discovery.
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{
    ads::{Ads, CLUSTER, ENDPOINTS, ROUTES, World, resource},
    config::{self, Http},
    side::{Backend, Side, free_port},
};
use crate::{
    Programs,
    envoy::{hbone, socket},
    process::settled_memory,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
};

const GOAL: &str = "P14";

const SERVICES: u32 = 10_000;

/// How often an endpoint, and a host's route, change.
const CHANGES: u32 = 20;

/// What an answer is waited for, and how soon it is asked for again.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_micros(200);

/// What was measured of one of them.
struct Measured {
    start: f64,
    memory: f64,
    endpoint: Vec<f64>,
    host: Vec<f64>,
}

/// Measures both, one after the other, so that neither waits for the other's configuration.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    hbone::certificates(folder)?;
    let backend = Backend::start(folder)?;
    let discovery = free_port()?;
    let ads = Ads::start(discovery, world(&backend)?)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(one(&ads, &backend, || {
            Side::envoy(programs, folder, |at| bootstrap(at, discovery))
        })?);
        ours.push(one(&ads, &backend, || {
            Side::culvert(programs, folder, |at| bootstrap(at, discovery))
        })?);
    }
    let of = |measured: &[Measured], what: fn(&Measured) -> f64| {
        median(&measured.iter().map(what).collect::<Vec<_>>())
    };
    let finding = |what: &str, unit, number: fn(&Measured) -> f64, limit| {
        Finding::new(GOAL, what, of(&ours, number), unit)
            .beside("envoy", of(&theirs, number))
            .held_to(Limit::AtMost(limit))
    };
    Ok(vec![
        finding("edge, 10,000 services: start → the last route serves", "s", |it| it.start, 1.0),
        finding("edge, the same, resident", "MB", |it| it.memory, 80.0),
        finding("edge, EDS change told → used", "ms", |it| median(&it.endpoint), 2.0),
        finding("edge, one host of RDS changed, told → used", "ms", |it| median(&it.host), 10.0),
    ])
}

fn one(ads: &Ads, backend: &Backend, start: impl Fn() -> Result<Side>) -> Result<Measured> {
    // A new process is told what there was at the beginning.
    let began = Instant::now();
    let side = start()?;
    let last = SERVICES - 1;
    await_answer(side.at, last, |body| body.starts_with('x'))?;
    let start = began.elapsed().as_secs_f64();
    let memory = settled_memory(side.player.pid())? / 1e6;
    let (mut endpoint, mut host) = (Vec::new(), Vec::new());
    for change in 0..CHANGES {
        let (to, expected) =
            if change % 2 == 0 { (backend.other, 'o') } else { (backend.plain, 'x') };
        let changed = resource(ENDPOINTS, &assignment(last, to))?;
        ads.settle();
        let told = Instant::now();
        ads.tell(ENDPOINTS, changed);
        await_answer(side.at, last, |body| body.starts_with(expected))?;
        endpoint.push(told.elapsed().as_secs_f64() * 1e3);
    }
    for change in 0..CHANGES {
        let body = format!("change {change}");
        let changed = resource(ROUTES, &routes(Some(&body)))?;
        ads.settle();
        let told = Instant::now();
        ads.tell(ROUTES, changed);
        await_answer(side.at, last - 1, |answer| answer == body)?;
        host.push(told.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Measured { start, memory, endpoint, host })
}

/// Asks for a service until the answer is as wanted.
fn await_answer(at: SocketAddr, service: u32, is: impl Fn(&str) -> bool) -> Result<()> {
    let began = Instant::now();
    let mut last = String::new();
    while began.elapsed() < PATIENCE {
        // Until a proxy is there it fails in any way there is.
        if let Ok(body) = answer(at, service) {
            if is(&body) {
                return Ok(());
            }
            last = body;
        }
        thread::sleep(PAUSE);
    }
    bail!("service {service} answers {last:?} still")
}

fn answer(at: SocketAddr, service: u32) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    write!(stream, "GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", name(service))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let is_good = text.starts_with("HTTP/1.1 200");
    Ok(text
        .split_once("\r\n\r\n")
        .filter(|_| is_good)
        .map_or(String::new(), |(_, body)| body.to_owned()))
}

fn bootstrap(listen: SocketAddr, discovery: SocketAddr) -> Value {
    let ads = json!({ "ads": {}, "resource_api_version": "V3" });
    let routes = json!({ "rds": { "route_config_name": "edge", "config_source": ads } });
    let manager = config::manager(routes, json!([config::router()]));
    let mut xds = config::cluster("xds", discovery);
    xds["typed_extension_protocol_options"] =
        config::options(&json!({ "http2_protocol_options": {} }));
    let dynamic = json!({ "dynamic_resources": {
        "cds_config": ads,
        "ads_config": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds" } }],
        },
    } });
    config::bootstrap(
        &json!([config::listener(listen, &manager, Http::One)]),
        &json!([xds]),
        &dynamic,
    )
}

fn world(backend: &Backend) -> Result<World> {
    let mut world = World::new();
    let all = |type_url, of: &dyn Fn(u32) -> Value| -> Result<Vec<_>> {
        (0..SERVICES)
            .map(|service| Ok((name(service), resource(type_url, &of(service))?)))
            .collect()
    };
    world.insert(CLUSTER, all(CLUSTER, &cluster)?);
    world.insert(ENDPOINTS, all(ENDPOINTS, &|service| assignment(service, backend.plain))?);
    world.insert(ROUTES, vec![("edge".to_owned(), resource(ROUTES, &routes(None))?)]);
    Ok(world)
}

fn cluster(service: u32) -> Value {
    json!({
        "name": name(service),
        "type": "EDS",
        "connect_timeout": "5s",
        "eds_cluster_config": { "eds_config": { "ads": {}, "resource_api_version": "V3" } },
    })
}

fn assignment(service: u32, to: SocketAddr) -> Value {
    json!({ "cluster_name": name(service), "endpoints": [{ "lb_endpoints": [{
        "endpoint": { "address": socket(to) },
    }] }] })
}

/// All hosts; the last but one answers by itself with `body`.
fn routes(body: Option<&str>) -> Value {
    let host = |service: u32| {
        let action = match body.filter(|_| service == SERVICES - 2) {
            Some(body) => {
                json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200, "body": { "inline_string": body } } })
            }
            None => json!({ "match": { "prefix": "/" }, "route": { "cluster": name(service) } }),
        };
        json!({ "name": name(service), "domains": [name(service)], "routes": [action] })
    };
    json!({ "name": "edge", "virtual_hosts": (0..SERVICES).map(host).collect::<Vec<_>>() })
}

fn name(service: u32) -> String {
    format!("service-{service}.example.com")
}
