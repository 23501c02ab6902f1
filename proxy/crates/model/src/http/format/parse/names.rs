//! The names of operators that have no parameters, and of what parameters name.
use crate::http::format::operator::{
    Address, AddressPart, Amount, Attempted, CertificatePart, Certificates, Clock, Close, GrpcForm,
    Headers, Moment, Operator, Span, TlsPart,
};

/// The operator of a name without parameters.
pub(super) fn plain(name: &str) -> Option<Operator> {
    Some(match name {
        "PROTOCOL" => Operator::Protocol,
        "UPSTREAM_PROTOCOL" => Operator::UpstreamProtocol,
        "RESPONSE_CODE" => Operator::ResponseCode,
        "CONNECTION_TERMINATION_DETAILS" => Operator::ConnectionTerminationDetails,
        "RESPONSE_FLAGS" => Operator::ResponseFlags,
        "RESPONSE_FLAGS_LONG" => Operator::ResponseFlagsLong,
        "GRPC_STATUS_NUMBER" => Operator::GrpcStatus(GrpcForm::Number),
        "UPSTREAM_HOST" => Operator::UpstreamHost,
        "UPSTREAM_HOST_NAME" => Operator::UpstreamHostName { port: true },
        "UPSTREAM_HOST_NAME_WITHOUT_PORT" => Operator::UpstreamHostName { port: false },
        "UPSTREAM_CLUSTER" => Operator::UpstreamCluster { raw: false },
        "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster { raw: true },
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::UpstreamAttempts,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::UpstreamFailure,
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON" => Operator::DownstreamFailure,
        "CONNECTION_ID" => Operator::ConnectionId,
        "UPSTREAM_CONNECTION_ID" => Operator::UpstreamConnectionId,
        "STREAM_ID" => Operator::StreamId,
        "UNIQUE_ID" => Operator::UniqueId,
        "TRACE_ID" => Operator::TraceId,
        "SPAN_ID" => Operator::SpanId,
        "UPSTREAM_SERVER_NAME" => Operator::UpstreamServerName,
        "DOWNSTREAM_CX_RTT"
        | "DOWNSTREAM_PEER_ISSUER_SERIAL"
        | "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256"
        | "ROUTE_RESOLUTION_COUNT"
        | "ROUTE_RESOLUTION_TIME_US" => Operator::Unknown,
        "ROUTE_NAME" => Operator::RouteName,
        "VIRTUAL_CLUSTER_NAME" => Operator::VirtualClusterName,
        "FILTER_CHAIN_NAME" => Operator::FilterChainName,
        "ACCESS_LOG_TYPE" => Operator::AccessLogType,
        "LOCAL_REPLY_BODY" => Operator::LocalReplyBody,
        "HOSTNAME" => Operator::Hostname,
        "CUSTOM_FLAGS" => Operator::CustomFlags,
        "REQUEST_HEADERS_BYTES" => Operator::HeaderBytes(Headers::Request),
        "RESPONSE_HEADERS_BYTES" => Operator::HeaderBytes(Headers::Response),
        "RESPONSE_TRAILERS_BYTES" => Operator::HeaderBytes(Headers::Trailers),
        _ => {
            return amount(name)
                .map(Operator::Bytes)
                .or_else(|| span(name).map(Operator::Duration))
                .or_else(|| attempted(name).map(Operator::UpstreamAttempted))
                .or_else(|| closed(name))
                .or_else(|| address(name))
                .or_else(|| tls(name));
        }
    })
}

fn amount(name: &str) -> Option<Amount> {
    Some(match name {
        "BYTES_RECEIVED" => Amount::Received,
        "BYTES_SENT" => Amount::Sent,
        "BYTES_RETRANSMITTED" => Amount::Retransmitted,
        "PACKETS_RETRANSMITTED" => Amount::PacketsRetransmitted,
        "UPSTREAM_WIRE_BYTES_SENT" => Amount::UpstreamWireSent,
        "UPSTREAM_WIRE_BYTES_RECEIVED" => Amount::UpstreamWireReceived,
        "UPSTREAM_HEADER_BYTES_SENT" => Amount::UpstreamHeadersSent,
        "UPSTREAM_HEADER_BYTES_RECEIVED" => Amount::UpstreamHeadersReceived,
        "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => Amount::UpstreamDecompressedHeadersSent,
        "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => {
            Amount::UpstreamDecompressedHeadersReceived
        }
        "DOWNSTREAM_WIRE_BYTES_SENT" => Amount::DownstreamWireSent,
        "DOWNSTREAM_WIRE_BYTES_RECEIVED" => Amount::DownstreamWireReceived,
        "DOWNSTREAM_HEADER_BYTES_SENT" => Amount::DownstreamHeadersSent,
        "DOWNSTREAM_HEADER_BYTES_RECEIVED" => Amount::DownstreamHeadersReceived,
        "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => Amount::DownstreamDecompressedHeadersSent,
        "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => {
            Amount::DownstreamDecompressedHeadersReceived
        }
        _ => return None,
    })
}

