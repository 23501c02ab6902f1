//! Whoever knocks without the right proof, or without a right word, is turned away and harms nobody.
use crate::steps::{await_dial, load, policy, unharmed};
use e2e::{Authority, Mesh, Pod, Proof, Running, Setup, programs::of_machine};
use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
};
use tempfile::TempDir;

const HBONE: u16 = 15008;
const MANY: u64 = 100;

/// A mesh whose certificates an authority of ours signs.
fn mesh_of(folder: &TempDir, test: &str) -> (Mesh, Authority) {
    let authority = Authority::make(&folder.path().join("ca"));
    let mesh = Mesh::start(test, |m| {
        m.plane_setting(&format!("ca_folder: {}", authority.folder().display()));
        m.node("a").pod("client").outsider("stranger");
        m.node("b").pod("server").pod("other").setting("handshake_timeout: 2s");
    });
    (mesh, authority)
}

/// `openssl s_client` towards a pod's tunnels.
fn s_client(server: &Pod, root: &Authority, proof: Option<&Proof>, more: &[&str]) -> Command {
    let mut openssl = of_machine("openssl", "openssl");
    openssl.args(["s_client", "-ign_eof", "-alpn", "h2", "-verify_return_error"]);
    openssl.arg("-connect").arg(format!("{}:{HBONE}", server.v4()));
    openssl.arg("-CAfile").arg(root.root()).args(more);
    if let Some(Proof { certificate, key }) = proof {
        openssl.arg("-cert").arg(certificate).arg("-key").arg(key);
    }
    openssl
}

fn handshakes(mesh: &Mesh, outcome: &str) -> f64 {
    let labels = ["direction=\"inbound\"", &format!("outcome=\"{outcome}\"")];
    mesh.node("b").metric("culvert_tunnel_handshakes_total", &labels)
}

#[test]
fn who_cannot_prove_to_be_of_the_mesh_gets_no_tunnel() {
    let folder = TempDir::new().unwrap();
    let (mesh, authority) = mesh_of(&folder, "strangetls");
    let foreign = Authority::make(&folder.path().join("foreign"));
    let uri = "spiffe://cluster.local/ns/outside/sa/stranger";
    let right = authority.certify("right", uri, 1);
    let other_domain = authority.certify("domain", "spiffe://other.example/ns/x/sa/y", 1);
    let unknown = foreign.certify("foreign", uri, 1);
    let expired = authority.certify("expired", uri, 0);
    let server = mesh.pod("server");
    let cases: [(Option<&Proof>, &[&str], &str); 5] = [
        (None, &[], "certificate required"),
        (Some(&other_domain), &[], "alert"),
        (Some(&unknown), &[], "alert"),
        (Some(&expired), &[], "certificate expired"),
        (Some(&right), &["-tls1_2"], "alert protocol version"),
    ];
    for (proof, more, words) in cases {
        let said = mesh.pod("stranger").output(s_client(server, &authority, proof, more));
        let text = [said.stdout, said.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
        let text = text.concat();
        assert!(text.contains(words), "{proof:?} {more:?}: {text}");
    }
    e2e::eventually("count of all", || (handshakes(&mesh, "failed") >= 5.0).then_some(()));
    let done = handshakes(&mesh, "done");
    let said = mesh.pod("stranger").start(s_client(server, &authority, Some(&right), &[]));
    said.lines().await_from(0, "that it speaks HTTP/2", |line| {
        line.contains("ALPN protocol: h2").then_some(())
    });
    e2e::eventually("handshake", || (handshakes(&mesh, "done") > done).then_some(()));
    // And has to say something in time.
    said.lines().await_end();
}

/// They are all open when this returns.
#[track_caller]
fn knock(pod: &Pod, manner: &str, to: SocketAddr) -> Running {
    let knocking = pod.start_peer(manner, to, &[&MANY]);
    assert_eq!(knocking.said(0)["open"], MANY);
    knocking
}

#[track_caller]
fn await_ended(knocking: &Running) {
    let said = knocking.lines().await_json("that all were ended", |said| said["ended"].is_u64());
    assert_eq!(said["ended"], MANY, "{said}");
}

#[test]
fn garbage_silence_and_slowness_at_a_pods_tunnels_end_and_harm_nobody() {
    let folder = TempDir::new().unwrap();
    let (mesh, _authority) = mesh_of(&folder, "strangeloris");
    let server = mesh.pod("server").serve("http", 8080);
    let other = mesh.pod("other").serve("http", 8080);
    let loads = [&server, &other].map(|server| load(&mesh, "client", server.v4(), 25));
    let at = SocketAddr::new(mesh.pod("server").v4(), HBONE);
    let knocking =
        ["silent", "slow", "garbage"].map(|manner| knock(mesh.pod("stranger"), manner, at));
    let greeter = mesh.pod("server").serve("greet", 8081);
    assert_eq!(mesh.pod("client").dial("plain", greeter.v6())["ok"], true);
    for knocking in &knocking {
        await_ended(knocking);
    }
    for load in loads {
        unharmed(load);
    }
}

#[test]
fn garbage_silence_and_slowness_at_the_control_plane_keep_nobody_out() {
    let folder = TempDir::new().unwrap();
    let (mesh, _authority) = mesh_of(&folder, "strangeplane");
    let server = mesh.pod("server").serve("greet", 8080);
    let plane = mesh.plane();
    let plain = SocketAddr::from(([127, 0, 0, 1], 15010)).to_string();
    let inside = ["silent", "slow", "garbage"].map(|manner| {
        let knocking = plane.peer(&[manner, &plain, &MANY.to_string()]);
        assert_eq!(knocking.said(0)["open"], MANY);
        knocking
    });
    let outside = ["silent", "slow", "garbage"]
        .map(|manner| knock(mesh.pod("stranger"), manner, plane.address()));
    // Changes still reach the nodes, and a node that starts gets in.
    mesh.write("deny.yaml", &policy("nobody", "DENY", "app: server", "[{}]"));
    await_dial(&mesh, "client", server.v4(), false);
    mesh.node("a").start();
    mesh.remove("deny.yaml");
    await_dial(&mesh, "client", server.v4(), true);
    for knocking in inside.iter().chain(&outside) {
        await_ended(knocking);
    }
}

#[test]
fn a_pod_cannot_knock_at_its_own_tunnels() {
    let mesh = Mesh::start("strangeown", |m: &mut Setup| {
        m.plane();
        m.node("a").pod("client");
    });
    let (client, seen) = (mesh.pod("client"), mesh.node("a").access.count());
    let own = client.serve("greet", 8080);
    let mut knocks: Vec<_> = client.ns.ips().map(|ip| SocketAddr::new(ip, HBONE)).into();
    let listening = client.listening().into_iter().filter(|port| *port != own.port);
    let loopback = IpAddr::from([127, 0, 0, 1]);
    knocks.extend(listening.map(|port| SocketAddr::new(loopback, port)));
    for to in knocks {
        let knocking = client.start_peer("garbage", to, &[&1]);
        let said = knocking.last_words();
        assert!(said["ended"] == 1 || said["ok"] == false, "{to}: {said}");
        let said = client.dial("plain", to);
        assert_eq!(said["ok"], false, "{to}: {said}");
    }
    let lines = mesh.node("a").access.json().split_off(seen);
    assert!(lines.iter().all(|line| line["close"] != "done"), "{lines:?}");
    assert_eq!(client.dial("plain", own.v4())["ok"], true);
}
