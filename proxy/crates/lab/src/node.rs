//! A node of a lab: the namespace its proxy runs in, with a veth to each pod and each other node.
use crate::{
    cgroup,
    child::LabChild,
    error::LabError,
    name::{check_name, instance_name},
    pod::PodNs,
};
use culvert_kernel::{netlink::Netlink, netns::Netns};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

/// The last number of the first pod's addresses; the node's own is 1.
const FIRST_POD: u8 = 10;

/// The node's share of the lab's addresses: `10.77.N.0/24` and `fd77:0:0:N::/64`.
const PREFIX_V4: u8 = 24;
const PREFIX_V6: u8 = 64;

/// A node; a handle that is cheap to clone, and useless once the lab is gone.
#[derive(Clone, Debug)]
pub struct NodeNs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    lab: String,
    name: String,
    number: u8,
    netns: Netns,
    cgroup: PathBuf,
    next_pod: AtomicU8,
}

impl NodeNs {
    pub(crate) fn make(
        lab: &str,
        name: &str,
        number: u8,
        cgroup: PathBuf,
    ) -> Result<Self, LabError> {
        cgroup::make(&cgroup.join("host"))?;
        let netns = Netns::create_named(&format!("culvert-{lab}-{name}"))?;
        sysctl(&netns, "ipv4/ip_forward", "1")?;
        sysctl(&netns, "ipv6/conf/all/forwarding", "1")?;
        without_dad(&netns)?;
        let inner = Inner {
            lab: lab.to_owned(),
            name: name.to_owned(),
            number,
            netns,
            cgroup,
            next_pod: AtomicU8::new(FIRST_POD),
        };
        let node = Self { inner: Arc::new(inner) };
        let mut netlink = node.netlink()?;
        netlink.link_up("lo")?;
        for (ip, alone) in node.own_ips() {
            netlink.add_addr("lo", ip, alone)?;
        }
        Ok(node)
    }

    /// Connects two nodes, and gives each the way to the other and to its pods.
    pub(crate) fn join(&self, other: &Self) -> Result<(), LabError> {
        let device_to = |node: &Self| format!("to-{}", node.name());
        let (here, there) = (device_to(other), device_to(self));
        let mut netlink = self.netlink()?;
        netlink.add_veth(&here, &there, other.netns())?;
        self.route_to(other, &mut netlink, &here)?;
        other.route_to(self, &mut other.netlink()?, &there)
    }

    fn route_to(&self, other: &Self, netlink: &mut Netlink, dev: &str) -> Result<(), LabError> {
        self.answer_on(netlink, dev)?;
        let networks = [
            (IpAddr::V4(address_v4(other.inner.number, 0)), PREFIX_V4),
            (IpAddr::V6(address_v6(other.inner.number, 0)), PREFIX_V6),
        ];
        for ((gateway, alone), (network, prefix)) in other.own_ips().into_iter().zip(networks) {
            netlink.add_route(gateway, alone, None, dev)?;
            netlink.add_route(network, prefix, Some(gateway), dev)?;
        }
        Ok(())
    }

    /// Brings a link up on which the node answers for its own addresses: IPv6 asks the link that
    /// heard the question, where IPv4 is content with any.
    fn answer_on(&self, netlink: &mut Netlink, dev: &str) -> Result<(), LabError> {
        netlink.link_up(dev)?;
        netlink.add_addr(dev, self.ip6().into(), 128)?;
        Ok(())
    }

    /// Adds a pod: a namespace with `eth0`, addresses of both families and a default route.
    ///
    /// # Errors
    ///
    /// When the name is none or taken, or the kernel refuses a namespace or link.
    pub fn pod(&self, name: &str) -> Result<PodNs, LabError> {
        check_name(name, 11)?;
        let number = self.inner.next_pod.fetch_add(1, Ordering::Relaxed);
        if number < FIRST_POD {
            return Err(LabError::Full);
        }
        let cgroup = self.cgroup().join(format!("pod-{name}"));
        cgroup::make(&cgroup)?;
        let netns_name = format!("culvert-{}-{}-{name}", self.inner.lab, self.name());
        let netns = Netns::create_named(&netns_name)?;
        without_dad(&netns)?;
        let (v4, v6) =
            (address_v4(self.inner.number, number), address_v6(self.inner.number, number));
        self.connect(&netns, &format!("pod-{name}"), [(v4.into(), 32), (v6.into(), 128)])?;
        Ok(PodNs {
            name: name.to_owned(),
            node: self.name().to_owned(),
            path: Netns::named_path(&netns_name)?,
            netns,
            cgroup,
            v4,
            v6,
        })
    }

