//! What is wrong is named where it is, and what was right before stays.
use e2e::{Culvert, Mesh, Node, Setup, eventually};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt as _};

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client");
    m.node("b").pod("server");
}

/// A node that was not started yet.
fn one_idle_node(m: &mut Setup) {
    m.node("a").without_proxy().pod("client");
}

/// Waits until the node refused a change; what it says of it, as compilers write it.
#[track_caller]
fn refusal(node: &Node) -> String {
    let problems = eventually("refused change", || {
        let status = node.status();
        let refused = status["configuration"]["refused"].as_array()?.clone();
        (!refused.is_empty()).then_some(refused)
    });
    problems.iter().map(line_of).collect::<Vec<_>>().join("\n")
}

/// `file:line:column: message`, without the folder.
fn line_of(problem: &Value) -> String {
    let file = problem["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let message = problem["message"].as_str().unwrap();
    let fix = problem["fix"].as_str().unwrap_or_default();
    format!("{file}:{}:{}: {message}; {fix}", problem["line"], problem["column"])
}

/// Writes a file that must be refused; checks what is said, and that the mesh works on.
#[track_caller]
fn refuses(mesh: &Mesh, text: &str, place: &str, words: &[&str]) {
    let node = mesh.node("a");
    let before = node.status()["configuration"]["generation"].clone();
    mesh.write("wrong.yaml", text);
    let said = refusal(node);
    assert!(said.starts_with(place), "expected {place}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "expected {words:?}: {said}");
    assert_eq!(node.status()["configuration"]["generation"], before);
    node.await_pod("client", "captured");
    assert_eq!(node.cli(&["status"]).status.code(), Some(1));
    mesh.remove("wrong.yaml");
    eventually("end of the refusal", || {
        let status = node.status();
        status["configuration"]["refused"].as_array()?.is_empty().then_some(())
    });
}

/// Waits for the end of a process that cannot start; its exit code and last words.
#[track_caller]
fn last_words(process: &Culvert) -> (Option<i32>, String) {
    let code = process.await_end().code();
    process.log.await_end();
    (code, process.log.text())
}

#[test]
fn a_wrong_manifest_is_refused_with_its_place_and_the_old_state_stays() {
    let mesh = Mesh::start("badplace", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    refuses(&mesh, "apiVersion: v1\nkind: Pod\nmetadata: [\n", "wrong.yaml:", &[]);
    refuses(
        &mesh,
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  namespace: mesh\nspec:\n  nodeNam: a\n",
        "wrong.yaml:7:3: ",
        &["nodeNam", "nodeName"],
    );
    refuses(&mesh, "just words\n", "wrong.yaml:1:1: ", &[]);
    refuses(
        &mesh,
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  namespace: mesh\nstatus:\n  podIP: 10.1.2\n",
        "wrong.yaml:7:",
        &["10.1.2"],
    );
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    mesh.node("a").await_line("outbound", server.v4());
}

#[test]
fn a_wrong_manifest_at_the_start_ends_it_with_every_place() {
    let mesh = Mesh::start("badstart", one_idle_node);
    mesh.write("one.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  nam: x\n");
    mesh.write("two.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: [x]\n");
    let (code, said) = last_words(&mesh.node("a").begin());
    assert_eq!(code, Some(1), "{said}");
    for place in ["one.yaml:4:3: ", "two.yaml:4:9: "] {
        assert!(said.contains(place), "no {place} in {said}");
    }
    assert!(said.lines().last().unwrap().starts_with("next: "), "{said}");
}

#[test]
fn an_unknown_kind_is_listed_and_skipped() {
    let mesh = Mesh::start("badkind", |m| {
        m.node("a").pod("client");
    });
    mesh.write("kind.yaml", "apiVersion: example.com/v1\nkind: Gadget\nmetadata:\n  name: x\n");
    let skipped = eventually("skipped kind", || {
        let status = mesh.node("a").status();
        status["configuration"]["skipped"].as_array()?.first().cloned()
    });
    assert!(skipped["kind"].as_str().unwrap().contains("Gadget"), "{skipped}");
    assert_eq!(mesh.node("a").cli(&["status"]).status.code(), Some(0));
}

#[test]
fn two_pods_with_one_address_are_refused() {
    let mesh = Mesh::start("badip", two_pods);
    let twin = mesh.pod("client").ns.manifest("mesh", "x").name("twin").netns("/run/netns/twin");
    let address = mesh.pod("client").v4().to_string();
    refuses(&mesh, &twin.to_string(), "", &[&address, "client"]);
}

#[test]
fn two_pods_with_one_namespace_are_refused() {
    let mesh = Mesh::start("badnetns", two_pods);
    let ip = "10.77.1.99".parse().unwrap();
    let twin = mesh.pod("client").ns.manifest("mesh", "x").name("twin").ips(&[ip]);
    let path = mesh.pod("client").ns.netns_path().to_str().unwrap();
    refuses(&mesh, &twin.to_string(), "", &[path, "client"]);
}

#[test]
fn two_names_of_one_namespace_are_found_out() {
    let mesh = Mesh::start("badalias", two_pods);
    let alias = mesh.folder().join("alias");
    std::os::unix::fs::symlink(mesh.pod("client").ns.netns_path(), &alias).unwrap();
    let ip = "10.77.1.99".parse().unwrap();
    let twin = mesh.pod("client").ns.manifest("mesh", "x").name("twin").ips(&[ip]).netns(&alias);
    mesh.write("twin.yaml", &twin.to_string());
    mesh.node("a").await_reason("twin", "client");
    mesh.node("a").await_pod("client", "captured");
}

#[test]
fn what_is_no_pods_namespace_stays_pending() {
    let mesh = Mesh::start("badspace", two_pods);
    let file = mesh.folder().join("file");
    fs::write(&file, "").unwrap();
    let own = culvert_kernel::netns::Netns::named_path("culvert-badspace-a").unwrap();
    for (name, path, word) in [("file", file, "not a network namespace"), ("own", own, "own")] {
        let ip = "10.77.1.99".parse().unwrap();
        let pod = mesh.pod("client").ns.manifest("mesh", "x").name(name).ips(&[ip]).netns(&path);
        mesh.write("pod.yaml", &pod.to_string());
        mesh.node("a").await_reason(name, word);
    }
    mesh.node("a").await_pod("client", "captured");
}

#[test]
fn a_bpffs_that_is_not_mounted_is_mounted() {
    let mesh = Mesh::start("badbpffs", |m| {
        let unmount = "while umount /sys/fs/bpf 2>/dev/null; do :; done; exec \"$@\"";
        m.node("a").pod("client").started_by(&["unshare", "--mount", "sh", "-c", unmount, "sh"]);
        m.node("b").pod("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    mesh.node("a").await_line("outbound", server.v4());
}

#[test]
fn a_missing_capability_is_named_in_one_line() {
    let mesh = Mesh::start("badcaps", |m| {
        m.node("a")
            .without_proxy()
            .pod("client")
            .started_by(&["setpriv", "--bounding-set=-net_admin"]);
        m.node("b").without_proxy().started_by(&["setpriv", "--reuid=65534", "--clear-groups"]);
    });
    // The second one is nobody, who must be able to read what it is told to.
    fs::set_permissions(mesh.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    for (node, capability) in [("a", "CAP_NET_ADMIN"), ("b", "CAP_")] {
        let (code, said) = last_words(&mesh.node(node).begin());
        assert_eq!(code, Some(3), "{said}");
        let named = said.lines().find(|line| line.starts_with("culvert: ")).unwrap();
        assert!(named.contains(capability), "{said}");
    }
}

#[test]
fn two_capabilities_are_enough() {
    let mesh = Mesh::start("goodcaps", |m| {
        let only = "--bounding-set=-all,+net_admin,+sys_admin";
        m.node("a").pod("client").setting("strict: true").started_by(&["setpriv", only]);
        m.node("b").pod("server").started_by(&["setpriv", only]);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        assert_eq!(mesh.pod("client").dial("plain", to)["ok"], true);
        mesh.node("a").await_line("outbound", to);
        mesh.node("b").await_line("inbound", to);
    }
}

#[test]
fn a_port_in_use_by_somebody_else_is_named() {
    let mesh = Mesh::start("badport", one_idle_node);
    let node = mesh.node("a");
    let other = node.peer(&["serve", "greet", "0.0.0.0:15020"]);
    other.lines().await_json("that it listens", |_| true);
    let (code, said) = last_words(&node.begin());
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("15020") && said.contains("metrics_address"), "{said}");
    drop(other);
    node.start();
}

#[test]
fn a_corrupt_pin_is_named_with_the_way_out() {
    let mesh = Mesh::start("badpin", |m| {
        m.node("a").pod("client");
    });
    let node = mesh.node("a");
    node.kill();
    let pins = fs::read_dir("/sys/fs/bpf/culvert").unwrap().flatten();
    let pins = pins.map(|e| e.path()).find(|p| p.ends_with(node.ns.instance())).unwrap();
    let layout = fs::read_dir(pins).unwrap().flatten().next().unwrap().path();
    // A map of another kind in its place.
    fs::rename(layout.join("NODE"), layout.join("PODS")).unwrap();
    let (code, said) = last_words(&node.begin());
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(layout.join("PODS").to_str().unwrap()), "{said}");
    let way_out = format!("culvert uninstall --instance {}", node.ns.instance());
    assert!(said.contains(&way_out), "{said}");
    assert!(node.cli(&["uninstall"]).status.success());
    node.start();
    node.await_pod("client", "captured");
}

#[test]
fn wrong_settings_are_all_named_with_their_places() {
    let mesh = Mesh::start("badsetting", |m| {
        let node = m.node("a").without_proxy().pod("client");
        node.setting("strct: true").setting("connect_timeout: soon").setting("exclude: [10.0.0/8]");
    });
    let (code, said) = last_words(&mesh.node("a").begin());
    assert_eq!(code, Some(2), "{said}");
    for words in ["a.yaml:5:", "strict", "a.yaml:6:", "a.yaml:7:"] {
        assert!(said.contains(words), "no {words} in {said}");
    }
}
