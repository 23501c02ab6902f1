//! The filter chains of a door: HTTP, TLS by the name it asks for, and everything else.
//!
//! Envoy takes the most specific match of each kind in turn and never turns back: so every chain
//! of a class of clients says all that those of other classes say.
use super::{
    super::plan::traffic::TrafficPolicy,
    clients::Class,
    is_http,
    manager::{self, HTTP, PLAIN, Routes, Side, Stream, TLS, chain, http},
    may_be_http, may_be_tls,
    outbound::{Behind, View},
};
use culvert_model::service::AppProtocol;
use culvert_proto::api::envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch};
use std::{collections::BTreeSet, net::IpAddr, num::NonZeroU16, sync::Arc};

/// The chains of a listener, as they are made.
pub(super) struct Made<'a> {
    ip: IpAddr,
    name: &'a str,
    behind: &'a [Behind<'a>],
    view: View<'a>,
    /// Every name that TLS may ask for and that some class has rules for.
    names: BTreeSet<String>,
    chains: Vec<FilterChain>,
    last: Option<FilterChain>,
}

impl<'a> Made<'a> {
    pub(super) fn new(
        ip: IpAddr,
        name: &'a str,
        behind: &'a [Behind<'a>],
        classes: &[Class],
        view: View<'a>,
    ) -> Self {
        let mut names = BTreeSet::new();
        for one in behind.iter().filter(|one| may_be_tls(one.protocol)) {
            if behind.len() > 1 {
                names.extend(server_name(one.host()));
            }
            for class in classes {
                let rules = one.rules(class, view).tls.unwrap_or_default();
                let hosts = rules.iter().flat_map(|rule| &rule.hosts);
                names.extend(hosts.filter_map(|host| server_name(host)));
            }
        }
        Self { ip, name, behind, view, names, chains: Vec::new(), last: None }
    }

    /// Whether TLS is asked for names, the chains, and the one for what none of them matches.
    pub(super) fn done(self) -> (bool, Vec<FilterChain>, Option<FilterChain>) {
        (!self.names.is_empty(), self.chains, self.last)
    }

    /// Adds the chains of a class of clients, who have the routes `table`.
    pub(super) fn class(&mut self, class: &Class, table: &str) {
        let base = class.when(FilterChainMatch::default());
        let named = |kind: &str| class.named(format!("{}|{kind}", self.name));
        let detects = self.behind.iter().any(|one| one.protocol == AppProtocol::Unknown);
        let rest = self.behind.iter().find(|one| !is_http(one.protocol));
        let mut chains = Vec::new();
        for name in &self.names {
            let Some(to) = self.for_name(class, name) else { continue };
            let when = FilterChainMatch {
                server_names: vec![name.clone()],
                transport_protocol: TLS.to_owned(),
                ..base.clone()
            };
            chains.push(chain(&named(name), when, vec![to]));
        }
        if self.behind.iter().any(|one| may_be_http(one.protocol)) {
            let mut when = base.clone();
            if rest.is_some() {
                when.transport_protocol = PLAIN.to_owned();
                when.application_protocols = HTTP.map(str::to_owned).into();
            }
            let routes = Routes::Named(table.to_owned());
            let filter = http(self.name, Side::Outbound, routes, Vec::new());
            chains.push(chain(&named("http"), when, vec![filter]));
        }
        if let Some(rest) = rest {
            let detects = detects || rest.is_twofold(self.view, class);
            let kinds: &[&str] = if detects { &[PLAIN, TLS] } else { &[""] };
            for kind in kinds {
                let transport_protocol = (*kind).to_owned();
                let when = FilterChainMatch { transport_protocol, ..base.clone() };
                let to = self.stream(rest, class, *kind == TLS);
                chains.push(chain(&named(&format!("tcp{kind}")), when, vec![to]));
            }
            // What never says a word is neither.
            if detects && class.sources.is_empty() {
                let when = FilterChainMatch::default();
                let to = self.stream(rest, class, false);
                self.last = Some(chain(&named("tcp"), when, vec![to]));
            }
        }
        self.chains.extend(chains);
    }

    /// Where TLS that asks for a name goes.
    fn for_name(&self, class: &Class, name: &str) -> Option<Filter> {
        let tls = || self.behind.iter().filter(|one| may_be_tls(one.protocol));
        for one in tls() {
            let rules = one.rules(class, self.view).tls.unwrap_or_default();
            let is_named =
                |host: &Arc<str>| server_name(host).as_deref().is_some_and(|host| host == name);
            let found = rules.iter().find(|rule| {
                rule.hosts.iter().any(is_named)
                    && class.connects(&rule.matches, self.view.namespace, self.door(one.port))
            });
            if let Some(rule) = found {
                let to = one.seen(self.view, class).shares(&rule.to, true);
                return Some(manager::tcp(self.name, to));
            }
        }
        let own = tls().find(|one| one.host() == name).or_else(|| tls().next());
        own.map(|one| self.stream(one, class, true))
    }

    /// Where connections go that are not HTTP, and ask for no name that rules are about; `is_tls`: they
    /// are known to begin with TLS.
    fn stream(&self, one: &Behind<'_>, class: &Class, is_tls: bool) -> Filter {
        let seen = one.seen(self.view, class);
        let rules = one.rules(class, self.view);
        let namespace = self.view.namespace;
        let fits = |matches: &_| class.connects(matches, namespace, self.door(one.port));
        let any_name = |hosts: &[Arc<str>]| hosts.is_empty() || hosts.iter().any(|h| **h == *"*");
        let tls = rules.tls.filter(|_| may_be_tls(one.protocol)).unwrap_or_default();
        let tls = tls.iter().find(|rule| any_name(&rule.hosts) && fits(&rule.matches));
        let tcp = rules.tcp.unwrap_or_default().iter().find(|rule| fits(&rule.matches));
        let own = &one.facts.service.host;
        let policy = class.policy(own, None, one.port, (namespace, self.view.reader));
        let TrafficPolicy { pool, tunnel, .. } = policy.unwrap_or_default();
        let stream = match tls.map(|rule| &rule.to).or(tcp.map(|rule| &rule.to)) {
            Some(to) => seen.shares(to, is_tls),
            None => {
                let to = vec![(one.own_cluster(&seen, is_tls), 1)];
                Stream { to, tunnel, ..Stream::default() }
            }
        };
        let (idle, most) = (pool.tcp_idle, pool.max_connection_duration);
        manager::tcp(self.name, Stream { idle, most, ..stream })
    }

    fn door(&self, port: NonZeroU16) -> (Option<IpAddr>, NonZeroU16) {
        (Some(self.ip), port)
    }
}

/// A name as TLS asks for it, with at most one `*` as its first part; `None`: it is for all, or
/// for none.
pub(super) fn server_name(host: &str) -> Option<String> {
    let lower = host.to_ascii_lowercase();
    let rest = lower.strip_prefix("*.").unwrap_or(&lower);
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!rest.is_empty() && rest.chars().all(fine)).then_some(lower)
}
