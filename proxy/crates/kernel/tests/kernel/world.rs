//! A node with pods, made of namespaces, and all of it gone with the test.
use culvert_kernel::{
    Capabilities, Instance, Node, NodeOptions, PodSpec, netlink::Netlink, netns::Netns, probe,
    uninstall,
};
use culvert_model::{addr::PodIps, name::WorkloadUid, pod::Fail};
use ipnet::IpNet;
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{Mutex, PoisonError},
};

/// How many worlds of this process are there: they share the cgroup it is in.
static WORLDS: Mutex<Option<Home>> = Mutex::new(None);

/// Where this process was before the first world.
struct Home {
    worlds: usize,
    before: PathBuf,
}

/// A node's namespace, and an instance attached at a cgroup of the tests' own.
pub(crate) struct World {
    pub(crate) instance: Instance,
    pub(crate) netns: Netns,
    name: String,
    pods: Vec<String>,
}

/// A pod's namespace, joined to the node's by a veth.
#[derive(Clone)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) netns: Netns,
    pub(crate) path: PathBuf,
    pub(crate) ips: Vec<IpAddr>,
    /// The node's addresses as the pod sees it.
    pub(crate) node: Vec<IpAddr>,
}

impl World {
    pub(crate) fn new(test: &str) -> Self {
        let root = enter();
        let name = format!("it{}-{test}", process::id());
        let netns = namespace(&format!("{name}-node"));
        netns
            .run(|| {
                fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
                fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
            })
            .unwrap();
        let instance = Instance::new(&name, Some(root)).unwrap();
        Self { instance, netns, name, pods: Vec::new() }
    }

    /// A pod with addresses of both families.
    pub(crate) fn pod(&mut self, name: &str) -> Pod {
        let number = self.pods.len() + 1;
        let full = format!("{}-{name}", self.name);
        let netns = namespace(&full);
        let host = format!("v{number}");
        let (mut here, mut there) =
            (Netlink::open_in(&self.netns).unwrap(), Netlink::open_in(&netns).unwrap());
        here.add_veth(&host, "eth0", &netns).unwrap();
        here.link_up(&host).unwrap();
        there.link_up("eth0").unwrap();
        let address = |end: u8| {
            [format!("10.99.{number}.{end}"), format!("fd00:99:{number}::{end}")]
                .map(|text| text.parse::<IpAddr>().unwrap())
        };
        let (ips, node) = (address(2), address(1));
        for ((ip, gateway), (prefix, all)) in
            ips.iter().zip(&node).zip([(24, "0.0.0.0/0"), (64, "::/0")])
        {
            here.add_addr(&host, *gateway, prefix).unwrap();
            there.add_addr("eth0", *ip, prefix).unwrap();
            let all: IpNet = all.parse().unwrap();
            there.add_route(all.addr(), all.prefix_len(), Some(*gateway), "eth0").unwrap();
        }
        self.pods.push(full.clone());
        let path = Netns::named_path(&full).unwrap();
        Pod { name: name.to_owned(), netns, path, ips: ips.into(), node: node.into() }
    }

    pub(crate) fn capabilities() -> Capabilities {
        probe().unwrap()
    }

    pub(crate) fn load(&self) -> Node {
        self.load_with(&Self::capabilities(), options())
    }

    /// Loads from inside the node's namespace, and claims.
    pub(crate) fn load_with(&self, capabilities: &Capabilities, options: NodeOptions) -> Node {
        let node = self.netns.run(|| Node::load(&self.instance, capabilities, options));
        let node = node.unwrap().unwrap();
        node.claim().unwrap();
        node
    }

    pub(crate) fn uninstall(&self) -> uninstall::Report {
        self.netns.run(|| uninstall(&self.instance)).unwrap().unwrap()
    }

