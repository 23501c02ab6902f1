//! Small parts of Envoy's messages.
use super::super::plan::{At, Fraction, matching::Text};
use culvert_model::http::matcher::Regex;
use culvert_proto::{
    Message, Name,
    api::{
        envoy::{
            config::core::v3::{
                Address, AggregatedConfigSource, ApiConfigSource, ApiVersion, CidrRange,
                ConfigSource, GrpcService, Metadata, RuntimeFractionalPercent, SocketAddress,
                TransportSocket, address,
                api_config_source::ApiType,
                config_source::ConfigSourceSpecifier,
                grpc_service::{EnvoyGrpc, TargetSpecifier},
                socket_address::PortSpecifier,
                transport_socket,
            },
            r#type::{
                matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
                v3::{FractionalPercent, fractional_percent::DenominatorType},
            },
        },
        google::protobuf::{
            Any, BoolValue, Duration as DurationPb, Struct, UInt32Value, UInt64Value, Value,
            value::Kind,
        },
    },
};
use ipnet::IpNet;
use std::{net::IpAddr, time::Duration};

/// The key of metadata that says where something was written; no part of any version.
pub(super) const ORIGIN: &str = culvert_model::http::origin::KEY;

/// A year: what is longer is as good as for ever, and some clocks cannot count further.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

pub(super) fn duration(duration: Duration) -> DurationPb {
    let duration = duration.min(LONGEST);
    DurationPb {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// Of at least a millisecond, where nothing may be zero.
pub(super) fn some_time(time: Duration) -> DurationPb {
    duration(time.max(Duration::from_millis(1)))
}

pub(super) fn number(value: u32) -> UInt32Value {
    UInt32Value { value }
}

pub(super) fn large(value: u64) -> UInt64Value {
    UInt64Value { value }
}

pub(super) fn flag(value: bool) -> BoolValue {
    BoolValue { value }
}

pub(super) fn fraction(of: Fraction) -> FractionalPercent {
    FractionalPercent {
        numerator: of.parts_of_a_million(),
        denominator: DenominatorType::Million.into(),
    }
}

pub(super) fn runtime_fraction(of: Fraction) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent { default_value: Some(fraction(of)), runtime_key: String::new() }
}

pub(super) fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher { regex: pattern.to_owned(), ..RegexMatcher::default() }
}

pub(super) fn is_regex(pattern: &str) -> bool {
    !pattern.is_empty() && Regex::new(pattern).is_ok()
}

/// `None`: nothing is like that.
pub(super) fn text(text: &Text) -> Option<StringMatcher> {
    Some(pattern(match text {
        Text::Exact(text) => MatchPattern::Exact(text.to_string()),
        // Envoy wants no empty prefix.
        Text::Prefix(text) if text.is_empty() => MatchPattern::SafeRegex(regex(".*")),
        Text::Prefix(text) => MatchPattern::Prefix(text.to_string()),
        Text::Regex(text) if is_regex(text) => MatchPattern::SafeRegex(regex(text)),
        Text::Regex(_) => return None,
    }))
}

pub(super) fn pattern(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { ignore_case: false, match_pattern: Some(pattern) }
}

pub(super) fn socket(ip: IpAddr, port: u16) -> Address {
    named_socket(&ip.to_string(), port)
}

/// An address, or a name that is resolved.
pub(super) fn named_socket(address: &str, port: u16) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    }
}

pub(super) fn range(net: IpNet) -> CidrRange {
    CidrRange {
        address_prefix: net.addr().to_string(),
        prefix_len: Some(number(net.prefix_len().into())),
    }
}

/// The stream by which everything comes.
pub(super) fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

/// A server of its own, which whoever is told has beside it; for ever, if it takes so long.
pub(super) fn beside(server: &str) -> ConfigSource {
    let to = EnvoyGrpc { cluster_name: server.to_owned(), ..EnvoyGrpc::default() };
    let service = GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(to)),
        ..GrpcService::default()
    };
    let api = ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![service],
        set_node_on_first_message_only: true,
        ..ApiConfigSource::default()
    };
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: Some(duration(Duration::ZERO)),
        config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(api)),
        ..ConfigSource::default()
    }
}

pub(super) fn transport<M: Message + Name>(name: &str, config: &M) -> TransportSocket {
    TransportSocket {
        name: format!("envoy.transport_sockets.{name}"),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(config))),
    }
}

/// Where something was written, as metadata.
pub(super) fn origin(at: &At) -> Metadata {
    let At { object, index, place } = at;
    let text = |text: &str| Some(Kind::StringValue(text.to_owned()));
    let mut fields = vec![("object", text(object)), ("source", text(place))];
    fields.extend(index.map(|index| ("rule", Some(Kind::NumberValue(index.into())))));
    metadata(fields)
}

/// What each of several policies' rules is called, and where it was written.
pub(super) fn origins<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Metadata {
    metadata(all.map(|(name, place)| (name, Some(Kind::StringValue(place.to_owned())))))
}

fn metadata<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Kind>)>) -> Metadata {
    let fields = fields.into_iter().map(|(name, kind)| (name.to_owned(), Value { kind }));
    let fields = Struct { fields: fields.collect() };
    Metadata { filter_metadata: [(ORIGIN.to_owned(), fields)].into(), ..Metadata::default() }
}

/// What may be the value of a header.
pub(super) fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// What may be the name of a header.
pub(super) fn is_name(text: &str) -> bool {
    text.parse::<culvert_model::http::field::Field>().is_ok()
}