fn span(name: &str) -> Option<Span> {
    Some(match name {
        "DURATION" => Span::Whole,
        "REQUEST_DURATION" => Span::Request,
        "REQUEST_TX_DURATION" => Span::RequestSent,
        "RESPONSE_DURATION" => Span::Response,
        "RESPONSE_TX_DURATION" => Span::ResponseSent,
        "DOWNSTREAM_HANDSHAKE_DURATION" => Span::Handshake,
        "ROUNDTRIP_DURATION" => Span::RoundTrip,
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => Span::PoolReady,
        _ => return None,
    })
}

fn attempted(name: &str) -> Option<Attempted> {
    Some(match name {
        "UPSTREAM_HOSTS_ATTEMPTED" => Attempted::Hosts,
        "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT" => Attempted::HostsWithoutPort,
        "UPSTREAM_HOST_NAMES_ATTEMPTED" => Attempted::Names,
        "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT" => Attempted::NamesWithoutPort,
        "UPSTREAM_CONNECTION_IDS_ATTEMPTED" => Attempted::ConnectionIds,
        _ => return None,
    })
}

fn closed(name: &str) -> Option<Operator> {
    let (upstream, how) = match name {
        "UPSTREAM_DETECTED_CLOSE_TYPE" => (true, Close::Detected),
        "DOWNSTREAM_DETECTED_CLOSE_TYPE" => (false, Close::Detected),
        "UPSTREAM_LOCAL_CLOSE_REASON" => (true, Close::LocalReason),
        "DOWNSTREAM_LOCAL_CLOSE_REASON" => (false, Close::LocalReason),
        _ => return None,
    };
    Some(Operator::Closed { upstream, how })
}

/// A moment that `COMMON_DURATION` knows.
pub(super) fn moment(name: &str) -> Option<Moment> {
    Some(match name {
        "DS_RX_BEG" => Moment::DownstreamReceiveBegin,
        "DS_RX_END" => Moment::DownstreamReceiveEnd,
        "US_CX_BEG" => Moment::UpstreamConnectBegin,
        "US_CX_END" => Moment::UpstreamConnectEnd,
        "US_HS_END" => Moment::UpstreamHandshakeEnd,
        "US_TX_BEG" => Moment::UpstreamSendBegin,
        "US_TX_END" => Moment::UpstreamSendEnd,
        "US_RX_BEG" => Moment::UpstreamReceiveBegin,
        "US_RX_BODY_BEG" => Moment::UpstreamReceiveBodyBegin,
        "US_RX_END" => Moment::UpstreamReceiveEnd,
        "DS_TX_BEG" => Moment::DownstreamSendBegin,
        "DS_TX_END" => Moment::DownstreamSendEnd,
        _ => return None,
    })
}

/// The time of a name with a format.
pub(super) fn clock(name: &str) -> Option<Clock> {
    Some(match name {
        "START_TIME" => Clock::Start,
        "START_TIME_LOCAL" => Clock::StartLocal,
        "EMIT_TIME" => Clock::Emit,
        "EMIT_TIME_LOCAL" => Clock::EmitLocal,
        "DOWNSTREAM_PEER_CERT_V_START" => Clock::CertificateStart { upstream: false },
        "DOWNSTREAM_PEER_CERT_V_END" => Clock::CertificateEnd { upstream: false },
        "UPSTREAM_PEER_CERT_V_START" => Clock::CertificateStart { upstream: true },
        "UPSTREAM_PEER_CERT_V_END" => Clock::CertificateEnd { upstream: true },
        _ => return None,
    })
}

