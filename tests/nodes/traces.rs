//! What a node has of whatever a proxy could have put there.
use crate::town::{NODES, Town};
use std::collections::BTreeSet;

/// Of a network namespace: rules, routes, settings, who listens, programs at links. A link's own
/// address (`fe80::`) has its route only once nobody else was found to have it, a second or two later.
const OF_NAMESPACE: &str = r#"
ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all | grep -v fe80:
sysctl -a 2>/dev/null | grep '^net\.' | grep -v conntrack_count
ss -Hltun | awk '{print "listens", $1, $5}'
tc qdisc show | grep -E 'clsact|ingress'
"#;

/// Of the node: pins, run folder, cgroups, CNI, mounts.
const OF_NODE: &str = r#"
find /sys/fs/bpf -mindepth 1
ls -d /run/culvert/* 2>/dev/null
find /sys/fs/cgroup -name 'culvert*'
find /etc/cni /opt/cni -type f -exec sha256sum {} +
grep culvert /proc/self/mountinfo | grep -v kubelet
"#;

/// One line for each trace, of both nodes and the pods that run there.
pub(crate) fn of(town: &Town) -> BTreeSet<String> {
    let script = format!(
        "of_namespace() {{ {OF_NAMESPACE}\n}}\n{{ {OF_NODE}\nof_namespace; }} | sed 's/^/node /'\n\
         for netns in /run/netns/*; do nsenter --net=$netns sh -c {} | sed \"s,^,$netns ,\"; done",
        quoted(OF_NAMESPACE)
    );
    let nodes = NODES.map(|node| (node, town.cluster.on(node, &["sh", "-c", &script])));
    let lines = nodes
        .iter()
        .flat_map(|(node, said)| said.lines().map(move |line| format!("{node} {line}")));
    lines.collect()
}

fn quoted(script: &str) -> String {
    format!("'{}'", script.replace('\'', r"'\''"))
}
