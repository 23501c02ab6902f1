//! `xds.type.matcher.v3.Matcher`: a decision tree over inputs, with any kind of leaf.
use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use super::{field::Field, matcher::StringMatch};

/// A tree; where nothing matches, `otherwise`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree<A> {
    pub node: Node<A>,
    /// `on_no_match`.
    pub otherwise: Option<Branch<A>>,
}

/// How a tree decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<A> {
    /// `matcher_list`: the first predicate that holds.
    List(Box<[(Predicate, Branch<A>)]>),
    /// `exact_match_map`.
    Exact(Input, BTreeMap<Arc<str>, Branch<A>>),
    /// `prefix_match_map`: the longest prefix.
    Prefix(Input, BTreeMap<Arc<str>, Branch<A>>),
    /// `IPMatcher`: the longest network.
    Network(Input, Box<[(IpNet, Branch<A>)]>),
    /// `ServerNameMatcher`: the most specific of exact names, `*.suffix` and `*`.
    ServerName(Input, BTreeMap<Arc<str>, Branch<A>>),
}

/// What a match leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Branch<A> {
    /// A tree below.
    Tree(Arc<Tree<A>>),
    Leaf(A),
}

/// A condition over inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// An input that is missing matches nothing.
    Single(Input, StringMatch),
    /// An address input inside any of some networks.
    Network(Input, Box<[IpNet]>),
    And(Box<[Self]>),
    Or(Box<[Self]>),
    Not(Box<Self>),
}

/// What a tree may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    RequestHeader(Field),
    ResponseHeader(Field),
    /// One query parameter of the path.
    Query(Arc<str>),
    DestinationIp,
    DestinationPort,
    SourceIp,
    SourcePort,
    DirectSourceIp,
    /// `same_ip_or_loopback`: `local` if it holds.
    SourceType,
    ServerName,
    /// `tls` or `raw_buffer`.
    TransportProtocol,
    /// All of them, as `'h2','http/1.1'`.
    ApplicationProtocols,
    /// URI names of the peer's certificate, joined by commas.
    UriSan,
    /// DNS names of the peer's certificate, joined by commas.
    DnsSan,
    Subject,
    /// A filter state's string.
    FilterState(Arc<str>),
    /// Metadata that filters left: namespace and path.
    DynamicMetadata(Arc<str>, Box<[Arc<str>]>),
}
