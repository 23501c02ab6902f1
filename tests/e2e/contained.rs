//! A proxy in what a container runtime makes of a process: a cgroup namespace, and file systems
//! that are read-only.
use e2e::{Mesh, Setup, eventually};
use nix::sys::signal::Signal;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// As runc does it: `/proc/sys` and the cgroups read-only, and no way out of the own cgroup.
const CONTAINER: &[&str] = &[
    "unshare",
    "--mount",
    "--cgroup",
    "sh",
    "-c",
    "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro,nosuid,nodev,noexec /proc/sys \
     && for at in $(grep ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5); \
     do mount -o remount,bind,ro $at || exit 1; done; exec \"$@\"",
    "sh",
];

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client").started_by(CONTAINER);
    m.node("b").pod("server").started_by(CONTAINER);
}

#[test]
fn a_contained_proxy_captures_and_stays_in_the_cgroup_it_was_put_in() {
    let mesh = Mesh::start("contained", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in [server.v4(), server.v6()] {
        assert_eq!(mesh.pod("client").dial("plain", to)["ok"], true);
        mesh.node("a").await_line("outbound", to);
        mesh.node("b").await_line("inbound", to);
    }
    let node = mesh.node("a");
    let process = node.process();
    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap();
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let given = node.ns.cgroup().join("host");
    assert!(given.ends_with(own.trim_start_matches('/')), "{own} is not {}", given.display());
    assert!(!node.ns.cgroup().join(format!("culvert-{}", node.ns.instance())).exists());
    // A newcomer from another container.
    node.start();
    process.await_end();
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
}

/// What the proxy does to its own view of the machine is nobody else's.
#[test]
fn uninstalling_from_a_container_puts_settings_back() {
    let mesh = Mesh::start("contleft", two_pods);
    let (node, client) = (mesh.node("a"), mesh.pod("client"));
    let reuse = || {
        let read = || fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse");
        client.ns.run(read).unwrap().unwrap().trim().to_owned()
    };
    assert_eq!(reuse(), "1");
    node.process().signal(Signal::SIGTERM);
    node.process().await_end();
    let mut uninstall = Command::new("unshare");
    uninstall.args(&CONTAINER[1..]).arg(e2e::programs::culvert()).arg("uninstall");
    uninstall.args(["--instance", &node.ns.instance()]);
    uninstall.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = node.ns.spawn(uninstall).unwrap().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_ne!(reuse(), "1");
    assert!(!Path::new("/run/culvert").join(node.ns.instance()).exists());
}

fn lingering(m: &mut Setup) {
    m.node("a").pod("client").setting("linger: true").setting("drain_deadline: 10s");
    m.node("b").outsider("server");
}

/// What a node says of a process, once it does.
fn await_log(process: &e2e::Culvert, words: &str) {
    eventually(words, || process.log.text().contains(words).then_some(()));
}

#[test]
fn a_process_that_was_taken_over_stays_idle_until_it_is_told_to_end() {
    let mesh = Mesh::start("contlinger", lingering);
    let server = mesh.pod("server").serve("greet", 8080);
    let node = mesh.node("a");
    let old = node.process();
    let new = node.start();
    await_log(&old, "stays, idle");
    assert_eq!(node.status()["pid"], new.pid);
    // It is in nobody's way: what it left is cleaned up, and another one may come.
    let newer = node.start();
    await_log(&new, "stays, idle");
    assert!(old.ended().is_none() && new.ended().is_none());
    for idle in [&old, &new] {
        idle.signal(Signal::SIGTERM);
        assert_eq!(idle.await_end().code(), Some(0), "{}", idle.log.text());
    }
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    assert!(newer.ended().is_none());
}

#[test]
fn a_process_that_stays_ends_when_nobody_has_the_node_any_more() {
    let mesh = Mesh::start("contvacant", lingering);
    let node = mesh.node("a");
    let old = node.process();
    node.start();
    await_log(&old, "stays, idle");
    node.kill();
    assert_eq!(old.await_end().code(), Some(3), "{}", old.log.text());
    node.start();
    node.await_pod("client", "captured");
}

#[test]
fn connections_drain_on_when_a_process_that_was_taken_over_is_told_to_end() {
    let mesh = Mesh::start("contdrain", lingering);
    let server = mesh.pod("server").serve("greet", 8080);
    let node = mesh.node("a");
    let mut held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    let old = node.process();
    node.start();
    await_log(&old, "handed over");
    old.signal(Signal::SIGTERM);
    await_log(&old, "draining on");
    assert_eq!(held.ask()["ok"], true);
}

/// By the pod it is in, a container's probe knows its own process from the one it takes over from.
#[test]
fn only_the_process_of_the_own_pod_counts_as_ready() {
    let mesh = Mesh::start("contready", |m| {
        m.node("a").pod("client").started_by(&["env", "CULVERT_POD_UID=one"]);
    });
    let node = mesh.node("a");
    let asked = |pod: &str| {
        let mut command = Command::new("env");
        command.arg(format!("CULVERT_POD_UID={pod}")).arg(e2e::programs::culvert()).arg("ready");
        command.args(["--instance", &node.ns.instance()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = node.ns.spawn(command).unwrap().output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(asked("one"), (Some(0), String::new()));
    let (code, said) = asked("two");
    assert_eq!(code, Some(1));
    assert!(said.contains("the process of pod one holds the node"), "{said}");
    node.terminate();
    let (code, said) = asked("one");
    assert_eq!(code, Some(1), "{said}");
}
