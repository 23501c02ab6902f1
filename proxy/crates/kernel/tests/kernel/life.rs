//! Enrolling, handing over, letting go, and what is left behind.
use crate::{
    traffic::{App, Event, Proxy, talk},
    world::{Pod, World, options, tool},
};
use culvert_kernel::{EnrolError, Instance, Node, NodeError, netns::Netns};
use std::{collections::BTreeSet, fs, net::SocketAddr};

#[test]
fn an_uninstalled_instance_leaves_nothing() {
    let mut world = World::new("uninstall");
    let pod = world.pod("a");
    pod.set_sysctl("ipv4/ip_local_reserved_ports", "8080,9000-9010");
    let before = pod.state();
    // Not entered: what other tests fork meanwhile would be in it too.
    fs::create_dir(world.instance.cgroup()).unwrap();
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    assert_ne!(pod.state(), before);
    assert_eq!(pod.sysctl("ipv4/ip_local_reserved_ports"), "8080,9000-9010,61000-65535");
    // As after a crash: nothing was undone.
    drop(proxy);
    drop(node);
    let report = world.uninstall();
    assert_eq!(report.left, Vec::<String>::new());
    assert_eq!(pod.state(), before);
    assert!(!world.instance.pins().parent().unwrap().exists());
    assert!(!world.instance.cgroup().exists());
    assert!(!world.instance.run_dir().exists());
    // The pod is on its own again.
    let server = App::start(&world.netns, 7100);
    talk(&pod.netns, SocketAddr::new(pod.node[0], server.address.port())).unwrap();
    assert_eq!(world.uninstall(), Default::default());
}

#[test]
fn a_second_generation_takes_the_pods_over() {
    let mut world = World::new("adopt");
    let pod = world.pod("a");
    let before = pod.state();
    let server = App::start(&world.netns, 7101);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let first = world.load();
    let old = Proxy::start(&first, &pod.spec());
    talk(&pod.netns, to).unwrap();
    assert_eq!(old.event(), Event::Outbound { original: Some(to) });

    let second = world.load();
    assert!(second.is_owner() && !first.is_owner());
    assert!(matches!(first.prepare(&pod.spec()), Err(EnrolError::Node(NodeError::NotOwner))));
    let uids: Vec<_> = second.orphans().iter().map(|orphan| orphan.uid().clone()).collect();
    assert_eq!(uids, [pod.spec().uid]);
    // Still the old one's.
    talk(&pod.netns, to).unwrap();
    assert_eq!(old.event(), Event::Outbound { original: Some(to) });

    let new = Proxy::start(&second, &pod.spec());
    assert_eq!(new.enrolled.pod_id(), old.enrolled.pod_id());
    assert!(second.orphans().is_empty());
    talk(&pod.netns, to).unwrap();
    assert_eq!(new.event(), Event::Outbound { original: Some(to) });
    assert_eq!(old.events(), []);
    // What the old generation undoes is not its own any more.
    finish(old).unwrap();
    talk(&pod.netns, to).unwrap();
    assert_eq!(new.event(), Event::Outbound { original: Some(to) });
    // The record kept what was there before the first one.
    finish(new).unwrap();
    assert_eq!(pod.state(), before);
}

#[test]
fn a_released_pod_goes_direct_and_a_finished_one_is_as_before() {
    let mut world = World::new("release");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let before = pod.state();
    let (app, server) = (App::start(&pod.netns, 8080), App::start(&world.netns, 7102));
    let node = world.load();
    let mut proxy = Proxy::start(&node, &pod.spec());
    proxy.enrolled.release().unwrap();
    let inward = SocketAddr::new(pod.ips[0], app.address.port());
    talk(&client.netns, inward).unwrap();
    talk(&pod.netns, SocketAddr::new(pod.node[0], server.address.port())).unwrap();
    assert_eq!(proxy.events(), []);
    finish(proxy).unwrap();
    assert_eq!(pod.state(), before);
    assert!(node.orphans().is_empty());
}

#[test]
fn a_pod_enrolled_again_while_it_drains_is_not_undone_by_the_old_one() {
    let mut world = World::new("again");
    let pod = world.pod("a");
    let server = App::start(&world.netns, 7103);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let node = world.load();
    let mut old = Proxy::start(&node, &pod.spec());
    old.enrolled.release().unwrap();
    let new = Proxy::start(&node, &pod.spec());
    finish(old).unwrap();
    talk(&pod.netns, to).unwrap();
    assert_eq!(new.event(), Event::Outbound { original: Some(to) });
}

