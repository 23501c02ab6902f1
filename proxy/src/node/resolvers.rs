//! Which name servers a pod asks, for DNS to be answered in their stead.
use culvert_model::pod::{LocalPod, LocalPods};
use std::{fs, net::IpAddr, sync::Arc};
use tracing::warn;

/// Where the machine's are.
const FILE: &str = "/etc/resolv.conf";

/// What pods ask that do not say it.
#[derive(Clone, Debug)]
pub(super) enum Resolvers {
    /// DNS is left alone.
    Off,
    Default(Vec<IpAddr>),
}

impl Resolvers {
    /// Those that are set, else the machine's.
    pub(super) fn of(set: &[IpAddr]) -> Self {
        if !set.is_empty() {
            return Self::Default(set.to_vec());
        }
        match fs::read_to_string(FILE) {
            Ok(text) => Self::Default(parse(&text)),
            Err(error) => {
                warn!(FILE, %error, "pods that do not say their name servers ask them past the mesh");
                Self::Default(Vec::new())
            }
        }
    }

    /// The pods with the name servers that count.
    pub(super) fn settle(&self, pods: LocalPods) -> LocalPods {
        let settle = |pod: Arc<LocalPod>| match self {
            Self::Off if pod.resolvers.is_empty() => pod,
            Self::Off => with(&pod, Vec::new()),
            Self::Default(resolvers) if pod.resolvers.is_empty() && !resolvers.is_empty() => {
                with(&pod, resolvers.clone())
            }
            Self::Default(_) => pod,
        };
        LocalPods { pods: pods.pods.into_iter().map(|(uid, pod)| (uid, settle(pod))).collect() }
    }
}

fn with(pod: &LocalPod, resolvers: Vec<IpAddr>) -> Arc<LocalPod> {
    Arc::new(LocalPod { resolvers, ..pod.clone() })
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
