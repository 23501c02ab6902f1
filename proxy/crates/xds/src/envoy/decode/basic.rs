//! Durations, numbers, addresses, and messages inside of others.
use super::{Around, Got, Path, Wrong};
use culvert_model::http::{
    address::{Address, SocketOption, SocketOptionValue, SocketState},
    matcher::{Denominator, Fraction, Networks, RuntimeFlag, RuntimeFraction, RuntimeNumber},
};
use culvert_proto::{
    Message, Name,
    added::TypedStruct,
    api::{
        envoy::{
            config::core::v3::{
                self as core, address::Address as AddressPb, data_source::Specifier,
                socket_address::PortSpecifier,
            },
            r#type::v3 as kinds,
        },
        google::protobuf as pb,
        xds,
    },
    descriptors, json,
};
use ipnet::IpNet;
use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Decodes each item; an error says which one.
pub(super) fn each<T, U, B: FromIterator<U>>(
    items: &[T],
    path: &Path<'_>,
    mut decode: impl FnMut(&T, &Path<'_>) -> Got<U>,
) -> Got<B> {
    items.iter().enumerate().map(|(i, item)| decode(item, &path.index(i))).collect()
}

/// Decodes what must be there.
pub(super) fn must<'a, T>(value: &'a Option<T>, path: &Path<'_>) -> Got<&'a T> {
    value.as_ref().ok_or_else(|| Wrong::at(path, "not set"))
}

/// Refuses the first field that is set: each by name, whether it is set, and what is said then.
pub(super) fn refuse(path: &Path<'_>, fields: &[(&str, bool, &str)]) -> Got<()> {
    match fields.iter().find(|(_, is_set, _)| *is_set) {
        Some((name, _, what)) => Err(Wrong::at(&path.field(name), *what)),
        None => Ok(()),
    }
}

/// `None` for an empty text.
pub(super) fn some(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

pub(super) fn texts(texts: &[String]) -> Arc<[Arc<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

/// The value of an enum; one that is not known is refused by the rules before.
pub(super) fn known<T: TryFrom<i32>>(value: i32, path: &Path<'_>) -> Got<T> {
    T::try_from(value).map_err(|_unknown| Wrong::at(path, format!("{value} is not known")))
}

pub(super) fn duration(value: &Option<pb::Duration>, path: &Path<'_>) -> Got<Option<Duration>> {
    value.as_ref().map(|value| duration_of(value, path)).transpose()
}

fn duration_of(value: &pb::Duration, path: &Path<'_>) -> Got<Duration> {
    span(value).ok_or_else(|| Wrong::at(path, "not a duration: negative, or out of range"))
}

/// How long a message says; `None`: it is negative, or out of range.
pub fn span(value: &pb::Duration) -> Option<Duration> {
    let seconds = u64::try_from(value.seconds).ok().filter(|seconds| *seconds <= 315_576_000_000);
    let nanos = u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    Some(Duration::new(seconds?, nanos?))
}

/// A duration of which zero means none.
pub(super) fn unless_zero(duration: Option<Duration>) -> Option<Duration> {
    duration.filter(|duration| !duration.is_zero())
}

/// What is left out is `default`, zero is none.
pub(super) fn limit(
    value: &Option<pb::Duration>,
    default: Option<Duration>,
    path: &Path<'_>,
) -> Got<Option<Duration>> {
    Ok(match duration(value, path)? {
        None => default,
        given => unless_zero(given),
    })
}

pub(super) fn number(value: &Option<pb::UInt32Value>) -> Option<u32> {
    value.as_ref().map(|value| value.value)
}

pub(super) fn flag(value: &Option<pb::BoolValue>, default: bool) -> bool {
    value.as_ref().map_or(default, |value| value.value)
}

pub(super) fn port(value: u32, path: &Path<'_>) -> Got<u16> {
    u16::try_from(value).map_err(|_large| Wrong::at(path, format!("{value} is not a port")))
}

pub(super) fn status(value: u32, path: &Path<'_>) -> Got<http::StatusCode> {
    u16::try_from(value)
        .ok()
        .and_then(|value| http::StatusCode::from_u16(value).ok())
        .ok_or_else(|| Wrong::at(path, format!("{value} is not a status")))
}

pub(super) fn fraction(value: &kinds::FractionalPercent, path: &Path<'_>) -> Got<Fraction> {
    use kinds::fractional_percent::DenominatorType;
    let denominator = match known(value.denominator, &path.field("denominator"))? {
        DenominatorType::Hundred => Denominator::Hundred,
        DenominatorType::TenThousand => Denominator::TenThousand,
        DenominatorType::Million => Denominator::Million,
    };
    Ok(Fraction { numerator: value.numerator, denominator })
}

pub(super) fn runtime_fraction(
    value: &core::RuntimeFractionalPercent,
    path: &Path<'_>,
) -> Got<RuntimeFraction> {
    let default = match &value.default_value {
        Some(default) => fraction(default, &path.field("default_value"))?,
        None => Fraction::percent(0),
    };
    Ok(RuntimeFraction { default, key: some(&value.runtime_key) })
}

pub(super) fn runtime_flag(value: &Option<core::RuntimeFeatureFlag>, default: bool) -> RuntimeFlag {
    match value {
        None => default.into(),
        Some(value) => RuntimeFlag {
            default: flag(&value.default_value, default),
            key: some(&value.runtime_key),
        },
    }
}

pub(super) fn runtime_double(value: &core::RuntimeDouble) -> RuntimeNumber<f64> {
    RuntimeNumber { default: value.default_value, key: some(&value.runtime_key) }
}

pub(super) fn network(value: &core::CidrRange, path: &Path<'_>) -> Got<IpNet> {
    cidr(&value.address_prefix, number(&value.prefix_len), path)
}

/// The same of another package.
pub(super) fn xds_network(value: &xds::core::v3::CidrRange, path: &Path<'_>) -> Got<IpNet> {
    cidr(&value.address_prefix, number(&value.prefix_len), path)
}

fn cidr(address: &str, length: Option<u32>, path: &Path<'_>) -> Got<IpNet> {
    let ip: IpAddr = address.parse().map_err(|_no_address| {
        Wrong::at(&path.field("address_prefix"), format!("{address:?} is not an IP address"))
    })?;
    // As Envoy has it, no length is a length of 0.
    let length = length.unwrap_or(0);
    let net = u8::try_from(length).ok().and_then(|length| IpNet::new(ip, length).ok());
    let net = net.ok_or_else(|| {
        Wrong::at(&path.field("prefix_len"), format!("{length} is too long for {ip}"))
    })?;
    Ok(net.trunc())
}

pub(super) fn networks(values: &[core::CidrRange], path: &Path<'_>) -> Got<Networks> {
    each(values, path, network).map(Networks)
}

/// Decodes an address; a name is one that somebody has to resolve.
///
/// # Errors
///
/// On UDP, resolvers by name, internal addresses.
pub fn address(value: &core::Address, path: &Path<'_>) -> Got<Address> {
    match must(&value.address, path)? {
        AddressPb::SocketAddress(socket) => socket_address(socket, &path.field("socket_address")),
        AddressPb::Pipe(pipe) => Ok(Address::Pipe(pipe.path.as_str().into())),
        AddressPb::EnvoyInternalAddress(_) => Err(Wrong::at(
            &path.field("envoy_internal_address"),
            "internal listeners are not supported; give a socket_address",
        )),
    }
}

pub(super) fn socket_address(value: &core::SocketAddress, path: &Path<'_>) -> Got<Address> {
    if value.protocol != i32::from(core::socket_address::Protocol::Tcp) {
        return Err(Wrong::at(&path.field("protocol"), "UDP is not supported; only TCP is"));
    }
    if !value.resolver_name.is_empty() && value.resolver_name != "envoy.ip" {
        let what = format!("no resolver {} is known", value.resolver_name);
        return Err(Wrong::at(&path.field("resolver_name"), what));
    }
    let port = match &value.port_specifier {
        Some(PortSpecifier::PortValue(value)) => port(*value, &path.field("port_value"))?,
        Some(PortSpecifier::NamedPort(_)) => {
            return Err(Wrong::at(&path.field("named_port"), "only port_value is supported"));
        }
        None => 0,
    };
    let host = value.address.trim_matches(['[', ']']);
    Ok(match host.parse::<IpAddr>() {
        Ok(ip) => Address::Socket(SocketAddr::new(ip, port)),
        Err(_name) => Address::Name { host: value.address.as_str().into(), port },
    })
}

/// An address that needs no resolving.
pub(super) fn resolved(value: &core::Address, path: &Path<'_>) -> Got<Address> {
    match address(value, path)? {
        Address::Name { host, .. } => Err(Wrong::at(
            &path.field("socket_address").field("address"),
            format!("{host:?} is not an IP address"),
        )),
        resolved @ (Address::Socket(_) | Address::Pipe(_)) => Ok(resolved),
    }
}

pub(super) fn socket_options(
    values: &[core::SocketOption],
    path: &Path<'_>,
) -> Got<Arc<[SocketOption]>> {
    use core::socket_option::{SocketState as State, Value};
    each(values, path, |value, path| {
        let int = |value: i64, field: &str| {
            i32::try_from(value)
                .map_err(|_large| Wrong::at(&path.field(field), format!("{value} is out of range")))
        };
        let state = match known(value.state, &path.field("state"))? {
            State::StatePrebind => SocketState::Prebind,
            State::StateBound => SocketState::Bound,
            State::StateListening => SocketState::Listening,
        };
        let option_value = match must(&value.value, path)? {
            Value::IntValue(number) => SocketOptionValue::Int(int(*number, "int_value")?),
            Value::BufValue(bytes) => SocketOptionValue::Bytes(bytes.as_slice().into()),
        };
        Ok(SocketOption {
            level: int(value.level, "level")?,
            name: int(value.name, "name")?,
            value: option_value,
            state,
        })
    })
}

/// What a data source holds.
pub(super) fn data(value: &core::DataSource, path: &Path<'_>, around: &dyn Around) -> Got<Vec<u8>> {
    match must(&value.specifier, path)? {
        Specifier::Filename(file) => {
            around.file(file).map_err(|what| Wrong::at(&path.field("filename"), what))
        }
        Specifier::InlineBytes(bytes) => Ok(bytes.clone()),
        Specifier::InlineString(text) => Ok(text.clone().into_bytes()),
        Specifier::EnvironmentVariable(name) => {
            around.variable(name).map(String::into_bytes).ok_or_else(|| {
                let what = format!("the environment has no variable {name}");
                Wrong::at(&path.field("environment_variable"), what)
            })
        }
    }
}

/// What is inside of an `Any`: its type's full name, and its bytes.
///
/// A `TypedStruct` stands for the type that it names.
pub(super) fn open<'a>(any: &'a pb::Any, path: &Path<'_>) -> Got<(Cow<'a, str>, Cow<'a, [u8]>)> {
    let name = descriptors::full_name(&any.type_url);
    let inner = match name {
        "xds.type.v3.TypedStruct" | "udpa.type.v1.TypedStruct" => TypedStruct::decode(&*any.value)
            .map_err(|error| Wrong::at(path, format!("cannot be read: {error}")))?,
        "" => return Err(Wrong::at(path, "no type is given")),
        name => return Ok((Cow::Borrowed(name), Cow::Borrowed(&*any.value))),
    };
    let name = descriptors::full_name(&inner.type_url).to_owned();
    if descriptors::message(&name).is_none() {
        return Ok((Cow::Owned(name), Cow::Owned(Vec::new())));
    }
    let value = inner.value.as_ref().map(json::write).unwrap_or_default();
    let value = if value.is_null() { json_object() } else { value };
    let message = json::read_dynamic(&name, &value).map_err(|problems| {
        let problem = problems.0.into_iter().next();
        problem.map_or_else(
            || Wrong::at(path, "cannot be read"),
            |problem| Wrong { path: format!("{path}.{}", problem.path), what: problem.what },
        )
    })?;
    let bytes = message.encode_to_vec();
    Ok((Cow::Owned(name), Cow::Owned(bytes)))
}

fn json_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// Reads what [`open`] found.
pub(super) fn inner<M: Message + Name + Default>(bytes: &[u8], path: &Path<'_>) -> Got<M> {
    M::decode(bytes)
        .map_err(|error| Wrong::at(path, format!("cannot be read as {}: {error}", M::full_name())))
}