/// The address of a name that may come with a mask.
pub(super) fn address_without_port(name: &str) -> Option<Address> {
    end(name.strip_suffix("_ADDRESS_WITHOUT_PORT")?)
}

fn address(name: &str) -> Option<Operator> {
    let (end_name, part) = if let Some(end_name) = name.strip_suffix("_ADDRESS") {
        (end_name, AddressPart::Whole)
    } else if let Some(end_name) = name.strip_suffix("_PORT") {
        (end_name, AddressPart::Port)
    } else {
        (name.strip_suffix("_ADDRESS_ENDPOINT_ID")?, AddressPart::EndpointId)
    };
    let address = end(end_name)?;
    let internal = matches!(
        address,
        Address::UpstreamRemote | Address::DownstreamLocal | Address::DownstreamDirectLocal
    );
    (part != AddressPart::EndpointId || internal).then_some(Operator::Address(address, part))
}

fn end(name: &str) -> Option<Address> {
    Some(match name {
        "UPSTREAM_REMOTE" => Address::UpstreamRemote,
        "UPSTREAM_LOCAL" => Address::UpstreamLocal,
        "DOWNSTREAM_REMOTE" => Address::DownstreamRemote,
        "DOWNSTREAM_DIRECT_REMOTE" => Address::DownstreamDirectRemote,
        "DOWNSTREAM_LOCAL" => Address::DownstreamLocal,
        "DOWNSTREAM_DIRECT_LOCAL" => Address::DownstreamDirectLocal,
        _ => return None,
    })
}

fn tls(name: &str) -> Option<Operator> {
    match name {
        "TLS_JA3_FINGERPRINT" => {
            return Some(Operator::Tls { upstream: false, part: TlsPart::Ja3 });
        }
        "TLS_JA4_FINGERPRINT" => {
            return Some(Operator::Tls { upstream: false, part: TlsPart::Ja4 });
        }
        _ => {}
    }
    let (upstream, rest) = match name.strip_prefix("UPSTREAM_") {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix("DOWNSTREAM_")?),
    };
    let part = match rest {
        "TLS_VERSION" => TlsPart::Version,
        "TLS_CIPHER" => TlsPart::Cipher,
        "TLS_SESSION_ID" => TlsPart::SessionId,
        "TLS_GROUP" => TlsPart::Group,
        _ => {
            let (whose, part) = certificate(upstream, rest)?;
            return Some(Operator::Certificate { upstream, whose, part });
        }
    };
    Some(Operator::Tls { upstream, part })
}

/// What Envoy prints of each: of chains, and of the own certificate, less than of the peer's.
fn certificate(upstream: bool, name: &str) -> Option<(Certificates, CertificatePart)> {
    if let Some(part) = name.strip_prefix("PEER_CHAIN_") {
        let part = match part {
            "SERIALS" => CertificatePart::Serial,
            "FINGERPRINTS_1" => CertificatePart::FingerprintSha1,
            "FINGERPRINTS_256" => CertificatePart::FingerprintSha256,
            _ => return None,
        };
        return (!upstream).then_some((Certificates::PeerChain, part));
    }
    let (whose, part) = match name.strip_prefix("LOCAL_") {
        Some(part) => (Certificates::Local, part),
        None => (Certificates::Peer, name.strip_prefix("PEER_")?),
    };
    let peer = whose == Certificates::Peer;
    let (part, there) = match part {
        "URI_SAN" => (CertificatePart::UriSan, true),
        "DNS_SAN" => (CertificatePart::DnsSan, true),
        "IP_SAN" => (CertificatePart::IpSan, true),
        "EMAIL_SAN" => (CertificatePart::EmailSan, !upstream),
        "OTHERNAME_SAN" => (CertificatePart::OtherNameSan, !upstream),
        "SUBJECT" => (CertificatePart::Subject, peer || !upstream),
        "ISSUER" => (CertificatePart::Issuer, peer),
        "CERT" => (CertificatePart::Pem, peer),
        "SERIAL" => (CertificatePart::Serial, peer && !upstream),
        "FINGERPRINT_1" => (CertificatePart::FingerprintSha1, peer && !upstream),
        "FINGERPRINT_256" => (CertificatePart::FingerprintSha256, peer && !upstream),
        _ => return None,
    };
    there.then_some((whose, part))
}
