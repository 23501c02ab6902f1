//! By what kubelet's probes are known: by its cgroup, where it has one.
//!
//! A probe reaches a pod past the mesh, also where only mutual TLS would do, so the fewer processes
//! count as kubelet, the better: without its cgroup it is every process of the node's own network
//! namespace, pods with `hostNetwork` among them.
use crate::{
    config::{Config, settings},
    failure::{Exit, Failure},
};
use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
};
use tracing::info;

/// What the services are called that kubelet runs in: by itself, or as a part of a distribution's
/// one program.
const SERVICES: [&str; 10] = [
    "kubelet.service",
    "kubelet",
    "k3s.service",
    "k3s-agent.service",
    "rke2-server.service",
    "rke2-agent.service",
    "k0scontroller.service",
    "k0sworker.service",
    "snap.kubelet.daemon.service",
    "snap.microk8s.daemon-kubelite.service",
];

/// How far below the root a service may be: `/runtime.slice/kubelet.service`, and two to spare.
const DEPTH: usize = 4;

/// The cgroup of kubelet: what the settings say, else what is found where pods come from an API
/// server; `None`: it is not told from others of the node.
///
/// # Errors
///
/// When the one that the settings name is none: kubelet's probes would be captured without a word.
pub(super) fn of(config: &Config, root: &Path) -> Result<Option<PathBuf>, Failure> {
    let setting = settings::PROBER_CGROUP.name;
    if let Some(path) = &config.capture.prober_cgroup {
        return match path.join("cgroup.controllers").exists() {
            true => Ok(Some(path.clone())),
            false => Err(Failure::new(
                Exit::Cannot,
                format_args!(
                    "{setting} {} is not a folder of a cgroup2 file system",
                    path.display()
                ),
                format!("name kubelet's cgroup with the setting {}", settings::PROBER_CGROUP),
            )),
        };
    }
    if config.mesh.cluster.is_none() {
        return Ok(None);
    }
    let found = find(root);
    let (only, more) = (found.first(), found.get(1));
    match (only, more) {
        (Some(cgroup), None) => {
            info!(cgroup = %cgroup.display(), "probes are those of this cgroup, kubelet's: they reach pods past the mesh");
            Ok(Some(cgroup.clone()))
        }
        (first, _) => {
            let because = match first {
                Some(_) => "there are several services like it",
                None => "there is no service like it",
            };
            info!(
                root = %root.display(),
                because,
                "kubelet's cgroup is not known: whatever runs in the node's own network namespace reaches pods of this node past the mesh, as probes have to; {setting} narrows it"
            );
            Ok(None)
        }
    }
}

/// The cgroups below `root` that are called as kubelet's and have a process.
fn find(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = VecDeque::from([(root.to_owned(), 0)]);
    while let Some((folder, depth)) = folders.pop_front() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if depth > 0 && SERVICES.contains(&&*name) && has_process(&folder) {
            found.push(folder.clone());
        }
        // Pods may be called anything.
        if depth == DEPTH || name.starts_with("kubepods") {
            continue;
        }
        let below = fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| (entry.path(), depth + 1)));
    }
    found
}

/// From another PID namespace the numbers are zeros, one for each process.
fn has_process(cgroup: &Path) -> bool {
    fs::read_to_string(cgroup.join("cgroup.procs")).is_ok_and(|procs| !procs.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(root: &Path, path: &str, procs: &str) -> PathBuf {
        let folder = root.join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cgroup.procs"), procs).unwrap();
        folder
    }

    #[test]
    fn kubelet_is_found_by_its_service_and_not_among_pods() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        cgroup(root, "system.slice/sshd.service", "7\n");
        cgroup(root, "system.slice/k3s.service", "");
        cgroup(root, "kubepods.slice/pod1/kubelet.service", "8\n");
        assert_eq!(find(root), Vec::<PathBuf>::new());
        let kubelet = cgroup(root, "runtime.slice/kubelet.service", "0\n0\n");
        assert_eq!(find(root), std::slice::from_ref(&kubelet));
        let other = cgroup(root, "system.slice/kubelet.service", "9\n");
        let mut both = find(root);
        both.sort();
        assert_eq!(both, [kubelet, other]);
    }
}
