//! What each operator comes to.
use std::{borrow::Cow, net::IpAddr, time::Duration};

use culvert_model::http::{
    format::{
        AddressPart, Clock, Headers, Moment, Operator, Precision, QueryForm, Span, TimeForm,
        TlsPart,
    },
    value::Value,
};
use ipnet::IpNet;

use super::{
    Printed, Scene, certificate,
    message::{header, header_bytes, path},
    time,
};
use crate::http::{grpc, query};

/// The value of an operator; `None` if there is none.
#[expect(clippy::too_many_lines, reason = "a table: what each operator prints")]
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is in another table")]
pub(super) fn of<'a>(operator: &Operator, scene: &Scene<'a>) -> Option<Printed<'a>> {
    let known = scene.known;
    Some(match operator {
        Operator::Header { of, name, alternative } => {
            let value = header(*of, name, scene);
            let other = || header(*of, alternative.as_ref()?, scene);
            Printed::Bytes(Cow::Borrowed(value.or_else(other)?))
        }
        Operator::HeaderWithoutQuery { name, alternative } => {
            let value = header(Headers::Request, name, scene);
            let other = || header(Headers::Request, alternative.as_ref()?, scene);
            let value = value.or_else(other)?;
            let end = value.iter().position(|b| *b == b'?').unwrap_or(value.len());
            Printed::Bytes(Cow::Borrowed(value.get(..end)?))
        }
        Operator::Path { choice, query } => path(*choice, *query, scene)?,
        Operator::QueryParameter(name) => {
            Printed::Bytes(query::decode(query::parameter(scene.request?.path, name)?))
        }
        Operator::Query(form) => {
            let (_, query) = scene.request?.path.split_once('?')?;
            match form {
                QueryForm::Original => Printed::text(query),
                QueryForm::Decoded => Printed::Bytes(query::decode(query)),
            }
        }
        Operator::HeaderBytes(of) => Printed::number(header_bytes(*of, scene)),
        Operator::Bytes(amount) => Printed::number(known.bytes(*amount)),
        Operator::ResponseCode => Printed::Number(scene.status().into()),
        // In JSON as well: no flags are a dash, not nothing.
        Operator::ResponseFlags | Operator::ResponseFlagsLong if known.flags().is_empty() => {
            Printed::text("-")
        }
        Operator::ResponseFlags => Printed::display(known.flags()),
        Operator::ResponseFlagsLong => Printed::display(known.flags().long()),
        Operator::GrpcStatus(form) => grpc::printed(*form, scene)?,
        Operator::Duration(span) => Printed::Number(duration(span, scene)?),
        Operator::Time(clock, form) => clock_time(*clock, form, scene)?,
        Operator::Address(address, part) => {
            let address = known.address(*address)?;
            match part {
                AddressPart::Whole => Printed::display(address),
                AddressPart::WithoutPort => Printed::display(address.ip()),
                AddressPart::Masked(bits) => Printed::display(mask(address.ip(), *bits)?),
                AddressPart::Port => Printed::Number(address.port().into()),
                AddressPart::EndpointId => return None,
            }
        }
        Operator::UpstreamAttempts => Printed::Number(known.attempts().into()),
        Operator::ConnectionId => Printed::number(known.connection()),
        Operator::UpstreamConnectionId => Printed::number(known.upstream_connection()),
        Operator::LocalReplyBody => Printed::Bytes(Cow::Borrowed(scene.local_reply)),
        // In JSON as well: what is not set is a dash, not nothing.
        Operator::Environment(name) => Printed::text(known.environment(name).unwrap_or("-")),
        Operator::Metadata { of, filter, path } => {
            let keys = path.iter().map(|key| &**key);
            let value = known.metadata(*of)?.find(filter, keys)?;
            Printed::Value(Cow::Borrowed((*value != Value::Null).then_some(value)?))
        }
        Operator::FilterState { upstream, key, form: _ } => {
            Printed::text(known.state(*upstream, key)?)
        }
        Operator::Tls { upstream, part } => {
            let tls = known.tls(*upstream)?;
            let text = match part {
                TlsPart::Version => tls.version,
                TlsPart::Cipher => &tls.cipher,
                TlsPart::SessionId => &tls.session,
                TlsPart::Group => tls.group,
                TlsPart::Ja3 | TlsPart::Ja4 => return None,
            };
            non_empty_text(text)?
        }
        Operator::Certificate { upstream, whose, part } => {
            certificate::part(known.tls(*upstream)?, *whose, *part)?
        }
        Operator::Coalesce(all) => all.iter().find_map(|one| of(one, scene))?,
        word => return words(word, scene),
    })
}

