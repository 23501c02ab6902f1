//! Certificates, trust and other secrets.
use super::{
    Around, Got, Path, Wrong,
    basic::{data, each, flag, inner, known, must, number, open, refuse, some},
    text::string,
};
use culvert_model::http::{
    secret::{Certificate, CertificateFiles, Generic, Secret, SecretRef, SecretSource, TicketKeys},
    source::WatchedFile,
    tls::{CertificateSource, Revoked, SanKind, SanMatch, Trust, TrustDomains, Validation},
};
use culvert_proto::api::envoy::{
    config::core::v3::{DataSource, TypedExtensionConfig, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{
        self as pb, SpiffeCertValidatorConfig,
        certificate_validation_context::TrustChainVerification, secret::Type,
        subject_alt_name_matcher::SanType,
    },
};
use std::sync::Arc;

mod bytes;

use bytes::hash;
pub use bytes::{certificates, revocation_lists};

pub(super) fn decode(value: &pb::Secret, path: &Path<'_>, around: &dyn Around) -> Got<Secret> {
    match must(&value.r#type, path)? {
        Type::TlsCertificate(value) => {
            let path = path.field("tls_certificate");
            Ok(Secret::Certificate(Arc::new(certificate(value, &path, around)?)))
        }
        Type::ValidationContext(value) => {
            let path = path.field("validation_context");
            Ok(Secret::Validation(Arc::new(validation(value, &path, around)?)))
        }
        Type::GenericSecret(value) => {
            let path = path.field("generic_secret");
            let at = path.field("secret");
            let bytes = match &value.secret {
                Some(source) => data(source, &at, around)?,
                None => Vec::new(),
            };
            Ok(Secret::Generic(Arc::new(Generic(bytes.into()))))
        }
        Type::SessionTicketKeys(value) => {
            let path = path.field("session_ticket_keys");
            let path = path.field("keys");
            let keys: Vec<_> = each(&value.keys, &path, |source, path| data(source, path, around))?;
            let handle = around.ticket_keys(&keys).map_err(|what| Wrong::at(&path, what))?;
            Ok(Secret::TicketKeys(TicketKeys(handle)))
        }
    }
}

/// A certificate of a listener or a cluster; one that is in files is a secret of its own, so that it
/// can be renewed.
pub(super) fn certificate_source(
    value: &pb::TlsCertificate,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<CertificateSource> {
    let file =
        |source: &Option<DataSource>| match source.as_ref().and_then(|s| s.specifier.as_ref()) {
            Some(Specifier::Filename(file)) => Some(Arc::<str>::from(file.as_str())),
            _ => None,
        };
    let (Some(chain), Some(key)) = (file(&value.certificate_chain), file(&value.private_key))
    else {
        return certificate(value, path, around).map(Arc::new).map(CertificateSource::Inline);
    };
    supported(value, path)?;
    let directory = value.watched_directory.as_ref().and_then(|dir| some(&dir.path));
    let name = format!("files:{chain}+{key}").into();
    let files = CertificateFiles { chain, key, ocsp_staple: file(&value.ocsp_staple), directory };
    Ok(CertificateSource::Secret(SecretRef { name, source: SecretSource::Certificate(files) }))
}

fn supported(value: &pb::TlsCertificate, path: &Path<'_>) -> Got<()> {
    let pkcs12 = "not supported; give certificate_chain and private_key";
    let fields = [
        ("pkcs12", value.pkcs12.is_some(), pkcs12),
        ("private_key_provider", value.private_key_provider.is_some(), "not supported"),
    ];
    refuse(path, &fields)
}

/// Reads a certificate with its key.
pub(super) fn certificate(
    value: &pb::TlsCertificate,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Certificate> {
    supported(value, path)?;
    let at = path.field("certificate_chain");
    let chain = data(must(&value.certificate_chain, &at)?, &at, around)?;
    let chain = certificates(&chain).map_err(|what| Wrong::at(&at, what))?;
    let at = path.field("private_key");
    let key = data(must(&value.private_key, &at)?, &at, around)?;
    let password = match &value.password {
        Some(source) => Some(data(source, &path.field("password"), around)?),
        None => None,
    };
    let key = around.key(&chain, &key, password.as_deref()).map_err(|what| Wrong::at(&at, what))?;
    let ocsp_staple = match &value.ocsp_staple {
        Some(source) => Some(data(source, &path.field("ocsp_staple"), around)?.into()),
        None => None,
    };
    Ok(Certificate { chain, key, ocsp_staple })
}

pub(super) fn validation(
    value: &pb::CertificateValidationContext,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Validation> {
    let no = "is not supported";
    let transparency = flag(&value.require_signed_certificate_timestamp, false);
    let fields = [
        ("ca_certificate_provider_instance", value.ca_certificate_provider_instance.is_some(), no),
        ("require_signed_certificate_timestamp", transparency, no),
    ];
    refuse(path, &fields)?;
    let directory = value.watched_directory.as_ref().and_then(|dir| some(&dir.path));
    let mut sans: Vec<SanMatch> = each(
        &value.match_typed_subject_alt_names,
        &path.field("match_typed_subject_alt_names"),
        san,
    )?;
    let deprecated: Vec<_> =
        each(&value.match_subject_alt_names, &path.field("match_subject_alt_names"), string)?;
    sans.extend(deprecated.into_iter().map(|value| SanMatch { kind: SanKind::Any, value }));
    let trusted = trust(value, directory.as_ref(), path, around)?;
    if !sans.is_empty()
        && trusted.is_none()
        && value.custom_validator_config.is_none()
        && value.trusted_ca.is_some()
    {
        return Err(Wrong::at(&path.field("trusted_ca"), "empty"));
    }
    let verification =
        known(value.trust_chain_verification, &path.field("trust_chain_verification"))?;
    Ok(Validation {
        trusted,
        sans: sans.into(),
        spki: each(
            &value.verify_certificate_spki,
            &path.field("verify_certificate_spki"),
            |text, path| hash(text).map_err(|what| Wrong::at(path, what)),
        )?,
        hashes: each(
            &value.verify_certificate_hash,
            &path.field("verify_certificate_hash"),
            |text, path| hash(text).map_err(|what| Wrong::at(path, what)),
        )?,
        revoked: revoked(&value.crl, directory.as_ref(), &path.field("crl"), around)?,
        only_leaf_crl: value.only_verify_leaf_cert_crl,
        allow_expired: value.allow_expired_certificate,
        accept_untrusted: match verification {
            TrustChainVerification::VerifyTrustChain => false,
            TrustChainVerification::AcceptUntrusted => true,
        },
        max_depth: number(&value.max_verify_depth),
        domains: match &value.custom_validator_config {
            Some(value) => {
                let path = path.field("custom_validator_config");
                Some(domains(value, directory.as_ref(), &path, around)?)
            }
            None => None,
        },
    })
}

fn trust(
    value: &pb::CertificateValidationContext,
    directory: Option<&Arc<str>>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Option<Trust>> {
    match (&value.trusted_ca, &value.system_root_certs) {
        (Some(source), _) => {
            trust_of(source, directory, &path.field("trusted_ca"), around).map(Some)
        }
        (None, Some(_)) => Ok(Some(Trust::System)),
        (None, None) => Ok(None),
    }
}

fn trust_of(
    source: &DataSource,
    directory: Option<&Arc<str>>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Trust> {
    if let Some(Specifier::Filename(file)) = &source.specifier {
        return Ok(Trust::File(watched("trust", file, directory, SecretSource::Trust)));
    }
    let bytes = data(source, path, around)?;
    certificates(&bytes).map(Trust::Certificates).map_err(|what| Wrong::at(path, what))
}

fn revoked(
    value: &Option<DataSource>,
    directory: Option<&Arc<str>>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Option<Revoked>> {
    let Some(source) = value else { return Ok(None) };
    if let Some(Specifier::Filename(file)) = &source.specifier {
        return Ok(Some(Revoked::File(watched("revoked", file, directory, SecretSource::Revoked))));
    }
    let bytes = data(source, path, around)?;
    let lists = revocation_lists(&bytes).map_err(|what| Wrong::at(path, what))?;
    Ok(Some(Revoked::Lists(lists)))
}

fn watched(
    kind: &str,
    file: &str,
    directory: Option<&Arc<str>>,
    source: fn(WatchedFile) -> SecretSource,
) -> SecretRef {
    let file = WatchedFile { path: file.into(), directory: directory.cloned() };
    SecretRef { name: format!("{kind}:{}", file.path).into(), source: source(file) }
}

fn san(value: &pb::SubjectAltNameMatcher, path: &Path<'_>) -> Got<SanMatch> {
    let kind = match known(value.san_type, &path.field("san_type"))? {
        SanType::Email => SanKind::Email,
        SanType::Dns => SanKind::Dns,
        SanType::Uri => SanKind::Uri,
        SanType::IpAddress => SanKind::Ip,
        SanType::OtherName => SanKind::Other(value.oid.as_str().into()),
        SanType::Unspecified => {
            return Err(Wrong::at(&path.field("san_type"), "not set; give DNS, URI or another"));
        }
    };
    let path = path.field("matcher");
    Ok(SanMatch { kind, value: string(must(&value.matcher, &path)?, &path)? })
}

fn domains(
    value: &TypedExtensionConfig,
    directory: Option<&Arc<str>>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<TrustDomains> {
    let path = path.field("typed_config");
    let (kind, bytes) = open(must(&value.typed_config, &path)?, &path)?;
    if !kind.ends_with("tls.v3.SPIFFECertValidatorConfig") {
        return Err(Wrong::at(&path, format!("no validator {kind} is known")));
    }
    let value: SpiffeCertValidatorConfig = inner(&bytes, &path)?;
    if value.trust_bundles.is_some() {
        let what = "not supported; give trust_domains";
        return Err(Wrong::at(&path.field("trust_bundles"), what));
    }
    each(&value.trust_domains, &path.field("trust_domains"), |domain, path| {
        let at = path.field("trust_bundle");
        let trust = trust_of(must(&domain.trust_bundle, &at)?, directory, &at, around)?;
        Ok((domain.name.as_str().into(), trust))
    })
}
