//! Transport security, and what stands in its place.
use super::{
    Around, Got, Path, Wrong,
    basic::{each, flag, inner, known, must, number, open, refuse, some, texts},
    secret,
    source::source,
};
use culvert_model::http::{
    secret::{SecretRef, SecretSource},
    tls::{
        CertificateSource, CommonTls, DownstreamTls, DownstreamTransport, OcspPolicy, ProxyVersion,
        TlsVersion, UpstreamTls, UpstreamTransport, Validation, ValidationSource,
    },
};
use culvert_proto::api::{
    envoy::{
        config::core::v3::{
            TransportSocket, proxy_protocol_config::Version, transport_socket::ConfigType,
        },
        extensions::transport_sockets::{
            proxy_protocol::v3::ProxyProtocolUpstreamTransport,
            tls::v3::{
                self as pb,
                common_tls_context::ValidationContextType,
                downstream_tls_context::{OcspStaplePolicy, SessionTicketKeysType},
                tls_parameters::TlsProtocol,
            },
        },
    },
    google::protobuf::Any,
};
use std::sync::Arc;

const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.";
const RAW: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

fn config<'a>(value: &'a TransportSocket, path: &Path<'_>) -> Got<Option<&'a Any>> {
    match &value.config_type {
        Some(ConfigType::TypedConfig(any)) => Ok(Some(any)),
        None if matches!(&*value.name, "envoy.transport_sockets.raw_buffer" | "raw_buffer") => {
            Ok(None)
        }
        None => Err(Wrong::at(&path.field("typed_config"), "not set")),
    }
}

