//! The demonstration shows what it says it shows, and leaves nothing behind.
use culvert_kernel::{instance::Instance, netns::Netns};
use e2e::{eventually, programs};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// There is one demonstration at a time on a machine; tests of one process take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn demo(args: &[&str]) -> Child {
    let mut demo = Command::new(programs::culvert());
    demo.arg("demo").args(args).env_remove("CULVERT_BIN");
    demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Everything on this machine that a demonstration made.
fn remains() -> Vec<String> {
    let ours = |name: &String| name.starts_with("culvert-demo") || name.starts_with("lab-demo");
    let mut left: Vec<String> = Netns::names().unwrap().into_iter().filter(ours).collect();
    for folder in ["/run/culvert", "/sys/fs/bpf/culvert"] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        left.extend(names.filter(ours).map(|name| format!("{folder}/{name}")));
    }
    let cgroups = Instance::new("any", None).unwrap().cgroup_root().join("culvert-lab-demo");
    left.extend(cgroups.exists().then(|| cgroups.display().to_string()));
    left
}

#[test]
fn the_demo_shows_every_point_and_leaves_nothing() {
    let _turn = turn();
    let said = demo(&["--json"]).wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr);
    let shown: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|e| panic!("{e}: {words}{}", String::from_utf8_lossy(&said.stdout)));
    let checks = shown["checks"].as_array().unwrap();
    for part in ["captured", "canary", "policy", "HTTP: ", "gateway: "] {
        let is_of = |check: &Value| check["name"].as_str().is_some_and(|name| name.contains(part));
        assert!(checks.iter().any(is_of), "nothing of {part}: {shown}");
    }
    for check in checks {
        assert_eq!(check["ok"], true, "{check}");
        assert!(check["name"].is_string() && check["detail"].is_string(), "{check}");
    }
    assert_eq!(said.status.code(), Some(0), "{words}");
    assert_eq!(remains(), [""; 0]);
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let _turn = turn();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut demo = demo(&[]);
        eventually("namespace of the demo", || (!remains().is_empty()).then_some(()));
        kill(Pid::from_raw(i32::try_from(demo.id()).unwrap()), signal).unwrap();
        let status = demo.wait().unwrap();
        assert!(!status.success(), "{status}");
        assert_eq!(remains(), [""; 0], "{signal}");
    }
}

#[test]
fn a_killed_demo_is_cleaned_up_by_the_next() {
    let _turn = turn();
    let mut killed = demo(&[]);
    eventually("namespace of the demo", || (!remains().is_empty()).then_some(()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(demo(&["--json"]).wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(remains(), [""; 0]);
}
