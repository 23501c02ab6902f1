//! Pods that a container runtime hands over by the CNI plugin, beside the real bridge plugin.
use e2e::{Mesh, Runtime, Sandbox, Setup, bridge, eventually};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use tempfile::TempDir;

const CANARY: &str = "a canary that nobody may hear";

/// A mesh whose node a installs the plugin for a runtime; its pod `late` has no link yet.
fn mesh(test: &str, more: fn(&mut Setup)) -> (Mesh, Runtime, TempDir) {
    mesh_of(test, Runtime::new, "1.0.0", more)
}

/// The same for a runtime of one's own, and a list of this version.
pub(crate) fn mesh_of(
    test: &str,
    runtime: fn(&Path) -> Runtime,
    version: &str,
    more: fn(&mut Setup),
) -> (Mesh, Runtime, TempDir) {
    let folder = TempDir::with_prefix("culvert-runtime-").unwrap();
    let runtime = runtime(folder.path());
    let dirs = [("cni_conf_dir", &runtime.conf_dir), ("cni_bin_dir", &runtime.bin_dir)];
    let mesh = Mesh::start(test, |m| {
        more(m);
        let node = m.node("a");
        node.pod("first").outsider("late").outsider("plain");
        for (setting, dir) in dirs {
            node.setting(&format!("{setting}: {}", dir.display()));
        }
        m.node("b").pod("server");
    });
    // As a runtime makes a namespace: not even loopback is up.
    for words in [["link", "del", "dev", "eth0", ""], ["link", "set", "dev", "lo", "down"]] {
        let mut ip = e2e::programs::of_machine("ip", "iproute2");
        ip.args(words.into_iter().filter(|word| !word.is_empty()));
        mesh.pod("late").run(ip);
    }
    let list = bridge(folder.path(), mesh.pod("late")).replace("1.0.0", version);
    runtime.configure("10-pods.conflist", &list);
    chained(&runtime);
    (mesh, runtime, folder)
}

/// Waits for the entry, and for the program that it names.
#[track_caller]
pub(crate) fn chained(runtime: &Runtime) {
    eventually("entry of the plugin", || {
        runtime.configured("10-pods.conflist").contains("culvert-cni").then_some(())
    });
    assert!(runtime.bin_dir.join("culvert-cni").exists());
}

fn sandbox<'a>(mesh: &'a Mesh, container: &'a str, name: &str, pod: &'a str) -> Sandbox<'a> {
    Sandbox { container, netns: mesh.pod(name).ns.netns_path(), pod }
}

#[test]
fn a_new_pod_never_sends_an_uncaptured_packet() {
    let (mesh, runtime, _folder) = mesh("cninew", |m| _ = m.plane());
    let node = mesh.node("a");
    let server = mesh.pod("server").serve("echo", 8080);
    let sniffer = mesh.node("b").peer(&["sniff", CANARY]);
    assert_eq!(sniffer.said(0)["listening"], true);
    let late = sandbox(&mesh, "c1", "late", "mesh/late");
    let made = thread::scope(|scope| {
        let added = scope.spawn(|| runtime.add(node, late));
        // The plugin waits: the namespace is enrolled, and nobody told of the pod yet.
        node.process()
            .log
            .await_from(0, "that the door is open", |line| line.contains("ready").then_some(()));
        assert!(node.pod("late").is_none());
        mesh.move_to("late", "mesh");
        added.join().unwrap()
    });
    let made = made.unwrap();
    assert_eq!(
        made["ips"].as_array().unwrap().len(),
        2,
        "the bridge's result passes through: {made}"
    );
    // The first thing that runs in it connects at once, before the control plane knows the pod.
    let told = mesh.pod("late").start_peer("tell", server.v4(), &[&CANARY]).last_words();
    assert_eq!(told["ok"], true, "{told}");
    assert_eq!(node.pod("late").unwrap()["state"], "captured");
    assert!(node.counter("late", "captured") > 0);
    let heard = sniffer.finish();
    assert_eq!(heard["sang"], 0, "{heard}");
    assert!(heard["packets"].as_u64() > Some(0), "{heard}");
    assert_eq!(runtime.call_ours(node, "CHECK", late, &made), Ok(Value::String(String::new())));
    mesh.move_to("late", "outside");
    runtime.del(node, late).unwrap();
}

