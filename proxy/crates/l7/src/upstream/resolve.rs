//! Endpoints by name: each address that a name has is one.
use super::cluster::Upstream;
use culvert_model::http::{
    address::Address,
    cluster::{Discovery, Dns, DnsFamily},
    endpoint::{Assignment, Endpoint, LocalityEndpoints},
};
use culvert_runtime::dice::dice;
use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net, time};

/// What names came to last, so that one that cannot be resolved keeps its endpoints.
type Known = HashMap<(Arc<str>, u16), Vec<SocketAddr>>;

/// Resolves names again and again while the cluster is there.
pub(super) fn start(upstream: &Arc<Upstream>) {
    let Discovery::StrictDns { assignment, dns } = &upstream.config().discovery else { return };
    let (assignment, dns) = (Arc::clone(assignment), *dns);
    let (me, worker) = (Arc::downgrade(upstream), upstream.deps.worker.clone());
    upstream.deps.worker.spawn(async move {
        let mut known = Known::new();
        let mut failures = 0;
        loop {
            let failed = ask(&assignment, dns.family, &mut known).await;
            let Some(upstream) = me.upgrade() else { return };
            // Before the first answer, what there was of an earlier configuration stays.
            if !known.is_empty() {
                let now = Arc::new(resolved(&assignment, &known));
                if *upstream.places().assignment != *now {
                    upstream.set_endpoints(&now);
                }
            }
            drop(upstream);
            failures = if failed { failures + 1 } else { 0 };
            tokio::select! {
                () = time::sleep(pause(&dns, failures)) => {}
                () = worker.finishing() => return,
            }
        }
    });
}

/// The addresses of a name, those that are preferred first.
pub(super) async fn lookup(
    host: &str,
    port: u16,
    family: DnsFamily,
) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = net::lookup_host((host, port)).await?.collect();
    Ok(of_family(&found, family))
}

/// Whether a name could not be resolved.
async fn ask(assignment: &Assignment, family: DnsFamily, known: &mut Known) -> bool {
    let mut failed = false;
    for endpoint in assignment.endpoints() {
        let Address::Name { host, port } = &endpoint.address else { continue };
        match lookup(host, *port, family).await {
            Ok(mut found) => {
                found.sort_unstable();
                found.dedup();
                known.insert((Arc::clone(host), *port), found);
            }
            Err(error) => {
                tracing::warn!(%host, %error, "name cannot be resolved");
                failed = true;
            }
        }
    }
    failed
}

fn of_family(found: &[SocketAddr], family: DnsFamily) -> Vec<SocketAddr> {
    let (four, six): (Vec<SocketAddr>, Vec<_>) = found.iter().copied().partition(|at| at.is_ipv4());
    match family {
        DnsFamily::V4Only => four,
        DnsFamily::V6Only => six,
        DnsFamily::Auto => {
            if six.is_empty() {
                four
            } else {
                six
            }
        }
        DnsFamily::V4Preferred => {
            if four.is_empty() {
                six
            } else {
                four
            }
        }
        DnsFamily::All => [four, six].concat(),
    }
}

/// The assignment with addresses in place of names.
fn resolved(assignment: &Assignment, known: &Known) -> Assignment {
    let endpoints = |endpoint: &Arc<Endpoint>| match &endpoint.address {
        Address::Name { host, port } => {
            let found = known.get(&(Arc::clone(host), *port)).map_or(&[][..], Vec::as_slice);
            let unnamed = endpoint.hostname.is_empty();
            let hostname = Arc::clone(if unnamed { host } else { &endpoint.hostname });
            let at = |address: &SocketAddr| {
                let (address, hostname) = (Address::Socket(*address), Arc::clone(&hostname));
                Arc::new(Endpoint { address, hostname, ..Endpoint::clone(endpoint) })
            };
            found.iter().map(at).collect()
        }
        Address::Socket(_) | Address::Pipe(_) => vec![Arc::clone(endpoint)],
    };
    let localities = assignment.localities.iter().map(|locality| LocalityEndpoints {
        endpoints: locality.endpoints.iter().flat_map(endpoints).collect(),
        ..locality.clone()
    });
    Assignment { localities: localities.collect(), ..assignment.clone() }
}

/// How long is waited before names are asked again.
fn pause(dns: &Dns, failures: u32) -> Duration {
    let most = u64::try_from(dns.jitter.as_millis()).unwrap_or(u64::MAX);
    let jitter = Duration::from_millis(dice() % most.saturating_add(1));
    match dns.failure_refresh {
        Some((first, longest)) if failures > 0 => {
            first.saturating_mul(1 << (failures - 1).min(16)).min(longest)
        }
        _ => dns.refresh + jitter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_as_envoy_has_them() {
        let both: [SocketAddr; 2] = ["192.0.2.1:1".parse().unwrap(), "[::1]:1".parse().unwrap()];
        let of = |family| of_family(&both, family);
        assert_eq!(of(DnsFamily::Auto), [both[1]]);
        assert_eq!(of(DnsFamily::V4Preferred), [both[0]]);
        assert_eq!(of(DnsFamily::All), both);
        assert_eq!(of_family(&both[..1], DnsFamily::Auto), [both[0]]);
        assert!(of_family(&both[..1], DnsFamily::V6Only).is_empty());
    }
}
