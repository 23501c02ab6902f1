//! The plugin as CNI's own library calls it, by its tool.
use crate::cni::{chained, mesh_of};
use culvert_cni::running::{Scene, Sought};
use e2e::{Mesh, Runtime, Sandbox, eventually};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;
use std::{fs, path::Path, process::Command, thread};

/// Has the tool add the pod `late`, which nobody has told the node of when it begins.
#[track_caller]
fn add(mesh: &Mesh, runtime: &Runtime, late: Sandbox<'_>) -> Value {
    let made = thread::scope(|scope| {
        let added = scope.spawn(|| runtime.tool(mesh.node("a"), "add", late));
        mesh.move_to("late", "mesh");
        added.join().unwrap()
    });
    made.unwrap()
}

/// The sandboxes that the node was handed.
fn handed(mesh: &Mesh) -> usize {
    let book = Path::new("/run/culvert").join(mesh.node("a").ns.instance()).join("cni");
    fs::read_dir(book).map_or(0, Iterator::count)
}

#[test]
fn a_list_of_version_1_0_is_added_checked_and_deleted() {
    let (mesh, runtime, _folder) = mesh_of("cnitool", Runtime::new, "1.0.0", |_| {});
    let (node, netns) = (mesh.node("a"), mesh.pod("late").ns.netns_path());
    let late = Sandbox { container: "", netns, pod: "mesh/late" };
    let made = add(&mesh, &runtime, late);
    assert_eq!(made["cniVersion"], "1.0.0", "{made}");
    assert_eq!(made["ips"].as_array().unwrap().len(), 2, "{made}");
    assert_eq!(node.pod("late").unwrap()["state"], "captured");
    runtime.tool(node, "check", late).unwrap();
    // Who is away cannot say that all is well.
    node.kill();
    let error = runtime.tool(node, "check", late).unwrap_err();
    assert!(error.contains("pod mesh/late is in the mesh, and the node proxy is away"), "{error}");
    node.start();
    runtime.tool(node, "check", late).unwrap();
    assert_eq!(handed(&mesh), 1);
    mesh.move_to("late", "outside");
    runtime.tool(node, "del", late).unwrap();
    eventually("the end of what was handed over", || (handed(&mesh) == 0).then_some(()));
    // As the library tries again what it was told had failed.
    runtime.tool(node, "del", late).unwrap();
}

#[test]
fn a_list_of_version_1_1_has_its_status_and_what_is_gone_collected() {
    let (mesh, runtime, _folder) = mesh_of("cnitoolnew", Runtime::newer, "1.1.0", |_| {});
    let (node, netns) = (mesh.node("a"), mesh.pod("late").ns.netns_path());
    let late = Sandbox { container: "", netns, pod: "mesh/late" };
    runtime.tool(node, "status", late).unwrap();
    let made = add(&mesh, &runtime, late);
    assert_eq!(made["cniVersion"], "1.1.0", "{made}");
    runtime.tool(node, "check", late).unwrap();
    assert_eq!(handed(&mesh), 1);
    // The library deletes what it remembers, and has plugins collect the rest.
    mesh.move_to("late", "outside");
    runtime.tool(node, "gc", late).unwrap();
    eventually("the end of what was handed over", || (handed(&mesh) == 0).then_some(()));
    // Without a node, pods outside of the mesh still start; not when nobody knows which those are.
    node.kill();
    runtime.tool(node, "status", late).unwrap();
    let list = runtime.conf_dir.join(format!("culvert-{}.enrolled", node.ns.instance()));
    fs::write(&list, "{").unwrap();
    let error = runtime.tool(node, "status", late).unwrap_err();
    assert!(error.contains("who is in the mesh cannot be told"), "{error}");
    node.start();
    runtime.tool(node, "status", late).unwrap();
}

#[test]
fn a_full_disk_keeps_the_entry_out_and_breaks_nothing() {
    let (mesh, runtime, _folder) = mesh_of("cnifull", Runtime::new, "1.0.0", |_| {});
    let node = mesh.node("a");
    let list = runtime.configured("10-pods.conflist");
    let without = e2e::bridge(runtime.conf_dir.parent().unwrap(), mesh.pod("late"));
    // The folder becomes a disk of four pages, one of which the list of plugins needs.
    node.terminate();
    let dir = &runtime.conf_dir;
    mount(Some("full"), dir, Some("tmpfs"), MsFlags::empty(), Some("size=16k")).unwrap();
    fs::write(dir.join("10-pods.conflist"), &without).unwrap();
    fs::write(dir.join("full"), [0; 3 * 4096]).unwrap();
    let process = node.start();
    process.log.await_from(0, "that nothing can be written", |line| {
        (line.contains(".enrolled") && line.contains("No space left")).then_some(())
    });
    assert_eq!(runtime.configured("10-pods.conflist"), without);
    fs::remove_file(dir.join("full")).unwrap();
    chained(&runtime);
    assert_eq!(runtime.configured("10-pods.conflist"), list);
    node.terminate();
    umount2(dir, MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn pods_that_run_are_found_by_name_and_by_process_and_never_the_node() {
    let mesh = Mesh::start("cnifind", |m| {
        let node = m.node("a");
        node.pod("named").outsider("other");
        node.without_proxy();
    });
    let (node, pod) = (mesh.node("a"), mesh.pod("named"));
    let sought = |uid: &str, ip| Sought { uid: uid.to_owned(), ips: vec![ip] };
    let all = [
        sought("u-named", pod.v4()),
        sought("u-six", mesh.pod("other").v6()),
        sought("u-gone", "192.0.2.1".parse().unwrap()),
        sought("u-host", node.ns.ip4().into()),
    ];
    let folder = pod.ns.netns_path().parent().unwrap().to_owned();
    let host = node.ns.netns().inode();
    let scene = Scene { named: vec![folder], proc: "/nowhere".into(), host };
    let found = scene.find(&all);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["u-named", "u-six"], "{found:?}");
    assert_eq!(found["u-named"], pod.ns.netns_path());

    // A runtime without names: by the cgroup of a process.
    let cgroup = pod.ns.cgroup().join("kubepods/burstable/pod11111111-2222-3333-4444-555555555555");
    fs::create_dir_all(&cgroup).unwrap();
    let mut sleeper = Command::new("sleep");
    let sleeper = pod.start({
        sleeper.arg("1000");
        sleeper
    });
    fs::write(cgroup.join("cgroup.procs"), sleeper.pid().to_string()).unwrap();
    let uid = "11111111-2222-3333-4444-555555555555";
    let scene = Scene { named: Vec::new(), proc: "/proc".into(), host };
    let path = scene.find(&[sought(uid, pod.v4())]).remove(uid).unwrap();
    assert_eq!(path, Path::new(&format!("/proc/{}/ns/net", sleeper.pid())));
    // Not one that has another address, nor one of the node's own namespace.
    assert!(scene.find(&[sought(uid, mesh.pod("other").v4())]).is_empty());
    let of_host = Scene { host: pod.ns.netns().inode(), ..scene };
    assert!(of_host.find(&[sought(uid, pod.v4())]).is_empty());
    drop(sleeper);
    eventually("the end of the process", || fs::remove_dir(&cgroup).ok());
}
