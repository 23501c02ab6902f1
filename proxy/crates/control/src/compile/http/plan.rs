//! What is to happen to requests and connections: words that Istio's objects and those of the
//! Gateway API both can be said in.
//!
//! Reading order: [`rule`] (what becomes of a request), [`matching`] (which requests), [`forward`]
//! (where they go), [`stream`] (connections that are not HTTP), [`traffic`] (how a service is
//! talked to), [`gateway`] (who listens for strangers), [`merged`]
//! (rules of several for one host of theirs), [`policy`] (who may do what).
//!
//! # How it is filled
//! Whoever reads objects decides; nothing is looked up later but services, their endpoints and
//! the labels of pods.
//! * Host names are resolved: a [`Backend`](forward::Backend) names a service by namespace and full
//!   host name. What does not exist, or may not be referred to, is [`Share::Nowhere`](forward::Share).
//! * Precedence and merging are done: rules stand in the order in which they are tried, and of
//!   several [`Routing`]s (or [`Traffic`](traffic::Traffic)s) of one service the first that is for
//!   a client counts whole. So what is for some clients stands before what is for everybody.
//! * Inheritance is done: a subset's [`TrafficPolicy`](traffic::TrafficPolicy) has what it takes over
//!   from the service's already, and a port's is whole by itself.
//! * Delegates are put in place, rules for gateways and for the mesh are told apart, and what an
//!   object asks for that cannot be done is told where objects are checked. An ALLOW that cannot be
//!   understood allows nothing, a DENY denies more: [`policy`].
//! * Each rule says where it comes from ([`At`]). The place in a file is shown, and changes no version.
//!
//! From Istio: a `VirtualService` with gateway `mesh` is a [`Routing`] of every service its hosts name
//! (`exportTo` as [`Clients`]); one with a `Gateway` is virtual hosts of its servers, for the
//! gateways that this [chooses](gateway::Chosen). A
//! `DestinationRule` is a [`Traffic`](traffic::Traffic). From the Gateway API: routes whose parent is
//! a `Service` are merged into [`Routing`]s, those of other namespaces than the service's (consumer
//! routes, for the route's namespace only) before those of its own; a `Gateway` is a
//! [`GatewayPlan`](gateway::GatewayPlan), each of its listeners a server. `BackendTLSPolicy` is a
//! [`Traffic`](traffic::Traffic).
use culvert_model::name::{ObjectName, ServiceName};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

pub mod rule;

pub mod matching;

pub mod forward;

pub mod stream;

pub mod traffic;

pub mod gateway;

pub mod merged;

pub mod policy;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// Whether all of `wanted` are among labels.
#[must_use]
pub fn has_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Everything that is asked of L7.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub services: BTreeMap<ServiceName, Arc<ServicePlan>>,
    /// Of the Gateway API: each is for the gateway of its name alone.
    pub gateways: BTreeMap<ObjectName, Arc<gateway::GatewayPlan>>,
    /// Of Istio.
    pub chosen: BTreeMap<ObjectName, Arc<gateway::Chosen>>,
    /// By the name of their object: kind, namespace and name as [`At::object`] has them.
    pub policies: BTreeMap<Arc<str>, Arc<policy::Policy>>,
}

/// What is asked of connections to one service, at the side of those who make them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePlan {
    /// Of those that are for a client, and for the port, the first of each kind counts.
    pub routes: Vec<Routing>,
    /// The first that is for a client counts.
    pub traffic: Vec<traffic::Traffic>,
}

/// Rules for connections to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    pub clients: Clients,
    /// `None`: every port that speaks what the rules are about.
    pub port: Option<NonZeroU16>,
    pub rules: Rules,
}

/// Rules of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// For ports that speak HTTP; what no rule matches is answered by 404.
    Http(Vec<rule::HttpRule>),
    /// For TLS that is passed on; what no rule matches goes where it was meant to.
    Tls(Vec<stream::TlsRule>),
    /// For everything else; as above.
    Tcp(Vec<stream::TcpRule>),
}

