//! A pod of a lab: a namespace with an address, and a cgroup for its processes.
use crate::{child::LabChild, error::LabError, manifest::PodManifest, node::sysctl};
use culvert_kernel::netns::Netns;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process::Command,
};

/// A pod; a handle that is cheap to clone, and useless once the lab is gone.
#[derive(Clone, Debug)]
pub struct PodNs {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) path: PathBuf,
    pub(crate) netns: Netns,
    pub(crate) cgroup: PathBuf,
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl PodNs {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node it is on.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Where its namespace is mounted, as its manifest says.
    pub fn netns_path(&self) -> &Path {
        &self.path
    }

    pub const fn netns(&self) -> &Netns {
        &self.netns
    }

    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    #[must_use]
    pub const fn ip4(&self) -> Ipv4Addr {
        self.v4
    }

    #[must_use]
    pub const fn ip6(&self) -> Ipv6Addr {
        self.v6
    }

    /// Both addresses, IPv4 first.
    #[must_use]
    pub const fn ips(&self) -> [IpAddr; 2] {
        [IpAddr::V4(self.v4), IpAddr::V6(self.v6)]
    }

    /// Starts a process in the pod.
    ///
    /// # Errors
    ///
    /// When there is no such program.
    pub fn spawn(&self, command: Command) -> Result<LabChild, LabError> {
        LabChild::start(command, &self.netns, &self.cgroup)
    }

    /// Runs `f` on this thread in the pod's namespace, but in the caller's cgroup: sockets made so
    /// are not captured on a node whose capture is attached below it.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T, LabError> {
        let enter = |source| LabError::Enter { name: self.name.clone(), source };
        self.netns.run(f).map_err(enter)
    }

    /// Sets one of `/proc/sys/net` in the pod, as in `ipv4/tcp_syncookies`.
    ///
    /// # Errors
    ///
    /// When there is no such setting or it refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<(), LabError> {
        sysctl(&self.netns, name, value)
    }

    /// The pod as its node's proxy is told of it.
    #[must_use]
    pub fn manifest(&self, namespace: &str, account: &str) -> PodManifest {
        PodManifest::new(self, namespace, account)
    }
}
