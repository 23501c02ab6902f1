//! What a resource needs that comes by itself.
use super::kind::Kind;
use culvert_model::http::{
    cluster::{Cluster, Discovery},
    filter::{Filter, FilterConfig},
    listener::{FilterChain, Listener, NetworkFilterKind},
    manager::{Manager, Routes},
    secret::{SecretRef, SecretSource},
    source::{ConfigSource, From},
    tls::{
        CertificateSource, CommonTls, DownstreamTransport, Revoked, Trust, UpstreamTransport,
        Validation,
    },
};
use std::{sync::Arc, time::Duration};

/// What is asked for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub from: Asked,
    /// How long it is waited for; `None`: for ever.
    pub patience: Option<Duration>,
}

/// Of whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    /// A server of discovery, or a file of a discovery response.
    Source(From),
    /// A file with a certificate, with trust, with revocations.
    Files(SecretSource),
    /// Nobody: it is in the bootstrap, or never.
    Static,
}

/// By type and name, in that order.
///
/// Most have one, and there are tens of thousands of them: a list, with room for the first alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs(Vec<((Kind, Arc<str>), Need)>);

impl Needs {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, key: &(Kind, Arc<str>)) -> Option<&Need> {
        self.0.get(self.place(key).ok()?).map(|(_, need)| need)
    }

    pub fn contains_key(&self, key: &(Kind, Arc<str>)) -> bool {
        self.place(key).is_ok()
    }

    pub fn keys(&self) -> impl Iterator<Item = &(Kind, Arc<str>)> {
        self.0.iter().map(|(key, _)| key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&(Kind, Arc<str>), &Need)> {
        self.0.iter().map(|(key, need)| (key, need))
    }

    /// What was said of `key` before does not count any more.
    pub fn insert(&mut self, key: (Kind, Arc<str>), need: Need) {
        match self.place(&key) {
            Ok(at) => self.0[at].1 = need,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (key, need));
            }
        }
    }

    pub fn extend(&mut self, more: Self) {
        more.0.into_iter().for_each(|(key, need)| self.insert(key, need));
    }

    /// Where `key` is, or would be.
    fn place(&self, key: &(Kind, Arc<str>)) -> Result<usize, usize> {
        self.0.binary_search_by(|(of, _)| of.cmp(key))
    }
}

/// What a listener needs before it can serve; `own` is where it came from itself.
pub fn of_listener(listener: &Listener, own: &Asked) -> Needs {
    let mut needs = Needs::new();
    let chains = listener.chains.iter().chain(&listener.default_chain);
    for chain in chains {
        of_chain(chain, own, &mut needs);
    }
    needs
}

/// What a cluster needs before it can be used.
pub fn of_cluster(cluster: &Cluster, own: &Asked) -> Needs {
    let mut needs = Needs::new();
    if let Discovery::Eds { service, source } = &cluster.discovery {
        needs.insert((Kind::Endpoint, Arc::clone(service)), need(source, own));
    }
    let matches = cluster.transport_matches.iter().map(|matched| &matched.transport);
    for transport in matches.chain([&cluster.transport]) {
        of_upstream(transport, own, &mut needs);
    }
    needs
}

fn need(source: &ConfigSource, own: &Asked) -> Need {
    let from = match &source.from {
        From::SameSource => own.clone(),
        from @ (From::Ads | From::File(_) | From::Grpc(_) | From::Rest(_)) => {
            Asked::Source(from.clone())
        }
    };
    Need { from, patience: source.patience }
}

fn of_chain(chain: &FilterChain, own: &Asked, needs: &mut Needs) {
    if let DownstreamTransport::Tls(tls) = &chain.transport {
        of_tls(&tls.common, own, needs);
        if let Some(keys) = &tls.ticket_keys {
            of_secret(keys, own, needs);
        }
    }
    for filter in chain.filters.iter() {
        if let NetworkFilterKind::HttpManager(manager) = &filter.kind {
            of_manager(manager, own, needs);
        }
    }
}