#[test]
fn without_the_proxy_a_pod_of_the_mesh_fails_and_others_start() {
    let (mesh, runtime, _folder) = mesh("cniaway", |_| {});
    let node = mesh.node("a");
    let made = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.77.1.10/24"}]});
    let first = sandbox(&mesh, "c1", "first", "mesh/first");
    let other = sandbox(&mesh, "c2", "plain", "outside/plain");
    assert_eq!(runtime.call_ours(node, "ADD", first, &made), Ok(made.clone()));
    assert_eq!(runtime.call_ours(node, "ADD", other, &made), Ok(made.clone()));
    node.kill();
    assert_eq!(runtime.call_ours(node, "ADD", other, &made), Ok(made.clone()));
    let error = runtime.call_ours(node, "ADD", first, &made).unwrap_err();
    assert_eq!(error["code"], 11, "{error}");
    let message = error["msg"].as_str().unwrap();
    assert!(
        message.starts_with("culvert: pod mesh/first is in the mesh, and the node proxy is away"),
        "{message}"
    );
    runtime.call_ours(node, "DEL", first, &made).unwrap();
    // Who is not understood is nobody's.
    let list = runtime.conf_dir.join(format!("culvert-{}.enrolled", node.ns.instance()));
    let before = fs::read(&list).unwrap();
    fs::write(&list, "{").unwrap();
    let error = runtime.call_ours(node, "ADD", other, &made).unwrap_err();
    assert!(error["msg"].as_str().unwrap().contains("is damaged"), "{error}");
    fs::write(&list, before).unwrap();
    node.start();
    assert_eq!(runtime.call_ours(node, "ADD", first, &made), Ok(made));
}

#[test]
fn no_pod_fails_while_processes_take_over_from_each_other() {
    let (mesh, runtime, _folder) = mesh("cniover", |_| {});
    let node = mesh.node("a");
    let made = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.77.1.10/24"}]});
    let first = sandbox(&mesh, "c1", "first", "mesh/first");
    let over = AtomicBool::new(false);
    let added = thread::scope(|scope| {
        let adds = scope.spawn(|| {
            let mut added = 0_u32;
            while !over.load(Ordering::Relaxed) {
                let answer = runtime.call_ours(node, "ADD", first, &made);
                assert_eq!(answer, Ok(made.clone()), "after {added}");
                added += 1;
            }
            added
        });
        for _ in 0..3 {
            let old = node.process();
            node.start();
            old.await_end();
        }
        over.store(true, Ordering::Relaxed);
        adds.join().unwrap()
    });
    assert!(added > 0);
}

#[test]
fn the_entry_survives_the_cni_and_goes_with_the_node() {
    let (mesh, runtime, folder) = mesh("cnientry", |_| {});
    let node = mesh.node("a");
    let before = bridge(folder.path(), mesh.pod("late"));
    // The CNI is updated, and writes its list anew.
    runtime.configure("10-pods.conflist", &before);
    chained(&runtime);
    // Another one comes, with a single plugin that the runtime takes first.
    let single = "{\"cniVersion\":\"1.0.0\",\"name\":\"one\",\"type\":\"bridge\"}\n";
    runtime.configure("05-one.conf", single);
    let beside = format!("05-one-culvert-{}.conflist", node.ns.instance());
    eventually("list beside the single plugin", || {
        runtime.configured(&beside).contains("05-one.conf").then_some(())
    });
    eventually("list without the entry", || {
        (runtime.configured("10-pods.conflist") == before).then_some(())
    });
    node.terminate();
    let done = node.cli(&["uninstall"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(listed(&runtime.conf_dir), ["05-one.conf", "10-pods.conflist"].map(PathBuf::from));
    assert_eq!(runtime.configured("10-pods.conflist"), before);
    assert_eq!(runtime.configured("05-one.conf"), single);
    assert!(!runtime.bin_dir.join("culvert-cni").exists());
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<PathBuf> =
        entries.map(|entry| PathBuf::from(entry.unwrap().file_name())).collect();
    names.sort();
    names
}

#[test]
fn the_plugin_starts_without_a_node_and_says_what_it_is() {
    let version = Command::new(e2e::programs::culvert())
        .arg("cni")
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .output()
        .unwrap();
    assert!(version.status.success());
    let said: Value = serde_json::from_slice(&version.stdout).unwrap();
    assert_eq!(said["supportedVersions"].as_array().unwrap().len(), 5);
    let alone = Command::new(e2e::programs::culvert()).arg("cni").env_clear().output().unwrap();
    assert_eq!(alone.status.code(), Some(2));
}