    /// Removes a pod's namespace, as a container runtime does.
    pub(crate) fn delete(pod: &Pod) {
        Netns::delete_named(pod.path.file_name().unwrap().to_str().unwrap()).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let report = self.uninstall();
        for name in self.pods.iter().chain([&format!("{}-node", self.name)]) {
            Netns::delete_named(name).unwrap();
        }
        leave();
        assert!(report.left.is_empty() || std::thread::panicking(), "{report}");
    }
}

impl Pod {
    pub(crate) fn spec(&self) -> PodSpec {
        PodSpec {
            uid: WorkloadUid::new(format!("test//Pod/it/{}", self.name)),
            netns: self.path.clone(),
            ips: PodIps::try_from_ips(self.ips.iter().copied()).unwrap(),
            fail: Fail::Closed,
            container_ports: vec![8080],
            resolvers: Vec::new(),
        }
    }

    /// Everything enrolling changes in the pod.
    pub(crate) fn state(&self) -> Vec<String> {
        let mut state: Vec<String> = [
            "rule show",
            "-6 rule show",
            "route show",
            "route show table 100",
            "route show table 1337",
            // The kernel goes on adding to the others after an address is there.
            "-6 route show table 100",
            "-6 route show table 1337",
        ]
        .map(|args| ip(&self.netns, args))
        .into();
        let sysctls = [
            "ipv4/tcp_tw_reuse",
            "ipv4/tcp_fwmark_accept",
            "ipv4/fwmark_reflect",
            "ipv6/fwmark_reflect",
            "ipv4/ip_local_reserved_ports",
        ];
        state.extend(sysctls.map(|name| format!("{name}={}", self.sysctl(name))));
        state
    }

    pub(crate) fn sysctl(&self, name: &str) -> String {
        let path = format!("/proc/sys/net/{name}");
        self.netns.run(|| fs::read_to_string(path)).unwrap().unwrap().trim().to_owned()
    }

    pub(crate) fn set_sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.netns.run(|| fs::write(path, value)).unwrap().unwrap();
    }
}

pub(crate) fn options() -> NodeOptions {
    NodeOptions {
        strict: false,
        prober_cgroup: None,
        pending_limit: 4096,
        tuple_limit: 4096,
        exclusions: Vec::new(),
    }
}

/// What a program of iproute2 says in a namespace.
pub(crate) fn tool(netns: &Netns, tool: &str, args: &str) -> String {
    let mut command = Command::new(tool);
    netns.place(command.args(args.split(' ')), None).unwrap();
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn ip(netns: &Netns, args: &str) -> String {
    tool(netns, "ip", args)
}

fn namespace(name: &str) -> Netns {
    let netns = Netns::create_named(name).unwrap();
    Netlink::open_in(&netns).unwrap().link_up("lo").unwrap();
    netns
}

/// Puts this process below a cgroup of the tests' own, and says which.
fn enter() -> PathBuf {
    let cgroup2 = Instance::new("any", None).unwrap().cgroup_root().to_owned();
    let root = root(&cgroup2);
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *worlds {
        Some(home) => home.worlds += 1,
        None => {
            let own = fs::read_to_string("/proc/self/cgroup").unwrap();
            let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
            *worlds = Some(Home { worlds: 1, before: cgroup2.join(own) });
            let below = root.join("proxy");
            fs::create_dir_all(&below).unwrap();
            move_to(&below);
        }
    }
    root
}

fn leave() {
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = worlds.as_mut().unwrap();
    home.worlds -= 1;
    if home.worlds == 0 {
        let before = worlds.take().unwrap().before;
        move_to(&before);
        let root = root(Instance::new("any", None).unwrap().cgroup_root());
        fs::remove_dir(root.join("proxy")).unwrap();
        fs::remove_dir(root).unwrap();
    }
}

fn root(cgroup2: &Path) -> PathBuf {
    cgroup2.join(format!("culvert-it-{}", process::id()))
}

fn move_to(cgroup: &Path) {
    fs::write(cgroup.join("cgroup.procs"), process::id().to_string()).unwrap();
}
