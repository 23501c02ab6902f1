//! Listeners and their filter chains.
use super::{
    Around, Got, Path, Wrong,
    access_log::logs,
    basic::{
        duration, each, flag, inner, known, limit, must, network, number, open, port, refuse,
        resolved, runtime_flag, socket_options, some, unless_zero,
    },
    network, ratelimit, tls,
    value::metadata,
};
use culvert_model::http::listener::{
    ChainMatch, Direction, FilterChain, ListenAddress, Listener, ListenerFilter,
    ListenerFilterKind, ListenerMatch, ProxyProtocol, SourceType, TlvRule,
};
use culvert_proto::api::{
    envoy::{
        config::{
            core::v3::{TrafficDirection, proxy_protocol_config::Version},
            listener::v3::{
                self as pb, filter_chain_match::ConnectionSourceType,
                listener::connection_balance_config::BalanceType, listener_filter::ConfigType,
                listener_filter_chain_match_predicate::Rule,
            },
        },
        extensions::filters::listener::{
            local_ratelimit::v3 as rate_pb, original_src::v3 as src_pb,
            proxy_protocol::v3 as proxy_pb,
        },
    },
    google::protobuf::Any,
};
use ipnet::IpNet;
use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Duration};

/// Envoy's.
const BUFFER: u32 = 1 << 20;
const FILTERS_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn decode(value: &pb::Listener, path: &Path<'_>, around: &dyn Around) -> Got<Listener> {
    unsupported(value, path)?;
    let chains: Arc<[Arc<FilterChain>]> =
        each(&value.filter_chains, &path.field("filter_chains"), |value, path| {
            chain(value, path, around).map(Arc::new)
        })?;
    let default_chain = match &value.default_filter_chain {
        Some(value) => Some(Arc::new(chain(value, &path.field("default_filter_chain"), around)?)),
        None => None,
    };
    if chains.is_empty() && default_chain.is_none() {
        return Err(Wrong::at(&path.field("filter_chains"), "empty; needs at least one"));
    }
    no_match_twice(&chains, &path.field("filter_chains"))?;
    Ok(Listener {
        name: value.name.as_str().into(),
        addresses: addresses(value, path)?,
        bind: match &value.bind_to_port {
            Some(bind) => bind.value,
            None => flag(&value.deprecated_v1.as_ref().and_then(|old| old.bind_to_port), true),
        },
        use_original_dst: flag(&value.use_original_dst, false),
        direction: match known(value.traffic_direction, &path.field("traffic_direction"))? {
            TrafficDirection::Unspecified => Direction::Unspecified,
            TrafficDirection::Inbound => Direction::Inbound,
            TrafficDirection::Outbound => Direction::Outbound,
        },
        stat_prefix: some(&value.stat_prefix),
        filters: each(&value.listener_filters, &path.field("listener_filters"), filter)?,
        filters_timeout: limit(
            &value.listener_filters_timeout,
            Some(FILTERS_TIMEOUT),
            &path.field("listener_filters_timeout"),
        )?,
        continue_on_filters_timeout: value.continue_on_listener_filters_timeout,
        chains,
        default_chain,
        access_logs: logs(&value.access_log, &path.field("access_log"), around)?,
        buffer_limit: number(&value.per_connection_buffer_limit_bytes).unwrap_or(BUFFER),
        reuse_port: flag(&value.enable_reuse_port, true),
        backlog: number(&value.tcp_backlog_size),
        transparent: flag(&value.transparent, false),
        freebind: flag(&value.freebind, false),
        metadata: metadata(&value.metadata),
    })
}

fn unsupported(value: &pb::Listener, path: &Path<'_>) -> Got<()> {
    let fields = [
        (
            "filter_chain_matcher",
            value.filter_chain_matcher.is_some(),
            "not supported; give each chain a filter_chain_match",
        ),
        (
            "internal_listener",
            value.listener_specifier.is_some(),
            "internal listeners are not supported",
        ),
        ("udp_listener_config", value.udp_listener_config.is_some(), "UDP is not supported"),
        ("api_listener", value.api_listener.is_some(), "is not supported"),
        ("fcds_config", value.fcds_config.is_some(), "is not supported"),
    ];
    refuse(path, &fields)?;
    // Where connections come in is where they are served, whatever the other kinds say.
    let balance = value.connection_balance_config.as_ref();
    match balance.and_then(|balance| balance.balance_type.as_ref()) {
        Some(BalanceType::ExtendBalance(_)) => {
            let path = path.field("connection_balance_config");
            Err(Wrong::at(&path.field("extend_balance"), "is not supported"))
        }
        Some(BalanceType::ExactBalance(_) | BalanceType::CpuLocalityBalance(_)) | None => Ok(()),
    }
}

