//! The generic matcher of xDS.
use super::{
    Got, Path, Wrong,
    basic::{each, inner, must, network, open, xds_network},
    header::field,
    text::xds_string,
};
use culvert_model::http::tree::{Branch, Input, Node, Predicate, Tree};
use culvert_proto::added::{IpMatcher, ServerNameMatcher};
use culvert_proto::api::{
    envoy::{
        extensions::matching::{common_inputs::network::v3 as inputs, input_matchers::ip::v3::Ip},
        r#type::matcher::v3 as http_inputs,
    },
    xds::{
        core::v3::TypedExtensionConfig,
        r#type::matcher::v3::{
            Matcher,
            matcher::{
                MatcherTree, MatcherType, OnMatch, matcher_list,
                matcher_list::predicate::MatchType, matcher_tree::TreeType, on_match,
            },
        },
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Decodes a leaf.
pub(super) type Leaf<'a, A> = &'a dyn Fn(&TypedExtensionConfig, &Path<'_>) -> Got<A>;

pub(super) fn tree<A>(value: &Matcher, path: &Path<'_>, leaf: Leaf<'_, A>) -> Got<Tree<A>> {
    let otherwise = match &value.on_no_match {
        Some(on) => Some(branch(on, &path.field("on_no_match"), leaf)?),
        None => None,
    };
    let node = match &value.matcher_type {
        None => Node::List(Box::default()),
        Some(MatcherType::MatcherList(list)) => {
            let path = path.field("matcher_list");
            Node::List(each(&list.matchers, &path.field("matchers"), |one, path| {
                let (when, on) = (path.field("predicate"), path.field("on_match"));
                Ok((
                    predicate(must(&one.predicate, &when)?, &when)?,
                    branch(must(&one.on_match, &on)?, &on, leaf)?,
                ))
            })?)
        }
        Some(MatcherType::MatcherTree(tree)) => map(tree, &path.field("matcher_tree"), leaf)?,
    };
    Ok(Tree { node, otherwise })
}

fn branch<A>(value: &OnMatch, path: &Path<'_>, leaf: Leaf<'_, A>) -> Got<Branch<A>> {
    if value.keep_matching {
        return Err(Wrong::at(&path.field("keep_matching"), "is not supported"));
    }
    match must(&value.on_match, path)? {
        on_match::OnMatch::Matcher(inner) => {
            Ok(Branch::Tree(Arc::new(tree(inner, &path.field("matcher"), leaf)?)))
        }
        on_match::OnMatch::Action(action) => leaf(action, &path.field("action")).map(Branch::Leaf),
    }
}

fn map<A>(value: &MatcherTree, path: &Path<'_>, leaf: Leaf<'_, A>) -> Got<Node<A>> {
    let at = path.field("input");
    let from = input(must(&value.input, &at)?, &at)?;
    let branches = |map: &std::collections::HashMap<String, OnMatch>, path: &Path<'_>| {
        let path = path.field("map");
        map.iter()
            .map(|(key, on)| Ok((Arc::from(key.as_str()), branch(on, &path.key(key), leaf)?)))
            .collect::<Got<BTreeMap<_, _>>>()
    };
    match must(&value.tree_type, path)? {
        TreeType::ExactMatchMap(map) => {
            Ok(Node::Exact(from, branches(&map.map, &path.field("exact_match_map"))?))
        }
        TreeType::PrefixMatchMap(map) => {
            Ok(Node::Prefix(from, branches(&map.map, &path.field("prefix_match_map"))?))
        }
        TreeType::CustomMatch(custom) => {
            let path = path.field("custom_match");
            let path = path.field("typed_config");
            let (kind, bytes) = open(must(&custom.typed_config, &path)?, &path)?;
            match &*kind {
                "xds.type.matcher.v3.IPMatcher" => ip_map(from, &bytes, &path, leaf),
                "xds.type.matcher.v3.ServerNameMatcher" => {
                    let names: ServerNameMatcher = inner(&bytes, &path)?;
                    let path = path.field("domain_matchers");
                    let mut all = BTreeMap::new();
                    for (i, one) in names.domain_matchers.iter().enumerate() {
                        let path = path.index(i);
                        let on = path.field("on_match");
                        for domain in &one.domains {
                            let on = branch(must(&one.on_match, &on)?, &on, leaf)?;
                            all.insert(Arc::from(domain.as_str()), on);
                        }
                    }
                    Ok(Node::ServerName(from, all))
                }
                kind => Err(Wrong::at(&path, format!("no matcher {kind} is known"))),
            }
        }
    }
}

fn ip_map<A>(from: Input, bytes: &[u8], path: &Path<'_>, leaf: Leaf<'_, A>) -> Got<Node<A>> {
    let ranges: IpMatcher = inner(bytes, path)?;
    let path = path.field("range_matchers");
    let mut all = Vec::new();
    for (i, one) in ranges.range_matchers.iter().enumerate() {
        let path = path.index(i);
        let (nets, on) = (path.field("ranges"), path.field("on_match"));
        let nets: Vec<_> = each(&one.ranges, &nets, xds_network)?;
        for net in nets {
            all.push((net, branch(must(&one.on_match, &on)?, &on, leaf)?));
        }
    }
    Ok(Node::Network(from, all.into()))
}

fn predicate(value: &matcher_list::Predicate, path: &Path<'_>) -> Got<Predicate> {
    Ok(match must(&value.match_type, path)? {
        MatchType::SinglePredicate(single) => {
            let path = path.field("single_predicate");
            let at = path.field("input");
            let from = input(must(&single.input, &at)?, &at)?;
            use matcher_list::predicate::single_predicate::Matcher;
            match must(&single.matcher, &path)? {
                Matcher::ValueMatch(text) => {
                    Predicate::Single(from, xds_string(text, &path.field("value_match"))?)
                }
                Matcher::CustomMatch(custom) => {
                    let path = path.field("custom_match");
                    let path = path.field("typed_config");
                    let (kind, bytes) = open(must(&custom.typed_config, &path)?, &path)?;
                    match &*kind {
                        "envoy.extensions.matching.input_matchers.ip.v3.Ip" => {
                            let ip: Ip = inner(&bytes, &path)?;
                            let nets = each(&ip.cidr_ranges, &path.field("cidr_ranges"), network)?;
                            Predicate::Network(from, nets)
                        }
                        kind => {
                            return Err(Wrong::at(&path, format!("no matcher {kind} is known")));
                        }
                    }
                }
            }
        }
        MatchType::OrMatcher(list) => {
            let path = path.field("or_matcher");
            Predicate::Or(each(&list.predicate, &path.field("predicate"), predicate)?)
        }
        MatchType::AndMatcher(list) => {
            let path = path.field("and_matcher");
            Predicate::And(each(&list.predicate, &path.field("predicate"), predicate)?)
        }
        MatchType::NotMatcher(inner) => {
            Predicate::Not(Box::new(predicate(inner, &path.field("not_matcher"))?))
        }
    })
}

/// What a tree looks at.
fn input(value: &TypedExtensionConfig, path: &Path<'_>) -> Got<Input> {
    let path = path.field("typed_config");
    let (kind, bytes) = open(must(&value.typed_config, &path)?, &path)?;
    let short = kind.rsplit('.').next().unwrap_or_default();
    let is_network = kind.starts_with("envoy.extensions.matching.common_inputs.network.v3.");
    let is_tls = kind.starts_with("envoy.extensions.matching.common_inputs.ssl.v3.");
    let is_http = kind.starts_with("envoy.type.matcher.v3.");
    Ok(match short {
        "HttpRequestHeaderMatchInput" if is_http => {
            let of: http_inputs::HttpRequestHeaderMatchInput = inner(&bytes, &path)?;
            Input::RequestHeader(field(&of.header_name, &path.field("header_name"))?)
        }
        "HttpResponseHeaderMatchInput" if is_http => {
            let of: http_inputs::HttpResponseHeaderMatchInput = inner(&bytes, &path)?;
            Input::ResponseHeader(field(&of.header_name, &path.field("header_name"))?)
        }
        "HttpRequestQueryParamMatchInput" if is_http => {
            let of: http_inputs::HttpRequestQueryParamMatchInput = inner(&bytes, &path)?;
            Input::Query(of.query_param.into())
        }
        "DestinationIPInput" if is_network => Input::DestinationIp,
        "DestinationPortInput" if is_network => Input::DestinationPort,
        "SourceIPInput" if is_network => Input::SourceIp,
        "SourcePortInput" if is_network => Input::SourcePort,
        "DirectSourceIPInput" if is_network => Input::DirectSourceIp,
        "SourceTypeInput" if is_network => Input::SourceType,
        "ServerNameInput" if is_network => Input::ServerName,
        "TransportProtocolInput" if is_network => Input::TransportProtocol,
        "ApplicationProtocolInput" if is_network => Input::ApplicationProtocols,
        "FilterStateInput" if is_network => {
            let of: inputs::FilterStateInput = inner(&bytes, &path)?;
            Input::FilterState(of.key.into())
        }
        "DynamicMetadataInput" if is_network => {
            use inputs::dynamic_metadata_input::path_segment::Segment;
            let of: inputs::DynamicMetadataInput = inner(&bytes, &path)?;
            let keys = each(&of.path, &path.field("path"), |segment, path| {
                let Segment::Key(key) = must(&segment.segment, path)?;
                Ok(key.as_str().into())
            })?;
            Input::DynamicMetadata(of.filter.into(), keys)
        }
        "UriSanInput" if is_tls => Input::UriSan,
        "DnsSanInput" if is_tls => Input::DnsSan,
        "SubjectInput" if is_tls => Input::Subject,
        _ => return Err(Wrong::at(&path, format!("no input {kind} is known"))),
    })
}