#[test]
fn a_draining_pod_that_could_not_be_enrolled_again_is_still_undone() {
    let mut world = World::new("failed");
    let pod = world.pod("a");
    let before = pod.state();
    let node = world.load();
    let mut old = Proxy::start(&node, &pod.spec());
    old.enrolled.release().unwrap();
    drop(node.prepare(&pod.spec()).unwrap());
    finish(old).unwrap();
    assert_eq!(pod.state(), before);
}

#[test]
fn a_pod_that_is_prepared_only_leaves_no_trace() {
    let mut world = World::new("prepared");
    let pod = world.pod("a");
    let before = pod.state();
    let node = world.load();
    let prepared = node.prepare(&pod.spec()).unwrap();
    assert_ne!(pod.state(), before);
    drop(prepared);
    assert_eq!(pod.state(), before);
    assert_eq!(fs::read_dir(world.instance.pins().join("pods")).unwrap().count(), 0);
}

#[test]
fn a_deleted_pod_is_cleaned_without_entering_it() {
    let mut world = World::new("gone");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    assert!(!proxy.enrolled.is_gone());
    World::delete(&pod);
    assert!(proxy.enrolled.is_gone());
    assert!(matches!(node.prepare(&pod.spec()), Err(EnrolError::Netns(_))));
    finish(proxy).unwrap();
    assert_eq!(fs::read_dir(world.instance.pins().join("pods")).unwrap().count(), 0);
}

#[test]
fn a_pod_with_a_new_namespace_is_a_new_life() {
    let mut world = World::new("reborn");
    let pod = world.pod("a");
    let first = world.load();
    let old = Proxy::start(&first, &pod.spec());
    let old_id = old.enrolled.pod_id();
    World::delete(&pod);
    let _new_netns = Netns::create_named(pod.path.file_name().unwrap().to_str().unwrap());
    up(&pod);
    // In the process that holds the old life, and in one that finds its record.
    let new = Proxy::start(&first, &pod.spec());
    assert!(new.enrolled.pod_id() > old_id);
    drop((old, new, first));
    World::delete(&pod);
    let _newer_netns = Netns::create_named(pod.path.file_name().unwrap().to_str().unwrap());
    up(&pod);
    let second = world.load();
    let newest = Proxy::start(&second, &pod.spec());
    assert!(newest.enrolled.pod_id() > old_id + 1);
    let pins = fs::read_dir(world.instance.pins().join("pods")).unwrap();
    assert_eq!(pins.count(), 1);
}

#[test]
fn unwanted_pods_of_an_earlier_process_are_let_go() {
    let mut world = World::new("retain");
    let (a, b) = (world.pod("a"), world.pod("b"));
    let before = a.state();
    let first = world.load();
    drop((Proxy::start(&first, &a.spec()), Proxy::start(&first, &b.spec()), first));
    let second = world.load();
    let wanted = BTreeSet::from([b.spec().uid]);
    assert_eq!(second.retain(&wanted).unwrap(), [a.spec().uid]);
    assert_eq!(a.state(), before);
    assert_eq!(second.orphans().len(), 1);
}

#[test]
fn the_nodes_own_namespace_and_anothers_pod_are_refused() {
    let mut world = World::new("refuse");
    let pod = world.pod("a");
    let node = world.load();
    let _proxy = Proxy::start(&node, &pod.spec());
    let mut other = pod.spec();
    other.uid = culvert_model::name::WorkloadUid::new("test//Pod/it/other");
    let same = node.prepare(&other);
    assert!(matches!(same, Err(EnrolError::SameNetns { other }) if other == pod.spec().uid));
    let mut host = pod.spec();
    host.netns = pod
        .path
        .with_file_name(pod.path.file_name().unwrap().to_str().unwrap().replace("-a", "-node"));
    assert!(matches!(node.prepare(&host), Err(EnrolError::HostNetns(_))));
}

