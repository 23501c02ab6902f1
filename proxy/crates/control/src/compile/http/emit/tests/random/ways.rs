//! Ways to talk to services, at random.
use super::{at, clients, labels, number, port, text, time};
use crate::compile::http::plan::{
    Fraction,
    traffic::{
        Balancer, Credential, HashKey, HashTable, Keepalive, LocalityPolicy, Name, Originate,
        Outlier, Pool, ProxyProtocol, RetryBudget, Subset, Tls, Traffic, TrafficPolicy, Trust,
        Tunnel, Version, Warmup,
    },
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};

fn balancer() -> impl Strategy<Value = Balancer> {
    let warmup =
        (time(), of(number()), of(number())).prop_map(|(duration, minimum_percent, aggression)| {
            Warmup { duration, minimum_percent, aggression }
        });
    let key = prop_oneof![
        text().prop_map(HashKey::Header),
        (text(), of(text()), of(time()), vec((text(), text()), 0..2)).prop_map(
            |(name, path, ttl, attributes)| HashKey::Cookie { name, path, ttl, attributes }
        ),
        Just(HashKey::SourceIp),
        text().prop_map(HashKey::Query),
    ];
    let sizes = || of(select(&[0, 1, 7, 1024, 65_537, u64::MAX][..]));
    let table = prop_oneof![
        sizes().prop_map(|minimum| HashTable::Ring { minimum }),
        sizes().prop_map(|size| HashTable::Maglev { size }),
    ];
    prop_oneof![
        of(warmup.clone()).prop_map(Balancer::RoundRobin),
        of(warmup).prop_map(Balancer::LeastRequest),
        Just(Balancer::Random),
        Just(Balancer::Passthrough),
        (vec(key, 0..3), table).prop_map(|(keys, table)| Balancer::Hash { keys, table }),
    ]
}

fn pool() -> impl Strategy<Value = Pool> {
    let times = (of(time()), of(time()), of(time()), of(time()));
    let numbers =
        (of(number()), of(number()), of(number()), of(number()), of(number()), of(number()));
    let keepalive = (of(number()), of(time()), of(time()));
    let pings = of((time(), time()));
    let version =
        select(&[Version::AsDeclared, Version::Http1, Version::Http2, Version::AsClient][..]);
    let all = (times, numbers, of(keepalive), pings, version);
    all.prop_map(|(times, numbers, keepalive, pings, version)| Pool {
        connect_timeout: times.0,
        max_connection_duration: times.1,
        tcp_idle: times.2,
        http_idle: times.3,
        max_connections: numbers.0,
        max_pending: numbers.1,
        max_requests: numbers.2,
        max_requests_per_connection: numbers.3,
        max_retries: numbers.4,
        max_streams: numbers.5,
        keepalive: keepalive.map(|(probes, time, interval)| Keepalive { probes, time, interval }),
        pings,
        version,
    })
}

fn outlier() -> impl Strategy<Value = Outlier> {
    let numbers = (of(number()), of(number()), of(number()), of(number()), of(number()));
    (numbers, any::<bool>(), of(time()), of(time())).prop_map(|(n, split_local, interval, base)| {
        Outlier {
            consecutive_5xx: n.0,
            consecutive_gateway: n.1,
            consecutive_local: n.2,
            max_percent: n.3,
            min_health_percent: n.4,
            split_local,
            interval,
            base_ejection: base,
        }
    })
}

pub(super) fn credential() -> impl Strategy<Value = Credential> + Clone {
    (text(), text(), 0..4).prop_map(|(one, other, kind)| match kind {
        0 => Credential::Secret { namespace: one, name: other },
        1 => Credential::ConfigMap { namespace: one, name: other },
        2 => Credential::Own,
        _ => Credential::Files { certificate: one, key: Some(other) },
    })
}

pub(super) fn trust() -> impl Strategy<Value = Trust> + Clone {
    prop_oneof![Just(Trust::System), credential().prop_map(Trust::Only)]
}

pub(super) fn names() -> impl Strategy<Value = Vec<Name>> + Clone {
    let name = (text(), 0..3).prop_map(|(name, kind)| match kind {
        0 => Name::Dns(name),
        1 => Name::Uri(name),
        _ => Name::Any(name),
    });
    vec(name, 0..2)
}

fn tls() -> impl Strategy<Value = Tls> {
    let originate = (trust(), of(text()), of(credential()), of(text()), names(), any::<bool>());
    let originate = originate.prop_map(|(trust, revoked, client, sni, names, insecure)| {
        Tls::Originate(Box::new(Originate { trust, revoked, client, sni, names, insecure }))
    });
    prop_oneof![Just(Tls::Mesh), Just(Tls::Off), originate]
}

fn locality() -> impl Strategy<Value = LocalityPolicy> {
    let places = proptest::collection::btree_map(text(), number(), 0..3);
    prop_oneof![
        Just(LocalityPolicy::Automatic),
        Just(LocalityPolicy::Off),
        vec((text(), text()), 0..2).prop_map(LocalityPolicy::Failover),
        vec(text(), 0..3).prop_map(LocalityPolicy::Labels),
        vec((text(), places), 0..2).prop_map(LocalityPolicy::Distribute),
    ]
}

fn traffic_policy() -> impl Strategy<Value = TrafficPolicy> + Clone {
    let proxy = of(select(&[ProxyProtocol::V1, ProxyProtocol::V2][..]));
    let share = (0..2_000_000_u32).prop_map(Fraction::of_a_million);
    let budget = (of(share), of(number()));
    let budget = of(budget.prop_map(|(share, least)| RetryBudget { share, least }));
    let tunnel = of((text(), port(), any::<bool>()));
    let tunnel = tunnel.prop_map(|one| {
        one.map(|(host, port, is_post)| Tunnel { to: format!("{host}:{port}").into(), is_post })
    });
    let all = (of(balancer()), pool(), of(outlier()), tls(), locality(), budget, proxy, tunnel);
    all.prop_map(
        |(balancer, pool, outlier, tls, locality, retry_budget, proxy_protocol, tunnel)| {
            TrafficPolicy {
                balancer,
                pool,
                outlier,
                tls,
                locality,
                retry_budget,
                proxy_protocol,
                tunnel,
            }
        },
    )
    .boxed()
}

pub(super) fn traffic() -> impl Strategy<Value = Traffic> {
    let ports = || proptest::collection::btree_map(port(), traffic_policy(), 0..2);
    let subset = (labels(), traffic_policy(), ports()).prop_map(|(labels, policy, ports)| Subset {
        labels,
        policy,
        ports,
    });
    let subsets = proptest::collection::btree_map(text(), subset, 0..3);
    (at(), clients(), traffic_policy(), ports(), subsets).prop_map(
        |(at, clients, policy, ports, subsets)| Traffic { at, clients, policy, ports, subsets },
    )
}