/// Those that are a word, or nothing.
fn words<'a>(operator: &Operator, scene: &Scene<'a>) -> Option<Printed<'a>> {
    let known = scene.known;
    #[expect(clippy::wildcard_enum_match_arm, reason = "all else is above, or never known")]
    let word = match operator {
        Operator::Protocol => known.protocol(),
        Operator::UpstreamProtocol => known.upstream_protocol(),
        Operator::ResponseCodeDetails { spaces: true } => known.details(),
        Operator::ResponseCodeDetails { spaces: false } => return underscored(known.details()?),
        Operator::ConnectionTerminationDetails => known.termination(),
        Operator::UpstreamHost => return known.upstream_host().map(Printed::display),
        Operator::UpstreamHostName { port } => return host_name(*port, scene),
        Operator::UpstreamCluster { raw: true } => known.cluster(),
        Operator::UpstreamCluster { raw: false } => known.cluster_alias(),
        Operator::UpstreamAttempted(what) => return non_empty(known.attempted(*what)?),
        Operator::Closed { upstream, how } => known.closed(*upstream, *how),
        Operator::UpstreamServerName => known.upstream_server_name(),
        Operator::UpstreamFailure => return underscored(known.upstream_failure()?),
        Operator::DownstreamFailure => return underscored(known.downstream_failure()?),
        Operator::StreamId => return known.stream().map(Printed::display),
        Operator::UniqueId => return known.unique().map(Printed::display),
        Operator::TraceId => known.trace(),
        Operator::SpanId => known.span(),
        Operator::ServerName => known.server_name(),
        Operator::RouteName => known.route(),
        Operator::FilterChainName => known.filter_chain(),
        Operator::AccessLogType => Some(known.log_type()),
        Operator::Hostname => known.hostname(),
        Operator::CustomFlags => known.custom_flags(),
        _ => None,
    };
    non_empty_text(word?)
}

fn duration(span: &Span, scene: &Scene<'_>) -> Option<i64> {
    let moment = |moment: &Moment| scene.known.moment(moment);
    let elapsed = match span {
        Span::Whole => scene.known.elapsed()?,
        Span::Request => moment(&Moment::DownstreamReceiveEnd)?,
        Span::RequestSent => moment(&Moment::UpstreamSendEnd)?,
        Span::Response => moment(&Moment::UpstreamReceiveBegin)?,
        Span::ResponseSent => moment(&Moment::DownstreamSendEnd)?
            .saturating_sub(moment(&Moment::UpstreamReceiveBegin)?),
        Span::Handshake => scene.known.handshake()?,
        Span::PoolReady => scene.known.pool_ready()?,
        Span::RoundTrip => return None,
        Span::Between { from, to, precision } => {
            let (from, to) = (nanoseconds(moment(from)?), nanoseconds(moment(to)?));
            let unit = match precision {
                Precision::Milliseconds => 1_000_000,
                Precision::Microseconds => 1_000,
                Precision::Nanoseconds => 1,
            };
            return Some((to - from) / unit);
        }
    };
    Some(nanoseconds(elapsed) / 1_000_000)
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn clock_time<'a>(clock: Clock, form: &TimeForm, scene: &Scene<'a>) -> Option<Printed<'a>> {
    let known = scene.known;
    let (time, offset) = match clock {
        Clock::Start | Clock::Emit => (known.clock(clock)?, 0),
        Clock::StartLocal | Clock::EmitLocal => (known.clock(clock)?, known.offset()),
        Clock::CertificateStart { upstream } => (known.validity(upstream)?.0, 0),
        Clock::CertificateEnd { upstream } => (known.validity(upstream)?.1, 0),
    };
    let mut out = String::new();
    match form {
        TimeForm::Default => time::write("%Y-%m-%dT%H:%M:%E3SZ", time, offset, &mut out),
        TimeForm::Strftime(form) => time::write(form, time, offset, &mut out),
    }
    Some(Printed::Bytes(Cow::Owned(out.into_bytes())))
}

fn host_name<'a>(port: bool, scene: &Scene<'a>) -> Option<Printed<'a>> {
    let name = match scene.known.upstream_name().filter(|name| !name.is_empty()) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(scene.known.upstream_host()?),
    };
    if port {
        return Some(Printed::display(name));
    }
    let bare = crate::http::route::without_port(&name);
    Some(Printed::display(bare.trim_start_matches('[').trim_end_matches(']')))
}

fn mask(address: IpAddr, bits: u8) -> Option<IpNet> {
    Some(IpNet::new(address, bits).ok()?.trunc())
}

fn underscored<'a>(text: &str) -> Option<Printed<'a>> {
    non_empty(text.replace(' ', "_"))
}

fn non_empty<'a>(text: String) -> Option<Printed<'a>> {
    (!text.is_empty()).then(|| Printed::Bytes(Cow::Owned(text.into_bytes())))
}

fn non_empty_text(text: &str) -> Option<Printed<'_>> {
    (!text.is_empty()).then(|| Printed::text(text))
}
