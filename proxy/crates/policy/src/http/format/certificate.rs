//! Parts of certificates.
use std::{borrow::Cow, sync::Arc};

use culvert_model::http::format::{CertificatePart, Certificates};

use super::Printed;
use crate::http::facts::{Certificate, Tls};

/// What is asked of a certificate; of a chain, of each, by commas.
pub(super) fn part(tls: &Tls, whose: Certificates, part: CertificatePart) -> Option<Printed<'_>> {
    let text = match whose {
        Certificates::Local => of(tls.local.as_deref()?, part),
        Certificates::Peer => of(tls.peer.as_deref()?, part),
        Certificates::PeerChain => {
            let all = tls.peer.iter().chain(tls.chain.iter());
            let parts: Vec<_> = all.map(|one| of(one, part)).filter(|p| !p.is_empty()).collect();
            Cow::Owned(parts.join(","))
        }
    };
    (!text.is_empty()).then(|| match text {
        Cow::Borrowed(text) => Printed::text(text),
        Cow::Owned(text) => Printed::Bytes(Cow::Owned(text.into_bytes())),
    })
}

fn of(certificate: &Certificate, part: CertificatePart) -> Cow<'_, str> {
    match part {
        CertificatePart::UriSan => list(&certificate.uris),
        CertificatePart::DnsSan => list(&certificate.names),
        CertificatePart::IpSan => list(&certificate.addresses),
        CertificatePart::EmailSan => list(&certificate.emails),
        CertificatePart::OtherNameSan => list(&certificate.others),
        CertificatePart::Subject => Cow::Borrowed(&certificate.subject),
        CertificatePart::Issuer => Cow::Borrowed(&certificate.issuer),
        CertificatePart::Serial => Cow::Borrowed(&certificate.serial),
        CertificatePart::FingerprintSha1 => Cow::Borrowed(&certificate.sha1),
        CertificatePart::FingerprintSha256 => Cow::Borrowed(&certificate.sha256),
        CertificatePart::Pem => Cow::Borrowed(&certificate.pem),
    }
}

fn list(names: &[Arc<str>]) -> Cow<'_, str> {
    match names {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one),
        several => Cow::Owned(several.join(",")),
    }
}
