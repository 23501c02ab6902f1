//! What holds for connections, of a `DestinationRule`.
use super::tls;
use crate::{
    compile::http::plan::{
        Fraction,
        traffic::{
            Balancer, HashKey, HashTable, Keepalive, LocalityPolicy, Outlier, Pool, ProxyProtocol,
            RetryBudget, Tls, TrafficPolicy, Tunnel, Version, Warmup,
        },
    },
    object::{
        istio::destination_rule::{
            balancer::{self, LoadBalancer, Simple},
            outlier::OutlierDetection,
            policy::{self, ProxyVersion, TunnelProtocol},
            pool::{ConnectionPool, UpgradePolicy},
            tls::ClientTls,
        },
        meta::Meta,
        spanned::Spanned,
    },
    problem::Problem,
};
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

/// What is written at one level, each part whole; a part that is not there is taken over.
#[derive(Clone, Copy, Default)]
pub(super) struct Level<'a> {
    balancer: Option<&'a Spanned<LoadBalancer>>,
    pool: Option<&'a Spanned<ConnectionPool>>,
    outlier: Option<&'a Spanned<OutlierDetection>>,
    tls: Option<&'a Spanned<ClientTls>>,
    proxy: Option<policy::ProxyProtocol>,
    budget: Option<policy::RetryBudget>,
    tunnel: Option<&'a Spanned<policy::Tunnel>>,
}

impl<'a> Level<'a> {
    pub(super) fn of(policy: &'a policy::TrafficPolicy) -> Self {
        Self {
            balancer: policy.load_balancer.as_ref(),
            pool: policy.connection_pool.as_ref(),
            outlier: policy.outlier_detection.as_ref(),
            tls: policy.tls.as_ref(),
            proxy: policy.proxy_protocol,
            budget: policy.retry_budget,
            tunnel: policy.tunnel.as_ref(),
        }
    }

    /// A port's parts are in the place of all of its service's; only the first line of a
    /// connection is not of a port.
    fn of_port(port: &'a policy::PortPolicy, service: Self) -> Self {
        Self {
            balancer: port.load_balancer.as_ref(),
            pool: port.connection_pool.as_ref(),
            outlier: port.outlier_detection.as_ref(),
            tls: port.tls.as_ref(),
            proxy: service.proxy,
            budget: None,
            tunnel: service.tunnel,
        }
    }

    /// What a subset says, over what its service says.
    pub(super) fn over(self, service: Self) -> Self {
        Self {
            balancer: self.balancer.or(service.balancer),
            pool: self.pool.or(service.pool),
            outlier: self.outlier.or(service.outlier),
            tls: self.tls.or(service.tls),
            proxy: self.proxy.or(service.proxy),
            budget: self.budget.or(service.budget),
            tunnel: self.tunnel.or(service.tunnel),
        }
    }

    /// In the words of the plan.
    pub(super) fn read(self, meta: &Meta, notes: &mut Vec<Problem>) -> TrafficPolicy {
        self.tell(meta, notes);
        TrafficPolicy {
            balancer: self.balancer.and_then(|one| balancer(&one.value)),
            pool: self.pool.map(|pool| self::pool(&pool.value)).unwrap_or_default(),
            outlier: self.outlier.map(|one| outlier(&one.value)),
            tls: self.tls.map_or(Tls::Mesh, |one| tls::client(one, meta, notes)),
            locality: self.balancer.map(|one| locality(&one.value)).unwrap_or_default(),
            retry_budget: self.budget.map(|budget| RetryBudget {
                share: budget.percent.map(|share| Fraction::of_a_million(share.millionths())),
                least: budget.min_retry_concurrency,
            }),
            proxy_protocol: self.proxy.map(|proxy| match proxy.version {
                ProxyVersion::V1 => ProxyProtocol::V1,
                ProxyVersion::V2 => ProxyProtocol::V2,
            }),
            tunnel: self.tunnel.map(|tunnel| self::tunnel(&tunnel.value)),
        }
    }

    /// Says what of it is not done.
    fn tell(self, meta: &Meta, notes: &mut Vec<Problem>) {
        if let Some(aware) = self.balancer.and_then(|one| one.value.zone_aware_lb_setting.as_ref())
            && aware.value.enabled != Some(false)
        {
            let told = "zoneAwareLbSetting is not done: zones are preferred as without it";
            notes.push(meta.at(aware.at).warning(told).with_fix("write localityLbSetting"));
        }
        if let Some(outlier) = self.outlier
            && !outlier.value.outlier_detection_http_error_codes.is_empty()
        {
            let told = "outlierDetectionHttpErrorCodes is not done: what begins with 5 is an error";
            notes.push(meta.at(outlier.at).warning(told));
        }
    }
}

/// The levels of a policy's ports.
pub(super) fn ports(policy: &policy::TrafficPolicy) -> BTreeMap<NonZeroU16, Level<'_>> {
    let service = Level::of(policy);
    let all = policy.port_level_settings.iter().map(|port| &port.value);
    all.map(|port| (port.port().value, Level::of_port(port, service))).collect()
}

