//! Starts that come to nothing, or meet another instance: nobody is worse off, and all are told.
use e2e::{Mesh, Setup, eventually};
use nix::sys::signal::Signal;
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client").setting("drain_deadline: 5s");
    m.node("b").outsider("server");
}

fn run_dir(mesh: &Mesh) -> PathBuf {
    Path::new("/run/culvert").join(mesh.node("a").ns.instance())
}

/// Asks the process that runs to stand back, as a newer version would; it has when this returns.
fn ask_to_stand_back(mesh: &Mesh) -> UnixStream {
    let mut newcomer = UnixStream::connect(run_dir(mesh).join("takeover.sock")).unwrap();
    writeln!(newcomer, r#"{{"version":"999","abi":999,"pid":1}}"#).unwrap();
    let mut answer = String::new();
    BufReader::new(&newcomer).read_line(&mut answer).unwrap();
    assert!(answer.contains(r#""answer":"over""#), "{answer}");
    newcomer
}

#[test]
fn after_a_crash_bad_manifests_say_that_pods_are_refused() {
    let mesh = Mesh::start("startbad", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let node = mesh.node("a");
    // While a process runs, a start that fails changes nothing.
    mesh.write("bad.yaml", "kind: Pod\n");
    let failed = node.begin();
    assert_eq!(failed.await_end().code(), Some(1));
    assert!(!failed.log.text().contains("refused"), "{}", failed.log.text());
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    kill(&mesh);
    let failed = node.begin();
    assert_eq!(failed.await_end().code(), Some(1));
    let said = failed.log.text();
    assert!(said.contains("pods captured by an earlier process: 1"), "{said}");
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["error"], "ConnectionRefused");
    mesh.remove("bad.yaml");
    node.start();
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
}

/// Ends the process that answers for the node, as a crash does.
fn kill(mesh: &Mesh) {
    let pid = mesh.node("a").status()["pid"].as_i64().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    eventually("end of the proxy", || {
        UnixStream::connect(run_dir(mesh).join("admin.sock")).is_err().then_some(())
    });
}

#[test]
fn a_newcomer_that_dies_leaves_the_older_process_as_it_was() {
    let mesh = Mesh::start("startdies", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let before = mesh.node("a").status()["generation"].as_u64().unwrap();
    drop(ask_to_stand_back(&mesh));
    eventually("that it has claimed the node again", || {
        (mesh.node("a").status()["generation"].as_u64() > Some(before)).then_some(())
    });
    mesh.node("a").await_pod("client", "captured");
    let seen = mesh.node("a").access.count();
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    mesh.node("a").await_line_after(seen, "outbound", server.v4());
}

#[test]
fn a_process_whose_programs_a_newer_layout_replaced_says_so_and_ends() {
    let mesh = Mesh::start("startnewer", two_pods);
    let process = mesh.node("a").process();
    let pins = Path::new("/sys/fs/bpf/culvert").join(mesh.node("a").ns.instance());
    let newcomer = ask_to_stand_back(&mesh);
    fs::create_dir(pins.join("v999")).unwrap();
    drop(newcomer);
    assert_eq!(process.await_end().code(), Some(3));
    let said = process.log.text();
    assert!(said.contains("a newer version took the kernel programs over"), "{said}");
    fs::remove_dir(pins.join("v999")).unwrap();
}

#[test]
fn a_pod_of_another_instance_waits_until_that_one_lets_it_go() {
    let mesh = Mesh::start("starttwo", two_pods);
    // Inbound, for the pod is not below the other node's cgroup.
    let app = mesh.pod("client").serve("greet", 8080);
    let talks = || mesh.pod("server").dial("plain", app.v4());
    let other = mesh.node("b");
    // The same node's name, so that the pod is this instance's too.
    let settings = fs::read_to_string(&other.config).unwrap();
    let name = format!("node_name: {}", mesh.node("a").ns.name());
    let settings = settings.replace(&format!("node_name: {}", other.ns.name()), &name);
    fs::write(&other.config, settings).unwrap();
    assert!(other.terminate().success());
    other.start();
    let instance = mesh.node("a").ns.instance();
    other.await_reason("client", &format!("instance {instance} of culvert has enrolled it"));
    assert_eq!(talks()["ok"], true);
    mesh.node("a").await_line("inbound", app.v4());
    assert!(mesh.node("a").terminate().success());
    assert!(mesh.node("a").cli(&["uninstall"]).status.success());
    other.await_pod("client", "captured");
    assert_eq!(talks()["ok"], true);
    other.await_line("inbound", app.v4());
}
