//! P18: a request across two nodes with L7 on both sides, beside two Envoys in a row: each routes at
//! the client and asks a policy at the server, in mutual TLS between them.
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use culvert_lab::PodNs;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Programs,
    edge::config::{self, Http},
    envoy::hbone,
    manifests,
    pair::Pair,
    player::{Player, Seen, role_anywhere},
    process::cpu_seconds,
    report::Finding,
    rounds::{ROUNDS, median},
    stage::{MESH, await_, await_listener},
};

const GOAL: &str = "P18";

/// Where the service is, and the server behind it.
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 20, 200, 1));
const SERVED: u16 = 7001;

/// Where the Envoys listen: before the client, and before the server.
const BEFORE_CLIENT: u16 = 8080;
const BEFORE_SERVER: u16 = 15006;

/// Requests at a time where throughput is measured; one at a time where each is.
const MANY: &str = "16";
const ONE: &str = "1";

/// A way from a client to an nginx on another node.
struct Way<'a> {
    what: &'static str,
    from: &'a PodNs,
    to: SocketAddr,
    /// CPU seconds that its proxies have used.
    used: &'a dyn Fn() -> Result<f64>,
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Measures every way in interleaved rounds.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let pair = Pair::set("benchrow", programs)?;
    let folder = pair.folder.path();
    hbone::certificates(folder)?;
    let (enrolled, plain) = (&pair.enrolled, &pair.plain);
    let _servers = [serve(&enrolled.server)?, serve(&plain.server)?];
    let before_server = SocketAddr::new(plain.server.ip4().into(), BEFORE_SERVER);
    let served = SocketAddr::new(plain.server.ip4().into(), SERVED);
    let envoys = [
        pair.envoy(&plain.server, programs, &inbound(before_server, served, folder).to_string())?,
        pair.envoy(&plain.client, programs, &outbound(before_server, folder).to_string())?,
    ];
    await_listener(&plain.server, BEFORE_SERVER)?;
    await_listener(&plain.client, BEFORE_CLIENT)?;
    pair.write("routed.yaml", &objects())?;
    let vip = SocketAddr::new(VIP, manifests::SERVICE_PORT);
    await_(|| is_routed(&pair, vip)).context("no L7 on both sides")?;
    let nobody = || Ok(0.0);
    let theirs = || Ok(cpu_seconds(envoys[0].pid())? + cpu_seconds(envoys[1].pid())?);
    let ours = || pair.cpu_seconds();
    let loopback = (Ipv4Addr::LOCALHOST, BEFORE_CLIENT).into();
    let mut ways = [
        Way::new("direct", &plain.client, served, &nobody),
        Way::new("two envoys", &plain.client, loopback, &theirs),
        Way::new("culvert", &enrolled.client, vip, &ours),
    ];
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.go().with_context(|| way.what)?;
        }
    }
    let [direct, envoys, ours] = &ways;
    let micro = 1e6;
    Ok(vec![
        Finding::new(
            GOAL,
            "L7 on two nodes: CPU of both proxies per request",
            median(&ours.cpu) * micro,
            "µs",
        )
        .beside(envoys.what, median(&envoys.cpu) * micro),
        Finding::new(GOAL, "a request, p50", median(&ours.p50), "µs")
            .beside(envoys.what, median(&envoys.p50)),
        Finding::new(GOAL, "a request, p99", median(&ours.p99), "µs")
            .beside(envoys.what, median(&envoys.p99)),
        Finding::new(GOAL, "a request, p50, beside none", median(&ours.p50), "µs")
            .beside(direct.what, median(&direct.p50)),
    ])
}

impl<'a> Way<'a> {
    fn new(
        what: &'static str,
        from: &'a PodNs,
        to: SocketAddr,
        used: &'a dyn Fn() -> Result<f64>,
    ) -> Self {
        let (cpu, p50, p99) = (Vec::new(), Vec::new(), Vec::new());
        Self { what, from, to, used, cpu, p50, p99 }
    }

    fn go(&mut self) -> Result<()> {
        let before = (self.used)()?;
        let [done, ..] = asked(self.from, self.to, MANY, "3")?;
        self.cpu.push(((self.used)()? - before) / done);
        let [_, p50, p99] = asked(self.from, self.to, ONE, "3")?;
        self.p50.push(p50);
        self.p99.push(p99);
        Ok(())
    }
}

/// How many requests were answered, and the middle and 99th percentile of their microseconds.
fn asked(from: &PodNs, to: SocketAddr, connections: &str, seconds: &str) -> Result<[f64; 3]> {
    let to = to.to_string();
    let words = ["ask", "--to", &to, "--connections", connections, "--seconds", seconds];
    let more = ["--host", "routed", "--path", "/page"];
    let mut client = Player::start(from, Seen::Yes, role_anywhere(&[&words[..], &more].concat())?)?;
    let line = client.line()?;
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [done, failed, p50, p99] = numbers[..] else { anyhow::bail!("not four numbers: {line}") };
    ensure!(failed == 0.0, "requests failed: {line}");
    Ok([done, p50, p99])
}