fn balancer(said: &LoadBalancer) -> Option<Balancer> {
    let own = said.warmup.as_ref().map(|warmup| Warmup {
        duration: warmup.value.duration.0,
        minimum_percent: warmup.value.minimum_percent.map(|share| share.millionths() / 10_000),
        aggression: warmup.value.aggression.map(|aggression| thousandths(aggression.0)),
    });
    let old = said.warmup_duration_secs.as_ref();
    let warmup = own.or_else(|| {
        let duration = old?.value.0;
        Some(Warmup { duration, minimum_percent: None, aggression: None })
    });
    if let Some(Spanned { value: hash, .. }) = &said.consistent_hash {
        let key = match &hash.key {
            balancer::HashKey::Header(name) => HashKey::Header(name.as_str().into()),
            balancer::HashKey::Cookie(cookie) => HashKey::Cookie {
                name: cookie.name.as_str().into(),
                path: cookie.path.as_deref().map(Arc::from),
                ttl: cookie.ttl.map(|ttl| ttl.0),
                attributes: (cookie.attributes.iter())
                    .map(|one| (one.name.as_str().into(), one.value.as_str().into()))
                    .collect(),
            },
            balancer::HashKey::SourceIp => HashKey::SourceIp,
            balancer::HashKey::Query(name) => HashKey::Query(name.as_str().into()),
        };
        let table = match hash.table {
            balancer::HashTable::Ring { minimum } => HashTable::Ring { minimum },
            balancer::HashTable::Maglev { size } => HashTable::Maglev { size },
        };
        return Some(Balancer::Hash { keys: vec![key], table });
    }
    match said.simple.as_ref().map(|simple| simple.value) {
        Some(Simple::Random) => Some(Balancer::Random),
        Some(Simple::RoundRobin) => Some(Balancer::RoundRobin(warmup)),
        Some(Simple::Passthrough) => Some(Balancer::Passthrough),
        Some(Simple::LeastConn | Simple::LeastRequest) => Some(Balancer::LeastRequest(warmup)),
        Some(Simple::Unspecified) | None => {
            warmup.map(|warmup| Balancer::LeastRequest(Some(warmup)))
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not below zero, and what is too large is the largest"
)]
fn thousandths(number: f64) -> u32 {
    (number * 1_000.0).round() as u32
}

fn locality(said: &LoadBalancer) -> LocalityPolicy {
    let Some(Spanned { value: said, .. }) = &said.locality_lb_setting else {
        return LocalityPolicy::Automatic;
    };
    if said.enabled == Some(false) {
        LocalityPolicy::Off
    } else if !said.distribute.is_empty() {
        let one = |one: &Spanned<balancer::Distribute>| {
            let to = one.value.to.iter().map(|(place, weight)| (place.as_str().into(), *weight));
            (one.value.from.as_str().into(), to.collect())
        };
        LocalityPolicy::Distribute(said.distribute.iter().map(one).collect())
    } else if !said.failover_priority.is_empty() {
        LocalityPolicy::Labels(
            said.failover_priority.iter().map(|one| one.as_str().into()).collect(),
        )
    } else if said.failover.is_empty() {
        LocalityPolicy::Automatic
    } else {
        let one = |one: &Spanned<balancer::Failover>| {
            (one.value.from.as_str().into(), one.value.to.as_str().into())
        };
        LocalityPolicy::Failover(said.failover.iter().map(one).collect())
    }
}

fn pool(said: &ConnectionPool) -> Pool {
    let (tcp, http) = (said.tcp.unwrap_or_default(), said.http.unwrap_or_default());
    // 0 is how Go says that nothing was said.
    let some = |number: Option<u32>| number.filter(|number| *number > 0);
    Pool {
        connect_timeout: tcp.connect_timeout.map(|time| time.0),
        max_connections: some(tcp.max_connections),
        max_connection_duration: tcp.max_connection_duration.map(|time| time.0),
        tcp_idle: tcp.idle_timeout.map(|time| time.0),
        keepalive: tcp.tcp_keepalive.map(|keepalive| Keepalive {
            probes: some(keepalive.probes),
            time: keepalive.time.map(|time| time.0),
            interval: keepalive.interval.map(|time| time.0),
        }),
        max_pending: some(http.http1_max_pending_requests),
        max_requests: some(http.http2_max_requests),
        max_requests_per_connection: some(http.max_requests_per_connection),
        max_retries: some(http.max_retries),
        http_idle: http.idle_timeout.map(|time| time.0),
        max_streams: some(http.max_concurrent_streams),
        pings: http.http2_keepalive.and_then(|pings| {
            let interval = pings.interval?.0;
            Some((interval, pings.timeout.map_or(interval, |timeout| timeout.0)))
        }),
        version: match (http.use_client_protocol, http.h2_upgrade_policy) {
            (true, _) => Version::AsClient,
            (false, UpgradePolicy::Upgrade) => Version::Http2,
            (false, UpgradePolicy::DoNotUpgrade) => Version::Http1,
            (false, UpgradePolicy::Default) => Version::AsDeclared,
        },
    }
}

fn outlier(said: &OutlierDetection) -> Outlier {
    let local = said.consecutive_local_origin_failures;
    Outlier {
        consecutive_5xx: said.consecutive_5xx,
        consecutive_gateway: said.consecutive_gateway_errors.or(said.consecutive_errors),
        consecutive_local: local.filter(|_| said.split_external_local_origin_errors),
        split_local: said.split_external_local_origin_errors,
        interval: said.interval.map(|time| time.0),
        base_ejection: said.base_ejection_time.map(|time| time.0),
        max_percent: said.max_ejection_percent.map(|percent| percent.0).filter(|one| *one > 0),
        min_health_percent: said.min_health_percent.map(|percent| percent.0),
    }
}

fn tunnel(tunnel: &policy::Tunnel) -> Tunnel {
    let (host, port) = (tunnel.target_host.as_str(), tunnel.target_port.0);
    let to = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    Tunnel { to: to.into(), is_post: tunnel.protocol == TunnelProtocol::Post }
}
