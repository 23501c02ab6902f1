//! TLS, and whose certificates.
use crate::{
    compile::http::{
        credentials::Holder,
        emit::secrets::{ROOTS, SECRET},
        plan::{
            gateway::{ClientAuth, ServerTls, TlsVersion},
            traffic::{Credential, Name, Originate, Tls, Trust},
        },
    },
    object::{
        istio::{
            destination_rule::tls::{ClientTls, ClientTlsMode},
            gateway::tls::{self, ServerTlsMode},
        },
        meta::Meta,
        spanned::Spanned,
    },
    problem::Problem,
};
use std::sync::Arc;

/// Whom the operating system trusts, in Istio's words.
const SYSTEM: &str = "system";

/// TLS that is spoken to a service.
pub(super) fn client(tls: &Spanned<ClientTls>, meta: &Meta, notes: &mut Vec<Problem>) -> Tls {
    let Spanned { value: tls, at } = tls;
    match tls.mode {
        ClientTlsMode::Disable => return Tls::Off,
        ClientTlsMode::IstioMutual => return Tls::Mesh,
        ClientTlsMode::Simple | ClientTlsMode::Mutual => {}
    }
    let secret = tls.credential_name.as_ref().map(|name| secret(&name.value, meta));
    let files = || {
        let (certificate, key) = (tls.client_certificate.as_ref()?, tls.private_key.as_ref()?);
        Some(Credential::Files {
            certificate: certificate.value.as_str().into(),
            key: Some(key.value.as_str().into()),
        })
    };
    let is_mutual = tls.mode == ClientTlsMode::Mutual;
    let shown = secret.clone().filter(|one| matches!(one, Credential::Secret { .. }));
    let client = if is_mutual { shown.or_else(files) } else { None };
    let trust = match (secret, tls.ca_certificates.as_ref().map(|file| file.value.as_str())) {
        (Some(secret), _) => Trust::Only(secret),
        (None, Some(SYSTEM | "") | None) => Trust::System,
        (None, Some(file)) => Trust::Only(file_of(file)),
    };
    if is_mutual && client.is_none() {
        notes.push(meta.at(*at).warning("there is no certificate of the client"));
    }
    Tls::Originate(Box::new(Originate {
        trust,
        revoked: path(tls.ca_crl.as_ref()),
        client,
        sni: tls.sni.as_deref().filter(|name| !name.is_empty()).map(Into::into),
        names: tls.subject_alt_names.iter().map(|name| Name::Any(name.as_str().into())).collect(),
        insecure: tls.insecure_skip_verify.unwrap_or(false),
    }))
}

