//! Where the namespaces of pods are that nobody handed over: those that run already.
//!
//! A namespace that the runtime mounted under a name is preferred: it has that name for as long as
//! the pod lives, and no process need be looked at. Else it is found by the oldest process of the
//! pod, which is its sandbox. Either way it is taken only when it holds an address of the pod, and
//! never when it is the node's own.
use crate::cgroup;
use culvert_kernel::netns::Netns;
use nix::ifaddrs::getifaddrs;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Where runtimes mount the namespaces of their sandboxes.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// A pod that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Of its API object, or what a static pod has in its place.
    pub uid: String,
    pub ips: Vec<IpAddr>,
}

/// Where to look.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Folders of named namespaces.
    pub named: Vec<PathBuf>,
    /// The processes of the node: `/proc`, or where the host's is mounted.
    pub proc: PathBuf,
    /// The inode of the node's own namespace.
    pub host: u64,
}

/// A process that may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// When it began, in ticks since the machine did.
    pub began: u64,
    pub uid: String,
    /// The inode of its network namespace.
    pub netns: u64,
}

impl Scene {
    /// The node that this process runs on, with its processes at `proc`.
    ///
    /// # Errors
    ///
    /// When the own namespace cannot be seen.
    pub fn here(proc: &Path) -> io::Result<Self> {
        let host = Netns::current().map_err(io::Error::other)?.inode();
        Ok(Self { named: NAMED.map(PathBuf::from).into(), proc: proc.to_owned(), host })
    }

    /// Finds the namespaces of `sought`, by uid; who is not found is left out.
    ///
    /// Enters namespaces: call it where a thread may block.
    #[must_use]
    pub fn find(&self, sought: &[Sought]) -> BTreeMap<String, PathBuf> {
        let mut found = self.find_named(sought);
        let left: Vec<_> = sought.iter().filter(|pod| !found.contains_key(&pod.uid)).collect();
        if left.is_empty() {
            return found;
        }
        let uids: BTreeSet<&str> = left.iter().map(|pod| pod.uid.as_str()).collect();
        let processes = self.processes(&uids);
        for pod in left {
            let candidates = candidates(&processes, &pod.uid, self.host);
            let paths = candidates.into_iter().map(|pid| self.proc.join(format!("{pid}/ns/net")));
            let holds = |path: &PathBuf| {
                let addresses = Netns::open(path).ok().and_then(|netns| addresses(&netns).ok());
                addresses.is_some_and(|all| pod.ips.iter().any(|ip| all.contains(ip)))
            };
            if let Some(path) = paths.into_iter().find(holds) {
                found.insert(pod.uid.clone(), path);
            }
        }
        found
    }

    fn find_named(&self, sought: &[Sought]) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        let mut seen = BTreeSet::from([self.host]);
        let folders = self.named.iter().filter_map(|folder| fs::read_dir(folder).ok());
        for entry in folders.flatten().flatten() {
            let path = entry.path();
            let Ok(netns) = Netns::open(&path) else { continue };
            // Two names of one namespace: the first is as good.
            if !seen.insert(netns.inode()) {
                continue;
            }
            let Ok(all) = addresses(&netns) else { continue };
            for pod in sought.iter().filter(|pod| pod.ips.iter().any(|ip| all.contains(ip))) {
                found.entry(pod.uid.clone()).or_insert_with(|| path.clone());
            }
        }
        found
    }

    /// The processes of these pods.
    fn processes(&self, uids: &BTreeSet<&str>) -> Vec<Process> {
        let entries = fs::read_dir(&self.proc).into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // One that ended meanwhile is none.
        pids.filter_map(|pid| self.process(pid, uids)).collect()
    }

    fn process(&self, pid: u32, uids: &BTreeSet<&str>) -> Option<Process> {
        let folder = self.proc.join(pid.to_string());
        let uid = cgroup::pod_uid(&fs::read_to_string(folder.join("cgroup")).ok()?)?;
        if !uids.contains(uid.as_str()) {
            return None;
        }
        let began = began(&fs::read_to_string(folder.join("stat")).ok()?)?;
        let netns = fs::metadata(folder.join("ns/net")).ok()?.ino();
        Some(Process { pid, began, uid, netns })
    }
}

/// When a process began, from its `stat`: the field after nineteen that follow its name, which may
/// have blanks and brackets of its own.
#[must_use]
pub fn began(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The processes of a pod that may be in its namespace, the oldest first, one for each namespace;
/// none that is in the node's.
#[must_use]
pub fn candidates(processes: &[Process], uid: &str, host: u64) -> Vec<u32> {
    let mut own: Vec<_> = processes.iter().filter(|p| p.uid == uid && p.netns != host).collect();
    own.sort_by_key(|process| (process.began, process.pid));
    let mut seen = BTreeSet::new();
    own.into_iter().filter(|p| seen.insert(p.netns)).map(|process| process.pid).collect()
}

/// The addresses of a namespace.
fn addresses(netns: &Netns) -> io::Result<BTreeSet<IpAddr>> {
    let listed = netns.run(getifaddrs)??;
    let ips = listed.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip())))
    });
    Ok(ips.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn process(pid: u32, began: u64, uid: &str, netns: u64) -> Process {
        Process { pid, began, uid: uid.to_owned(), netns }
    }

    #[test]
    fn the_oldest_process_wins_and_the_nodes_namespace_never() {
        let all = [
            process(1, 1, "a", 100),
            process(30, 9, "a", 7),
            process(20, 5, "a", 7),
            process(25, 5, "a", 8),
            process(5, 2, "b", 9),
        ];
        assert_eq!(candidates(&all, "a", 100), [20, 25]);
        assert_eq!(candidates(&all, "b", 100), [5]);
        assert_eq!(candidates(&all, "c", 100), Vec::<u32>::new());
    }

    #[test]
    fn a_name_with_brackets_hides_no_beginning() {
        let stat = "7 (x) S 1 (y)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(began(stat), Some(4242));
        assert_eq!(began("7 (x"), None);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert!(began(&own).is_some());
    }

    proptest! {
        #[test]
        fn any_stat_is_read_without_a_panic(text in any::<String>()) {
            prop_assert!(began(&text).is_none() || text.contains(')'));
        }
    }
}