/// Whether a request is answered, and the engines of both nodes have seen it.
fn is_routed(pair: &Pair, to: SocketAddr) -> bool {
    let path = format!("/l7/{MESH}/stats");
    let has_seen = |stats: String| {
        let mut counts = stats.lines().filter(|line| line.contains("downstream_rq_2xx"));
        counts.any(|line| !line.ends_with(" 0"))
    };
    asked(&pair.enrolled.client, to, ONE, "1").is_ok()
        && pair.admin(&path).is_ok_and(|stats| stats.into_iter().all(has_seen))
}

/// A service with a route for its clients and a policy that asks for more than L4 sees.
fn objects() -> String {
    manifests::service("routed", VIP, "server", "http")
        + &format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: routed\n  \
             namespace: {MESH}\nspec:\n  hosts: [routed]\n  http:\n  - match:\n    - uri: {{prefix: /page}}\n    \
             timeout: 15s\n    retries: {{attempts: 2}}\n    route:\n    - destination: {{host: routed}}\n\
             ---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: routed\n  \
             namespace: {MESH}\nspec:\n  selector:\n    matchLabels: {{app: server}}\n  rules:\n  - to:\n    \
             - operation: {{methods: [GET], paths: [/page*]}}\n"
        )
}

/// The Envoy before the client: one route with a timeout and tries, mutual TLS to the other one.
fn outbound(to: SocketAddr, folder: &Path) -> Value {
    let route = json!({
        "match": { "prefix": "/page" },
        "route": { "cluster": "next", "timeout": "15s", "retry_policy": { "retry_on": "5xx", "num_retries": 2 } },
    });
    let mut cluster = config::cluster("next", to);
    cluster["transport_socket"] = config::tls("Upstream", folder);
    let at = (Ipv4Addr::LOCALHOST, BEFORE_CLIENT).into();
    let manager = config::manager(routes(&route), json!([config::router()]));
    config::bootstrap(
        &json!([config::listener(at, &manager, Http::One)]),
        &json!([cluster]),
        &json!({}),
    )
}

/// The Envoy before the server: asks a policy, and goes on in cleartext.
fn inbound(at: SocketAddr, to: SocketAddr, folder: &Path) -> Value {
    let policy = json!({
        "permissions": [{ "and_rules": { "rules": [
            { "header": { "name": ":method", "string_match": { "exact": "GET" } } },
            { "url_path": { "path": { "prefix": "/page" } } },
        ] } }],
        "principals": [{ "any": true }],
    });
    let rules = json!({ "rules": { "action": "ALLOW", "policies": { "routed": policy } } });
    let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": "server" } });
    let filters = json!([config::filter("rbac", "RBAC", rules), config::router()]);
    let mut listener = config::listener(at, &config::manager(routes(&route), filters), Http::One);
    listener["filter_chains"][0]["transport_socket"] = config::tls("Downstream", folder);
    config::bootstrap(&json!([listener]), &json!([config::cluster("server", to)]), &json!({}))
}

fn routes(route: &Value) -> Value {
    let hosts = json!([{ "name": "all", "domains": ["*"], "routes": [route] }]);
    json!({ "route_config": { "name": "local", "virtual_hosts": hosts } })
}

/// A server, and its files.
struct Served {
    _nginx: Player,
    _folder: TempDir,
}

/// An nginx in a pod that answers everything at once.
fn serve(pod: &PodNs) -> Result<Served> {
    let folder = tempfile::tempdir()?;
    let here = folder.path().display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        kinds.iter().map(|kind| format!("{kind}_temp_path {here}/{kind};\n")).collect();
    let at = SocketAddr::new(pod.ip4().into(), SERVED);
    let text = format!(
        "daemon off; master_process off; pid {here}/pid; error_log {here}/log;\n\
         events {{ worker_connections 2000; }}\nhttp {{ access_log off; keepalive_requests 1000000000;\n\
         keepalive_timeout 600s; default_type text/plain;\n{temporary}\
         server {{ listen {at}; location / {{ return 200 {}; }} }} }}\n",
        "x".repeat(128)
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, text)?;
    let mut nginx = Command::new("nginx");
    nginx.arg("-c").arg(&file).arg("-e").arg(folder.path().join("log"));
    let nginx = Player::start(pod, Seen::Yes, nginx)?;
    await_listener(pod, SERVED)?;
    Ok(Served { _nginx: nginx, _folder: folder })
}
