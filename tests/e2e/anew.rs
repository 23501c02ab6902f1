//! Captured pods are enrolled anew, in place: captured and served all the while.
use e2e::{Mesh, Setup, eventually};
use std::{fs, path::Path, process::Command};

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client");
    m.node("b").pod("server");
}

#[test]
fn a_pod_gets_other_addresses_under_load_and_no_request_is_lost_or_goes_past_the_proxy() {
    let mesh = Mesh::start("enraddr", two_pods);
    let server = mesh.pod("server").serve("http", 8080);
    let greeter = mesh.pod("server").serve("greet", 8081);
    let mut held = mesh.pod("client").start_peer("hold", greeter.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    let load = mesh.pod("client").start_peer("load", server.v4(), &[&200]);
    assert_eq!(load.said(0)["ok"], true);
    let addresses = |pod: &str| mesh.pod(pod).ns.ips();
    for _ in 0..3 {
        for count in [1, 2] {
            for (node, pod, counter) in [("a", "client", "captured"), ("b", "server", "inbound")] {
                let listening = mesh.pod(pod).listening();
                let manifest = mesh.pod(pod).ns.manifest("mesh", pod);
                let ips = &addresses(pod)[..count];
                mesh.write(&format!("{pod}.yaml"), &manifest.ips(ips).to_string());
                eventually("listeners of a new enrolment", || {
                    let now = mesh.pod(pod).listening();
                    now.iter().any(|port| !listening.contains(port)).then_some(())
                });
                mesh.node(node).await_pod(pod, "captured");
                mesh.node(node).await_more(pod, counter, 30);
            }
        }
    }
    assert_eq!(held.ask()["ok"], true, "connections of before go on");
    let said = load.finish();
    assert_eq!(said["failed"], 0, "{said}");
    let done = said["done"].as_u64().filter(|&done| done > 0).unwrap();
    mesh.node("a").await_lines("outbound", server.v4(), done);
    mesh.node("b").await_lines("inbound", server.v4(), done);
}

#[test]
fn listeners_that_somebody_in_the_pod_destroys_are_opened_again() {
    let mesh = Mesh::start("enrdestroy", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for (node, pod, direction) in [("a", "client", "outbound"), ("b", "server", "inbound")] {
        let process = mesh.node(node).process();
        for round in 1..=3 {
            let ours = mesh.pod(pod).listening().into_iter().filter(|&port| port != server.port);
            for port in ours {
                let mut destroy = Command::new("ss");
                destroy.args(["-K", "-t", "state", "listening", "sport", "=", &port.to_string()]);
                mesh.pod(pod).run(destroy);
            }
            eventually("a warning", || {
                let said = process.log.text();
                (said.matches("listener of the proxy in the pod was closed").count() >= round)
                    .then_some(())
            });
            mesh.node(node).await_pod(pod, "captured");
            let seen = mesh.node(node).access.count();
            for to in server.both() {
                assert_eq!(mesh.pod("client").dial("plain", to)["ok"], true);
                mesh.node(node).await_line_after(seen, direction, to);
            }
        }
    }
}

#[test]
fn a_change_that_could_not_be_made_is_made_later() {
    let mesh = Mesh::start("enrlater", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let pins = Path::new("/sys/fs/bpf/culvert").join(mesh.node("a").ns.instance());
    let pods = fs::read_dir(pins).unwrap().next().unwrap().unwrap().path().join("pods");
    let of_pod = fs::read_dir(&pods).unwrap().next().unwrap().unwrap().path();
    let away = pods.join("away");
    // Where its programs are pinned there is something else.
    fs::rename(&of_pod, &away).unwrap();
    std::os::unix::fs::symlink("nowhere", &of_pod).unwrap();
    let manifest = mesh.pod("client").ns.manifest("mesh", "client");
    let open = manifest.annotation("culvert.dev/fail", "open").to_string();
    mesh.write("client.yaml", &open);
    mesh.node("a").await_reason("client", of_pod.to_str().unwrap());
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true, "served as before");
    fs::remove_file(&of_pod).unwrap();
    fs::rename(&away, &of_pod).unwrap();
    mesh.node("a").await_pod("client", "captured");
    mesh.node("a").kill();
    let said = mesh.pod("client").dial("plain", server.v4());
    assert_eq!(said["ok"], true, "it fails open: {said}");
}
