//! Labs as their users see them: what is joined, what is kept apart, what remains.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
use culvert_kernel::{instance::Instance, netns::Netns};
use culvert_lab::{Lab, LabError, PodNs};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
};

/// One connection; returns whom the server saw.
fn talk(from: &PodNs, to: &PodNs, ip: IpAddr) -> SocketAddr {
    let listener = to.run(|| TcpListener::bind((ip, 0))).unwrap().unwrap();
    let target = listener.local_addr().unwrap();
    let mut stream = from.run(|| TcpStream::connect(target)).unwrap().unwrap();
    stream.write_all(b"hello").unwrap();
    drop(stream);
    let (mut accepted, peer) = listener.accept().unwrap();
    let mut heard = String::new();
    accepted.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    peer
}

fn cgroup_of(lab: &str) -> PathBuf {
    Instance::new("lab", None).unwrap().cgroup_root().join(format!("culvert-lab-{lab}"))
}

fn namespaces_of(lab: &str) -> Vec<String> {
    let prefix = format!("culvert-{lab}-");
    Netns::names().unwrap().into_iter().filter(|name| name.starts_with(&prefix)).collect()
}

#[test]
fn pods_of_one_node_and_of_two_reach_each_other_with_their_own_addresses() {
    let mut lab = Lab::new("labreach").unwrap();
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let (one, two, far) = (a.pod("one").unwrap(), a.pod("two").unwrap(), b.pod("far").unwrap());
    for (from, to) in [(&one, &two), (&one, &far), (&far, &two)] {
        for (source, target) in from.ips().into_iter().zip(to.ips()) {
            assert_eq!(talk(from, to, target).ip(), source, "{} to {target}", from.name());
        }
    }
}

#[test]
fn every_node_reaches_every_pod() {
    let mut lab = Lab::new("labnodes").unwrap();
    let nodes = ["a", "b", "c"].map(|name| lab.node(name).unwrap());
    let pods = [&nodes[0], &nodes[1], &nodes[2]].map(|node| node.pod("x").unwrap());
    for node in &nodes {
        for ip in pods.iter().flat_map(PodNs::ips) {
            let pod = pods.iter().find(|pod| pod.ips().contains(&ip)).unwrap();
            let listener = pod.run(|| TcpListener::bind((ip, 0))).unwrap().unwrap();
            let target = listener.local_addr().unwrap();
            let reached = node.run(|| TcpStream::connect(target)).unwrap();
            assert!(reached.is_ok(), "{} to {target}: {reached:?}", node.name());
        }
    }
}

#[test]
fn a_process_starts_in_its_pods_namespace_and_cgroup() {
    let mut lab = Lab::new("labplace").unwrap();
    let node = lab.node("a").unwrap();
    let pod = node.pod("x").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "readlink /proc/self/ns/net; cat /proc/self/cgroup"]);
    shell.stdout(Stdio::piped());
    let said = pod.spawn(shell).unwrap().output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with(&format!("net:[{}]", pod.netns().inode())), "{said}");
    assert!(said.contains("0::/culvert-lab-labplace/a/pod-x\n"), "{said}");
    let missing = node.spawn(Command::new("/no/such/program")).unwrap_err();
    assert_eq!(missing.to_string(), "cannot start /no/such/program");
}

#[test]
fn a_dropped_lab_leaves_nothing_behind() {
    let mut lab = Lab::new("labgone").unwrap();
    let node = lab.node("a").unwrap();
    let pod = node.pod("x").unwrap();
    let mut shell = Command::new("sh");
    // Its grandchild is nobody's LabChild.
    shell.args(["-c", "sleep 1000 & echo started; wait"]).stdout(Stdio::piped());
    let mut child = pod.spawn(shell).unwrap();
    let mut said = [0; 8];
    child.stdout().unwrap().read_exact(&mut said).unwrap();
    let run = PathBuf::from(format!("/run/culvert/{}", node.instance()));
    fs::create_dir_all(run.join("pods")).unwrap();
    assert_eq!(namespaces_of("labgone").len(), 2);
    lab.remove().unwrap();
    assert!(child.ended().unwrap().is_some());
    assert_eq!(namespaces_of("labgone"), [""; 0]);
    assert!(!cgroup_of("labgone").exists());
    assert!(!run.exists());
}

#[test]
fn a_lab_removes_what_a_killed_one_left() {
    let cgroup = cgroup_of("lableft");
    fs::create_dir_all(cgroup.join("a/pod-x")).unwrap();
    Netns::delete_named("culvert-lableft-a").unwrap();
    let netns = Netns::create_named("culvert-lableft-a").unwrap();
    let mut sleep = Command::new("sleep");
    netns.place(sleep.arg("1000"), Some(&cgroup.join("a/pod-x"))).unwrap();
    let mut sleep = sleep.spawn().unwrap();
    let mut lab = Lab::new("lableft").unwrap();
    assert!(sleep.try_wait().unwrap().is_some());
    assert_eq!(namespaces_of("lableft"), [""; 0]);
    lab.node("a").unwrap();
}

#[test]
fn a_name_is_used_by_one_lab_at_a_time() {
    let lab = Lab::new("labbusy").unwrap();
    assert!(matches!(Lab::new("labbusy"), Err(LabError::Busy { .. })));
    drop(lab);
    Lab::new("labbusy").unwrap();
}

#[test]
fn names_that_could_be_mistaken_are_refused() {
    for name in ["", "with-dash", "Upper", "under_score", "a/b", "seventeenletters1"] {
        assert!(matches!(Lab::new(name), Err(LabError::Name { .. })), "{name:?}");
    }
    let mut lab = Lab::new("labnames").unwrap();
    let node = lab.node("a").unwrap();
    assert!(matches!(lab.node("a"), Err(LabError::Exists { .. })));
    assert!(matches!(node.pod("longerthan11"), Err(LabError::Name { .. })));
}

#[test]
fn a_manifest_names_the_pods_node_addresses_and_namespace() {
    let mut lab = Lab::new("labyaml").unwrap();
    let pod = lab.node("a").unwrap().pod("shop").unwrap();
    let manifest = pod.manifest("store", "cashier").label("version", "v1").port(8080);
    let expect = "\
apiVersion: v1
kind: Pod
metadata:
  name: shop
  namespace: store
  labels:
    app: shop
    version: v1
  annotations:
    culvert.dev/netns: /run/netns/culvert-labyaml-a-shop
spec:
  nodeName: a
  serviceAccountName: cashier
  containers:
  - name: main
    image: none
    ports:
    - containerPort: 8080
status:
  podIP: \"10.77.1.10\"
  podIPs:
  - ip: \"10.77.1.10\"
  - ip: \"fd77:0:0:1::a\"
";
    assert_eq!(manifest.to_string(), expect);
}