#[test]
fn two_instances_do_not_enrol_one_pod() {
    let (mut one, two) = (World::new("one"), World::new("two"));
    let pod = one.pod("a");
    let (first, second) = (one.load(), two.load());
    let proxy = Proxy::start(&first, &pod.spec());
    let refused = second.prepare(&pod.spec());
    assert!(
        matches!(&refused, Err(EnrolError::OtherInstance { instance }) if instance == one.instance.name()),
        "{refused:?}"
    );
    finish(proxy).unwrap();
    drop(second.prepare(&pod.spec()).unwrap());
}

#[test]
fn a_corrupt_pin_is_named_with_the_way_out() {
    let world = World::new("corrupt");
    drop(world.load());
    let pins = world.instance.pins();
    // Another map under the name.
    fs::remove_file(pins.join("PODS")).unwrap();
    fs::rename(pins.join("NODE"), pins.join("PODS")).unwrap();
    let error = load_error(&world);
    assert!(matches!(&error, NodeError::CorruptPin { path, .. } if *path == pins.join("PODS")));
    let line = error.to_string();
    let way_out = format!("culvert uninstall --instance {}", world.instance.name());
    assert!(line.contains(&way_out), "{line}");
    world.uninstall();
    drop(world.load());
    // A link where a map should be.
    fs::remove_file(pins.join("PODS")).unwrap();
    fs::rename(pins.join("link_connect4"), pins.join("PODS")).unwrap();
    assert!(matches!(load_error(&world), NodeError::CorruptPin { .. }));
}

#[test]
fn the_pins_of_a_newer_layout_are_refused() {
    let world = World::new("newer");
    drop(world.load());
    fs::create_dir(world.instance.pins().with_file_name("v999")).unwrap();
    assert!(matches!(load_error(&world), NodeError::NewerLayout { found: 999, .. }));
}

#[test]
fn the_links_of_an_older_layout_are_taken_over() {
    let mut world = World::new("older");
    let pod = world.pod("a");
    let first = world.load();
    let old = Proxy::start(&first, &pod.spec());
    let older = world.instance.pins().with_file_name("v0");
    fs::rename(world.instance.pins(), &older).unwrap();
    let server = App::start(&world.netns, 7104);
    let to = SocketAddr::new(pod.node[0], server.address.port());

    let second = world.load();
    // Known to the new maps from the record, before its programs are attached: never uncaptured.
    let cut = talk(&pod.netns, to);
    assert!(cut.is_err(), "served by nobody: {cut:?}");
    let new = Proxy::start(&second, &pod.spec());
    talk(&pod.netns, to).unwrap();
    assert_eq!(new.event(), Event::Outbound { original: Some(to) });
    assert_eq!(new.enrolled.pod_id(), old.enrolled.pod_id());
    assert!(!older.join("link_connect4").exists());
    assert!(!older.join("pods").join(new.enrolled.pod_id().to_string()).exists());
}

#[test]
fn a_process_outside_of_the_cgroup_root_is_refused() {
    let world = World::new("outside");
    let elsewhere = world.instance.cgroup_root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let instance = Instance::new(world.instance.name(), Some(elsewhere.clone())).unwrap();
    let loaded = Node::load(&instance, &World::capabilities(), options());
    assert!(matches!(loaded, Err(NodeError::OutsideCgroup { .. })));
    fs::remove_dir(elsewhere).unwrap();
}

#[test]
fn an_instance_stays_at_the_cgroup_it_was_attached_at() {
    let world = World::new("moved");
    drop(world.load());
    let below = world.instance.cgroup_root().join("proxy");
    let instance = Instance::new(world.instance.name(), Some(below)).unwrap();
    let loaded = Node::load(&instance, &World::capabilities(), options());
    assert!(matches!(loaded, Err(NodeError::AttachedElsewhere { .. })));
}

#[test]
fn pins_can_be_reached_by_root_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new("private");
    drop(world.load());
    for dir in [world.instance.pins(), world.instance.run_dir()] {
        assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

fn finish(proxy: Proxy) -> Result<(), EnrolError> {
    proxy.enrolled.finish()
}

fn load_error(world: &World) -> NodeError {
    let load = || Node::load(&world.instance, &World::capabilities(), options());
    world.netns.run(load).unwrap().unwrap_err()
}

fn up(pod: &Pod) {
    let netns = Netns::open(&pod.path).unwrap();
    assert_eq!(tool(&netns, "ip", "link set lo up"), "");
}
