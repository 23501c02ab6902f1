//! Listeners at work: who gets the connections that come to an address.
//!
//! Sockets belong to the engine and outlive configurations; here is what a connection meets: filters
//! that look at it, the choice of a filter chain, and what is written down when it is over.
//!
//! Reading order: `hello` and `proxied` (first bytes read; pure), `ahead` (first bytes looked
//! at), `filters`; `Active` (a listener of a moment), `arrival` (a connection's way to its
//! chain), `counts`; `socket`, `original`.
pub mod hello;
pub mod proxied;

pub(crate) mod ahead;
mod arrival;
mod counts;
mod filters;
mod original;
pub(crate) mod socket;

pub(crate) use arrival::{Arrival, Others};

use crate::{
    chain::Chain,
    log::Logs,
    network::Making,
    shared::Shared,
    stats::{Scope, Tag, tag},
};
use counts::Counts;
use culvert_model::http::{
    listener::{ChainMatch, FilterChain, Listener},
    matcher::RuntimeNumber,
    snapshot::Snapshot,
    tls::DownstreamTransport,
    value::Metadata,
};
use culvert_policy::http::{chain, facts::Connection as Facts};
use filters::Filters;
use std::{fmt, sync::Arc};

/// A listener of a moment; another one when its configuration changes.
pub(crate) struct Active {
    pub(crate) config: Arc<Listener>,
    filters: Filters,
    /// In the order of the configuration.
    chains: Vec<Arc<Chain>>,
    default: Option<Arc<Chain>>,
    /// The only chain, which takes everything.
    only: Option<Arc<Chain>>,
    /// Stands for the chain of connections that have none.
    nowhere: Arc<FilterChain>,
    logs: Logs,
    counts: Counts,
    stats: Scope,
    shared: Arc<Shared>,
    /// How many connections it may have.
    limit: RuntimeNumber<u64>,
}

impl Active {
    /// What a configuration comes to; chains that are the same as `before` are the same.
    ///
    /// # Errors
    ///
    /// When it asks for what there is not: a sentence for people.
    pub(crate) fn try_new(
        config: &Arc<Listener>,
        before: Option<&Self>,
        making: &Making<'_>,
    ) -> Result<Self, String> {
        let shared = making.shared;
        let stats = scope(config, shared);
        let old: Vec<_> = before.into_iter().flat_map(Self::all).collect();
        let chain = |wanted: &Arc<FilterChain>| {
            let same =
                |old: &&&Arc<Chain>| Arc::ptr_eq(&old.config, wanted) || *old.config == **wanted;
            match old.iter().find(same) {
                Some(same) => Ok(Arc::clone(same)),
                None => Ok::<_, String>(Arc::new(Chain::try_new(wanted, &stats, making)?)),
            }
        };
        let chains = config.chains.iter().map(chain).collect::<Result<Vec<_>, _>>()?;
        let default = config.default_chain.as_ref().map(chain).transpose()?;
        let only = match &chains[..] {
            [only] if only.config.matches == ChainMatch::default() => Some(Arc::clone(only)),
            _ => None,
        };
        Ok(Self {
            filters: Filters::try_new(config, &shared.stats)?,
            logs: Logs::new(&config.access_logs, &shared.sinks),
            counts: Counts::new(&stats),
            nowhere: Arc::new(nowhere()),
            config: Arc::clone(config),
            shared: Arc::clone(shared),
            chains,
            limit: RuntimeNumber {
                default: u64::MAX,
                key: Some(
                    format!("envoy.resource_limits.listener.{}.connection_limit", config.name)
                        .into(),
                ),
            },
            default,
            only,
            stats,
        })
    }

    /// Every chain.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Chain>> {
        self.chains.iter().chain(&self.default)
    }

    /// Whether a chain is one of these.
    pub(crate) fn has(&self, chain: &Arc<Chain>) -> bool {
        self.all().any(|one| Arc::ptr_eq(one, chain))
    }

    /// Takes up secrets that have changed.
    pub(crate) fn follow(&self, snapshot: &Snapshot) {
        self.all().for_each(|chain| chain.follow(snapshot));
    }

    /// What is wrong with its chains.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.all().find_map(|chain| {
            let trouble = chain.trouble()?;
            Some(format!("filter chain {:?}: {trouble}", chain.config.name))
        })
    }

    /// The chain of a connection.
    fn chain(&self, facts: &Facts) -> Option<&Arc<Chain>> {
        if let Some(only) = &self.only {
            return Some(only);
        }
        let found = chain::find(&self.config.chains, facts);
        let place = found.and_then(|found| {
            self.config.chains.iter().position(|chain| Arc::ptr_eq(chain, found))
        });
        place.and_then(|place| self.chains.get(place)).or(self.default.as_ref())
    }
}

/// What is counted per listener.
fn scope(config: &Listener, shared: &Shared) -> Scope {
    let address = config.addresses.first().map(|at| at.address.to_string());
    let name = config.stat_prefix.as_deref().map(str::to_owned).or(address).unwrap_or_default();
    shared.stats.scope("listener", Tag::new(tag::LISTENER, &name))
}

fn nowhere() -> FilterChain {
    FilterChain {
        name: "".into(),
        matches: ChainMatch::default(),
        transport: DownstreamTransport::Plain,
        transport_timeout: None,
        filters: Arc::default(),
        metadata: Metadata::default(),
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active").field("name", &self.config.name).finish_non_exhaustive()
    }
}
