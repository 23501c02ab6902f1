//! Opening the way to an endpoint, as often as may be tried.
use super::{CLUSTER, TcpProxy, tunnel};
use crate::{
    connection::Connection,
    forward::Chosen as _,
    io::Io,
    link::{Learns, Link},
    network::record::Record,
    upstream::{Ask, Chosen, Connected, Downstream, Ends, NoConnection, Upstream, chosen::Held},
};
use culvert_model::http::{
    listener::{TcpClusters, Tunnel},
    value::Fields,
};
use culvert_policy::http::{
    flags::{Flag, Flags},
    hash,
};
use culvert_runtime::dice::dice;
use std::{future::pending, sync::Arc};

/// A way to an endpoint.
pub(super) struct Opened {
    pub(super) io: Io,
    pub(super) held: Kept,
    pub(super) link: Option<Arc<Link>>,
}

/// What keeps the endpoint busy.
pub(super) enum Kept {
    Socket(Held),
    Tunnel { _chosen: Chosen },
}

/// Which cluster a connection goes to.
struct Target<'a> {
    name: &'a str,
    subset: Option<&'a Fields>,
}

enum Tried {
    Opened(Opened),
    Again,
    Nothing,
}

impl Kept {
    /// Comes when the connection is to be closed because its endpoint has failed; else never.
    pub(super) async fn cut(&self) {
        match self {
            Self::Socket(held) => held.cut().await,
            Self::Tunnel { .. } => pending().await,
        }
    }
}

impl TcpProxy {
    /// A connection to an endpoint; none, after all that may be tried, for the reason that is
    /// recorded.
    pub(super) async fn connect(
        &self,
        connection: &Connection,
        record: &mut Record,
    ) -> Option<Opened> {
        let target = self.target(connection);
        let Some(upstream) = self.shared.upstreams.find(target.name) else {
            self.counts.no_route.inc();
            record.flags.set(Flag::NoClusterFound);
            record.closed = Some("tcp_initializion_failure:3".into());
            return None;
        };
        record.upstream.cluster = Some(Arc::clone(upstream.config()));
        let ask = self.ask(connection, &target);
        for _ in 0..self.config.max_connect_attempts.get() {
            let tried = match &self.config.tunnel {
                None => attempt(&upstream, &ask, record).await,
                Some(config) => self.tunnel(config, (&upstream, &ask), connection, record).await,
            };
            match tried {
                Tried::Opened(opened) => {
                    record.upstream.failure = None;
                    record.flags = Flags::default();
                    return Some(opened);
                }
                Tried::Again => record.flags.set(Flag::UpstreamConnectionFailure),
                Tried::Nothing => return None,
            }
        }
        upstream.traffic().connects_exceeded.inc();
        record.flags.set(Flag::UpstreamRetryLimitExceeded);
        record.closed = Some("tcp_initializion_failure:0".into());
        None
    }

    fn ask<'a>(&self, connection: &'a Connection, target: &Target<'a>) -> Ask<'a> {
        let facts = &connection.facts;
        let client = facts.remote.filter(|_| self.config.hash_source_ip);
        let ends = facts.source.zip(facts.local);
        Ask {
            hash: client.map(|client| hash::of_address(client.ip())),
            subset: target.subset,
            downstream: Downstream {
                host: Some(&*facts.server_name).filter(|name| !name.is_empty()),
                ends: ends.map(|(source, destination)| Ends { source, destination }),
                destination: facts.restored(),
                party: facts.party.as_ref(),
                ..Downstream::default()
            },
            ..Ask::default()
        }
    }

    fn target<'a>(&'a self, connection: &'a Connection) -> Target<'a> {
        let subset = self.subset.as_deref();
        if let Some(name) = connection.state.0.get(CLUSTER) {
            return Target { name, subset };
        }
        match &self.config.clusters {
            TcpClusters::One(name) => Target { name, subset },
            TcpClusters::Weighted(all) => {
                let sum: u64 = all.iter().map(|one| u64::from(one.weight)).sum();
                let mut left = dice() % sum.max(1);
                let found = all.iter().position(|one| {
                    let hit = left < u64::from(one.weight);
                    left = left.saturating_sub(one.weight.into());
                    hit
                });
                let found = found.unwrap_or_default();
                let subset = self.subsets.get(found).and_then(Option::as_deref);
                Target { name: all.get(found).map_or("", |one| &one.name), subset }
            }
        }
    }

    /// Bytes inside of a request.
    async fn tunnel(
        &self,
        config: &Tunnel,
        (upstream, ask): (&Arc<Upstream>, &Ask<'_>),
        connection: &Connection,
        record: &mut Record,
    ) -> Tried {
        let Ok(mut chosen) = upstream.choose(ask) else { return nobody(record) };
        let learns = Arc::<Learns>::default();
        chosen.tell(Arc::clone(&learns));
        record.upstream.attempt(&chosen.facts());
        let Some(head) = tunnel::head(config, connection, &self.shared) else {
            record.upstream.failure = Some("the tunnel's hostname is no authority".to_owned());
            return Tried::Again;
        };
        match Box::pin(tunnel::open(&chosen, head)).await {
            Ok(io) => Tried::Opened(Opened {
                io,
                held: Kept::Tunnel { _chosen: chosen },
                link: learns.link().cloned(),
            }),
            Err(tunnel::NoTunnel::Reset(reset, why)) => {
                chosen.failed(Some(reset));
                record.upstream.failure = Some(why);
                Tried::Again
            }
            Err(tunnel::NoTunnel::Refused(why)) => {
                record.upstream.failure = Some(why);
                Tried::Again
            }
        }
    }
}

async fn attempt(upstream: &Arc<Upstream>, ask: &Ask<'_>, record: &mut Record) -> Tried {
    let Ok(raw) = upstream.choose_raw(ask) else { return nobody(record) };
    let before = record.upstream.attempts;
    record.upstream.attempt(&raw.facts());
    match raw.connect().await {
        Ok(Connected { io, held, link }) => {
            let link = Some(Arc::new(link));
            Tried::Opened(Opened { io, held: Kept::Socket(held), link })
        }
        Err(NoConnection::Overflow) => {
            // Nothing was tried.
            record.upstream.attempts = before;
            record.upstream.endpoint = None;
            record.upstream.tried.pop();
            record.flags.set(Flag::UpstreamOverflow);
            record.closed = Some("tcp_initializion_failure:2".into());
            Tried::Nothing
        }
        Err(why @ (NoConnection::Timeout | NoConnection::Dial(_))) => {
            record.upstream.failure = Some(why.to_string());
            Tried::Again
        }
    }
}

fn nobody(record: &mut Record) -> Tried {
    record.flags.set(Flag::NoHealthyUpstream);
    record.closed = Some("tcp_initializion_failure:1".into());
    Tried::Nothing
}
