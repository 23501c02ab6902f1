//! `culvert gateway` where others send connections that were meant for somewhere else: a redirect
//! (`original_dst`), and TPROXY (a transparent listener).
use e2e::{Mesh, Pod, Running, eventually};
use std::{fs, net::SocketAddr, process::Command};

/// Everything that comes to one port of this machine is sent on by a rule; the listener finds out
/// where it was to go, and goes there itself.
const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
  - name: redirected
    address: {socket_address: {address: 0.0.0.0, port_value: 15001}}
    listener_filters: [FILTER]
    filter_chains: [{filters: [PROXY]}]
  - name: transparent
    address: {socket_address: {address: 0.0.0.0, port_value: 15002}}
    transparent: true
    listener_filters: [FILTER]
    filter_chains: [{filters: [PROXY]}]
  clusters:
  - {name: there, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, connect_timeout: 5s}
"#;

const FILTER: &str = r#"{name: dst, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}"#;

const PROXY: &str = r#"{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: there, cluster: there, access_log: [{name: out, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog, log_format: {text_format_source: {inline_string: "passed %DOWNSTREAM_LOCAL_ADDRESS% %UPSTREAM_HOST%\n"}}}}]}}"#;

/// 8080 is redirected, 9090 is taken by TPROXY; what the machine itself opens is left alone.
const RULES: &str = r#"
table ip there {
  chain redirected { type nat hook prerouting priority dstnat; iifname != "lo" tcp dport 8080 redirect to :15001; }
  chain taken { type filter hook prerouting priority mangle; iifname != "lo" tcp dport 9090 tproxy to :15002 meta mark set 1 accept; }
}
"#;

fn start(mesh: &Mesh, pod: &Pod) -> Running {
    let rules = mesh.folder().join("rules");
    fs::write(&rules, RULES).unwrap();
    let mut nft = e2e::programs::of_machine("nft", "nftables");
    nft.arg("-f").arg(&rules);
    pod.run(nft);
    for words in ["rule add fwmark 1 lookup 100", "route add local 0.0.0.0/0 dev lo table 100"] {
        let mut ip = e2e::programs::of_machine("ip", "iproute2");
        ip.args(words.split(' '));
        pod.run(ip);
    }
    let file = mesh.folder().join("envoy.yaml");
    fs::write(&file, BOOTSTRAP.replace("FILTER", FILTER).replace("PROXY", PROXY)).unwrap();
    let mut gateway = Command::new(e2e::programs::culvert());
    gateway.args(["gateway", "-c"]).arg(&file);
    let gateway = pod.start(gateway);
    eventually("its listeners", || {
        let ports = pod.listening();
        (ports.contains(&15001) && ports.contains(&15002)).then_some(())
    });
    gateway
}

#[test]
fn connections_that_were_sent_elsewhere_go_where_they_were_meant_to_go() {
    let mesh = Mesh::start("redirect", |m| {
        m.node("a").without_proxy().outsider("gateway").outsider("client");
    });
    let (pod, client) = (mesh.pod("gateway"), mesh.pod("client"));
    let gateway = start(&mesh, pod);
    for port in [8080, 9090] {
        let _server = pod.serve("greet", port);
        let to = SocketAddr::new(pod.v4(), port);
        let said = client.dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
        let line = format!("passed {to} {to}");
        gateway.lines().await_from(0, &line, |said| (said == line).then_some(()));
    }
}
