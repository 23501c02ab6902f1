//! Which endpoint of a cluster a request goes to.
use super::{
    chosen::{Chosen, Raw},
    cluster::Upstream,
    greeting::Ends,
    host::{Host, Place},
    pools::Key,
};
use crate::forward::NoHost;
use culvert_model::{
    http::{address::Address, cluster::Discovery, value::Fields},
    party::Party,
};
use std::{net::SocketAddr, sync::Arc};

/// How deep clusters of clusters may be.
const DEPTH: u32 = 8;

/// What a choice goes by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    pub hash: Option<u64>,
    /// The route's priority.
    pub high: bool,
    /// What the route's metadata has below `envoy.lb`.
    pub subset: Option<&'a Fields>,
    /// Others are looked for, so often.
    pub avoid: &'a [Arc<Host>],
    pub attempts: u32,
    pub downstream: Downstream<'a>,
    /// No other endpoint will do.
    pub only: Option<&'a Address>,
}

/// What of the connection and request downstream the one upstream goes by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Downstream<'a> {
    /// It came by HTTP/2.
    pub two: bool,
    /// The request's host, or what the header of the cluster's `sni_header` says.
    pub host: Option<&'a str>,
    /// For PROXY headers.
    pub ends: Option<Ends>,
    /// Where it was bound, for `ORIGINAL_DST`.
    pub destination: Option<SocketAddr>,
    /// As whom a node opens the connection.
    pub party: Option<&'a Arc<Party>>,
}

impl Upstream {
    /// Whether an endpoint is fit for requests.
    pub fn has_fit(&self) -> bool {
        match &self.config().discovery {
            Discovery::OriginalDst(_) => true,
            Discovery::Aggregate(names) => {
                let Some(others) = self.others().upgrade() else { return false };
                names.iter().filter_map(|name| others.find(name)).any(|one| {
                    // Of clusters within clusters, only what they have themselves.
                    one.moment().has_fit
                })
            }
            Discovery::Static(_)
            | Discovery::Eds { .. }
            | Discovery::StrictDns { .. }
            | Discovery::LogicalDns { .. } => self.moment().has_fit,
        }
    }

    /// An endpoint for a request, and the pool of its connections.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn choose(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Chosen, NoHost> {
        let (upstream, place) = self.pick(ask, 0).ok_or_else(|| self.nobody())?;
        let key = upstream.key(&place, ask, false);
        Ok(Chosen::new(upstream, place, key))
    }

    /// An endpoint for a connection of no HTTP.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn choose_raw(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Raw, NoHost> {
        let (upstream, place) = self.pick(ask, 0).ok_or_else(|| self.nobody())?;
        let key = upstream.key(&place, ask, true);
        Ok(Raw::new(upstream, place, key))
    }

    fn nobody(&self) -> NoHost {
        self.traffic().none_healthy.inc();
        NoHost
    }

    /// The endpoint, and the cluster that has it.
    fn pick(self: &Arc<Self>, ask: &Ask<'_>, depth: u32) -> Option<(Arc<Self>, Arc<Place>)> {
        let place = match &self.config().discovery {
            Discovery::Aggregate(names) => return self.pick_of(names, ask, depth),
            Discovery::OriginalDst(config) => {
                let mut to = ask.downstream.destination?;
                to.set_port(config.port.unwrap_or(to.port()));
                self.passed().place(to, self.config().cleanup_interval)
            }
            Discovery::Static(_)
            | Discovery::Eds { .. }
            | Discovery::StrictDns { .. }
            | Discovery::LogicalDns { .. } => {
                let places = self.moment();
                if places.in_panic {
                    self.traffic().panic.inc();
                }
                match ask.only {
                    Some(address) => Arc::clone(places.find(address)?),
                    None => Arc::clone(places.choose(ask, self.deps.now())?),
                }
            }
        };
        Some((Arc::clone(self), place))
    }

    /// Of the first cluster with a fit endpoint, else of the first that gives any.
    fn pick_of(
        &self,
        names: &[Arc<str>],
        ask: &Ask<'_>,
        depth: u32,
    ) -> Option<(Arc<Self>, Arc<Place>)> {
        if DEPTH <= depth {
            return None;
        }
        let others = self.others().upgrade()?;
        let all: Vec<_> = names.iter().filter_map(|name| others.find(name)).collect();
        let mut fit = all.iter().filter(|one| one.has_fit());
        let found = fit.find_map(|one| one.pick(ask, depth + 1));
        found.or_else(|| all.iter().find_map(|one| one.pick(ask, depth + 1)))
    }

    fn key(&self, place: &Place, ask: &Ask<'_>, raw: bool) -> Key {
        use culvert_model::http::cluster::UpstreamVersion;

        let http = &self.config().http;
        let Downstream { two, host, ends, party, .. } = ask.downstream;
        let by_host = !raw && http.auto_sni && place.pools.is_secure();
        let sni = host.filter(|_| by_host).map(without_port);
        Key {
            high: ask.high,
            two: two && http.version == UpstreamVersion::AsDownstream,
            sni: sni.filter(|sni| !sni.is_empty()).map(Arc::from),
            ends: ends.filter(|_| place.pools.greets()),
            party: party.map(Arc::clone),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
