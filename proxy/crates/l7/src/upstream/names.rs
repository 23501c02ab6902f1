//! Addresses of names, asked of the system's resolvers or of some that are said.
use culvert_model::http::cluster::DnsFamily;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::op::ResponseCode,
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::OnceLock,
    time::Duration,
};

/// Who is asked.
#[derive(Default)]
pub struct Names {
    /// None: as the system has it.
    servers: Vec<SocketAddr>,
    /// By family; made when first needed.
    resolvers: [OnceLock<Result<TokioResolver, NoAnswer>>; 5],
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// None: there is no such name, or it has no address.
    pub(super) addresses: Vec<IpAddr>,
    /// How long that holds.
    pub(super) ttl: Duration,
}

/// Nobody could say what a name stands for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAnswer(String);

impl Names {
    /// Asks `servers` and nobody else.
    pub fn of(servers: Vec<SocketAddr>) -> Self {
        Self { servers, ..Self::default() }
    }

    /// What a name stands for now; what was asked before is not remembered.
    pub(super) async fn lookup(&self, host: &str, family: DnsFamily) -> Result<Answer, NoAnswer> {
        let (at, strategy) = match family {
            DnsFamily::Auto => (0, LookupIpStrategy::Ipv6thenIpv4),
            DnsFamily::V4Only => (1, LookupIpStrategy::Ipv4Only),
            DnsFamily::V6Only => (2, LookupIpStrategy::Ipv6Only),
            DnsFamily::V4Preferred => (3, LookupIpStrategy::Ipv4thenIpv6),
            DnsFamily::All => (4, LookupIpStrategy::Ipv4AndIpv6),
        };
        let resolver = match self.resolvers.get(at) {
            Some(kept) => kept.get_or_init(|| self.resolver(strategy)).clone()?,
            None => self.resolver(strategy)?,
        };
        match resolver.lookup_ip(host).await {
            Ok(found) => {
                let records = found.as_lookup().answers();
                let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
                let ttl = Duration::from_secs(ttl.into());
                Ok(Answer { addresses: found.iter().collect(), ttl })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(nothing)))
                if matches!(
                    nothing.response_code,
                    ResponseCode::NoError | ResponseCode::NXDomain
                ) =>
            {
                Ok(Answer { addresses: Vec::new(), ttl: Duration::ZERO })
            }
            Err(error) => Err(NoAnswer(error.to_string())),
        }
    }

    fn resolver(&self, strategy: LookupIpStrategy) -> Result<TokioResolver, NoAnswer> {
        let of = |servers: &[SocketAddr]| {
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let local = [SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)];
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio().unwrap_or_else(|error| {
                tracing::warn!(%error, "no resolvers of the system; 127.0.0.1 is asked for names");
                of(&local)
            })
        } else {
            of(&self.servers)
        };
        let options = builder.options_mut();
        options.ip_strategy = strategy;
        options.cache_size = 0;
        // Many clusters ask at once.
        options.max_active_requests = 1024;
        builder.build().map_err(|error| NoAnswer(error.to_string()))
    }
}

fn server(at: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(at.ip());
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = at.port();
        connection
    };
    server.connections = server.connections.into_iter().map(with_port).collect();
    server
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("servers", &self.servers).finish_non_exhaustive()
    }
}