fn addresses(value: &pb::Listener, path: &Path<'_>) -> Got<Arc<[ListenAddress]>> {
    use culvert_proto::api::envoy::config::core::v3::{Address, address::Address as Kind};
    let v4_compatible = |address: &Address| match &address.address {
        Some(Kind::SocketAddress(socket)) => socket.ipv4_compat,
        Some(Kind::Pipe(_) | Kind::EnvoyInternalAddress(_)) | None => false,
    };
    let at = path.field("address");
    let first = must(&value.address, &at)?;
    let options = socket_options(&value.socket_options, &path.field("socket_options"))?;
    let mut all = vec![ListenAddress {
        address: resolved(first, &at)?,
        v4_compatible: v4_compatible(first),
        options: Arc::clone(&options),
    }];
    let at = path.field("additional_addresses");
    for (i, more) in value.additional_addresses.iter().enumerate() {
        let path = at.index(i);
        let at = path.field("address");
        let address = must(&more.address, &at)?;
        let own = match &more.socket_options {
            Some(own) => socket_options(&own.socket_options, &path.field("socket_options"))?,
            None => Arc::clone(&options),
        };
        all.push(ListenAddress {
            address: resolved(address, &at)?,
            v4_compatible: v4_compatible(address),
            options: own,
        });
    }
    Ok(all.into())
}

fn chain(value: &pb::FilterChain, path: &Path<'_>, around: &dyn Around) -> Got<FilterChain> {
    if flag(&value.use_proxy_proto, false) {
        let what = "not supported; give envoy.filters.listener.proxy_protocol in listener_filters";
        return Err(Wrong::at(&path.field("use_proxy_proto"), what));
    }
    let at = path.field("filters");
    let filters: Arc<[_]> =
        each(&value.filters, &at, |value, path| network::filter(value, path, around))?;
    if let Some((last, before)) = filters.split_last() {
        if let Some(i) = before.iter().position(network::takes) {
            let what = format!("{} must be the last filter", before[i].name);
            return Err(Wrong::at(&at.index(i), what));
        }
        if !network::takes(last) {
            let what =
                "the last filter must take the connection (http_connection_manager, tcp_proxy)";
            return Err(Wrong::at(&at.index(before.len()), what));
        }
    }
    Ok(FilterChain {
        name: value.name.as_str().into(),
        matches: chain_match(&value.filter_chain_match, &path.field("filter_chain_match"))?,
        transport: tls::downstream(&value.transport_socket, path, around)?,
        transport_timeout: unless_zero(duration(
            &value.transport_socket_connect_timeout,
            &path.field("transport_socket_connect_timeout"),
        )?),
        filters,
        metadata: metadata(&value.metadata),
    })
}

fn chain_match(value: &Option<pb::FilterChainMatch>, path: &Path<'_>) -> Got<ChainMatch> {
    let Some(value) = value else { return Ok(ChainMatch::default()) };
    if !value.address_suffix.is_empty() || value.suffix_len.is_some() {
        return Err(Wrong::at(&path.field("address_suffix"), "is not supported"));
    }
    let destination_port = match number(&value.destination_port) {
        Some(value) => Some(port(value, &path.field("destination_port"))?),
        None => None,
    };
    let at = path.field("server_names");
    let server_names: BTreeSet<Arc<str>> = each(&value.server_names, &at, |name, path| {
        let lower = name.to_ascii_lowercase();
        let rest = lower.strip_prefix("*.").unwrap_or(&lower);
        if lower != "*" && (rest.contains('*') || rest.is_empty()) {
            let what = format!("{name:?}: a * is possible as the first part only (*.example.com)");
            return Err(Wrong::at(path, what));
        }
        // As Envoy has it, a lone * is any name.
        Ok(lower.into())
    })?;
    let networks = |values: &[_], name: &str| -> Got<Arc<[IpNet]>> {
        each(values, &path.field(name), network)
    };
    Ok(ChainMatch {
        destination_port,
        destination: networks(&value.prefix_ranges, "prefix_ranges")?,
        server_names,
        transport_protocol: some(&value.transport_protocol),
        application_protocols: (value.application_protocols.iter())
            .map(|protocol| protocol.as_str().into())
            .collect(),
        direct_source: networks(&value.direct_source_prefix_ranges, "direct_source_prefix_ranges")?,
        source_type: match known(value.source_type, &path.field("source_type"))? {
            ConnectionSourceType::Any => SourceType::Any,
            ConnectionSourceType::SameIpOrLoopback => SourceType::SameIpOrLoopback,
            ConnectionSourceType::External => SourceType::External,
        },
        source: networks(&value.source_prefix_ranges, "source_prefix_ranges")?,
        source_ports: each(&value.source_ports, &path.field("source_ports"), |value, path| {
            port(*value, path)
        })?,
    })
}

fn no_match_twice(chains: &[Arc<FilterChain>], path: &Path<'_>) -> Got<()> {
    for (i, chain) in chains.iter().enumerate() {
        let same = chains.iter().take(i).position(|other| other.matches == chain.matches);
        if let Some(other) = same {
            let path = path.index(i);
            let what = format!("matches the same as filter_chains[{other}]");
            return Err(Wrong::at(&path.field("filter_chain_match"), what));
        }
    }
    Ok(())
}

