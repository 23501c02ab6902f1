//! TLS on both sides, by the names of secrets.
use super::{
    super::plan::{
        gateway::{ClientAuth, ServerTls, TlsVersion},
        traffic::{Credential, Name, Originate, ProxyProtocol, Tls, TrafficPolicy, Trust, Version},
    },
    may_be_tls,
    secrets::{ROOTS, SECRET, TRUST},
    words::{ads, beside, flag, is_value, pattern, transport},
};
use crate::gateways::own;
use culvert_model::service::AppProtocol;
use culvert_proto::api::envoy::{
    config::core::v3::{
        DataSource, ProxyProtocolConfig, TransportSocket, data_source::Specifier,
        proxy_protocol_config,
    },
    extensions::transport_sockets::{
        proxy_protocol::v3::ProxyProtocolUpstreamTransport,
        raw_buffer::v3::RawBuffer,
        tls::v3::{
            CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
            SubjectAltNameMatcher, TlsCertificate, TlsParameters, UpstreamTlsContext,
            certificate_validation_context::SystemRootCerts,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            subject_alt_name_matcher::SanType,
            tls_parameters::TlsProtocol,
        },
    },
    r#type::matcher::v3::string_matcher::MatchPattern,
};
use std::sync::Arc;

/// Those of TLS 1.2 that Envoy and our own engine know.
pub(in crate::compile::http) const CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// Longest name that TLS can ask for.
const LONGEST_SNI: usize = 255;

/// Whether clients may speak TLS themselves where it is spoken for those who do not.
pub(super) fn is_twofold(policy: &TrafficPolicy, protocol: AppProtocol) -> bool {
    matches!(policy.tls, Tls::Originate(_)) && may_be_tls(protocol)
}

/// How connections to endpoints begin; `None`: as they are.
pub(super) fn upstream(
    policy: &TrafficPolicy,
    protocol: AppProtocol,
    host: &str,
) -> Option<TransportSocket> {
    let tls = match &policy.tls {
        Tls::Mesh | Tls::Off => None,
        Tls::Originate(tls) => Some(transport("tls", &client(tls, policy, protocol, host))),
    };
    let Some(version) = policy.proxy_protocol else { return tls };
    let version = match version {
        ProxyProtocol::V1 => proxy_protocol_config::Version::V1,
        ProxyProtocol::V2 => proxy_protocol_config::Version::V2,
    };
    let config = ProxyProtocolConfig { version: version.into(), ..ProxyProtocolConfig::default() };
    Some(transport(
        "upstream_proxy_protocol",
        &ProxyProtocolUpstreamTransport {
            config: Some(config),
            transport_socket: Some(tls.unwrap_or_else(|| transport("raw_buffer", &RawBuffer {}))),
            ..ProxyProtocolUpstreamTransport::default()
        },
    ))
}

fn client(
    tls: &Originate,
    policy: &TrafficPolicy,
    protocol: AppProtocol,
    host: &str,
) -> UpstreamTlsContext {
    let Originate { trust, revoked, client, sni, names, insecure } = tls;
    // Nothing follows requests where TLS is declared: what goes there is the service's own.
    let is_opaque = matches!(protocol, AppProtocol::Tcp | AppProtocol::Tls);
    let is_http = !is_opaque || policy.pool.version != Version::AsDeclared;
    let fixed = match sni {
        Some(sni) => Some(&**sni),
        // Of HTTP it is the request's.
        None => Some(host).filter(|host| !is_http && !host.starts_with('*')),
    };
    let fixed = fixed.filter(|sni| sni.len() <= LONGEST_SNI && is_value(sni));
    let own = [Name::Dns(fixed.unwrap_or_default().into())];
    let names = match (names.is_empty(), fixed) {
        (true, Some(_)) => &own[..],
        (true, None) | (false, _) => names,
    };
    let alpn: &[&str] = match (policy.pool.version, protocol) {
        (Version::Http2, _) | (Version::AsDeclared, AppProtocol::Http2 | AppProtocol::Grpc) => {
            &["h2"]
        }
        (Version::Http1, _) | (Version::AsDeclared, AppProtocol::Http1) => &["http/1.1"],
        (Version::AsDeclared | Version::AsClient, _) => &[],
    };
    // Envoy goes no further than 1.2 as a client by itself.
    let params = TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        ..TlsParameters::default()
    };
    let common = CommonTlsContext {
        tls_params: Some(params),
        validation_context_type: (!insecure).then(|| validation(trust, names, revoked.as_deref())),
        alpn_protocols: alpn.iter().map(|one| (*one).to_owned()).collect(),
        ..CommonTlsContext::default()
    };
    UpstreamTlsContext {
        sni: fixed.map(str::to_owned).unwrap_or_default(),
        common_tls_context: Some(certified(client, common)),
        ..UpstreamTlsContext::default()
    }
}