    /// Joins a pod's namespace by a veth that carries its addresses and nobody else's.
    fn connect(&self, pod: &Netns, dev: &str, ips: [(IpAddr, u8); 2]) -> Result<(), LabError> {
        let mut here = self.netlink()?;
        here.add_veth(dev, "eth0", pod)?;
        self.answer_on(&mut here, dev)?;
        let mut there = Netlink::open_in(pod)?;
        there.link_up("lo")?;
        there.link_up("eth0")?;
        for ((ip, alone), (gateway, _)) in ips.into_iter().zip(self.own_ips()) {
            here.add_route(ip, alone, None, dev)?;
            there.add_addr("eth0", ip, alone)?;
            there.add_route(gateway, alone, None, "eth0")?;
            let everything: IpAddr = match ip {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            there.add_route(everything, 0, Some(gateway), "eth0")?;
        }
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the node's proxy is called on this machine.
    #[must_use]
    pub fn instance(&self) -> String {
        instance_name(&self.inner.lab, self.name())
    }

    pub fn netns(&self) -> &Netns {
        &self.inner.netns
    }

    /// The cgroup of the node's pods and processes: what its proxy takes for the root.
    pub fn cgroup(&self) -> &Path {
        &self.inner.cgroup
    }

    /// The cgroup of processes that run on the node itself, as kubelet does.
    #[must_use]
    pub fn host_cgroup(&self) -> PathBuf {
        self.cgroup().join("host")
    }

    #[must_use]
    pub fn ip4(&self) -> Ipv4Addr {
        address_v4(self.inner.number, 1)
    }

    #[must_use]
    pub fn ip6(&self) -> Ipv6Addr {
        address_v6(self.inner.number, 1)
    }

    /// Starts a process on the node itself.
    ///
    /// # Errors
    ///
    /// When there is no such program.
    pub fn spawn(&self, command: Command) -> Result<LabChild, LabError> {
        LabChild::start(command, self.netns(), &self.host_cgroup())
    }

    /// Runs `f` on this thread in the node's namespace (but in the caller's cgroup).
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T, LabError> {
        let enter = |source| LabError::Enter { name: self.name().to_owned(), source };
        self.netns().run(f).map_err(enter)
    }

    /// A netlink socket in the node's namespace.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered.
    pub fn netlink(&self) -> Result<Netlink, LabError> {
        Ok(Netlink::open_in(self.netns())?)
    }

    /// The node's addresses, each with the prefix that is it alone.
    fn own_ips(&self) -> [(IpAddr, u8); 2] {
        [(self.ip4().into(), 32), (self.ip6().into(), 128)]
    }
}

/// IPv6 addresses are usable at once: nobody else can have them.
fn without_dad(netns: &Netns) -> Result<(), LabError> {
    sysctl(netns, "ipv6/conf/all/accept_dad", "0")?;
    sysctl(netns, "ipv6/conf/default/accept_dad", "0")
}

/// Sets one of `/proc/sys/net`, which shows the namespace of whoever looks.
pub(crate) fn sysctl(netns: &Netns, name: &str, value: &str) -> Result<(), LabError> {
    let path = Path::new("/proc/sys/net").join(name);
    let written = netns.run(|| fs::write(&path, value)).and_then(|done| done);
    written.map_err(|source| LabError::File { what: "set", path, source })
}

const fn address_v4(node: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, node, host)
}

const fn address_v6(node: u8, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, node as u16, 0, 0, 0, host as u16)
}
