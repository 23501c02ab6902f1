//! The pods this node must hold.
use crate::{name::WorkloadUid, workload::Workload};
use ipnet::IpNet;
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

/// Every enrolled pod of this node, by uid; whole, so that what is absent is to be let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalPods {
    pub pods: BTreeMap<WorkloadUid, Arc<LocalPod>>,
}

/// An enrolled pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPod {
    pub workload: Arc<Workload>,
    /// Where its network namespace is mounted.
    pub netns: PathBuf,
    pub fail: Fail,
    /// Ports the application listens on as far as its manifest says, which deliveries must not
    /// occupy as source ports.
    pub container_ports: Vec<u16>,
    /// The name servers of its `resolv.conf`, whose DNS is captured; empty: none is.
    pub resolvers: Vec<IpAddr>,
}

/// What happens to a pod's new connections while no proxy is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fail {
    /// They are refused.
    #[default]
    Closed,
    /// They go direct, in plain text (`culvert.dev/fail: open`).
    Open,
}

/// Destinations that are not captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    pub network: IpNet,
    /// Empty: every port.
    pub ports: Vec<u16>,
}