pub(super) fn downstream(
    value: &Option<TransportSocket>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<DownstreamTransport> {
    let Some(value) = value else { return Ok(DownstreamTransport::Plain) };
    let path = path.field("transport_socket");
    let Some(any) = config(value, &path)? else { return Ok(DownstreamTransport::Plain) };
    let path = path.field("typed_config");
    let (kind, bytes) = open(any, &path)?;
    match kind.strip_prefix(TLS) {
        Some("DownstreamTlsContext") => {
            let value: pb::DownstreamTlsContext = inner(&bytes, &path)?;
            Ok(DownstreamTransport::Tls(Arc::new(server(&value, &path, around)?)))
        }
        None if kind == RAW => Ok(DownstreamTransport::Plain),
        Some("UpstreamTlsContext") => {
            Err(Wrong::at(&path, "is for clusters; give a DownstreamTlsContext"))
        }
        _ => Err(Wrong::at(&path, format!("no transport {kind} is known"))),
    }
}

pub(super) fn upstream(
    value: &Option<TransportSocket>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<UpstreamTransport> {
    let Some(value) = value else { return Ok(UpstreamTransport::Plain) };
    let path = path.field("transport_socket");
    let Some(any) = config(value, &path)? else { return Ok(UpstreamTransport::Plain) };
    let path = path.field("typed_config");
    let (kind, bytes) = open(any, &path)?;
    match kind.strip_prefix(TLS) {
        Some("UpstreamTlsContext") => {
            let value: pb::UpstreamTlsContext = inner(&bytes, &path)?;
            Ok(UpstreamTransport::Tls(Arc::new(client(&value, &path, around)?)))
        }
        None if kind == RAW => Ok(UpstreamTransport::Plain),
        None if kind.ends_with("proxy_protocol.v3.ProxyProtocolUpstreamTransport") => {
            let value: ProxyProtocolUpstreamTransport = inner(&bytes, &path)?;
            let version = value.config.as_ref().map_or(0, |config| config.version);
            let version = match known(version, &path.field("config").field("version"))? {
                Version::V1 => ProxyVersion::V1,
                Version::V2 => ProxyVersion::V2,
            };
            let inner = upstream(&value.transport_socket, &path, around)?;
            Ok(UpstreamTransport::ProxyProtocol { version, inner: Arc::new(inner) })
        }
        Some("DownstreamTlsContext") => {
            Err(Wrong::at(&path, "is for listeners; give an UpstreamTlsContext"))
        }
        _ => Err(Wrong::at(&path, format!("no transport {kind} is known"))),
    }
}

fn server(
    value: &pb::DownstreamTlsContext,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<DownstreamTls> {
    let at = path.field("common_tls_context");
    let common = common(must(&value.common_tls_context, &at)?, &at, around)?;
    if common.certificates.is_empty() {
        let what = "a server needs tls_certificates or tls_certificate_sds_secret_configs";
        return Err(Wrong::at(&at, what));
    }
    let mut stateless = true;
    let ticket_keys = match &value.session_ticket_keys_type {
        None => None,
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(off)) => {
            stateless = !off;
            None
        }
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(sds)) => {
            Some(secret_ref(sds, &path.field("session_ticket_keys_sds_secret_config"), around)?)
        }
        Some(SessionTicketKeysType::SessionTicketKeys(_)) => {
            let what = "only keys of SDS are supported; leave it out for keys of our own";
            return Err(Wrong::at(&path.field("session_ticket_keys"), what));
        }
    };
    Ok(DownstreamTls {
        common,
        require_client_certificate: flag(&value.require_client_certificate, false),
        require_sni: flag(&value.require_sni, false),
        stateless_resumption: stateless,
        stateful_resumption: !value.disable_stateful_session_resumption,
        ticket_keys,
        ocsp: match known(value.ocsp_staple_policy, &path.field("ocsp_staple_policy"))? {
            OcspStaplePolicy::LenientStapling => OcspPolicy::Lenient,
            OcspStaplePolicy::StrictStapling => OcspPolicy::Strict,
            OcspStaplePolicy::MustStaple => OcspPolicy::Must,
        },
    })
}

fn client(
    value: &pb::UpstreamTlsContext,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<UpstreamTls> {
    let at = path.field("common_tls_context");
    let common = match &value.common_tls_context {
        Some(value) => common(value, &at, around)?,
        None => common(&pb::CommonTlsContext::default(), &at, around)?,
    };
    if common.certificates.len() > 1 {
        return Err(Wrong::at(&at, "a client can have one certificate only"));
    }
    Ok(UpstreamTls {
        common,
        sni: value.sni.as_str().into(),
        sni_of_endpoint: value.auto_host_sni,
        validate_sni: value.auto_sni_san_validation,
        max_session_keys: number(&value.max_session_keys).unwrap_or(1),
    })
}

fn common(value: &pb::CommonTlsContext, path: &Path<'_>, around: &dyn Around) -> Got<CommonTls> {
    let no = "is not supported";
    let parameters = value.tls_params.as_ref();
    let provider = value.tls_certificate_certificate_provider.is_some()
        || value.tls_certificate_certificate_provider_instance.is_some();
    let fields = [
        (
            "tls_certificate_provider_instance",
            value.tls_certificate_provider_instance.is_some(),
            no,
        ),
        ("custom_tls_certificate_selector", value.custom_tls_certificate_selector.is_some(), no),
        ("custom_handshaker", value.custom_handshaker.is_some(), no),
        ("tls_certificate_certificate_provider", provider, no),
        ("key_log", value.key_log.is_some(), "keys are not written down; leave it out"),
        (
            "tls_params.signature_algorithms",
            parameters.is_some_and(|tls| !tls.signature_algorithms.is_empty()),
            "those of the library are offered; leave it out",
        ),
        (
            "tls_params.compliance_policies",
            parameters.is_some_and(|tls| !tls.compliance_policies.is_empty()),
            "not supported; give cipher_suites and ecdh_curves",
        ),
    ];
    refuse(path, &fields)?;
    let at = path.field("tls_certificates");
    let mut certificates: Vec<CertificateSource> =
        each(&value.tls_certificates, &at, |value, path| {
            secret::certificate_source(value, path, around)
        })?;
    let at = path.field("tls_certificate_sds_secret_configs");
    let of_sds: Vec<_> = each(&value.tls_certificate_sds_secret_configs, &at, |sds, path| {
        secret_ref(sds, path, around)
    })?;
    certificates.extend(of_sds.into_iter().map(CertificateSource::Secret));
    let (min, max) = versions(value, path)?;
    Ok(CommonTls {
        min,
        max,
        ciphers: texts(parameters.map_or(&[], |tls| &tls.cipher_suites)),
        curves: texts(parameters.map_or(&[], |tls| &tls.ecdh_curves)),
        certificates: certificates.into(),
        validation: validation(value, path, around)?.map(Arc::new),
        alpn: texts(&value.alpn_protocols),
    })
}

fn versions(value: &pb::CommonTlsContext, path: &Path<'_>) -> Got<(TlsVersion, TlsVersion)> {
    let path = path.field("tls_params");
    let of = |value: i32, default: TlsVersion, name: &str| {
        Ok(match known(value, &path.field(name))? {
            TlsProtocol::TlsAuto => default,
            TlsProtocol::TlSv10 => TlsVersion::V1_0,
            TlsProtocol::TlSv11 => TlsVersion::V1_1,
            TlsProtocol::TlSv12 => TlsVersion::V1_2,
            TlsProtocol::TlSv13 => TlsVersion::V1_3,
        })
    };
    let (min, max) = match &value.tls_params {
        None => (TlsVersion::V1_2, TlsVersion::V1_3),
        Some(tls) => (
            of(tls.tls_minimum_protocol_version, TlsVersion::V1_2, "tls_minimum_protocol_version")?,
            of(tls.tls_maximum_protocol_version, TlsVersion::V1_3, "tls_maximum_protocol_version")?,
        ),
    };
    if max < TlsVersion::V1_2 {
        let what = "TLS 1.0 and 1.1 are not supported; give TLSv1_2 or TLSv1_3";
        return Err(Wrong::at(&path.field("tls_maximum_protocol_version"), what));
    }
    if min > max {
        let what = "is above tls_maximum_protocol_version";
        return Err(Wrong::at(&path.field("tls_minimum_protocol_version"), what));
    }
    Ok((min.max(TlsVersion::V1_2), max))
}

fn validation(
    value: &pb::CommonTlsContext,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Option<ValidationSource>> {
    let Some(kind) = &value.validation_context_type else { return Ok(None) };
    Ok(Some(match kind {
        ValidationContextType::ValidationContext(value) => {
            let path = path.field("validation_context");
            let here = Arc::new(secret::validation(value, &path, around)?);
            ValidationSource { here, secret: None }
        }
        ValidationContextType::ValidationContextSdsSecretConfig(sds) => {
            let path = path.field("validation_context_sds_secret_config");
            let here = Arc::new(Validation::default());
            ValidationSource { here, secret: Some(secret_ref(sds, &path, around)?) }
        }
        ValidationContextType::CombinedValidationContext(combined) => {
            let path = path.field("combined_validation_context");
            let here = match &combined.default_validation_context {
                Some(value) => {
                    secret::validation(value, &path.field("default_validation_context"), around)?
                }
                None => Validation::default(),
            };
            let at = path.field("validation_context_sds_secret_config");
            let sds = must(&combined.validation_context_sds_secret_config, &at)?;
            let secret = Some(secret_ref(sds, &at, around)?);
            ValidationSource { here: Arc::new(here), secret }
        }
        ValidationContextType::ValidationContextCertificateProvider(_)
        | ValidationContextType::ValidationContextCertificateProviderInstance(_) => {
            let path = path.field("validation_context_certificate_provider");
            return Err(Wrong::at(&path, "is not supported"));
        }
    }))
}

fn secret_ref(value: &pb::SdsSecretConfig, path: &Path<'_>, around: &dyn Around) -> Got<SecretRef> {
    let at = path.field("name");
    let name = some(&value.name).ok_or_else(|| Wrong::at(&at, "empty"))?;
    let from = match &value.sds_config {
        None if !around.has_secret(&name) => {
            let what = format!(
                "the bootstrap has no secret {name:?}; give it in static_resources.secrets, or say \
                 in sds_config who has it"
            );
            return Err(Wrong::at(&at, what));
        }
        None => SecretSource::Static,
        Some(value) => SecretSource::Sds(source(value, &path.field("sds_config"), around)?),
    };
    Ok(SecretRef { name, source: from })
}
