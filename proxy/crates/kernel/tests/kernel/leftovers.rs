//! What a crash, a failed take-over or a damaged file leaves is undone all the same.
use crate::{
    traffic::{App, Event, Proxy, talk},
    world::{Pod, World, options},
};
use culvert_kernel::{Node, NodeError, NodeOptions};
use culvert_model::pod::Exclusion;
use std::{
    collections::BTreeSet,
    fs,
    mem::{self, ManuallyDrop},
    net::SocketAddr,
};

fn records(world: &World) -> std::path::PathBuf {
    world.instance.run_dir().join("pods")
}

/// Enrols a pod and ends as in a crash.
fn enrolled_and_crashed(world: &World, pod: &Pod) {
    let node = world.load();
    drop(Proxy::start(&node, &pod.spec()));
}

#[test]
fn a_record_that_was_being_written_does_not_hold_up_uninstalling() {
    let mut world = World::new("half");
    let pod = world.pod("a");
    enrolled_and_crashed(&world, &pod);
    fs::write(records(&world).join("7.new"), "{").unwrap();
    assert_eq!(world.uninstall().left, Vec::<String>::new());
    assert!(!world.instance.run_dir().exists());
}

#[test]
fn a_damaged_record_is_named_and_uninstalling_removes_it_and_undoes_the_others() {
    let mut world = World::new("damaged");
    let pod = world.pod("a");
    let before = pod.state();
    enrolled_and_crashed(&world, &pod);
    let damaged = records(&world).join("99.json");
    fs::write(&damaged, "{").unwrap();
    let load = || Node::load(&world.instance, &World::capabilities(), options());
    let error = world.netns.run(load).unwrap().unwrap_err();
    assert!(matches!(error, NodeError::Record(_)), "{error:?}");
    let report = world.uninstall();
    assert_eq!(report.left, Vec::<String>::new());
    let named = damaged.display().to_string();
    assert!(report.removed.iter().any(|line| line.contains(&named)), "{report}");
    assert_eq!(pod.state(), before);
    assert!(!world.instance.run_dir().exists());
}

#[test]
fn a_pod_that_was_being_enrolled_in_a_crash_is_undone_by_whoever_comes() {
    let mut world = World::new("midway");
    let pod = world.pod("a");
    let before = pod.state();
    let first = world.load();
    let _crashed = ManuallyDrop::new(first.prepare(&pod.spec()).unwrap());
    let second = world.load();
    assert_eq!(second.retain(&BTreeSet::new()).unwrap(), [pod.spec().uid]);
    assert_eq!(pod.state(), before);
    let _crashed_too = ManuallyDrop::new(second.prepare(&pod.spec()).unwrap());
    assert_eq!(world.uninstall().left, Vec::<String>::new());
    assert_eq!(pod.state(), before);
}

#[test]
fn an_uninstalling_that_was_cut_short_is_brought_to_its_end() {
    let mut world = World::new("cutshort");
    let (a, b) = (world.pod("a"), world.pod("b"));
    let before = [a.state(), b.state()];
    enrolled_and_crashed(&world, &a);
    enrolled_and_crashed(&world, &b);
    // The node's programs are detached, and one pod is undone but for its record.
    for pin in fs::read_dir(world.instance.pins()).unwrap() {
        let pin = pin.unwrap().path();
        if pin.file_name().unwrap().to_str().unwrap().starts_with("link_") {
            fs::remove_file(pin).unwrap();
        }
    }
    fs::remove_dir_all(world.instance.pins().join("pods/1")).unwrap();
    assert_eq!(world.uninstall().left, Vec::<String>::new());
    assert_eq!([a.state(), b.state()], before);
    assert!(!world.instance.run_dir().exists());
}

#[test]
fn what_only_a_failed_newcomer_excluded_is_captured_again() {
    let mut world = World::new("unexclude");
    let pod = world.pod("a");
    let server = App::start(&world.netns, 7800);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let excluding = |networks: &[&str]| NodeOptions {
        exclusions: networks
            .iter()
            .map(|network| Exclusion { network: network.parse().unwrap(), ports: Vec::new() })
            .collect(),
        ..options()
    };
    let first = world.load_with(&World::capabilities(), excluding(&["192.0.2.0/24"]));
    let old = Proxy::start(&first, &pod.spec());
    let second =
        world.load_with(&World::capabilities(), excluding(&["192.0.2.0/24", "10.99.0.0/16"]));
    let new = Proxy::start(&second, &pod.spec());
    talk(&pod.netns, to).unwrap();
    assert_eq!(new.events(), [], "excluded");
    drop((new, second));
    // As after a newcomer that died before it was ready.
    first.claim().unwrap();
    let again = Proxy::start(&first, &pod.spec());
    drop(old);
    talk(&pod.netns, to).unwrap();
    assert_eq!(again.event(), Event::Outbound { original: Some(to) });
}

#[test]
fn an_address_that_went_to_another_pod_stays_the_other_pods() {
    let mut world = World::new("swap");
    let (a, b) = (world.pod("a"), world.pod("b"));
    let app = App::start(&b.netns, 8080);
    let inward = SocketAddr::new(b.ips[0], app.address.port());
    let first = world.load();
    // Enrolled with each other's addresses.
    let (mut wrong_a, mut wrong_b) = (a.spec(), b.spec());
    mem::swap(&mut wrong_a.ips, &mut wrong_b.ips);
    drop((Proxy::start(&first, &wrong_a), Proxy::start(&first, &wrong_b)));
    let proxies = [Proxy::start(&first, &b.spec()), Proxy::start(&first, &a.spec())];
    // The host's own connection is a probe of that pod, left alone.
    talk(&world.netns, inward).unwrap();
    assert_eq!(proxies.map(|proxy| proxy.events()), [[], []]);
}

#[test]
fn a_generation_that_a_newer_layout_displaced_does_not_take_the_node_back() {
    let world = World::new("displaced");
    let node = world.load();
    fs::create_dir(world.instance.pins().with_file_name("v999")).unwrap();
    let claimed = node.claim();
    assert!(matches!(claimed, Err(NodeError::NewerLayout { found: 999, .. })), "{claimed:?}");
}
