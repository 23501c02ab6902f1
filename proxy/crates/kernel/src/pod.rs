//! Enrolling one pod: prepare, accept, activate; later release, drain, finish.
//!
//! ```text
//! Node::prepare ──▶ Prepared ──activate──▶ Enrolled ──release──▶ … last connection … ──finish──▶
//! ```
//!
//! The caller accepts on the listeners before it activates, so no captured connection is refused.
//! Dropping an [`Enrolled`] changes nothing in the kernel: the pod stays captured for the next
//! process.
use crate::{
    netlink::NetlinkError,
    netns::NetnsError,
    node::NodeError,
    pod::{
        guard::Ready,
        hold::{Hold, Tentative},
        record::Names,
    },
    sockets::PodSockets,
};
use culvert_common::pod::PodStats;
use culvert_model::{
    addr::PodIps,
    name::WorkloadUid,
    pod::{Fail, LocalPod},
};
use std::{
    io,
    net::{IpAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

mod activate;
pub(crate) mod dns;
pub(crate) mod guard;
pub(crate) mod hold;
pub(crate) mod listeners;
pub(crate) mod orphan;
pub(crate) mod prepare;
pub(crate) mod record;
pub(crate) mod rival;
pub(crate) mod routing;
pub(crate) mod sysctl;
pub(crate) mod undo;

/// What the kernel must know of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSpec {
    pub uid: WorkloadUid,
    /// Where its network namespace is mounted.
    pub netns: PathBuf,
    pub ips: PodIps,
    pub fail: Fail,
    /// Ports that neither listeners nor deliveries may take.
    pub container_ports: Vec<u16>,
    /// The name servers it asks, whose DNS is captured. Those that are within the pod, or that it
    /// cannot reach, are not; of more than eight, the first. A change takes another
    /// [`Node::prepare`](crate::Node::prepare).
    pub resolvers: Vec<IpAddr>,
}

/// Why a pod cannot be enrolled now.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(transparent)]
    Netns(NetnsError),
    #[error("{} is the node's own network namespace", .0.display())]
    HostNetns(PathBuf),
    #[error("its network namespace is {other}'s already")]
    SameNetns { other: WorkloadUid },
    #[error(
        "a proxy of Istio listens at 15001 and 15006 in it, and has the pod: give its namespace to one of the two meshes, and make the pod anew"
    )]
    Rival,
    #[error("instance {instance} of culvert has enrolled it")]
    OtherInstance { instance: String },
    #[error("cannot enter its network namespace; CAP_SYS_ADMIN?")]
    Enter(#[source] io::Error),
    #[error("cannot listen for its {what} connections")]
    Listen {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot {what} /proc/sys/net/{name}; is it read-only?")]
    Sysctl {
        what: &'static str,
        name: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot change the routing in its network namespace")]
    Routing(#[source] NetlinkError),
    #[error(
        "strict, but the host's end of {ip}'s interface was not found; is it a veth of this node?"
    )]
    NoHostInterface { ip: IpAddr },
    #[error("cannot guard interface {interface}")]
    Guard {
        interface: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// The sockets a pod's connections arrive at: nonblocking, already listening.
#[derive(Debug)]
pub struct PodListeners {
    /// Connections the pod's application opens, of both families.
    pub outbound: TcpListener,
    /// Connections to the pod's application, one listener for each family; the accepted socket's
    /// local address is the original destination.
    pub inbound: Vec<TcpListener>,
    /// Tunnels to the pod: connections to its [`HBONE_PORT`](crate::HBONE_PORT), one listener for
    /// each family. The accepted socket's local address is the pod's with that port; any other is
    /// of somebody in the pod who connected to the listener itself.
    pub hbone: Vec<TcpListener>,
    /// Questions to the pod's name servers, one for each of them.
    pub dns: Vec<DnsListener>,
}

/// The proxy in the place of one of the pod's name servers, on the pod's own address.
///
/// Questions arrive while the heartbeat is fresh ([`Node::beat`](crate::Node::beat)); else they go
/// to the name server itself.
#[derive(Debug)]
pub struct DnsListener {
    pub resolver: IpAddr,
    /// Only the pod itself reaches it. The application sees answers come from the name server. The
    /// port stays the same for as long as the pod lives: generations share it.
    pub udp: UdpSocket,
    /// [`PodSockets::original_dst`] says who was meant; nobody: refuse it.
    pub tcp: TcpListener,
}

/// A pod of which nothing is captured yet that was not before.
///
/// Dropped without [`Self::activate`], a fresh one is undone.
#[derive(Debug)]
pub struct Prepared {
    /// For the caller to take and to accept from.
    pub listeners: Option<PodListeners>,
    tentative: Tentative,
    spec: PodSpec,
    sockets: PodSockets,
    /// Ports of the listeners, which deliveries must not take.
    listening: Vec<u16>,
    /// The inbound listeners again, for their slots of the map.
    steered: Vec<(u32, OwnedFd)>,
    served: Served,
    inbound: OwnedFd,
    guard: Option<Ready>,
}

/// Where the proxy takes what a pod sends.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    out_port: u16,
    names: Vec<Names>,
}

/// A captured pod.
#[derive(Debug)]
pub struct Enrolled {
    hold: Hold,
    sockets: PodSockets,
    spec: PodSpec,
    served: Served,
    /// Ports of the listeners, which deliveries must not take.
    listening: Vec<u16>,
}

impl Prepared {
    pub fn pod_id(&self) -> u32 {
        self.tentative.pod_id
    }

    /// For the connections accepted before, while and after it is activated.
    pub fn socks(&self) -> PodSockets {
        self.sockets.clone()
    }
}

impl Enrolled {
    pub fn pod_id(&self) -> u32 {
        self.hold.pod_id
    }

    pub fn socks(&self) -> PodSockets {
        self.sockets.clone()
    }

    /// Whether the pod ended: its namespace is mounted no more, or another one is in its place.
    pub fn is_gone(&self) -> bool {
        self.hold.is_gone()
    }

    /// Whether it is this namespace, and the one that is mounted there now, that is captured.
    pub fn is_in(&self, netns: &Path) -> bool {
        self.hold.path == netns && !self.is_gone()
    }

    /// What the kernel did for the pod; zeros once it is finished.
    pub fn stats(&self) -> PodStats {
        self.hold.shared.maps.stats.get(&self.hold.pod_id).ok().flatten().unwrap_or_default()
    }

    /// Lets new connections go direct; what serves the open ones stays.
    ///
    /// Does nothing if the pod is another generation's or was enrolled again since.
    ///
    /// # Errors
    ///
    /// When a map cannot be written or a link not be removed; trying again is safe.
    pub fn release(&mut self) -> Result<(), EnrolError> {
        match self.hold.record() {
            Some(record) => undo::release(&self.hold.shared, &record),
            None => Ok(()),
        }
    }

    /// Takes everything out of the kernel and the pod that [`Node::prepare`](crate::Node::prepare)
    /// and [`Prepared::activate`] put there; after the last connection ended.
    ///
    /// Does nothing if the pod is another generation's or was enrolled again since.
    ///
    /// # Errors
    ///
    /// When something could not be undone; its record stays for the next attempt
    /// ([`Node::orphans`](crate::Node::orphans)) or `culvert uninstall`.
    pub fn finish(self) -> Result<(), EnrolError> {
        self.hold.undo()
    }
}

impl From<&LocalPod> for PodSpec {
    fn from(pod: &LocalPod) -> Self {
        Self {
            uid: pod.workload.uid.clone(),
            netns: pod.netns.clone(),
            ips: pod.workload.ips,
            fail: pod.fail,
            container_ports: pod.container_ports.clone(),
            resolvers: pod.resolvers.clone(),
        }
    }
}