/// For whose connections something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clients {
    /// `None`: every namespace.
    pub namespaces: Option<BTreeSet<Arc<str>>>,
    /// Only of pods with all of these labels.
    pub labels: Labels,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// `Kind/namespace/name`.
    pub object: Arc<str>,
    /// Which of its rules, from 0; `None`: the object as a whole.
    pub index: Option<u32>,
    /// `file:line`, or empty; no part of any version.
    pub place: Arc<str>,
}

/// So many of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u32);

impl ServicePlan {
    /// The services that rules lead to, copies of requests included.
    #[must_use]
    pub fn backends(&self) -> BTreeSet<&ServiceName> {
        let mut found = BTreeSet::new();
        for Routing { rules, .. } in &self.routes {
            match rules {
                Rules::Http(rules) => {
                    let forwards = rules.iter().filter_map(|rule| match &rule.action {
                        rule::Action::Forward(forward) => Some(forward),
                        rule::Action::Redirect(_) | rule::Action::Direct(_) => None,
                    });
                    for forward::Forward { to, mirrors, .. } in forwards.map(AsRef::as_ref) {
                        let to = to.iter().filter_map(|one| one.to.backend());
                        found.extend(to.map(|backend| &backend.service));
                        found.extend(mirrors.iter().map(|mirror| &mirror.to.service));
                    }
                }
                Rules::Tls(rules) => {
                    let shares = rules.iter().flat_map(|rule| &rule.to);
                    let to = shares.filter_map(|share| share.to.backend());
                    found.extend(to.map(|backend| &backend.service));
                }
                Rules::Tcp(rules) => {
                    let shares = rules.iter().flat_map(|rule| &rule.to);
                    let to = shares.filter_map(|share| share.to.backend());
                    found.extend(to.map(|backend| &backend.service));
                }
            }
        }
        found
    }
}

impl Plan {
    /// Keeps of `before` what is the same, so that it is seen at a glance.
    pub(super) fn keep(&mut self, before: &Self) {
        fn keep<K: Ord, V: Eq>(all: &mut BTreeMap<K, Arc<V>>, before: &BTreeMap<K, Arc<V>>) {
            for (key, one) in all {
                if let Some(old) = before.get(key).filter(|old| *old == one) {
                    *one = Arc::clone(old);
                }
            }
        }
        keep(&mut self.services, &before.services);
        keep(&mut self.gateways, &before.gateways);
        keep(&mut self.chosen, &before.chosen);
        keep(&mut self.policies, &before.policies);
    }
}

impl Clients {
    /// Everybody of one namespace.
    pub fn of(namespace: impl Into<Arc<str>>) -> Self {
        Self { namespaces: Some([namespace.into()].into()), labels: Labels::new() }
    }

    /// Whether some pods of `namespace` may be among them.
    #[must_use]
    pub fn may_be_of(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(namespace))
    }
}

impl At {
    /// An object as a whole.
    pub fn object(object: impl Into<Arc<str>>, place: impl Into<Arc<str>>) -> Self {
        Self { object: object.into(), index: None, place: place.into() }
    }

    /// One of its rules.
    #[must_use]
    pub fn rule(&self, index: usize, place: impl Into<Arc<str>>) -> Self {
        let index = Some(u32::try_from(index).unwrap_or(u32::MAX));
        Self { object: Arc::clone(&self.object), index, place: place.into() }
    }
}

impl Fraction {
    pub const ALL: Self = Self(1_000_000);
    pub const NONE: Self = Self(0);

    /// What is above all is all.
    #[must_use]
    pub fn of_a_million(parts: u32) -> Self {
        Self(parts.min(Self::ALL.0))
    }

    /// Rounded; what is no number, or below zero, is nothing.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float to integer saturates, and NaN is zero"
    )]
    pub fn percent(percent: f64) -> Self {
        Self::of_a_million((percent * 10_000.0).round() as u32)
    }

    #[must_use]
    pub fn parts_of_a_million(self) -> u32 {
        self.0
    }
}