fn filter(value: &pb::ListenerFilter, path: &Path<'_>) -> Got<ListenerFilter> {
    let kind = match &value.config_type {
        Some(ConfigType::TypedConfig(any)) => kind(any, &path.field("typed_config"))?,
        Some(ConfigType::ConfigDiscovery(_)) => {
            let what = "discovery of listener filters is not supported; give typed_config";
            return Err(Wrong::at(&path.field("config_discovery"), what));
        }
        None => match &*value.name {
            "envoy.filters.listener.tls_inspector" => ListenerFilterKind::TlsInspector,
            "envoy.filters.listener.http_inspector" => ListenerFilterKind::HttpInspector,
            "envoy.filters.listener.original_dst" => ListenerFilterKind::OriginalDst,
            "envoy.filters.listener.proxy_protocol" => {
                ListenerFilterKind::ProxyProtocol(ProxyProtocol::default())
            }
            _ => return Err(Wrong::at(&path.field("typed_config"), "not set")),
        },
    };
    let disabled = match &value.filter_disabled {
        Some(value) => Some(predicate(value, &path.field("filter_disabled"))?),
        None => None,
    };
    Ok(ListenerFilter { name: value.name.as_str().into(), kind, disabled })
}

fn kind(any: &Any, path: &Path<'_>) -> Got<ListenerFilterKind> {
    let (kind, bytes) = open(any, path)?;
    let ours = kind.strip_prefix("envoy.extensions.filters.listener.").unwrap_or_default();
    Ok(match ours {
        "tls_inspector.v3.TlsInspector" => ListenerFilterKind::TlsInspector,
        "http_inspector.v3.HttpInspector" => ListenerFilterKind::HttpInspector,
        "original_dst.v3.OriginalDst" => ListenerFilterKind::OriginalDst,
        "original_src.v3.OriginalSrc" => {
            let value: src_pb::OriginalSrc = inner(&bytes, path)?;
            ListenerFilterKind::OriginalSrc { mark: value.mark }
        }
        "proxy_protocol.v3.ProxyProtocol" => {
            ListenerFilterKind::ProxyProtocol(proxy_protocol(&inner(&bytes, path)?, path)?)
        }
        "local_ratelimit.v3.LocalRateLimit" => {
            let value: rate_pb::LocalRateLimit = inner(&bytes, path)?;
            let at = path.field("token_bucket");
            ListenerFilterKind::LocalRateLimit {
                stat_prefix: value.stat_prefix.as_str().into(),
                bucket: ratelimit::bucket(must(&value.token_bucket, &at)?, &at)?,
                enabled: runtime_flag(&value.runtime_enabled, true),
            }
        }
        _ => return Err(Wrong::at(path, format!("no listener filter {kind} is known"))),
    })
}

fn proxy_protocol(value: &proxy_pb::ProxyProtocol, path: &Path<'_>) -> Got<ProxyProtocol> {
    let rules = each(&value.rules, &path.field("rules"), |rule, path| {
        let at = path.field("on_tlv_present");
        let pair = must(&rule.on_tlv_present, &at)?;
        let namespace = match &*pair.metadata_namespace {
            "" => "envoy.filters.listener.proxy_protocol",
            given => given,
        };
        Ok(TlvRule {
            kind: u8::try_from(rule.tlv_type)
                .map_err(|_large| Wrong::at(&path.field("tlv_type"), "must be less than 256"))?,
            namespace: namespace.into(),
            key: pair.key.as_str().into(),
        })
    })?;
    let refuses = |version: Version| value.disallowed_versions.contains(&version.into());
    Ok(ProxyProtocol {
        rules,
        allow_without: value.allow_requests_without_proxy_protocol,
        refuse_v1: refuses(Version::V1),
        refuse_v2: refuses(Version::V2),
        stat_prefix: value.stat_prefix.as_str().into(),
    })
}

fn predicate(value: &pb::ListenerFilterChainMatchPredicate, path: &Path<'_>) -> Got<ListenerMatch> {
    let set = |rules: &[_], name: &str| {
        let path = path.field(name);
        each(rules, &path.field("rules"), predicate)
    };
    Ok(match must(&value.rule, path)? {
        Rule::OrMatch(rules) => ListenerMatch::Or(set(&rules.rules, "or_match")?),
        Rule::AndMatch(rules) => ListenerMatch::And(set(&rules.rules, "and_match")?),
        Rule::NotMatch(rule) => {
            ListenerMatch::Not(Box::new(predicate(rule, &path.field("not_match"))?))
        }
        Rule::AnyMatch(_) => ListenerMatch::Any,
        Rule::DestinationPortRange(range) => {
            let path = path.field("destination_port_range");
            let bound = |value: i32| {
                u32::try_from(value).map_err(|_negative| Wrong::at(&path, "must not be negative"))
            };
            ListenerMatch::DestinationPort(Range {
                start: bound(range.start)?,
                end: bound(range.end)?,
            })
        }
    })
}