fn of_manager(manager: &Manager, own: &Asked, needs: &mut Needs) {
    if let Routes::Discovered { name, source } = &manager.routes {
        needs.insert((Kind::Route, Arc::clone(name)), need(source, own));
    }
    let upgrades = manager.upgrades.iter().filter_map(|upgrade| upgrade.filters.as_ref());
    for filters in upgrades.chain([&manager.filters]) {
        filters.iter().for_each(|filter| of_filter(filter, own, needs));
    }
}

fn of_filter(filter: &Filter, own: &Asked, needs: &mut Needs) {
    if let FilterConfig::Discovered(discovered) = &filter.config {
        let mut need = need(&discovered.source, own);
        if discovered.default.is_some() && discovered.apply_default_without_warming {
            // Nothing is waited for.
            need.patience = Some(Duration::ZERO);
        }
        needs.insert((Kind::Extension, Arc::clone(&filter.name)), need);
    }
}

fn of_upstream(transport: &UpstreamTransport, own: &Asked, needs: &mut Needs) {
    match transport {
        UpstreamTransport::Plain => {}
        UpstreamTransport::Tls(tls) => of_tls(&tls.common, own, needs),
        UpstreamTransport::ProxyProtocol { inner, .. } => of_upstream(inner, own, needs),
    }
}

fn of_tls(tls: &CommonTls, own: &Asked, needs: &mut Needs) {
    for certificate in tls.certificates.iter() {
        match certificate {
            CertificateSource::Inline(_) => {}
            CertificateSource::Secret(secret) => of_secret(secret, own, needs),
        }
    }
    if let Some(validation) = &tls.validation {
        of_validation(&validation.here, own, needs);
        if let Some(secret) = &validation.secret {
            of_secret(secret, own, needs);
        }
    }
}

/// What a validation needs: of a listener, a cluster, or a secret.
pub fn of_validation(validation: &Validation, own: &Asked, needs: &mut Needs) {
    let domains = validation.domains.iter().flat_map(|domains| domains.iter());
    for trust in domains.map(|(_, trust)| trust).chain(&validation.trusted) {
        if let Trust::File(secret) = trust {
            of_secret(secret, own, needs);
        }
    }
    if let Some(Revoked::File(secret)) = &validation.revoked {
        of_secret(secret, own, needs);
    }
}

fn of_secret(secret: &SecretRef, own: &Asked, needs: &mut Needs) {
    let need = match &secret.source {
        SecretSource::Static => Need { from: Asked::Static, patience: Some(Duration::ZERO) },
        SecretSource::Sds(source) => need(source, own),
        files @ (SecretSource::Certificate(_)
        | SecretSource::Trust(_)
        | SecretSource::Revoked(_)) => {
            // Whoever reads files answers at once.
            Need { from: Asked::Files(files.clone()), patience: None }
        }
    };
    needs.insert((Kind::Secret, Arc::clone(&secret.name)), need);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn some() -> impl Strategy<Value = Vec<((Kind, Arc<str>), Need)>> {
        let kind = prop::sample::select(vec![Kind::Secret, Kind::Route, Kind::Endpoint]);
        let need =
            |seconds| Need { from: Asked::Static, patience: Some(Duration::from_secs(seconds)) };
        let one = (kind, "[a-c]", 0_u64..3)
            .prop_map(move |(kind, name, seconds)| ((kind, Arc::from(name)), need(seconds)));
        prop::collection::vec(one, 0..20)
    }

    proptest! {
        #[test]
        fn needs_are_a_map_whatever_the_order_they_are_said_in(said in some()) {
            let mut needs = Needs::new();
            said.iter().cloned().for_each(|(key, need)| needs.insert(key, need));
            let map: BTreeMap<_, _> = said.into_iter().collect();
            prop_assert!(needs.iter().eq(&map));
            for (key, need) in &map {
                prop_assert_eq!(needs.get(key), Some(need));
            }
            let mut backwards = Needs::new();
            map.into_iter().rev().for_each(|(key, need)| backwards.insert(key, need));
            prop_assert_eq!(needs, backwards);
        }
    }
}