/// TLS that a gateway ends; `None`: it cannot be, which is told.
pub(super) fn server(
    tls: &Spanned<tls::ServerTls>,
    meta: &Meta,
    notes: &mut Vec<Problem>,
) -> Option<ServerTls> {
    let Spanned { value: tls, at } = tls;
    let names = tls.credential_names.iter().flat_map(|names| &names.value.0);
    let names = tls.credential_name.iter().map(|name| &name.value).chain(names);
    let mut credentials: Vec<_> = names.map(|name| secret(name, meta)).collect();
    let pairs = tls.tls_certificates.iter().flat_map(|all| &all.value.0);
    let pairs = pairs.map(|one| (one.server_certificate.as_deref(), one.private_key.as_deref()));
    let own = (
        tls.server_certificate.as_ref().map(|file| file.value.as_str()),
        tls.private_key.as_ref().map(|file| file.value.as_str()),
    );
    credentials.extend(pairs.chain([own]).filter_map(|(certificate, key)| {
        Some(Credential::Files { certificate: certificate?.into(), key: Some(key?.into()) })
    }));
    let trust = match tls.mode() {
        ServerTlsMode::IstioMutual => {
            credentials = vec![Credential::Own];
            Some(Trust::Only(Credential::Own))
        }
        ServerTlsMode::Simple
        | ServerTlsMode::Mutual
        | ServerTlsMode::OptionalMutual
        | ServerTlsMode::Passthrough
        | ServerTlsMode::AutoPassthrough => client_trust(tls, meta, credentials.first()),
    };
    let names: Vec<_> =
        tls.subject_alt_names.iter().map(|name| Name::Any(name.as_str().into())).collect();
    let client = match (tls.mode(), trust) {
        (ServerTlsMode::Mutual | ServerTlsMode::IstioMutual, Some(trust)) => {
            ClientAuth::Required { trust, names }
        }
        (ServerTlsMode::OptionalMutual, Some(trust)) => ClientAuth::Optional { trust, names },
        (ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual, None) => {
            let told = "nothing says whose certificates clients may show";
            notes.push(meta.at(*at).warning(told).with_fix("nobody listens; write caCertificates"));
            return None;
        }
        (_, _) => ClientAuth::None,
    };
    if !tls.verify_certificate_hash.is_empty() || !tls.verify_certificate_spki.is_empty() {
        let told = "certificates are not told apart by their hashes here";
        notes.push(meta.at(*at).warning(told).with_fix("nobody listens; use subjectAltNames"));
        return None;
    }
    Some(ServerTls {
        credentials,
        client,
        revoked: path(tls.ca_crl.as_ref()),
        min: tls.min_protocol_version.as_ref().and_then(|one| version(one.value)),
        max: tls.max_protocol_version.as_ref().and_then(|one| version(one.value)),
        ciphers: tls.cipher_suites.iter().map(|name| name.value.as_str().into()).collect(),
    })
}

/// Whom clients' certificates must be from.
fn client_trust(tls: &tls::ServerTls, meta: &Meta, own: Option<&Credential>) -> Option<Trust> {
    let named = tls.ca_cert_credential_name.as_ref().map(|name| secret(&name.value, meta));
    let file = || tls.ca_certificates.as_ref().map(|file| file_of(&file.value));
    let within = || {
        let mut all = tls.tls_certificates.iter().flat_map(|all| &all.value.0);
        all.find_map(|one| one.ca_certificates.as_deref()).map(file_of)
    };
    let own = || own.filter(|one| matches!(one, Credential::Secret { .. })).cloned();
    named.or_else(file).or_else(within).or_else(own).map(Trust::Only)
}

fn version(version: tls::TlsVersion) -> Option<TlsVersion> {
    match version {
        tls::TlsVersion::Auto => None,
        // Older ones are not spoken by anybody here.
        tls::TlsVersion::V1_0 | tls::TlsVersion::V1_1 | tls::TlsVersion::V1_2 => {
            Some(TlsVersion::V1_2)
        }
        tls::TlsVersion::V1_3 => Some(TlsVersion::V1_3),
    }
}

fn path(written: Option<&Spanned<String>>) -> Option<Arc<str>> {
    written.map(|path| path.value.as_str().into()).filter(|path: &Arc<str>| !path.is_empty())
}

fn file_of(path: &str) -> Credential {
    Credential::Files { certificate: path.into(), key: None }
}

/// A secret of the object's namespace, or a `ConfigMap` there.
fn secret(name: &str, meta: &Meta) -> Credential {
    let (holder, name) = own_secret(name);
    let (namespace, name) = (Arc::clone(&meta.name.namespace), name.into());
    match holder {
        Holder::Secret => Credential::Secret { namespace, name },
        Holder::ConfigMap => Credential::ConfigMap { namespace, name },
    }
}

/// What it is and is called beside the object that names it; `kubernetes://` and `configmap://` are
/// how Istio says what it is.
pub(super) fn own_secret(name: &str) -> (Holder, &str) {
    let (holder, name) = match name.strip_prefix(ROOTS) {
        Some(roots) => (Holder::ConfigMap, roots),
        None => (Holder::Secret, name.strip_prefix(SECRET).unwrap_or(name)),
    };
    // That of another namespace would need somebody's leave: its name is looked for at home.
    (holder, name.rsplit('/').next().unwrap_or(name))
}
