//! Certificates by the names that resources have for them: for gateways from Secrets, and for whoever
//! asks roots from `ConfigMap`s.
use super::{reader::Reader, words::ads};
use crate::object::{
    roots::{REVOKED, Roots, TRUSTED},
    secret::{Hidden, Secret},
};
use culvert_model::name::ObjectName;
use culvert_proto::{
    Message, Name as _,
    api::envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{DataSource, TransportSocket, data_source::Specifier, transport_socket},
            listener::v3::Listener,
        },
        extensions::transport_sockets::{
            proxy_protocol::v3::ProxyProtocolUpstreamTransport,
            tls::v3::{
                self as tls, CertificateValidationContext, CommonTlsContext, DownstreamTlsContext,
                TlsCertificate, UpstreamTlsContext, common_tls_context::ValidationContextType,
                secret::Type,
            },
        },
    },
};
use std::{collections::BTreeSet, sync::Arc};

/// What names of Secrets begin with, and what is behind it of whom they trust.
pub(in crate::compile::http) const SECRET: &str = "kubernetes://";
pub(in crate::compile::http) const TRUST: &str = "-cacert";

/// What names of `ConfigMap`s with roots begin with, in what people write, too.
pub(in crate::compile::http) const ROOTS: &str = "configmap://";

/// Names of secrets.
pub(super) type Names = BTreeSet<Arc<str>>;

pub(super) fn of_listener(listener: &Listener, names: &mut Names) {
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    for socket in chains.filter_map(|chain| chain.transport_socket.as_ref()) {
        of_socket(socket, names);
    }
}

pub(super) fn of_cluster(cluster: &Cluster, names: &mut Names) {
    if let Some(socket) = &cluster.transport_socket {
        of_socket(socket, names);
    }
}

fn of_socket(socket: &TransportSocket, names: &mut Names) {
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else { return };
    // What is read here was written here.
    if any.type_url == DownstreamTlsContext::type_url() {
        let context = DownstreamTlsContext::decode(&*any.value).unwrap_or_default();
        of_common(&context.common_tls_context.unwrap_or_default(), names);
    } else if any.type_url == UpstreamTlsContext::type_url() {
        let context = UpstreamTlsContext::decode(&*any.value).unwrap_or_default();
        of_common(&context.common_tls_context.unwrap_or_default(), names);
    } else if any.type_url == ProxyProtocolUpstreamTransport::type_url() {
        let around = ProxyProtocolUpstreamTransport::decode(&*any.value).unwrap_or_default();
        around.transport_socket.iter().for_each(|inner| of_socket(inner, names));
    }
}

fn of_common(context: &CommonTlsContext, names: &mut Names) {
    let trusted = match &context.validation_context_type {
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            combined.validation_context_sds_secret_config.as_ref()
        }
        Some(ValidationContextType::ValidationContextSdsSecretConfig(config)) => Some(config),
        Some(_) | None => None,
    };
    let certificates = context.tls_certificate_sds_secret_configs.iter();
    // Of others nobody asks us.
    let ours = certificates.chain(trusted).filter(|config| config.sds_config == Some(ads()));
    names.extend(ours.map(|config| Arc::from(&*config.name)));
}

/// Whether what goes by a name is nobody's secret.
pub(super) fn is_public(name: &str) -> bool {
    name.starts_with(ROOTS)
}

/// What goes by a name; `None`: nothing that is there, or is good for anything.
pub(super) fn secret(name: &str, reader: &Reader<'_>) -> Option<tls::Secret> {
    let made = |kind: Type| tls::Secret { name: name.to_owned(), r#type: Some(kind) };
    if let Some(roots) = name.strip_prefix(ROOTS) {
        let (namespace, own) = roots.split_once('/')?;
        let roots = reader.roots(&ObjectName::new(namespace, own))?;
        return Some(made(Type::ValidationContext(roots_of(roots)?)));
    }
    let (namespace, own) = name.strip_prefix(SECRET)?.split_once('/')?;
    let of = |name: &str| reader.secret(&ObjectName::new(namespace, name));
    let Some(of_trust) = own.strip_suffix(TRUST) else {
        return Some(made(Type::TlsCertificate(certificate(of(own)?)?)));
    };
    // A Secret of its own counts before the one that has the certificate, too.
    let trust = of(own).and_then(trust).or_else(|| of(of_trust).and_then(trust));
    let trust = trust.map(Type::ValidationContext);
    let trust = trust.or_else(|| Some(Type::TlsCertificate(certificate(of(own)?)?)));
    trust.map(made)
}

fn certificate(secret: &Secret) -> Option<TlsCertificate> {
    let chain = entry(secret, ["tls.crt", "cert"])?;
    let key = entry(secret, ["tls.key", "key"])?;
    Some(TlsCertificate {
        certificate_chain: Some(inline(chain.bytes())),
        private_key: Some(inline(key.bytes())),
        ..TlsCertificate::default()
    })
}

fn trust(secret: &Secret) -> Option<CertificateValidationContext> {
    Some(CertificateValidationContext {
        trusted_ca: Some(inline(entry(secret, TRUSTED)?.bytes())),
        crl: entry(secret, REVOKED).map(|crl| inline(crl.bytes())),
        ..CertificateValidationContext::default()
    })
}

fn roots_of(roots: &Roots) -> Option<CertificateValidationContext> {
    roots.has_any().then(|| CertificateValidationContext {
        trusted_ca: Some(inline(roots.trusted.as_bytes())),
        crl: roots.revoked.as_ref().map(|crl| inline(crl.as_bytes())),
        ..CertificateValidationContext::default()
    })
}

/// What is there under the first of these names, as Kubernetes and as Istio have it.
fn entry<'a>(secret: &'a Secret, names: [&'static str; 2]) -> Option<&'a Hidden> {
    let found = names.iter().find_map(|name| secret.data.get(name));
    found.filter(|bytes| !bytes.bytes().is_empty())
}

fn inline(bytes: &[u8]) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(bytes.to_vec())), ..DataSource::default() }
}
