//! Afterwards the machine is as it was.
use e2e::{Mesh, Pod, Setup};
use std::{fs, path::Path, process::Command};

const SYSCTLS: [&str; 5] = [
    "ipv4/tcp_tw_reuse",
    "ipv4/tcp_fwmark_accept",
    "ipv4/fwmark_reflect",
    "ipv6/fwmark_reflect",
    "ipv4/ip_local_reserved_ports",
];

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client").setting("strict: true");
    m.node("b").outsider("server");
}

/// Rules, routes, settings and listeners of a pod's namespace.
fn state(pod: &Pod) -> Vec<String> {
    let ip = |args: &str| {
        let mut command = Command::new("ip");
        command.args(args.split(' '));
        pod.run(command)
    };
    let sysctl = |name: &str| {
        let path = Path::new("/proc/sys/net").join(name);
        let value = pod.ns.run(|| fs::read_to_string(path)).unwrap().unwrap();
        format!("{name} {value}")
    };
    let ip = ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all"].map(ip);
    let listening = format!("{:?}", pod.listening());
    ip.into_iter().chain(SYSCTLS.map(sysctl)).chain([listening]).collect()
}

/// What an instance has on this machine.
fn places(mesh: &Mesh) -> Vec<std::path::PathBuf> {
    let ns = &mesh.node("a").ns;
    let instance = ns.instance();
    vec![
        Path::new("/sys/fs/bpf/culvert").join(&instance),
        Path::new("/run/culvert").join(&instance),
        ns.cgroup().join(format!("culvert-{instance}")),
    ]
}

/// Starts a mesh whose node has had nothing yet; the client's state then, and now that it is
/// enrolled.
fn enrolled(test: &str) -> (Mesh, Vec<String>) {
    let mesh = Mesh::start(test, |m| {
        two_pods(m);
        m.nodes().for_each(|node| {
            node.without_proxy();
        });
    });
    let before = state(mesh.pod("client"));
    mesh.node("a").start();
    assert_ne!(state(mesh.pod("client")), before);
    assert!(places(&mesh).iter().all(|place| place.exists()));
    (mesh, before)
}

/// Uninstalls; checks that nothing is left and the pod's connections are direct.
#[track_caller]
fn removes_all(mesh: &Mesh, before: &[String]) {
    let said = mesh.node("a").cli(&["uninstall"]);
    assert!(said.status.success(), "{said:?}");
    for place in places(mesh) {
        assert!(!place.exists(), "{}", place.display());
    }
    assert_eq!(state(mesh.pod("client")), before);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(said["seen"], said["local"], "{said}");
    }
    // Again: nothing to do is no failure.
    assert!(mesh.node("a").cli(&["uninstall"]).status.success());
}

#[test]
fn uninstall_after_the_end_removes_everything() {
    let (mesh, before) = enrolled("uninend");
    assert!(mesh.node("a").terminate().success());
    removes_all(&mesh, &before);
    // And it can be installed again.
    mesh.node("a").start();
    mesh.node("a").await_pod("client", "captured");
}

#[test]
fn uninstall_after_a_crash_removes_everything() {
    let (mesh, before) = enrolled("unincrash");
    mesh.node("a").kill();
    removes_all(&mesh, &before);
}

#[test]
fn uninstall_after_a_crash_and_a_vanished_pod_removes_the_rest() {
    let (mesh, _) = enrolled("uningone");
    mesh.node("a").kill();
    let name = mesh.pod("client").ns.netns_path().file_name().unwrap().to_str().unwrap();
    culvert_kernel::netns::Netns::delete_named(name).unwrap();
    let said = mesh.node("a").cli(&["uninstall"]);
    assert!(said.status.success(), "{said:?}");
    for place in places(&mesh) {
        assert!(!place.exists(), "{}", place.display());
    }
}

#[test]
fn uninstall_is_refused_while_the_node_runs() {
    let (mesh, _) = enrolled("uninruns");
    let said = mesh.node("a").cli(&["uninstall"]);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    let pid = mesh.node("a").process().pid.to_string();
    assert!(String::from_utf8(said.stderr).unwrap().contains(&pid));
    mesh.node("a").await_pod("client", "captured");
}

#[test]
fn a_pod_that_leaves_is_as_it_was() {
    let (mesh, before) = enrolled("uninleave");
    mesh.move_to("client", "outside");
    mesh.node("a").await_no_pod("client");
    assert_eq!(state(mesh.pod("client")), before);
}
