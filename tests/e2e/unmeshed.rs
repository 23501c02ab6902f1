//! Who is not in the mesh and comes to a pod that is: the node's kubelet, its other processes, and
//! clients that a node sends on, as kube-proxy and the plugin for host ports have it do.
use crate::steps::{STRICT, await_dial};
use e2e::{Mesh, Setup, eventually};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

/// A node port, in nftables' words: `FAMILY SAFE` are `ip 10.0.0.1` and the like.
fn node_port(mesh: &Mesh, node: &str, to: SocketAddr) -> SocketAddr {
    let ns = &mesh.node(node).ns;
    let (family, own) = match to.ip() {
        IpAddr::V4(_) => ("ip", IpAddr::from(ns.ip4())),
        IpAddr::V6(_) => ("ip6", IpAddr::from(ns.ip6())),
    };
    let rules = format!(
        "table {family} nodeport {{\n\
         chain there {{ type nat hook prerouting priority dstnat; {family} daddr {own} tcp dport 30080 dnat to {to}; }}\n\
         chain back {{ type nat hook postrouting priority srcnat; ct status dnat masquerade; }}\n}}\n"
    );
    let file = mesh.folder().join(format!("nodeport-{family}"));
    fs::write(&file, rules).unwrap();
    let nft = || e2e::programs::of_machine("nft", "nftables").arg("-f").arg(&file).output();
    let output = ns.run(nft).unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    SocketAddr::new(own, 30080)
}

#[test]
fn a_node_port_leads_into_the_mesh_in_plain_text_unless_a_policy_is_strict() {
    let mesh = Mesh::start("unmnodeport", |m: &mut Setup| {
        m.node("a").pod("server");
        m.node("b").outsider("stranger");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let node = mesh.node("a");
    for to in server.both() {
        let port = node_port(&mesh, "a", to);
        let said = mesh.pod("stranger").dial("plain", port);
        assert_eq!(said["ok"], true, "{said}");
        // What it was sent to is the pod; the client is who the node says.
        let line = node.await_line("inbound", to);
        assert!(line.get("src.identity").is_none(), "{line}");
    }
    mesh.write("strict.yaml", STRICT);
    let port = SocketAddr::new(node.ns.ip4().into(), 30080);
    // A connection that was open when the policy came is revoked, and refused to whom it
    // belongs as well: only one opened after it is denied for sure.
    await_dial(&mesh, "stranger", port, false);
    let said = mesh.pod("stranger").dial("plain", port);
    assert_eq!(said["ok"], false, "{said}");
    node.await_access("a refusal", |line| {
        line["direction"] == "inbound"
            && line["dst.addr"] == server.v4().to_string()
            && line["close"] == "policy_denied"
    });
    mesh.remove("strict.yaml");
    await_dial(&mesh, "stranger", port, true);
}

#[test]
fn a_probe_passes_where_only_mutual_tls_does_and_others_of_the_node_do_not() {
    let mesh = Mesh::start("unmprobe", |m| {
        m.node("a").pod("server").outsider("stranger").setting("prober_cgroup: CGROUP/host");
        m.node("b").pod("other").pod("kubelet").setting("prober_cgroup: CGROUP/pod-kubelet");
    });
    let probed = mesh.pod("server").serve("greet", 8080);
    let other = mesh.pod("other").serve("greet", 8080);
    mesh.write("strict.yaml", STRICT);
    await_dial(&mesh, "stranger", probed.v4(), false);
    for to in probed.both() {
        let said = mesh.node("a").dial("plain", to);
        assert_eq!((&said["ok"], &said["seen"]), (&true.into(), &said["local"]), "{said}");
    }
    // A process of the node, as a pod with hostNetwork is, and not kubelet.
    let refused = || mesh.node("b").dial("plain", other.v4())["ok"] == false;
    eventually("a refusal", || refused().then_some(()));
    mesh.node("b").await_access("its line", |line| line["close"] == "policy_denied");
}