/// A server's side, for HTTP or for anything.
pub(super) fn server(tls: &ServerTls, is_http: bool) -> Option<TransportSocket> {
    let ServerTls { credentials, client, revoked, min, max, ciphers } = tls;
    if credentials.is_empty() {
        return None;
    }
    let revoked = revoked.as_deref();
    let (required, validation) = match client {
        ClientAuth::None => (false, None),
        ClientAuth::Optional { trust, names } => (false, Some(validation(trust, names, revoked))),
        ClientAuth::Required { trust, names } => (true, Some(validation(trust, names, revoked))),
    };
    let version = |version: Option<TlsVersion>| match version {
        None => TlsProtocol::TlsAuto,
        Some(TlsVersion::V1_2) => TlsProtocol::TlSv12,
        Some(TlsVersion::V1_3) => TlsProtocol::TlSv13,
    };
    let max = max.filter(|max| min.is_none_or(|min| min <= *max));
    let params = TlsParameters {
        tls_minimum_protocol_version: version(min.or(Some(TlsVersion::V1_2))).into(),
        tls_maximum_protocol_version: version(max).into(),
        cipher_suites: (ciphers.iter().filter(|one| CIPHERS.contains(&&***one)))
            .map(ToString::to_string)
            .collect(),
        ..TlsParameters::default()
    };
    let alpn: &[&str] = if is_http { &["h2", "http/1.1"] } else { &[] };
    let common = CommonTlsContext {
        tls_params: Some(params),
        validation_context_type: validation,
        alpn_protocols: alpn.iter().map(|one| (*one).to_owned()).collect(),
        ..CommonTlsContext::default()
    };
    let context = DownstreamTlsContext {
        require_client_certificate: Some(flag(required)),
        common_tls_context: Some(certified(credentials, common)),
        ..DownstreamTlsContext::default()
    };
    Some(transport("tls", &context))
}

fn validation(trust: &Trust, names: &[Name], revoked: Option<&str>) -> ValidationContextType {
    let mut context = CertificateValidationContext {
        match_typed_subject_alt_names: names.iter().flat_map(name).collect(),
        crl: revoked.filter(|path| !path.is_empty()).map(file),
        ..CertificateValidationContext::default()
    };
    match trust {
        Trust::System => {
            context.system_root_certs = Some(SystemRootCerts {});
            ValidationContextType::ValidationContext(context)
        }
        Trust::Only(Credential::Files { certificate, key: _ }) if certificate.is_empty() => {
            named(context, NOWHERE.to_owned())
        }
        Trust::Only(Credential::Files { certificate, key: _ }) => {
            context.trusted_ca = Some(file(certificate));
            ValidationContextType::ValidationContext(context)
        }
        Trust::Only(Credential::Secret { namespace, name }) => {
            named(context, format!("{SECRET}{namespace}/{name}{TRUST}"))
        }
        Trust::Only(Credential::ConfigMap { namespace, name }) => {
            named(context, format!("{ROOTS}{namespace}/{name}"))
        }
        Trust::Only(Credential::Own) => by(context, local(own::TRUST)),
    }
}

/// A secret that never comes: of files that are not named.
const NOWHERE: &str = "file://";

/// Trust that goes by a name, beside what is said here.
fn named(context: CertificateValidationContext, trust: String) -> ValidationContextType {
    by(context, sds(trust))
}

fn by(context: CertificateValidationContext, trust: SdsSecretConfig) -> ValidationContextType {
    ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
        default_validation_context: Some(context),
        validation_context_sds_secret_config: Some(trust),
        ..CombinedCertificateValidationContext::default()
    })
}

fn name(name: &Name) -> Vec<SubjectAltNameMatcher> {
    let of = |kind: SanType, name: &Arc<str>| SubjectAltNameMatcher {
        san_type: kind.into(),
        matcher: Some(pattern(MatchPattern::Exact(name.to_string()))),
        ..SubjectAltNameMatcher::default()
    };
    match name {
        Name::Dns(name) => vec![of(SanType::Dns, name)],
        Name::Uri(name) => vec![of(SanType::Uri, name)],
        Name::Any(name) => [SanType::Dns, SanType::Uri].map(|kind| of(kind, name)).into(),
    }
}

/// Shows certificates: those of Secrets are asked for, those of files are where TLS is spoken.
fn certified<'a>(
    credentials: impl IntoIterator<Item = &'a Credential>,
    common: CommonTlsContext,
) -> CommonTlsContext {
    let (mut named, mut files) = (Vec::new(), Vec::new());
    for credential in credentials {
        match credential {
            Credential::Secret { namespace, name } => {
                named.push(sds(format!("{SECRET}{namespace}/{name}")));
            }
            Credential::Files { certificate, key: Some(key) }
                if !certificate.is_empty() && !key.is_empty() =>
            {
                files.push(TlsCertificate {
                    certificate_chain: Some(file(certificate)),
                    private_key: Some(file(key)),
                    ..TlsCertificate::default()
                });
            }
            Credential::Own => named.push(local(own::CERTIFICATE)),
            // No key is in the open.
            Credential::ConfigMap { .. } | Credential::Files { .. } => {
                named.push(sds(NOWHERE.to_owned()));
            }
        }
    }
    // Envoy takes the ones or the others.
    let files = if named.is_empty() { files } else { Vec::new() };
    CommonTlsContext {
        tls_certificate_sds_secret_configs: named,
        tls_certificates: files,
        ..common
    }
}

fn file(path: &str) -> DataSource {
    let specifier = Some(Specifier::Filename(path.to_owned()));
    DataSource { specifier, ..DataSource::default() }
}

/// What comes from whoever keeps the identity of a gateway beside it, and not from us.
fn local(name: &str) -> SdsSecretConfig {
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(beside(own::SERVER)) }
}

fn sds(name: String) -> SdsSecretConfig {
    SdsSecretConfig { name, sds_config: Some(ads()) }
}
