//! Which name servers a pod asks, where neither its manifest nor a setting says it.
use culvert_model::pod::{LocalPod, LocalPods};
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the machine's are.
const FILE: &str = "/etc/resolv.conf";

/// Where ip-netns(8) has those of a network namespace.
const OF_NAMESPACES: &str = "/etc/netns";

/// The pods with the name servers that they ask: their own, else those that are `set`, else those
/// of their namespace's file, else the machine's.
pub(super) fn settle(mut pods: LocalPods, set: &[IpAddr]) -> LocalPods {
    for pod in pods.pods.values_mut().filter(|pod| pod.resolvers.is_empty()) {
        let found = if set.is_empty() { of_files(pod) } else { set.to_vec() };
        if !found.is_empty() {
            Arc::make_mut(pod).resolvers = found;
        }
    }
    pods
}

fn of_files(pod: &LocalPod) -> Vec<IpAddr> {
    let own = pod.netns.file_name().map(|name| Path::new(OF_NAMESPACES).join(name));
    let own = own.map(|folder| folder.join("resolv.conf"));
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let text = own.and_then(read).or_else(|| read(FILE.into()));
    text.as_deref().map(parse).unwrap_or_default()
}

/// The `nameserver` lines of resolv.conf(5).
fn parse(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    servers.filter_map(|server| server.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_name_servers_and_nothing_else() {
        let text = "# nameserver 1.1.1.1\nsearch a b\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n nameserver\tfd00::1\n";
        let expect: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(parse(text), expect);
    }
}
