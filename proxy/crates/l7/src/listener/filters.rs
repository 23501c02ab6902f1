//! What looks at a connection before it has a filter chain.
mod destination;
mod http;
mod proxy;
mod rate;
mod tls;

use super::ahead::Ahead;
use crate::{connection::Connection, shared::Shared, stats::Stats};
use culvert_model::http::listener::{
    FilterChain, Listener, ListenerFilter, ListenerFilterKind, ListenerMatch,
};
use std::{io, sync::Arc};

/// A listener's, in their order.
#[derive(Debug)]
pub(crate) struct Filters(Box<[(Filter, Option<ListenerMatch>)]>);

#[derive(Debug)]
enum Filter {
    Tls(tls::Inspector),
    Http(http::Inspector),
    Proxy(proxy::Proxied),
    Destination,
    Rate(rate::Rate),
}

/// Why a connection goes no further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    /// Before it said enough.
    #[error("the client has left")]
    Left,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("{0}")]
    Refused(&'static str),
}

impl Filters {
    /// # Errors
    ///
    /// When one asks for what there is not: a sentence for people.
    pub(crate) fn try_new(listener: &Listener, stats: &Stats) -> Result<Self, String> {
        let all = listener
            .filters
            .iter()
            .map(|filter| Ok((Filter::try_new(filter, stats)?, filter.disabled.clone())));
        let mut all = all.collect::<Result<Vec<_>, String>>()?;
        let inspects = |filter: &ListenerFilter| filter.kind == ListenerFilterKind::TlsInspector;
        if listener.chains.iter().any(|chain| asks_for_tls(chain))
            && !listener.filters.iter().any(inspects)
        {
            // As Envoy adds it: such chains would never be found.
            all.push((Filter::Tls(tls::Inspector::new(stats)), None));
        }
        Ok(Self(all.into()))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Has each look at the connection; what they learn is written into it.
    ///
    /// # Errors
    ///
    /// When it goes no further.
    pub(crate) async fn look(
        &self,
        connection: &mut Connection,
        ahead: &mut Ahead,
        shared: &Shared,
    ) -> Result<(), Stopped> {
        for (filter, disabled) in &self.0 {
            if disabled.as_ref().is_some_and(|disabled| holds(disabled, connection)) {
                continue;
            }
            match filter {
                Filter::Tls(inspector) => inspector.look(connection, ahead).await?,
                Filter::Http(inspector) => inspector.look(connection, ahead).await?,
                Filter::Proxy(proxied) => proxied.look(connection, ahead).await?,
                Filter::Destination => destination::look(connection, ahead.io()),
                Filter::Rate(rate) => rate.look(shared)?,
            }
        }
        Ok(())
    }
}

impl Filter {
    fn try_new(filter: &ListenerFilter, stats: &Stats) -> Result<Self, String> {
        Ok(match &filter.kind {
            ListenerFilterKind::TlsInspector => Self::Tls(tls::Inspector::new(stats)),
            ListenerFilterKind::HttpInspector => Self::Http(http::Inspector::new(stats)),
            ListenerFilterKind::ProxyProtocol(config) => {
                Self::Proxy(proxy::Proxied::new(config, stats))
            }
            ListenerFilterKind::OriginalDst => Self::Destination,
            ListenerFilterKind::OriginalSrc { .. } => {
                let name: &Arc<str> = &filter.name;
                return Err(format!(
                    "listener filter {name}: connections upstream do not come from the client's address; take original_src out, and tell it by the PROXY protocol or x-forwarded-for"
                ));
            }
            ListenerFilterKind::LocalRateLimit { stat_prefix, bucket, enabled } => {
                Self::Rate(rate::Rate::new(stat_prefix, bucket, enabled, stats))
            }
        })
    }
}

/// Whether a chain is found by what a client says in TLS.
fn asks_for_tls(chain: &FilterChain) -> bool {
    let wanted = &chain.matches;
    match wanted.transport_protocol.as_deref() {
        Some("tls") => true,
        Some("") | None => {
            !(wanted.server_names.is_empty() && wanted.application_protocols.is_empty())
        }
        Some(_) => false,
    }
}

fn holds(wanted: &ListenerMatch, connection: &Connection) -> bool {
    match wanted {
        ListenerMatch::Any => true,
        ListenerMatch::DestinationPort(ports) => {
            let local = connection.facts.local;
            local.is_some_and(|local| ports.contains(&u32::from(local.port())))
        }
        ListenerMatch::Or(any) => any.iter().any(|one| holds(one, connection)),
        ListenerMatch::And(all) => all.iter().all(|one| holds(one, connection)),
        ListenerMatch::Not(one) => !holds(one, connection),
    }
}

/// Waits for more of what the client says.
async fn more(ahead: &mut Ahead) -> Result<(), Stopped> {
    if ahead.more().await? { Ok(()) } else { Err(Stopped::Left) }
}
