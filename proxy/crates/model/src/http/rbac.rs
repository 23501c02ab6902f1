//! `RBAC`: who may do what.
use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use super::{
    matcher::{HeaderMatch, StringMatch, ValueRange},
    tree::{Predicate, Tree},
    value::MetadataMatch,
};

/// The filter's configuration; of HTTP, of a route, of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Rbac {
    /// Without any, everything passes.
    pub rules: Option<Engine>,
    /// Only asked what it would say.
    pub shadow: Option<Engine>,
    pub shadow_prefix: Arc<str>,
    /// Of the statistics of the rules that count.
    pub rules_prefix: Arc<str>,
    /// `track_per_rule_stats`.
    pub track_rules: bool,
}

/// Whichever way the rules were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    Policies(Policies),
    /// Without a match, or without a tree, it is denied.
    Tree(Tree<Verdict>),
}

/// `config.rbac.v3.RBAC`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    pub action: Action,
    /// In the order of their names; the first that matches is named.
    pub policies: BTreeMap<Arc<str>, Policy>,
}

/// `config.rbac.v3.Action`: the leaf of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of the policy.
    pub name: Arc<str>,
    pub action: Action,
}

/// What is done with what the policies match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// And nothing else is allowed.
    #[default]
    Allow,
    /// And everything else is allowed.
    Deny,
    /// Everything is allowed; what matches is marked for access logs.
    Log,
}

/// Any permission, and any principal.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Never empty.
    pub permissions: Box<[Permission]>,
    /// Never empty.
    pub principals: Box<[Principal]>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Permission {
    Any,
    And(Box<[Self]>),
    Or(Box<[Self]>),
    Not(Box<Self>),
    Header(HeaderMatch),
    /// The path without its query.
    UrlPath(StringMatch),
    DestinationIp(IpNet),
    DestinationPort(u16),
    DestinationPorts(ValueRange<u32>),
    /// What filters before left.
    Metadata(MetadataMatch),
    /// `requested_server_name`; empty if there is none.
    ServerName(StringMatch),
    Matcher(Predicate),
}

/// By whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Principal {
    Any,
    And(Box<[Self]>),
    Or(Box<[Self]>),
    Not(Box<Self>),
    /// Over TLS, with a URI or DNS name that matches, or such a subject; if no name is asked for,
    /// whoever the listener's TLS let in.
    Authenticated(Option<StringMatch>),
    /// `source_ip`: the connection's, before `x-forwarded-for` is looked at.
    SourceIp(IpNet),
    /// `direct_remote_ip`.
    DirectRemoteIp(IpNet),
    /// `remote_ip`: the client's, `x-forwarded-for` and the PROXY protocol believed.
    RemoteIp(IpNet),
    Header(HeaderMatch),
    UrlPath(StringMatch),
    Metadata(MetadataMatch),
    /// A filter state's string.
    FilterState(Arc<str>, StringMatch),
    Matcher(Predicate),
}
