//! One pod's excess is that pod's trouble.
use e2e::{Mesh, eventually};

/// Opens as many connections as it can get, up to `want`; how many that were.
#[track_caller]
fn open(running: &e2e::Running) -> u64 {
    running.said(0)["open"].as_u64().unwrap()
}

#[test]
fn a_pod_over_its_limit_of_connections_is_refused_and_no_other() {
    let mesh = Mesh::start("limconn", |m| {
        m.node("a").pod("greedy").pod("modest").setting("max_connections_per_pod: 20");
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let mut greedy = mesh.pod("greedy").start_peer("idle", server.v4(), &[&50]);
    assert_eq!(open(&greedy), 20, "{}", greedy.lines().text());
    let line = mesh.node("a").await_access("a refusal", |line| line["close"] == "pod_limit");
    assert_eq!(line["src.workload"], "greedy", "{line}");
    let refused = mesh.node("a").metric("culvert_refused_total", &["reason=\"pod_limit\""]);
    assert_eq!(refused, 1.0);
    assert_eq!(mesh.pod("modest").dial("plain", server.v4())["ok"], true);
    assert_eq!(greedy.ask()["failed"], 0, "those that are open go on");
    greedy.finish();
    eventually("room again", || {
        (mesh.pod("greedy").dial("plain", server.v4())["ok"] == true).then_some(())
    });
}

#[test]
fn a_pod_over_its_share_of_descriptors_is_refused_and_no_other() {
    let mesh = Mesh::start("limfiles", |m| {
        m.node("a")
            .pod("greedy")
            .pod("modest")
            .setting("descriptor_reserve: 100")
            .started_by(&["prlimit", "--nofile=300:300"]);
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let mut greedy = mesh.pod("greedy").start_peer("idle", server.v4(), &[&200]);
    let opened = open(&greedy);
    assert!((10..150).contains(&opened), "{opened} of 200 at a limit of 300 files");
    for _ in 0..20 {
        assert_eq!(mesh.pod("modest").dial("plain", server.v4())["ok"], true);
    }
    assert_eq!(mesh.node("a").status()["ready"], true, "the doors are still open");
    assert_eq!(greedy.ask()["failed"], 0, "those that are open go on");
    greedy.finish();
    let again = mesh.pod("greedy").start_peer("idle", server.v4(), &[&10]);
    assert_eq!(open(&again), 10);
}

#[test]
fn all_descriptors_gone_refuses_and_recovers() {
    let mesh = Mesh::start("limall", |m| {
        m.node("a")
            .pod("one")
            .pod("two")
            .pod("three")
            .setting("descriptor_share: 100%")
            .setting("descriptor_reserve: 160")
            .started_by(&["prlimit", "--nofile=300:300"]);
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let held: Vec<_> = ["one", "two", "three"]
        .map(|pod| mesh.pod(pod).start_peer("idle", server.v4(), &[&100]))
        .into();
    let opened: u64 = held.iter().map(open).sum();
    assert!((10..100).contains(&opened), "{opened} at a limit of 300 files");
    assert_eq!(mesh.node("a").status()["ready"], true, "the doors are still open");
    for mut running in held {
        assert_eq!(running.ask()["failed"], 0, "those that are open go on");
        running.finish();
    }
    eventually("room again", || {
        (mesh.pod("one").dial("plain", server.v4())["ok"] == true).then_some(())
    });
}

#[test]
fn an_idle_timeout_closes_and_is_told() {
    let mesh = Mesh::start("limidle", |m| {
        m.node("a").pod("client").setting("idle_timeout: 1s");
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    assert_eq!(mesh.node("a").await_line("outbound", server.v4())["close"], "idle_timeout");
}

#[test]
fn an_answer_that_does_not_come_ends_at_the_connect_timeout() {
    let mesh = Mesh::start("limconnect", |m| {
        m.node("a").pod("client").setting("connect_timeout: 1s");
    });
    // Nobody has the address, and the node drops what it cannot send on without a word.
    let to = "10.77.1.10:1".parse::<std::net::SocketAddr>().unwrap();
    assert_eq!(to.ip(), mesh.pod("client").v4());
    let node = &mesh.node("a").ns;
    let mut blackhole = std::process::Command::new("ip");
    blackhole.args(["route", "add", "blackhole", "10.99.0.0/16"]);
    assert!(node.spawn(blackhole).unwrap().wait().unwrap().success());
    node.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap().unwrap();
    let to = "10.99.0.1:80".parse().unwrap();
    let said = mesh.pod("client").dial("plain", to);
    assert_eq!(said["error"], "ConnectionReset", "{said}");
    let line = mesh.node("a").await_line("outbound", to);
    assert_eq!(line["close"], "upstream_timeout", "{line}");
}

#[test]
fn a_flood_of_refusals_has_few_lines_that_stand_for_all_of_it() {
    let mesh = Mesh::start("limflood", |m| {
        m.node("a").pod("client");
    });
    let node = mesh.node("a");
    let port = *mesh.pod("client").listening().first().unwrap();
    let to = std::net::SocketAddr::new([127, 0, 0, 1].into(), port);
    let said = mesh.pod("client").ask_peer("many", to, &[&500]);
    assert_eq!(said["done"], 0, "{said}");
    let refused = || node.metric("culvert_refused_total", &["reason=\"not_captured\""]);
    eventually("count of all of them", || (refused() >= 500.0).then_some(()));
    let stood_for = || {
        let lines = node.access.json();
        let stands_for = |line: &serde_json::Value| 1 + line["unwritten"].as_u64().unwrap_or(0);
        (lines.len(), lines.iter().map(stands_for).sum::<u64>())
    };
    eventually("lines that stand for all of them", || (stood_for().1 == 500).then_some(()));
    assert!(stood_for().0 < 500, "{:?}", stood_for());
}

#[test]
fn a_pod_takes_no_more_descriptors_than_the_settings_say() {
    // As many name servers as the C library asks.
    let resolvers = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].join(",");
    let asks = move |manifest: culvert_lab::PodManifest| {
        manifest.annotation("culvert.dev/resolvers", &resolvers)
    };
    let mesh = Mesh::start("limheld", |m| {
        m.node("one").pod_with("first", asks.clone());
        let node = m.node("many");
        for name in ["a", "b", "c", "d", "e"] {
            node.pod_with(name, asks.clone());
        }
    });
    let held = |node: &str| {
        let folder = format!("/proc/{}/fd", mesh.node(node).process().pid);
        let kind = |fd: std::io::Result<std::fs::DirEntry>| {
            let target = std::fs::read_link(fd.ok()?.path()).ok()?;
            Some(target.to_string_lossy().split('[').next()?.to_owned())
        };
        std::fs::read_dir(folder).unwrap().filter_map(kind).collect::<Vec<_>>()
    };
    let [one, many] = ["one", "many"].map(held);
    let each = many.len().saturating_sub(one.len()).div_ceil(4);
    assert!(each <= 8 + 2 * 3, "{each} each: {one:?} with one pod, {many:?} with five");
    let own = one.len().saturating_sub(each);
    assert!(own <= 60, "{own} are the process's: {one:?}");
}
