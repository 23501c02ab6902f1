//! One lab: its name, its nodes, and its end.
use crate::{
    cgroup,
    error::LabError,
    name::{check_name, instance_name},
    node::NodeNs,
};
use culvert_kernel::{instance::Instance, netns::Netns};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Where the instances of a lab keep their pins and run folders.
const INSTANCE_DIRS: [&str; 2] = ["/sys/fs/bpf/culvert", "/run/culvert"];

/// Some nodes on this machine; gone when dropped, with all that runs in them.
#[derive(Debug)]
pub struct Lab {
    name: String,
    /// The folder of all its cgroups; the lock on it says that the lab lives.
    cgroup: PathBuf,
    nodes: Vec<NodeNs>,
    lock: Option<Flock<File>>,
}

impl Lab {
    /// Begins an empty lab, after removing what a lab of this name left behind.
    ///
    /// # Errors
    ///
    /// When the name is none, another process holds a lab of that name, or the machine lacks
    /// cgroup v2, IPv6 or privileges.
    pub fn new(name: &str) -> Result<Self, LabError> {
        check_name(name, 16)?;
        if !Path::new("/proc/sys/net/ipv6").exists() {
            return Err(LabError::NoIpv6);
        }
        let instance = Instance::new("lab", None)?;
        let cgroup = instance.cgroup_root().join(format!("culvert-lab-{name}"));
        cgroup::make(&cgroup)?;
        let lock = match Flock::lock(cgroup::open(&cgroup)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Err(LabError::Busy { name: name.to_owned() }),
            Err((_, e)) => {
                return Err(LabError::File { what: "lock", path: cgroup, source: e.into() });
            }
        };
        let mut lab = Self { name: name.to_owned(), cgroup, nodes: Vec::new(), lock: Some(lock) };
        lab.clear()?;
        Ok(lab)
    }

    /// Adds a node, joined to every node before it.
    ///
    /// # Errors
    ///
    /// When the name is none or taken, or the kernel refuses a namespace or link.
    pub fn node(&mut self, name: &str) -> Result<NodeNs, LabError> {
        check_name(name, 12)?;
        if self.nodes.iter().any(|node| node.name() == name) {
            return Err(LabError::Exists { name: name.to_owned() });
        }
        let number = u8::try_from(self.nodes.len() + 1).ok().ok_or(LabError::Full)?;
        let node = NodeNs::make(&self.name, name, number, self.cgroup.join(name))?;
        for other in &self.nodes {
            node.join(other)?;
        }
        self.nodes.push(node.clone());
        Ok(node)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn nodes(&self) -> &[NodeNs] {
        &self.nodes
    }

    /// Ends every process of the lab and removes all of it; dropping does the same without saying
    /// what went wrong.
    ///
    /// # Errors
    ///
    /// When something cannot be removed; all that can be is removed all the same.
    pub fn remove(mut self) -> Result<(), LabError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), LabError> {
        if self.lock.is_none() {
            return Ok(());
        }
        self.nodes.clear();
        let cleared = self.clear();
        self.lock = None;
        cleared.and(cgroup::remove(&self.cgroup))
    }

    /// Removes whatever bears the lab's name; what fails does not hold up the rest.
    fn clear(&mut self) -> Result<(), LabError> {
        [
            cgroup::end_processes(&self.cgroup),
            self.clear_namespaces(),
            self.clear_instances(),
            cgroup::remove_below(&self.cgroup),
        ]
        .into_iter()
        .collect()
    }

    fn clear_namespaces(&self) -> Result<(), LabError> {
        let prefix = format!("culvert-{}-", self.name);
        let list = Netns::names().map_err(|source| LabError::File {
            what: "list",
            path: "/run/netns".into(),
            source,
        })?;
        let ours = list.iter().filter(|name| name.starts_with(&prefix));
        ours.map(|name| Ok(Netns::delete_named(name)?)).fold(Ok(()), Result::and)
    }

    /// Pins and run folders of the nodes' proxies: an unlinked pin takes its program along.
    fn clear_instances(&self) -> Result<(), LabError> {
        let prefix = instance_name(&self.name, "");
        let mut done = Ok(());
        for entry in INSTANCE_DIRS.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten() {
            let Ok(entry) = entry else { continue };
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
                done = done.and(fs::remove_dir_all(entry.path()).map_err(|source| {
                    LabError::File { what: "remove", path: entry.path(), source }
                }));
            }
        }
        done
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, lab = self.name, "something of the lab stays behind");
        }
    }
}
