//! What a context and the secrets that it names say together.
use super::{EdgeError, key};
use culvert_model::http::{
    secret::{Certificate, Secret, SecretRef},
    tls::{CertificateSource, CommonTls, Revoked, SanMatch, Trust, Validation, ValidationSource},
};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Looks a secret up.
pub trait Secrets {
    fn find(&self, name: &SecretRef) -> Option<Secret>;
}

impl<F: Fn(&SecretRef) -> Option<Secret>> Secrets for F {
    fn find(&self, name: &SecretRef) -> Option<Secret> {
        self(name)
    }
}

/// Our own certificates, with their keys.
pub(super) fn certificates(
    common: &CommonTls,
    secrets: &dyn Secrets,
) -> Result<Vec<Arc<CertifiedKey>>, EdgeError> {
    common.certificates.iter().map(|source| certificate(source, secrets)).collect()
}

fn certificate(
    source: &CertificateSource,
    secrets: &dyn Secrets,
) -> Result<Arc<CertifiedKey>, EdgeError> {
    let found = match source {
        CertificateSource::Inline(certificate) => Arc::clone(certificate),
        CertificateSource::Secret(name) => match find(secrets, name)? {
            Secret::Certificate(certificate) => certificate,
            Secret::Validation(_) | Secret::Generic(_) | Secret::TicketKeys(_) => {
                return Err(other(name, "a certificate"));
            }
        },
    };
    let Certificate { chain, key, ocsp_staple } = &*found;
    let signing = key::signing(key).ok_or(EdgeError::ForeignKey)?;
    let mut certified = CertifiedKey::new(key::certificates(chain), signing);
    certified.ocsp = ocsp_staple.as_ref().map(|staple| staple.to_vec());
    Ok(Arc::new(certified))
}

/// What a peer's certificate must be: here, and by the secret, which counts where both speak.
///
/// Trust and revocation lists are in the result themselves, whatever file they are in.
pub(super) fn validation(
    source: &ValidationSource,
    secrets: &dyn Secrets,
) -> Result<Validation, EdgeError> {
    let ValidationSource { here, secret } = source;
    let mut both = Validation::clone(here);
    if let Some(name) = secret {
        let Secret::Validation(said) = find(secrets, name)? else {
            return Err(other(name, "what a peer is checked against"));
        };
        join(&mut both, &said);
    }
    both.trusted = both.trusted.map(|trust| trusted(trust, secrets)).transpose()?;
    both.revoked = both.revoked.map(|lists| revoked(lists, secrets)).transpose()?;
    if let Some(domains) = &both.domains {
        let domain = |(name, trust): &(Arc<str>, Trust)| {
            Ok((Arc::clone(name), trusted(trust.clone(), secrets)?))
        };
        both.domains = Some(domains.iter().map(domain).collect::<Result<_, EdgeError>>()?);
    }
    Ok(both)
}

/// As protobuf merges messages: lists are joined, and what is said later counts.
fn join(here: &mut Validation, said: &Validation) {
    let Validation {
        trusted,
        sans,
        spki,
        hashes,
        revoked,
        only_leaf_crl,
        allow_expired,
        accept_untrusted,
        max_depth,
        domains,
    } = said;
    here.trusted = trusted.clone().or(here.trusted.take());
    here.sans = here.sans.iter().chain(&**sans).cloned().collect::<Arc<[SanMatch]>>();
    here.spki = here.spki.iter().chain(&**spki).copied().collect();
    here.hashes = here.hashes.iter().chain(&**hashes).copied().collect();
    here.revoked = revoked.clone().or(here.revoked.take());
    here.only_leaf_crl |= only_leaf_crl;
    here.allow_expired |= allow_expired;
    here.accept_untrusted |= accept_untrusted;
    here.max_depth = max_depth.or(here.max_depth);
    here.domains = domains.clone().or(here.domains.take());
}

fn trusted(trust: Trust, secrets: &dyn Secrets) -> Result<Trust, EdgeError> {
    let Trust::File(name) = trust else { return Ok(trust) };
    let trusted = file(&name, secrets)?.and_then(|said| said.trusted.clone());
    trusted.ok_or_else(|| other(&name, "trusted certificates"))
}

fn revoked(lists: Revoked, secrets: &dyn Secrets) -> Result<Revoked, EdgeError> {
    let Revoked::File(name) = lists else { return Ok(lists) };
    let revoked = file(&name, secrets)?.and_then(|said| said.revoked.clone());
    revoked.ok_or_else(|| other(&name, "revocation lists"))
}

/// What a file of certificates or lists says.
fn file(name: &SecretRef, secrets: &dyn Secrets) -> Result<Option<Arc<Validation>>, EdgeError> {
    Ok(match find(secrets, name)? {
        Secret::Validation(said) => Some(said),
        Secret::Certificate(_) | Secret::Generic(_) | Secret::TicketKeys(_) => None,
    })
}

fn find(secrets: &dyn Secrets, name: &SecretRef) -> Result<Secret, EdgeError> {
    secrets.find(name).ok_or_else(|| EdgeError::Missing(Arc::clone(&name.name)))
}

fn other(name: &SecretRef, wanted: &'static str) -> EdgeError {
    EdgeError::OtherSecret { name: Arc::clone(&name.name), wanted }
}
